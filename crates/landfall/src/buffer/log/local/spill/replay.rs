//! Reads a whole spill file at a start, follows every lane's chain of hashes through it, and says what of it counts. It only
//! reads, and it accepts no file of which a byte that counts is not what was written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::super::super::{Address, Head, LaneName, LogError};
use super::super::failed;
use super::super::index::LaneIndex;
use super::super::record::{Kind, NoRecord, View, decode_gap};
use super::super::tail::TIME_STEP_MS;
use super::{Frame, Part, Spill};
use crate::env::Disk;
use crate::model::{Anchor, LaneId, Lineage};

/// A spill file as a start found it.
pub(in super::super) struct Replayed {
    pub(in super::super) spill: Spill,
    /// The lanes whose records in it lead up to the oldest segment: what they have before it.
    pub(in super::super) lanes: BTreeMap<LaneId, LaneIndex>,
    /// Where the lanes have to be, at these positions at the latest.
    pub(in super::super) ends: BTreeMap<LaneId, Head>,
    pub(in super::super) times: VecDeque<(Address, u64)>,
    /// The records before the oldest segment.
    pub(in super::super) records: u64,
    /// The lanes whose part begins, and ends, where a segment does that is still there.
    begun: BTreeSet<LaneId>,
    ended: BTreeSet<LaneId>,
}

/// What a spill file has of the log, and the addresses of each lane's records there.
pub(in super::super) struct Spilled {
    pub(in super::super) spill: Spill,
    pub(in super::super) parts: Vec<(LaneId, Range<Address>)>,
}

/// The lanes as the oldest segment begins, and its first address.
pub(in super::super) struct Oldest<'a> {
    pub(in super::super) base: Address,
    pub(in super::super) lanes: &'a [(LaneName, Head)],
}

impl Oldest<'_> {
    pub(in super::super) fn head(&self, lane: LaneId) -> Head {
        let start = Head { position: 0, anchor: Anchor::START };
        self.lanes.get(lane.0 as usize).map_or(start, |(_, head)| *head)
    }

    /// Whether all that the spill file has of a lane has landed: the lane went on, and later segments of it are gone.
    pub(in super::super) fn has_passed(&self, part: &Part) -> bool {
        self.head(part.lane).position > part.end.position
    }
}

/// One lane as its records are read.
struct Lane {
    part: Part,
    head: Head,
    /// What lies before the oldest segment, and the lane's end there.
    index: LaneIndex,
    joined: Head,
}

/// Reads the spill file of this number.
pub(in super::super) fn replay(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    id: u64,
    lineage: Lineage,
    oldest: &Oldest<'_>,
) -> Result<Replayed, LogError> {
    let mut spill = Spill::open(disk, dir, id, lineage)?;
    let lane = |part: &Part| {
        let (part, head) = (*part, part.before);
        (part.lane, Lane { part, head, index: LaneIndex::new(head), joined: head })
    };
    let mut lanes: BTreeMap<LaneId, Lane> = spill.parts.iter().map(lane).collect();
    let mut frames = spill.frames();
    let (mut offset, mut blocks) = (spill.begin(), Vec::new());
    let (mut all, mut records) = (0, 0);
    let mut times: VecDeque<(Address, u64)> = VecDeque::new();
    let mut next = 0;
    loop {
        let frame = frames.at(offset).map_err(|reason| failed("read", &spill.path, &reason))?;
        let frame = match frame {
            Ok(frame) => frame,
            Err(NoRecord::End) => break,
            Err(NoRecord::Bad(what) | NoRecord::Foreign(what)) => return Err(spill.bad(offset, what)),
        };
        if !(next..spill.header.through).contains(&frame.address) {
            return Err(spill.bad(offset, "a spilled record is not in the order of the log"));
        }
        next = frame.address + 1;
        take(&mut lanes, &frame, lineage, oldest.base).map_err(|what| spill.bad(offset, what))?;
        Spill::note_place(&mut blocks, frame.address, offset);
        all += 1;
        let counts = |lane: LaneId| lanes.get(&lane).is_some_and(|found| !oldest.has_passed(&found.part));
        if frame.address < oldest.base && frame.view.lanes().any(|(lane, _)| counts(lane)) {
            records += u64::from(frame.view.kind == Kind::Data);
            let time_ms = frame.view.time_ms;
            if times.back().is_none_or(|&(_, last)| time_ms >= last + TIME_STEP_MS) {
                times.push_back((frame.address, time_ms));
            }
        }
        offset += frame.bytes;
    }
    if all != spill.header.records || lanes.values().any(|lane| lane.head != lane.part.end) {
        return Err(spill.bad(offset, "the spill file does not end where it says"));
    }
    spill.blocks = blocks;
    let ends = lanes.iter().map(|(lane, found)| (*lane, found.part.end)).collect();
    let joined = join(&spill, lanes, oldest)?;
    let begun = joined.keys().copied().collect();
    Ok(Replayed { spill, lanes: joined, ends, times, records, begun, ended: BTreeSet::new() })
}

/// Takes one record for the lanes that have it here.
fn take(
    lanes: &mut BTreeMap<LaneId, Lane>,
    frame: &Frame<'_>,
    lineage: Lineage,
    base: Address,
) -> Result<(), &'static str> {
    let Frame { address, view, .. } = frame;
    let mut known = false;
    for (id, position) in view.lanes() {
        let Some(lane) = lanes.get_mut(&id).filter(|lane| lane.part.from <= *address) else { continue };
        known = true;
        let from = lane.head;
        lane.head = follow(view, id, from, position, lineage)?;
        if *address < base {
            match view.kind {
                Kind::Gap => lane.index.gap(*address, from, lane.head),
                _ => lane.index.push(*address, from),
            }
            lane.joined = lane.head;
        }
    }
    if known { Ok(()) } else { Err("a spilled record has no lane of this file") }
}

/// A lane's end behind a record.
pub(super) fn follow(
    view: &View<'_>,
    lane: LaneId,
    from: Head,
    position: u64,
    lineage: Lineage,
) -> Result<Head, &'static str> {
    match view.kind {
        Kind::Data if from.position.checked_add(1) == Some(position) => {
            let anchor = from.anchor.next(&lineage, lane, position, Anchor::body_hash(view.body));
            Ok(Head { position, anchor })
        }
        Kind::Gap if position > from.position => {
            let anchor = decode_gap(view.body).ok_or("a gap is malformed")?;
            Ok(Head { position, anchor })
        }
        Kind::Lanes => Err("a lane map is not spilled"),
        Kind::Data | Kind::Gap => Err("a spilled record does not follow the one before it in its lane"),
    }
}

/// The lanes whose records lead up to the oldest segment.
fn join(
    spill: &Spill,
    lanes: BTreeMap<LaneId, Lane>,
    oldest: &Oldest<'_>,
) -> Result<BTreeMap<LaneId, LaneIndex>, LogError> {
    let mut joined = BTreeMap::new();
    for (id, mut lane) in lanes {
        // The segments reach back to before its first record here.
        if oldest.has_passed(&lane.part) || lane.part.from >= oldest.base {
            continue;
        }
        if lane.joined != oldest.head(id) {
            return Err(spill.bad(0, "the spill file and the oldest segment do not join"));
        }
        lane.index.close_chunk();
        joined.insert(id, lane.index);
    }
    Ok(joined)
}

impl Replayed {
    /// A segment that stays begins here, and these are the lanes' ends there.
    pub(in super::super) fn segment_begins(&mut self, base: Address, heads: &[Head]) {
        let start = Head { position: 0, anchor: Anchor::START };
        for part in &self.spill.parts {
            let head = heads.get(part.lane.0 as usize).copied().unwrap_or(start);
            if part.from == base && part.before == head {
                self.begun.insert(part.lane);
            }
            if self.spill.header.through == base && part.end == head {
                self.ended.insert(part.lane);
            }
        }
    }

    /// The addresses of each lane's records that the file holds. What a start has copied has new ones: where no segment
    /// begins any more as it did when the file was made, only what lies before the oldest one counts as spilled.
    pub(in super::super) fn spilled(self, oldest: Address) -> Spilled {
        let cover = |part: &Part| {
            let ended = self.ended.contains(&part.lane);
            let through = if ended { self.spill.header.through } else { oldest };
            let range = part.from..through;
            (self.begun.contains(&part.lane) && !range.is_empty()).then_some((part.lane, range))
        };
        let parts = self.spill.parts.iter().filter_map(cover).collect();
        Spilled { spill: self.spill, parts }
    }
}
