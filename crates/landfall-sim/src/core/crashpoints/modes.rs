//! The ways in which a step can go wrong (docs/reliability.md names them), and at which steps each of them means anything.
//! A mode is left out at a step only where another one does the same there.

use landfall::simulation::strict_disk::{Keep, Step};

use super::super::faults::{Mode as Faulty, StepKind, Taken};
use super::super::world::Crash;

/// A way in which a step goes wrong.
#[derive(Debug)]
pub struct Mode {
    /// What it is called on the command line.
    pub name: &'static str,
    pub(super) fault: Faulty,
    pub(super) end: Option<Crash>,
    /// What the dice are shaken with.
    pub(super) salt: u64,
    applies: fn(Taken) -> bool,
}

impl Mode {
    /// All modes, by name.
    pub fn all() -> &'static [Mode] {
        MODES
    }

    /// The mode of this name.
    pub fn named(name: &str) -> Option<&'static Mode> {
        MODES.iter().find(|mode| mode.name == name)
    }

    pub(super) fn applies(&self, taken: Taken) -> bool {
        (self.applies)(taken)
    }
}

const fn kill(name: &'static str, fault: Faulty, applies: fn(Taken) -> bool) -> Mode {
    Mode { name, fault, end: Some(Crash::Kill), salt: 0, applies }
}

const fn power(name: &'static str, keep: Keep, salt: u64, applies: fn(Taken) -> bool) -> Mode {
    Mode { name, fault: Faulty::Crash, end: Some(Crash::Power(keep)), salt, applies }
}

const fn failure(name: &'static str, fault: Faulty, applies: fn(Taken) -> bool) -> Mode {
    Mode { name, fault, end: None, salt: 0, applies }
}

/// A store in memory does not fail: from then on the next step does.
fn can_fail(taken: Taken) -> bool {
    taken.kind != StepKind::Disk(Step::Put)
}

const MODES: &[Mode] = &[
    // The process dies before the step, or behind it and before it hears of it. A statement that ends no transaction
    // leaves nothing behind: dying behind it is dying before the next step.
    kill("kill-before", Faulty::Crash, |_| true),
    kill("kill-after", Faulty::CrashBehind, |taken| taken.kind != StepKind::Statement),
    // The power is cut before the step. Where all is synced, only one of these is needed: they do the same.
    power("power-lost", Keep::Nothing, 0, |_| true),
    power("power-kept", Keep::Everything, 0, |taken| taken.unsynced),
    power("power-contents", Keep::Contents, 0, |taken| taken.unsynced),
    power("power-names", Keep::Names, 0, |taken| taken.unsynced),
    power("power-newest", Keep::Newest, 0, |taken| taken.unsynced),
    power("power-torn-1", Keep::Some, 0x51, |taken| taken.unsynced),
    power("power-torn-2", Keep::Some, 0x1_0000_0062, |taken| taken.unsynced),
    power("power-torn-3", Keep::Some, 0x7300_0000_0000, |taken| taken.unsynced),
    // The step fails, and the process goes on.
    failure("error", Faulty::ErrorOnce, can_fail),
    failure("errors", Faulty::ErrorForEver, can_fail),
    failure("full", Faulty::FullOnce, |taken| {
        matches!(taken.kind, StepKind::Disk(Step::Create | Step::Write | Step::Sync | Step::Rename))
    }),
    failure("full-from-there", Faulty::FullFromThere, |taken| {
        matches!(taken.kind, StepKind::Disk(Step::Create | Step::Write))
    }),
    failure("busy", Faulty::Busy, |taken| !matches!(taken.kind, StepKind::Disk(_))),
    failure("answer-lost", Faulty::AnswerLost, |taken| taken.kind == StepKind::Transaction),
];
