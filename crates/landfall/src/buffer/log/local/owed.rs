//! What the lanes still owe, kept up to date as records are appended and land, and what may be let go.
//! It never decides that something has landed; it is told.

use super::super::{Address, LogError, Owed};
use super::tail::Tail;
use crate::model::{LaneId, Position};

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
        if position < lane.index.oldest().position {
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
        self.oldest_gap = self.lanes.iter().map(|lane| lane.first_gap).min().unwrap_or(Address::MAX);
        self.owed_records = self.lanes.iter().map(|lane| lane.owed).sum();
    }

    /// The bytes of log from the oldest owed record on.
    pub(super) fn owed_bytes(&self) -> u64 {
        self.accepted().saturating_sub(self.oldest_owed)
    }

    /// The address that everything before has landed. A gap that a lane has not passed yet counts: the watermark at its
    /// foot means something only as long as the gap is known.
    pub(super) fn landed_address(&self) -> Address {
        self.oldest_owed.min(self.oldest_gap).min(self.accepted())
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
        let bytes = self.accepted().saturating_sub(lane.first_owed);
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

    /// Forgets where the records before `base` are, the start of a segment.
    pub(super) fn trim(&mut self, base: Address) {
        for lane in &mut self.lanes {
            lane.index.trim(base, lane.head);
        }
        while self.times.get(1).is_some_and(|&(address, _)| address <= base) {
            self.times.pop_front();
        }
    }
}

impl super::tail::Lane {
    fn find_first_owed(&mut self) {
        let mut place = self.landed;
        let next = self.index.next(&mut place).ok().flatten();
        self.first_owed = next.map_or(Address::MAX, |(_, address)| address);
        self.first_gap = self.index.gap_over(self.landed_to).map_or(Address::MAX, |(_, address)| address);
    }
}
