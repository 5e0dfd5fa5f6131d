//! Logs on a disk in memory, for the targets that damage them; the bytes are written after docs/format.md.
//! Nothing here may use the library's own code to write what the library has to read.

use std::path::Path;
use std::sync::Arc;

use landfall::buffer::log::local::{LocalLog, LocalLogSettings};
use landfall::buffer::log::{Log, LogError, Record};
use landfall::model::{LaneId, Position};

use crate::disk::MemoryDisk;

pub(super) const DIR: &str = "data";
pub(super) const SEGMENT_BYTES: u64 = 8192;
/// Where records begin.
pub(super) const PAGE: usize = 4096;

/// Small segments; nothing that has landed is kept.
pub(super) fn settings() -> LocalLogSettings {
    LocalLogSettings {
        segment_bytes: SEGMENT_BYTES,
        log_bytes_max: 1 << 20,
        record_bytes_max: 2048,
        retention_ms: 0,
        retention_bytes: 0,
        retained_bytes_max: 1 << 20,
        zero_fill: true,
        mapped: false,
    }
}

/// A new log on a new disk.
pub(super) fn new_log() -> (Arc<MemoryDisk>, LocalLog) {
    let disk = MemoryDisk::of(&Default::default());
    let (log, _) = LocalLog::open(disk.env(), Path::new(DIR), settings()).expect("an empty disk takes a log");
    (disk, log)
}

/// Everything that a log holds behind these positions, in its order.
pub(super) fn read(log: &dyn Log, after: &[(LaneId, Position)]) -> Result<Vec<Record>, LogError> {
    let mut records = log.records(after, log.accepted())?;
    let mut found = Vec::new();
    while let Some(record) = records.next()? {
        found.push(record);
    }
    Ok(found)
}

/// CRC-32C, going on from a sum.
pub(super) fn crc(sum: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(sum, bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

/// What every checksum in a segment starts from.
pub(super) fn seed(lineage: &[u8; 16], id: u64, salt: u64) -> u32 {
    crc(crc(crc(0, lineage), &id.to_le_bytes()), &salt.to_le_bytes())
}

/// The sequence and offset of the newest valid mark in a segment's first page.
pub(super) fn newest_mark(page: &[u8], seed: u32) -> Option<(u64, u64)> {
    let slots = [512, 1024].into_iter().filter_map(|at| {
        let slot = page.get(at..at + 20)?;
        let sum = crc(seed, &slot[..16]).to_le_bytes();
        (slot[16..] == sum && u64_at(slot, 0) > 0).then(|| (u64_at(slot, 0), u64_at(slot, 8)))
    });
    slots.max()
}
