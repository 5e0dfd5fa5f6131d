//! One picture of the engine for people and tools: what is pending, for how long, and what holds it up.
//! It is computed from the sources when asked; nothing here is remembered, so nothing here can go stale.

use super::Engine;
use crate::buffer::log::{LogError, Owed, Usage};
use crate::lander::{ConnectionStatus, GroupStatus, ParkedNow, Phase};
use crate::model::{Epoch, Incident, LaneId, Lineage, Position};
use crate::settings::{Fsync, Settings};
use crate::sync::atomic::Ordering;

/// A picture of an engine.
#[derive(Debug, Clone)]
pub struct Status {
    /// The log's identity.
    pub lineage: Lineage,
    /// How often this log was opened.
    pub boot: u64,
    /// The database, without a password.
    pub database: String,
    /// What has not landed.
    pub owed: Owed,
    /// What the log holds of the system's means.
    pub log: Usage,
    /// The time of this picture, Unix milliseconds.
    pub now_ms: u64,
    /// Rows in the cache, and bytes.
    pub cache: (u64, u64),
    /// Dirty rows in the cache, and bytes.
    pub dirty: (u64, u64),
    /// Clean rows let go for want of memory.
    pub evicted: u64,
    /// Whether a key-value key that is not in the cache exists nowhere.
    pub complete: bool,
    /// Changes accepted, writes refused, rows loaded, loads tried again, keys expired.
    pub counts: CountsNow,
    /// The dead letters.
    pub parked: ParkedNow,
    /// The groups and their lanes.
    pub groups: Vec<GroupNow>,
    /// The lander's connection.
    pub connection: ConnectionStatus,
    /// Whether the database was met since the start; until then nothing lands.
    pub database_met: bool,
    /// The reason, once the log is poisoned.
    pub poisoned: Option<String>,
    /// How many incidents nobody has acknowledged.
    pub incidents_open: usize,
    /// What makes less of a promise than it seems.
    pub warnings: Vec<String>,
    /// What the log or its notes cannot do at the moment; nothing acknowledged is lost by it.
    pub troubles: Vec<String>,
}

impl Status {
    /// Whether nothing needs a person: no incident is open and no row is parked, the log can be written, every group can
    /// land, and the database answers.
    pub fn is_healthy(&self) -> bool {
        let stuck = |group: &GroupNow| matches!(group.status.phase, Phase::Stopped(_) | Phase::Held { .. });
        self.incidents_open == 0
            && self.parked.count == 0
            && self.poisoned.is_none()
            && self.troubles.is_empty()
            && self.connection.attempts == 0
            && self.database_met
            && !self.groups.iter().any(stuck)
    }
}

/// The counters of a [`Status`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CountsNow {
    /// Changes accepted.
    pub accepted: u64,
    /// Writes refused at a bound.
    pub refused: u64,
    /// Rows loaded.
    pub loaded: u64,
    /// Loads that were tried again.
    pub stale_loads: u64,
    /// Loads of rows of which a part had landed, for which the log was read.
    pub joined_loads: u64,
    /// Keys expired.
    pub expired: u64,
    /// Batches landed.
    pub batches: u64,
    /// Rows and events landed.
    pub landed_rows: u64,
    /// Changes landed.
    pub landed_changes: u64,
    /// Landings tried again.
    pub retries: u64,
}

/// A landing group in a [`Status`].
#[derive(Debug, Clone)]
pub struct GroupNow {
    /// What it is doing.
    pub status: GroupStatus,
    /// Its lanes.
    pub lanes: Vec<LaneNow>,
}

/// A lane in a [`Status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneNow {
    /// The lane.
    pub lane: LaneId,
    /// The last accepted position.
    pub accepted: Position,
    /// The last landed position.
    pub landed: Position,
    /// The owner's number.
    pub epoch: Epoch,
}

impl Engine {
    /// A picture of the engine.
    pub fn status(&self) -> Status {
        let core = &self.core;
        let bytes = core.cache.bytes();
        let landed = core.progress.counters.read();
        let read = |counter: &crate::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let lane_now = |lane: LaneId| LaneNow {
            lane,
            accepted: core.last_accepted(lane),
            landed: core.progress.landed(lane),
            epoch: core.progress.epoch(lane),
        };
        let groups = core.progress.groups().into_iter().map(|status| {
            let own = core.lanes.groups().iter().find(|(group, _)| group.name == status.name);
            let lanes = own.map(|(_, lanes)| lanes.iter().copied().map(lane_now).collect());
            GroupNow { status, lanes: lanes.unwrap_or_default() }
        });
        Status {
            lineage: core.log.lineage(),
            boot: core.log.boot(),
            database: core.database.describe(),
            owed: core.log.owed(),
            log: core.log.usage(),
            now_ms: core.env.clock.unix_ms(),
            cache: (read(&bytes.rows), bytes.all_bytes()),
            dirty: (read(&bytes.dirty_rows), bytes.dirty_bytes()),
            evicted: read(&bytes.evicted),
            complete: core.cache.is_complete(),
            counts: CountsNow {
                accepted: core.progress.changes_accepted(),
                refused: read(&core.counts.refused),
                loaded: read(&core.counts.loaded),
                stale_loads: read(&core.counts.stale_loads),
                joined_loads: read(&core.counts.joined_loads),
                expired: read(&core.counts.expired),
                batches: landed.batches,
                landed_rows: landed.rows,
                landed_changes: landed.changes,
                retries: landed.busy + landed.unavailable + landed.unknown + landed.fenced + landed.refused,
            },
            parked: core.progress.parked(),
            groups: groups.collect(),
            connection: core.progress.connection(),
            database_met: core.progress.is_joined(),
            poisoned: core.log.poisoned().map(|error| error.to_string()),
            incidents_open: core.incidents.open_count(),
            warnings: core.warnings(),
            troubles: [&core.upkeep_trouble, &core.note_trouble]
                .iter()
                .filter_map(|one| one.lock().clone())
                .chain(core.incidents.trouble())
                .collect(),
        }
    }

    /// What a person has to know of, oldest first; acknowledged ones too.
    pub fn incidents(&self) -> Vec<Incident> {
        self.core.incidents.all()
    }

    /// Says that incidents are known: those whose id begins with `id`, or all. Returns how many were open.
    ///
    /// # Errors
    /// [`LogError`] when that cannot be kept; then nothing changed.
    pub fn acknowledge_incidents(&self, id: Option<&str>) -> Result<usize, LogError> {
        self.core.incidents.acknowledge(id)
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.core.settings
    }
}

/// What can be lost, in plain words, under a policy.
pub fn loss_in_words(fsync: Fsync) -> &'static str {
    match fsync {
        Fsync::Always => "nothing acknowledged, while the disk is honest and alive",
        Fsync::Everysec => "process death: nothing; power cut: about the last second",
        Fsync::Os => "process death: nothing; power cut: often the last 30 seconds",
    }
}
