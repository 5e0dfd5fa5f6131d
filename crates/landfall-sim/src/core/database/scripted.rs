//! What a script does to the simulated database behind everybody's back.
//! It must never change a row or a watermark but by going back to a state that was committed.

use super::{OwnTables, SimulatedDatabase};

impl SimulatedDatabase {
    /// Which of its own tables the product finds.
    pub(in crate::core) fn set_own_tables(&self, own: OwnTables) {
        self.0.state.lock().now.own = own;
    }
}
