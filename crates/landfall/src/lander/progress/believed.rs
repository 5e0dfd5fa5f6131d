//! Which snapshots of the database may be believed: those that hold whatever had landed before, in any lane that a row may
//! have been in. It decides nothing: the lander says what its take-overs found, and loads compare.
//!
//! A take-over raises the epoch of all lanes in one transaction, and so a snapshot with that epoch holds what any of them held
//! then. A database that lost commits may get the same epoch again; it is believed only when nothing is missing any more, and
//! from a take-over behind that on.

use crate::model::{Epoch, LaneId};
use crate::sync::atomic::Ordering;

use super::Progress;

/// No snapshot is believed.
pub(super) const NEVER: u64 = u64::MAX;

impl Progress {
    /// From which epoch of the lane on a snapshot holds whatever had landed before it was taken over, also in lanes that rows
    /// have left. None before the database was met, and while something of that has to land again.
    pub fn whole_from(&self, lane: LaneId) -> Option<Epoch> {
        let from = self.lanes.get(lane).map_or(NEVER, |numbers| numbers.whole_from.load(Ordering::Acquire));
        (from != NEVER).then_some(from as Epoch)
    }

    /// Changes when a take-over begins, and when it is known what it found. Odd between the two.
    pub fn take_overs(&self) -> u64 {
        self.take_overs.load(Ordering::Acquire)
    }

    /// Whether a take-over may have come between then, when the count was this, and now: what was read since may have the
    /// epochs that were expected, and lack something.
    pub fn taken_over_since(&self, take_overs: u64) -> bool {
        take_overs % 2 == 1 || take_overs != self.take_overs()
    }

    pub(in crate::lander) fn set_whole_from(&self, lane: LaneId, from: Option<Epoch>) {
        if let Some(numbers) = self.lanes.get(lane) {
            numbers.whole_from.store(from.map_or(NEVER, |from| from as u64), Ordering::Release);
        }
    }

    pub(in crate::lander) fn take_over_begins(&self) {
        self.take_overs.fetch_or(1, Ordering::AcqRel);
    }

    /// Follows each beginning whose outcome is known.
    pub(in crate::lander) fn take_over_ended(&self) {
        self.take_overs.fetch_add(1, Ordering::AcqRel);
    }
}
