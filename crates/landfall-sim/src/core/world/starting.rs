//! Starts of the process, and the check of what the log brought back.
//! A start that is refused without a fault is a broken promise; nothing here repairs anything but what a person would.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use landfall::Settings;
use landfall::buffer::log::Log;
use landfall::buffer::log::local::LocalLog;
use landfall::engine::Engine;
use landfall::settings::Fsync;
use landfall::simulation::Stepwise;

use super::{Disaster, Process, World};
use crate::core::traced_log::TracedLog;

/// Attempts to start before it counts as a refusal.
const STARTS_MAX: u32 = 60;
/// `everysec` may lose what was acknowledged so long before.
const EVERYSEC_LOSS_MS: u64 = 2_000;

impl World {
    /// Starts the process, again and again while the faults forbid it.
    pub(super) fn start(&self) {
        if self.disaster.get().is_none() && self.context.fault("lanes change") {
            self.lanes.set(Some(1 + self.context.below(4) as u32));
        }
        for attempt in 0..STARTS_MAX {
            if attempt > STARTS_MAX / 2 {
                // By now somebody has repaired what is broken.
                self.heal();
            }
            self.disk_failed.store(false, Ordering::Relaxed);
            match self.try_start() {
                Ok(process) => {
                    *self.process.borrow_mut() = Some(process);
                    return;
                }
                Err(what) => self.context.tell(|| format!("no start: {what}")),
            }
            if self.context.is_crashed() {
                self.lose(self.any_crash());
            } else {
                self.disk.kill();
            }
            self.context.pass(100);
        }
        self.context.violation("the process does not start although nothing is broken any more".into());
    }

    /// As the server does when the engine asks for it: everything is answered, and another engine takes over.
    pub(super) fn open_anew(&self) {
        self.context.reached("an outdated engine was opened anew");
        self.commit_move();
        let closed = self.with(|process| {
            process.steps.end_loads();
            process.steps.engine().close(Duration::ZERO)
        });
        if let Some(Err(error)) = closed {
            self.context.tell(|| format!("no close in order: {error}"));
        }
        if !self.context.is_crashed() {
            self.note_poison();
            self.crash(super::Crash::Kill);
        }
    }

    pub(super) fn try_start(&self) -> Result<Process, String> {
        self.outdated.store(false, Ordering::Relaxed);
        if self.context.fault("db: down at start") {
            self.database.set_down(true);
        }
        let opened = LocalLog::open(self.env.clone(), Path::new("/data"), self.setup.log.clone());
        let (log, recovery) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                if !self.explains_damage(&error)
                    && !self.disk_failed.load(Ordering::Relaxed)
                    && !self.is_full()
                {
                    self.context.violation(format!("the log was refused: {error}"));
                }
                return Err(error.to_string());
            }
        };
        if recovery.torn_bytes > 0 {
            self.context.reached("a torn tail was cut");
        }
        if !self.history.lock().open_log(log.lineage()) {
            self.context.violation(format!("this log has the lineage {} of another one", log.lineage()));
        }
        self.check_recovery(&log);
        if log.usage().spilled_bytes > 0 {
            self.context.reached("a start had a spill file");
        }
        let positions = self.database.snapshot().positions();
        let landed = |lane| positions.get(&lane).copied().unwrap_or(0);
        if self.context.clears && self.history.lock().owes_clear(landed) {
            self.context.reached("a start owed a clear");
        }
        let log = Arc::new(self.traced(log, self.disaster.get().is_some()));
        let database = Arc::new(self.database.clone());
        match Stepwise::open(self.env.clone(), self.settings(), log.clone(), database) {
            Ok((steps, opened)) => {
                steps.limit_batches(self.setup.batch_records_max);
                if opened.database_away {
                    self.context.reached("a start without the database");
                    self.loose.borrow_mut().clone_from(&self.ever_loose.borrow());
                    if self.disaster.get().is_some() {
                        // Whoever sets a disaster right looks at the database too, and starts again when it is there.
                        return Err("a person waits for the database".into());
                    }
                }
                self.watch_landed(steps.engine());
                self.disaster_is_over(&steps, &log);
                let (owed, away) = (opened.owed_changes, opened.database_away);
                self.context.tell(|| format!("started, {owed} changes owed, without the database: {away}"));
                let outdated = self.outdated.clone();
                steps.engine().on_outdated(Arc::new(move || outdated.store(true, Ordering::Relaxed)));
                Ok(Process { steps: Rc::new(steps), log })
            }
            Err(error) if self.set_right(&error, &log) => Err(error.to_string()),
            Err(error) => {
                use landfall::OpenError::{Database, Lander, Log, NeverMet};
                use landfall::lander::OpenError as LanderError;
                let expected = matches!(
                    &error,
                    Database(error) | Lander(LanderError::Sink(error)) | NeverMet(error) if error.is_transient()
                ) || matches!(&error, Log(_) | Lander(LanderError::Log(_)));
                if !expected {
                    self.context.violation(format!("the start was refused: {error}"));
                }
                Err(error.to_string())
            }
        }
    }

    /// How the product is set up now.
    pub(super) fn settings(&self) -> Settings {
        let settings = self.setup.settings.clone();
        Settings { lanes: self.lanes.get().unwrap_or(settings.lanes), ..settings }
    }

    /// A log with its witness.
    pub(super) fn traced(&self, log: LocalLog, may_be_behind: bool) -> TracedLog {
        TracedLog {
            log,
            context: self.context.clone(),
            history: self.history.clone(),
            in_unit: self.in_unit.clone(),
            only_syncs: self.only_syncs.clone(),
            may_be_behind,
            is_copy: false,
        }
    }

    /// Whatever is published as landed has to be in the database at that moment.
    fn watch_landed(&self, engine: &Arc<Engine>) {
        let (watched, database, context) =
            (Arc::downgrade(engine), self.database.clone(), self.context.clone());
        engine.on_landed(Arc::new(move || {
            let Some(engine) = watched.upgrade() else { return };
            let ahead = database.marks().into_iter().find(|(lane, at)| engine.has_landed(&[(*lane, at + 1)]));
            if let Some((lane, at)) = ahead {
                let what =
                    format!("more of lane {lane} counts as landed than up to {at}, where the database is");
                context.violation(what);
            }
        }));
    }

    /// The log is a prefix of what was appended, and holds what was promised.
    fn check_recovery(&self, log: &LocalLog) {
        let heads: BTreeMap<_, _> = log
            .lanes()
            .into_iter()
            .map(|(_, lane)| (lane, log.head(lane)))
            .map(|(lane, head)| (lane, (head.position, head.anchor)))
            .collect();
        let mut history = self.history.lock();
        let kept = match history.survived(&heads) {
            Ok(kept) => kept,
            Err(what) => {
                self.context.violation(what);
                return;
            }
        };
        let lost_acks = history.acks.iter().filter(|(place, _)| *place > kept);
        let first = lost_acks.map(|(_, at_ms)| *at_ms).min();
        let power = self.power_lost_ms.take();
        let ended = self.poisoned_ms.take().into_iter().chain(power).min();
        if let Some(acked_ms) = first {
            let promised = match (power, self.setup.settings.fsync) {
                (None, _) | (_, Fsync::Always) => true,
                (Some(at), Fsync::Everysec) => acked_ms + EVERYSEC_LOSS_MS < ended.unwrap_or(at),
                (Some(_), Fsync::Os) => false,
            };
            let other = matches!(self.disaster.get(), Some(Disaster::LostVolume | Disaster::OldVolume));
            if promised && !other {
                let lost = history.order.len() - kept;
                self.context.violation(format!(
                    "{lost} records are lost, and something of them was acknowledged at {acked_ms} ms"
                ));
            }
            self.context.reached("acknowledged records were lost as the policy allows");
        }
        if kept < history.order.len() {
            self.context.reached("records that were not durable were lost");
        }
        self.context.mix(kept as u64);
        self.context.tell(|| format!("the log came back with {kept} of {} records", history.order.len()));
        history.cut(kept);
        if matches!(self.disaster.get(), Some(Disaster::OldDatabase | Disaster::OtherCopy)) {
            // What the policy allows to lose is no matter of the database or of the copy.
            history.remember();
        }
    }
}
