//! A simulation of the library's core: the real log, lander, engine and cache on a simulated disk, database and clock, in
//! one thread. One seed is one run, repeated exactly; it must never ask anything outside of the run.
//!
//! [`run`] plays a seed: a random choice of faults, chaos, healing, and the check that everything acknowledged is where it
//! has to be. [`run_scenario`] plays steps that the caller chooses on the same world, for example with a fault at each
//! step in turn ([`Config::fault_at`], [`Report::steps`]).
//!
//! What is checked, and where:
//!
//! - every answer is the one that follows from the log's order (`commands`), also in the middle of a landing or a sync;
//! - every commit of the database is compared with the fold of exactly the records that it claims to land, found by
//!   their chained hashes (`history`, `database`): nothing lost, doubled, reordered, merged wrongly, or landed in part;
//! - after every restart the log is a prefix of what was appended, whole records only, with everything acknowledged that
//!   the policy promises (`world`); the database is never ahead of it (`traced_log`);
//! - what counts as landed is in the database at that moment (`world/starting`);
//! - a volume that is lost or old, damage, and a database from long ago are refused or stopped at, and what is lost then
//!   is declared (`world/disasters`);
//! - after healing everything lands in time, and the database, the view and a cold cache agree.
//!
//! Whether all this would be noticed is tried by bugs that are planted into the library ([`Config::bug`]).

mod commands;
mod context;
pub mod crashpoints;
mod database;
mod faults;
mod history;
mod snapshot;
mod streams;
mod swarm;
mod tables;
mod traced_log;
mod world;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use landfall::env::planted::{came_by, plant};

pub use faults::{FaultAt, Mode, StepKind};
pub use landfall::env::planted::Bug;
pub use world::{Crash, Simulation};

/// States that are rare and matter: where many seeds reach one of them not once, the simulation has stopped to look there.
/// So it is with a kind of fault that never happens.
pub const RARE: &[&str] = &[
    "a clear took dead letters along",
    "a clear was landing",
    "a database from long ago was refused",
    "a group was held",
    "a group was paused",
    "a key expired",
    "a lane passed a gap",
    "a lane passed a gap between records",
    "a lane was rewound",
    "a letter was given up",
    "a load was older than a clear",
    "a load was refused",
    "a log went on behind a gap",
    "a lost volume was refused",
    "a parked row was healed",
    "a paused group's records were spilled",
    "a paused owner landed",
    "a paused owner was fenced",
    "a process that another copy had shut out was refused",
    "a record of several lanes",
    "a row left the cache again and again",
    "a row was parked",
    "a row was refused",
    "a spill file took the place of another",
    "a spill file went",
    "a start had a spill file",
    "a start owed a clear",
    "a start without the database",
    "a torn tail was cut",
    "a transaction in flight was committed late",
    "a transaction in flight was rolled back",
    "a write was refused at a bound or without a log",
    "acknowledged records were lost as the policy allows",
    "all keys were cleared",
    "an older copy of the volume was refused",
    "an outdated engine was opened anew",
    "damage was refused",
    "killed behind a COMMIT that was done",
    "others worked in the middle of a step",
    "records that were not durable were lost",
    "refused rows were isolated",
    "segments were let go",
    "several lanes landed together",
    "the database refused a clear",
    "the database was met after a start without it",
    "the log was poisoned",
];

/// Every kind of fault.
pub fn kinds_of_faults() -> impl Iterator<Item = &'static str> {
    swarm::kinds()
}

/// How a run is played.
#[derive(Debug, Clone)]
pub struct Config {
    /// How many moves the chaos has.
    pub moves: u64,
    /// A fault at a step that is chosen beforehand.
    pub fault_at: Option<FaultAt>,
    /// Whether the run tells what happens.
    pub trace: bool,
    /// Whether faults are chosen by the seed.
    pub faults: bool,
    /// Kinds of faults that are left out, for shrinking.
    pub without: Vec<&'static str>,
    /// A bug that is planted into the library for this run.
    pub bug: Option<Bug>,
}

impl Default for Config {
    fn default() -> Config {
        Config { moves: 160, fault_at: None, trace: false, faults: true, without: Vec::new(), bug: None }
    }
}

/// What became of a run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Every broken promise, the first few.
    pub violations: Vec<String>,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Rare states that were reached.
    pub reached: BTreeMap<&'static str, u64>,
    /// Steps of the disk and the database.
    pub steps: u64,
    /// Units that clients ran.
    pub operations: u64,
    /// Equal for equal runs.
    pub hash: u64,
    /// What happened, if it was asked for.
    pub trace: Vec<String>,
    /// How often the run came by the planted bug.
    pub came_by: u64,
}

/// Plays one seed.
pub fn run(seed: u64, config: &Config) -> Report {
    run_scenario(seed, config, |simulation| simulation.chaos(config.moves))
}

/// Plays a scenario: after it, the world heals and everything is checked.
pub fn run_scenario(seed: u64, config: &Config, scenario: impl FnOnce(&Simulation)) -> Report {
    let play = || {
        let simulation = Simulation::new(seed, config);
        scenario(&simulation);
        simulation.finish()
    };
    if config.bug.is_none() {
        return play();
    }
    plant(config.bug);
    // An assertion of the library is as good as one of the simulation.
    let played = catch_unwind(AssertUnwindSafe(play));
    let report = played.unwrap_or_else(|panic| Report {
        seed,
        violations: vec![format!("a panic: {}", words_of(&*panic))],
        ..Report::default()
    });
    let report = Report { came_by: came_by(), ..report };
    plant(None);
    world::forget_others();
    report
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default()
}

/// Leaves out faults and moves as long as the run still fails: the smallest configuration found, and its report.
pub fn shrink(seed: u64, config: &Config) -> (Config, Report) {
    let (mut best, mut report) = (config.clone(), run(seed, config));
    for kind in swarm::kinds() {
        let smaller = Config { without: [&best.without[..], &[kind]].concat(), ..best.clone() };
        let other = run(seed, &smaller);
        if !other.violations.is_empty() {
            (best, report) = (smaller, other);
        }
    }
    let mut cut = best.moves / 2;
    while cut > 0 {
        let smaller = Config { moves: best.moves - cut, ..best.clone() };
        let other = run(seed, &smaller);
        if other.violations.is_empty() {
            cut /= 2;
        } else {
            (best, report) = (smaller, other);
            cut = cut.min(best.moves / 2);
        }
    }
    (best, report)
}
