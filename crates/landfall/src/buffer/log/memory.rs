//! A log in memory, for tests and for trying things out. It has the order and the bounds of a real log;
//! it must never be taken for one: nothing survives the process, and "durable" means "appended".

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::{
    Address, Appended, Gap, Head, LaneName, Log, LogError, NOTE_BYTES_MAX, Owed, Place, Record, Records,
    Safety,
};
use crate::env::Env;
use crate::model::{Anchor, LaneId, Lineage, Position};
use crate::sync::{Condvar, Mutex};

/// The bounds of a [`MemoryLog`].
#[derive(Debug, Clone)]
pub struct MemoryLogSettings {
    /// The most bytes of owed records; an append beyond is refused with [`LogError::Full`].
    pub log_bytes_max: u64,
    /// The largest record.
    pub record_bytes_max: u64,
    /// How many bytes of landed records are kept for landing again.
    pub retention_bytes: u64,
}

impl Default for MemoryLogSettings {
    fn default() -> Self {
        Self { log_bytes_max: 1 << 30, record_bytes_max: 64 << 20, retention_bytes: 64 << 20 }
    }
}

/// A [`Log`] in memory.
pub struct MemoryLog {
    env: Env,
    lineage: Lineage,
    settings: MemoryLogSettings,
    state: Mutex<State>,
    upkeep: Condvar,
}

#[derive(Default)]
struct State {
    lanes: Vec<Lane>,
    numbers: HashMap<LaneName, LaneId>,
    /// The kept records; `first` is the number of the first of them, counted from the log's start.
    records: VecDeque<Arc<Record>>,
    first: u64,
    end: Address,
    notes: BTreeMap<String, Vec<u8>>,
    closed: bool,
}

struct Lane {
    name: LaneName,
    head: Head,
    cut: Position,
    landed: Position,
    /// The last position that is no longer kept, and its anchor.
    oldest: Head,
    /// Position, anchor and record number of each kept record. A gap has no record.
    kept: VecDeque<(Head, Option<u64>)>,
    /// The positions of the gaps in `kept`.
    gaps: Vec<Position>,
}

impl Lane {
    fn owed(&self) -> impl Iterator<Item = u64> + '_ {
        let from = self.kept.partition_point(|(head, _)| head.position <= self.landed);
        self.kept.range(from..).filter_map(|(_, record)| *record)
    }

    fn owed_records(&self) -> u64 {
        let from = self.kept.partition_point(|(head, _)| head.position <= self.landed);
        let gaps = self.gaps.iter().filter(|&&gap| gap > self.landed).count();
        (self.kept.len() - from - gaps) as u64
    }
}

impl MemoryLog {
    /// An empty log of a new lineage.
    pub fn new(env: Env, settings: MemoryLogSettings) -> Self {
        let lineage = Lineage(env.random_128());
        Self { env, lineage, settings, state: Mutex::default(), upkeep: Condvar::new() }
    }
}

impl State {
    fn lane(&mut self, lane: LaneId) -> &mut Lane {
        &mut self.lanes[lane.0 as usize]
    }

    fn record(&self, number: u64) -> &Arc<Record> {
        &self.records[(number - self.first) as usize]
    }

    fn oldest_owed(&self) -> Option<&Arc<Record>> {
        self.lanes.iter().filter_map(|lane| lane.owed().next()).min().map(|number| self.record(number))
    }

    fn owed_bytes(&self) -> u64 {
        self.oldest_owed().map_or(0, |record| self.end - record.address)
    }

    /// Lets the oldest records go, as long as all landed and more than the retention is kept.
    fn trim(&mut self, retention_bytes: u64) {
        let owed_from = self.oldest_owed().map_or(self.end, |record| record.address);
        while let Some(oldest) = self.records.front() {
            let end = self.records.get(1).map_or(self.end, |next| next.address);
            if end > owed_from || owed_from - end < retention_bytes {
                return;
            }
            for (lane, position) in oldest.lanes.clone() {
                let lane = self.lane(lane);
                let gone = lane.kept.partition_point(|(head, _)| head.position <= position);
                lane.oldest = lane.kept.drain(..gone).next_back().map_or(lane.oldest, |(head, _)| head);
            }
            self.records.pop_front();
            self.first += 1;
        }
    }
}

impl Log for MemoryLog {
    fn lineage(&self) -> Lineage {
        self.lineage
    }

    fn boot(&self) -> u64 {
        1
    }

    fn lanes(&self) -> Vec<(LaneName, LaneId)> {
        let state = self.state.lock();
        state.lanes.iter().enumerate().map(|(n, lane)| (lane.name.clone(), LaneId(n as u32))).collect()
    }

    fn add_lanes(&self, names: &[LaneName]) -> Result<Vec<LaneId>, LogError> {
        let state = &mut *self.state.lock();
        let mut numbers = Vec::with_capacity(names.len());
        for name in names {
            let next = LaneId(state.lanes.len() as u32);
            let number = *state.numbers.entry(name.clone()).or_insert(next);
            if number == next {
                let start = Head { position: 0, anchor: Anchor::START };
                state.lanes.push(Lane {
                    name: name.clone(),
                    head: start,
                    cut: 0,
                    landed: 0,
                    oldest: start,
                    kept: VecDeque::new(),
                    gaps: Vec::new(),
                });
            }
            numbers.push(number);
        }
        Ok(numbers)
    }

    fn append(&self, lanes: &[LaneId], body: &[u8]) -> Result<Appended, LogError> {
        assert!((1..=255).contains(&lanes.len()), "a record has 1 to 255 lanes");
        let bytes = body.len() as u64 + 16 + 12 * lanes.len() as u64;
        let time_ms = self.env.clock.unix_ms();
        let state = &mut *self.state.lock();
        if state.closed {
            return Err(LogError::Closed);
        }
        if bytes > self.settings.record_bytes_max {
            return Err(LogError::TooLarge { bytes, bytes_max: self.settings.record_bytes_max });
        }
        if state.owed_bytes() + bytes > self.settings.log_bytes_max {
            return Err(LogError::Full { bytes_max: self.settings.log_bytes_max });
        }
        let number = state.first + state.records.len() as u64;
        let hash = Anchor::body_hash(body);
        let mut record = Record {
            address: state.end,
            time_ms,
            lanes: lanes.iter().map(|&lane| (lane, 0)).collect(),
            body: body.to_vec(),
        };
        let mut appended = Appended { end: state.end + bytes, places: Default::default() };
        for (lane, position) in &mut record.lanes {
            let state = state.lane(*lane);
            *position = state.head.position + 1;
            let anchor = state.head.anchor.next(&self.lineage, *lane, *position, hash);
            state.head = Head { position: *position, anchor };
            state.kept.push_back((state.head, Some(number)));
            appended.places.push(Place { lane: *lane, position: *position, cut: state.cut });
        }
        state.records.push_back(Arc::new(record));
        state.end += bytes;
        Ok(appended)
    }

    fn commit(&self, _: Address, _: Safety) -> Result<(), LogError> {
        Ok(())
    }

    fn accepted(&self) -> Address {
        self.state.lock().end
    }

    fn safe(&self, _: Safety) -> Address {
        self.accepted()
    }

    fn poisoned(&self) -> Option<LogError> {
        None
    }

    fn head(&self, lane: LaneId) -> Head {
        self.state.lock().lane(lane).head
    }

    fn oldest(&self, lane: LaneId) -> Head {
        self.state.lock().lane(lane).oldest
    }

    fn cut(&self, lanes: &[LaneId]) -> (Address, Vec<Position>) {
        let state = &mut *self.state.lock();
        let cut = |&lane: &LaneId| {
            let lane = state.lane(lane);
            lane.cut = lane.head.position;
            lane.cut
        };
        let positions = lanes.iter().map(cut).collect();
        (state.end, positions)
    }

    fn records(
        &self,
        after: &[(LaneId, Position)],
        upto: Address,
    ) -> Result<Box<dyn Records + '_>, LogError> {
        let state = &mut *self.state.lock();
        let mut numbers = Vec::new();
        for &(id, position) in after {
            let lane = state.lane(id);
            if position < lane.oldest.position {
                return Err(LogError::Trimmed { lane: id, position: position + 1 });
            }
            let from = lane.kept.partition_point(|(head, _)| head.position <= position);
            numbers.extend(lane.kept.range(from..).filter_map(|(_, number)| *number));
        }
        numbers.sort_unstable();
        numbers.dedup();
        let records = numbers.into_iter().map(|number| state.record(number).clone());
        Ok(Box::new(MemoryRecords(records.take_while(|record| record.address < upto).collect())))
    }

    fn anchor_at(&self, lane: LaneId, position: Position) -> Result<Option<Anchor>, LogError> {
        let state = &mut *self.state.lock();
        let lane = state.lane(lane);
        if position == lane.oldest.position {
            return Ok(Some(lane.oldest.anchor));
        }
        let at = lane.kept.binary_search_by_key(&position, |(head, _)| head.position);
        Ok(at.ok().map(|at| lane.kept[at].0.anchor))
    }

    fn gap(&self, ends: &[(LaneId, Head)]) -> Result<(), LogError> {
        let state = &mut *self.state.lock();
        for &(lane, to) in ends {
            let head = state.lane(lane).head;
            if to != head && to.position <= head.position {
                return Err(backward_gap(head.position, to.position));
            }
        }
        for &(lane, to) in ends {
            let lane = state.lane(lane);
            if to != lane.head {
                lane.head = to;
                lane.kept.push_back((to, None));
                lane.gaps.push(to.position);
            }
        }
        Ok(())
    }

    fn gap_over(&self, lane: LaneId, position: Position) -> Option<Gap> {
        let state = &mut *self.state.lock();
        let lane = state.lane(lane);
        let at = lane.kept.partition_point(|(head, _)| head.position <= position);
        let &(to, None) = lane.kept.get(at)? else { return None };
        let from = at.checked_sub(1).map_or(lane.oldest, |before| lane.kept[before].0);
        (from.position <= position).then_some(Gap { from, to })
    }

    fn landed(&self, lane: LaneId, position: Position) {
        let lane = &mut self.state.lock().lanes[lane.0 as usize];
        lane.landed = lane.landed.max(position.min(lane.head.position));
        self.upkeep.notify_all();
    }

    fn rewind(&self, id: LaneId, position: Position) -> Result<(), LogError> {
        let state = &mut *self.state.lock();
        let lane = state.lane(id);
        if position < lane.oldest.position {
            return Err(LogError::Trimmed { lane: id, position: position + 1 });
        }
        lane.landed = lane.landed.min(position);
        Ok(())
    }

    fn owed(&self) -> Owed {
        let state = self.state.lock();
        let records = state.lanes.iter().map(Lane::owed_records).sum();
        let oldest_ms = state.oldest_owed().map_or(0, |record| record.time_ms);
        Owed { records, bytes: state.owed_bytes(), oldest_ms }
    }

    fn owed_by(&self, lane: LaneId) -> Owed {
        let state = self.state.lock();
        let lane = &state.lanes[lane.0 as usize];
        let oldest = lane.owed().next().map(|number| state.record(number));
        let bytes = oldest.map_or(0, |record| state.end - record.address);
        Owed { records: lane.owed_records(), bytes, oldest_ms: oldest.map_or(0, |record| record.time_ms) }
    }

    fn owed_records(&self) -> u64 {
        self.state.lock().lanes.iter().map(Lane::owed_records).sum()
    }

    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, LogError> {
        Ok(self.state.lock().notes.get(name).cloned())
    }

    fn set_note(&self, name: &str, content: &[u8]) -> Result<(), LogError> {
        if content.len() as u64 > NOTE_BYTES_MAX {
            return Err(LogError::TooLarge { bytes: content.len() as u64, bytes_max: NOTE_BYTES_MAX });
        }
        self.state.lock().notes.insert(name.to_owned(), content.to_vec());
        Ok(())
    }

    fn upkeep(&self) -> Result<(), LogError> {
        self.state.lock().trim(self.settings.retention_bytes);
        Ok(())
    }

    fn wait_upkeep(&self, timeout: Duration) {
        self.upkeep.wait_for(&mut self.state.lock(), timeout);
    }

    fn close(&self) -> Result<(), LogError> {
        self.state.lock().closed = true;
        Ok(())
    }
}

/// What [`Log::gap`] answers when it is asked to take a lane back.
pub(super) fn backward_gap(from: Position, to: Position) -> LogError {
    LogError::Io {
        what: "gap".to_owned(),
        reason: format!("the lane is at position {from} and cannot be set to {to}"),
    }
}

struct MemoryRecords(VecDeque<Arc<Record>>);

impl Records for MemoryRecords {
    fn next(&mut self) -> Result<Option<Record>, LogError> {
        Ok(self.0.pop_front().map(|record| (*record).clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance::{self, Subject};
    use super::*;

    struct Memory;

    impl Subject for Memory {
        fn open(&self, log_bytes_max: u64) -> Arc<dyn Log> {
            let settings = MemoryLogSettings { log_bytes_max, record_bytes_max: 4096, retention_bytes: 0 };
            Arc::new(MemoryLog::new(crate::env::real(), settings))
        }

        fn reopen(&self) -> Option<Arc<dyn Log>> {
            None
        }
    }

    conformance::tests!(Memory);
}
