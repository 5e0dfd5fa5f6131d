//! The work beside the path of a write: the next segment's file, the mark of an idle log, and letting go of segments.
//! It never touches a segment that some lane owes, and no failure here loses a record.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Log, LogError, Safety};
use super::segment::{self, Fill, Segment, Spare};
use super::settings::SEGMENTS_MAX;
use super::small_file;
use super::spilling::Spilling;
use super::{LocalLog, LocalLogSettings as Settings, failed};
use crate::env::failpoint::reach;
use crate::env::planted::{Bug, planted};
use crate::sync::atomic::Ordering;

/// After this long without a sync, what is durable is marked by a sync of its own.
const IDLE: Duration = Duration::from_secs(1);

/// How many files are prepared ahead: one for the next roll-over while the one after it is still being made, and the last
/// is the reserve of a full disk.
const SPARES: usize = 2;

/// What the name of a file for a next segment begins with: whole, or it would not have that name.
pub(super) const SPARE: &str = "spare-";
/// What the name of a file ends with that nobody needs after a restart.
pub(super) const DRAFT: &str = ".tmp";

/// What one upkeep leaves for the next.
#[derive(Default)]
pub(super) struct Upkeep {
    /// When each of the landed segments was first seen to be so, on the monotonic clock, oldest first.
    landed_at: VecDeque<Duration>,
    /// Segments that are forgotten and whose files are not gone yet, oldest first.
    going: VecDeque<Arc<Segment>>,
    /// The reserve is there.
    reserved: bool,
    pub(super) spilling: Spilling,
}

impl Upkeep {
    /// Of a log whose last spill file had this number.
    pub(super) fn behind(last_spill: u64) -> Self {
        Self { spilling: Spilling::behind(last_spill), ..Self::default() }
    }
}

impl LocalLog {
    pub(super) fn do_upkeep(&self) -> Result<(), LogError> {
        *self.due.lock() = false;
        let mut upkeep = self.upkeep.lock();
        self.refuse_if_poisoned()?;
        // Each is tried, whatever becomes of the others.
        self.forget(&mut upkeep);
        let gone = self.let_go(&mut upkeep);
        let spilled = self.spill(&mut upkeep.spilling);
        let reserved = self.prepare_reserve(&mut upkeep);
        let spared = self.prepare_spares();
        let stalled = self.tail.lock().stalled();
        let written = if stalled { self.write(self.accepted()) } else { Ok(()) };
        let idle = self.env.clock.monotonic().saturating_sub(self.syncer.lock().last) >= IDLE;
        let marked = if idle { self.mark_durable() } else { Ok(()) };
        gone.and(spilled).and(reserved).and(spared).and(written).and(marked)
    }

    /// A name in the log's folder that was never used since the start.
    pub(super) fn fresh_name(&self, begin: &str, end: &str) -> PathBuf {
        self.folders.log.join(format!("{begin}{}{end}", self.names.fetch_add(1, Ordering::Relaxed)))
    }

    /// Prepares the next segments' files, so that no write has to wait for one.
    fn prepare_spares(&self) -> Result<(), LogError> {
        while self.spares.lock().len() < SPARES {
            let draft = self.fresh_name("next-", DRAFT);
            let Settings { segment_bytes, zero_fill, .. } = self.settings;
            let fill = if zero_fill { Fill::Zeros } else { Fill::Reserved };
            let mut spare = segment::make_spare(&self.env.disk, draft, segment_bytes, fill)
                .map_err(|reason| failed("make a segment in", &self.folders.log, &reason))?;
            let path = self.fresh_name(SPARE, "");
            self.env.disk.rename(&spare.path, &path).map_err(|reason| failed("name", &path, &reason))?;
            reach("log.spare");
            spare.path = path;
            self.spares.lock().push_back(spare);
        }
        Ok(())
    }

    /// A prepared file of this length. The last one stays: a start on a full disk begins a segment, and without one
    /// nothing could land any more.
    pub(super) fn take_spare(&self, capacity: u64) -> Option<Spare> {
        let mut spares = self.spares.lock();
        let may_go = spares.len() > 1 && spares.front().is_some_and(|spare| spare.capacity == capacity);
        if may_go { spares.pop_front() } else { None }
    }

    /// Keeps a little room in the data directory for META and the notes, which are written on a full disk too.
    fn prepare_reserve(&self, upkeep: &mut Upkeep) -> Result<(), LogError> {
        if !upkeep.reserved {
            small_file::make_reserve(&self.env.disk, &self.folders.dir)
                .map_err(|reason| failed("reserve room in", &self.folders.dir, &reason))?;
            upkeep.reserved = true;
        }
        Ok(())
    }

    /// Whether the oldest segment is owed by nobody any more.
    pub(super) fn something_may_go(&self) -> bool {
        let landed = self.tail.lock().landed_address();
        self.segments.read().get(1).is_some_and(|next| next.header.base < landed)
    }

    /// Forgets the landed segments that the retention does not keep.
    fn forget(&self, upkeep: &mut Upkeep) {
        let now = self.env.clock.monotonic();
        let durable = self.safe(Safety::Durable);
        // Against a rewind: what is found landed here is forgotten under the same lock.
        let mut tail = self.tail.lock();
        let landed = tail.landed_address().min(durable);
        let mut segments = self.segments.write();
        // Strictly: what stays has to begin with a lane map that is durable, and that is the first record there.
        let count = segments.partition_point(|segment| segment.header.base < landed).saturating_sub(1);
        upkeep.landed_at.resize(count, now);
        let mut kept: u64 = segments.range(..count).map(|segment| segment.header.capacity).sum();
        while let (Some(since), Some(segment)) = (upkeep.landed_at.front(), segments.front()) {
            let rest = kept - segment.header.capacity;
            let old = now.saturating_sub(*since).as_millis() >= u128::from(self.settings.retention_ms);
            let may_go = old && rest >= self.settings.retention_bytes || planted(Bug::NoRetention);
            // Room for a write that waits is worth more than a past that perhaps nobody asks for.
            let full = !self.has_room();
            let many = upkeep.landed_at.len() as u64 > SEGMENTS_MAX;
            if !may_go && !full && !many && kept <= self.settings.retained_bytes_max {
                break;
            }
            kept = rest;
            upkeep.landed_at.pop_front();
            upkeep.going.extend(segments.pop_front());
        }
        if let Some(oldest) = segments.front() {
            tail.trim(oldest.header.base);
        }
    }

    /// Uses the files of forgotten segments again, or removes them. One at a time and oldest first, each durably:
    /// a younger one must not be gone while an older one is still there.
    fn let_go(&self, upkeep: &mut Upkeep) -> Result<(), LogError> {
        while let Some(segment) = upkeep.going.pop_front() {
            reach("log.trim");
            let path = segment.path.clone();
            let capacity = segment.header.capacity;
            let wanted = capacity == self.settings.segment_bytes && self.spares.lock().len() < SPARES;
            let disk = &self.env.disk;
            // A reader that still has the file open must not see it change.
            let (file, moved) = match Arc::try_unwrap(segment) {
                Ok(segment) if wanted => {
                    let spare = self.fresh_name(SPARE, "");
                    let moved = disk.rename(&path, &spare).map(|()| Some(spare));
                    (Arc::new(segment), moved)
                }
                Ok(segment) => (Arc::new(segment), disk.remove(&path).map(|()| None)),
                Err(shared) => (shared, disk.remove(&path).map(|()| None)),
            };
            // Gone already: the attempt before did that much.
            let moved = moved.or_else(|reason| match reason.kind() {
                ErrorKind::NotFound => Ok(None),
                _ => Err(reason),
            });
            reach("log.trimmed");
            let sync =
                || if planted(Bug::TrimWithoutSync) { Ok(()) } else { disk.sync_dir(&self.folders.log) };
            match moved.and_then(|moved| sync().map(|()| moved)) {
                Ok(Some(path)) => {
                    self.spares.lock().push_back(Spare { path, file: file.file.clone(), capacity });
                }
                Ok(None) => {}
                Err(reason) => {
                    upkeep.going.push_front(file);
                    return Err(failed("let go of", &path, &reason));
                }
            }
        }
        Ok(())
    }
}
