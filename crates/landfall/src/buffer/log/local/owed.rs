//! What the lanes still owe, kept up to date as records are appended and land, and what may be let go.
//! It never decides that something has landed; it is told.

use std::ops::Range;

use super::super::{Address, LogError, Owed};
use super::tail::Tail;
use crate::env::planted::{Bug, planted};
use crate::model::{LaneId, Position};

/// How many times of records are remembered that lie before the segments.
const PAST_TIMES_MAX: usize = 4096;

impl Tail {
    /// Starts with everything that is kept owed.
    pub(super) fn nothing_landed(&mut self) {
        for lane in 0..self.lanes.len() {
            self.place_landed(lane, 0);
        }
        self.sum_up();
    }

    /// Says that a lane has landed up to `position`.
    pub(super) fn landed(&mut self, id: LaneId, position: Position) {
        let lane = &mut self.lanes[id.0 as usize];
        let position = position.min(lane.head.position);
        if position <= lane.landed_to {
            return;
        }
        match lane.index.advance(&mut lane.landed, position) {
            Ok(passed) => {
                lane.owed -= passed;
                lane.landed_to = position;
                lane.find_first_owed();
            }
            // A gap was let go together with what lay before it.
            Err(_) => self.place_landed(id.0 as usize, position),
        }
        self.sum_up();
    }

    /// Takes a lane's landed position back.
    pub(super) fn rewind(&mut self, id: LaneId, position: Position) -> Result<(), LogError> {
        let lane = self.lane(id);
        if !lane.index.keeps_behind(position) {
            return Err(LogError::Trimmed { lane: id, position: position + 1 });
        }
        if position < lane.landed_to {
            self.place_landed(id.0 as usize, position);
            self.sum_up();
        }
        Ok(())
    }

    fn place_landed(&mut self, lane: usize, position: Position) {
        let lane = &mut self.lanes[lane];
        lane.landed_to = position.max(lane.index.oldest().position);
        // Not below the oldest kept position, so there is such a place.
        let (cursor, passed) = lane.index.seek(lane.landed_to).unwrap_or_default();
        lane.landed = cursor;
        lane.owed = lane.index.count() - passed;
        lane.find_first_owed();
    }

    fn sum_up(&mut self) {
        self.oldest_owed = self.lanes.iter().map(|lane| lane.first_owed).min().unwrap_or(Address::MAX);
        self.oldest_kept = self.lanes.iter().map(|lane| lane.first_kept).min().unwrap_or(Address::MAX);
        let gap = |lane: &super::tail::Lane| if lane.owes_spilled() { Address::MAX } else { lane.first_gap };
        self.oldest_gap = self.lanes.iter().map(gap).min().unwrap_or(Address::MAX);
        self.owed_records = self.lanes.iter().map(|lane| lane.owed).sum();
    }

    /// The bytes of log from the oldest owed record on that is not in the spill file.
    pub(super) fn owed_bytes(&self) -> u64 {
        self.accepted().saturating_sub(self.oldest_kept)
    }

    /// The address that everything before has landed, or is in the spill file. A gap that a lane has not passed yet counts: the watermark at its
    /// foot means something only as long as the gap is known.
    pub(super) fn landed_address(&self) -> Address {
        self.oldest_kept.min(self.oldest_gap).min(self.accepted())
    }

    pub(super) fn owed(&self) -> Owed {
        Owed {
            records: self.owed_records,
            bytes: self.owed_bytes(),
            oldest_ms: self.time_of(self.oldest_owed),
        }
    }

    pub(super) fn owed_by(&self, lane: LaneId) -> Owed {
        let lane = self.lane(lane);
        let spilled = if lane.owes_spilled() { self.spilled_bytes } else { 0 };
        let bytes = self.accepted().saturating_sub(lane.first_kept) + spilled;
        Owed { records: lane.owed, bytes, oldest_ms: self.time_of(lane.first_owed) }
    }

    /// When the record at this address was appended, or a quarter of a second before; 0 for no record.
    fn time_of(&self, address: Address) -> u64 {
        if address == Address::MAX {
            return 0;
        }
        let behind = self.times.partition_point(|&(at, _)| at <= address);
        self.times.get(behind.saturating_sub(1)).map_or(0, |&(_, time_ms)| time_ms)
    }

    /// Forgets where the records before `base` are, the start of a segment, but for those in the spill file.
    pub(super) fn trim(&mut self, base: Address) {
        for lane in &mut self.lanes {
            let from = if lane.spilled.is_empty() { base } else { base.min(lane.spilled.start) };
            lane.index.trim(from, lane.head);
        }
        let from = base.min(self.oldest_owed);
        while self.times.get(1).is_some_and(|&(address, _)| address <= from) {
            self.times.pop_front();
        }
        // Of a long past that only the spill file holds every other time will do.
        let past = self.times.partition_point(|&(address, _)| address < base);
        if past > PAST_TIMES_MAX {
            let mut nth = 0;
            self.times.retain(|_| {
                nth += 1;
                nth > past || nth % 2 == 1
            });
        }
    }

    /// Says which records of these lanes are in a spill file of so many bytes. For other lanes nothing changes.
    pub(super) fn spilled(&mut self, parts: &[(LaneId, Range<Address>)], bytes: u64) {
        for (lane, range) in parts {
            let at = lane.0 as usize;
            self.lanes[at].spilled = range.clone();
            // Anew: the place that it had may lie before a gap, and have been let go.
            self.place_landed(at, self.lanes[at].landed_to);
        }
        self.spilled_bytes = bytes;
        self.sum_up();
    }

    /// How far the lane is that has landed furthest.
    pub(super) fn front(&self) -> Address {
        self.lanes.iter().map(|lane| lane.landed.last()).max().unwrap_or(0)
    }
}

impl super::tail::Lane {
    fn find_first_owed(&mut self) {
        let mut place = self.landed;
        let next = self.index.next(&mut place).ok().flatten();
        self.first_owed = next.map_or(Address::MAX, |(_, address)| address);
        self.first_gap = self.index.gap_over(self.landed_to).map_or(Address::MAX, |(_, address)| address);
        self.first_kept = self.first_owed;
        if self.owes_spilled() {
            let behind =
                self.index.first_from(self.spilled.end).filter(|_| !planted(Bug::BehindSpillForgotten));
            self.first_kept = behind.unwrap_or(Address::MAX);
        }
    }

    /// Whether the next thing that it owes is in the spill file.
    pub(super) fn owes_spilled(&self) -> bool {
        self.spilled.contains(&self.first_owed.min(self.first_gap))
    }
}
