//! Loads rows from the database on a miss: one flight a row, a few at once, and never a stale fill.
//! A load waits for nothing but the database; who asked is told when the row is known, or why it is not.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::keyspace::Walk;
use super::letters::{Act, OnActed, Selection};
use super::refusal::Refusal;
use crate::buffer::cache::fill::{Residency, Snapshot, lane_to_load};
use crate::buffer::cache::view::apply;
use crate::buffer::cache::{FillOutcome, fill};
use crate::buffer::log::LogError;
use crate::env::failpoint::reach;
use crate::env::planted::{Bug, planted};
use crate::lander::Waited;
use crate::model::{LaneId, Letter, Position, RowKey};
use crate::sink::{LandingContext, Loaded, SinkError, Source};
use crate::sync::atomic::Ordering;

mod queue;

pub(super) use queue::Loads;
pub use queue::ToLoad;

/// How long a load that was stale waits for the next publication before it is tried again.
const STALE_WAIT: Duration = Duration::from_millis(20);

/// Called once, when a row is known or cannot be.
pub type OnLoaded = Box<dyn FnOnce(Result<(), Refusal>) + Send>;

/// Called once with a row as the database has it.
pub type OnLooked = Box<dyn FnOnce(Result<Loaded, Refusal>) + Send>;

/// Called once with dead letters as the database has them.
pub type OnLetters = Box<dyn FnOnce(Result<Vec<Letter>, Refusal>) + Send>;

/// One piece of work for a loader.
pub(super) enum Job {
    Load(ToLoad),
    Look(RowKey, LaneId, OnLooked),
    Letters(u64, usize, OnLetters),
    Act(Selection, Act, OnActed),
    Walk(Box<Walk>),
}

impl Job {
    fn refuse(self, refusal: Refusal) {
        match self {
            // Who waits for a load stands in its flight.
            Job::Load(..) => {}
            Job::Look(_, _, done) => done(Err(refusal)),
            Job::Letters(_, _, done) => done(Err(refusal)),
            Job::Act(_, _, done) => done(Err(refusal)),
            Job::Walk(walk) => walk.refuse(refusal),
        }
    }
}

/// One loader's connection, and the load that it is at.
#[derive(Default)]
pub(super) struct Loader {
    source: Option<Box<dyn Source>>,
    flight: Option<Flight>,
    walk: Option<Box<Walk>>,
    /// The lane that was waited for will not land in this process.
    stopped: bool,
}

#[cfg(feature = "simulation")]
impl Loader {
    /// Whether it is at a load.
    pub(super) fn is_busy(&self) -> bool {
        self.flight.is_some() || self.walk.is_some()
    }

    /// Whether it has read a row that it has not taken in.
    pub(super) fn has_read(&self) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.read.is_some())
            || self.walk.as_ref().is_some_and(|walk| walk.has_read())
    }
}

/// A load under way.
struct Flight {
    row: RowKey,
    /// The lane that the row is written in now.
    home: LaneId,
    /// Of a stream the head is enough.
    only_head: bool,
    deadline: Duration,
    /// The database held a part of what the row was owed up to here; the log has to tell the rest.
    in_part: Option<(LaneId, Position)>,
    /// Whether a clear from before this start had landed when it was read.
    clear_landed: bool,
    /// The take-overs before it was read ([`crate::lander::Progress::take_overs`]).
    take_overs: u64,
    /// What was read and not taken in yet, with the watermark of which lane.
    read: Option<(LaneId, Result<Loaded, SinkError>)>,
}

/// What became of a row that was read.
enum Taken {
    Said(FillOutcome),
    /// The log could not tell the rest of it.
    LogFailed(LogError),
}

impl Core {
    /// The work of one loader, until the engine closes.
    pub(super) fn run_loader(&self) {
        let mut loader = Loader::default();
        while let Some(job) = self.next_load() {
            self.begin_load(&mut loader, job);
            while let Some(lane) = self.step_load(&mut loader) {
                // The next publication, or a moment for a busy database.
                let next = [(lane, self.progress.landed(lane) + 1)];
                let until = self.env.clock.monotonic() + STALE_WAIT;
                loader.stopped = self.progress.wait_landed(&next, until) == Waited::Stopped;
            }
        }
    }

    /// Takes a job on.
    fn begin_load(&self, loader: &mut Loader, job: Job) {
        match job {
            Job::Load(ToLoad { row, lane: home, only_head }) => {
                let deadline = self.env.clock.monotonic() + self.settings.load_timeout;
                loader.flight = Some(Flight {
                    row,
                    home,
                    only_head,
                    deadline,
                    in_part: None,
                    clear_landed: true,
                    take_overs: 0,
                    read: None,
                });
            }
            Job::Look(row, lane, done) => {
                let looked = self.read(&mut loader.source, (&row, false), lane);
                done(looked.map_err(|error| Refusal::DatabaseDown(error.to_string())));
            }
            Job::Letters(after, most, done) => {
                let letters = self.open(&mut loader.source).and_then(|open| open.letters(after, most));
                if letters.is_err() {
                    loader.source = None;
                }
                done(letters.map_err(|error| Refusal::DatabaseDown(error.to_string())));
            }
            Job::Act(selection, act, done) => done(self.act(&mut loader.source, &selection, &act)),
            Job::Walk(walk) => loader.walk = Some(walk),
        }
    }

    /// Reads the row of the loader's flight and takes it into the cache. The lane to wait for when it has to be tried
    /// again; none when nothing is left to do.
    fn step_load(&self, loader: &mut Loader) -> Option<LaneId> {
        self.read_step(loader);
        self.fill_step(loader)
    }

    /// The first half of a step: reads the row from the database.
    pub(super) fn read_step(&self, loader: &mut Loader) {
        if let Some(walk) = &mut loader.walk {
            return self.read_for_walk(&mut loader.source, walk);
        }
        let Some(flight) = &mut loader.flight else { return };
        flight.clear_landed = self.owed_clear_landed();
        let lane = lane_to_load(&self.cache, flight.row.as_bytes(), flight.home);
        flight.take_overs = self.progress.take_overs();
        flight.read = Some((lane, self.read(&mut loader.source, (&flight.row, flight.only_head), lane)));
    }

    /// The second half: takes what was read into the cache, and tells who asked.
    pub(super) fn fill_step(&self, loader: &mut Loader) -> Option<LaneId> {
        if let Some(walk) = loader.walk.take() {
            let again = self.step_walk(walk, &mut loader.source, std::mem::take(&mut loader.stopped));
            return again.map(|(walk, lane)| {
                loader.walk = Some(walk);
                lane
            });
        }
        let flight = loader.flight.as_mut()?;
        let (lane, read) = flight.read.take()?;
        reach("load.read");
        let outcome = match read.and_then(|loaded| self.take_in(flight, lane, loaded)) {
            Ok(Taken::LogFailed(error)) => Some(Err(error.into())),
            Ok(Taken::Said(FillOutcome::InPart { upto })) => {
                // The batch that lands the rest may be under way: the log is asked only if it has not landed at the next try.
                flight.in_part = Some((lane, upto));
                None
            }
            Ok(Taken::Said(FillOutcome::Filled)) => {
                self.counts.loaded.fetch_add(1, Ordering::Relaxed);
                Some(Ok(()))
            }
            Ok(Taken::Said(FillOutcome::Stale)) => {
                self.counts.stale_loads.fetch_add(1, Ordering::Relaxed);
                None
            }
            Err(SinkError::Busy(_)) => None,
            Err(error) => {
                // A connection that failed once is not trusted again.
                loader.source = None;
                Some(Err(Refusal::DatabaseDown(format!(
                    "the answer needs the database, and {error}; writes that need no old value are accepted"
                ))))
            }
        };
        let too_late = loader.stopped || self.env.clock.monotonic() >= flight.deadline;
        let late = || {
            Err(Refusal::TryAgain(
                "the row could not be loaded in time: its lane is landing or the database is busy; try again"
                    .into(),
            ))
        };
        let Some(outcome) = outcome.or_else(|| too_late.then(late)) else { return Some(lane) };
        loader.stopped = false;
        reach("load.filled");
        let waiters = self.loads.0.state.lock().flights.remove(&flight.row).unwrap_or_default();
        loader.flight = None;
        waiters.into_iter().for_each(|waiter| waiter(outcome.clone()));
        None
    }

    /// The next job if there is one, without waiting.
    #[cfg(feature = "simulation")]
    pub(super) fn take_load(&self, loader: &mut Loader) -> bool {
        let job = self.loads.0.state.lock().queue.pop_front();
        let taken = job.is_some();
        if let Some(job) = job {
            self.begin_load(loader, job);
        }
        taken
    }

    fn next_load(&self) -> Option<Job> {
        let mut state = self.loads.0.state.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(next) = state.queue.pop_front() {
                return Some(next);
            }
            self.loads.0.wake.wait(&mut state);
        }
    }

    fn take_in(&self, flight: &Flight, lane: LaneId, loaded: Loaded) -> Result<Taken, SinkError> {
        if loaded.watermark.lineage != self.log.lineage() {
            return Err(SinkError::ForeignLineage {
                lane,
                found: loaded.watermark.lineage,
                ours: self.log.lineage(),
            });
        }
        if self.may_be_from_before(flight.home, (lane, &loaded.watermark), flight.take_overs) {
            return Ok(Taken::Said(FillOutcome::Stale));
        }
        let now_ms = self.env.clock.unix_ms();
        let residency = Residency {
            now_ms,
            present_until_ms: now_ms + self.settings.ttl.as_millis() as u64,
            absent_until_ms: now_ms + self.settings.absent_ttl.as_millis() as u64,
        };
        let row = flight.row.as_bytes();
        let identity = (self.cache.hash(row), row, flight.home);
        let watermark = loaded.watermark.position;
        let wanted = flight.in_part.filter(|&(of, upto)| of == lane && upto > watermark);
        let rest_of = |(_, upto)| self.rest_of(&flight.row, lane, (watermark, upto), flight.deadline);
        let rest = match wanted.map(rest_of).transpose() {
            Ok(rest) => rest.flatten(),
            Err(error) => return Ok(Taken::LogFailed(error)),
        };
        if rest.is_some() {
            self.counts.joined_loads.fetch_add(1, Ordering::Relaxed);
        }
        let snapshot = Snapshot { lane, watermark, rest, only_head: loaded.only_head };
        let oldest = || self.loads_from(lane);
        // A parked row stays in the view. Its letter is of the same snapshot, so what is owed above the watermark
        // comes on top of it.
        let key_value = flight.row.is_key_value();
        let clear_is_newer = || watermark < self.cleared(lane) || !self.owed_clear_landed();
        let is_gone = || key_value && clear_is_newer() && !planted(Bug::LoadOutlivesClear);
        let was_gone = is_gone();
        // A clear that comes or lands now is seen by the next look.
        let tells_nothing = key_value && !was_gone && !flight.clear_landed;
        let oldest = || if is_gone() == was_gone && !tells_nothing { oldest() } else { Position::MAX };
        let columns = match &loaded.letter {
            _ if was_gone => None,
            Some(letter) if !planted(Bug::ParkedOutOfView) => apply(loaded.row, letter),
            _ => loaded.row,
        };
        Ok(Taken::Said(fill(&self.cache, identity, columns, snapshot, oldest, residency)))
    }

    fn read(
        &self,
        source: &mut Option<Box<dyn Source>>,
        (row, only_head): (&RowKey, bool),
        lane: LaneId,
    ) -> Result<Loaded, SinkError> {
        let source = self.open(source)?;
        if only_head { source.load_head(row, lane) } else { source.load(row, lane) }
    }

    pub(super) fn open<'s>(
        &self,
        source: &'s mut Option<Box<dyn Source>>,
    ) -> Result<&'s mut Box<dyn Source>, SinkError> {
        match source {
            Some(open) => Ok(open),
            None => Ok(source.insert(self.database.source(self.landing_context())?)),
        }
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
