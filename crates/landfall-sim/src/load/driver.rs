//! One client: connects, sends pipelines, writes down what came of them, and comes back after a kill.
//! It must never lose an operation that it sent.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use landfall_resp::Value;

use super::families::Planner;
use super::step::Step;
use super::{Part, Record, Scene};
use crate::checker::{Kind, Operation, Outcome};
use crate::client::{Answer, Connect, Connection, Effect, Request};
use crate::waiting::wait_until;

/// A reply that takes longer is given up, and its outcome is unknown.
const REPLY_WITHIN: Duration = Duration::from_secs(20);
/// A client that was refused waits for so long.
const REFUSED_WAITS: Duration = Duration::from_millis(20);
/// A server that is gone for longer is not coming back.
const BACK_WITHIN: Duration = Duration::from_secs(120);

/// Drives one client until the scene is stopped.
pub fn drive(scene: &Scene, part: Part) -> Record {
    let mut driver = Driver {
        scene,
        client: part.client,
        connect: part.connect,
        session: 0,
        sequence: 0,
        planner: Planner::new(part),
        record: Record::default(),
    };
    let mut connection = None;
    while !scene.is_stopped() {
        let Some(client) = connection.as_mut() else {
            connection = driver.connect();
            continue;
        };
        driver.pipeline(client.as_mut());
        if client.is_broken() {
            connection = None;
        }
    }
    driver.record
}

struct Driver<'s> {
    scene: &'s Scene,
    client: u32,
    connect: Connect,
    session: u64,
    sequence: u64,
    planner: Planner,
    record: Record,
}

impl Driver<'_> {
    /// Waits for the server; none when the scene was stopped meanwhile.
    fn connect(&mut self) -> Option<Box<dyn Connection>> {
        let mut connected = None;
        wait_until(Instant::now() + BACK_WITHIN, || {
            connected = self.scene.address().and_then(|address| (self.connect)(address, REPLY_WITHIN).ok());
            connected.is_some() || self.scene.is_stopped()
        });
        if connected.is_none() && !self.scene.is_stopped() {
            self.record.strange.push(format!("the server was not back within {BACK_WITHIN:?}"));
            self.scene.stop();
        }
        self.session = self.scene.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        connected
    }

    /// Sends what comes next. A client that is asked to try again later does not do so at once: else an outage of the
    /// database would fill the history with refusals, and each names rows that the reckoning has to read.
    fn pipeline(&mut self, connection: &mut dyn Connection) {
        let steps = self.planner.pipeline();
        let requests: Vec<Request> = steps.iter().flat_map(|step| step.requests.iter().cloned()).collect();
        let invoked_ns = self.scene.ns(Instant::now());
        let answers = connection.pipeline(&requests);
        let is_refused = |answer: &Answer| answer.effect() == Effect::Refused;
        if answers.iter().any(is_refused) {
            wait_until(Instant::now() + REFUSED_WAITS, || self.scene.is_stopped());
        }
        let mut answers = answers.as_slice();
        for step in steps {
            let (own, rest) = answers.split_at(step.requests.len());
            answers = rest;
            self.write_down(step, own, invoked_ns);
        }
    }

    fn write_down(&mut self, step: Step, answers: &[Answer], invoked_ns: u64) {
        for answer in answers {
            self.note_refusal(answer.value());
            answer
                .value()
                .and_then(Value::as_slice)
                .into_iter()
                .flatten()
                .for_each(|item| self.note_refusal(Some(item)));
        }
        for planned in step.planned {
            let answer = &answers[planned.request];
            let outcome = planned.outcome(answer).unwrap_or_else(|strange| {
                self.record.strange.push(strange);
                Outcome::Unknown
            });
            let returned_ns = match answer {
                Answer::Reply(_, at) => self.scene.ns(*at),
                Answer::None => invoked_ns,
            };
            let is_write = !matches!(planned.kind, Kind::Read { .. } | Kind::ReadSum { .. });
            match (&planned.kind, &outcome) {
                (_, Outcome::Acked(_)) if is_write => {
                    self.scene.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                (Kind::Append { set, id }, Outcome::Unknown) if set == "click" => {
                    self.planner.repeat.push(id.clone());
                }
                _ => {}
            }
            self.sequence += 1;
            self.record.history.push(Operation {
                client: self.client,
                session: self.session,
                sequence: self.sequence,
                invoked_ns,
                returned_ns,
                kind: planned.kind,
                outcome,
            });
        }
    }

    fn note_refusal(&mut self, value: Option<&Value>) {
        if let Some(Value::Error(line)) = value {
            *self.record.refusals.entry(String::from_utf8_lossy(line).into_owned()).or_default() += 1;
        }
    }
}
