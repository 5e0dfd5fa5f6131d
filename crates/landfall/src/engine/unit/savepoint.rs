//! Taking back what one command of a transaction did before it was refused.
//! Only commands of several keys need it: every other one changes its row last.

use super::Unit;
use crate::buffer::cache::View;

/// Targets of a unit as they were before a command.
pub struct Savepoint {
    rows: Vec<Saved>,
    /// How many effects and events of the unit have a place in its order.
    ordered: usize,
    events: usize,
}

struct Saved {
    slot: usize,
    effects: usize,
    overlay: Option<(View, u64)>,
}

impl Unit<'_> {
    /// Remembers `count` targets from `from` on as they are now, so that a command that is refused half-way through its
    /// keys changes none of them.
    pub fn savepoint(&self, from: usize, count: usize) -> Savepoint {
        let rows = self.slots.get(from..from + count).into_iter().flatten();
        let rows = rows
            .filter_map(|slot| Some((*slot, self.rows.get(*slot)?)))
            .map(|(slot, row)| Saved { slot, effects: row.effects.len(), overlay: row.overlay.clone() })
            .collect();
        Savepoint { rows, ordered: self.order.len(), events: self.events.len() }
    }

    /// Takes back what was done to the remembered targets since.
    pub fn restore(&mut self, savepoint: Savepoint) {
        for Saved { slot, effects, overlay } in savepoint.rows {
            let row = &mut self.rows[slot];
            row.effects.truncate(effects);
            row.overlay = overlay;
        }
        self.order.truncate(savepoint.ordered);
        self.events.truncate(savepoint.events);
    }
}
