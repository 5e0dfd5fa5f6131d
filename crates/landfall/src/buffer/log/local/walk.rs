//! Reads a log that may be damaged, as far as it can be read: what is whole, and what is not, in the log's order.
//! It only reads, it judges by the rules of the scan, and it never takes bytes for a record that was not written there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::{Address, LogError};
use super::chain::{Found, first_lanes, read_head, spill_counts};
use super::failed;
use super::record::{self, HEAD_BYTES, LANE_BYTES, NoRecord, View, u32_at, u64_at};
use super::scan::read_whole;
use super::segment::{DATA_START, file_name, id_of};
use super::spill;
use super::spill::replay::Oldest;
use crate::env::Disk;
use crate::model::Lineage;

/// Bytes that are not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment's file.
    pub file: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// How many bytes; 0 for a file that is missing.
    pub bytes: u64,
    /// What is wrong.
    pub what: String,
    /// Behind the mark of what is durable: a torn write, which a start cuts by itself, and no damage.
    pub torn: bool,
}

/// What a walk comes across.
pub(super) enum Seen<'a> {
    /// The spill file's parts of the lanes that need them.
    Spilled(&'a [spill::Part]),
    Segment(&'a Path),
    Record {
        file: &'a Path,
        offset: u64,
        view: View<'a>,
    },
    /// One in the spill file, with only the lanes that need it from there, and whether these are all that it has.
    SpilledRecord {
        file: &'a Path,
        offset: u64,
        view: View<'a>,
        is_whole: bool,
    },
    Damage(Damage),
}

impl<'a> Seen<'a> {
    /// A record, and whether all of its lanes are shown.
    pub(super) fn record(&self) -> Option<(&View<'a>, bool)> {
        match self {
            Seen::Record { view, .. } => Some((view, true)),
            Seen::SpilledRecord { view, is_whole, .. } => Some((view, *is_whole)),
            Seen::Spilled(_) | Seen::Segment(_) | Seen::Damage(_) => None,
        }
    }
}

/// Told how many of how many bytes are read.
pub type OnProgress<'a> = &'a mut dyn FnMut(u64, u64);

/// A segment's file, or why it is none.
enum File {
    /// And whether the next segment, which tells where it ends, is there too.
    Readable(Found, bool),
    Unreadable(Damage),
}

/// The segment numbers that have a file.
pub(super) fn ids(disk: &Arc<dyn Disk>, dir: &Path) -> Result<BTreeSet<u64>, LogError> {
    let names = disk.list(dir).map_err(|reason| failed("list", dir, &reason))?;
    Ok(names.iter().filter_map(|name| id_of(name)).collect())
}

/// The lineage that the youngest readable segment names, for a log without its META.
pub(super) fn lineage_of(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Option<Lineage>, LogError> {
    let ids = ids(disk, dir)?;
    let of =
        |id: &u64| read_head(disk, &dir.join(file_name(*id))).ok().map(|found| found.segment.header.lineage);
    Ok(ids.iter().rev().find_map(of))
}

/// The number of the youngest spill file, for a log without its META.
pub(super) fn last_spill(disk: &Arc<dyn Disk>, dir: &Path) -> Result<u64, LogError> {
    let names = disk.list(dir).map_err(|reason| failed("list", dir, &reason))?;
    Ok(spill::ids(&names).max().unwrap_or(0))
}

/// Walks over all that belongs to the log, oldest first.
pub(super) fn walk(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    (lineage, spill): (Lineage, u64),
    progress: OnProgress<'_>,
    visit: &mut dyn FnMut(Seen<'_>),
) -> Result<(), LogError> {
    let files = files(disk, dir, lineage)?;
    walk_spill(disk, dir, (lineage, spill), &files, visit)?;
    let readable = |file: &File| matches!(file, File::Readable(found, _) if found.mark.is_some());
    let marked = files.iter().rposition(readable).unwrap_or(0);
    let total: u64 = files.iter().map(File::length).sum();
    let (mut done, mut cut) = (0, false);
    for (nth, file) in files.iter().enumerate() {
        match file {
            File::Unreadable(damage) => visit(Seen::Damage(damage.clone())),
            File::Readable(found, ended) => {
                let required = match nth.cmp(&marked) {
                    std::cmp::Ordering::Less => found.limit,
                    std::cmp::Ordering::Equal => found.mark.map_or(DATA_START, |mark| mark.offset),
                    std::cmp::Ordering::Greater => DATA_START,
                };
                let last = nth + 1 == files.len();
                let ends_anywhere = nth < marked && !ended;
                cut = segment(found, Part { required, last, cut, ends_anywhere }, visit)?;
            }
        }
        done += file.length();
        progress(done, total);
    }
    Ok(())
}

impl File {
    fn length(&self) -> u64 {
        match self {
            File::Readable(found, _) => found.limit,
            File::Unreadable(damage) => damage.bytes,
        }
    }
}

/// Walks over what the spill file has before the oldest segment.
fn walk_spill(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    (lineage, id): (Lineage, u64),
    files: &[File],
    visit: &mut dyn FnMut(Seen<'_>),
) -> Result<(), LogError> {
    let counts = match files.first() {
        Some(File::Readable(oldest, _)) => spill_counts(id, &oldest.segment),
        _ => id > 0,
    };
    if !counts {
        return Ok(());
    }
    let oldest = files.iter().find_map(|file| match file {
        File::Readable(found, _) => Some(found),
        File::Unreadable(_) => None,
    });
    let lanes = match oldest {
        Some(found) => first_lanes(found, &read_whole(found)?),
        None => Vec::new(),
    };
    let base = oldest.map_or(Address::MAX, |found| found.segment.header.base);
    spill::walk::walk(disk, dir, (lineage, id), &Oldest { base, lanes: &lanes }, visit)
}

/// The files of the log, oldest first, and in their places what is missing.
fn files(disk: &Arc<dyn Disk>, dir: &Path, lineage: Lineage) -> Result<Vec<File>, LogError> {
    let ids = ids(disk, dir)?;
    let mut files: Vec<File> = Vec::new();
    let mut below = u64::MAX;
    // The segment before the one that was looked at last, as that one says, and where it ends.
    let mut before: Option<(u64, u64)> = None;
    while let Some(&id) = ids.range(..below).next_back() {
        below = id;
        let path = dir.join(file_name(id));
        if let Some((previous, _)) = before
            && previous > id
        {
            let what = "this segment is missing, and older ones are there";
            files.push(File::Unreadable(bad(&dir.join(file_name(previous)), 0, 0, what)));
        }
        let mut found = match read_head(disk, &path) {
            Ok(found) if found.segment.header.lineage == lineage && found.segment.header.id == id => found,
            Ok(_) => {
                before = None;
                files.push(File::Unreadable(whole_file(
                    disk,
                    &path,
                    "this segment belongs to another log or has another's name",
                )?));
                continue;
            }
            Err(LogError::Damaged { what, .. } | LogError::Format { what, .. }) => {
                before = None;
                files.push(File::Unreadable(whole_file(disk, &path, &what)?));
                continue;
            }
            Err(other) => return Err(other),
        };
        let length = found.segment.file.length().map_err(|reason| failed("read", &path, &reason))?;
        let end =
            before.filter(|&(previous, end)| previous == id && (DATA_START..=found.limit).contains(&end));
        let whole = end.map_or(found.limit, |(_, end)| end);
        if found.mark.is_some_and(|mark| mark.offset < DATA_START || mark.offset > whole) {
            found.mark = None;
        }
        // Without a younger segment that tells, it ends with its file, which may be shorter than its mark says.
        found.limit = if end.is_some() { whole } else { whole.min(length) };
        let header = &found.segment.header;
        below = header.void_from.min(id);
        before = (header.previous > 0).then_some((header.previous, header.previous_end));
        files.push(File::Readable(found, end.is_some()));
    }
    files.reverse();
    Ok(files)
}

pub(super) fn bad(file: &Path, offset: u64, bytes: u64, what: &str) -> Damage {
    Damage { file: file.into(), offset, bytes, what: what.to_owned(), torn: false }
}

fn whole_file(disk: &Arc<dyn Disk>, path: &Path, what: &str) -> Result<Damage, LogError> {
    let length = disk.open(path).and_then(|file| file.length());
    Ok(bad(path, 0, length.map_err(|reason| failed("read", path, &reason))?, what))
}

/// What is known of a segment's part in the log.
struct Part {
    /// Everything before this offset was durable.
    required: u64,
    last: bool,
    /// The log ended in an older segment.
    cut: bool,
    /// The next segment, which is missing, would tell where this one ends.
    ends_anywhere: bool,
}

/// Walks over one segment; whether the log ends in it.
fn segment(found: &Found, part: Part, visit: &mut dyn FnMut(Seen<'_>)) -> Result<bool, LogError> {
    let (path, seed) = (&found.segment.path, found.segment.seed);
    let io = |reason| failed("read", path, &reason);
    // The header's word for the length is not trusted with memory.
    let length = found.segment.file.length().map_err(io)?.min(found.limit);
    let mut bytes = vec![0; length as usize];
    let got = found.segment.file.read_at(&mut bytes, 0).map_err(io)?;
    bytes.truncate(got);
    let torn = |offset: u64, what: &str| {
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let length = rest.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1) as u64;
        (length > 0).then(|| Damage { torn: true, ..bad(path, offset, length, what) })
    };
    if part.cut {
        let what = "behind the end of the log";
        torn(DATA_START, what).into_iter().for_each(|damage| visit(Seen::Damage(damage)));
        return Ok(true);
    }
    visit(Seen::Segment(path));
    let mut offset = DATA_START;
    while offset < found.limit {
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let why = match record::decode(rest, seed) {
            Ok(view) => {
                visit(Seen::Record { file: path, offset, view });
                offset += view.length as u64;
                continue;
            }
            Err(why) => why,
        };
        let what = match why {
            NoRecord::Bad(what) | NoRecord::Foreign(what) => what,
            NoRecord::End => "records that were here are gone",
        };
        if part.ends_anywhere && why == NoRecord::End {
            return Ok(false);
        }
        // What has the right checksum was written like this: no torn write left it.
        if offset >= part.required && !matches!(why, NoRecord::Foreign(_)) {
            if !(part.last && why == NoRecord::End) {
                torn(offset, what).into_iter().for_each(|damage| visit(Seen::Damage(damage)));
            }
            return Ok(true);
        }
        // The next whole record, or the end of what has to be whole.
        let next = find_record(&bytes, offset + 1, seed).unwrap_or(part.required.max(offset + 1));
        visit(Seen::Damage(bad(path, offset, next - offset, what)));
        offset = next;
    }
    if offset < part.required {
        let what = "the file ends before what was durable in it";
        visit(Seen::Damage(bad(path, offset, part.required - offset, what)));
    }
    Ok(false)
}

/// Where the next valid record is, from an offset on. A checksum is only worked out where the head can be a record's.
fn find_record(bytes: &[u8], from: u64, seed: u32) -> Option<u64> {
    (from as usize..bytes.len().saturating_sub(HEAD_BYTES))
        .find(|&at| may_be_record(&bytes[at..]) && record::decode(&bytes[at..], seed).is_ok())
        .map(|at| at as u64)
}

fn may_be_record(bytes: &[u8]) -> bool {
    let (length, kind, lanes) = (u32_at(bytes, 4) as usize, bytes[8], usize::from(bytes[9]));
    let least = HEAD_BYTES + lanes * LANE_BYTES;
    if length < least || length > bytes.len() {
        return false;
    }
    match kind {
        1 => lanes > 0 && u32_at(bytes, HEAD_BYTES) < 1 << 20 && u64_at(bytes, HEAD_BYTES + 4) < 1 << 56,
        2 => lanes == 0,
        3 => lanes == 1 && length == least + 16,
        _ => false,
    }
}
