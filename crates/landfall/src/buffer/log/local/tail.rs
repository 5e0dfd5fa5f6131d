//! The growing end of the log in memory: positions, anchors, the index, and the bytes that are not written yet.
//! It lives under one short lock and does no I/O; this is the path of every write.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use smallvec::SmallVec;

use super::super::{Address, Appended, Head, LaneName, LogError, Place};
use super::index::{Cursor, LaneIndex};
use super::record::{self, END, HEAD_BYTES, Kind, LANE_BYTES};
use super::segment::{DATA_START, Header};
use super::settings::LocalLogSettings;
use crate::env::{Env, Mapped};
use crate::model::{Anchor, LaneId, Lineage, Position};

mod mapped;

/// How far apart the remembered times of records are: what `oldest_ms` may be wrong by.
pub(super) const TIME_STEP_MS: u64 = 250;

/// The body of a record without a change. It is taken at the bound too: a start may need it before anything can land, and it
/// writes it once.
const NO_CHANGE_BYTES: usize = 1;

/// The end of the log.
pub(super) struct Tail {
    env: Env,
    settings: LocalLogSettings,
    lineage: Lineage,
    pub(super) lanes: Vec<Lane>,
    numbers: HashMap<LaneName, LaneId>,
    /// The segment that records go to.
    segment: Header,
    seed: u32,
    /// Bytes of `segment` that the writer has not taken, and the file's offset of the first of them. `begun` is
    /// false until it has taken any.
    pending: Vec<u8>,
    taken: u64,
    begun: bool,
    /// The file of `segment` in memory. With it nothing stays in `pending`: a record is in the file when it is appended.
    mapped: Option<Box<dyn Mapped>>,
    /// The file of the segment before, for somebody else to unmap: that takes a while.
    left: Option<Box<dyn Mapped>>,
    /// Finished segments' bytes that the writer has not taken.
    finished: VecDeque<Batch>,
    /// The first address that some lane owes; the greatest number when nothing is owed. And the first one that the segments
    /// have to be kept for.
    pub(super) oldest_owed: Address,
    pub(super) oldest_kept: Address,
    /// The first gap that some lane stands before or in; the greatest number when none does.
    pub(super) oldest_gap: Address,
    pub(super) owed_records: u64,
    /// The length of the spill file.
    pub(super) spilled_bytes: u64,
    /// Now and then the time of a record.
    pub(super) times: VecDeque<(Address, u64)>,
    lane_map_end: Address,
    /// Why nothing is appended any more.
    refused: Option<LogError>,
    /// Why nothing is appended for now.
    stalled: Option<LogError>,
}

pub(super) struct Lane {
    pub(super) name: LaneName,
    pub(super) head: Head,
    pub(super) cut: Position,
    pub(super) index: LaneIndex,
    /// What has landed: the place behind it, the records behind that, and the address of the first of them.
    pub(super) landed: Cursor,
    pub(super) landed_to: Position,
    pub(super) owed: u64,
    pub(super) first_owed: Address,
    pub(super) first_gap: Address,
    /// The addresses of its records that the spill file holds, and the first owed one that is not among them.
    pub(super) spilled: Range<Address>,
    pub(super) first_kept: Address,
}

/// Bytes for the writer, all of one segment.
pub(super) struct Batch {
    /// The segment's header, when these are its first bytes.
    pub(super) begins: Option<Header>,
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
    /// The address behind them.
    pub(super) end: Address,
}

impl Lane {
    /// The lane's last position before an address.
    pub(super) fn position_before(&self, address: Address) -> Position {
        self.index.position_before(address)
    }
}

impl Tail {
    /// A tail whose first segment is `segment`, behind what `lanes` hold. It begins with the lane map.
    pub(super) fn new(
        env: Env,
        settings: LocalLogSettings,
        segment: Header,
        lanes: Vec<(LaneName, Head, LaneIndex)>,
        times: VecDeque<(Address, u64)>,
    ) -> Self {
        let mut tail = Self {
            env,
            settings,
            lineage: segment.lineage,
            lanes: Vec::new(),
            numbers: HashMap::new(),
            seed: segment.seed(),
            segment,
            pending: Vec::new(),
            taken: DATA_START,
            begun: false,
            mapped: None,
            left: None,
            finished: VecDeque::new(),
            oldest_owed: Address::MAX,
            oldest_kept: Address::MAX,
            spilled_bytes: 0,
            oldest_gap: Address::MAX,
            owed_records: 0,
            times,
            lane_map_end: 0,
            refused: None,
            stalled: None,
        };
        for (name, head, index) in lanes {
            tail.add_lane(name, head, index);
        }
        tail.nothing_landed();
        tail.push_lane_map();
        tail
    }

    fn add_lane(&mut self, name: LaneName, head: Head, mut index: LaneIndex) -> LaneId {
        // Its next record is in another segment.
        index.close_chunk();
        let id = LaneId(self.lanes.len() as u32);
        let landed = Cursor::default();
        let landed_to = index.oldest().position;
        let (first_owed, first_gap) = (Address::MAX, Address::MAX);
        self.numbers.insert(name.clone(), id);
        self.lanes.push(Lane {
            name,
            head,
            cut: 0,
            index,
            landed,
            landed_to,
            owed: 0,
            first_owed,
            first_gap,
            spilled: 0..0,
            first_kept: Address::MAX,
        });
        id
    }

    pub(super) fn lane(&self, lane: LaneId) -> &Lane {
        &self.lanes[lane.0 as usize]
    }

    pub(super) fn lanes(&self) -> impl Iterator<Item = (LaneId, &Lane)> {
        self.lanes.iter().enumerate().map(|(n, lane)| (LaneId(n as u32), lane))
    }

    /// The offset of the next record in its segment's file.
    fn offset(&self) -> u64 {
        self.taken + self.pending.len() as u64
    }

    /// The address behind the last record.
    pub(super) fn accepted(&self) -> Address {
        self.segment.base + (self.offset() - DATA_START)
    }

    pub(super) fn refusal(&self) -> Option<LogError> {
        self.refused.clone().or_else(|| self.stalled.clone())
    }

    pub(super) fn stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// Whether this lane was never added.
    pub(super) fn is_new(&self, name: &LaneName) -> bool {
        !self.numbers.contains_key(name)
    }

    /// The address behind the last lane map that added a lane.
    pub(super) fn lane_map_end(&self) -> Address {
        self.lane_map_end
    }

    /// Refuses every append from now on, for the first reason given.
    pub(super) fn refuse(&mut self, reason: LogError) {
        self.refused.get_or_insert(reason);
    }

    /// Refuses appends until there is room again.
    pub(super) fn stall(&mut self, reason: Option<LogError>) {
        self.stalled = reason;
    }

    /// Appends a record of the engine.
    pub(super) fn append(
        &mut self,
        lanes: &[LaneId],
        body: &[u8],
        time_ms: u64,
    ) -> Result<Appended, LogError> {
        if let Some(reason) = self.refusal() {
            return Err(reason);
        }
        assert!((1..=255).contains(&lanes.len()), "a record has 1 to 255 lanes");
        let bytes = (HEAD_BYTES + LANE_BYTES * lanes.len() + body.len()) as u64;
        if bytes > self.settings.record_bytes_max {
            return Err(LogError::TooLarge { bytes, bytes_max: self.settings.record_bytes_max });
        }
        let bytes_max = self.settings.owed_bytes_max();
        if self.owed_bytes() + bytes > bytes_max && body.len() > NO_CHANGE_BYTES {
            return Err(LogError::Full { bytes_max });
        }
        let mut places = SmallVec::new();
        for &lane in lanes {
            let state = &self.lanes[lane.0 as usize];
            places.push(Place { lane, position: state.head.position + 1, cut: state.cut });
        }
        self.push_data(&places, body, time_ms);
        Ok(Appended { end: self.accepted(), places })
    }

    /// Adds a record at these places, which are the next ones of their lanes.
    pub(super) fn push_data(&mut self, places: &[Place], body: &[u8], time_ms: u64) {
        self.make_room(HEAD_BYTES + LANE_BYTES * places.len() + body.len());
        let address = self.accepted();
        let hash = Anchor::body_hash(body);
        let at = places.iter().map(|place| (place.lane, place.position));
        record::encode(&mut self.pending, self.seed, Kind::Data, time_ms, at, body);
        self.put_pending();
        for place in places {
            let lane = &mut self.lanes[place.lane.0 as usize];
            debug_assert_eq!(lane.head.position + 1, place.position, "lanes of a record are distinct");
            lane.index.push(address, lane.head);
            let anchor = lane.head.anchor.next(&self.lineage, place.lane, place.position, hash);
            lane.head = Head { position: place.position, anchor };
            if lane.owed == 0 {
                lane.first_owed = address;
                self.oldest_owed = self.oldest_owed.min(address);
            }
            if lane.first_kept == Address::MAX {
                lane.first_kept = address;
                self.oldest_kept = self.oldest_kept.min(address);
            }
            lane.owed += 1;
        }
        self.owed_records += places.len() as u64;
        if self.times.back().is_none_or(|&(_, last)| time_ms >= last + TIME_STEP_MS) {
            self.times.push_back((address, time_ms));
        }
    }

    /// Adds a gap.
    pub(super) fn push_gap(&mut self, lane: LaneId, to: Head, time_ms: u64) {
        self.make_room(HEAD_BYTES + LANE_BYTES + to.anchor.0.len());
        let address = self.accepted();
        let at = [(lane, to.position)].into_iter();
        record::encode(&mut self.pending, self.seed, Kind::Gap, time_ms, at, &to.anchor.0);
        self.put_pending();
        let lane = &mut self.lanes[lane.0 as usize];
        lane.index.gap(address, lane.head, to);
        lane.head = to;
        if lane.owed == 0 && !lane.owes_spilled() {
            lane.first_gap = lane.first_gap.min(address);
            self.oldest_gap = self.oldest_gap.min(address);
        } else if lane.first_kept == Address::MAX {
            // All before it is in the spill file.
            lane.first_kept = address;
            self.oldest_kept = self.oldest_kept.min(address);
        }
    }

    /// The numbers of these lanes; new ones are added, and with them a lane map.
    pub(super) fn add_lanes(&mut self, names: &[LaneName]) -> Vec<LaneId> {
        let known = self.lanes.len();
        let mut numbers = Vec::with_capacity(names.len());
        for name in names {
            let number = self.numbers.get(name).copied();
            let start = Head { position: 0, anchor: Anchor::START };
            numbers.push(number.unwrap_or_else(|| self.add_lane(name.clone(), start, LaneIndex::new(start))));
        }
        if self.lanes.len() > known {
            let segment = self.segment.id;
            self.make_room(self.lane_map_bytes());
            // A new segment has begun with the new map already.
            if self.segment.id == segment {
                self.push_lane_map();
            }
            self.lane_map_end = self.accepted();
        }
        numbers
    }

    fn lane_map_bytes(&self) -> usize {
        HEAD_BYTES + self.lanes.iter().map(|lane| 32 + lane.name.group.len()).sum::<usize>()
    }

    fn push_lane_map(&mut self) {
        let mut body = Vec::with_capacity(self.lane_map_bytes());
        record::encode_lanes(&mut body, self.lanes.iter().map(|lane| (&lane.name, lane.head)));
        let none = std::iter::empty::<(LaneId, Position)>();
        record::encode(&mut self.pending, self.seed, Kind::Lanes, self.env.clock.unix_ms(), none, &body);
        self.put_pending();
    }

    /// Begins a new segment when the next record of `need` bytes does not fit into this one.
    fn make_room(&mut self, need: usize) {
        let need = (need + END.len()) as u64;
        if self.offset() + need <= self.segment.capacity {
            return;
        }
        let (previous_end, base) = (self.offset(), self.accepted());
        if !self.pending.is_empty() {
            let batch = self.take_batch(Vec::new());
            self.finished.push_back(batch);
        }
        let mut salt = [0; 8];
        self.env.random.fill(&mut salt);
        let id = self.segment.id + 1;
        let least = DATA_START + (self.lane_map_bytes() + END.len()) as u64 + need;
        self.segment = Header {
            lineage: self.lineage,
            id,
            capacity: self.settings.segment_bytes.max(least),
            base,
            previous: self.segment.id,
            previous_end,
            void_from: id,
            salt: u64::from_le_bytes(salt),
            created_ms: self.env.clock.unix_ms(),
        };
        self.seed = self.segment.seed();
        self.taken = DATA_START;
        self.begun = false;
        self.left = self.mapped.take();
        self.lanes.iter_mut().for_each(|lane| lane.index.close_chunk());
        self.push_lane_map();
    }

    fn take_batch(&mut self, buffer: Vec<u8>) -> Batch {
        let begins = (!self.begun).then(|| self.segment.clone());
        let offset = self.taken;
        let bytes = std::mem::replace(&mut self.pending, buffer);
        self.begun = true;
        self.taken += bytes.len() as u64;
        Batch { begins, offset, bytes, end: self.accepted() }
    }

    /// Hands everything that is not written yet to the writer, and takes an empty buffer for it.
    pub(super) fn take(&mut self, into: &mut VecDeque<Batch>, buffer: Vec<u8>) {
        into.append(&mut self.finished);
        if !self.pending.is_empty() {
            into.push_back(self.take_batch(buffer));
        }
    }

    /// Makes the segment, which must not be begun, as long as `least`, or as long as what is in it needs.
    pub(super) fn fit_segment(&mut self, least: u64) {
        self.segment.capacity = least.max(self.offset() + END.len() as u64);
    }

    /// Cuts these lanes here.
    pub(super) fn cut(&mut self, lanes: &[LaneId]) -> (Address, Vec<Position>) {
        let cut = |&lane: &LaneId| {
            let lane = &mut self.lanes[lane.0 as usize];
            lane.cut = lane.head.position;
            lane.cut
        };
        let positions = lanes.iter().map(cut).collect();
        (self.accepted(), positions)
    }
}
