//! The world of a run: clients, the process with its threads as steps, crashes and restarts, chaos and healing.
//! It must never help the product: what a client was not told in time counts as unknown, and nothing is retried for it.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use landfall::Refusal;
use landfall::buffer::log::Log;
use landfall::env::Env;
use landfall::lander::{Phase, Turn};
use landfall::model::{LaneId, Position, RowKey};
use landfall::settings::Fsync;
use landfall::simulation::seeded::{Dice, SeededRandom};
use landfall::simulation::strict_disk::{Keep, Step, StrictDisk, Verdict};
use landfall::simulation::{LoadStep, Stepwise};
use parking_lot::Mutex;

use super::context::{Context, Gap, let_others, set_others};
use super::database::SimulatedDatabase;
use super::history::History;
use super::swarm::Setup;
use super::traced_log::TracedLog;
use super::{Mode, Report, StepKind};

mod chaos;
mod clients;
mod disasters;
mod ending;
pub(super) mod scripted;
mod simulation;
mod starting;

use clients::Clients;
use disasters::{Backup, Disaster};
pub use simulation::Simulation;
pub(super) use simulation::forget_others;

/// How a process ends that does not want to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Only the process: the machine keeps what was written.
    Kill,
    /// The power: what was not synced is there or not, sector by sector.
    Power(Keep),
}

pub(super) struct World {
    seed: u64,
    context: Arc<Context>,
    setup: Setup,
    disk: StrictDisk,
    env: Env,
    database: SimulatedDatabase,
    history: Arc<Mutex<History>>,
    in_unit: Arc<AtomicBool>,
    /// Whether the log syncs what was written before: others may write meanwhile.
    only_syncs: Arc<AtomicBool>,
    disk_failed: Arc<AtomicBool>,
    process: RefCell<Option<Process>>,
    clients: RefCell<Clients>,
    /// How the last process ended, and since when it acknowledged nothing; none: in order, or just killed.
    power_lost_ms: Cell<Option<u64>>,
    poisoned_ms: Cell<Option<u64>>,
    /// What a person has to set right.
    disaster: Cell<Option<Disaster>>,
    /// Whether there was anything that only a person can set right: it is declared as an incident.
    had_disaster: Cell<bool>,
    backup: RefCell<Option<Backup>>,
    /// Whether the log had no room for a segment at any time.
    was_full: Cell<bool>,
    /// Whether a letter was given up: what lands again from before may land otherwise, so nothing goes back any more.
    gave_up: Cell<bool>,
    /// Rows whose letters were given up, and where that was logged: what they are is known once it has landed.
    loose: RefCell<Vec<(RowKey, (LaneId, Position))>>,
    /// All of them: a start without the database may not know yet what has landed.
    ever_loose: RefCell<Vec<(RowKey, (LaneId, Position))>>,
    /// The file, the byte and the bit that have changed.
    damaged: RefCell<Option<(PathBuf, usize, u8)>>,
    operations: Cell<u64>,
    /// The number of lanes from the next start on, when somebody changed it.
    lanes: Cell<Option<u32>>,
    /// The engine that runs has asked to be opened anew.
    outdated: Arc<AtomicBool>,
}

/// A running process.
#[derive(Clone)]
struct Process {
    steps: Rc<Stepwise>,
    log: Arc<TracedLog>,
}

/// What becomes of a step of the disk.
fn judge(context: &Context, disk: &StrictDisk, step: Step) -> Verdict {
    match context.step_with(StepKind::Disk(step), || disk.is_unsynced()) {
        Ok(()) => {}
        Err(Mode::Crash) => return Verdict::PowerGone,
        // A store has no other way to fail.
        Err(_) if step == Step::Put => return Verdict::Done,
        Err(Mode::FullOnce) => return Verdict::Full,
        Err(Mode::FullFromThere) => disk.limit_room(Some(disk.bytes())),
        Err(_) => return Verdict::Failed,
    }
    let kind = match step {
        Step::Sync => {
            let_others(Gap::Syncing);
            "disk: a sync fails"
        }
        Step::Write => "disk: a write fails",
        Step::Put => return Verdict::Done,
        Step::Rename => {
            // What is new has a name, and nothing of it or behind it is durable yet.
            if context.fault("crash behind a new name") {
                context.crash_within(4);
            }
            "disk: a name fails"
        }
        _ => "disk: a name fails",
    };
    if context.fault(kind) { Verdict::Failed } else { Verdict::Done }
}

impl World {
    /// A world before its first start.
    fn new(seed: u64, context: Arc<Context>, setup: Setup) -> World {
        let history: Arc<Mutex<History>> = Arc::default();
        let disk = StrictDisk::default();
        let disk_failed: Arc<AtomicBool> = Arc::default();
        let (hooked, failed) = (context.clone(), disk_failed.clone());
        disk.set_hook(Arc::new(move |disk, step| {
            let verdict = judge(&hooked, disk, step);
            failed.fetch_or(verdict != Verdict::Done || disk.is_limited(), Ordering::Relaxed);
            verdict
        }));
        let env = Env {
            clock: context.clone(),
            random: Arc::new(SeededRandom(Mutex::new(Dice(seed)))),
            disk: Arc::new(disk.clone()),
        };
        World {
            seed,
            database: SimulatedDatabase::new(context.clone(), history.clone()),
            clients: RefCell::new(Clients::new(setup.clients)),
            context,
            setup,
            disk,
            env,
            history,
            in_unit: Arc::default(),
            only_syncs: Arc::default(),
            disk_failed,
            process: RefCell::default(),
            power_lost_ms: Cell::new(None),
            poisoned_ms: Cell::new(None),
            disaster: Cell::new(None),
            had_disaster: Cell::new(false),
            backup: RefCell::default(),
            damaged: RefCell::default(),
            was_full: Cell::new(false),
            gave_up: Cell::new(false),
            loose: RefCell::default(),
            ever_loose: RefCell::default(),
            operations: Cell::new(0),
            lanes: Cell::new(None),
            outdated: Arc::default(),
        }
    }

    /// What happened. The end of the run.
    fn report(&self) -> Report {
        set_others(None);
        let told = self.context.take_told();
        Report {
            seed: self.seed,
            violations: told.violations,
            faults: told.faults,
            reached: told.reached,
            steps: self.context.steps(),
            operations: self.operations.get(),
            hash: told.hash,
            trace: told.trace.unwrap_or_default(),
            came_by: 0,
        }
    }

    /// Runs something with the process, if one runs.
    fn with<T>(&self, run: impl FnOnce(&Process) -> T) -> Option<T> {
        let process = self.process.borrow().clone();
        process.map(|process| run(&process))
    }

    fn is_full(&self) -> bool {
        self.clients.borrow().disk_is_full
    }

    fn any_crash(&self) -> Crash {
        if let Some(end) = self.context.take_end() {
            return end;
        }
        match self.context.below(5) {
            0..=1 => Crash::Kill,
            2 => Crash::Power(Keep::Nothing),
            3 => Crash::Power(Keep::Everything),
            _ => Crash::Power(Keep::Some),
        }
    }

    /// The process ends, and what it leaves is what the disk kept.
    fn lose(&self, how: Crash) {
        self.context.set_crashed(false);
        self.context.end_lasting_faults();
        self.context.mix(0xdead);
        self.context.tell(|| format!("the process ends: {how:?}"));
        *self.process.borrow_mut() = None;
        self.clients.borrow_mut().forget();
        match how {
            Crash::Kill => self.disk.kill(),
            Crash::Power(keep) => {
                let mut dice = Dice(self.context.below(u64::MAX));
                self.disk.crash(keep, &mut dice);
                self.power_lost_ms.set(Some(self.power_lost_ms.get().unwrap_or(self.context.now_ms())));
            }
        }
    }

    fn crash(&self, how: Crash) {
        self.lose(how);
        self.start();
    }

    /// Whether the log is poisoned; from when on nothing was acknowledged.
    fn note_poison(&self) -> bool {
        let poisoned = self.with(|process| process.log.poisoned().is_some()).unwrap_or(false);
        if poisoned && self.poisoned_ms.get().is_none() {
            self.context.reached("the log was poisoned");
            self.poisoned_ms.set(Some(self.context.now_ms()));
        }
        poisoned
    }

    /// A crash at a step, or a poisoned log, ends the process.
    fn end_if_crashed(&self) {
        let poisoned = self.note_poison();
        if self.context.is_crashed() || poisoned && self.context.one_in(4) {
            self.crash(self.any_crash());
        }
    }

    /// Time passes; the sync of `everysec` does not wait longer than it does.
    fn pass(&self, ms: u64) {
        let mut left = ms;
        while left > 0 && !self.context.is_crashed() {
            let step = left.min(100);
            self.context.pass(step);
            left -= step;
            if self.setup.settings.fsync == Fsync::Everysec {
                self.with(|process| process.steps.sync_round());
                self.note_poison();
            }
        }
    }

    fn lander_move(&self) -> Option<Turn> {
        let turn = self.with(|process| {
            let had_met = process.steps.engine().has_met_database();
            let turn = process.steps.lander_turn();
            if !had_met && process.steps.engine().has_met_database() {
                self.context.reached("the database was met after a start without it");
            }
            let is_held = || {
                let groups = process.steps.engine().status().groups;
                groups.iter().any(|group| matches!(group.status.phase, Phase::Held { .. }))
            };
            if self.database.is_refusing() && is_held() {
                self.context.reached("a group was held");
            }
            turn
        });
        if self.outdated.load(Ordering::Relaxed) && !self.context.is_crashed() {
            self.open_anew();
        }
        turn.flatten()
    }

    fn keeper_move(&self) {
        let landed = self.landed_loose_rows();
        self.with(|process| process.steps.keeper_round());
        self.loose.borrow_mut().retain(|loose| !landed.contains(loose));
    }

    /// A round of the log's upkeep; whether all of it could be done.
    fn segments_move(&self) -> Option<bool> {
        if self.with(|process| process.log.has_room()) == Some(false) {
            self.past_may_go();
        }
        self.with(|process| {
            let before = process.log.usage();
            let done = process.steps.segments_round();
            let after = process.log.usage();
            if after.segments < before.segments {
                self.context.reached("segments were let go");
            }
            match (before.spilled_bytes, after.spilled_bytes) {
                (was, is) if was == is => {}
                (0, _) => self.context.reached("a paused group's records were spilled"),
                (_, 0) => self.context.reached("a spill file went"),
                _ => self.context.reached("a spill file took the place of another"),
            }
            done
        })
    }

    fn load_move(&self) -> Option<LoadStep> {
        let loader = self.context.below(2) as usize;
        let before = self.with(|process| process.steps.joined_loads());
        let step = self.with(|process| process.steps.load_step(loader));
        if self.with(|process| process.steps.joined_loads()) > before {
            self.context.reached("a row that had landed in part was loaded");
        }
        step
    }

    /// What others do in the middle of a step.
    fn meanwhile(&self, gap: Gap) {
        if let Gap::Slow(ms) = gap {
            return self.pass(ms);
        }
        if self.context.is_crashed() || !self.context.one_in(2) {
            return;
        }
        for _ in 0..1 + self.context.below(3) {
            match self.context.below(5) {
                0..=1 => self.client_move(),
                2 => drop(self.load_move()),
                3 if gap == Gap::Landing => self.keeper_move(),
                4 if gap == Gap::Landing || self.may_write() => self.commit_move(),
                _ => self.poll_acks(),
            }
        }
        self.context.reached("others worked in the middle of a step");
    }

    /// Whether a commit in the middle of a sync waits for nobody: it only writes, and nobody else does.
    fn may_write(&self) -> bool {
        self.only_syncs.load(Ordering::Relaxed) && self.setup.settings.fsync != Fsync::Always
    }

    /// A refusal that the state of the world explains.
    fn explains(&self, refusal: &Refusal) -> bool {
        match refusal {
            Refusal::TryAgain(_) | Refusal::OutOfMemory(_) | Refusal::Closing => true,
            Refusal::Log { .. } | Refusal::DatabaseDown(_) => true,
            // Only a poisoned log stops a group here, or what a person has to set right.
            Refusal::Fenced(_) => {
                self.may_stop()
                    || self.with(|process| process.log.poisoned().is_some()).unwrap_or(true)
                    || self.context.is_crashed()
            }
            Refusal::Invalid(_) | Refusal::WrongType => false,
        }
    }

    fn heal(&self) {
        self.context.set_chaos(false);
        self.context.end_lasting_faults();
        self.database.set_refusing(false);
        if self.database.is_down() {
            self.database.set_down(false);
        }
        self.disk.limit_room(None);
        self.clients.borrow_mut().disk_is_full = false;
    }

    fn drain_time() -> Duration {
        Duration::from_secs(600)
    }
}
