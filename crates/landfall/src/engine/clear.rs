//! FLUSHALL: all key-value keys are gone in one instant, in every lane; rows of tables stay, and only leave the cache.
//! It never waits for the database, and no load that is older than it brings a key back.
//!
//! # Why nothing comes back
//!
//! One record has the clear in all lanes of the keys. While it is logged every shard of the cache is locked, so each write is
//! before it in the log and gone from the cache, or behind it in both. What was written before lands before; then the clear
//! empties the tables and drops the keys' dead letters, alone in its transaction. A load whose watermark is below the clear's
//! position in the key's lane finds nothing ([`Core::cleared`]), and what is owed to an entry was written behind the clear.
//! That a key is absent then is as safe as the clear is, and no dirty entry says so: who reads it asks ([`Core::clear_pends`]).
//!
//! The cache is complete from here on: whatever is not in it is nowhere, until a key is evicted.

use smallvec::SmallVec;

use super::Engine;
use super::commits::Written;
use super::core::Core;
use super::refusal::Refusal;
use crate::buffer::log::Place;
use crate::env::planted::{Bug, planted};
use crate::model::codec::BodyWriter;
use crate::model::{LaneId, Position};
use crate::sync::atomic::Ordering;

impl Engine {
    /// Clears all key-value keys, and lets every clean row go from the cache.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was changed.
    pub fn clear(&self) -> Result<Written, Refusal> {
        let core = &self.core;
        let mut lanes: SmallVec<[LaneId; 8]> = core.lanes.key_value().into();
        lanes.sort_unstable();
        if planted(Bug::ClearInOneLane) {
            lanes.truncate(1);
        }
        core.admit_freeing(&lanes)?;
        let mut body = Vec::new();
        let mut writer = BodyWriter::new(&mut body, lanes.len());
        (0..lanes.len()).for_each(|lane| writer.clear(lane as u8));
        let mut shards = core.cache.lock_all();
        let appended = core.log.append(&lanes, &body)?;
        for Place { lane, position, .. } in &appended.places {
            core.set_cleared(*lane, *position);
        }
        for shard in &mut shards {
            shard.clear_keys(&core.cache);
            shard.evict_all(&core.cache);
        }
        core.cache.set_complete(true);
        core.cache.watches().all_changed();
        drop(shards);
        for place in &appended.places {
            core.accepted(place.lane, 1);
        }
        let places = appended.places.iter().map(|place| (place.lane, place.position)).collect();
        Ok(Written { end: appended.end, places })
    }
}

impl Core {
    /// The position of the last clear in a lane: of a snapshot below it no key counts.
    pub(super) fn cleared(&self, lane: LaneId) -> Position {
        self.cleared.get(lane.0 as usize).map_or(0, |cleared| cleared.load(Ordering::Acquire))
    }

    /// Whether a clear has not landed, so that an absent key may be absent by it.
    pub(super) fn clear_pends(&self, lane: LaneId) -> bool {
        self.cleared(lane) > self.progress.landed(lane) && !planted(Bug::AbsentBeforeSafe)
    }

    /// Whether a clear from before this start has landed, as far as was told. Until then no key that the database holds counts,
    /// whatever its lane: a group lands in the order of the log, so what was written behind the clear is not there yet. A
    /// snapshot that was taken while it had not, and is looked at when it has, tells nothing.
    pub(super) fn owed_clear_landed(&self) -> bool {
        self.owed_clear.lock().is_none_or(|(lane, position)| self.progress.landed(lane) >= position)
    }

    fn set_cleared(&self, lane: LaneId, position: Position) {
        if let Some(cleared) = self.cleared.get(lane.0 as usize) {
            cleared.fetch_max(position, Ordering::AcqRel);
        }
    }

    /// Recovery has come to a clear that has not landed.
    pub(super) fn recover_clear(&self, lane: LaneId, position: Position) {
        self.set_cleared(lane, position);
        *self.owed_clear.lock() = Some((lane, position));
        self.cache.lock_all().iter_mut().for_each(|shard| shard.clear_keys(&self.cache));
        self.cache.set_complete(true);
    }
}
