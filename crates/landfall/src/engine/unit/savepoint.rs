//! Taking back what one command of a transaction did before it was refused.
//! Only commands of several keys need it: every other one changes its row last. It must never copy a row that the command
//! leaves alone: a client chooses how many commands there are, and how large a row is.

use super::Unit;
use crate::buffer::cache::View;

/// Where a command began, for [`Unit::restore`].
pub struct Savepoint {
    /// How many effects and events of the unit have a place in its order.
    ordered: usize,
    events: usize,
}

/// A row as it was before an effect.
pub(super) struct Saved {
    slot: usize,
    effects: usize,
    overlay: Option<Box<(View, u64)>>,
}

impl Unit<'_> {
    /// Before each command of a transaction: if it is `wanted`, every row is remembered from now on as it was before it
    /// is changed, so that a command that is refused half-way through its keys changes none of them.
    pub fn savepoint(&mut self, wanted: bool) -> Option<Savepoint> {
        self.saved = wanted.then(Vec::new);
        wanted.then_some(Savepoint { ordered: self.order.len(), events: self.events.len() })
    }

    /// Remembers a row that is about to change, if that is asked for.
    pub(super) fn save(&mut self, slot: usize) {
        let row = &self.rows[slot];
        if let Some(saved) = &mut self.saved {
            saved.push(Saved { slot, effects: row.effects.len(), overlay: row.overlay.clone() });
        }
    }

    /// Takes back what was done since, the last first.
    pub fn restore(&mut self, savepoint: Savepoint) {
        for Saved { slot, effects, overlay } in self.saved.take().into_iter().flatten().rev() {
            let row = &mut self.rows[slot];
            row.effects.truncate(effects);
            row.overlay = overlay;
        }
        self.order.truncate(savepoint.ordered);
        self.events.truncate(savepoint.events);
    }
}
