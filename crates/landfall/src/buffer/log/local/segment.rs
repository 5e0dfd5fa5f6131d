//! One segment file: its header, its marks of what is durable, and how it comes into being (docs/format.md, "Segments").
//! It never overwrites a record, and a file has a segment's name only when its header is durable.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::{Address, LogError};
use super::record::{self, u32_at, u64_at};
use crate::env::planted::{Bug, planted};
use crate::env::{Disk, DiskFile};
use crate::model::Lineage;

/// Where records begin in a file.
pub(super) const DATA_START: u64 = 4096;
/// The version of the format that is written, and the only one that is read.
pub(super) const FORMAT_VERSION: u32 = 1;
/// Records may hold clears of all keys.
const CLEARS: u32 = 1;
/// Keys may have parts of streams.
const STREAMS: u32 = 1 << 1;
const FEATURES: u32 = CLEARS | STREAMS;

const MAGIC: &[u8; 8] = b"LANDFLOG";
const HEADER_CRC_AT: usize = 96;
/// The two marks have a sector each, so that one torn write never spoils both.
const MARK_AT: [usize; 2] = [512, 1024];
const MARK_BYTES: usize = 20;
/// After so many zeros a new file is synced.
const ZEROS_SYNC_BYTES: u64 = 4 << 20;
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) lineage: Lineage,
    /// Its number, raised by one with each segment.
    pub(super) id: u64,
    /// The length of the file.
    pub(super) capacity: u64,
    /// The address of its first record.
    pub(super) base: Address,
    /// The segment before, or 0; and the offset at which that one ends.
    pub(super) previous: u64,
    pub(super) previous_end: u64,
    /// Segments from this one up to `id` are void: recovery copied what they held. Else `id`.
    pub(super) void_from: u64,
    /// Random, in the seed of every checksum: what the file held before is never valid.
    pub(super) salt: u64,
    pub(super) created_ms: u64,
}

impl Header {
    pub(super) fn seed(&self) -> u32 {
        let (id, salt) = if planted(Bug::OldRecordsCount) { (0, 0) } else { (self.id, self.salt) };
        record::seed(&self.lineage.0, id, salt)
    }

    fn encode(&self) -> [u8; DATA_START as usize] {
        let mut page = [0; DATA_START as usize];
        page[..8].copy_from_slice(MAGIC);
        page[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        page[12..16].copy_from_slice(&FEATURES.to_le_bytes());
        page[16..32].copy_from_slice(&self.lineage.0);
        let numbers = [
            self.id,
            self.capacity,
            self.base,
            self.previous,
            self.previous_end,
            self.void_from,
            self.salt,
            self.created_ms,
        ];
        for (at, number) in (32..HEADER_CRC_AT).step_by(8).zip(numbers) {
            page[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        let crc = crc32c::crc32c(&page[..HEADER_CRC_AT]);
        page[HEADER_CRC_AT..HEADER_CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        page
    }

    /// The header that a file begins with. The checksum comes before the version: only a whole header of another
    /// version is a matter of format, anything else is damage.
    pub(super) fn decode(page: &[u8], file: &Path) -> Result<Self, LogError> {
        let damaged = |what: &str| LogError::Damaged { file: file.into(), offset: 0, what: what.to_owned() };
        if page.len() < DATA_START as usize || &page[..8] != MAGIC {
            return Err(damaged("this is not the beginning of a segment"));
        }
        if crc32c::crc32c(&page[..HEADER_CRC_AT]) != u32_at(page, HEADER_CRC_AT) {
            return Err(damaged("the checksum of the segment's header does not fit"));
        }
        let (version, bits) = (u32_at(page, 8), u32_at(page, 12));
        if version != FORMAT_VERSION || bits & !FEATURES != 0 {
            let what = format!("segment format {version} with feature bits {bits:#x}");
            return Err(LogError::Format { file: file.into(), what });
        }
        let mut lineage = [0; 16];
        lineage.copy_from_slice(&page[16..32]);
        Ok(Self {
            lineage: Lineage(lineage),
            id: u64_at(page, 32),
            capacity: u64_at(page, 40),
            base: u64_at(page, 48),
            previous: u64_at(page, 56),
            previous_end: u64_at(page, 64),
            void_from: u64_at(page, 72),
            salt: u64_at(page, 80),
            created_ms: u64_at(page, 88),
        })
    }
}

/// A mark: everything before `offset`, and everything in older segments, is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Raised with each mark; the higher one holds, and its last bit says which slot it is in.
    pub(super) sequence: u64,
    pub(super) offset: u64,
}

impl Mark {
    fn encode(self, seed: u32) -> [u8; MARK_BYTES] {
        let mut slot = [0; MARK_BYTES];
        slot[..8].copy_from_slice(&self.sequence.to_le_bytes());
        slot[8..16].copy_from_slice(&self.offset.to_le_bytes());
        let crc = crc32c::crc32c_append(seed, &slot[..16]);
        slot[16..].copy_from_slice(&crc.to_le_bytes());
        slot
    }

    fn at(self) -> usize {
        MARK_AT[(self.sequence % 2) as usize]
    }

    /// The newest valid mark of a header page.
    pub(super) fn newest(page: &[u8], seed: u32) -> Option<Self> {
        let valid = |at: usize| {
            let slot = page.get(at..at + MARK_BYTES)?;
            let mark = Mark { sequence: u64_at(slot, 0), offset: u64_at(slot, 8) };
            (mark.sequence > 0 && mark.encode(seed) == slot).then_some(mark)
        };
        MARK_AT.into_iter().filter_map(valid).max_by_key(|mark| mark.sequence)
    }
}

/// A segment that has its name.
pub(super) struct Segment {
    pub(super) header: Header,
    pub(super) seed: u32,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
}

impl Segment {
    /// Writes a mark; it becomes durable with the next sync of the file.
    pub(super) fn write_mark(&self, mark: Mark) -> io::Result<()> {
        self.file.write_at(&mark.encode(self.seed), mark.at() as u64)
    }

    /// The file's offset of an address in this segment.
    pub(super) fn offset(&self, address: Address) -> u64 {
        DATA_START + (address - self.header.base)
    }
}

/// A prepared file, not a segment yet.
#[derive(Clone)]
pub(super) struct Spare {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) capacity: u64,
}

/// The name of a segment's file.
pub(super) fn file_name(id: u64) -> String {
    format!("{id:06}.seg")
}

/// The segment that a file's name names.
pub(super) fn id_of(name: &str) -> Option<u64> {
    let id: u64 = name.strip_suffix(".seg")?.parse().ok()?;
    (id > 0 && file_name(id) == name).then_some(id)
}

/// How a new file gets its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// The zeros are written, which takes a while and halves the time of every later sync: no block has to be
    /// allocated or turned into a written one then.
    Zeros,
    /// The room is reserved, which takes no time: for somebody who waits.
    Reserved,
}

/// Makes a file of this length under a name that recovery does not look at.
pub(super) fn make_spare(
    disk: &Arc<dyn Disk>,
    path: PathBuf,
    capacity: u64,
    fill: Fill,
) -> io::Result<Spare> {
    let made = || {
        let file = disk.create(&path)?;
        // First, so that a disk that is too full says so at once, and the blocks lie together.
        let reserved = match file.reserve(capacity) {
            Err(reason) if reason.kind() == io::ErrorKind::Unsupported => false,
            reserved => reserved.map(|()| true)?,
        };
        if fill == Fill::Zeros || !reserved {
            write_zeros(&*file, capacity)?;
        }
        file.sync_data()?;
        Ok(file)
    };
    match made() {
        Ok(file) => Ok(Spare { path, file, capacity }),
        Err(reason) => {
            // A half-made file would keep the room that is missing. That it cannot be removed changes nothing.
            let _ = disk.remove(&path);
            Err(reason)
        }
    }
}

/// Writes zeros and syncs them in steps: one sync of all of them would hold up every other sync of the disk.
fn write_zeros(file: &dyn DiskFile, capacity: u64) -> io::Result<()> {
    let mut at = 0;
    while at < capacity {
        let step = (capacity - at).min(ZEROS.len() as u64);
        file.write_at(&ZEROS[..step as usize], at)?;
        at += step;
        if at.is_multiple_of(ZEROS_SYNC_BYTES) {
            file.sync_data()?;
        }
    }
    Ok(())
}

/// Why a spare did not become a segment.
pub(super) enum NotBegun {
    /// The file was never a segment, and another one may be tried.
    Room(io::Error),
    /// Whether the name is durable is unknown.
    Unknown(io::Error),
}

/// Makes a spare the segment of this header: everything in it is durable before it has its name, and the name is
/// durable before this returns.
pub(super) fn begin(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    spare: Spare,
    header: Header,
    content: &[u8],
    mark: Option<Mark>,
) -> Result<Segment, NotBegun> {
    let seed = header.seed();
    let mut page = header.encode();
    if let Some(mark) = mark {
        page[mark.at()..mark.at() + MARK_BYTES].copy_from_slice(&mark.encode(seed));
    }
    let written = || {
        spare.file.write_at(&page, 0)?;
        if !content.is_empty() {
            spare.file.write_at(content, DATA_START)?;
        }
        spare.file.sync_data()
    };
    if let Err(reason) = written() {
        // Not trusted again after a failed sync, so it goes; that it cannot be removed changes nothing.
        let _ = disk.remove(&spare.path);
        return Err(NotBegun::Room(reason));
    }
    let path = dir.join(file_name(header.id));
    let named = disk.rename(&spare.path, &path);
    let named = if planted(Bug::NoDirectorySync) { named } else { named.and_then(|()| disk.sync_dir(dir)) };
    named.map_err(NotBegun::Unknown)?;
    Ok(Segment { header, seed, path, file: spare.file })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            lineage: Lineage([1; 16]),
            id: 2,
            capacity: 1 << 20,
            base: 300,
            previous: 1,
            previous_end: 4396,
            void_from: 2,
            salt: 77,
            created_ms: 5,
        }
    }

    #[test]
    fn a_header_reads_back_and_each_changed_byte_of_it_is_refused() {
        let page = header().encode();
        let path = Path::new("000002.seg");
        assert_eq!(Header::decode(&page, path).unwrap(), header());
        for at in 0..HEADER_CRC_AT + 4 {
            let mut changed = page;
            changed[at] ^= 0x10;
            assert!(matches!(Header::decode(&changed, path), Err(LogError::Damaged { .. })), "byte {at}");
        }
    }

    #[test]
    fn an_unknown_version_or_feature_bit_is_a_matter_of_format_and_not_of_damage() {
        for at in [8, 12] {
            let mut page = header().encode();
            page[at] ^= 0x40;
            let crc = crc32c::crc32c(&page[..HEADER_CRC_AT]);
            page[HEADER_CRC_AT..HEADER_CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
            assert!(matches!(Header::decode(&page, Path::new("x")), Err(LogError::Format { .. })));
        }
    }

    #[test]
    fn the_newest_valid_mark_counts_and_a_spoiled_one_leaves_the_other() {
        let mut page = header().encode();
        assert_eq!(Mark::newest(&page, 9), None);
        for (sequence, offset) in [(1, 5000), (2, 6000), (3, 7000)] {
            let mark = Mark { sequence, offset };
            page[mark.at()..mark.at() + MARK_BYTES].copy_from_slice(&mark.encode(9));
            assert_eq!(Mark::newest(&page, 9), Some(mark));
        }
        assert_eq!(Mark::newest(&page, 8), None, "the mark of another segment");
        page[MARK_AT[1] + 3] ^= 1;
        assert_eq!(Mark::newest(&page, 9), Some(Mark { sequence: 2, offset: 6000 }));
    }

    #[test]
    fn only_a_segment_s_exact_name_is_one() {
        assert_eq!(id_of(&file_name(7)), Some(7));
        assert_eq!(id_of(&file_name(12_345_678)), Some(12_345_678));
        for name in ["7.seg", "000000.seg", "0000007.seg", "000007.seg.bak", "spare", "+00007.seg"] {
            assert_eq!(id_of(name), None, "{name}");
        }
    }
}
