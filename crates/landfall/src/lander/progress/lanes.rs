//! The numbers of each lane, found by its number: every write looks here.
//! It must never take a lane for known that does not land.

use crate::model::LaneId;
use crate::sync::atomic::AtomicU64;

/// The numbers of a lane.
#[derive(Debug)]
pub(super) struct LaneNumbers {
    pub(super) group: usize,
    pub(super) landed: AtomicU64,
    pub(super) cut: AtomicU64,
    pub(super) epoch: AtomicU64,
    pub(super) whole_from: AtomicU64,
    pub(super) rewinds: AtomicU64,
    pub(super) changes_accepted: AtomicU64,
    pub(super) changes_landed: AtomicU64,
}

/// The numbers of the lanes that land, by the numbers of the lanes: every write looks here.
#[derive(Debug)]
pub(super) struct ByLane(Vec<Option<LaneNumbers>>);

impl ByLane {
    pub(super) fn new(lanes: impl Iterator<Item = (LaneId, LaneNumbers)>) -> ByLane {
        let mut by_lane = Vec::new();
        for (lane, numbers) in lanes {
            let at = lane.0 as usize;
            if by_lane.len() <= at {
                by_lane.resize_with(at + 1, || None);
            }
            by_lane[at] = Some(numbers);
        }
        ByLane(by_lane)
    }

    #[inline]
    pub(super) fn get(&self, lane: LaneId) -> Option<&LaneNumbers> {
        self.0.get(lane.0 as usize)?.as_ref()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (LaneId, &LaneNumbers)> {
        let lanes = self.0.iter().enumerate();
        lanes.filter_map(|(at, numbers)| Some((LaneId(at as u32), numbers.as_ref()?)))
    }
}
