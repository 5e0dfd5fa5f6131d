//! Makes a spill file, a segment at a time, beside the path of a write. It copies only whole records that are durable, follows
//! every lane's chain of hashes over them, and a file that does not end where the log says never gets a name.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::super::{Address, Head, LogError};
use super::super::record::{self, Kind, NoRecord, View};
use super::super::segment::{DATA_START, Segment};
use super::super::{damaged, failed};
use super::replay::follow;
use super::{Frames, Header, PAGE, PART_BYTES, Part, Spill};
use crate::env::planted::{Bug, planted};
use crate::env::{Disk, DiskFile};
use crate::model::{Anchor, LaneId};

/// What is written at once.
const WRITE_BYTES: usize = 1 << 20;
/// How much of the spill file before is copied in one step.
const STEP_BYTES: u64 = 16 << 20;

/// What a spill file is to hold.
pub(in super::super) struct Plan {
    /// Everything before this address, of these lanes from these addresses on; all are beginnings of segments.
    pub(in super::super) through: Address,
    pub(in super::super) lanes: BTreeMap<LaneId, Address>,
    /// The spill file before, which has what lies before the first of the segments.
    pub(in super::super) old: Option<Arc<Spill>>,
    /// The segments, oldest first, and the one that begins at `through`.
    pub(in super::super) segments: VecDeque<Arc<Segment>>,
    pub(in super::super) next: Arc<Segment>,
    /// It gets no longer than this.
    pub(in super::super) bytes_max: u64,
}

/// A spill file that is being made.
pub(in super::super) struct Build {
    plan: Plan,
    /// Where the spill file before is read.
    reading: Option<(Frames, u64)>,
    /// Where the segments begin, or are reached.
    kept_from: Address,
    header: Header,
    parts: BTreeMap<LaneId, Part>,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    pending: Vec<u8>,
    /// The offset of the first pending byte.
    written: u64,
    blocks: Vec<(Address, u64)>,
}

/// What became of a step.
pub(in super::super) enum Stepped {
    More,
    /// All of it is in the file, and durable.
    Done,
    /// It would get too long.
    TooLong,
}

impl Build {
    pub(in super::super) fn new(
        disk: &Arc<dyn Disk>,
        path: PathBuf,
        header: Header,
        plan: Plan,
    ) -> Result<Self, LogError> {
        let file = disk.create(&path).map_err(|reason| failed("make", &path, &reason))?;
        let start = Head { position: 0, anchor: Anchor::START };
        let kept_from = plan.segments.front().map_or(plan.through, |first| first.header.base);
        let old_part = |lane, from| {
            let parts = plan.old.iter().flat_map(|old| &old.parts);
            parts.copied().find(|part| part.lane == lane && part.from == from)
        };
        // Of the others the lane map of their first segment will tell.
        let part = |(&lane, &from): (&LaneId, &Address)| {
            let before = old_part(lane, from).map_or(start, |part| part.before);
            (lane, Part { lane, from, before, end: before })
        };
        let parts: BTreeMap<LaneId, Part> = plan.lanes.iter().map(part).collect();
        let reading = plan.old.as_ref().map(|old| (old.frames(), old.begin()));
        let written = (PAGE + parts.len() * PART_BYTES) as u64;
        let (pending, blocks) = (Vec::new(), Vec::new());
        Ok(Self { plan, reading, kept_from, header, parts, path, file, pending, written, blocks })
    }

    pub(in super::super) fn path(&self) -> &PathBuf {
        &self.path
    }

    pub(in super::super) fn lanes(&self) -> &BTreeMap<LaneId, Address> {
        &self.plan.lanes
    }

    /// Copies some more.
    pub(in super::super) fn step(&mut self) -> Result<Stepped, LogError> {
        if let Some(reading) = self.reading.take() {
            self.copy_old(reading)?;
        } else if let Some(segment) = self.plan.segments.pop_front() {
            self.copy_segment(&segment)?;
        } else {
            self.finish()?;
            return Ok(Stepped::Done);
        }
        let length = self.written + self.pending.len() as u64;
        Ok(if length > self.plan.bytes_max { Stepped::TooLong } else { Stepped::More })
    }

    /// Copies from the spill file before what no segment has.
    fn copy_old(&mut self, (mut frames, mut offset): (Frames, u64)) -> Result<(), LogError> {
        let Some(old) = self.plan.old.clone() else { return Ok(()) };
        let stop = offset + STEP_BYTES;
        while offset < stop {
            let frame = frames.at(offset).map_err(|reason| failed("read", &old.path, &reason))?;
            let frame = match frame {
                Ok(frame) if frame.address < self.kept_from => frame,
                Ok(_) | Err(NoRecord::End) => return Ok(()),
                Err(NoRecord::Bad(what) | NoRecord::Foreign(what)) => return Err(old.bad(offset, what)),
            };
            self.record(frame.address, &frame.view).map_err(|what| old.bad(offset, what))?;
            offset += frame.bytes;
            self.write_if(WRITE_BYTES)?;
        }
        self.reading = Some((frames, offset));
        Ok(())
    }

    fn copy_segment(&mut self, segment: &Segment) -> Result<(), LogError> {
        let next = self.plan.segments.front().unwrap_or(&self.plan.next);
        let end = segment.offset(next.header.base);
        let mut bytes = vec![0; end as usize];
        let io = |reason: io::Error| failed("read", &segment.path, &reason);
        let got = segment.file.read_at(&mut bytes, 0).map_err(io)?;
        bytes.truncate(got);
        let mut offset = DATA_START;
        while offset < end {
            let bad = |what: &str| damaged(&segment.path, offset, what);
            let view = match record::decode(bytes.get(offset as usize..).unwrap_or_default(), segment.seed) {
                Ok(view) => view,
                Err(NoRecord::Bad(what) | NoRecord::Foreign(what)) => return Err(bad(what)),
                Err(NoRecord::End) => return Err(bad("records that were here are gone")),
            };
            let address = segment.header.base + (offset - DATA_START);
            if offset == DATA_START {
                self.begin(address, &view).map_err(bad)?;
            }
            if view.kind != Kind::Lanes {
                self.record(address, &view).map_err(bad)?;
            }
            offset += view.length as u64;
            self.write_if(WRITE_BYTES)?;
        }
        Ok(())
    }

    /// Takes the ends of the lanes whose parts begin with this segment.
    fn begin(&mut self, base: Address, view: &View<'_>) -> Result<(), &'static str> {
        let heads = lane_map(view)?;
        for part in self.parts.values_mut().filter(|part| part.from == base) {
            part.before = heads(part.lane);
            part.end = part.before;
        }
        Ok(())
    }

    /// Takes a record, if it is of a lane that is spilled.
    fn record(&mut self, address: Address, view: &View<'_>) -> Result<(), &'static str> {
        let mut wanted = false;
        for (lane, position) in view.lanes() {
            if let Some(part) = self.parts.get_mut(&lane).filter(|part| part.from <= address) {
                part.end = follow(view, lane, part.end, position, self.header.lineage)?;
                wanted = true;
            }
        }
        if wanted {
            Spill::note_place(&mut self.blocks, address, self.written + self.pending.len() as u64);
            let seed = crc32c::crc32c_append(self.header.seed(), &address.to_le_bytes());
            self.pending.extend_from_slice(&address.to_le_bytes());
            // Its checksum does not fit here: it is written anew, and with it everything else as it was.
            let lanes: Vec<_> = view.lanes().collect();
            record::encode(&mut self.pending, seed, view.kind, view.time_ms, lanes.into_iter(), view.body);
            self.header.records += 1;
        }
        Ok(())
    }

    fn write_if(&mut self, least: usize) -> Result<(), LogError> {
        if self.pending.len() >= least && !self.pending.is_empty() {
            let written = self.file.write_at(&self.pending, self.written);
            written.map_err(|reason| failed("write", &self.path, &reason))?;
            self.written += self.pending.len() as u64;
            self.pending.clear();
        }
        Ok(())
    }

    /// Writes what tells of the whole, and syncs it.
    fn finish(&mut self) -> Result<(), LogError> {
        let next = &self.plan.next;
        let bytes = first_record(next).map_err(|reason| failed("read", &next.path, &reason))?;
        let bad = |what: &str| damaged(&next.path, DATA_START, what);
        let view =
            record::decode(&bytes, next.seed).map_err(|_| bad("the segment's lane map is not there"))?;
        let heads = lane_map(&view).map_err(bad)?;
        if self.parts.values().any(|part| part.end != heads(part.lane)) {
            return Err(bad("the lane map does not agree with the records before it"));
        }
        self.write_if(0)?;
        self.header.length = self.written;
        let parts: Vec<Part> = self.parts.values().copied().collect();
        let head = self.header.encode(&parts);
        let sync = || if planted(Bug::SpillUnsynced) { Ok(()) } else { self.file.sync_data() };
        let written = self.file.write_at(&head, 0).and_then(|()| sync());
        written.map_err(|reason| failed("write", &self.path, &reason))
    }

    /// The finished file, under its name.
    pub(in super::super) fn named(self, path: PathBuf) -> Spill {
        let parts = self.parts.into_values().collect();
        Spill { header: self.header, parts, path, file: self.file, blocks: self.blocks }
    }
}

/// The lane map at the beginning of a segment.
fn first_record(segment: &Segment) -> io::Result<Vec<u8>> {
    let mut head = [0; 8];
    segment.file.read_at(&mut head, DATA_START)?;
    // Longer than the segment it cannot be, whatever the bytes say.
    let length = record::claimed_length(&head).unwrap_or(0).min(segment.header.capacity as usize);
    let mut bytes = vec![0; length];
    let got = segment.file.read_at(&mut bytes, DATA_START)?;
    bytes.truncate(got);
    Ok(bytes)
}

/// The lanes' ends that a lane map says.
fn lane_map(view: &View<'_>) -> Result<impl Fn(LaneId) -> Head, &'static str> {
    let none = "the segment does not begin with a lane map";
    if view.kind != Kind::Lanes {
        return Err(none);
    }
    let lanes = record::decode_lanes(view.body).ok_or(none)?;
    let start = Head { position: 0, anchor: Anchor::START };
    Ok(move |lane: LaneId| lanes.get(lane.0 as usize).map_or(start, |(_, head)| *head))
}
