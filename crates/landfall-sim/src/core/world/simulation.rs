//! A world that is played move by move, as a scenario or the chaos of a seed says.
//! It must never end a run without its end: everything is checked there.

use std::rc::{Rc, Weak};

use super::{Crash, World, set_others};
use crate::core::context::Context;
use crate::core::{Config, Report, swarm};

/// A world that is played move by move. See the [module](super).
pub struct Simulation(Rc<World>);

impl Simulation {
    /// A world at its first start; the seed chooses its set-up and its faults.
    pub(in crate::core) fn new(seed: u64, config: &Config) -> Simulation {
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
    pub(in crate::core) fn finish(self) -> Report {
        self.0.finish();
        self.0.report()
    }
}

/// Nobody gets a turn any more: the run has ended, perhaps in the middle of a step.
pub(in crate::core) fn forget_others() {
    set_others(None);
}
