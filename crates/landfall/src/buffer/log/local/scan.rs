//! Reads a log directory and says what it holds, or why it cannot be trusted. It only reads: whatever it finds,
//! it changes nothing. docs/format.md, "Recovery", has the rules.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use smallvec::SmallVec;

use super::super::{Address, Head, LaneName, LogError};
use super::chain::{Found, find_chain, first_lanes, spill_counts};
use super::index::LaneIndex;
use super::record::{self, Kind, NoRecord, View};
use super::segment::{DATA_START, Segment, id_of};
use super::spill;
use super::spill::replay::{Oldest, Replayed, Spilled};
use super::tail::TIME_STEP_MS;
use super::walk::OnProgress;
use super::{damaged, failed};
use crate::env::Disk;
use crate::env::planted::{Bug, planted};
use crate::model::{Anchor, LaneId, Lineage, Position};

/// A last segment with no more than this part of a usual one before its mark is copied as a whole, so that many
/// restarts do not leave many small segments.
const WHOLE_COPY_PART: u64 = 4;

/// What a log directory holds.
pub(super) struct Scan {
    /// The segments that stay, oldest first.
    pub(super) segments: VecDeque<Arc<Segment>>,
    /// Every segment number that has a file.
    pub(super) ids: BTreeSet<u64>,
    /// The lanes where the segments that stay end.
    pub(super) lanes: Vec<(LaneName, Head, LaneIndex)>,
    pub(super) times: VecDeque<(Address, u64)>,
    /// What follows there and has to be copied to a new segment, and the lanes' ends behind it.
    pub(super) copied: Vec<Copied>,
    pub(super) heads: Vec<Head>,
    /// Where the new segment goes.
    pub(super) next: Next,
    /// What was cut.
    pub(super) torn: Vec<Torn>,
    /// Records of the engine, those to be copied included.
    pub(super) records: u64,
    pub(super) spilled: Option<Spilled>,
}

/// The place of a new segment in the chain; see [`Header`](super::segment::Header).
#[derive(Debug, Clone, Copy)]
pub(super) struct Next {
    pub(super) base: Address,
    pub(super) previous: u64,
    pub(super) previous_end: u64,
    pub(super) void_from: u64,
}

/// A record to be copied.
pub(super) enum Copied {
    Data { lanes: SmallVec<[(LaneId, Position); 1]>, time_ms: u64, body: Vec<u8> },
    Gap { lane: LaneId, to: Head, time_ms: u64 },
    Lanes(Vec<LaneName>),
}

/// Bytes behind the last record, as far as they are not zero.
pub(super) struct Torn {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
}

/// Reads the log in this folder; none when it has no segment.
pub(super) fn scan(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    (lineage, spill): (Lineage, u64),
    segment_bytes: u64,
    progress: OnProgress<'_>,
) -> Result<Option<Scan>, LogError> {
    let names = disk.list(dir).map_err(|reason| failed("list", dir, &reason))?;
    let ids: BTreeSet<u64> = names.iter().filter_map(|name| id_of(name)).collect();
    let chain = find_chain(disk, dir, lineage, &ids)?;
    // The last segment with a mark: all before it is durable as a whole, all behind the mark may be torn.
    let is_marked = |found: &Found| found.mark.is_some() && !planted(Bug::AnyDamageIsTorn);
    let marked = chain.iter().rposition(is_marked).unwrap_or(0);
    let Some(last) = chain.get(marked) else { return Ok(None) };
    let mark = last.mark.filter(|_| !planted(Bug::NoDurableMark));
    let marked_to = mark.map_or(DATA_START, |mark| mark.offset);
    let whole = marked_to - DATA_START <= segment_bytes / WHOLE_COPY_PART;
    let copy_from = if whole { DATA_START } else { marked_to };
    let mut replay = Replay::new(lineage);
    let mut torn = Vec::new();
    let mut cut = false;
    for (nth, found) in chain.iter().enumerate() {
        progress(nth as u64, chain.len() as u64);
        let bytes = read_whole(found)?;
        if nth == 0 && spill_counts(spill, &found.segment) {
            let oldest = Oldest { base: found.segment.header.base, lanes: &first_lanes(found, &bytes) };
            replay.spilled_before(spill::replay::replay(disk, dir, spill, lineage, &oldest)?);
        }
        let mut end = DATA_START;
        let mut clean = false;
        if !cut {
            let (required, copy_from) = match nth.cmp(&marked) {
                std::cmp::Ordering::Less => (found.limit, None),
                std::cmp::Ordering::Equal => (marked_to, Some(copy_from)),
                std::cmp::Ordering::Greater => (DATA_START, None),
            };
            let reason;
            replay.stays = nth <= marked;
            (end, reason) = replay.segment(found, &bytes, required, copy_from)?;
            cut = reason.is_some();
            clean = nth + 1 == chain.len() && reason == Some(NoRecord::End);
        }
        let rest = &bytes[(end as usize).min(bytes.len())..];
        let length = rest.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
        if !clean && length > 0 {
            let bytes = rest[..length].to_vec();
            torn.push(Torn { segment: found.segment.header.id, offset: end, bytes });
        }
    }
    replay.reached_the_end()?;
    let Some((next, stay)) = replay.copying else {
        return Err(damaged(&last.segment.path, DATA_START, "the log begins without a lane map"));
    };
    let spilled = replay.spilled.map(|found| found.spilled(chain[0].segment.header.base));
    let lanes = replay.names.into_iter().zip(stay).zip(replay.indexes);
    let staying = if whole { marked } else { marked + 1 };
    Ok(Some(Scan {
        segments: chain.into_iter().take(staying).map(|found| Arc::new(found.segment)).collect(),
        ids,
        lanes: lanes.map(|((name, head), index)| (name, head, index)).collect(),
        times: replay.times,
        copied: replay.copied,
        heads: replay.heads,
        next,
        torn,
        records: replay.records,
        spilled,
    }))
}

/// The bytes of a segment up to its limit, or to the end of the file.
pub(super) fn read_whole(found: &Found) -> Result<Vec<u8>, LogError> {
    let Segment { file, path, .. } = &found.segment;
    let read = || {
        // The header's word for the length is not trusted with memory.
        let mut bytes = vec![0; file.length()?.min(found.limit) as usize];
        let got = file.read_at(&mut bytes, 0)?;
        bytes.truncate(got);
        Ok(bytes)
    };
    read().map_err(|reason| failed("read", path, &reason))
}

/// The state of the lanes as record after record is read.
struct Replay {
    lineage: Lineage,
    /// Whether the first lane map was read.
    begun: bool,
    names: Vec<LaneName>,
    heads: Vec<Head>,
    /// Of the records in the segments that stay.
    indexes: Vec<LaneIndex>,
    times: VecDeque<(Address, u64)>,
    /// From where records are copied: the new segment's place, and the lanes' ends there.
    copying: Option<(Next, Vec<Head>)>,
    copied: Vec<Copied>,
    records: u64,
    /// What the spill file has.
    spilled: Option<Replayed>,
    /// The segment that is read stays, or the new one begins where it does.
    stays: bool,
}

impl Replay {
    fn new(lineage: Lineage) -> Self {
        Self {
            lineage,
            begun: false,
            names: Vec::new(),
            heads: Vec::new(),
            indexes: Vec::new(),
            times: VecDeque::new(),
            copying: None,
            copied: Vec::new(),
            records: 0,
            spilled: None,
            stays: true,
        }
    }

    /// Takes what the spill file has of the lanes before the oldest segment.
    fn spilled_before(&mut self, mut found: Replayed) {
        self.records = found.records;
        self.times = std::mem::take(&mut found.times);
        self.spilled = Some(found);
    }

    /// Looks whether a lane agrees with the spill file where that ends for it.
    fn agrees(&self, lane: LaneId) -> Result<(), &'static str> {
        let end = self.spilled.as_ref().and_then(|found| found.ends.get(&lane));
        let head = self.heads[lane.0 as usize];
        match end {
            Some(end) if end.position == head.position && end.anchor != head.anchor => {
                Err("a record is not the one that was spilled")
            }
            _ => Ok(()),
        }
    }

    /// Looks whether all is there that was durable when it was spilled.
    fn reached_the_end(&self) -> Result<(), LogError> {
        let Some(found) = &self.spilled else { return Ok(()) };
        for (lane, end) in &found.ends {
            if self.heads.get(lane.0 as usize).is_none_or(|head| head.position < end.position) {
                return Err(found.spill.bad(0, "the segments end before what was spilled of them"));
            }
        }
        Ok(())
    }

    /// Tells the spill file that a segment of the log begins here.
    fn segment_begins(&mut self, base: Address) {
        if let Some(found) = &mut self.spilled {
            found.segment_begins(base, &self.heads);
        }
    }

    /// Reads one segment; answers where its records end, and what is there instead of a record when that is not
    /// the segment's end.
    fn segment(
        &mut self,
        found: &Found,
        bytes: &[u8],
        required: u64,
        copy_from: Option<u64>,
    ) -> Result<(u64, Option<NoRecord>), LogError> {
        let Segment { header, seed, path, .. } = &found.segment;
        let mut offset = DATA_START;
        self.indexes.iter_mut().for_each(LaneIndex::close_chunk);
        loop {
            if let Some(from) = copy_from
                && offset >= from
                && self.begun
                && self.copying.is_none()
            {
                if offset != from && from != DATA_START {
                    return Err(damaged(path, 512, "the mark of what is durable lies inside of a record"));
                }
                let next = next_segment(found, from);
                self.segment_begins(next.base);
                self.copying = Some((next, self.heads.clone()));
            }
            if offset >= found.limit {
                return Ok((offset, None));
            }
            let rest = bytes.get(offset as usize..).unwrap_or_default();
            match record::decode(rest, *seed) {
                Ok(view) => {
                    if offset == DATA_START && view.kind != Kind::Lanes {
                        return Err(damaged(path, offset, "the segment does not begin with a lane map"));
                    }
                    let address = header.base + (offset - DATA_START);
                    self.record(&view, address).map_err(|what| damaged(path, offset, what))?;
                    if offset == DATA_START && self.stays {
                        self.segment_begins(header.base);
                    }
                    offset += view.length as u64;
                }
                Err(NoRecord::Foreign(what)) => return Err(damaged(path, offset, what)),
                Err(reason) if offset >= required => return Ok((offset, Some(reason))),
                Err(NoRecord::Bad(what)) => return Err(damaged(path, offset, what)),
                Err(NoRecord::End) => return Err(damaged(path, offset, "records that were here are gone")),
            }
        }
    }

    /// Takes one record. Its checksum is right, so what does not fit was never written like this.
    fn record(&mut self, view: &View<'_>, address: Address) -> Result<(), &'static str> {
        match view.kind {
            Kind::Lanes => self.lane_map(view),
            Kind::Data => self.data(view, address),
            Kind::Gap => self.gap(view, address),
        }
    }

    fn lane_map(&mut self, view: &View<'_>) -> Result<(), &'static str> {
        let lanes = record::decode_lanes(view.body).ok_or("a lane map is malformed")?;
        let known = self.names.len();
        let same = lanes.iter().zip(self.names.iter().zip(&self.heads));
        if lanes.len() < known || !same.into_iter().all(|((a, x), (b, y))| a == b && x == y) {
            return Err("a lane map does not agree with the records before it");
        }
        let start = Head { position: 0, anchor: Anchor::START };
        for (name, head) in &lanes[known..] {
            if self.begun && *head != start {
                return Err("a lane begins in the middle");
            }
            self.names.push(name.clone());
            self.heads.push(*head);
            if self.copying.is_none() {
                let lane = LaneId(self.indexes.len() as u32);
                let spilled = self.spilled.as_mut().and_then(|found| found.lanes.remove(&lane));
                self.indexes.push(spilled.unwrap_or_else(|| LaneIndex::new(*head)));
            }
        }
        if self.copying.is_some() && lanes.len() > known {
            self.copied.push(Copied::Lanes(self.names[known..].to_vec()));
        }
        self.begun = true;
        Ok(())
    }

    fn data(&mut self, view: &View<'_>, address: Address) -> Result<(), &'static str> {
        if view.lanes().len() == 0 {
            return Err("a record has no lane");
        }
        let hash = Anchor::body_hash(view.body);
        for (lane, position) in view.lanes() {
            let head =
                self.heads.get_mut(lane.0 as usize).ok_or("a record has a lane that is not in the map")?;
            if head.position.checked_add(1) != Some(position) {
                return Err("a record does not follow the one before it in its lane");
            }
            if self.copying.is_none() {
                self.indexes[lane.0 as usize].push(address, *head);
            }
            *head = Head { position, anchor: head.anchor.next(&self.lineage, lane, position, hash) };
            self.agrees(lane)?;
        }
        self.records += 1;
        if self.copying.is_some() {
            let (lanes, time_ms) = (view.lanes().collect(), view.time_ms);
            self.copied.push(Copied::Data { lanes, time_ms, body: view.body.to_vec() });
        } else if self.times.back().is_none_or(|&(_, last)| view.time_ms >= last + TIME_STEP_MS) {
            self.times.push_back((address, view.time_ms));
        }
        Ok(())
    }

    fn gap(&mut self, view: &View<'_>, address: Address) -> Result<(), &'static str> {
        let anchor = record::decode_gap(view.body).ok_or("a gap is malformed")?;
        let mut lanes = view.lanes();
        let (Some((lane, position)), None) = (lanes.next(), lanes.next()) else {
            return Err("a gap has not exactly one lane");
        };
        let head = self.heads.get_mut(lane.0 as usize).ok_or("a gap has a lane that is not in the map")?;
        if position <= head.position {
            return Err("a gap goes back");
        }
        let to = Head { position, anchor };
        let from = std::mem::replace(head, to);
        self.agrees(lane)?;
        if self.copying.is_some() {
            self.copied.push(Copied::Gap { lane, to, time_ms: view.time_ms });
        } else {
            self.indexes[lane.0 as usize].gap(address, from, to);
        }
        Ok(())
    }
}

/// The place of a segment that takes what this one holds from an offset on.
fn next_segment(found: &Found, from: u64) -> Next {
    let header = &found.segment.header;
    if from == DATA_START {
        return Next {
            base: header.base,
            previous: header.previous,
            previous_end: header.previous_end,
            // What it made void may still be there, if the start that copied it could not remove it.
            void_from: if planted(Bug::VoidForgotten) { header.id } else { header.void_from.min(header.id) },
        };
    }
    Next {
        base: header.base + (from - DATA_START),
        previous: header.id,
        previous_end: from,
        void_from: header.id + 1,
    }
}
