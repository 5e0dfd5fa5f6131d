//! What every part of an open engine shares: the cache, the log, the lanes, and the numbers that travel back.
//! It starts nothing and decides nothing but admission.

use std::sync::{Arc, OnceLock};

use super::cascades::Cascades;
use super::keyspace::Places;
use super::lanes::Lanes;
use super::load::Loads;
use super::moved::Moved;
use super::refusal::Refusal;
use super::shares::Shares;
use crate::buffer::cache::Cache;
use crate::buffer::log::{Address, Log, LogError, Safety};
use crate::env::Env;
use crate::env::failpoint::reach;
use crate::env::planted::{Bug, planted};
use crate::lander::notes::keep_landed;
use crate::lander::{Incidents, Progress};
use crate::model::{Catalogue, LaneId, Position};
use crate::settings::{Fsync, Settings};
use crate::sink::Database;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The shared state of an open engine.
pub struct Core {
    pub(super) env: Env,
    pub(super) settings: Settings,
    pub(super) database: Arc<dyn Database>,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) lanes: Lanes,
    pub(super) cache: Cache,
    pub(super) log: Arc<dyn Log>,
    pub(super) progress: Arc<Progress>,
    pub(super) incidents: Arc<Incidents>,
    pub(super) loads: Loads,
    /// By lane number: up to here rows were made clean, and may have been let go. It never goes back.
    pub(super) cleaned: Vec<AtomicU64>,
    pub(super) moved: OnceLock<Moved>,
    /// By lane number: the position of the last clear. A load that is older finds keys which are gone.
    pub(super) cleared: Vec<AtomicU64>,
    /// The last clear that the log owed at the start. Keys may have other lanes now than it has.
    pub(super) owed_clear: Mutex<Option<(LaneId, Position)>>,
    pub(super) closing: AtomicBool,
    pub(super) counts: Counts,
    pub(super) shares: Shares,
    /// Where walks over rows are in their tables.
    pub(super) places: Mutex<Places>,
    pub(super) cascades: Cascades,
    pub(super) cleaning: Mutex<()>,
    /// Why the log's upkeep fails, while it does.
    pub(super) upkeep_trouble: Mutex<Option<String>>,
    /// Why it cannot be noted what has landed, while that is so.
    pub(super) note_trouble: Mutex<Option<String>>,
}

/// What happened since the engine opened.
#[derive(Debug, Default)]
pub struct Counts {
    /// Writes refused at a bound.
    pub refused: AtomicU64,
    /// Rows loaded from the database.
    pub loaded: AtomicU64,
    /// Loads that were older than what the cache knew, and were tried again.
    pub stale_loads: AtomicU64,
    /// Loads of rows of which a part had landed, for which the log was read.
    pub joined_loads: AtomicU64,
    /// Key-value keys whose expiry was logged.
    pub expired: AtomicU64,
}

impl Core {
    /// How safe a write has to be before it is acknowledged.
    pub(super) fn acknowledged_safety(&self) -> Safety {
        match self.settings.fsync {
            Fsync::Always if !planted(Bug::AckBeforeSync) => Safety::Durable,
            Fsync::Always | Fsync::Everysec | Fsync::Os => Safety::Written,
        }
    }

    /// The last position of a lane that somebody was given. A gap at its end was given to nobody, and does not land before
    /// the database is met.
    pub(super) fn last_accepted(&self, lane: LaneId) -> Position {
        let landed = self.progress.landed(lane);
        let only_gaps = self.log.gap_over(lane, landed).is_some() && self.log.owed_by(lane).records == 0;
        if only_gaps { landed } else { self.log.head(lane).position }
    }

    /// How far every lane has landed.
    pub(super) fn landed(&self) -> Vec<(LaneId, Position)> {
        self.log.lanes().into_iter().map(|(_, lane)| (lane, self.progress.landed(lane))).collect()
    }

    /// Keeps beside the log how far every lane has landed. Before the database was met, what is kept is all that is known,
    /// and a lane that it does not have yet must not seem to be there.
    pub(super) fn note_landed(&self) -> Result<(), LogError> {
        if self.progress.is_joined() { keep_landed(&*self.log, &self.landed()) } else { Ok(()) }
    }

    /// What makes less of a promise than it seems.
    pub(super) fn warnings(&self) -> Vec<String> {
        let doubtful = self.env.disk.doubtful(&self.settings.data_dir).map(|kind| {
            format!(
                "the data directory {} is on {kind}: what was acknowledged and has not landed can be lost with it, whatever fsync says. Put it on a local disk with --data-dir",
                self.settings.data_dir.display()
            )
        });
        let outdated = self.progress.is_outdated().then(|| {
            "the tables of the database have changed since they were last seen; close and open again to use them as they are now".to_owned()
        });
        doubtful.into_iter().chain(outdated).chain(self.share_warning()).collect()
    }

    /// Makes everything up to `end` as safe as an acknowledgement promises.
    pub(super) fn commit(&self, end: Address) -> Result<(), LogError> {
        let safety = self.acknowledged_safety();
        if self.log.safe(safety) >= end { Ok(()) } else { self.log.commit(end, safety) }
    }

    /// Why nothing may be written, when a lane belongs to somebody else, the log diverged, or it cannot be written.
    fn stopped(&self) -> Option<Refusal> {
        let group = self.progress.stopped()?;
        // The log's own words are the reason then, not what the landing made of them. Nothing of this write was logged.
        if let Some(error) = self.log.poisoned() {
            return Some(Refusal::Log { reason: error.to_string(), outcome_unknown: false });
        }
        let why = group.error.unwrap_or_else(|| "see `landfall status`".into());
        Some(Refusal::Fenced(format!("the landing group {} has stopped for good: {why}", group.name)))
    }

    /// Whether one more write to these lanes may be accepted.
    pub(super) fn admit(&self, lanes: &[LaneId]) -> Result<(), Refusal> {
        self.admit_to(lanes, self.cache.bytes().dirty_bytes())
    }

    /// The same for a write that lets go of what fills the memory.
    pub(super) fn admit_freeing(&self, lanes: &[LaneId]) -> Result<(), Refusal> {
        self.admit_to(lanes, 0)
    }

    fn admit_to(&self, lanes: &[LaneId], dirty_bytes: u64) -> Result<(), Refusal> {
        let refusal = if self.closing.load(Ordering::Relaxed) {
            Refusal::Closing
        } else if let Some(refusal) = self.stopped() {
            refusal
        } else if self.log.owed_records() >= self.settings.max_pending {
            Refusal::TryAgain(format!(
                "{} changes have not landed, which is the bound (max-pending); see `landfall status`, and try again when rows have landed",
                self.settings.max_pending
            ))
        } else if dirty_bytes >= self.dirty_bytes_max() {
            Refusal::OutOfMemory(
                "the rows that have not landed fill half of maxmemory; try again when rows have landed"
                    .into(),
            )
        } else if let Some(refusal) = self.refused_share(lanes) {
            refusal
        } else {
            return Ok(());
        };
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        Err(refusal)
    }

    /// All lanes, those that no table uses any more too: rows may still wait in them.
    pub(super) fn all_lanes(&self) -> impl Iterator<Item = LaneId> {
        (0..self.cleaned.len() as u32).map(LaneId)
    }

    /// Makes rows clean that have landed; whether there was something to do.
    pub(super) fn clean_landed(&self, lane: LaneId) -> bool {
        let landed = self.progress.landed(lane);
        let Some(cleaned) = self.cleaned.get(lane.0 as usize) else { return false };
        // One at a time: whoever comes second finds it done, not under way.
        let _alone = self.cleaning.lock();
        // First the number: whoever finds a row gone knows how new a load of it has to be.
        let behind = cleaned.fetch_max(landed, Ordering::AcqRel) < landed;
        if behind {
            self.lets_go_of(lane);
            self.cache.landed(lane, landed);
            reach("keeper.cleaned");
        }
        behind
    }

    /// The position below which a load is too old to be cached. Above the landed position only while a database
    /// that lost commits catches up: rows that were let go as landed are not in it, and the log has them.
    pub(super) fn loads_from(&self, lane: LaneId) -> Position {
        let cleaned = self.cleaned.get(lane.0 as usize).map_or(0, |cleaned| cleaned.load(Ordering::Acquire));
        cleaned.max(self.progress.landed(lane)).max(self.moved_behind(lane))
    }

    /// Says that the log took so many changes of a lane, so that the lander wakes when it is time.
    pub(super) fn accepted(&self, lane: LaneId, changes: usize) {
        self.progress.accepted(lane, changes as u64);
    }
}
