//! Opens a log directory: verifies it, copies what has to be copied to a new segment, and starts the log behind it.
//! It never appends to a file that was there before, and it removes nothing before its copy is durable.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;

use smallvec::SmallVec;

use super::super::{Head, LogError, Place};
use super::commit::{Syncer, Writer};
use super::record::END;
use super::scan::{Copied, Next, Scan, Torn, scan};
use super::segment::{self, DATA_START, Fill, Header, Mark, NotBegun, Segment, Spare, file_name, id_of};
use super::small_file::{Meta, read_meta, replace, write_meta};
use super::spill::{self, Spill};
use super::tail::Tail;
use super::upkeep::{DRAFT, SPARE, Upkeep};
use super::walk::OnProgress;
use super::{Folders, LocalLog, LocalLogSettings, damaged, failed, read};
use crate::env::failpoint::reach;
use crate::env::{Disk, Env};
use crate::model::Lineage;
use crate::sync::atomic::{AtomicBool, AtomicU64};
use crate::sync::{Condvar, Mutex, RwLock};

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Whether the log was made just now.
    pub first_start: bool,
    /// How often this log was opened, this time included.
    pub boot: u64,
    /// The records that the log holds.
    pub records: u64,
    /// How many of them were copied to a new segment, because they were behind the mark of what is durable or
    /// in a segment that was nearly empty.
    pub copied_records: u64,
    /// The bytes that were cut behind the last whole record: writes that were never acknowledged as durable,
    /// or damage of the very last ones.
    pub torn_bytes: u64,
    /// Where the cut bytes are kept.
    pub quarantined: Vec<PathBuf>,
}

/// What a look at a log found that changes nothing.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What the directory says of the log.
    pub meta: Meta,
    /// How many segments there are.
    pub segments: u64,
    /// The records in them.
    pub records: u64,
    /// The bytes behind the last whole record; the next start cuts and keeps them.
    pub torn_bytes: u64,
}

pub(super) fn check(
    env: &Env,
    folders: &Folders,
    settings: &LocalLogSettings,
    progress: OnProgress<'_>,
) -> Result<Checked, LogError> {
    // Before the lock, which would make the folder.
    if read_meta(&env.disk, &folders.dir)?.is_none() {
        let names =
            env.disk.list(&folders.log).map_err(|reason| failed("find a log in", &folders.dir, &reason))?;
        if names.is_empty() {
            return Err(damaged(&folders.dir.join("META"), 0, "there is no log here"));
        }
    }
    let _alone = lock(&env.disk, &folders.dir)?;
    let (meta, found) = read_log(env, folders, settings, progress)?;
    let torn = found.as_ref().map_or(&[][..], |scan| &scan.torn);
    Ok(Checked {
        meta,
        segments: found.as_ref().map_or(0, |scan| scan.ids.len() as u64),
        records: found.as_ref().map_or(0, |scan| scan.records),
        torn_bytes: torn.iter().map(|torn| torn.bytes.len() as u64).sum(),
    })
}

pub(super) fn open(
    env: Env,
    folders: Folders,
    settings: LocalLogSettings,
) -> Result<(LocalLog, Recovery), LogError> {
    let disk = env.disk.clone();
    let lock = lock(&disk, &folders.dir)?;
    make_folders(&disk, &folders)?;
    reach("start.locked");
    let (mut meta, found) = read_log(&env, &folders, &settings, &mut |_, _| {})?;
    reach("start.read");
    meta.boot += 1;
    meta.spill =
        found.as_ref().and_then(|scan| scan.spilled.as_ref()).map_or(0, |found| found.spill.header.id);
    write_meta(&disk, &folders.dir, &meta)?;
    reach("start.boot");
    let torn = found.as_ref().map_or(&[][..], |scan| &scan.torn);
    let mut recovery = Recovery {
        first_start: !meta.begun,
        boot: meta.boot,
        records: found.as_ref().map_or(0, |scan| scan.records),
        copied_records: 0,
        torn_bytes: torn.iter().map(|torn| torn.bytes.len() as u64).sum(),
        quarantined: quarantine(&disk, &folders.quarantine, torn, meta.boot)?,
    };
    reach("start.quarantined");
    let found = found.unwrap_or_else(nothing);
    recovery.copied_records =
        found.copied.iter().filter(|record| matches!(record, Copied::Data { .. })).count() as u64;
    let spare = take_spare(&disk, &folders.log)?;
    let ids = found.ids.clone();
    let mut found = found;
    let spilled = found.spilled.take();
    let (mut tail, segments, syncer) = begin(&env, &folders, &settings, meta.lineage, found, spare)?;
    if let Some(found) = &spilled {
        tail.spilled(&found.parts, found.spill.header.length);
    }
    reach("start.begun");
    if !meta.begun {
        meta.begun = true;
        write_meta(&disk, &folders.dir, &meta)?;
    }
    let void = ids.into_iter().filter(|id| segments.iter().all(|segment| segment.header.id != *id));
    remove(&disk, &folders.log, void.map(file_name))?;
    let last_spill = remove_spills(&disk, &folders.log, meta.spill)?;
    reach("start.removed");
    let spilled = spilled.map(|found| Arc::new(found.spill));
    let parts = Parts { meta, tail, segments, syncer, lock, spilled, last_spill };
    let log = assemble(env, folders, settings, parts)?;
    Ok((log, recovery))
}

pub(super) fn lock(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Box<dyn Send + Sync>, LogError> {
    disk.create_dir(dir).map_err(|reason| failed("make the folder", dir, &reason))?;
    let path = dir.join("LOCK");
    if let Some(lock) = disk.lock(&path).map_err(|reason| failed("lock", &path, &reason))? {
        return Ok(lock);
    }
    let mut text = [0; 16];
    // Only for the message: an owner that cannot be read is not named.
    let length = disk.open(&path).and_then(|file| file.read_at(&mut text, 0)).unwrap_or(0);
    let pid = str::from_utf8(&text[..length]).unwrap_or_default().trim();
    let owner = if pid.is_empty() { String::new() } else { format!(" (pid {pid})") };
    Err(LogError::Locked { dir: dir.into(), owner })
}

fn make_folders(disk: &Arc<dyn Disk>, folders: &Folders) -> Result<(), LogError> {
    for dir in [&folders.log, &folders.notes, &folders.quarantine] {
        disk.create_dir(dir).map_err(|reason| failed("make the folder", dir, &reason))?;
    }
    // Of a parent that we may not read we have not made a child either.
    let parent = folders.dir.parent().unwrap_or(Path::new(""));
    match disk.sync_dir(parent) {
        Err(reason) if reason.kind() == ErrorKind::PermissionDenied => {}
        synced => synced.map_err(|reason| failed("sync the folder", parent, &reason))?,
    }
    // Also what is in them: what a killed process has named and not synced is there for good from now on, and nothing that
    // follows it can be there without it.
    for dir in [&folders.dir, &folders.notes, &folders.log] {
        disk.sync_dir(dir).map_err(|reason| failed("sync the folder", dir, &reason))?;
    }
    Ok(())
}

/// META and the segments, verified; a new META when there is neither.
fn read_log(
    env: &Env,
    folders: &Folders,
    settings: &LocalLogSettings,
    progress: OnProgress<'_>,
) -> Result<(Meta, Option<Scan>), LogError> {
    let (disk, log) = (&env.disk, &folders.log);
    let Some(meta) = read_meta(disk, &folders.dir)? else {
        let names = disk.list(log).map_err(|reason| failed("list", log, &reason))?;
        if names.iter().any(|name| id_of(name).is_some()) {
            return Err(damaged(&folders.dir.join("META"), 0, "META is missing, and segments are there"));
        }
        let created_ms = env.clock.unix_ms();
        return Ok((
            Meta { lineage: Lineage(env.random_128()), boot: 0, created_ms, begun: false, spill: 0 },
            None,
        ));
    };
    let found = scan(disk, log, (meta.lineage, meta.spill), settings.segment_bytes, progress)?;
    if meta.begun && found.is_none() {
        return Err(damaged(log, 0, "the log was begun, and every segment is missing"));
    }
    Ok((meta, found))
}

/// A log without a segment.
fn nothing() -> Scan {
    Scan {
        segments: VecDeque::new(),
        ids: Default::default(),
        lanes: Vec::new(),
        times: VecDeque::new(),
        copied: Vec::new(),
        heads: Vec::new(),
        next: Next { base: 0, previous: 0, previous_end: 0, void_from: 1 },
        torn: Vec::new(),
        records: 0,
        spilled: None,
    }
}

/// Keeps the cut bytes for people.
fn quarantine(disk: &Arc<dyn Disk>, dir: &Path, torn: &[Torn], boot: u64) -> Result<Vec<PathBuf>, LogError> {
    let keep = |torn: &Torn| {
        let path = dir.join(format!("{:06}-{}-boot{boot}.bytes", torn.segment, torn.offset));
        replace(disk, &path, &torn.bytes).map_err(|reason| failed("write", &path, &reason))?;
        Ok(path)
    };
    torn.iter().map(keep).collect()
}

/// The whole file that the last run prepared, if it left one. What else it left there and nobody needs is removed. The folder
/// is synced: the file may have been a segment whose new name a killed process did not sync, and what is written to it now must
/// never come back under the old one.
pub(super) fn take_spare(disk: &Arc<dyn Disk>, log: &Path) -> Result<Option<Spare>, LogError> {
    let names = disk.list(log).map_err(|reason| failed("list", log, &reason))?;
    let mut spares = names.iter().filter(|name| name.starts_with(SPARE));
    let spare = match spares.next() {
        None => None,
        Some(name) => {
            let path = log.join(name);
            let file = disk.open(&path).map_err(|reason| failed("open", &path, &reason))?;
            let capacity = file.length().map_err(|reason| failed("read", &path, &reason))?;
            Some(Spare { path, file, capacity })
        }
    };
    let drafts = names.iter().filter(|name| name.ends_with(DRAFT));
    remove(disk, log, spares.chain(drafts).cloned())?;
    Ok(spare)
}

/// Removes the spill files that META does not name, and answers the highest number of all.
pub(super) fn remove_spills(disk: &Arc<dyn Disk>, log: &Path, named: u64) -> Result<u64, LogError> {
    let names = disk.list(log).map_err(|reason| failed("list", log, &reason))?;
    let others = spill::ids(&names).filter(|id| *id != named);
    remove(disk, log, others.map(spill::file_name))?;
    Ok(spill::ids(&names).max().unwrap_or(0).max(named))
}

pub(super) fn remove(
    disk: &Arc<dyn Disk>,
    log: &Path,
    names: impl Iterator<Item = String>,
) -> Result<(), LogError> {
    let mut removed = false;
    for name in names {
        let path = log.join(name);
        disk.remove(&path).map_err(|reason| failed("remove", &path, &reason))?;
        removed = true;
    }
    if removed {
        disk.sync_dir(log).map_err(|reason| failed("sync the folder", log, &reason))?;
    }
    Ok(())
}

/// Begins the new segment, with a copy of what has to be copied, all of it durable.
pub(super) fn begin(
    env: &Env,
    folders: &Folders,
    settings: &LocalLogSettings,
    lineage: Lineage,
    found: Scan,
    spare: Option<Spare>,
) -> Result<(Tail, VecDeque<Arc<Segment>>, Syncer), LogError> {
    let Next { base, previous, previous_end, void_from } = found.next;
    let mut salt = [0; 8];
    env.random.fill(&mut salt);
    let header = Header {
        lineage,
        id: found.ids.last().map_or(1, |last| last + 1),
        // Without an end until it is known how much is copied.
        capacity: u64::MAX,
        base,
        previous,
        previous_end,
        void_from,
        salt: u64::from_le_bytes(salt),
        created_ms: env.clock.unix_ms(),
    };
    let mut tail = Tail::new(env.clone(), settings.clone(), header, found.lanes, found.times);
    found.copied.into_iter().for_each(|record| copy(&mut tail, record));
    let heads: Vec<Head> = tail.lanes().map(|(_, lane)| lane.head).collect();
    assert_eq!(heads, found.heads, "the copy of the log's last records ends where they end");
    tail.fit_segment(settings.segment_bytes);
    let mut batches = VecDeque::new();
    tail.take(&mut batches, Vec::new());
    let mut segments = found.segments;
    let mut syncer = Syncer { sequence: 0, marked: tail.accepted(), last: env.clock.monotonic() };
    for mut batch in batches {
        let Some(header) = batch.begins else { continue };
        let mark = Mark { sequence: 1, offset: DATA_START + batch.bytes.len() as u64 };
        batch.bytes.extend_from_slice(&END);
        let file = file_for(env, &folders.log, settings, header.capacity, spare.clone())?;
        let path = file.path.clone();
        let segment = segment::begin(&env.disk, &folders.log, file, header, &batch.bytes, Some(mark));
        let segment = segment.map_err(|why| match why {
            NotBegun::Room(reason) | NotBegun::Unknown(reason) => {
                failed("begin a segment in", &path, &reason)
            }
        })?;
        segments.push_back(Arc::new(segment));
        syncer.sequence = mark.sequence;
    }
    Ok((tail, segments, syncer))
}

/// The spare, if it has the right length, else a new file.
fn file_for(
    env: &Env,
    log: &Path,
    settings: &LocalLogSettings,
    capacity: u64,
    spare: Option<Spare>,
) -> Result<Spare, LogError> {
    match spare {
        Some(spare) if spare.capacity == capacity => return Ok(spare),
        Some(spare) => {
            env.disk.remove(&spare.path).map_err(|reason| failed("remove", &spare.path, &reason))?
        }
        None => {}
    }
    let path = log.join(format!("next{DRAFT}"));
    let fill = if settings.zero_fill { Fill::Zeros } else { Fill::Reserved };
    segment::make_spare(&env.disk, path, capacity, fill)
        .map_err(|reason| failed("make a segment in", log, &reason))
}

/// Appends a record that was in the log already, with its old positions and time.
fn copy(tail: &mut Tail, record: Copied) {
    match record {
        Copied::Data { lanes, time_ms, body } => {
            let place = |(lane, position)| Place { lane, position, cut: 0 };
            let places: SmallVec<[Place; 1]> = lanes.into_iter().map(place).collect();
            tail.push_data(&places, &body, time_ms);
        }
        Copied::Gap { lane, to, time_ms } => tail.push_gap(lane, to, time_ms),
        Copied::Lanes(names) => drop(tail.add_lanes(&names)),
    }
}

/// The parts of an open log, put together.
struct Parts {
    meta: Meta,
    tail: Tail,
    segments: VecDeque<Arc<Segment>>,
    syncer: Syncer,
    lock: Box<dyn Send + Sync>,
    spilled: Option<Arc<Spill>>,
    last_spill: u64,
}

fn assemble(
    env: Env,
    folders: Folders,
    settings: LocalLogSettings,
    parts: Parts,
) -> Result<LocalLog, LogError> {
    let Parts { meta, tail, segments, syncer, lock, spilled, last_spill } = parts;
    let Some(current) = segments.back().cloned() else {
        return Err(damaged(&folders.log, 0, "no segment was begun"));
    };
    let end = tail.accepted();
    Ok(LocalLog {
        env,
        folders,
        settings,
        meta,
        owed_records: AtomicU64::new(tail.owed_records),
        tail: Mutex::new(tail),
        writer: Mutex::new(Writer::of(current)),
        syncer: Mutex::new(syncer),
        segments: RwLock::new(segments),
        spilled: RwLock::new(spilled),
        spares: Mutex::default(),
        stalled: AtomicBool::new(false),
        accepted: AtomicU64::new(end),
        written: AtomicU64::new(end),
        durable: AtomicU64::new(end),
        poison: OnceLock::new(),
        sync_ms_max: AtomicU64::new(0),
        cache: read::Cache::default(),
        notes: Mutex::new(()),
        upkeep: Mutex::new(Upkeep::behind(last_spill)),
        names: AtomicU64::new(0),
        due: Mutex::new(true),
        due_changed: Condvar::new(),
        _lock: lock,
    })
}
