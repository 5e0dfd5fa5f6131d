//! What a unit does to the cache's choice of rows: what it read counts, and what it was asked to let go or to keep goes or stays.
//! It never lets a dirty row go, nor any row before the unit is through.

use super::Unit;
use crate::buffer::cache::Entry;
use crate::buffer::cache::shard::Stay;

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

    /// Until when the row of target `at` stays in the cache because a client has said so, Unix milliseconds; 0: nobody
    /// has, or that time is over.
    pub fn stays_until(&self, at: usize) -> u64 {
        let until_ms = match self.rows[self.slots[at]].stay {
            Some(Stay::Until(until_ms)) => until_ms,
            Some(Stay::AsOthers(_) | Stay::Over) => 0,
            None => self.entry(at).map_or(0, Entry::kept_until_ms),
        };
        if until_ms > self.now_ms { until_ms } else { 0 }
    }

    /// Has the row of target `at` stay in the cache until then, when the unit commits; a time that has passed lets it go,
    /// a dirty one as soon as it has landed. Nothing of it is logged.
    pub fn keep_until(&mut self, at: usize, until_ms: u64) {
        let stay = if until_ms > self.now_ms { Stay::Until(until_ms) } else { Stay::Over };
        self.rows[self.slots[at]].stay = Some(stay);
    }

    /// Has the row of target `at` stay as long as rows do of which nobody said anything.
    pub fn keep_as_others(&mut self, at: usize) {
        let until_ms = self.now_ms + self.core.settings.ttl.as_millis() as u64;
        self.rows[self.slots[at]].stay = Some(Stay::AsOthers(until_ms));
    }

    /// Does what was said of how long rows stay, now that everything is done to them.
    pub(super) fn settle_stays(&mut self) {
        for row in &self.rows {
            if let Some(stay) = row.stay {
                self.guards[row.guard].stay(&self.core.cache, row.hash, &row.row, stay);
            }
        }
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
