//! Reads records back: the index says where, the file says what, and checksum, lane and position are checked again.
//! It never gives a record that is not durable, and never skips one in silence.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use smallvec::SmallVec;

use super::super::{Address, Head, Log, LogError, Record, Records, Safety};
use super::index::{Cursor, Gone};
use super::record::{self, HEAD_BYTES, Kind, NoRecord, View};
use super::segment::Segment;
use super::spill::look_up::Place;
use super::{LocalLog, damaged, failed};
use crate::model::{Anchor, LaneId, Position};
use crate::sync::Mutex;

/// What is read from a file at once.
const PIECE_BYTES: u64 = 1 << 20;
/// How many pieces are kept for the other lanes' readers.
const PIECES_MAX: usize = 8;
/// How many addresses a reader takes from the index at once: the lock is the writers'.
const ADDRESSES_AT_ONCE: usize = 1024;

/// A part of a segment's file, as far as it was written when it was read.
struct Piece {
    segment: u64,
    number: u64,
    bytes: Vec<u8>,
}

/// The pieces that were read last, newest first, shared by all readers.
#[derive(Default)]
pub(super) struct Cache(Mutex<VecDeque<Arc<Piece>>>);

impl Cache {
    /// A piece with at least `least` bytes, of which `most` are written.
    fn piece(&self, segment: &Segment, number: u64, least: usize, most: usize) -> io::Result<Arc<Piece>> {
        let is_it = |piece: &Arc<Piece>| piece.segment == segment.header.id && piece.number == number;
        let known = self.0.lock().iter().find(|piece| is_it(piece) && piece.bytes.len() >= least).cloned();
        if let Some(piece) = known {
            return Ok(piece);
        }
        let mut bytes = vec![0; most];
        let got = segment.file.read_at(&mut bytes, number * PIECE_BYTES)?;
        bytes.truncate(got);
        let piece = Arc::new(Piece { segment: segment.header.id, number, bytes });
        let mut pieces = self.0.lock();
        pieces.retain(|piece| !is_it(piece));
        pieces.truncate(PIECES_MAX - 1);
        pieces.push_front(piece.clone());
        Ok(piece)
    }
}

/// Reads records at addresses.
struct Reader<'a> {
    log: &'a LocalLog,
    /// The segment that was read last, and where it ends.
    segment: Option<(Arc<Segment>, Address)>,
    piece: Option<Arc<Piece>>,
    /// A record that lies in more than one piece.
    joined: Vec<u8>,
    spill: Place,
}

impl<'a> Reader<'a> {
    fn new(log: &'a LocalLog) -> Self {
        Self { log, segment: None, piece: None, joined: Vec::new(), spill: Place::default() }
    }

    /// The record at an address, checked; none when it is no longer kept.
    fn record(&mut self, address: Address) -> Result<Option<View<'_>>, LogError> {
        let Some((segment, end)) = self.find(address) else { return self.spilled(address) };
        let written = segment.offset(end.min(self.log.safe(Safety::Written)));
        let offset = segment.offset(address);
        let bad = |what: &str| damaged(&segment.path, offset, what);
        let short = || bad("the record is not there");
        let io = |reason: io::Error| failed("read", &segment.path, &reason);
        // First the head, in one piece or two, for the length.
        let head = (offset + HEAD_BYTES as u64).min(written);
        self.load(&segment, offset, head, written).map_err(io)?;
        let length = record::claimed_length(self.loaded(offset, head).ok_or_else(short)?);
        let length = match length {
            Ok(length) if offset + length as u64 <= written => length as u64,
            _ => return Err(bad("a record's length is not what was written")),
        };
        self.load(&segment, offset, offset + length, written).map_err(io)?;
        let bytes = self.loaded(offset, offset + length).ok_or_else(short)?;
        match record::decode(bytes, segment.seed) {
            Ok(view) => Ok(Some(view)),
            Err(NoRecord::Bad(what) | NoRecord::Foreign(what)) => Err(bad(what)),
            Err(NoRecord::End) => Err(short()),
        }
    }

    /// The record at an address that no segment has any more.
    fn spilled(&mut self, address: Address) -> Result<Option<View<'_>>, LogError> {
        let spill = self.log.spilled.read().clone();
        spill.map_or(Ok(None), |spill| self.spill.record(spill, address))
    }

    fn find(&mut self, address: Address) -> Option<(Arc<Segment>, Address)> {
        if let Some((segment, end)) = &self.segment
            && (segment.header.base..*end).contains(&address)
        {
            return Some((segment.clone(), *end));
        }
        let segments = self.log.segments.read();
        let at = segments.partition_point(|segment| segment.header.base <= address).checked_sub(1)?;
        // The youngest has no end yet: it is looked up again each time.
        let end = segments.get(at + 1).map(|next| next.header.base);
        let found = (segments[at].clone(), end.unwrap_or(Address::MAX));
        self.segment = end.map(|end| (segments[at].clone(), end));
        Some(found)
    }

    /// Makes the bytes from `from` to `to` of a segment's file ready to be taken with [`Self::loaded`].
    fn load(&mut self, segment: &Segment, from: u64, to: u64, written: u64) -> io::Result<()> {
        let (first, last) = (from / PIECE_BYTES, (to - 1) / PIECE_BYTES);
        self.joined.clear();
        for number in first..=last {
            let start = number * PIECE_BYTES;
            let least = (to - start).min(PIECE_BYTES) as usize;
            let most = (written - start).min(PIECE_BYTES) as usize;
            let is_it = |piece: &Arc<Piece>| {
                piece.segment == segment.header.id && piece.number == number && piece.bytes.len() >= least
            };
            let piece = match self.piece.take_if(|piece| is_it(piece)) {
                Some(piece) => piece,
                None => self.log.cache.piece(segment, number, least, most)?,
            };
            if first < last {
                let begin = (from.max(start) - start) as usize;
                self.joined.extend_from_slice(piece.bytes.get(begin..least).unwrap_or_default());
            }
            self.piece = Some(piece);
        }
        Ok(())
    }

    fn loaded(&self, from: u64, to: u64) -> Option<&[u8]> {
        let length = (to - from) as usize;
        if !self.joined.is_empty() {
            return self.joined.get(..length);
        }
        let begin = (from % PIECE_BYTES) as usize;
        self.piece.as_ref()?.bytes.get(begin..begin + length)
    }
}

/// Some lanes' records in total order.
pub(super) struct LocalRecords<'a> {
    reader: Reader<'a>,
    upto: Address,
    feeds: Vec<Feed>,
}

/// The addresses of one lane's next records.
struct Feed {
    lane: LaneId,
    cursor: Cursor,
    ready: VecDeque<(Position, Address)>,
    /// The position before the next record, and whether the index has no more.
    at: Position,
    ended: bool,
}

impl<'a> LocalRecords<'a> {
    pub(super) fn new(
        log: &'a LocalLog,
        after: &[(LaneId, Position)],
        upto: Address,
    ) -> Result<Self, LogError> {
        let tail = log.tail.lock();
        let feed = |&(lane, at): &(LaneId, Position)| {
            let index = &tail.lane(lane).index;
            let (cursor, _) = index.seek(at).map_err(|Gone| LogError::Trimmed { lane, position: at + 1 })?;
            let at = at.max(index.oldest().position);
            Ok(Feed { lane, cursor, ready: VecDeque::new(), at, ended: false })
        };
        let feeds = after.iter().map(feed).collect::<Result<_, LogError>>()?;
        Ok(Self { reader: Reader::new(log), upto, feeds })
    }

    /// Takes more addresses from the index for the lanes that ran out of them.
    fn refill(&mut self) -> Result<(), LogError> {
        if self.feeds.iter().all(|feed| feed.ended || !feed.ready.is_empty()) {
            return Ok(());
        }
        let tail = self.reader.log.tail.lock();
        for feed in &mut self.feeds {
            let index = &tail.lane(feed.lane).index;
            while feed.ready.len() < ADDRESSES_AT_ONCE && !feed.ended {
                let next = index
                    .next(&mut feed.cursor)
                    .map_err(|Gone| LogError::Trimmed { lane: feed.lane, position: feed.at + 1 })?;
                match next {
                    Some((position, address)) if address < self.upto => {
                        feed.ready.push_back((position, address));
                    }
                    _ => feed.ended = true,
                }
            }
        }
        Ok(())
    }
}

impl Records for LocalRecords<'_> {
    fn next(&mut self) -> Result<Option<Record>, LogError> {
        self.refill()?;
        let firsts = self.feeds.iter().filter_map(|feed| feed.ready.front());
        let Some(&(_, address)) = firsts.min_by_key(|(_, address)| *address) else { return Ok(None) };
        let mut expected = SmallVec::<[(LaneId, Position); 4]>::new();
        for feed in &mut self.feeds {
            if let Some(&(position, at)) = feed.ready.front()
                && at == address
            {
                feed.ready.pop_front();
                feed.at = position;
                expected.push((feed.lane, position));
            }
        }
        let Some(view) = self.reader.record(address)? else {
            let (lane, position) = expected[0];
            return Err(LogError::Trimmed { lane, position });
        };
        let lanes: SmallVec<[(LaneId, Position); 1]> = view.lanes().collect();
        if view.kind == Kind::Data && expected.iter().all(|place| lanes.contains(place)) {
            let (time_ms, body) = (view.time_ms, view.body.to_vec());
            return Ok(Some(Record { address, time_ms, lanes, body }));
        }
        Err(self.reader.other_record(address))
    }
}

impl Reader<'_> {
    fn other_record(&mut self, address: Address) -> LogError {
        let what = "another record is where this lane's record was written";
        match self.find(address) {
            Some((segment, _)) => damaged(&segment.path, segment.offset(address), what),
            None => damaged(&self.log.folders.log, address, what),
        }
    }
}

/// The anchor of a lane at a kept and written position, or at its end, by walking from the nearest one that is known.
pub(super) fn anchor_at(
    log: &LocalLog,
    lane: LaneId,
    position: Position,
) -> Result<Option<Anchor>, LogError> {
    let (mut head, addresses) = {
        let tail = log.tail.lock();
        let state = tail.lane(lane);
        if position == state.head.position {
            return Ok(Some(state.head.anchor));
        }
        let Some(below) = state.index.anchor_below(position) else { return Ok(None) };
        (below, addresses(&state.index, below, position))
    };
    if head.position == position {
        return Ok(Some(head.anchor));
    }
    // What is not written yet has landed nowhere, so nobody who asks can mean it; and a reader does not wait for the writer.
    if addresses.last().is_some_and(|&last| last >= log.safe(Safety::Written)) {
        return Ok(None);
    }
    let mut reader = Reader::new(log);
    for address in addresses {
        let Some(view) = reader.record(address)? else { return Ok(None) };
        let next = head.position + 1;
        if !view.lanes().any(|place| place == (lane, next)) {
            return Err(reader.other_record(address));
        }
        let anchor = head.anchor.next(&log.meta.lineage, lane, next, Anchor::body_hash(view.body));
        head = Head { position: next, anchor };
    }
    Ok((head.position == position).then_some(head.anchor))
}

/// Where the records of a lane behind `below` and up to `position` are. They are all in one chunk of the index.
fn addresses(index: &super::index::LaneIndex, below: Head, position: Position) -> Vec<Address> {
    let Ok((mut cursor, _)) = index.seek(below.position) else { return Vec::new() };
    let mut addresses = Vec::new();
    while let Ok(Some((at, address))) = index.next(&mut cursor)
        && at <= position
    {
        addresses.push(address);
    }
    addresses
}
