//! The spill file: what only groups that do not land still need of segments that everybody else has left behind. Without it one
//! record that a paused group owes keeps the whole log behind it. It never is the only home of a record before it is durable
//! under its name and META names it, and it is never written to again.
//!
//! # How it works
//!
//! When the log has grown to three eighths of its bound, and some lanes have landed far behind the oldest record that others owe, the
//! records of those others are copied to a file of their own (`build`), each with its address, so the index goes on as it is: a reader
//! looks into the segment that has the address, and into the spill file when no segment has it any more (`look_up`). A segment
//! is then owed only by lanes whose records in it are not in the spill file, and goes the way of every landed segment. There is one spill
//! file at most: the next one takes over what is still owed of it.
//!
//! # What always holds
//!
//! 1. **META names the spill file, or none.** A file gets its name when all of it is synced, META names it when its name is synced, and only
//!    then does any segment count as landed for it. A spill file that META does not name is a leftover; a start removes it.
//! 2. **No record owed is without a durable home.** A segment goes only when each of its records has landed in each of its
//!    lanes, or is in the spill file that META names. A spill file goes only when META durably names another that holds all that is
//!    owed of it, or none, all of it having landed.
//! 3. **None is read twice.** A record has one address, in the segment and in the copy. Segments come first: of the spill file counts what lies
//!    before the oldest segment, and nothing else.
//! 4. **The order of a lane holds.** The file has for each of its lanes the end before the first record and the end behind the last, with
//!    anchors, and a start follows the chain of hashes from the one, over every record, to the lane map of the oldest segment, and on to the other.
//!    Only a lane whose records in the file have all landed may have a hole behind them; then they do not count.
//!    Which lanes of a record count follows from the same: one that has gone on is not asked for.
//! 5. **What is the whole log needs no spill file.** A segment that declares everything before it void holds all there is, as the first one
//!    and a repaired one do; while it is the oldest, the spill file does not count.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::{Address, Head, LogError};
use super::record::{self, NoRecord, View, anchor_at, u32_at, u64_at};
use super::segment::FORMAT_VERSION;
use super::{damaged, failed};
use crate::env::{Disk, DiskFile};
use crate::model::{LaneId, Lineage};

pub(super) mod build;
pub(super) mod look_up;
pub(super) mod replay;
pub(super) mod walk;

const MAGIC: &[u8; 8] = b"LANDSPIL";
/// The first page; the parts begin behind it.
const PAGE: usize = 4096;
const HEADER_CRC_AT: usize = 96;
/// Lane, first address, and two ends.
const PART_BYTES: usize = 4 + 8 + 24 + 24;
/// The address before each record.
const ADDRESS_BYTES: usize = 8;
/// What is read at once.
const WINDOW_BYTES: usize = 1 << 18;
/// How far apart the known places of the file are: what a search reads at most, but for one long record.
const BLOCK_BYTES: u64 = 1 << 16;

/// What a spill file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) lineage: Lineage,
    /// Its number, raised by one with each.
    pub(super) id: u64,
    /// The offset behind its last record.
    pub(super) length: u64,
    /// It holds what lies before this address, the beginning of a segment.
    pub(super) through: Address,
    pub(super) records: u64,
    pub(super) salt: u64,
    pub(super) created_ms: u64,
}

/// A lane's part of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) lane: LaneId,
    /// All records of the lane from this address on, the beginning of a segment, are here.
    pub(super) from: Address,
    /// The lane's end there, and before `through`.
    pub(super) before: Head,
    pub(super) end: Head,
}

/// A spill file whose header and parts are as they were written.
pub(super) struct Spill {
    pub(super) header: Header,
    pub(super) parts: Vec<Part>,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    /// Now and then the place of a record: its address and offset.
    blocks: Vec<(Address, u64)>,
}

/// The name of a spill file.
pub(super) fn file_name(id: u64) -> String {
    format!("{id:06}.spill")
}

/// The spill file that a file's name names.
pub(super) fn id_of(name: &str) -> Option<u64> {
    let id: u64 = name.strip_suffix(".spill")?.parse().ok()?;
    (id > 0 && file_name(id) == name).then_some(id)
}

impl Header {
    fn seed(&self) -> u32 {
        record::seed(&self.lineage.0, self.id, self.salt)
    }

    /// The first page and the parts.
    fn encode(&self, parts: &[Part]) -> Vec<u8> {
        let mut bytes = vec![0; PAGE];
        for part in parts {
            bytes.extend_from_slice(&part.lane.0.to_le_bytes());
            bytes.extend_from_slice(&part.from.to_le_bytes());
            for head in [part.before, part.end] {
                bytes.extend_from_slice(&head.position.to_le_bytes());
                bytes.extend_from_slice(&head.anchor.0);
            }
        }
        let sum = crc32c::crc32c_append(self.seed(), &bytes[PAGE..]);
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.lineage.0);
        let (count, sum) = (parts.len() as u64, u64::from(sum));
        let numbers =
            [self.id, self.length, self.through, self.records, count, self.salt, self.created_ms, sum];
        for (at, number) in (32..HEADER_CRC_AT).step_by(8).zip(numbers) {
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes[..HEADER_CRC_AT]);
        bytes[HEADER_CRC_AT..HEADER_CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header, the number of parts and their checksum.
    fn decode(page: &[u8], path: &Path) -> Result<(Self, u64, u64), LogError> {
        if page.len() < PAGE || &page[..8] != MAGIC {
            return Err(damaged(path, 0, "this is not the beginning of a spill file"));
        }
        if crc32c::crc32c(&page[..HEADER_CRC_AT]) != u32_at(page, HEADER_CRC_AT) {
            return Err(damaged(path, 0, "the checksum of the spill file's header does not fit"));
        }
        let (version, bits) = (u32_at(page, 8), u32_at(page, 12));
        if version != FORMAT_VERSION || bits != 0 {
            let what = format!("spill file format {version} with feature bits {bits:#x}");
            return Err(LogError::Format { file: path.into(), what });
        }
        let mut lineage = [0; 16];
        lineage.copy_from_slice(&page[16..32]);
        let header = Self {
            lineage: Lineage(lineage),
            id: u64_at(page, 32),
            length: u64_at(page, 40),
            through: u64_at(page, 48),
            records: u64_at(page, 56),
            salt: u64_at(page, 72),
            created_ms: u64_at(page, 80),
        };
        Ok((header, u64_at(page, 64), u64_at(page, 88)))
    }
}

impl Part {
    fn decode(bytes: &[u8]) -> Self {
        let head = |at| Head { position: u64_at(bytes, at), anchor: anchor_at(bytes, at + 8) };
        let lane = LaneId(u32_at(bytes, 0));
        Self { lane, from: u64_at(bytes, 4), before: head(12), end: head(36) }
    }
}

impl Spill {
    /// Opens the spill file of this number; its records are not read.
    pub(super) fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        id: u64,
        lineage: Lineage,
    ) -> Result<Self, LogError> {
        let path = dir.join(file_name(id));
        let io = |reason| failed("read", &path, &reason);
        let file = match disk.open(&path) {
            Err(reason) if reason.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged(&path, 0, "META names this spill file, and it is missing"));
            }
            file => file.map_err(io)?,
        };
        let mut page = vec![0; PAGE];
        let got = file.read_at(&mut page, 0).map_err(io)?;
        page.truncate(got);
        let (header, count, sum) = Header::decode(&page, &path)?;
        if header.lineage != lineage || header.id != id {
            return Err(damaged(&path, 16, "this spill file belongs to another log or has another's name"));
        }
        // The header's word for a length is not trusted with memory.
        let length = count.saturating_mul(PART_BYTES as u64).min(file.length().map_err(io)?);
        let mut bytes = vec![0; length as usize];
        let got = file.read_at(&mut bytes, PAGE as u64).map_err(io)?;
        bytes.truncate(got);
        if u64::from(crc32c::crc32c_append(header.seed(), &bytes)) != sum
            || bytes.len() as u64 != count.saturating_mul(PART_BYTES as u64)
        {
            return Err(damaged(&path, PAGE as u64, "the checksum of the spill file's parts does not fit"));
        }
        let parts = bytes.chunks_exact(PART_BYTES).map(Part::decode).collect();
        Ok(Self { header, parts, path, file, blocks: Vec::new() })
    }

    /// The offset of the first record.
    pub(super) fn begin(&self) -> u64 {
        (PAGE + self.parts.len() * PART_BYTES) as u64
    }

    /// Its records, by their offsets.
    pub(super) fn frames(&self) -> Frames {
        Frames {
            file: self.file.clone(),
            seed: self.header.seed(),
            end: self.header.length,
            window: Vec::new(),
            start: 0,
        }
    }

    /// Notes the place of a record, if the last noted one is far enough away.
    fn note_place(blocks: &mut Vec<(Address, u64)>, address: Address, offset: u64) {
        if blocks.last().is_none_or(|&(_, last)| offset - last >= BLOCK_BYTES) {
            blocks.push((address, offset));
        }
    }

    pub(super) fn bad(&self, offset: u64, what: &str) -> LogError {
        damaged(&self.path, offset, what)
    }
}

/// A record in a spill file.
pub(super) struct Frame<'a> {
    /// Where it was in the log.
    pub(super) address: Address,
    /// Its bytes in this file.
    pub(super) bytes: u64,
    pub(super) view: View<'a>,
}

/// Reads a spill file's records, best from front to back.
pub(super) struct Frames {
    file: Arc<dyn DiskFile>,
    seed: u32,
    end: u64,
    window: Vec<u8>,
    start: u64,
}

impl Frames {
    /// The record at an offset, or why there is none.
    pub(super) fn at(&mut self, offset: u64) -> std::io::Result<Result<Frame<'_>, NoRecord>> {
        const SHORT: NoRecord = NoRecord::Bad("the spill file ends in the middle of a record");
        if offset >= self.end {
            return Ok(Err(NoRecord::End));
        }
        let head = self.load(offset, ADDRESS_BYTES + record::HEAD_BYTES)?;
        let Some(head) = head.get(ADDRESS_BYTES..) else { return Ok(Err(SHORT)) };
        let length = match record::claimed_length(head) {
            Ok(length) if offset + (ADDRESS_BYTES + length) as u64 <= self.end => ADDRESS_BYTES + length,
            Ok(_) => return Ok(Err(NoRecord::Bad("a record reaches beyond the end of the spill file"))),
            Err(NoRecord::End) => return Ok(Err(NoRecord::Bad("records that were here are gone"))),
            Err(reason) => return Ok(Err(reason)),
        };
        let seed = self.seed;
        let bytes = self.load(offset, length)?;
        if bytes.len() < length {
            return Ok(Err(SHORT));
        }
        let (address, bytes) = bytes.split_at(ADDRESS_BYTES);
        let seed = crc32c::crc32c_append(seed, address);
        let address = u64_at(address, 0);
        Ok(record::decode(bytes, seed).map(|view| Frame { address, bytes: length as u64, view }))
    }

    /// Up to so many bytes from an offset on; fewer where the file ends.
    fn load(&mut self, from: u64, count: usize) -> std::io::Result<&[u8]> {
        let count = (count as u64).min(self.end - from) as usize;
        if from < self.start || from + count as u64 > self.start + self.window.len() as u64 {
            // The file's own length, and not what a damaged one claims.
            let length = self.file.length()?.min(self.end).saturating_sub(from);
            self.window.resize(length.min(count.max(WINDOW_BYTES) as u64) as usize, 0);
            let got = self.file.read_at(&mut self.window, from)?;
            self.window.truncate(got);
            self.start = from;
        }
        let at = (from - self.start) as usize;
        Ok(&self.window[at..self.window.len().min(at + count)])
    }
}

/// The spill files in a folder.
pub(super) fn ids(names: &[String]) -> impl Iterator<Item = u64> + '_ {
    names.iter().filter_map(|name| id_of(name))
}
