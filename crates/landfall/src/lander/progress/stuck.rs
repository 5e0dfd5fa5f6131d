//! Which groups cannot land although others can: what is written to them stays owed, and must not take all room.
//! It never counts a group for what all have in common: a database that is away, or whose file somebody else has locked.

use crate::sync::atomic::{AtomicU64, Ordering};

use super::Progress;
use super::status::{GroupStatus, Phase};
use crate::model::LaneId;

/// Since when a group does not land: from so many landed batches on it is stuck, because others landed meanwhile.
#[derive(Debug)]
pub(super) struct Stuck(AtomicU64);

const NEVER: u64 = u64::MAX;

impl Default for Stuck {
    fn default() -> Self {
        Stuck(AtomicU64::new(NEVER))
    }
}

impl Progress {
    /// Notes whether a group in this phase is stuck.
    pub(super) fn note_stuck(&self, group: usize, phase: &Phase) {
        let numbers = &self.groups[group];
        let from = match phase {
            Phase::Paused | Phase::Held { .. } | Phase::WaitingFor { .. } | Phase::Stopped(_) => 0,
            // The batch of another group shows that it is not the database.
            Phase::BackingOff { .. } => numbers.stuck.0.load(Ordering::Relaxed).min(self.batches() + 1),
            // Another try is not a success.
            Phase::Landing if numbers.status.lock().attempts > 0 => return,
            Phase::Idle | Phase::Landing => NEVER,
        };
        numbers.stuck.0.store(from, Ordering::Relaxed);
    }

    fn batches(&self) -> u64 {
        self.counters.read().batches
    }

    fn is_stuck(&self, group: usize) -> bool {
        self.batches() >= self.groups[group].stuck.0.load(Ordering::Relaxed)
    }

    /// The lanes of the groups that are stuck; none when no other group has lanes.
    pub fn stuck_lanes(&self) -> Vec<LaneId> {
        let (stuck, others): (Vec<_>, Vec<_>) =
            self.lanes.iter().partition(|(_, numbers)| self.is_stuck(numbers.group));
        if others.is_empty() { Vec::new() } else { stuck.into_iter().map(|(lane, _)| lane).collect() }
    }

    /// The group of a lane, when it is stuck.
    pub fn stuck_group(&self, lane: LaneId) -> Option<GroupStatus> {
        let group = self.lanes.get(lane)?.group;
        self.is_stuck(group).then(|| self.groups[group].status.lock().clone())
    }
}
