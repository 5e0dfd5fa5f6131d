//! What a unit does to the cache's choice of rows: what it read counts, and what it was asked to let go goes.
//! It never lets a dirty row go, nor any row before the unit is through.

use super::Unit;

impl Unit<'_> {
    /// Lets a clean row go from the cache when the unit commits; whether it is there and clean.
    ///
    /// Not at once: a later command of the same unit that reads it would ask for a load, and the unit would start
    /// again with evicting it, for ever.
    pub fn evict(&mut self, at: usize) -> bool {
        let slot = self.slots[at];
        let row = &mut self.rows[slot];
        let entry = row.place.and_then(|place| self.guards[row.guard].entry(place));
        let goes = row.effects.is_empty() && !row.evict && entry.is_some_and(|entry| !entry.is_dirty());
        row.evict |= goes;
        goes
    }

    /// Notes for the eviction list what was read, now that the unit is through and will not ask for a load any more.
    /// Lets rows go that were asked to, and rows whose time here is over before a change is put on top of them:
    /// what they were is no longer believed, so it must not be believed again for having been written to.
    pub(super) fn touch(&mut self) {
        for row in &self.rows {
            let shard = &mut self.guards[row.guard];
            let Some(place) = row.place else { continue };
            if row.seen {
                shard.visit(place);
            }
            let Some(entry) = shard.entry(place) else { continue };
            let is_over = row.table.is_some() && entry.expires_ms <= self.now_ms;
            let goes = if row.effects.is_empty() { row.evict } else { is_over };
            if goes && shard.remove_clean(&self.core.cache, row.hash, place) && row.table.is_none() {
                self.core.cache.set_complete(false);
            }
        }
    }
}
