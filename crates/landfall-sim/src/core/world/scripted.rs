//! A world that a script plays: nothing happens that the script does not say, and no fault but those that are planned.
//! Once the process has ended against its will every move does nothing, so that a script needs no branches; it is
//! brought back by [`Script::recover`].

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use landfall::lander::Turn;
use landfall::settings::Fsync;

mod database;
mod person;

use super::{Context, Crash, Report, Setup, World, set_others};
use crate::core::commands::Command;
use crate::core::faults::{FaultAt, StepKind, Taken};

/// Attempts to start after which whatever is broken is healed, and after which a start counts as refused.
const STARTS_UNTIL_HEALED: u32 = 3;
const STARTS_MAX: u32 = 6;
/// A load is done, or refused, within so many half steps.
const LOAD_STEPS_MAX: u32 = 40;
/// A script waits for a landing for so many rounds, and for so long in each.
const LAND_ROUNDS_MAX: u32 = 40;
const LAND_ROUND_MS: u64 = 20;
/// A close ends within so many turns of the lander.
const CLOSE_TURNS_MAX: u32 = 10_000;
/// A process that ends again and again while it is brought back was not brought back.
const ENDS_MAX: u32 = 10;

pub(in crate::core) use person::Expected;

/// What a person does before a start.
pub(in crate::core) type Person = fn(&Script);

/// A world, and the moves that a script may make in it.
pub(in crate::core) struct Script(Rc<World>);

impl Script {
    /// A world before its first start.
    pub(in crate::core) fn new(seed: u64, trace: bool, setup: Setup) -> Script {
        set_others(None);
        Script(Rc::new(World::new(seed, Context::new(seed, None, trace), setup)))
    }

    /// Has these steps fail, in their order.
    pub(in crate::core) fn plan(&self, faults: &[FaultAt]) {
        self.0.context.plan_faults(faults);
    }

    /// Keeps all steps from now on.
    pub(in crate::core) fn keep_steps(&self) {
        self.0.context.keep_steps();
    }

    /// The steps since then.
    pub(in crate::core) fn take_steps(&self) -> Vec<Taken> {
        self.0.context.take_steps()
    }

    /// Whether no process runs that could do anything.
    pub(in crate::core) fn is_over(&self) -> bool {
        self.0.context.is_crashed() || self.0.process.borrow().is_none()
    }

    /// Steps of disk and database so far.
    pub(in crate::core) fn steps(&self) -> u64 {
        self.0.context.steps()
    }

    /// Counts a state that was reached, when it was.
    pub(in crate::core) fn reached(&self, state: &'static str, is_so: bool) {
        if is_so {
            self.0.context.reached(state);
        }
    }

    /// The process starts, again and again while an error forbids it.
    pub(in crate::core) fn start(&self) {
        let world = &*self.0;
        for attempt in 0..STARTS_MAX {
            if world.context.is_crashed() {
                return;
            }
            if attempt >= STARTS_UNTIL_HEALED {
                world.heal();
            }
            world.disk_failed.store(false, Ordering::Relaxed);
            match world.try_start() {
                Ok(process) => {
                    *world.process.borrow_mut() = Some(process);
                    return;
                }
                Err(what) => world.context.tell(|| format!("no start: {what}")),
            }
            if !world.context.is_crashed() {
                world.disk.kill();
                world.context.pass(100);
            }
        }
        world.context.violation("the process does not start although nothing is broken any more".into());
    }

    /// A client sends a unit and loads what it needs. It is not answered before a commit.
    pub(in crate::core) fn send(&self, commands: &[Command]) {
        let world = &*self.0;
        if self.is_over() || !world.is_valid(commands) {
            return;
        }
        world.run(0, commands.to_vec(), 0);
        for _ in 0..LOAD_STEPS_MAX {
            if self.is_over() || world.clients.borrow().are_idle() {
                break;
            }
            world.load_move();
            world.finish_clients();
            if world.context.below(4) == 0 {
                world.context.pass(5);
            }
        }
        world.note_poison();
    }

    /// One group commit, and the answers.
    pub(in crate::core) fn commit(&self) {
        self.0.commit_move();
        self.0.note_poison();
    }

    /// A client sends a unit and is answered.
    pub(in crate::core) fn unit(&self, commands: &[Command]) {
        self.send(commands);
        self.commit();
    }

    /// A client clears all keys, and is answered.
    pub(in crate::core) fn clear(&self) {
        if !self.is_over() {
            self.0.clear(0);
        }
        self.commit();
    }

    /// So many turns of the lander, as far as it has something to do.
    pub(in crate::core) fn turns(&self, turns: u32) {
        self.0.with(|process| process.steps.engine().flush());
        for _ in 0..turns {
            if self.is_over() || self.0.lander_move() != Some(Turn::Again) {
                break;
            }
        }
    }

    /// What is owed lands, and the landed rows become clean. Given up after a while: the database may be down.
    pub(in crate::core) fn land(&self) {
        let world = &*self.0;
        for _ in 0..LAND_ROUNDS_MAX {
            self.turns(50);
            self.keep();
            if self.is_over() || self.owed() == 0 {
                return;
            }
            world.pass(LAND_ROUND_MS);
        }
    }

    /// How many records the log owes.
    pub(in crate::core) fn owed(&self) -> u64 {
        self.0.with(|process| process.steps.engine().status().owed.records).unwrap_or(0)
    }

    /// How many segments the log has.
    pub(in crate::core) fn segments(&self) -> u64 {
        self.0.with(|process| process.steps.engine().status().log.segments).unwrap_or(0)
    }

    /// How long the spill file is.
    pub(in crate::core) fn spilled_bytes(&self) -> u64 {
        self.0.with(|process| process.steps.engine().status().log.spilled_bytes).unwrap_or(0)
    }

    /// The next step of this kind fails.
    pub(in crate::core) fn fail_next(&self, kind: StepKind) {
        if !self.is_over() {
            self.0.context.fail_next(kind);
        }
    }

    /// Whether the log is poisoned.
    pub(in crate::core) fn is_poisoned(&self) -> bool {
        self.0.with(|process| process.log.log_is_poisoned()).unwrap_or(false)
    }

    /// Whether the log has room for what was appended.
    pub(in crate::core) fn has_room(&self) -> bool {
        self.0.with(|process| process.steps.engine().has_room()).unwrap_or(true)
    }

    /// Whether the disk is full, and a process runs all the same.
    pub(in crate::core) fn is_full(&self) -> bool {
        !self.is_over() && self.0.disk.is_limited()
    }

    /// The disk has no more room than it has now, or all again.
    pub(in crate::core) fn set_full(&self, is_full: bool) {
        let world = &*self.0;
        if !world.context.is_crashed() {
            world.disk.limit_room(is_full.then(|| world.disk.bytes()));
            world.clients.borrow_mut().disk_is_full = is_full;
        }
    }

    /// A round of the keeper.
    pub(in crate::core) fn keep(&self) {
        if !self.is_over() {
            self.0.keeper_move();
        }
    }

    /// A round of the log's upkeep.
    pub(in crate::core) fn upkeep(&self) {
        if !self.is_over() {
            self.0.with(|process| process.steps.segments_round());
        }
        self.0.note_poison();
    }

    /// A round of the sync of `everysec`.
    pub(in crate::core) fn sync(&self) {
        if !self.is_over() {
            self.0.with(|process| process.steps.sync_round());
        }
        self.0.note_poison();
    }

    /// Time goes by.
    pub(in crate::core) fn wait(&self, ms: u64) {
        self.0.pass(ms);
    }

    /// The process ends, because the script says so; the next start is the script's too.
    pub(in crate::core) fn end(&self, how: Crash) {
        if !self.is_over() {
            self.0.lose(how);
        }
    }

    /// The process closes in order, and lands for at most so long.
    pub(in crate::core) fn close(&self, drain_ms: u64) {
        let world = &*self.0;
        world.with(|process| process.steps.begin_close(Duration::from_millis(drain_ms)));
        for turn in 0.. {
            match world.lander_move() {
                _ if self.is_over() => break,
                Some(Turn::Ended) | None => break,
                Some(Turn::Again) => {}
                Some(Turn::Wait { .. }) => world.context.pass(10),
            }
            if turn == CLOSE_TURNS_MAX {
                world.context.violation("a close does not end".into());
                break;
            }
        }
        let closed = world.with(|process| {
            process.steps.end_loads();
            process.steps.engine().close(Duration::ZERO)
        });
        if world.context.is_crashed() {
            return;
        }
        world.note_poison();
        if let Some(Ok(remaining)) = closed {
            self.reached("a close left a backlog", remaining.changes > 0);
        }
        *world.process.borrow_mut() = None;
        world.clients.borrow_mut().forget();
        // What the process still had open goes with it.
        world.disk.kill();
    }

    /// Brings the process back after whatever ended it, with a person's help.
    pub(in crate::core) fn recover(&self, person: Person) {
        let world = &*self.0;
        for _ in 0..ENDS_MAX {
            let poisoned = world.note_poison();
            if !self.is_over() && !poisoned {
                return;
            }
            if world.context.is_crashed() || poisoned {
                world.lose(world.any_crash());
            }
            person(self);
            self.start();
            if world.context.has_failed() {
                return;
            }
        }
        world.context.violation("the process was not brought back".into());
    }

    /// Heals, lands, compares, closes: everything has to be where it belongs. Tells what happened.
    pub(in crate::core) fn settle(self, person: Person, incidents: Expected) -> Report {
        let world = &*self.0;
        world.context.plan_faults(&[]);
        if !world.context.has_failed() {
            world.heal();
            self.recover(person);
            world.settle(incidents);
        }
        self.0.report()
    }
}

impl World {
    /// Whether no constraint stands against any of these commands.
    fn is_valid(&self, commands: &[Command]) -> bool {
        let mut rows = self.history.lock().view.clone();
        let now_ms = self.context.unix();
        commands.iter().all(|command| {
            let is_valid = command.is_valid(&rows);
            command.expect(&mut rows, now_ms);
            is_valid
        })
    }

    fn settle(&self, incidents: Expected) {
        self.with(|process| drop(process.steps.engine().resume(None)));
        // Longer than an idle lander waits before it looks at the database again.
        self.context.pass(11_000);
        if self.setup.settings.fsync == Fsync::Everysec {
            self.with(|process| process.steps.sync_round());
        }
        if self.context.has_failed() || !self.land_everything() {
            return;
        }
        self.compare("landed");
        if !self.retry_letters() {
            return;
        }
        self.check_incidents(incidents);
        self.read_cold();
        self.land_everything();
        self.close();
    }
}
