//! Follows one key: what it maps to, what the cache holds, what the log owes, what the database has.
//! It changes nothing: the row it reads from the database is not taken into the cache.

use super::Engine;
use super::load::OnLooked;
use super::refusal::Refusal;
use super::unit::Unit;
use crate::buffer::cache::View;
use crate::buffer::log::Safety;
use crate::model::mapping::Target;
use crate::model::{LaneId, Lineage, Position, RowKey};

/// Where a row stands, without the database.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The identity of the row.
    pub row: RowKey,
    /// Its lane.
    pub lane: LaneId,
    /// The landing group of the lane.
    pub group: String,
    /// What the cache holds.
    pub cached: Cached,
    /// The last write that has not landed, or has a moment ago; 0: none.
    pub position: Position,
    /// Whether it has changes that have not landed.
    pub dirty: bool,
    /// The last accepted position of the lane.
    pub accepted: Position,
    /// The last landed position of the lane.
    pub landed: Position,
    /// Whether everything accepted is on the disk.
    pub durable: bool,
    /// When a key-value key expires, or until when a client wants a row to stay in the cache, Unix milliseconds; 0: never,
    /// or nobody said so.
    pub expires_ms: u64,
}

/// What the cache holds of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cached {
    /// Nothing.
    Nothing,
    /// The changes that it is owed, and not the rest.
    Changes,
    /// That it does not exist.
    Absent,
    /// Its value.
    Value,
}

impl Engine {
    /// Where the row of `target` stands. A target that is a table has no row.
    pub fn explain(&self, key: &[u8], target: &Target) -> Option<Explained> {
        if matches!(target, Target::Table(_)) {
            return None;
        }
        let core = &self.core;
        let unit = Unit::new(core, &[(key, target)], false);
        let lane = unit.lane(0);
        let row = unit.row_key(0);
        let (cached, position, expires_ms) = match unit.entry(0) {
            None => (Cached::Nothing, 0, 0),
            Some(entry) => {
                let cached = match entry.view {
                    View::Unknown(_) if entry.is_dirty() => Cached::Changes,
                    View::Unknown(_) => Cached::Nothing,
                    View::Absent => Cached::Absent,
                    _ => Cached::Value,
                };
                (
                    cached,
                    entry.position(),
                    if entry.is_key_value() { entry.expires_ms } else { entry.kept_until_ms() },
                )
            }
        };
        drop(unit);
        let landed = core.progress.landed(lane);
        let group = core.lanes.groups().iter().find(|(_, lanes)| lanes.contains(&lane));
        Some(Explained {
            row,
            lane,
            group: group.map_or_else(String::new, |(group, _)| group.name.clone()),
            cached,
            position,
            dirty: position > landed,
            accepted: core.log.head(lane).position,
            landed,
            durable: core.log.safe(Safety::Durable) >= core.log.accepted(),
            expires_ms,
        })
    }

    /// Reads a row from the database as it is there, and calls `done` from another thread. The cache is not touched.
    pub fn look(&self, row: RowKey, lane: LaneId, done: OnLooked) {
        self.core.look(row, lane, done);
    }

    /// Makes clean what has landed, without waiting for the keeper to come by.
    pub fn clean_landed(&self) {
        for lane in self.core.all_lanes() {
            self.core.clean_landed(lane);
        }
    }

    /// Lets every clean row go from the cache; returns how many.
    pub fn evict_clean(&self) -> u64 {
        let cache = &self.core.cache;
        self.clean_landed();
        cache.set_complete(false);
        (0..cache.shards()).map(|shard| cache.lock(shard).evict_all(cache)).sum()
    }

    /// Lands everything accepted before this call, and waits for it. Blocks; for threads that may.
    ///
    /// # Errors
    /// [`Refusal::TryAgain`] that names the groups that have not landed, and why.
    pub fn flush_and_wait(&self, timeout: std::time::Duration) -> Result<(), Refusal> {
        let places = self.accepted_places();
        match self.wait_landed(&places, timeout) {
            crate::lander::Waited::Landed => Ok(()),
            _ => Err(Refusal::TryAgain(self.held_up(&places))),
        }
    }

    /// The identity of the log that positions belong to.
    pub fn lineage(&self) -> Lineage {
        self.core.log.lineage()
    }

    /// The last accepted position of every lane.
    pub fn accepted_places(&self) -> Vec<(LaneId, Position)> {
        let lanes = self.core.log.lanes().into_iter().map(|(_, lane)| lane);
        lanes.map(|lane| (lane, self.core.last_accepted(lane))).collect()
    }

    /// What keeps these writes from landing, in one sentence.
    pub fn held_up(&self, places: &[(LaneId, Position)]) -> String {
        let waiting: Vec<LaneId> = places
            .iter()
            .filter(|(lane, position)| self.core.progress.landed(*lane) < *position)
            .map(|(lane, _)| *lane)
            .collect();
        let status = self.status();
        let mut reasons: Vec<String> = status
            .groups
            .iter()
            .filter(|group| group.lanes.iter().any(|lane| waiting.contains(&lane.lane)))
            .map(|group| {
                let why = group.status.error.clone().unwrap_or_else(|| group.status.phase.in_words());
                format!("{}: {why}", group.status.name)
            })
            .collect();
        reasons.extend(status.connection.error);
        match reasons.is_empty() {
            true => "not everything has landed yet; see `landfall status`".into(),
            false => format!("not everything has landed yet: {}; see `landfall status`", reasons.join("; ")),
        }
    }
}
