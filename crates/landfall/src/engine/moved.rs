//! Rows that the log owes changes in lanes that they have left, because lanes or groups changed before this start. Once such a
//! change has landed and its row was let go, the watermark of the row's own lane has to tell whether a load holds it.
//! It never lands anything and never moves a row.
//!
//! So a record without changes goes to the lanes that rows have left and to those they are in now, behind everything that is
//! owed then. It lands in one transaction for all of them, so a snapshot in which a lane is behind it holds what any of them
//! owed before. A load that is not behind it is not taken any more as soon as one such row was let go: of a database that
//! lost commits it might lack that row's.
//!
//! A row that was owed nothing has left no trace. Whatever had landed before this start is in a database that this start has
//! taken over, and a load of one that it has not, or that lacks some of it, is not taken either.

use crate::sync::atomic::{AtomicBool, Ordering};
use std::collections::{BTreeMap, BTreeSet};

use super::core::Core;
use crate::buffer::log::LogError;
use crate::lander::awaits_lanes_that_were_left;
use crate::model::codec::BodyWriter;
use crate::model::{LaneId, Position, Watermark};

/// The most lanes of one record, one of which is in all of them.
const LANES_AT_ONCE: usize = 255;

/// Where rows have left lanes in which they are owed something.
pub(super) struct Moved {
    left: BTreeSet<LaneId>,
    /// The record that all these lanes land together, by lane.
    behind: BTreeMap<LaneId, Position>,
    /// Rows of the lanes that were left may have been let go.
    let_go: AtomicBool,
}

impl Core {
    /// Says which lanes owe rows something that have left them, and where those rows are now; before anything lands.
    pub(super) fn rows_have_moved(
        &self,
        left: BTreeSet<LaneId>,
        to: BTreeSet<LaneId>,
    ) -> Result<(), LogError> {
        let lanes: Vec<LaneId> = left.union(&to).copied().collect();
        let wanted = lanes.split_first().filter(|_| awaits_lanes_that_were_left());
        let Some((&common, rest)) = wanted else { return Ok(()) };
        let mut behind = BTreeMap::new();
        // Too many for one record: what is behind the second record of the common lane is behind the first one of them all.
        let rounds = if rest.len() < LANES_AT_ONCE { 1 } else { 2 };
        for _ in 0..rounds {
            for some in rest.chunks(LANES_AT_ONCE - 1) {
                let lanes: Vec<LaneId> = [common].iter().chain(some).copied().collect();
                let mut body = Vec::new();
                BodyWriter::new(&mut body, 0);
                let appended = self.log.append(&lanes, &body)?;
                behind.extend(appended.places.iter().map(|place| (place.lane, place.position)));
            }
        }
        self.moved.get_or_init(|| Moved { left, behind, let_go: AtomicBool::new(false) });
        Ok(())
    }

    /// Called before rows of a lane are let go.
    pub(super) fn lets_go_of(&self, lane: LaneId) {
        if let Some(moved) = self.moved.get().filter(|moved| moved.left.contains(&lane)) {
            moved.let_go.store(true, Ordering::Release);
        }
    }

    /// Whether what was read of rows at home in a lane, with the watermark of `lane`, may lack what had landed in a lane that
    /// they have left. Without a trace, if they were owed nothing at this start. Or it has what another copy of the log has
    /// landed, at positions where this one has other records or none.
    pub(super) fn may_be_from_before(
        &self,
        home: LaneId,
        (lane, watermark): (LaneId, &Watermark),
        take_overs: u64,
    ) -> bool {
        let from = self.progress.whole_from(home).and_then(|_| self.progress.whole_from(lane));
        from.is_none_or(|from| watermark.epoch < from)
            || self.progress.taken_over_since(take_overs)
            || watermark.position > self.log.head(lane).position
            || watermark.epoch > self.progress.epoch(lane) && !self.is_our_history(lane, watermark)
    }

    /// Whether this log holds what another owner of the lane has landed. A log that cannot be read tells nothing.
    fn is_our_history(&self, lane: LaneId, watermark: &Watermark) -> bool {
        let known = crate::lander::anchor_of(&*self.log, lane, watermark.position);
        known.is_ok_and(|anchor| anchor == Some(watermark.anchor))
    }

    /// The position below which a load of a lane may lack what landed in a lane that its row has left.
    pub(super) fn moved_behind(&self, lane: LaneId) -> Position {
        // A clear is believed to have landed before a row is let go.
        let cleared = || self.owed_clear.lock().is_some() && self.owed_clear_landed();
        let moved = self.moved.get().filter(|moved| moved.let_go.load(Ordering::Acquire) || cleared());
        moved.and_then(|moved| moved.behind.get(&lane)).copied().unwrap_or(0)
    }
}
