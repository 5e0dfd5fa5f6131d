//! When records are spilled and when a spill file goes: the part of the upkeep that keeps one group from holding the log of all.
//! It changes nothing in memory before META names the file, and a failure leaves everything as it was.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Address, Log, LogError, Safety};
use super::small_file::{Meta, write_meta};
use super::spill::build::{Build, Plan, Stepped};
use super::spill::{Header, Spill, file_name};
use super::tail::{Lane, Tail};
use super::upkeep::DRAFT;
use super::{LocalLog, failed};
use crate::env::failpoint::reach;
use crate::env::planted::{Bug, planted};
use crate::model::LaneId;

/// Records are spilled once the log has grown to this part of its bound, in eighths, ..
const BEGIN_EIGHTHS: u64 = 3;
/// .. of what lies further back than this, ..
const STAY_EIGHTHS: u64 = 1;
/// .. and when at least so much of the log may go then.
const GAIN_EIGHTHS: u64 = 1;
/// After a failure nothing is tried for so long.
const PAUSE: Duration = Duration::from_secs(60);

/// What one upkeep leaves for the next.
#[derive(Default)]
pub(super) struct Spilling {
    work: Option<Work>,
    /// The number of the last spill file that was begun.
    last_id: u64,
    /// META still names a spill file that nobody needs.
    unname: bool,
    /// Files that META does not name.
    gone: Vec<PathBuf>,
    /// When the spill file was first seen to have landed, on the monotonic clock.
    landed_at: Option<Duration>,
    not_before: Duration,
}

enum Work {
    Building(Box<Build>),
    /// The file is durable under its name; whether META names it is not known.
    Named(Arc<Spill>),
}

impl Spilling {
    /// Of a log whose last spill file had this number.
    pub(super) fn behind(last_id: u64) -> Self {
        Self { last_id, ..Self::default() }
    }
}

impl LocalLog {
    /// Does the next piece of the work.
    pub(super) fn spill(&self, spilling: &mut Spilling) -> Result<(), LogError> {
        self.remove_spills(spilling)?;
        let done = match spilling.work.take() {
            Some(Work::Named(spill)) => self.publish(spilling, spill),
            Some(Work::Building(build)) => self.build(spilling, build),
            None => {
                self.let_spill_go(spilling)?;
                if self.env.clock.monotonic() < spilling.not_before || !self.has_room() {
                    return Ok(());
                }
                match self.plan() {
                    Some(plan) => self.begin_spill(spilling, plan),
                    None => Ok(()),
                }
            }
        };
        if done.is_err() {
            spilling.not_before = self.env.clock.monotonic() + PAUSE;
        } else if spilling.work.is_some() {
            self.upkeep_is_due();
        }
        done
    }

    /// What to spill, when it is time: others have landed far behind what these lanes owe.
    fn plan(&self) -> Option<Plan> {
        let eighth = self.settings.owed_bytes_max() / 8;
        let durable = self.safe(Safety::Durable);
        let tail = self.tail.lock();
        if tail.owed_bytes() < eighth * BEGIN_EIGHTHS {
            return None;
        }
        let latest = tail.front().min(durable).min(tail.accepted() - eighth * STAY_EIGHTHS);
        let segments = self.segments.read();
        // Strictly: the lane map that the segment begins with is durable.
        let next = segments.partition_point(|segment| segment.header.base < latest).checked_sub(1)?;
        let through = segments[next].header.base;
        if through < tail.landed_address() + eighth * GAIN_EIGHTHS {
            return None;
        }
        let base_of = |address| {
            let at = segments.partition_point(|segment| segment.header.base <= address).checked_sub(1)?;
            Some(segments[at].header.base)
        };
        let mut lanes = BTreeMap::new();
        for (id, lane) in tail.lanes() {
            let spilled = lane.owes_spilled().then_some(lane.spilled.start);
            let first = if spilled.is_some() { lane.first_kept } else { lane.first_kept.min(lane.first_gap) };
            let first = if first < through { base_of(first) } else { None };
            if let Some(from) = spilled.into_iter().chain(first).min() {
                lanes.insert(id, from);
            }
        }
        let from = *lanes.values().min()?;
        let old = self.spilled.read().clone().filter(|_| from < segments[0].header.base);
        let first = segments.partition_point(|segment| segment.header.base < from);
        let segments_of = segments.range(first.min(next)..next).cloned().collect();
        let bytes_max = self.settings.owed_bytes_max();
        Some(Plan { through, lanes, old, segments: segments_of, next: segments[next].clone(), bytes_max })
    }

    fn begin_spill(&self, spilling: &mut Spilling, plan: Plan) -> Result<(), LogError> {
        reach("spill.begin");
        let mut salt = [0; 8];
        self.env.random.fill(&mut salt);
        spilling.last_id += 1;
        let header = Header {
            lineage: self.meta.lineage,
            id: spilling.last_id,
            length: 0,
            through: plan.through,
            records: 0,
            salt: u64::from_le_bytes(salt),
            created_ms: self.env.clock.unix_ms(),
        };
        let build = Build::new(&self.env.disk, self.fresh_name("spill-", DRAFT), header, plan)?;
        spilling.work = Some(Work::Building(Box::new(build)));
        Ok(())
    }

    fn build(&self, spilling: &mut Spilling, mut build: Box<Build>) -> Result<(), LogError> {
        let (disk, dir) = (&self.env.disk, &self.folders.log);
        let stepped = build.step();
        match stepped {
            Ok(Stepped::More) => {
                spilling.work = Some(Work::Building(build));
                return Ok(());
            }
            Ok(Stepped::Done) if self.with_tail(|tail| self.leave_behind(tail, &build)) => {}
            // What is left of it goes with the next upkeep.
            other => {
                spilling.gone.push(build.path().clone());
                spilling.not_before = self.env.clock.monotonic() + PAUSE;
                return other.map(drop);
            }
        }
        reach("spill.written");
        let path = dir.join(file_name(spilling.last_id));
        let named = disk.rename(build.path(), &path).and_then(|()| disk.sync_dir(dir));
        if let Err(reason) = named {
            spilling.gone.extend([build.path().clone(), path.clone()]);
            return Err(failed("name", &path, &reason));
        }
        reach("spill.named");
        spilling.work = Some(Work::Named(Arc::new(build.named(path))));
        Ok(())
    }

    /// Forgets what the spill file has of lanes that have landed it, and that the next one does not take over; false when
    /// one of them has been taken back to where it needs it.
    fn leave_behind(&self, tail: &mut Tail, build: &Build) -> bool {
        let left = |(id, lane): &(LaneId, &Lane)| {
            let taken_over = build.lanes().get(id).is_some_and(|from| *from <= lane.spilled.start);
            !lane.spilled.is_empty() && !taken_over
        };
        let left: Vec<_> = tail.lanes().filter(left).map(|(id, lane)| (id, lane.owes_spilled())).collect();
        if left.iter().any(|(_, owes)| *owes) {
            return false;
        }
        let none: Vec<_> = left.into_iter().map(|(id, _)| (id, 0..0)).collect();
        self.forget_spilled(tail, &none, tail.spilled_bytes);
        true
    }

    /// Has the tail forget what these lanes have in the spill file, and nowhere else any more.
    fn forget_spilled(&self, tail: &mut Tail, none: &[(LaneId, Range<Address>)], bytes: u64) {
        tail.spilled(none, bytes);
        if let Some(oldest) = self.segments.read().front() {
            tail.trim(oldest.header.base);
        }
    }

    /// Has META name the spill file. From then on it is the home of what it holds.
    fn publish(&self, spilling: &mut Spilling, spill: Arc<Spill>) -> Result<(), LogError> {
        let named = if planted(Bug::SpillUnnamed) { Ok(()) } else { self.name_in_meta(spill.header.id) };
        if let Err(reason) = named {
            // It may be named or not, so neither this file nor the one before goes.
            spilling.work = Some(Work::Named(spill));
            return Err(reason);
        }
        reach("spill.meta");
        let through = spill.header.through;
        let parts: Vec<_> = spill.parts.iter().map(|part| (part.lane, part.from..through)).collect();
        let old = self.with_tail(|tail| {
            tail.spilled(&parts, spill.header.length);
            self.spilled.write().replace(spill)
        });
        spilling.gone.extend(old.map(|old| old.path.clone()));
        (spilling.unname, spilling.landed_at) = (false, None);
        self.upkeep_is_due();
        Ok(())
    }

    fn name_in_meta(&self, spill: u64) -> Result<(), LogError> {
        write_meta(&self.env.disk, &self.folders.dir, &Meta { spill, ..self.meta })
    }

    /// Lets the spill file go once every lane has landed what is in it, and the retention is over.
    fn let_spill_go(&self, spilling: &mut Spilling) -> Result<(), LogError> {
        let now = self.env.clock.monotonic();
        let going = self.with_tail(|tail| {
            let spill = self.spilled.read().clone()?;
            if tail.lanes().any(|(_, lane)| lane.owes_spilled()) && !planted(Bug::SpillGoesEarly) {
                spilling.landed_at = None;
                return None;
            }
            let since = *spilling.landed_at.get_or_insert(now);
            let old = now.saturating_sub(since).as_millis() >= u128::from(self.settings.retention_ms);
            if !old && self.has_room() {
                return None;
            }
            // Under the same lock: from here on a lane cannot be taken back into it.
            let none: Vec<_> = spill.parts.iter().map(|part| (part.lane, 0..0)).collect();
            self.forget_spilled(tail, &none, 0);
            self.spilled.write().take()
        });
        if let Some(spill) = going {
            spilling.unname = true;
            spilling.gone.push(spill.path.clone());
            spilling.landed_at = None;
        }
        if spilling.unname {
            reach("spill.go");
            self.name_in_meta(0)?;
            spilling.unname = false;
        }
        self.remove_spills(spilling)
    }

    /// Removes what META does not name.
    fn remove_spills(&self, spilling: &mut Spilling) -> Result<(), LogError> {
        if spilling.unname || spilling.gone.is_empty() {
            return Ok(());
        }
        for path in &spilling.gone {
            match self.env.disk.remove(path) {
                Err(reason) if reason.kind() != ErrorKind::NotFound => {
                    return Err(failed("remove", path, &reason));
                }
                _ => {}
            }
        }
        let dir = &self.folders.log;
        self.env.disk.sync_dir(dir).map_err(|reason| failed("sync the folder", dir, &reason))?;
        spilling.gone.clear();
        reach("spill.gone");
        Ok(())
    }
}
