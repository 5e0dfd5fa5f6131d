//! The parts of a turn: running requests, ending waits, making everything safe, replying.
//! The order is the promise: run, then safe, then reply.

use std::sync::atomic::Ordering;
use std::time::Instant;

use landfall::engine::{Engine, Refusal};
use landfall::env::failpoint::reach;
use landfall::error::LogError;
use landfall_resp::{Decoded, OwnedRequest, ReplyWriter, Request};

use super::connection::Connection;
use super::counters::{Counters, Timed};
use super::execute::{Outcome, execute};
use super::session::Session;
use super::shared::{Post, Shared};
use super::waiting::{Answer, Wait};
use super::{Front, READ_BYTES, held};
use crate::commands::client::Asked;
use crate::commands::table::find;
use crate::commands::{Flow, letters};

/// What a connection asks of the loop after a request.
pub(super) enum Next {
    Go,
    Stop,
    Load(Vec<landfall::engine::ToLoad>),
    Block(OwnedRequest, u64),
    Clients(Asked),
    Reload,
}

impl Front {
    /// Runs the requests in the connection's own input.
    pub(super) fn run_input(&mut self, token: usize) {
        let Some(connection) = self.connections.get_mut(token) else { return };
        let mut input = std::mem::take(&mut connection.input);
        let used = self.run_requests(token, &input);
        let Some(connection) = self.connections.get_mut(token) else { return };
        input.drain(..used);
        if input.is_empty() && input.capacity() > READ_BYTES {
            input = Vec::new();
        }
        connection.input = input;
    }

    /// Runs the requests in `input` until one is parked or the end; returns how many bytes they took.
    pub(super) fn run_requests(&mut self, token: usize, input: &[u8]) -> usize {
        let (mut used, mut foreseen) = (0, 0);
        while used < input.len() {
            let Some(connection) = self.connections.get_mut(token) else { return input.len() };
            if !connection.may_run() {
                break;
            }
            let decoded = connection.decoder.decode(&input[used..]);
            let next = match decoded {
                Ok(Decoded::Complete { request, consumed }) => {
                    used += consumed;
                    Shared::count_alone(&self.shared.commands);
                    let engine = self.engine.as_deref();
                    if foreseen > 0 {
                        foreseen -= 1;
                    } else if let Some(engine) = engine {
                        foreseen = self.foresight.look(engine, &request, &input[used..]);
                    }
                    let last = used == input.len();
                    let running = Running {
                        session: &mut connection.session,
                        output: &mut connection.output,
                        wait: &mut connection.wait,
                        closing: &mut connection.closing,
                    };
                    run_one(engine, running, (&mut self.timed, &self.shared.counters), &request, (0, last))
                }
                Ok(Decoded::Skip { consumed }) => {
                    used += consumed;
                    continue;
                }
                Ok(Decoded::Incomplete { .. }) => break,
                Err(error) => {
                    let mut reply = ReplyWriter::new(&mut connection.output, connection.session.protocol);
                    reply.error_fmt(format_args!("ERR {error}"));
                    connection.closing = true;
                    return input.len();
                }
            };
            connection.follow_login();
            // Most requests ask nothing of the loop.
            if !matches!(next, Next::Go) || connection.session.asks_more() {
                self.follow(token, next);
            }
        }
        if let Some(connection) = self.connections.get_mut(token) {
            self.timed.end(&self.shared.counters, &connection.session, None);
            // Bytes alone are no sign of life.
            if used > 0 {
                connection.active = self.timed.since();
            }
        }
        used
    }

    /// Does what a request asked of the loop.
    pub(super) fn follow(&mut self, token: usize, next: Next) {
        let Some(connection) = self.connections.get_mut(token) else { return };
        let who = connection.session.who;
        match next {
            Next::Go | Next::Stop => {}
            Next::Clients(asked) => self.answer_clients(token, &asked),
            Next::Block(request, timeout_ms) => self.wait_for_entries(token, request, timeout_ms),
            Next::Load(rows) => {
                let shared = self.shared.clone();
                if let Some(engine) = &self.engine {
                    engine.load(rows, Box::new(move |outcome| shared.post(Post::Loaded(who, outcome))));
                }
            }
            Next::Reload => {
                // What this turn has written is answered at its end, when this engine is no longer here.
                if let Some(error) = self.engine.as_ref().and_then(|engine| engine.commit().err()) {
                    connection.wait = None;
                    connection.refuse(&Refusal::from(error));
                    return;
                }
                self.reloading.push(who);
                if let Some(engine) = self.engine.take() {
                    (self.reopen)(engine, &self.shared);
                }
            }
        }
        let Some(connection) = self.connections.get_mut(token) else { return };
        let publishes = !connection.session.published.is_empty();
        let wakes = !connection.session.woken.is_empty();
        if connection.session.is_silent() && connection.wait.is_none() {
            connection.session.end_silence();
        }
        if matches!(connection.wait, Some(Wait::Landed { .. })) && !self.landing.contains(&token) {
            self.landing.push(token);
        }
        if publishes {
            self.deliver(token);
        }
        if wakes {
            self.wake_readers(token);
        }
    }

    /// Takes what other threads have posted.
    pub(super) fn take_posts(&mut self) {
        for post in self.shared.take_posts() {
            match post {
                Post::Stop => self.stop = true,
                Post::Failed(reason) => {
                    self.failed.get_or_insert(reason);
                    self.stop = true;
                }
                Post::Landed => {}
                Post::Secured(stream, peer) => self.welcome_secured(stream, peer),
                Post::Outdated => self.open_anew(false),
                Post::Reload => self.open_anew(true),
                Post::Loaded(who, outcome) => self.loaded(who, outcome),
                Post::Reply(who, reply) => {
                    if let Some(connection) = self.parked(who) {
                        let start = connection.output.len();
                        connection.output.extend_from_slice(&reply);
                        connection.keep_silence(start);
                        connection.wait = None;
                        self.go_on(who.token);
                    }
                }
                Post::Reloaded(engine) => {
                    let met = engine.has_met_database();
                    self.adopt(engine);
                    for who in std::mem::take(&mut self.reloading) {
                        if let Some(connection) = self.parked(who) {
                            let start = connection.output.len();
                            let mut reply =
                                ReplyWriter::new(&mut connection.output, connection.session.protocol);
                            match met {
                                true => reply.ok(),
                                false => reply.error("MASTERDOWN the database does not answer: its tables are served as they were last seen, and are read again when it does"),
                            }
                            connection.keep_silence(start);
                            connection.wait = None;
                            self.go_on(who.token);
                        }
                    }
                }
            }
        }
    }

    /// Answers those who wait for positions that have landed, or whose time is over.
    pub(super) fn end_waits(&mut self) {
        if self.landing.is_empty() {
            return;
        }
        let Some(engine) = self.engine.clone() else { return };
        let now = Instant::now();
        for token in std::mem::take(&mut self.landing) {
            let Some(connection) = self.connections.get_mut(token) else { continue };
            let Some(Wait::Landed { places, deadline, answer }) = &connection.wait else { continue };
            let landed = engine.has_landed(places);
            if !landed && deadline.is_none_or(|deadline| now < deadline) {
                self.landing.push(token);
                continue;
            }
            let (answer, held_up) = (*answer, if landed { String::new() } else { engine.held_up(places) });
            begin(connection, &mut self.touched, token);
            connection.wait = None;
            let start = connection.output.len();
            let mut reply = ReplyWriter::new(&mut connection.output, connection.session.protocol);
            match (answer, landed) {
                (Answer::Count, true) => letters::landed(&mut connection.session, &engine, &mut reply),
                (Answer::Count, false) => reply.integer(0),
                (Answer::Flush, true) => {
                    // Whoever evicts next finds clean rows.
                    engine.clean_landed();
                    reply.ok();
                }
                (Answer::Flush, false) => reply.error_fmt(format_args!("TRYAGAIN {held_up}")),
            }
            connection.keep_silence(start);
            self.go_on(token);
        }
    }

    /// Makes what was accepted as safe as promised; why not, if it cannot be.
    fn commit(&self) -> Option<LogError> {
        let engine = self.engine.as_ref()?;
        let counters = &self.shared.counters;
        if counters.event_from_ms.load(Ordering::Relaxed) == 0 {
            return engine.commit().err();
        }
        let begun = Instant::now();
        let failed = engine.commit().err();
        counters.event("commit", begun.elapsed());
        failed
    }

    /// Makes what this turn has done as safe as promised, and then sends the replies. Returns why the server has to
    /// end, when the log failed for good; a log that has no room for now only fails this turn.
    pub(super) fn finish_turn(&mut self) -> Option<String> {
        let failed = self.commit();
        let for_good = matches!(failed, Some(LogError::Poisoned { .. } | LogError::Closed));
        if !self.touched.is_empty() {
            reach("front.ack");
        }
        for token in std::mem::take(&mut self.touched) {
            let Some(connection) = self.connections.get_mut(token) else { continue };
            connection.touched = false;
            let unsafe_reply = std::mem::take(&mut connection.session.unsafe_reply);
            if !for_good && (connection.held.is_some() || (unsafe_reply && failed.is_some())) {
                if connection.held.is_none() {
                    self.held.push(token);
                }
                held::hold(connection, self.engine.as_deref());
            }
            if let Some(error) = failed.as_ref().filter(|_| for_good) {
                // What this turn would have told may not survive: nobody hears it.
                connection.output.truncate(connection.turn_start.max(connection.sent));
                let mut reply = ReplyWriter::new(&mut connection.output, connection.session.protocol);
                reply.error_fmt(format_args!("MISCONF outcome unknown: {error}"));
                connection.closing = true;
            }
            let jammed = connection.is_jammed();
            let sent = connection.send();
            if connection.blocked {
                self.upkeep.grown_bytes += connection.unsent_bytes();
            }
            reach("front.reply");
            if !sent {
                self.close(token);
            } else if jammed && connection.may_run() {
                // Its replies belong to the next turn, which comes at once: no event may come for them.
                begin(connection, &mut self.touched, token);
                self.go_on(token);
            }
        }
        failed.filter(|_| for_good).map(|error| error.to_string())
    }
}

pub(super) fn begin(connection: &mut Connection, touched: &mut Vec<usize>, token: usize) {
    if !connection.touched {
        connection.touched = true;
        connection.turn_start = connection.output.len();
        touched.push(token);
    }
}

/// What a request may change of its connection.
pub(super) struct Running<'c> {
    pub(super) session: &'c mut Session,
    pub(super) output: &'c mut Vec<u8>,
    pub(super) wait: &'c mut Option<Wait>,
    pub(super) closing: &'c mut bool,
}

/// Runs one request, notes what it waits for, and counts what it cost. `last`: nothing follows it for now.
pub(super) fn run_one(
    engine: Option<&Engine>,
    Running { session, output, wait, closing }: Running<'_>,
    (timed, counters): (&mut Timed, &Counters),
    request: &Request<'_>,
    (attempts, last): (u32, bool),
) -> Next {
    let found = find(request, session.last);
    if let Ok(spec) = &found {
        session.last = Some(spec);
        timed.before(spec, counters, session);
    }
    let start = output.len();
    let outcome = execute(engine, session, output, request, &found);
    if let (Ok(spec), Outcome::Done | Outcome::Flow(_)) = (&found, &outcome) {
        timed.after(spec, counters, session, (request, last));
    }
    if output.get(start) == Some(&b'-') {
        let rejected = matches!(outcome, Outcome::Rejected | Outcome::Queued);
        counters.error(found.ok(), &output[start..], rejected);
    }
    if session.is_silent() {
        output.truncate(start);
    }
    if !matches!(outcome, Outcome::Load(_) | Outcome::Block(..)) {
        session.reading = None;
    }
    match outcome {
        Outcome::Done | Outcome::Queued | Outcome::Rejected | Outcome::Flow(Flow::Done) => Next::Go,
        Outcome::Block(request, timeout_ms) => Next::Block(request, timeout_ms),
        Outcome::Load(rows) => {
            *wait = Some(Wait::Load { request: request.to_owned_request(), attempts });
            Next::Load(rows)
        }
        Outcome::Flow(Flow::Park(parked)) => {
            *wait = Some(parked);
            Next::Stop
        }
        Outcome::Flow(Flow::Close) => {
            *closing = true;
            Next::Stop
        }
        Outcome::Flow(Flow::Clients(asked)) => Next::Clients(asked),
        Outcome::Flow(Flow::Reload) => {
            *wait = Some(Wait::Reply);
            Next::Reload
        }
    }
}
