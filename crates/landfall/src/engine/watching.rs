//! Watches over rows, for transactions that run only if nothing has changed since their rows were read.
//! A change through Landfall is never missed, whatever was evicted and loaded in between; a watch may be broken for none.

use super::refusal::Stop;
use super::unit::Unit;
use super::{Engine, core::Core};
use crate::buffer::cache::Watch;

impl Engine {
    /// A watch over nothing yet; [`Unit::watch`] adds rows.
    pub fn watch(&self) -> Watch {
        Watch::new(self.core.cache.watches())
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

    /// Whether nothing has changed that is watched. What the unit holds locked stays so until it commits.
    pub fn holds(&self, watch: &Watch) -> bool {
        let core: &Core = self.core();
        !core.cascades.is_behind(|lane| core.progress.landed(lane))
            && watch.holds(core.cache.watches(), self.now_ms())
    }
}
