//! Loads rows from the database on a miss: one flight a row, a few at once, and never a stale fill.
//! A load waits for nothing but the database; who asked is told when the row is known, or why it is not.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::core::Core;
use super::refusal::Refusal;
use crate::buffer::cache::fill::Residency;
use crate::buffer::cache::{FillOutcome, fill};
use crate::lander::Waited;
use crate::model::{LaneId, RowKey};
use crate::sink::{LandingContext, Loaded, SinkError, Source};

/// How long a load that was stale waits for the next publication before it is tried again.
const STALE_WAIT: Duration = Duration::from_millis(20);

/// Called once, when a row is known or cannot be.
pub type OnLoaded = Box<dyn FnOnce(Result<(), Refusal>) + Send>;

/// Called once with a row as the database has it.
pub type OnLooked = Box<dyn FnOnce(Result<Loaded, Refusal>) + Send>;

/// One piece of work for a loader.
enum Job {
    Load(RowKey, LaneId),
    Look(RowKey, LaneId, OnLooked),
}

/// The rows that are being loaded, and who waits for them.
#[derive(Default)]
pub(super) struct Loads {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    flights: HashMap<RowKey, Vec<OnLoaded>>,
    queue: VecDeque<Job>,
    closed: bool,
}

/// Tells one waiter when the last of several rows is known.
struct Several {
    left: usize,
    failed: Option<Refusal>,
    done: Option<OnLoaded>,
}

impl Core {
    /// Loads these rows and then calls `done`, from a loader's thread.
    pub(super) fn load(&self, rows: Vec<(RowKey, LaneId)>, done: OnLoaded) {
        if rows.is_empty() {
            return done(Ok(()));
        }
        let mut state = self.loads.state.lock();
        if state.closed || state.queue.len() + rows.len() > self.settings.loads_waiting_max {
            let refusal = match state.closed {
                true => Refusal::Closing,
                false => Refusal::TryAgain("too many reads wait for the database; try again".into()),
            };
            drop(state);
            return done(Err(refusal));
        }
        let several = Arc::new(Mutex::new(Several { left: rows.len(), failed: None, done: Some(done) }));
        for (row, lane) in rows {
            let several = several.clone();
            let waiter: OnLoaded = Box::new(move |outcome| Several::one(&several, outcome));
            if let Some(waiters) = state.flights.get_mut(&row) {
                waiters.push(waiter);
                continue;
            }
            state.flights.insert(row.clone(), vec![waiter]);
            state.queue.push_back(Job::Load(row, lane));
        }
        drop(state);
        self.loads.wake.notify_all();
    }

    /// Reads a row as the database has it; the cache is not touched.
    pub(super) fn look(&self, row: RowKey, lane: LaneId, done: OnLooked) {
        let mut state = self.loads.state.lock();
        if state.closed || state.queue.len() >= self.settings.loads_waiting_max {
            drop(state);
            return done(Err(Refusal::TryAgain("too many reads wait for the database; try again".into())));
        }
        state.queue.push_back(Job::Look(row, lane, done));
        drop(state);
        self.loads.wake.notify_one();
    }

    /// Ends the loaders; whoever waits is refused.
    pub(super) fn close_loads(&self) {
        let mut state = self.loads.state.lock();
        state.closed = true;
        let looks: Vec<Job> = state.queue.drain(..).collect();
        let waiters: Vec<OnLoaded> = state.flights.drain().flat_map(|(_, waiters)| waiters).collect();
        drop(state);
        self.loads.wake.notify_all();
        waiters.into_iter().for_each(|waiter| waiter(Err(Refusal::Closing)));
        for job in looks {
            if let Job::Look(_, _, done) = job {
                done(Err(Refusal::Closing));
            }
        }
    }

    /// The work of one loader, until the engine closes.
    pub(super) fn run_loader(&self) {
        let mut source: Option<Box<dyn Source>> = None;
        while let Some(job) = self.next_load() {
            match job {
                Job::Load(row, lane) => {
                    let outcome = self.load_one(&mut source, &row, lane);
                    let waiters = self.loads.state.lock().flights.remove(&row).unwrap_or_default();
                    waiters.into_iter().for_each(|waiter| waiter(outcome.clone()));
                }
                Job::Look(row, lane, done) => {
                    let looked = self.read(&mut source, &row, lane);
                    done(looked.map_err(|error| Refusal::DatabaseDown(error.to_string())));
                }
            }
        }
    }

    fn next_load(&self) -> Option<Job> {
        let mut state = self.loads.state.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(next) = state.queue.pop_front() {
                return Some(next);
            }
            self.loads.wake.wait(&mut state);
        }
    }

    fn load_one(
        &self,
        source: &mut Option<Box<dyn Source>>,
        row: &RowKey,
        lane: LaneId,
    ) -> Result<(), Refusal> {
        let deadline = self.env.clock.monotonic() + self.settings.load_timeout;
        loop {
            match self.try_load(source, row, lane) {
                Ok(FillOutcome::Filled) => {
                    self.counts.loaded.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                Ok(FillOutcome::Stale) => {
                    self.counts.stale_loads.fetch_add(1, Ordering::Relaxed);
                }
                Err(SinkError::Busy(_)) => {}
                Err(error) => {
                    // A connection that failed once is not trusted again.
                    *source = None;
                    return Err(Refusal::DatabaseDown(format!(
                        "the answer needs the database, and {error}; writes that need no old value are accepted"
                    )));
                }
            }
            // The next publication, or a moment for a busy database.
            let now = self.env.clock.monotonic();
            let next = [(lane, self.progress.landed(lane) + 1)];
            let waited = self.progress.wait_landed(&next, now + STALE_WAIT);
            if now >= deadline || waited == Waited::Stopped {
                return Err(Refusal::TryAgain(
                    "the row could not be loaded in time: its lane is landing or the database is busy; try again"
                        .into(),
                ));
            }
        }
    }

    fn try_load(
        &self,
        source: &mut Option<Box<dyn Source>>,
        row: &RowKey,
        lane: LaneId,
    ) -> Result<FillOutcome, SinkError> {
        let loaded = self.read(source, row, lane)?;
        if loaded.watermark.lineage != self.log.lineage() {
            return Err(SinkError::ForeignLineage {
                lane,
                found: loaded.watermark.lineage,
                ours: self.log.lineage(),
            });
        }
        let now_ms = self.env.clock.unix_ms();
        let residency = Residency {
            present_until_ms: now_ms + self.settings.ttl.as_millis() as u64,
            absent_until_ms: now_ms + self.settings.absent_ttl.as_millis() as u64,
        };
        let identity = (self.cache.hash(row.as_bytes()), row.as_bytes(), lane);
        let oldest = || self.loads_from(lane);
        Ok(fill(&self.cache, identity, loaded.row, loaded.watermark.position, oldest, residency))
    }

    fn read(
        &self,
        source: &mut Option<Box<dyn Source>>,
        row: &RowKey,
        lane: LaneId,
    ) -> Result<Loaded, SinkError> {
        let open = match source {
            Some(open) => open,
            None => source.insert(self.database.source(self.landing_context())?),
        };
        open.load(row, lane)
    }

    /// What sinks and sources have to know.
    pub(super) fn landing_context(&self) -> LandingContext {
        landing_context(&self.catalogue, &self.settings)
    }
}

/// What sinks and sources have to know of the tables.
pub(super) fn landing_context(
    catalogue: &Arc<crate::model::Catalogue>,
    settings: &crate::settings::Settings,
) -> LandingContext {
    let audits = settings
        .tables
        .iter()
        .filter_map(|(table, own)| own.audit.clone().map(|audit| (table.clone(), audit)))
        .collect();
    LandingContext { catalogue: catalogue.clone(), audits: Arc::new(audits) }
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
