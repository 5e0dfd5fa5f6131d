//! Group commit: one caller writes, one syncs, and everybody else finds it done.
//! Nothing is called durable that was written after its sync began, and no failed sync is tried again.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Address, Log, LogError, Safety};
use super::record::END;
use super::segment::{self, Fill, Header, Mark, NotBegun, Segment};
use super::tail::Batch;
use super::upkeep::DRAFT;
use super::{LocalLog, failed};
use crate::env::failpoint::reach;
use crate::env::planted::{Bug, planted};
use crate::sync::atomic::Ordering;

/// A buffer that grew beyond this for a large record is not kept.
const BUFFER_BYTES_MAX: usize = 8 << 20;

/// The one who writes.
pub(super) struct Writer {
    /// The segment that is written to.
    pub(super) current: Arc<Segment>,
    /// Taken from the tail and not written, because there was no room for the next segment.
    pub(super) backlog: VecDeque<Batch>,
    /// The empty buffer that the tail gets for its full one.
    pub(super) buffer: Vec<u8>,
    /// Whether the tail was told that there is no room.
    pub(super) stalled: bool,
    /// The last segment that was to be mapped, or 0.
    pub(super) mapped: u64,
}

impl Writer {
    /// A writer that has written everything.
    pub(super) fn of(current: Arc<Segment>) -> Self {
        Self { current, backlog: VecDeque::new(), buffer: Vec::new(), stalled: false, mapped: 0 }
    }
}

/// The one who syncs.
pub(super) struct Syncer {
    /// The number of the last mark, and what it says is durable.
    pub(super) sequence: u64,
    pub(super) marked: Address,
    /// When the last sync ended, on the monotonic clock.
    pub(super) last: Duration,
}

impl LocalLog {
    /// Writes everything up to `end`.
    pub(super) fn write(&self, end: Address) -> Result<(), LogError> {
        let mut writer = self.writer.lock();
        if self.safe(Safety::Written) >= end {
            return Ok(());
        }
        self.refuse_if_poisoned()?;
        let Writer { backlog, buffer, .. } = &mut *writer;
        self.tail.lock().take(backlog, std::mem::take(buffer));
        let result = self.write_backlog(&mut writer);
        if writer.stalled || result.is_err() {
            writer.stalled = result.is_err();
            self.stalled.store(writer.stalled, Ordering::Release);
            self.tail.lock().stall(result.as_ref().err().cloned());
        }
        if result.is_ok() && self.settings.mapped {
            self.map_current(&mut writer);
        }
        result
    }

    /// Has the tail put records into the segment's file by itself, from now on. Once for each segment: where the system
    /// cannot map it, it is written to like any other.
    fn map_current(&self, writer: &mut Writer) {
        let segment = &writer.current;
        if writer.mapped == segment.header.id {
            return;
        }
        writer.mapped = segment.header.id;
        if let Ok(mapped) = segment.file.map(&segment.path, segment.header.capacity) {
            let left = self.with_tail(|tail| tail.map(segment.header.id, mapped));
            // Not under the lock of the tail.
            drop(left);
        }
    }

    fn write_backlog(&self, writer: &mut Writer) -> Result<(), LogError> {
        while let Some(batch) = writer.backlog.front_mut() {
            if let Some(header) = &batch.begins {
                writer.current = self.begin_segment(header)?;
                batch.begins = None;
            }
            // The clean end goes with every write; the next write covers it.
            batch.bytes.extend_from_slice(&END);
            reach("log.write");
            if let Err(reason) = writer.current.file.write_at(&batch.bytes, batch.offset) {
                return Err(self.fail("write to", &writer.current, &reason));
            }
            reach("log.written");
            self.written.store(batch.end, Ordering::Release);
            if let Some(mut done) = writer.backlog.pop_front()
                && done.bytes.capacity() <= BUFFER_BYTES_MAX
            {
                done.bytes.clear();
                writer.buffer = done.bytes;
            }
        }
        Ok(())
    }

    /// Makes the next segment, from the spare if there is one.
    fn begin_segment(&self, header: &Header) -> Result<Arc<Segment>, LogError> {
        let (disk, dir) = (&self.env.disk, &self.folders.log);
        let spare = match self.take_spare(header.capacity) {
            Some(spare) => spare,
            None => {
                // A writer waits for it.
                let draft = self.fresh_name("next-", DRAFT);
                segment::make_spare(disk, draft, header.capacity, Fill::Reserved)
                    .map_err(|reason| failed("make a segment in", dir, &reason))?
            }
        };
        let path = spare.path.clone();
        reach("log.roll");
        let segment = match segment::begin(disk, dir, spare, header.clone(), &[], None) {
            Ok(segment) => Arc::new(segment),
            Err(NotBegun::Room(reason)) => return Err(failed("begin a segment in", &path, &reason)),
            Err(NotBegun::Unknown(reason)) => {
                return Err(self.poison(format!("cannot name a segment: {reason}")));
            }
        };
        reach("log.rolled");
        self.segments.write().push_back(segment.clone());
        self.upkeep_is_due();
        Ok(segment)
    }

    /// Makes everything up to `end`, which is written, durable.
    pub(super) fn sync(&self, end: Address) -> Result<(), LogError> {
        let mut syncer = self.syncer.lock();
        if self.safe(Safety::Durable) >= end {
            return Ok(());
        }
        self.sync_written(&mut syncer)
    }

    /// Marks what is durable, durably: damage of the last records is then no longer taken for a torn write.
    pub(super) fn mark_durable(&self) -> Result<(), LogError> {
        let mut syncer = self.syncer.lock();
        if syncer.marked >= self.safe(Safety::Durable) {
            return Ok(());
        }
        self.sync_written(&mut syncer)
    }

    fn sync_written(&self, syncer: &mut Syncer) -> Result<(), LogError> {
        self.refuse_if_poisoned()?;
        // Before the sync: what is written while it runs is not covered by it.
        let target = self.safe(Safety::Written);
        let durable = self.safe(Safety::Durable);
        let unsynced = self.segments_from(durable, target);
        if let Some(first) = unsynced.first()
            && syncer.marked < durable
        {
            let marked = if planted(Bug::MarkAheadOfSync) { target } else { durable };
            let mark = Mark { sequence: syncer.sequence + 1, offset: first.offset(marked) };
            if let Err(reason) = first.write_mark(mark) {
                return Err(self.fail("write to", first, &reason));
            }
            syncer.sequence = mark.sequence;
            syncer.marked = durable;
            reach("log.marked");
        }
        let begun = self.env.clock.monotonic();
        // In order: nothing of a segment is durable before all of the one before is.
        let skipped = if planted(Bug::OnlyLastSegmentSynced) { unsynced.len().saturating_sub(1) } else { 0 };
        for segment in &unsynced[skipped..] {
            let synced = segment.file.sync_data();
            let synced =
                if planted(Bug::SyncRetried) { synced.or_else(|_| segment.file.sync_data()) } else { synced };
            synced.map_err(|reason| self.fail("sync", segment, &reason))?;
        }
        reach("log.synced");
        let target = if planted(Bug::CommitRace) { self.safe(Safety::Written) } else { target };
        self.durable.store(target, Ordering::Release);
        reach("log.durable");
        syncer.last = self.env.clock.monotonic();
        self.sync_ms_max.fetch_max((syncer.last - begun).as_millis() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// The segments that hold what lies between these addresses; the one that begins at `from` or holds it first.
    fn segments_from(&self, from: Address, to: Address) -> Vec<Arc<Segment>> {
        let segments = self.segments.read();
        let first = segments.partition_point(|segment| segment.header.base <= from).saturating_sub(1);
        let last = segments.partition_point(|segment| segment.header.base <= to);
        segments.range(first..last).cloned().collect()
    }

    pub(super) fn refuse_if_poisoned(&self) -> Result<(), LogError> {
        self.poison.get().map_or(Ok(()), |reason| Err(reason.clone()))
    }

    fn fail(&self, verb: &str, segment: &Segment, reason: &io::Error) -> LogError {
        self.poison(format!("cannot {verb} {}: {reason}", segment.path.display()))
    }

    /// Ends this log for good, for the first reason given.
    fn poison(&self, reason: String) -> LogError {
        let poison = self.poison.get_or_init(|| LogError::Poisoned { reason }).clone();
        self.tail.lock().refuse(poison.clone());
        poison
    }
}
