//! What only a person can set right: a volume that is lost, an older copy in its place, damage, a database from long ago.
//! The product has to refuse or to stop by itself; only then the person here acts, as the documentation says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use landfall::OpenError;
use landfall::buffer::log::local::LocalLog;
use landfall::buffer::log::{Log, LogError};
use landfall::engine::adopt::Survey;
use landfall::env::Env;
use landfall::lander::OpenError as LanderError;
use landfall::lander::Phase;
use landfall::simulation::Stepwise;
use landfall::simulation::seeded::{Dice, SeededRandom};
use landfall::simulation::strict_disk::{Keep, StrictDisk};
use landfall::sink::SinkError;
use parking_lot::Mutex;

use super::{Crash, World};
use crate::core::history::difference;
use crate::core::traced_log::TracedLog;

/// Where the records of a segment begin.
const FIRST_PAGE_BYTES: usize = 4096;
/// Longer than a log waits before it marks by itself what is durable.
const MARKED_MS: u64 = 1_200;

/// What a person has to set right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disaster {
    /// The volume with the log is gone; a new one is in its place.
    LostVolume,
    /// A process on a copy of the volume has taken the lanes over.
    OtherCopy,
    /// A copy of the volume from before the last start is in its place.
    OldVolume,
    /// A bit of the log has changed.
    Damage,
    /// The database was restored from long ago: the log may no longer keep what is missing there.
    OldDatabase,
}

/// A copy of the volume.
pub(super) struct Backup {
    disk: StrictDisk,
    /// The number of the start that it is of.
    boot: u64,
    /// What the log held then. Some of it may have been lost since, where the copy was taken from.
    order: Vec<usize>,
}

impl World {
    /// What can happen to a volume or a database beyond what the product survives alone.
    pub(super) fn any_disaster(&self) {
        if self.disaster.get().is_some() {
            // A person comes by and looks.
            if self.context.one_in(20) {
                self.crash(self.any_crash());
            }
            return;
        }
        let may_go_back = !self.gave_up.get();
        if self.setup.keeps_much
            && may_go_back
            && self.context.chance("db: failover")
            && self.database.go_back(1 + self.context.below(4) as usize) > 0
        {
            self.context.count_fault("db: failover");
            if self.was_full.get() {
                // A full disk costs the past that is kept for a database that goes back.
                self.begin_disaster(Disaster::OldDatabase);
                return;
            }
        }
        if !self.gave_up.get() && self.context.has("volume: an older copy") && self.context.one_in(30) {
            self.back_up();
        }
        if self.context.fault("volume: lost") {
            self.lose(Crash::Kill);
            self.disk.wipe();
            self.backup.borrow_mut().take();
            self.begin_disaster(Disaster::LostVolume);
            self.history.lock().lose_log();
            self.start();
        } else if self.context.fault("volume: a copy runs") {
            self.run_copy();
        } else if self.has_older_copy() && self.context.fault("volume: an older copy") {
            self.restore();
        } else if self.context.chance("volume: damage") {
            self.damage();
        } else if !self.setup.keeps_much
            && may_go_back
            && self.context.chance("db: restored from long ago")
            && self.database.go_back(1 + self.context.below(12) as usize) > 0
        {
            self.context.count_fault("db: restored from long ago");
            self.begin_disaster(Disaster::OldDatabase);
        }
    }

    pub(super) fn begin_disaster(&self, disaster: Disaster) {
        self.context.tell(|| format!("disaster: {disaster:?}"));
        self.disaster.set(Some(disaster));
        self.had_disaster.set(true);
        self.history.lock().remember();
        self.database.set_waits_for_person(true);
    }

    fn back_up(&self) {
        let Some(boot) = self.with(|process| process.log.boot()) else { return };
        let disk = self.disk.fork();
        disk.crash(Keep::Some, &mut Dice(self.context.below(u64::MAX)));
        let order = self.history.lock().order.clone();
        *self.backup.borrow_mut() = Some(Backup { disk, boot, order });
    }

    /// Whether the database knows of a start behind the one of the copy. Else nobody could tell that the copy is one.
    fn has_older_copy(&self) -> bool {
        let lanes = self.database.snapshot().lanes;
        let last = lanes.ids().into_iter().filter_map(|lane| lanes.row(lane)).map(|row| row.start.boot).min();
        self.backup.borrow().as_ref().is_some_and(|copy| last.is_some_and(|boot| boot > copy.boot))
    }

    /// Somebody copies the data directory and starts a process on the copy. It lands for a while, and ends.
    fn run_copy(&self) {
        let taken = |world: &World| {
            let lanes = world.database.snapshot().lanes;
            lanes.ids().into_iter().map(|lane| lanes.row(lane).map(|row| row.start)).collect::<Vec<_>>()
        };
        let before = taken(self);
        let disk = self.disk.fork();
        let mut dice = Dice(self.context.below(u64::MAX));
        disk.crash(Keep::Everything, &mut dice);
        let random = Arc::new(SeededRandom(Mutex::new(dice)));
        let env = Env { clock: self.context.clone(), random, disk: Arc::new(disk) };
        let opened = LocalLog::open(env.clone(), Path::new("/data"), self.setup.log.clone());
        let Ok((log, _)) = opened else { return };
        let log = Arc::new(TracedLog { is_copy: true, ..self.traced(log, true) });
        let database = Arc::new(self.database.clone());
        let opened = Stepwise::open(env, self.settings(), log, database);
        // Without the database it would do nothing before it is ended.
        if let Some((steps, _)) = opened.ok().filter(|(_, opened)| !opened.database_away) {
            self.context.tell(|| "a copy runs".into());
            for _ in 0..self.context.below(30) {
                steps.lander_turn();
            }
            self.context.tell(|| "the copy has ended".into());
        }
        if taken(self) != before {
            self.begin_disaster(Disaster::OtherCopy);
        }
    }

    fn restore(&self) {
        let Some(copy) = self.backup.borrow_mut().take() else { return };
        self.lose(Crash::Kill);
        self.disk.restore(&copy.disk);
        self.begin_disaster(Disaster::OldVolume);
        self.history.lock().restore(copy.order);
        self.start();
    }

    /// A bit of a segment changes while the process is away. Everything was durable and marked before, so that whatever
    /// is damaged is known to have been there.
    fn damage(&self) {
        let written = self.history.lock().order.len();
        let is_durable = self.with(|process| process.steps.engine().commit_durably().is_ok());
        self.pass(MARKED_MS);
        let is_marked = self.segments_move();
        if is_durable != Some(true)
            || is_marked != Some(true)
            || self.history.lock().order.len() != written
            || self.context.is_crashed()
            || self.note_poison()
        {
            return;
        }
        self.poll_acks();
        self.lose(Crash::Kill);
        if let Some((path, at, bit)) = self.any_bit() {
            self.disk.change(&path, |content| content[at] ^= bit);
            self.context.count_fault("volume: damage");
            self.context.tell(|| format!("bit {bit} of byte {at} of {} has changed", path.display()));
            *self.damaged.borrow_mut() = Some((path, at, bit));
            self.begin_disaster(Disaster::Damage);
        }
        self.start();
    }

    /// Any bit of what was written into a segment.
    fn any_bit(&self) -> Option<(PathBuf, usize, u8)> {
        let is_segment = |path: &Path| path.extension().is_some_and(|extension| extension == "seg");
        let mut files: Vec<_> = self.disk.files().into_iter().filter(|path| is_segment(path)).collect();
        if files.is_empty() {
            return None;
        }
        let path = files.swap_remove(self.context.below(files.len() as u64) as usize);
        let length = self.disk.content(&path).iter().rposition(|byte| *byte != 0)? + 1;
        // Most of the first page is never looked at.
        let first = if self.context.one_in(4) { 0 } else { FIRST_PAGE_BYTES.min(length - 1) };
        let at = first + self.context.below((length - first) as u64) as usize;
        Some((path, at, 1 << self.context.below(8)))
    }

    /// A log was refused: with damage of the disk it has to be, and the person brings the right byte back.
    pub(super) fn explains_damage(&self, error: &LogError) -> bool {
        if !matches!(error, LogError::Damaged { .. } | LogError::Format { .. }) {
            return false;
        }
        let Some((path, at, bit)) = self.damaged.borrow_mut().take() else { return false };
        self.disk.change(&path, |content| content[at] ^= bit);
        self.context.reached("damage was refused");
        true
    }

    /// A start was refused for a reason that trying again does not change. A person adopts, if there is a disaster.
    pub(super) fn set_right(&self, error: &OpenError, log: &Arc<TracedLog>) -> bool {
        let is_disaster = match self.disaster.get() {
            Some(Disaster::LostVolume) => {
                matches!(error, OpenError::Lander(LanderError::Sink(SinkError::ForeignLineage { .. })))
            }
            Some(Disaster::OtherCopy) => {
                matches!(error, OpenError::Lander(LanderError::Sink(SinkError::OtherStart { .. })))
            }
            Some(Disaster::OldVolume) => matches!(
                error,
                OpenError::Lander(
                    LanderError::Sink(SinkError::OtherStart { .. }) | LanderError::Diverged { .. }
                )
            ),
            Some(Disaster::OldDatabase) => matches!(
                error,
                OpenError::Log(LogError::Trimmed { .. }) | OpenError::Lander(LanderError::Regressed { .. })
            ),
            Some(Disaster::Damage) | None => false,
        };
        if !is_disaster {
            return false;
        }
        self.context.reached(match self.disaster.get() {
            Some(Disaster::LostVolume) => "a lost volume was refused",
            Some(Disaster::OtherCopy) => "a process that another copy had shut out was refused",
            Some(Disaster::OldVolume) => "an older copy of the volume was refused",
            _ => "a database from long ago was refused",
        });
        let database = Arc::new(self.database.clone());
        let adopted = Survey::new(self.env.clone(), &self.settings(), log.clone(), database)
            .and_then(Survey::carry_out);
        self.context.tell(|| format!("adopted: {adopted:?}"));
        true
    }

    /// The process has started: with a disaster it had to be refused first, and what is gone has to be declared.
    pub(super) fn disaster_is_over(&self, steps: &Stepwise, log: &TracedLog) {
        let Some(disaster) = self.disaster.take() else { return };
        self.database.set_waits_for_person(false);
        self.damaged.borrow_mut().take();
        let adopted = self.database.take_adopted();
        let must_refuse =
            matches!(disaster, Disaster::LostVolume | Disaster::OldVolume | Disaster::OtherCopy);
        if must_refuse && adopted.is_none() {
            return self.context.violation(format!("{disaster:?} was not refused"));
        }
        if disaster == Disaster::Damage {
            return;
        }
        let snapshot = self.database.snapshot();
        let marks = snapshot.positions();
        let mut history = self.history.lock();
        let rebased = history.rebased(snapshot.view(), marks);
        let Some(before) = adopted else {
            if rebased.view != history.view {
                let what = difference(&history.view, &rebased.view);
                drop(history);
                self.context.violation(format!("nobody adopted anything, and the view has changed: {what}"));
            }
            return;
        };
        *history = rebased;
        history.goes_on_with(&log.lanes().into_iter().map(|(_, lane)| lane).collect());
        if disaster == Disaster::LostVolume {
            // Its positions are of a log that is gone.
            self.loose.borrow_mut().clear();
            self.ever_loose.borrow_mut().clear();
        }
        // A copy from before belongs to another story.
        self.backup.borrow_mut().take();
        let lanes = history.lost_lanes(&before);
        let declared = steps.engine().incidents();
        // Of a lane that the database has never seen and the log has not either, nobody knows which it was.
        let is_declared = |lane| {
            let is_known = before.contains_key(&lane);
            declared.iter().any(|incident| !is_known || incident.lane.is_none_or(|of| of == lane))
        };
        if let Some(lane) = lanes.into_iter().find(|lane| !is_declared(*lane)) {
            self.context
                .violation(format!("acknowledged records of lane {lane} are lost, and no incident tells"));
        }
    }

    /// Whether a group has stopped because of a disaster.
    pub(super) fn may_stop(&self) -> bool {
        matches!(self.disaster.get(), Some(Disaster::OldDatabase | Disaster::OtherCopy))
    }

    /// A group that stopped for good says so by an incident.
    pub(super) fn check_stopped(&self) {
        let told = self.with(|process| {
            let engine = process.steps.engine();
            let groups = engine.status().groups;
            let stopped = groups.iter().any(|group| matches!(group.status.phase, Phase::Stopped(_)));
            (stopped && process.log.poisoned().is_none(), engine.incidents().is_empty())
        });
        if told == Some((true, true)) && self.may_stop() {
            self.context.violation("a group has stopped for good, and no incident tells".into());
        }
    }
}
