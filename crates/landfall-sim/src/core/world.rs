//! The world of a run: clients, the process with its threads as steps, crashes and restarts, chaos and healing.
//! It must never help the product: what a client was not told in time counts as unknown, and nothing is retried for it.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use landfall::Refusal;
use landfall::buffer::log::Log;
use landfall::env::Env;
use landfall::lander::Turn;
use landfall::settings::Fsync;
use landfall::simulation::seeded::{Dice, SeededRandom};
use landfall::simulation::strict_disk::{Keep, Step, StrictDisk, Verdict};
use landfall::simulation::{LoadStep, Stepwise};
use parking_lot::Mutex;

use super::context::{Context, Gap, let_others, set_others};
use super::database::SimulatedDatabase;
use super::history::History;
use super::swarm::{self, Setup};
use super::traced_log::TracedLog;
use super::{Config, Mode, Report, StepKind};

mod chaos;
mod clients;
mod ending;
pub(super) mod scripted;
mod starting;

use clients::Clients;

/// How a process ends that does not want to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Only the process: the machine keeps what was written.
    Kill,
    /// The power: what was not synced is there or not, sector by sector.
    Power(Keep),
}

/// A world that is played move by move. See the [module](super).
pub struct Simulation(Rc<World>);

pub(super) struct World {
    seed: u64,
    context: Arc<Context>,
    setup: Setup,
    disk: StrictDisk,
    env: Env,
    database: SimulatedDatabase,
    history: Arc<Mutex<History>>,
    in_unit: Arc<AtomicBool>,
    disk_failed: Arc<AtomicBool>,
    process: RefCell<Option<Process>>,
    clients: RefCell<Clients>,
    /// How the last process ended, and since when it acknowledged nothing; none: in order, or just killed.
    power_lost_ms: Cell<Option<u64>>,
    poisoned_ms: Cell<Option<u64>>,
    operations: Cell<u64>,
    /// The number of lanes from the next start on, when somebody changed it.
    lanes: Cell<Option<u32>>,
}

/// A running process.
#[derive(Clone)]
struct Process {
    steps: Rc<Stepwise>,
    log: Arc<TracedLog>,
}

impl Simulation {
    /// A world at its first start; the seed chooses its set-up and its faults.
    pub(super) fn new(seed: u64, config: &Config) -> Simulation {
        let context = Context::new(seed, config.fault_at, config.trace);
        let setup = swarm::setup(&context);
        let rates = swarm::rates(&context, &config.without);
        if config.faults {
            context.set_rates(rates);
        }
        let world = Rc::new(World::new(seed, context, setup));
        let others: Weak<World> = Rc::downgrade(&world);
        set_others(Some(Rc::new(move |gap| {
            if let Some(world) = others.upgrade() {
                world.meanwhile(gap);
            }
        })));
        world.start();
        Simulation(world)
    }

    /// Random moves with faults.
    pub fn chaos(&self, moves: u64) {
        self.0.chaos(moves);
    }

    /// So many moves of clients, acknowledged if the log allows it.
    pub fn write(&self, moves: u64) {
        for _ in 0..moves {
            self.0.client_move();
            self.0.load_move();
            self.0.commit_move();
            self.0.end_if_crashed();
        }
    }

    /// Turns of the lander until it has nothing to do, at most so many.
    pub fn land(&self, turns: u64) {
        self.0.with(|process| process.steps.engine().flush());
        for _ in 0..turns {
            self.0.lander_move();
            self.0.keeper_move();
            self.0.end_if_crashed();
        }
    }

    /// Time passes; what is due in it is done.
    pub fn pass(&self, ms: u64) {
        self.0.pass(ms);
        self.0.end_if_crashed();
    }

    /// The process ends and starts again.
    pub fn restart(&self, how: Crash) {
        self.0.crash(how);
    }

    /// The database is down, or up again.
    pub fn set_database_down(&self, is_down: bool) {
        self.0.database.set_down(is_down);
    }

    /// The database loses its last commits and all connections, as far as the log keeps them.
    pub fn fail_over(&self, commits: usize) {
        self.0.database.go_back(commits);
    }

    /// The database refuses every row, or no longer.
    pub fn set_database_refusing(&self, is_refusing: bool) {
        self.0.database.set_refusing(is_refusing);
    }

    /// Steps of disk and database so far.
    pub fn steps(&self) -> u64 {
        self.0.context.steps()
    }

    /// Heals, checks everything, and tells.
    pub(super) fn finish(self) -> Report {
        self.0.finish();
        self.0.report()
    }
}

/// What becomes of a step of the disk.
fn judge(context: &Context, disk: &StrictDisk, step: Step) -> Verdict {
    match context.step_with(StepKind::Disk(step), || disk.is_unsynced()) {
        Ok(()) => {}
        Err(Mode::Crash) => return Verdict::PowerGone,
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
            disk_failed,
            process: RefCell::default(),
            power_lost_ms: Cell::new(None),
            poisoned_ms: Cell::new(None),
            operations: Cell::new(0),
            lanes: Cell::new(None),
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
        self.with(|process| process.steps.lander_turn()).flatten()
    }

    fn keeper_move(&self) {
        self.with(|process| process.steps.keeper_round());
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
                4 if gap == Gap::Landing => self.commit_move(),
                _ => self.poll_acks(),
            }
        }
        self.context.reached("others worked in the middle of a step");
    }

    /// A refusal that the state of the world explains.
    fn explains(&self, refusal: &Refusal) -> bool {
        match refusal {
            Refusal::TryAgain(_) | Refusal::OutOfMemory(_) | Refusal::Closing => true,
            Refusal::Log { .. } | Refusal::DatabaseDown(_) => true,
            // Only a poisoned log stops a group here.
            Refusal::Fenced(_) => {
                self.with(|process| process.log.poisoned().is_some()).unwrap_or(true)
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
