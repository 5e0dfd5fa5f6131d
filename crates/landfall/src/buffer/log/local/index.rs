//! Where the records of one lane are: compact addresses in chunks, so that a lander reads exactly its records.
//! It never reads the disk, and it never holds a record's content.

use std::collections::VecDeque;

use super::super::{Address, Gap, Head};
use crate::env::planted::{Bug, planted};
use crate::model::Position;
use crate::model::codec::put_varint;

/// The most records in a chunk: what a search walks over at most.
const CHUNK_RECORDS_MAX: u32 = 4096;

/// The kept records of one lane.
pub(super) struct LaneIndex {
    /// The last position before the kept ones, and its anchor.
    oldest: Head,
    chunks: VecDeque<Chunk>,
    /// How many chunks were dropped from the front: a chunk's number never changes.
    dropped: u64,
    /// Whether the last chunk takes more records. A chunk never reaches over two segments.
    open: bool,
}

/// A run of records with dense positions, in one segment.
struct Chunk {
    /// The lane's end where the chunk before ended. Below `before` when a gap lies between.
    from: Head,
    /// The lane's end before the first record here.
    before: Head,
    /// Where the first address is counted from: the first record itself, or the gap's record.
    start: Address,
    last: Address,
    count: u32,
    /// Each record's distance from the address before it, as varints.
    steps: Vec<u8>,
}

impl Chunk {
    fn end(&self) -> Position {
        self.before.position + u64::from(self.count)
    }
}

/// A place between two records of a lane. It stays valid while the log grows, and as long as what is behind it is kept.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    chunk: u64,
    /// How many records and bytes of the chunk lie before this place, and the address of the last of them.
    nth: u32,
    byte: u32,
    address: Address,
    /// The last position before this place.
    position: Position,
}

impl Cursor {
    /// The address of the last record before this place, as far as its chunk tells; 0 at the beginning of a chunk.
    pub(super) fn last(&self) -> Address {
        if self.nth > 0 { self.address } else { 0 }
    }
}

/// The records that a cursor asks for are no longer kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone;

impl LaneIndex {
    /// An index without records behind `oldest`.
    pub(super) fn new(oldest: Head) -> Self {
        Self { oldest, chunks: VecDeque::new(), dropped: 0, open: false }
    }

    /// The end of what is no longer kept.
    pub(super) fn oldest(&self) -> Head {
        self.oldest
    }

    /// Adds the record at `address`, which follows `before`.
    pub(super) fn push(&mut self, address: Address, before: Head) {
        if !self.open {
            self.start_chunk(address, before, before);
        }
        let Some(chunk) = self.chunks.back_mut() else { return };
        put_varint(&mut chunk.steps, address - chunk.last);
        chunk.last = address;
        chunk.count += 1;
        if chunk.count == CHUNK_RECORDS_MAX {
            self.close_chunk();
        }
    }

    /// Adds a gap, whose record is at `address`, between the lane's end `from` and its new end `to`.
    pub(super) fn gap(&mut self, address: Address, from: Head, to: Head) {
        self.close_chunk();
        self.start_chunk(address, from, to);
    }

    /// The gap that begins at `position` or reaches over it, as far as it is kept, and the address of its record.
    pub(super) fn gap_over(&self, position: Position) -> Option<(Gap, Address)> {
        let at = self.chunks.partition_point(|chunk| chunk.before.position <= position);
        let chunk = self.chunks.get(at).filter(|chunk| chunk.from.position <= position)?;
        Some((Gap { from: chunk.from, to: chunk.before }, chunk.start))
    }

    /// Makes the next record begin a chunk; called when it begins a segment.
    pub(super) fn close_chunk(&mut self) {
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.steps.shrink_to_fit();
        }
        self.open = false;
    }

    fn start_chunk(&mut self, address: Address, from: Head, before: Head) {
        let chunk = Chunk { from, before, start: address, last: address, count: 0, steps: Vec::new() };
        self.chunks.push_back(chunk);
        self.open = true;
    }

    /// Drops what lies before `base`, the start of a segment. `head` is the lane's end.
    pub(super) fn trim(&mut self, base: Address, head: Head) {
        while self.chunks.front().is_some_and(|chunk| chunk.last < base) {
            self.chunks.pop_front();
            self.dropped += 1;
            self.oldest = self.chunks.front().map_or(head, |next| next.from);
        }
        self.open &= !self.chunks.is_empty();
    }

    /// The memory that it takes, in bytes.
    pub(super) fn memory_bytes(&self) -> u64 {
        let bytes = |chunk: &Chunk| (chunk.steps.capacity() + std::mem::size_of::<Chunk>()) as u64;
        self.chunks.iter().map(bytes).sum()
    }

    /// How many records are kept.
    pub(super) fn count(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.count)).sum()
    }

    /// Whether every record behind a position is still kept.
    pub(super) fn keeps_behind(&self, position: Position) -> bool {
        position >= self.oldest.position || planted(Bug::NoContiguity)
    }

    /// The place behind `position` and before the next record, and how many records it passed since the oldest.
    pub(super) fn seek(&self, position: Position) -> Result<(Cursor, u64), Gone> {
        if !self.keeps_behind(position) {
            return Err(Gone);
        }
        let mut cursor = self.begin(self.dropped, self.oldest.position);
        let passed = self.advance(&mut cursor, position)?;
        Ok((cursor, passed))
    }

    fn begin(&self, chunk: u64, position: Position) -> Cursor {
        let start = self.chunk(chunk).map_or(0, |chunk| chunk.start);
        Cursor { chunk, nth: 0, byte: 0, address: start, position }
    }

    fn chunk(&self, number: u64) -> Option<&Chunk> {
        self.chunks.get(usize::try_from(number.checked_sub(self.dropped)?).ok()?)
    }

    /// Moves behind `position` and returns how many records it passed.
    pub(super) fn advance(&self, cursor: &mut Cursor, position: Position) -> Result<u64, Gone> {
        let mut passed = 0;
        while cursor.position < position {
            if let Some(chunk) = self.chunk(cursor.chunk)
                && chunk.end() <= position
                && cursor.nth < chunk.count
            {
                passed += u64::from(chunk.count - cursor.nth);
                *cursor = Cursor {
                    chunk: cursor.chunk,
                    nth: chunk.count,
                    byte: chunk.steps.len() as u32,
                    address: chunk.last,
                    position: chunk.end(),
                };
                continue;
            }
            let mut next = *cursor;
            match self.next(&mut next)? {
                Some((found, _)) if found <= position => {
                    *cursor = next;
                    passed += 1;
                }
                _ => break,
            }
        }
        Ok(passed)
    }

    /// The next record's position and address; moves behind it.
    pub(super) fn next(&self, cursor: &mut Cursor) -> Result<Option<(Position, Address)>, Gone> {
        if cursor.chunk < self.dropped || self.chunk(cursor.chunk).is_none() {
            if cursor.position < self.oldest.position {
                return Err(Gone);
            }
            *cursor = self.begin(self.dropped.max(cursor.chunk), cursor.position);
        }
        loop {
            let Some(chunk) = self.chunk(cursor.chunk) else { return Ok(None) };
            if cursor.nth < chunk.count {
                let (step, length) = varint(&chunk.steps[cursor.byte as usize..]);
                if cursor.nth == 0 {
                    cursor.address = chunk.start;
                }
                cursor.nth += 1;
                cursor.byte += length;
                cursor.address += step;
                cursor.position = chunk.before.position + u64::from(cursor.nth);
                return Ok(Some((cursor.position, cursor.address)));
            }
            if self.chunk(cursor.chunk + 1).is_none() {
                return Ok(None);
            }
            *cursor = self.begin(cursor.chunk + 1, cursor.position);
        }
    }

    /// The last position whose record begins before `address`.
    pub(super) fn position_before(&self, address: Address) -> Position {
        let at = self.chunks.partition_point(|chunk| chunk.start < address);
        let Some(chunk) = at.checked_sub(1).and_then(|at| self.chunks.get(at)) else {
            return self.oldest.position;
        };
        let (mut position, mut last, mut rest) = (chunk.before.position, chunk.start, &chunk.steps[..]);
        while !rest.is_empty() {
            let (step, length) = varint(rest);
            last += step;
            if last >= address {
                break;
            }
            position += 1;
            rest = &rest[length as usize..];
        }
        position
    }

    /// The first record or gap from `base` on, the start of a segment.
    pub(super) fn first_from(&self, base: Address) -> Option<Address> {
        let at = self.chunks.partition_point(|chunk| chunk.start < base);
        self.chunks.get(at).map(|chunk| chunk.start)
    }

    /// The nearest known anchor at or below a kept position; none when the position is not kept or in a gap.
    pub(super) fn anchor_below(&self, position: Position) -> Option<Head> {
        if position == self.oldest.position {
            return Some(self.oldest);
        }
        let at = self.chunks.partition_point(|chunk| chunk.before.position <= position).checked_sub(1)?;
        let chunk = &self.chunks[at];
        (position <= chunk.end()).then_some(chunk.before)
    }
}

/// Decodes what `put_varint` wrote into this same memory; returns the number and its length.
fn varint(bytes: &[u8]) -> (u64, u32) {
    let (mut n, mut length) = (0, 0);
    for &byte in bytes {
        n |= u64::from(byte & 0x7f) << (7 * length);
        length += 1;
        if byte < 0x80 {
            break;
        }
    }
    (n, length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::seeded::Dice;
    use crate::model::Anchor;

    /// The index and, beside it, what it must say.
    struct Both {
        index: LaneIndex,
        records: Vec<(Position, Address)>,
        head: Head,
        address: Address,
    }

    impl Both {
        fn new() -> Self {
            let head = Head { position: 0, anchor: Anchor::START };
            Self { index: LaneIndex::new(head), records: Vec::new(), head, address: 0 }
        }

        fn push(&mut self, step: u64) {
            self.address += step;
            self.index.push(self.address, self.head);
            let n = self.head.position + 1;
            self.records.push((n, self.address));
            self.head = Head { position: n, anchor: Anchor((n as u128).to_le_bytes()) };
        }

        /// Asks for everything behind a position, in two halves.
        fn check(&self, after: Position) {
            let from = self.records.partition_point(|(position, _)| *position <= after);
            let expected = &self.records[from..];
            let (mut cursor, passed) = self.index.seek(after).unwrap();
            if let Some(&(position, address)) = expected.first() {
                let before = self.index.position_before(address);
                assert!(
                    before < position && from.checked_sub(1).is_none_or(|at| self.records[at].0 <= before)
                );
                assert_eq!(self.index.position_before(address + 1), position);
            }
            assert_eq!(passed, from as u64);
            let some = expected.len() / 2;
            for record in &expected[..some] {
                assert_eq!(self.index.next(&mut cursor), Ok(Some(*record)));
            }
            let mut other = cursor;
            let rest = self.index.advance(&mut other, self.head.position).unwrap();
            assert_eq!(rest, (expected.len() - some) as u64);
            assert_eq!(self.index.next(&mut other), Ok(None));
            for record in &expected[some..] {
                assert_eq!(self.index.next(&mut cursor), Ok(Some(*record)));
            }
            assert_eq!(self.index.next(&mut cursor), Ok(None));
        }
    }

    #[test]
    fn an_index_finds_every_record_from_every_position_through_gaps_segments_and_trims() {
        for seed in 0..20 {
            let mut dice = Dice(seed);
            let mut both = Both::new();
            for _ in 0..30_000 {
                let far = if dice.one_in(50) { 1 << 40 } else { 300 };
                both.push(1 + dice.below(far));
                if dice.one_in(3000) {
                    both.index.close_chunk();
                }
                if dice.one_in(5000) {
                    both.address += 44;
                    let from = both.head;
                    let position = from.position + 1 + dice.below(1 << 50);
                    both.head = Head { position, anchor: Anchor([7; 16]) };
                    both.index.gap(both.address, from, both.head);
                    both.check(position - 1);
                    let found = Some((Gap { from, to: both.head }, both.address));
                    let over = |position| both.index.gap_over(position);
                    assert_eq!([over(from.position), over(position - 1)], [found, found]);
                    assert_eq!([over(from.position.wrapping_sub(1)), over(position)], [None, None]);
                }
            }
            assert_eq!(both.index.count(), 30_000);
            for _ in 0..20 {
                let at = dice.below(both.records.len() as u64) as usize;
                both.check(both.records[at].0);
            }
            both.check(0);
            // Chunks that lie before the middle as a whole go.
            let (middle, base) = both.records[15_000];
            both.index.trim(base, both.head);
            let oldest = both.index.oldest();
            assert!(oldest.position < middle);
            assert_eq!(both.index.seek(oldest.position.wrapping_sub(1)).unwrap_err(), Gone);
            both.records.retain(|(position, _)| *position > oldest.position);
            assert_eq!(both.index.count(), both.records.len() as u64);
            both.check(oldest.position);
            both.check(middle);
            both.index.trim(Address::MAX, both.head);
            assert_eq!((both.index.count(), both.index.oldest()), (0, both.head));
        }
    }

    #[test]
    fn a_cursor_at_the_end_sees_what_comes_later_and_what_was_let_go() {
        let mut both = Both::new();
        let (mut cursor, _) = both.index.seek(0).unwrap();
        let mut behind = cursor;
        assert_eq!(both.index.next(&mut cursor), Ok(None));
        both.push(10);
        assert_eq!(both.index.next(&mut cursor), Ok(Some((1, 10))));
        assert_eq!(both.index.next(&mut cursor), Ok(None));
        both.index.close_chunk();
        both.push(10);
        both.index.trim(20, both.head);
        assert_eq!(both.index.next(&mut cursor), Ok(Some((2, 20))));
        assert_eq!(both.index.next(&mut behind), Err(Gone));
    }
}
