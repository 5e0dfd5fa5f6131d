//! What a person does in a script: decides on letters, adopts, repairs, acknowledges; and what a person has to be told.
//! What a person does may be done again at any time: after a crash it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use landfall::buffer::log::Log;
use landfall::buffer::log::local::{LocalLog, Permission};
use landfall::engine::adopt::Survey;
use landfall::env::Disk;
use landfall::model::{IncidentKind, Intent, LaneId, Position};

use super::{STARTS_MAX, STARTS_UNTIL_HEALED, Script, World};

/// Which incidents there have to be in the end, and which there may be besides.
pub(in crate::core) type Expected = (&'static [IncidentKind], &'static [IncidentKind]);

const DIR: &str = "/data";

impl Script {
    /// Asks something of all dead letters.
    pub(in crate::core) fn decide(&self, intent: &Intent) {
        let world = &*self.0;
        if self.is_over() {
            return;
        }
        let letters = world.database.snapshot().letters.after(0, usize::MAX);
        world.in_unit.store(true, Ordering::Relaxed);
        let asked = world.with(|process| process.steps.engine().ask_of_letters(&letters, intent));
        world.in_unit.store(false, Ordering::Relaxed);
        if let Some(Err(refusal)) = asked
            && !world.explains(&refusal)
        {
            world.context.violation(format!("nothing can be asked of letters: {refusal}"));
        }
        self.commit_all();
    }

    /// Makes everything that was logged as safe as an acknowledgement promises, whoever waits for it.
    pub(in crate::core) fn commit_all(&self) {
        if !self.is_over() {
            self.0.with(|process| drop(process.steps.engine().commit()));
        }
        self.0.note_poison();
    }

    /// The volume of the log is lost, and with it what had not landed: a person has to say that this is known.
    pub(in crate::core) fn lose_volume(&self) {
        let world = &*self.0;
        self.end(super::Crash::Kill);
        world.disk.wipe();
        world.history.lock().give_up_all(world.database.snapshot().view(), BTreeMap::new());
    }

    /// The volume goes back to what it is now, behind what is done until then: what had landed stays in the database, and
    /// what had not is lost. A person is told.
    pub(in crate::core) fn go_back_behind(&self, then: impl FnOnce(&Script)) {
        let world = &*self.0;
        let copy = world.disk.fork();
        then(self);
        self.end(super::Crash::Kill);
        world.disk.restore(&copy);
        self.give_up_unlanded();
        world.history.lock().expects_gaps = true;
    }

    /// The database goes back further than the log reaches: a person has to say that this is known.
    pub(in crate::core) fn go_back_too_far(&self, commits: usize) {
        let world = &*self.0;
        let oldest = world.with(|process| {
            let lanes = process.log.lanes().into_iter();
            lanes.map(|(_, lane)| (lane, process.log.oldest(lane).position)).collect()
        });
        self.end(super::Crash::Kill);
        self.go_back(commits);
        let oldest: BTreeMap<LaneId, Position> = oldest.unwrap_or_default();
        let is_behind = |(lane, oldest): (&LaneId, &Position)| {
            world.database.watermark(*lane).is_some_and(|mark| mark.position < *oldest)
        };
        self.reached("the log does not reach so far", oldest.iter().any(is_behind));
        world.history.lock().begin_anew(world.database.snapshot().view(), oldest);
    }

    /// A note beside the log is gone, as if no version had ever written it.
    pub(in crate::core) fn forget_note(&self, name: &str) {
        let notes = Path::new(DIR).join("notes");
        let gone = self.0.disk.remove(&notes.join(name)).and_then(|()| self.0.disk.sync_dir(&notes));
        self.reached("a note is gone", gone.is_ok());
    }

    /// A byte of the youngest segment that holds this text changes behind everybody's back.
    pub(in crate::core) fn damage(&self, text: &str) {
        self.damage_in("seg", text);
    }

    /// A byte of the spill file that holds this text changes behind everybody's back.
    pub(in crate::core) fn damage_spilled(&self, text: &str) {
        self.damage_in("spill", text);
    }

    fn damage_in(&self, kind: &str, text: &str) {
        let disk = &self.0.disk;
        let place = |path: &PathBuf| {
            let is_of_kind = path.extension().is_some_and(|extension| extension == kind);
            let content = if is_of_kind { disk.content(path) } else { Vec::new() };
            content.windows(text.len()).position(|window| window == text.as_bytes())
        };
        let found = disk.files().into_iter().rev().find_map(|path| Some((place(&path)?, path)));
        if let Some((at, path)) = &found {
            disk.change(path, |content| content[*at] ^= 0x10);
        }
        self.reached("a record was damaged", found.is_some());
    }

    /// What has not landed cannot be read any more, and a person gives it up.
    pub(in crate::core) fn give_up_unlanded(&self) {
        let snapshot = self.0.database.snapshot();
        self.0.history.lock().give_up_all(snapshot.view(), snapshot.positions());
    }

    /// `landfall adopt --i-know`, until it succeeds.
    pub(in crate::core) fn adopt(&self) {
        self.insist("adopt", World::try_adopt);
    }

    /// `landfall log repair`, until it succeeds.
    pub(in crate::core) fn repair(&self) {
        self.insist("repair", |world| world.try_repair(Permission::LoseNothing));
    }

    /// `landfall log repair --declare-loss`, until it succeeds.
    pub(in crate::core) fn repair_with_loss(&self) {
        self.insist("repair", |world| world.try_repair(Permission::DeclareLoss));
    }

    /// `landfall incidents acknowledge all`.
    pub(in crate::core) fn acknowledge(&self) {
        if !self.is_over() {
            self.0.with(|process| drop(process.steps.engine().acknowledge_incidents(None)));
        }
    }

    fn insist(&self, what: &str, run: impl Fn(&World) -> Result<(), String>) {
        let world = &*self.0;
        for attempt in 0..STARTS_MAX {
            if world.context.is_crashed() {
                return;
            }
            if attempt >= STARTS_UNTIL_HEALED {
                world.heal();
            }
            world.disk_failed.store(false, Ordering::Relaxed);
            let done = run(world);
            if world.context.is_crashed() {
                return;
            }
            world.disk.kill();
            match done {
                Ok(()) => return,
                Err(why) => world.context.tell(|| format!("no {what}: {why}")),
            }
            world.context.pass(100);
        }
        world.context.violation(format!("there is no {what} although nothing is broken any more"));
    }
}

impl World {
    fn try_adopt(&self) -> Result<(), String> {
        let opened = LocalLog::open(self.env.clone(), Path::new(DIR), self.setup.log.clone());
        let (log, _) = opened.map_err(|error| {
            if !self.disk_failed.load(Ordering::Relaxed) && !self.is_full() {
                self.context.violation(format!("the log was refused: {error}"));
            }
            error.to_string()
        })?;
        let log: Arc<dyn Log> = Arc::new(log);
        let database = Arc::new(self.database.clone());
        let survey = Survey::new(self.env.clone(), &self.setup.settings, log.clone(), database);
        let survey = survey.map_err(|error| error.to_string())?;
        if !survey.is_empty() {
            survey.carry_out().map_err(|error| error.to_string())?;
            self.context.reached("somebody adopted");
        }
        log.close().map_err(|error| error.to_string())
    }

    fn try_repair(&self, permission: Permission) -> Result<(), String> {
        let (env, dir) = (&self.env, Path::new(DIR));
        let mut watermark_of = |lane| Ok(self.database.watermark(lane));
        let repaired =
            LocalLog::repair(env, dir, &self.setup.log, permission, &mut watermark_of, &mut |_, _| {});
        let repair = repaired.map_err(|error| error.to_string())?;
        if !repair.whole && !repair.done {
            let (lost, unsure) = (&repair.lost, &repair.survey.unsure);
            self.context.violation(format!("the repair would lose {lost:?}, {unsure:?}"));
        }
        if repair.done {
            self.context.reached("a log was repaired");
        }
        Ok(())
    }

    /// What a person has to know of is known, and nothing else.
    pub(super) fn check_incidents(&self, (expected, possible): Expected) {
        let kept = self.with(|process| process.steps.engine().incidents()).unwrap_or_default();
        let sent = self.database.snapshot().incidents;
        for incident in &kept {
            if !expected.contains(&incident.kind) && !possible.contains(&incident.kind) {
                self.context.violation(format!("nobody expected an incident: {}", incident.what));
            }
            if sent.get(&incident.id) != Some(incident) {
                self.context.violation(format!("the database does not know of: {}", incident.what));
            }
        }
        for kind in expected {
            if !kept.iter().any(|incident| incident.kind == *kind) {
                self.context.violation(format!("nobody declared that: {kind:?}"));
            }
        }
    }
}
