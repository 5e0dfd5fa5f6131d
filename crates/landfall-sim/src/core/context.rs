//! What all parts of a run share: the dice, the time, the count of steps, and which of them fail.
//! It must never ask anything outside of the run: the same seed has to give the same run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use landfall::env::Clock;
use landfall::simulation::seeded::Dice;
use parking_lot::Mutex;

use super::faults::{Faults, Mode, StepKind, Taken};
use super::{Crash, FaultAt};

/// The date at which every run begins, Unix milliseconds.
const START_UNIX_MS: i64 = 1_800_000_000_000;
/// What a step of the disk or the database takes.
const STEP_US: u64 = 40;
/// The most lines of a trace; beyond them a run tells nothing more.
const TRACE_LINES_MAX: usize = 100_000;

/// The shared part of a run.
pub(super) struct Context {
    dice: Mutex<Dice>,
    now_us: AtomicU64,
    unix_ms: AtomicI64,
    steps: AtomicU64,
    faults: Mutex<Faults>,
    crashed: AtomicBool,
    /// The transaction under way is done, and nobody hears of it.
    answer_lost: AtomicBool,
    /// Whether faults may happen now.
    chaos: AtomicBool,
    rates: Mutex<BTreeMap<&'static str, u64>>,
    /// Whether clients clear all keys in this run.
    pub(super) clears: bool,
    /// Whether the log is so small in this run, and what is written so long, that a group which does not land has to be spilled.
    pub(super) spills: bool,
    /// Whether clients have streams in this run.
    pub(super) streams: bool,
    told: Mutex<Told>,
}

/// What a run has told so far.
#[derive(Default)]
pub(super) struct Told {
    pub(super) hash: u64,
    pub(super) trace: Option<Vec<String>>,
    pub(super) faults: BTreeMap<&'static str, u64>,
    pub(super) reached: BTreeMap<&'static str, u64>,
    pub(super) violations: Vec<String>,
}

impl Context {
    pub(super) fn new(seed: u64, fault_at: Option<FaultAt>, trace: bool) -> Arc<Context> {
        Arc::new(Context {
            dice: Mutex::new(Dice(seed ^ 0x5eed_1a2d_fa11_0000)),
            now_us: AtomicU64::new(1_000_000),
            unix_ms: AtomicI64::new(START_UNIX_MS),
            steps: AtomicU64::new(0),
            faults: Mutex::new(Faults::new(fault_at)),
            crashed: AtomicBool::new(false),
            answer_lost: AtomicBool::new(false),
            chaos: AtomicBool::new(false),
            rates: Mutex::default(),
            // Not by the dice: runs without it stay what they were.
            clears: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 62 == 0,
            spills: seed.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 62 == 0,
            streams: seed.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 62 == 1,
            told: Mutex::new(Told { trace: trace.then(Vec::new), ..Told::default() }),
        })
    }

    pub(super) fn below(&self, bound: u64) -> u64 {
        self.dice.lock().below(bound.max(1))
    }

    pub(super) fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(super) fn set_rates(&self, rates: BTreeMap<&'static str, u64>) {
        *self.rates.lock() = rates;
    }

    pub(super) fn set_chaos(&self, on: bool) {
        self.chaos.store(on, Ordering::Relaxed);
    }

    /// Whether this kind of fault belongs to the run.
    pub(super) fn has(&self, kind: &'static str) -> bool {
        self.chaos.load(Ordering::Relaxed) && self.rates.lock().contains_key(kind)
    }

    /// Whether a fault of this kind happens now; it is counted.
    pub(super) fn fault(&self, kind: &'static str) -> bool {
        let happens = self.chance(kind);
        if happens {
            self.count_fault(kind);
        }
        happens
    }

    /// The same without counting it: perhaps nothing comes of it.
    pub(super) fn chance(&self, kind: &'static str) -> bool {
        if !self.chaos.load(Ordering::Relaxed) || self.is_crashed() {
            return false;
        }
        let rate = self.rates.lock().get(kind).copied();
        rate.is_some_and(|rate| self.below(10_000) < rate)
    }

    pub(super) fn count_fault(&self, kind: &'static str) {
        *self.told.lock().faults.entry(kind).or_default() += 1;
        self.tell(|| format!("fault: {kind}"));
    }

    /// Counts a rare state that was reached.
    pub(super) fn reached(&self, state: &'static str) {
        *self.told.lock().reached.entry(state).or_default() += 1;
    }

    pub(super) fn violation(&self, sentence: String) {
        self.tell(|| format!("VIOLATION: {sentence}"));
        let violations = &mut self.told.lock().violations;
        if violations.len() < 5 {
            violations.push(sentence);
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        !self.told.lock().violations.is_empty()
    }

    /// Adds a line to the trace, if there is one.
    pub(super) fn tell(&self, line: impl FnOnce() -> String) {
        let now = self.now_us.load(Ordering::Relaxed);
        let mut told = self.told.lock();
        if let Some(trace) = &mut told.trace
            && trace.len() < TRACE_LINES_MAX
        {
            trace.push(format!("{:>12.3} ms  {}", now as f64 / 1000.0, line()));
        }
    }

    /// Mixes a number into the hash of the run.
    pub(super) fn mix(&self, number: u64) {
        let mut told = self.told.lock();
        told.hash = (told.hash ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(17);
    }

    pub(super) fn take_told(&self) -> Told {
        std::mem::take(&mut *self.told.lock())
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Counts a step of the disk or the database. An error: this step fails, or the power is gone.
    pub(super) fn step(&self, kind: StepKind) -> Result<(), Mode> {
        self.step_with(kind, || false)
    }

    /// The same; `unsynced` says whether a power cut before it would take something.
    pub(super) fn step_with(&self, kind: StepKind, unsynced: impl FnOnce() -> bool) -> Result<(), Mode> {
        if self.is_crashed() {
            return Err(Mode::Crash);
        }
        let step = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        self.now_us.fetch_add(STEP_US, Ordering::Relaxed);
        let unsynced = self.faults.lock().keeps_steps() && unsynced();
        let fault = self.faults.lock().at(step, kind, unsynced);
        self.tell(|| format!("step {step}: {kind:?}"));
        let Some((mode, salt)) = fault else { return Ok(()) };
        self.dice.lock().0 ^= salt;
        self.count_fault(mode.name());
        match mode {
            Mode::Crash => self.set_crashed(true),
            Mode::CrashBehind => {
                self.set_crashed(true);
                return Ok(());
            }
            Mode::AnswerLost => {
                self.answer_lost.store(true, Ordering::Relaxed);
                return Ok(());
            }
            _ => {}
        }
        Err(mode)
    }

    /// Whether the answer of the transaction under way is lost; asked once.
    pub(super) fn take_answer_lost(&self) -> bool {
        self.answer_lost.swap(false, Ordering::Relaxed)
    }

    /// The power goes, or the process is killed, at one of the next steps.
    pub(super) fn crash_within(&self, steps: u64) {
        let step = self.steps() + 1 + self.below(steps);
        self.faults.lock().by_chance(step);
    }

    /// Has these steps fail.
    pub(super) fn plan_faults(&self, faults: &[FaultAt]) {
        self.faults.lock().plan(faults);
    }

    /// Has the next step of a kind fail.
    pub(super) fn fail_next(&self, kind: StepKind) {
        self.faults.lock().fail_next(kind);
    }

    /// What began to fail works again.
    pub(super) fn end_lasting_faults(&self) {
        self.faults.lock().end_lasting();
    }

    /// How the process ends, if that was chosen beforehand; asked once.
    pub(super) fn take_end(&self) -> Option<Crash> {
        self.faults.lock().take_end()
    }

    /// Whether what a killed process has just sent arrives: as the dice fall, unless its end was chosen.
    pub(super) fn arrives(&self) -> bool {
        !self.faults.lock().has_end() && self.one_in(2)
    }

    /// Keeps all steps from now on.
    pub(super) fn keep_steps(&self) {
        self.faults.lock().keep_steps();
    }

    pub(super) fn take_steps(&self) -> Vec<Taken> {
        self.faults.lock().take_steps()
    }

    pub(super) fn is_crashed(&self) -> bool {
        self.crashed.load(Ordering::Relaxed)
    }

    pub(super) fn set_crashed(&self, crashed: bool) {
        self.crashed.store(crashed, Ordering::Relaxed);
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.now_us.load(Ordering::Relaxed) / 1000
    }

    pub(super) fn pass(&self, ms: u64) {
        self.now_us.fetch_add(ms * 1000, Ordering::Relaxed);
    }

    /// The date jumps; durations do not.
    pub(super) fn jump(&self, ms: i64) {
        self.unix_ms.fetch_add(ms, Ordering::Relaxed);
    }

    pub(super) fn unix(&self) -> u64 {
        (self.unix_ms.load(Ordering::Relaxed) + self.now_ms() as i64).max(0) as u64
    }
}

impl Clock for Context {
    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.now_us.load(Ordering::Relaxed))
    }

    fn unix_ms(&self) -> u64 {
        self.unix()
    }
}

/// Where in a step others get a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// In the middle of a landing: no lock of the log is held.
    Landing,
    /// In the middle of a landing that takes so many milliseconds.
    Slow(u64),
    /// In the middle of a sync: whoever commits would wait for it.
    Syncing,
}

type Others = Rc<dyn Fn(Gap)>;

thread_local! {
    static OTHERS: RefCell<Option<Others>> = const { RefCell::new(None) };
}

/// Says who gets a turn in the middle of a step; none: nobody.
pub(super) fn set_others(others: Option<Others>) {
    OTHERS.with_borrow_mut(|have| *have = others);
}

/// Gives others a turn. Not within a turn that was given so.
pub(super) fn let_others(gap: Gap) {
    let others = OTHERS.with_borrow_mut(Option::take);
    if let Some(others) = others {
        others(gap);
        OTHERS.with_borrow_mut(|have| *have = Some(others));
    }
}
