//! What a script does to the simulated database behind everybody's back.
//! It must never change a row or a watermark but by going back to a state that was committed.

use landfall::model::{LaneId, RowKey, Watermark};

use super::super::tables::catalogue;
use super::{OwnTables, SimulatedDatabase};

/// What a script has happen to the next landing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::core) enum Trouble {
    /// Its owner is paused before the first statement, and goes on when it is woken.
    OwnerPaused,
    /// Its COMMIT is on its way, and nobody hears what became of it.
    CommitInFlight,
}

impl SimulatedDatabase {
    /// Which of its own tables the product finds.
    pub(in crate::core) fn set_own_tables(&self, own: OwnTables) {
        self.0.state.lock().now.own = own;
    }

    /// These tables are not there yet.
    pub(in crate::core) fn hide_tables(&self, hidden: &[&str]) {
        *self.0.catalogue.lock() = catalogue(hidden);
    }

    /// Has something happen to the next landing.
    pub(in crate::core) fn trouble_next(&self, trouble: Trouble) {
        self.0.state.lock().trouble = Some(trouble);
    }

    /// Whether that is to happen now; asked once.
    pub(super) fn takes_trouble(&self, trouble: Trouble) -> bool {
        self.0.state.lock().trouble.take_if(|next| *next == trouble).is_some()
    }

    /// A trigger refuses this row, and about one in three of the others.
    pub(in crate::core) fn refuse(&self, row: &RowKey) {
        let sum: u64 = row.as_bytes().iter().map(|byte| u64::from(*byte)).sum();
        self.0.state.lock().refuses = Some((3 - sum % 3) % 3);
    }

    /// A process on a copy of the data directory takes all lanes over.
    pub(in crate::core) fn take_away(&self) {
        self.settle();
        let state = &mut *self.0.state.lock();
        // Every row is as it was found just now.
        if state.now.take_away().is_ok() {
            state.past.clear();
        }
    }

    /// Where a lane is.
    pub(in crate::core) fn watermark(&self, lane: LaneId) -> Option<Watermark> {
        self.0.state.lock().now.lanes.row(lane).map(|row| row.watermark)
    }
}
