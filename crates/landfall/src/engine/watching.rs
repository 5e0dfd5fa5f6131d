//! Watches over rows, for transactions that run only if nothing has changed since their rows were read: while such a unit
//! is under way, nobody changes a watched row, whether the unit touches it or not.
//! A change through Landfall is never missed, whatever was evicted and loaded in between; a watch may be broken for none.

use super::refusal::Stop;
use super::unit::Unit;
use super::{Engine, core::Core};
use crate::buffer::cache::Watch;
use crate::model::mapping::Target;

impl Engine {
    /// A watch over nothing yet; [`Unit::watch`] adds rows.
    pub fn watch(&self) -> Watch {
        Watch::new(self.core.cache.watches())
    }

    /// As [`Engine::unit`], and until the unit is over nobody changes what `watch` is over: what [`Unit::holds`] says of it
    /// is true until the unit has committed.
    pub fn unit_watching<'e>(
        &'e self,
        targets: &[(&[u8], &Target)],
        several_commands: bool,
        watch: &Watch,
    ) -> Unit<'e> {
        Unit::watching(&self.core, targets, several_commands, Some(watch))
    }
}

impl Unit<'_> {
    /// Lets `watch` hear of every change of target `at` from now on.
    ///
    /// # Errors
    /// [`Stop::Load`]: of a key-value key it has to be known when it expires, which is a change too.
    pub fn watch(&mut self, at: usize, watch: &mut Watch) -> Result<(), Stop> {
        let Some(hash) = self.hash_of(at) else { return Ok(()) };
        let expires_ms = if self.is_key_value(at) { self.see(at)?.expires_ms } else { 0 };
        watch.add(hash, expires_ms);
        Ok(())
    }

    /// Whether nothing has changed that is watched, and nothing will until the unit commits. Of rows that are not of a unit
    /// which was begun without the watch this cannot be said, so the answer is no: see [`Engine::unit_watching`].
    pub fn holds(&self, watch: &Watch) -> bool {
        let core: &Core = self.core();
        watch.hashes().iter().all(|&hash| self.has_locked(core.cache.shard_of(hash)))
            && !core.cascades.is_behind(|lane| core.progress.landed(lane))
            && watch.holds(core.cache.watches(), self.now_ms())
    }
}
