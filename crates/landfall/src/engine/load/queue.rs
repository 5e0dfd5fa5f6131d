//! What waits for the loaders: rows, one flight each with whoever asked for it, and other work that needs the database.
//! It is bounded, and whoever waits is told when the loaders end.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::{Job, OnLetters, OnLoaded, OnLooked};
use crate::engine::core::Core;
use crate::engine::keyspace::Walk;
use crate::engine::refusal::Refusal;
use crate::model::{LaneId, RowKey};
use crate::sync::{Condvar, Mutex};

/// A row to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToLoad {
    /// The row.
    pub row: RowKey,
    /// The lane that it is written in.
    pub lane: LaneId,
    /// Of a stream the head is enough. Who asked for more and is told all the same asks again.
    pub only_head: bool,
}

impl From<(RowKey, LaneId)> for ToLoad {
    fn from((row, lane): (RowKey, LaneId)) -> ToLoad {
        ToLoad { row, lane, only_head: false }
    }
}

/// The rows that are being loaded, and who waits for them.
#[derive(Default)]
pub(in crate::engine) struct Loads(pub(super) Arc<Waiting>);

#[derive(Default)]
pub(super) struct Waiting {
    pub(super) state: Mutex<State>,
    pub(super) wake: Condvar,
}

impl Waiting {
    /// Queues a job that is under way already, whatever else waits.
    fn again(&self, job: Job) {
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            return job.refuse(Refusal::Closing);
        }
        state.queue.push_back(job);
        drop(state);
        self.wake.notify_one();
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) flights: HashMap<RowKey, Vec<OnLoaded>>,
    pub(super) queue: VecDeque<Job>,
    pub(super) closed: bool,
}

/// Tells one waiter when the last of several rows is known.
struct Several {
    left: usize,
    failed: Option<Refusal>,
    done: Option<OnLoaded>,
}

impl Core {
    /// Loads these rows and then calls `done`, from a loader's thread.
    pub(in crate::engine) fn load(&self, rows: Vec<ToLoad>, done: OnLoaded) {
        if rows.is_empty() {
            return done(Ok(()));
        }
        let mut state = self.loads.0.state.lock();
        if state.closed || state.queue.len() + rows.len() > self.settings.loads_waiting_max {
            let refusal = match state.closed {
                true => Refusal::Closing,
                false => Refusal::TryAgain("too many reads wait for the database; try again".into()),
            };
            drop(state);
            return done(Err(refusal));
        }
        let several = Arc::new(Mutex::new(Several { left: rows.len(), failed: None, done: Some(done) }));
        for wanted in rows {
            let several = several.clone();
            let waiter: OnLoaded = Box::new(move |outcome| Several::one(&several, outcome));
            if let Some(waiters) = state.flights.get_mut(&wanted.row) {
                waiters.push(waiter);
                continue;
            }
            state.flights.insert(wanted.row.clone(), vec![waiter]);
            state.queue.push_back(Job::Load(wanted));
        }
        drop(state);
        self.loads.0.wake.notify_all();
    }

    /// Reads a row as the database has it; the cache is not touched.
    pub(in crate::engine) fn look(&self, row: RowKey, lane: LaneId, done: OnLooked) {
        self.queue(Job::Look(row, lane, done));
    }

    /// Reads at most `most` dead letters with an id above `after`, by id.
    pub(in crate::engine) fn look_at_letters(&self, after: u64, most: usize, done: OnLetters) {
        self.queue(Job::Letters(after, most, done));
    }

    pub(in crate::engine) fn queue(&self, job: Job) {
        let mut state = self.loads.0.state.lock();
        if state.closed || state.queue.len() >= self.settings.loads_waiting_max {
            drop(state);
            return job.refuse(Refusal::TryAgain("too many reads wait for the database; try again".into()));
        }
        state.queue.push_back(job);
        drop(state);
        self.loads.0.wake.notify_one();
    }

    /// Queues a job again that has more to do: behind those that came meanwhile, so that a long one keeps nobody waiting.
    pub(in crate::engine) fn queue_again(&self, job: Job) {
        self.loads.0.again(job);
    }

    /// Loads rows that a walk needs to know, and lets it go on then.
    pub(in crate::engine) fn load_for_walk(&self, mut walk: Box<Walk>, rows: Vec<(RowKey, LaneId)>) {
        let waiting = self.loads.0.clone();
        self.load(
            rows.into_iter().map(ToLoad::from).collect(),
            Box::new(move |outcome| {
                walk.loaded(outcome);
                waiting.again(Job::Walk(walk));
            }),
        );
    }

    /// Ends the loaders; whoever waits is refused.
    pub(in crate::engine) fn close_loads(&self) {
        let mut state = self.loads.0.state.lock();
        state.closed = true;
        let looks: Vec<Job> = state.queue.drain(..).collect();
        let waiters: Vec<OnLoaded> = state.flights.drain().flat_map(|(_, waiters)| waiters).collect();
        drop(state);
        self.loads.0.wake.notify_all();
        waiters.into_iter().for_each(|waiter| waiter(Err(Refusal::Closing)));
        looks.into_iter().for_each(|job| job.refuse(Refusal::Closing));
    }
}

impl Several {
    fn one(several: &Mutex<Several>, outcome: Result<(), Refusal>) {
        let mut state = several.lock();
        state.left -= 1;
        if let Err(refusal) = outcome {
            state.failed.get_or_insert(refusal);
        }
        if state.left > 0 {
            return;
        }
        let (done, failed) = (state.done.take(), state.failed.take());
        drop(state);
        if let Some(done) = done {
            done(failed.map_or(Ok(()), Err));
        }
    }
}
