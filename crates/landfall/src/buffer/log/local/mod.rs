//! The log on local disk: one sequence of segment files for all lanes, group commit, recovery. The bytes are
//! specified in docs/format.md. It never acknowledges what it has not written (or synced), and it never comes
//! back with a shorter history in silence.
//!
//! # How it works
//!
//! An append encodes the record into a buffer under one short lock (`tail`); that is all. Two leaderships, each
//! a lock of its own, do the I/O for everybody who waits (`commit`): the *writer* takes the buffer and writes it
//! to the segment, beginning new segments as they fill; the *syncer* notes how far is written, leaves a **mark**
//! of how far was durable before, syncs every segment in between, and only then says that it is durable. So a
//! background sync never holds up a write.
//!
//! A log that is *mapped* (for the library: one put, one acknowledgement) leaves the writer only the beginning of segments:
//! once that is done the tail gets the file in memory, and an append copies its record there under its own lock. Then what
//! is accepted is written. Nothing else changes: the same bytes, the same marks and syncs, and a record that the end of the
//! process cuts in two is a torn tail like any other.
//!
//! Four facts carry the safety:
//!
//! 1. A record counts only with the checksum of its own segment: lineage, number and a random salt are in it.
//!    A file that is used again, or a write that was torn, never brings a record that was not written there.
//! 2. Below the newest mark everything was durable: damage there is refused. Behind it, in this segment and in
//!    younger ones, the first bad record is where the disk stopped: it and what follows is cut and kept aside.
//! 3. A start never appends to an old file. What survived behind the mark is copied to a new segment, which is
//!    synced before it has its name: nothing rests on pages that only seem to be on disk (`recover`).
//! 4. The first failed write or sync poisons the log; it is never tried again.
//!
//! Records are found through an index of addresses per lane (`index`), rebuilt by the scan at start, so a
//! lander reads its own lanes only (`read`). Segments that all lanes have landed are kept for the retention,
//! then used again or removed, beside the path of a write (`upkeep`). What only a group that does not land keeps of them is copied
//! to a file of its own first (`spill`).

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::memory::backward_gap;
use super::{Address, Appended, Gap, Head, LaneName, Log, LogError, Owed, Records, Safety, Usage};
use crate::env::Env;
use crate::env::failpoint::reach;
use crate::model::{Anchor, LaneId, Lineage, Position};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex, RwLock};

mod chain;
mod commit;
mod index;
mod owed;
mod read;
mod record;
mod recover;
mod repair;
mod scan;
mod segment;
mod settings;
mod small_file;
mod spill;
mod spilling;
mod survey;
mod tail;
mod tools;
mod upkeep;
mod walk;

#[cfg(test)]
mod tests;

pub use recover::{Checked, Recovery};
pub use repair::{Permission, Repair, WatermarkOf};
pub use settings::LocalLogSettings;
pub use small_file::{Meta, read_meta};
pub use survey::{Content, DumpEntry, Dumped, LaneFound, Lost, Survey};
pub use walk::{Damage, OnProgress};

use segment::{Segment, Spare};
use spill::Spill;
use tail::Tail;

/// The log on local disk. See the [module](self).
pub struct LocalLog {
    env: Env,
    folders: Folders,
    settings: LocalLogSettings,
    meta: Meta,
    tail: Mutex<Tail>,
    writer: Mutex<commit::Writer>,
    syncer: Mutex<commit::Syncer>,
    /// The segments, oldest first. Never locked during I/O.
    segments: RwLock<VecDeque<Arc<Segment>>>,
    /// What only groups that do not land need of segments that are gone. Never locked during I/O.
    spilled: RwLock<Option<Arc<Spill>>>,
    /// Files for the next segments. The last one is kept for the next start while the disk is full.
    spares: Mutex<VecDeque<Spare>>,
    /// No segment can be begun.
    stalled: AtomicBool,
    accepted: AtomicU64,
    written: AtomicU64,
    durable: AtomicU64,
    owed_records: AtomicU64,
    poison: OnceLock<LogError>,
    /// How long the longest sync took.
    sync_ms_max: AtomicU64,
    cache: read::Cache,
    notes: Mutex<()>,
    upkeep: Mutex<upkeep::Upkeep>,
    /// The number of the next name that is not a segment's.
    names: AtomicU64,
    /// Whether there is upkeep to do, and who waits for it.
    due: Mutex<bool>,
    due_changed: Condvar,
    /// Held as long as the log lives, dropped last.
    _lock: Box<dyn Send + Sync>,
}

/// Where things are in a data directory.
struct Folders {
    dir: PathBuf,
    log: PathBuf,
    notes: PathBuf,
    quarantine: PathBuf,
}

impl Folders {
    fn new(dir: &Path) -> Self {
        Self {
            dir: dir.into(),
            log: dir.join("log"),
            notes: dir.join("notes"),
            quarantine: dir.join("quarantine"),
        }
    }
}

impl LocalLog {
    /// Opens the log in this data directory, or makes a new one when there is none, and tells what it found.
    /// Everything that is kept is verified first; when that fails nothing is changed.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another process has it, [`LogError::Damaged`] and [`LogError::Format`] when it
    /// cannot be trusted or read, [`LogError::Io`] when the system fails.
    pub fn open(env: Env, dir: &Path, settings: LocalLogSettings) -> Result<(LocalLog, Recovery), LogError> {
        settings.check()?;
        recover::open(env, Folders::new(dir), settings)
    }

    /// What the directory says of this log.
    pub fn meta(&self) -> Meta {
        self.meta
    }

    /// Runs under the tail's lock and publishes what it changed.
    fn with_tail<T>(&self, run: impl FnOnce(&mut Tail) -> T) -> T {
        let mut tail = self.tail.lock();
        let result = run(&mut tail);
        let accepted = tail.accepted();
        self.accepted.store(accepted, Ordering::Release);
        if tail.is_mapped() {
            self.written.store(accepted, Ordering::Release);
        }
        self.owed_records.store(tail.owed_records, Ordering::Relaxed);
        result
    }

    fn commit_all(&self) -> Result<(), LogError> {
        self.commit(self.accepted(), Safety::Durable)
    }

    fn upkeep_is_due(&self) {
        *self.due.lock() = true;
        self.due_changed.notify_one();
    }
}

impl Log for LocalLog {
    fn lineage(&self) -> Lineage {
        self.meta.lineage
    }

    fn boot(&self) -> u64 {
        self.meta.boot
    }

    fn lanes(&self) -> Vec<(LaneName, LaneId)> {
        self.tail.lock().lanes().map(|(id, lane)| (lane.name.clone(), id)).collect()
    }

    fn add_lanes(&self, names: &[LaneName]) -> Result<Vec<LaneId>, LogError> {
        let (numbers, end) = self.with_tail(|tail| {
            if names.iter().any(|name| tail.is_new(name))
                && let Some(reason) = tail.refusal()
            {
                return Err(reason);
            }
            Ok((tail.add_lanes(names), tail.lane_map_end()))
        })?;
        // Also for lanes that another caller has just added and not made durable yet.
        self.commit(end, Safety::Durable)?;
        Ok(numbers)
    }

    fn append(&self, lanes: &[LaneId], body: &[u8]) -> Result<Appended, LogError> {
        let time_ms = self.env.clock.unix_ms();
        let appended = self.with_tail(|tail| tail.append(lanes, body, time_ms));
        reach("log.append");
        appended
    }

    fn commit(&self, end: Address, safety: Safety) -> Result<(), LogError> {
        if self.safe(safety) >= end {
            return Ok(());
        }
        self.write(end)?;
        match safety {
            Safety::Written => Ok(()),
            Safety::Durable => self.sync(end),
        }
    }

    fn accepted(&self) -> Address {
        self.accepted.load(Ordering::Acquire)
    }

    fn safe(&self, safety: Safety) -> Address {
        match safety {
            Safety::Written => self.written.load(Ordering::Acquire),
            Safety::Durable => self.durable.load(Ordering::Acquire),
        }
    }

    fn has_room(&self) -> bool {
        !self.stalled.load(Ordering::Acquire)
    }

    fn safe_position(&self, lane: LaneId, safety: Safety) -> Position {
        let safe = self.safe(safety);
        self.tail.lock().lane(lane).position_before(safe)
    }

    fn usage(&self) -> Usage {
        let (landed, index_bytes) = {
            let tail = self.tail.lock();
            (tail.landed_address(), tail.lanes().map(|(_, lane)| lane.index.memory_bytes()).sum())
        };
        let spilled_bytes = self.spilled.read().as_ref().map_or(0, |spill| spill.header.length);
        let spares = self.spares.lock().iter().map(|spare| spare.capacity).collect::<Vec<_>>();
        let segments = self.segments.read();
        let behind = segments.partition_point(|segment| segment.header.base <= landed);
        Usage {
            segments: segments.len() as u64,
            spares: spares.len() as u64,
            landed_segments: behind.saturating_sub(1) as u64,
            disk_bytes: segments.iter().map(|segment| segment.header.capacity).chain(spares).sum::<u64>()
                + spilled_bytes,
            spilled_bytes,
            index_bytes,
            unwritten_bytes: self.accepted().saturating_sub(self.safe(Safety::Written)),
            sync_ms_max: self.sync_ms_max.load(Ordering::Relaxed),
        }
    }

    fn poisoned(&self) -> Option<LogError> {
        self.poison.get().cloned()
    }

    fn head(&self, lane: LaneId) -> Head {
        self.tail.lock().lane(lane).head
    }

    fn oldest(&self, lane: LaneId) -> Head {
        self.tail.lock().lane(lane).index.oldest()
    }

    fn cut(&self, lanes: &[LaneId]) -> (Address, Vec<Position>) {
        self.tail.lock().cut(lanes)
    }

    fn records(
        &self,
        after: &[(LaneId, Position)],
        upto: Address,
    ) -> Result<Box<dyn Records + '_>, LogError> {
        Ok(Box::new(read::LocalRecords::new(self, after, upto.min(self.safe(Safety::to_land())))?))
    }

    fn anchor_at(&self, lane: LaneId, position: Position) -> Result<Option<Anchor>, LogError> {
        read::anchor_at(self, lane, position)
    }

    fn gap(&self, ends: &[(LaneId, Head)]) -> Result<(), LogError> {
        let time_ms = self.env.clock.unix_ms();
        self.with_tail(|tail| {
            if let Some(reason) = tail.refusal() {
                return Err(reason);
            }
            for &(lane, to) in ends {
                let head = tail.lane(lane).head;
                if to != head && to.position <= head.position {
                    return Err(backward_gap(head.position, to.position));
                }
            }
            for &(lane, to) in ends {
                if to != tail.lane(lane).head {
                    tail.push_gap(lane, to, time_ms);
                }
            }
            Ok(())
        })?;
        self.commit_all()
    }

    fn gap_over(&self, lane: LaneId, position: Position) -> Option<Gap> {
        self.tail.lock().lane(lane).index.gap_over(position).map(|(gap, _)| gap)
    }

    fn landed(&self, lane: LaneId, position: Position) {
        self.with_tail(|tail| tail.landed(lane, position));
        if self.something_may_go() {
            self.upkeep_is_due();
        }
    }

    fn rewind(&self, lane: LaneId, position: Position) -> Result<(), LogError> {
        self.with_tail(|tail| tail.rewind(lane, position))
    }

    fn owed(&self) -> Owed {
        self.tail.lock().owed()
    }

    fn owed_by(&self, lane: LaneId) -> Owed {
        self.tail.lock().owed_by(lane)
    }

    fn owed_records(&self) -> u64 {
        self.owed_records.load(Ordering::Relaxed)
    }

    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, LogError> {
        let _one_at_a_time = self.notes.lock();
        small_file::read_note(&self.env.disk, &self.folders.notes, name, self.meta.lineage)
    }

    fn set_note(&self, name: &str, content: &[u8]) -> Result<(), LogError> {
        let _one_at_a_time = self.notes.lock();
        small_file::write_note(&self.env.disk, &self.folders.notes, name, self.meta.lineage, content)
    }

    fn upkeep(&self) -> Result<(), LogError> {
        self.do_upkeep()
    }

    fn wait_upkeep(&self, timeout: Duration) {
        let mut due = self.due.lock();
        if !*due {
            self.due_changed.wait_for(&mut due, timeout);
        }
    }

    fn close(&self) -> Result<(), LogError> {
        self.tail.lock().refuse(LogError::Closed);
        self.commit_all()?;
        self.mark_durable()
    }
}

/// What is not as it was written.
fn damaged(file: &Path, offset: u64, what: &str) -> LogError {
    LogError::Damaged { file: file.into(), offset, what: what.to_owned() }
}

/// What the system refused while nothing was at stake.
fn failed(verb: &str, path: &Path, reason: &io::Error) -> LogError {
    LogError::Io { what: format!("cannot {verb} {}", path.display()), reason: reason.to_string() }
}
