//! Which steps of the disk and the database fail, and how: chosen beforehand by number, or by the dice of a run.
//! It must never fail a step that nobody chose, or one for another reason than was chosen.

use std::collections::VecDeque;

use landfall::simulation::strict_disk::Step;

use super::Crash;

/// What a fault does at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The step fails once: an I/O error, or the connection is gone.
    ErrorOnce,
    /// This step and all later ones of the same side, disk or database, fail until the simulation heals.
    ErrorForEver,
    /// The process ends there: nothing of the step happens (a COMMIT may, unless the end is chosen beforehand).
    Crash,
    /// The step is done, and the process ends before it hears of it.
    CrashBehind,
    /// A step of the disk fails for want of room, once.
    FullOnce,
    /// From this step on the disk has no more room than it has now, until the simulation heals.
    FullFromThere,
    /// A step of the database has to give way to somebody else's lock, once.
    Busy,
    /// A transaction is done, and the connection breaks before the answer.
    AnswerLost,
}

impl Mode {
    /// What is counted when it happens.
    pub(super) fn name(self) -> &'static str {
        match self {
            Mode::ErrorOnce => "an error at a step",
            Mode::ErrorForEver => "errors from a step on",
            Mode::Crash => "a crash at a step",
            Mode::CrashBehind => "a crash behind a step",
            Mode::FullOnce => "no room at a step",
            Mode::FullFromThere => "no room from a step on",
            Mode::Busy => "a lock at a step",
            Mode::AnswerLost => "an answer lost behind a step",
        }
    }

    fn is_crash(self) -> bool {
        matches!(self, Mode::Crash | Mode::CrashBehind)
    }
}

/// What a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// A change of the disk.
    Disk(Step),
    /// A statement of the database, or the making of a connection.
    Statement,
    /// The end of a transaction of the database: a COMMIT, or a call that is one by itself.
    Transaction,
}

impl StepKind {
    fn is_disk(self) -> bool {
        matches!(self, StepKind::Disk(_))
    }
}

/// A fault at one step of the disk or the database, counted from 1 over a whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultAt {
    /// The step.
    pub step: u64,
    /// What happens there.
    pub mode: Mode,
    /// How the process ends, when that is what happens; none: as the dice fall.
    pub end: Option<Crash>,
    /// What the dice are shaken with there: other numbers tear other sectors.
    pub salt: u64,
}

/// A step that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) kind: StepKind,
    /// Whether a power cut before it would take something; for a step of the disk.
    pub(super) unsynced: bool,
}

/// The faults of a run that are bound to a step.
#[derive(Default)]
pub(super) struct Faults {
    /// Chosen beforehand, in the order of their steps.
    planned: VecDeque<FaultAt>,
    /// Chosen by the dice.
    chance: Option<FaultAt>,
    /// The next step of this kind fails, because a script says so.
    next: Option<StepKind>,
    /// What fails from now on: the disk (or else the database), and how.
    lasting: Option<(bool, Mode)>,
    /// How the process ends, when that was chosen.
    end: Option<Crash>,
    /// All steps, when they are asked for.
    taken: Option<Vec<Taken>>,
}

impl Faults {
    pub(super) fn new(planned: Option<FaultAt>) -> Faults {
        Faults { planned: planned.into_iter().collect(), ..Faults::default() }
    }

    /// Plans faults, in the order of their steps, in the place of what was planned.
    pub(super) fn plan(&mut self, planned: &[FaultAt]) {
        self.planned = planned.iter().copied().collect();
    }

    pub(super) fn by_chance(&mut self, step: u64) {
        self.chance = Some(FaultAt { step, mode: Mode::Crash, end: None, salt: 0 });
    }

    /// Has the next step of a kind fail.
    pub(super) fn fail_next(&mut self, kind: StepKind) {
        self.next = Some(kind);
    }

    /// What began goes on no longer. What is planned stays.
    pub(super) fn end_lasting(&mut self) {
        (self.chance, self.next, self.lasting) = (None, None, None);
    }

    /// Keeps all steps from now on.
    pub(super) fn keep_steps(&mut self) {
        self.taken = Some(Vec::new());
    }

    pub(super) fn keeps_steps(&self) -> bool {
        self.taken.is_some()
    }

    pub(super) fn take_steps(&mut self) -> Vec<Taken> {
        self.taken.take().unwrap_or_default()
    }

    /// How the process ends, if that was chosen; asked once.
    pub(super) fn take_end(&mut self) -> Option<Crash> {
        self.end.take()
    }

    /// Whether it was chosen how the process ends.
    pub(super) fn has_end(&self) -> bool {
        self.end.is_some()
    }

    /// What becomes of a step, and what the dice are shaken with.
    pub(super) fn at(&mut self, step: u64, kind: StepKind, unsynced: bool) -> Option<(Mode, u64)> {
        if let Some(taken) = &mut self.taken {
            taken.push(Taken { kind, unsynced });
        }
        let due = |fault: &FaultAt| step >= fault.step;
        let fault = match self.planned.front().filter(|fault| due(fault)) {
            Some(_) => self.planned.pop_front(),
            None => self.chance.take_if(|fault| due(fault)),
        };
        if let Some(fault) = fault {
            if fault.mode == Mode::ErrorForEver {
                self.lasting = Some((kind.is_disk(), fault.mode));
            }
            if fault.mode.is_crash() {
                self.end = fault.end;
            }
            return Some((fault.mode, fault.salt));
        }
        if self.next.take_if(|next| *next == kind).is_some() {
            return Some((Mode::ErrorOnce, 0));
        }
        self.lasting.filter(|(on_disk, _)| *on_disk == kind.is_disk()).map(|(_, mode)| (mode, 0))
    }
}
