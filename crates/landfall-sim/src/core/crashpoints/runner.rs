//! Plays a scenario once for each step and mode, and with second faults, on all processors.
//! What it plays follows from the scenario alone: the same call plays the same runs.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::commands::Command;
use super::super::faults::{FaultAt, StepKind, Taken};
use super::super::world::scripted::Script;
use super::super::{Report, context};
use super::Scenario;
use super::modes::Mode;
use super::setup::{child, parent, plain, put, reading};

/// All runs of all scenarios are of this seed: only the faults differ.
const SEED: u64 = 1;
/// After so many failures a scenario is left.
const FAILURES_MAX: usize = 20;

/// A fault at a step, counted from 1 over a run.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The step.
    pub step: u64,
    /// What happens there.
    pub mode: &'static Mode,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.mode.name, self.step)
    }
}

/// How much is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// How many second faults follow each first one; above the number of steps: one at each of them.
    pub seconds: u64,
    /// Another round tears other sectors, and has other second faults.
    pub round: u64,
}

/// What became of a scenario.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Its steps.
    pub steps: u64,
    /// How often it was played.
    pub runs: u64,
    /// How many of these runs had a second fault.
    pub second_faults: u64,
    /// Runs by the mode of the first fault.
    pub by_mode: BTreeMap<&'static str, u64>,
    /// What failed, the first of it.
    pub failures: Vec<Failure>,
}

/// A run that broke a promise.
#[derive(Debug)]
pub struct Failure {
    /// The faults.
    pub faults: Vec<Fault>,
    /// What the first of them hit.
    pub hit: String,
    /// What was broken.
    pub what: String,
}

/// A run, and where in it things happened.
struct Run {
    report: Report,
    /// The last step before the script.
    begin: u64,
    /// The steps of the script, of the recovery and of the write behind it.
    taken: Vec<Taken>,
    /// How many of them are the script's.
    steps: usize,
}

/// Plays a scenario with these faults in a round, and checks everything.
pub fn play(scenario: &Scenario, faults: &[Fault], round: u64, trace: bool) -> Report {
    run(scenario, faults, round, trace).report
}

fn run(scenario: &Scenario, faults: &[Fault], round: u64, trace: bool) -> Run {
    let mut setup = plain();
    (scenario.set_up)(&mut setup);
    setup.settings.fsync = scenario.fsync.unwrap_or(setup.settings.fsync);
    let script = Script::new(SEED, trace, setup);
    (scenario.before)(&script);
    let begin = script.steps();
    script.keep_steps();
    let planned: Vec<FaultAt> = faults.iter().map(|fault| at(fault, round)).collect();
    script.plan(&planned);
    (scenario.script)(&script);
    let steps = (script.steps() - begin) as usize;
    script.recover(scenario.person);
    write(&script);
    let taken = with_what_is_unsynced(script.take_steps());
    let report = script.settle(scenario.person, scenario.incidents);
    Run { report, begin, taken, steps }
}

fn at(fault: &Fault, round: u64) -> FaultAt {
    let Fault { step, mode } = *fault;
    let salt = mode.salt ^ step.wrapping_mul(0x9e37_79b9) ^ round.wrapping_mul(0x1_0000_01b3) << 20;
    FaultAt { step, mode: mode.fault, end: mode.end, salt }
}

/// Nothing but a step of the disk changes the disk: what is not synced before a step of the database is what is not synced
/// before the next one of the disk.
fn with_what_is_unsynced(mut taken: Vec<Taken>) -> Vec<Taken> {
    let mut unsynced = true;
    for step in taken.iter_mut().rev() {
        match step.kind {
            StepKind::Disk(_) => unsynced = step.unsynced,
            _ => step.unsynced = unsynced,
        }
    }
    taken
}

/// What clients do once the process is back: rows of several groups, one of them in a record of several lanes.
fn write(script: &Script) {
    script.unit(&[Command::Increment(2), put(4, "behind")]);
    script.unit(&[parent(4, "behind"), child(4, 4, "behind"), Command::Grow(3, 2), reading("behind")]);
    script.upkeep();
    script.land();
}

/// Plays a scenario with a fault at each step in turn, in every mode.
pub fn enumerate(scenario: &Scenario, depth: Depth) -> Outcome {
    let clean = match catch(|| run(scenario, &[], depth.round, false)) {
        Ok(clean) => clean,
        Err(what) => return Outcome { failures: vec![failure(&[], "nothing", what)], ..Outcome::default() },
    };
    let mut outcome = Outcome { steps: clean.steps as u64, runs: 1, ..Outcome::default() };
    outcome.failures.extend(broken(&clean.report, scenario).map(|what| failure(&[], "nothing", what)));
    // The step behind the script is one too: nothing but clients' answers lies between.
    let points: Vec<(u64, Taken)> = clean
        .taken
        .iter()
        .take(clean.steps + 1)
        .enumerate()
        .map(|(at, taken)| (clean.begin + 1 + at as u64, *taken))
        .collect();
    let (next, shared) = (AtomicU64::new(0), Mutex::new(outcome));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed) as usize) else {
                        return;
                    };
                    let some = at_point(scenario, *point, depth);
                    let mut all = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    all.add(some);
                    if all.failures.len() >= FAILURES_MAX {
                        return;
                    }
                }
            });
        }
    });
    shared.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Outcome {
    /// Adds the runs of another one.
    pub fn add(&mut self, other: Outcome) {
        self.runs += other.runs;
        self.second_faults += other.second_faults;
        other.by_mode.into_iter().for_each(|(mode, runs)| *self.by_mode.entry(mode).or_default() += runs);
        self.failures.extend(other.failures);
    }
}

/// All that a step is played with.
fn at_point(scenario: &Scenario, (step, taken): (u64, Taken), depth: Depth) -> Outcome {
    let mut outcome = Outcome::default();
    let hit = format!("{:?}", taken.kind);
    for (number, mode) in (0..).zip(Mode::all()).filter(|(_, mode)| mode.applies(taken)) {
        let first = Fault { step, mode };
        let (kept, behind) = outcome.play(scenario, &[first], depth.round, &hit);
        *outcome.by_mode.entry(mode.name).or_default() += 1;
        let count = if kept { depth.seconds.min(behind.len() as u64) } else { 0 };
        for turn in 0..count {
            let second =
                second_fault(first, number, depth.round.wrapping_mul(count).wrapping_add(turn), &behind);
            outcome.second_faults += 1;
            outcome.play(scenario, &[first, second], depth.round, &hit);
        }
    }
    outcome
}

/// The second fault of a turn. Along the first steps, and from turn to turn, every step of the recovery and every mode
/// has its turn.
fn second_fault(first: Fault, number: u64, turn: u64, behind: &[Taken]) -> Fault {
    let steps = behind.len() as u64;
    let place = (first.step + 7 * number + turn % steps * stride(steps)) % steps;
    let there = behind[place as usize];
    let modes: Vec<&'static Mode> = Mode::all().iter().filter(|mode| mode.applies(there)).collect();
    let mode = (first.step / 3 + place + number + turn / steps % 97) % modes.len() as u64;
    Fault { step: first.step + 1 + place, mode: modes[mode as usize] }
}

/// A stride that comes to each of so many steps before it comes to one of them again.
fn stride(steps: u64) -> u64 {
    [37, 31, 29].into_iter().find(|prime| !steps.is_multiple_of(*prime)).unwrap_or(1)
}

impl Outcome {
    /// Plays one run; whether it kept every promise, and the steps behind its first fault.
    fn play(&mut self, scenario: &Scenario, faults: &[Fault], round: u64, hit: &str) -> (bool, Vec<Taken>) {
        self.runs += 1;
        let played = match catch(|| run(scenario, faults, round, false)) {
            Ok(played) => played,
            Err(what) => {
                self.failures.push(failure(faults, hit, what));
                return (false, Vec::new());
            }
        };
        let before = (faults[0].step - played.begin) as usize;
        let same = played.taken.get(before - 1).is_some_and(|taken| format!("{:?}", taken.kind) == hit);
        let what = match played.report.violations.first() {
            None if same => None,
            None => Some("the run went another way before its first fault".to_owned()),
            first => first.cloned(),
        };
        let kept = what.is_none();
        self.failures.extend(what.map(|what| failure(faults, hit, what)));
        (kept, played.taken.get(before..).unwrap_or_default().to_vec())
    }
}

/// What a run without a fault broke, or did not reach.
fn broken(report: &Report, scenario: &Scenario) -> Option<String> {
    let missed = scenario.reaches.iter().find(|state| !report.reached.contains_key(**state));
    report.violations.first().cloned().or(missed.map(|state| format!("it does not reach: {state}")))
}

fn failure(faults: &[Fault], hit: &str, what: String) -> Failure {
    Failure { faults: faults.to_vec(), hit: hit.into(), what }
}

/// A run that panics has failed, and the next one begins anew.
fn catch<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        context::set_others(None);
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        format!("it panicked: {}", text.unwrap_or_default())
    })
}
