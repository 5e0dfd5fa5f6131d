//! What groups that cannot land may take of the bounds: half of each, so that the others go on. The keeper looks; the path
//! of a write reads one number.
//!
//! A bound that is not shared stops all groups for one that is paused. A share never refuses a group for what another one
//! holds that can land, and while no group can land there is nobody to leave room for.

use crate::sync::atomic::{AtomicU8, Ordering};

use super::core::Core;
use super::refusal::Refusal;
use crate::buffer::log::local::LocalLogSettings;
use crate::model::LaneId;

/// The bounds whose half is taken by groups that cannot land.
#[derive(Default)]
pub(super) struct Shares(AtomicU8);

/// A bound: its bit in [`Shares`], and its name.
#[derive(Clone, Copy)]
struct Bound(u8, &'static str);

const MEMORY: Bound = Bound(1, "the memory for rows that have not landed (half of maxmemory)");
const PENDING: Bound = Bound(2, "max-pending");
const LOG: Bound = Bound(4, "log-bytes-max");

impl Core {
    /// The most bytes of dirty rows.
    pub(super) fn dirty_bytes_max(&self) -> u64 {
        self.settings.memory_bytes_max / 2
    }

    /// Looks at what groups hold that cannot land.
    pub(super) fn look_at_shares(&self) {
        let memory = self.dirty_bytes_max() / 2;
        let pending = self.settings.max_pending / 2;
        let log = LocalLogSettings::from(&self.settings).owed_bytes_max() / 2;
        let owed = self.log.owed();
        // All together hold less than that: nobody has to be asked.
        let kept = owed.bytes + self.log.usage().spilled_bytes;
        let is_near = self.cache.bytes().dirty_bytes() >= memory || owed.records >= pending || kept >= log;
        let stuck = if is_near { self.progress.stuck_lanes() } else { Vec::new() };
        let bytes: u64 = stuck.iter().map(|lane| self.cache.dirty_bytes(*lane)).sum();
        let of_lanes = || stuck.iter().map(|lane| self.log.owed_by(*lane));
        let records: u64 = of_lanes().map(|owed| owed.records).sum();
        // The log is kept from the oldest record on, and the spill file is one: one lane counts, and not the sum.
        let kept = of_lanes().map(|owed| owed.bytes).max().unwrap_or(0);
        let taken = [(MEMORY, bytes, memory), (PENDING, records, pending), (LOG, kept, log)];
        let taken = taken.iter().filter(|(_, held, share)| *held > 0 && held >= share);
        self.shares.0.store(taken.map(|(bound, ..)| bound.0).sum(), Ordering::Relaxed);
    }

    /// Why a write to these lanes is refused, when one of them cannot land and its share is used up.
    pub(super) fn refused_share(&self, lanes: &[LaneId]) -> Option<Refusal> {
        let bound = self.share_taken()?;
        let group = lanes.iter().find_map(|lane| self.progress.stuck_group(*lane))?;
        Some(Refusal::TryAgain(format!(
            "the landing group {} does not land now ({}), and what waits in such groups takes half of {}; the other half is for the groups that land. See `landfall status`, and try again when it lands",
            group.name,
            group.phase.in_words(),
            bound.1
        )))
    }

    /// What is refused meanwhile, for people.
    pub(super) fn share_warning(&self) -> Option<String> {
        let bound = self.share_taken()?;
        let rest = "so their writes are refused until they land";
        Some(format!("what waits in landing groups that do not land takes half of {}, {rest}", bound.1))
    }

    fn share_taken(&self) -> Option<Bound> {
        let taken = self.shares.0.load(Ordering::Relaxed);
        [MEMORY, PENDING, LOG].into_iter().find(|bound| taken & bound.0 != 0)
    }
}
