//! Which segment files belong to the log, in which order, judged by their headers and marks alone.
//! A missing or foreign file is refused here; nothing is ever guessed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::super::{Head, LaneName, LogError};
use super::record::{self, Kind};
use super::segment::{DATA_START, Header, Mark, Segment, file_name};
use super::{damaged, failed};
use crate::env::Disk;
use crate::model::Lineage;

/// One segment as it was found.
pub(super) struct Found {
    pub(super) segment: Segment,
    pub(super) mark: Option<Mark>,
    /// The offset behind its last record as far as its successor says, else the length of the file.
    pub(super) limit: u64,
}

/// The segments that belong to the log, oldest first. The youngest says which one it follows, and so on.
pub(super) fn find_chain(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    lineage: Lineage,
    ids: &BTreeSet<u64>,
) -> Result<Vec<Found>, LogError> {
    let mut chain: Vec<Found> = Vec::new();
    let mut below = u64::MAX;
    while let Some(&id) = ids.range(..below).next_back() {
        let path = dir.join(file_name(id));
        let mut found = read_head(disk, &path)?;
        let header = &found.segment.header;
        if header.lineage != lineage {
            return Err(damaged(&path, 16, &format!("this segment belongs to log {}", header.lineage)));
        }
        if header.id != id {
            return Err(damaged(&path, 32, &format!("this is segment {} under another name", header.id)));
        }
        if let Some(next) = chain.last() {
            follows(&found, next)?;
            found.limit = next.segment.header.previous_end;
        }
        if found.mark.is_some_and(|mark| mark.offset < DATA_START || mark.offset > found.limit) {
            return Err(damaged(&path, 512, "the mark of what is durable lies outside of the segment"));
        }
        below = found.segment.header.void_from.min(id);
        chain.push(found);
    }
    chain.reverse();
    Ok(chain)
}

/// Whether `next` follows `found`, as `next` says.
fn follows(found: &Found, next: &Found) -> Result<(), LogError> {
    let (header, after) = (&found.segment.header, &next.segment.header);
    if after.previous != header.id {
        let missing = next.segment.path.with_file_name(file_name(after.previous));
        return Err(damaged(&missing, 0, "this segment is missing, and older ones are there"));
    }
    let end = after.previous_end;
    if end < DATA_START || end > header.capacity || header.base + (end - DATA_START) != after.base {
        return Err(damaged(
            &next.segment.path,
            48,
            "this segment does not begin where the one before it ends",
        ));
    }
    Ok(())
}

pub(super) fn read_head(disk: &Arc<dyn Disk>, path: &Path) -> Result<Found, LogError> {
    let file = disk.open(path).map_err(|reason| failed("open", path, &reason))?;
    let mut page = vec![0; DATA_START as usize];
    let got = file.read_at(&mut page, 0).map_err(|reason| failed("read", path, &reason))?;
    page.truncate(got);
    let header = Header::decode(&page, path)?;
    let seed = header.seed();
    let limit = header.capacity;
    Ok(Found {
        mark: Mark::newest(&page, seed),
        segment: Segment { header, seed, path: path.into(), file },
        limit,
    })
}

/// Whether the log needs its spill file: not while it has all that there ever was, or while it was repaired.
pub(super) fn spill_counts(spill: u64, oldest: &Segment) -> bool {
    spill > 0 && oldest.header.void_from > 1
}

/// The lanes as a segment begins, when that can be read.
pub(super) fn first_lanes(found: &Found, bytes: &[u8]) -> Vec<(LaneName, Head)> {
    let first = record::decode(bytes.get(DATA_START as usize..).unwrap_or_default(), found.segment.seed);
    let first = first.ok().filter(|view| view.kind == Kind::Lanes);
    first.and_then(|view| record::decode_lanes(view.body)).unwrap_or_default()
}
