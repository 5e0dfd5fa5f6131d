//! What a unit tells about its rows: entries, lanes, identities, and what it wants loaded.
//! It changes nothing.

use super::Unit;
use crate::buffer::cache::Entry;
use crate::engine::core::Core;
use crate::engine::load::ToLoad;
use crate::model::{LaneId, RowKey};

/// So many rows one unit asks for at once; more would crowd out the reads of others.
const LOADED_TOGETHER_MAX: usize = 1024;

impl Unit<'_> {
    /// The entry behind target `at`, for reports.
    pub fn entry(&self, at: usize) -> Option<&Entry> {
        let row = &self.rows[self.slots[at]];
        row.place.and_then(|place| self.guards[row.guard].entry(place))
    }

    /// The identity of the row of target `at`.
    pub fn row_key(&self, at: usize) -> RowKey {
        RowKey::from_bytes(&self.rows[self.slots[at]].row)
    }

    /// What the rows of this unit belong to.
    pub(in crate::engine) fn core(&self) -> &Core {
        self.core
    }

    /// Whether a shard is locked by this unit.
    pub(in crate::engine) fn has_locked(&self, shard: usize) -> bool {
        self.locked & 1 << shard != 0
    }

    /// The hash of the row of target `at`; none for an event.
    pub(in crate::engine) fn hash_of(&self, at: usize) -> Option<u64> {
        self.rows.get(self.slots[at]).map(|row| row.hash)
    }

    /// Whether target `at` is a key-value key.
    pub(in crate::engine) fn is_key_value(&self, at: usize) -> bool {
        self.rows.get(self.slots[at]).is_some_and(|row| row.table.is_none())
    }

    /// The lane of target `at`.
    pub fn lane(&self, at: usize) -> LaneId {
        self.rows[self.slots[at]].lane
    }

    /// The rows that a [`Stop::Load`](crate::engine::Stop::Load) asked for, and with them the other rows of the unit that are not known: a
    /// command over many keys stops at the first, and would else be run once for each.
    pub fn wanted(&mut self) -> Vec<ToLoad> {
        let only_head = std::mem::take(&mut self.only_head);
        let mut rows = std::mem::take(&mut self.wanted);
        for at in 0..self.slots.len() {
            if rows.len() >= LOADED_TOGETHER_MAX {
                break;
            }
            // An event has no row.
            if self.slots[at] != usize::MAX && !self.look(at) {
                rows.push(self.slots[at]);
            }
        }
        rows.sort_unstable();
        rows.dedup();
        let wanted = |row: &super::UnitRow| ToLoad {
            row: RowKey::from_bytes(&row.row),
            lane: row.lane,
            only_head: only_head && self.rows.len() == 1,
        };
        rows.iter().map(|&row| wanted(&self.rows[row])).collect()
    }

    /// Whether a value was read that is not as safe as the policy promises. Exact, and not for every read: it asks the log.
    pub fn reads_unsafe(&self) -> bool {
        let safety = self.core.acknowledged_safety();
        let is_cleared = |row: &super::UnitRow| {
            row.seen
                && row.table.is_none()
                && self.core.cleared(row.lane) > self.core.log.safe_position(row.lane, safety)
        };
        if self.rows.iter().any(is_cleared) {
            return true;
        }
        let mut entries = self
            .rows
            .iter()
            .filter(|row| row.seen)
            .filter_map(|row| self.guards[row.guard].entry(row.place?));
        entries.any(|entry| {
            entry.is_dirty() && entry.position() > self.core.log.safe_position(entry.lane, safety)
        })
    }

    /// Whether a value was read that may be less safe than the policy promises.
    pub fn read_dirty(&self) -> bool {
        self.read_dirty
    }
}
