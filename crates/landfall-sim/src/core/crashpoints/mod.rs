//! Crash points: short scripts in the simulated world, played again and again with a fault at each of their steps in turn,
//! in every mode. It must never pass over a step or a mode in silence.
//!
//! A step is whatever changes the disk, and every statement of the database. A scenario is played once without a fault,
//! which counts its steps and shows that it reaches what it is named for. Then, for each step and each [mode](Mode) that
//! means something there:
//!
//! 1. the script is played until the fault; if the process survives it, to its end;
//! 2. the process is brought back, several clients write, and what is owed begins to land;
//! 3. in further runs a *second* fault hits one of the steps since the first one. Which step and which mode follows from
//!    the number of the first step, so that along the steps of a scenario every step of the recovery and every mode has
//!    its turn ([`Depth`]);
//! 4. everything lands, and everything is checked: every acknowledged write that the policy promises is there, none
//!    twice, every row in its order, records of several lanes whole, the view is the database and what is parked, the log
//!    opens without being refused, and no incident is declared that nobody expected.
//!
//! What checks it is the checker of the random simulation, at every commit and every start ([`super`]).

use landfall::settings::Fsync;

use super::swarm::Setup;
use super::world::scripted::{Expected, Person, Script};

mod modes;
mod runner;
mod scenarios;
mod setup;

#[cfg(test)]
mod tests;

pub use modes::Mode;
pub use runner::{Depth, Failure, Fault, Outcome, enumerate, play};
pub use scenarios::all;

/// A script, and what it is for.
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What happens in it.
    pub what: &'static str,
    set_up: fn(&mut Setup),
    /// Another policy than the set-up's.
    fsync: Option<Fsync>,
    /// What happened before; no fault hits it.
    before: fn(&Script),
    script: fn(&Script),
    /// What a person does before each start.
    person: Person,
    /// What has to be declared in the end, and what may be.
    incidents: Expected,
    /// What has to be reached, or the scenario is not what its name says.
    reaches: &'static [&'static str],
}

impl Scenario {
    /// A scenario that begins behind a first start, and in which nobody has to help.
    fn new(name: &str, what: &'static str, script: fn(&Script)) -> Scenario {
        Scenario {
            name: name.into(),
            what,
            set_up: |_| {},
            fsync: None,
            before: |script| script.start(),
            script,
            person: |_| {},
            incidents: (&[], &[]),
            reaches: &[],
        }
    }

    /// The same where a write is acknowledged before it is synced.
    fn with_everysec(&self) -> Scenario {
        Scenario { name: format!("{}-everysec", self.name), fsync: Some(Fsync::Everysec), ..*self }
    }
}
