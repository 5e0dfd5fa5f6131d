//! What commands cost: how often each ran, for how long, how often it failed, which were slow. For INFO, SLOWLOG, LATENCY.
//! It must never keep a value: of a slow command only its name and its keys are kept.
//!
//! The clock is not read for each command: that would cost a short one a tenth of its time. Short ones ([`Flags::FAST`])
//! that one connection sent together share up to [`RUN_MAX`] the time that they took; every other one is timed alone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use landfall_resp::Request;

use super::session::Session;
use crate::commands::Spec;
use crate::commands::spec::Flags;
use crate::commands::table;

/// So many short commands share one look at the clock.
pub const RUN_MAX: usize = 16;
/// Bucket `n` counts what took less than 2^n microseconds; the last one everything else.
const BUCKETS: usize = 32;
/// So many different prefixes of errors are counted; Landfall has a dozen.
const ERRORS_MAX: usize = 64;
/// The most entries that SLOWLOG may be set to keep.
pub const SLOW_ENTRIES_MAX: usize = 10_000;
/// A key in an entry of SLOWLOG is cut here.
const SLOW_KEY_BYTES_MAX: usize = 128;
/// So many keys of a command are kept.
const SLOW_KEYS_MAX: usize = 16;
/// So many moments of an event LATENCY remembers.
const MOMENTS_MAX: usize = 160;

/// The counters of one command.
#[derive(Debug)]
pub struct Counter {
    /// How often it ran.
    pub calls: AtomicU64,
    /// For how long in all.
    pub nanoseconds: AtomicU64,
    /// How often it was refused before it ran.
    pub rejected: AtomicU64,
    /// How often it answered with an error.
    pub failed: AtomicU64,
    /// How often it took less than 2^n microseconds, and not less than half of that.
    pub buckets: [AtomicU64; BUCKETS],
}

/// One slow command.
#[derive(Debug, Clone)]
pub struct Slow {
    /// Its number.
    pub id: u64,
    /// When, Unix seconds.
    pub at_s: u64,
    /// For how long.
    pub took: Duration,
    /// Its name and keys, and how many arguments were left out.
    pub words: Vec<Vec<u8>>,
    /// The name of its connection, and its number.
    pub client: (Vec<u8>, u64),
}

/// When a kind of delay happened, and how long it was.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// Unix seconds and milliseconds, oldest first.
    pub moments: VecDeque<(u64, u64)>,
    /// The longest ever, in milliseconds.
    pub longest_ms: u64,
}

/// What all commands cost since the start, or since they were reset. The loop alone writes; whoever runs on it reads.
#[derive(Debug)]
pub struct Counters {
    commands: Box<[Counter]>,
    errors: Mutex<BTreeMap<String, u64>>,
    slow: Mutex<(u64, VecDeque<Slow>)>,
    events: Mutex<BTreeMap<&'static str, Event>>,
    /// From so many microseconds on a command is slow; negative: none is.
    pub slow_from_us: AtomicI64,
    /// So many slow commands are kept.
    pub slow_entries: AtomicU64,
    /// From so many milliseconds on LATENCY remembers a delay; 0: none.
    pub event_from_ms: AtomicU64,
}

/// Adds without the cost of sharing: the loop is the only one that writes.
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

/// Whoever panicked while holding it left numbers only.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Counters {
    /// Nothing has run yet.
    pub fn new() -> Counters {
        let counter = || Counter {
            calls: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        };
        Counters {
            commands: (0..table::ids()).map(|_| counter()).collect(),
            errors: Mutex::default(),
            slow: Mutex::default(),
            events: Mutex::default(),
            slow_from_us: AtomicI64::new(10_000),
            slow_entries: AtomicU64::new(128),
            event_from_ms: AtomicU64::new(0),
        }
    }

    /// The counters of a command.
    pub fn of(&self, spec: &Spec) -> &Counter {
        &self.commands[usize::from(spec.id)]
    }

    /// Notes that a command ran inside of another one, whose time counts.
    pub fn ran_inside(&self, spec: &Spec) {
        add(&self.of(spec).calls, 1);
    }

    /// Notes an error reply, given from its first byte on.
    pub fn error(&self, spec: Option<&Spec>, reply: &[u8], rejected: bool) {
        if let Some(spec) = spec {
            add(if rejected { &self.of(spec).rejected } else { &self.of(spec).failed }, 1);
        }
        let word = reply.iter().skip(1).take_while(|byte| byte.is_ascii_uppercase()).take(32);
        let prefix: String = word.map(|byte| char::from(*byte)).collect();
        let mut errors = lock(&self.errors);
        if let Some(count) = errors.get_mut(&prefix) {
            *count += 1;
        } else if errors.len() < ERRORS_MAX {
            errors.insert(prefix, 1);
        }
    }

    /// How often errors of each prefix were answered.
    pub fn errors(&self) -> BTreeMap<String, u64> {
        lock(&self.errors).clone()
    }

    /// The last slow commands, newest first.
    pub fn slow(&self, most: usize) -> Vec<Slow> {
        lock(&self.slow).1.iter().rev().take(most).cloned().collect()
    }

    /// How many slow commands are kept.
    pub fn slow_kept(&self) -> usize {
        lock(&self.slow).1.len()
    }

    /// Forgets the slow commands; their numbers go on.
    pub fn forget_slow(&self) {
        lock(&self.slow).1.clear();
    }

    /// Keeps no more slow commands than are wanted.
    pub fn cut_slow(&self) {
        let keep = self.slow_entries.load(Ordering::Relaxed) as usize;
        let mut slow = lock(&self.slow);
        let more = slow.1.len().saturating_sub(keep);
        slow.1.drain(..more);
    }

    /// The delays that are remembered.
    pub fn events(&self) -> BTreeMap<&'static str, Event> {
        lock(&self.events).clone()
    }

    /// Forgets the delays of these kinds, or of all; how many kinds there were.
    pub fn forget_events(&self, kinds: &[&[u8]]) -> usize {
        let mut events = lock(&self.events);
        let before = events.len();
        events.retain(|kind, _| !kinds.is_empty() && !kinds.contains(&kind.as_bytes()));
        before - events.len()
    }

    /// Notes a delay, if it is long enough to be remembered.
    pub fn event(&self, kind: &'static str, took: Duration) {
        let from_ms = self.event_from_ms.load(Ordering::Relaxed);
        let took_ms = took.as_millis() as u64;
        if from_ms == 0 || took_ms < from_ms {
            return;
        }
        let mut events = lock(&self.events);
        let event = events.entry(kind).or_default();
        event.longest_ms = event.longest_ms.max(took_ms);
        let now = unix_s();
        // Of one second the longest counts.
        match event.moments.back_mut() {
            Some((at_s, have_ms)) if *at_s == now => *have_ms = (*have_ms).max(took_ms),
            _ => event.moments.push_back((now, took_ms)),
        }
        if event.moments.len() > MOMENTS_MAX {
            event.moments.pop_front();
        }
    }

    /// Sets everything but slow commands and delays back to the start.
    pub fn reset(&self) {
        for counter in &self.commands {
            let all = [&counter.calls, &counter.nanoseconds, &counter.rejected, &counter.failed];
            all.into_iter().chain(&counter.buckets).for_each(|counter| counter.store(0, Ordering::Relaxed));
        }
        lock(&self.errors).clear();
    }

    fn note_slow(&self, words: Vec<Vec<u8>>, session: &Session, took: Duration) {
        let keep = self.slow_entries.load(Ordering::Relaxed) as usize;
        let mut slow = lock(&self.slow);
        let id = slow.0;
        slow.0 += 1;
        let client = (session.name.clone(), session.who.id);
        slow.1.push_back(Slow { id, at_s: unix_s(), took, words, client });
        while slow.1.len() > keep {
            slow.1.pop_front();
        }
    }
}

impl Default for Counters {
    fn default() -> Counters {
        Counters::new()
    }
}

/// Commands of one connection that share a look at the clock.
pub struct Timed {
    since: Instant,
    run: [u16; RUN_MAX],
    length: usize,
}

impl Timed {
    /// Nothing has run since now.
    pub fn new() -> Timed {
        Timed { since: Instant::now(), run: [0; RUN_MAX], length: 0 }
    }

    /// The last look at the clock.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Starts anew: what was done since the last look was no command.
    pub fn restart(&mut self) {
        self.since = Instant::now();
    }

    /// Before a command: one that may take long is timed alone.
    #[inline]
    pub fn before(&mut self, spec: &Spec, counters: &Counters, session: &Session) {
        if self.length > 0 && !spec.flags.has(Flags::FAST) {
            self.end(counters, session, None);
        }
    }

    /// After a command that ran; with `last` none follows it for now.
    #[inline]
    pub fn after(
        &mut self,
        spec: &Spec,
        counters: &Counters,
        session: &Session,
        (request, last): (&Request<'_>, bool),
    ) {
        self.run[self.length] = spec.id;
        self.length += 1;
        if last || self.length == RUN_MAX || !spec.flags.has(Flags::FAST) {
            self.end(counters, session, Some((spec, request)));
        }
    }

    /// Looks at the clock and counts what ran since the last look. `last` is the last command, if it is at hand.
    pub fn end(&mut self, counters: &Counters, session: &Session, last: Option<(&Spec, &Request<'_>)>) {
        if self.length == 0 {
            return;
        }
        let now = Instant::now();
        let took = now.saturating_duration_since(self.since);
        let length = std::mem::take(&mut self.length);
        self.since = now;
        let each_ns = took.as_nanos() as u64 / length as u64;
        let bucket = (u64::BITS - (each_ns / 1000).leading_zeros()).min(BUCKETS as u32 - 1) as usize;
        for same in self.run[..length].chunk_by(|a, b| a == b) {
            let (counter, times) = (&counters.commands[usize::from(same[0])], same.len() as u64);
            add(&counter.calls, times);
            add(&counter.nanoseconds, each_ns * times);
            add(&counter.buckets[bucket], times);
        }
        let slow_from_us = counters.slow_from_us.load(Ordering::Relaxed);
        if slow_from_us >= 0 && took.as_micros() >= slow_from_us as u128 {
            let words = match (length, last) {
                (1, Some((spec, request))) => words(spec, request),
                _ => together(&self.run[..length]),
            };
            counters.note_slow(words, session, took);
        }
        let short = length > 1 || last.is_none_or(|(spec, _)| spec.flags.has(Flags::FAST));
        counters.event(if short { "fast-command" } else { "command" }, took);
    }
}

impl Default for Timed {
    fn default() -> Timed {
        Timed::new()
    }
}

/// The name and the keys of a command, and how much was left out.
fn words(spec: &Spec, request: &Request<'_>) -> Vec<Vec<u8>> {
    let named = if spec.container.is_empty() { 1 } else { 2 };
    let mut words: Vec<Vec<u8>> =
        spec.full_name().split('|').map(|word| word.to_uppercase().into_bytes()).collect();
    for key in spec.key_args(request).take(SLOW_KEYS_MAX).filter_map(|at| request.arg(at)) {
        let cut = &key[..key.len().min(SLOW_KEY_BYTES_MAX)];
        let more = key.len() - cut.len();
        let tail = if more > 0 { format!("... ({more} more bytes)").into_bytes() } else { Vec::new() };
        words.push([cut, &tail].concat());
    }
    let left_out = (request.arg_count() - named).saturating_sub(words.len() - named);
    if left_out > 0 {
        words.push(format!("... ({left_out} more arguments)").into_bytes());
    }
    words
}

/// The names of short commands that took long together.
fn together(run: &[u16]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    for same in run.chunk_by(|a, b| a == b) {
        let name = table::everything().nth(usize::from(same[0])).map_or_else(String::new, Spec::full_name);
        words.push(format!("{} ({} times)", name.to_uppercase(), same.len()).into_bytes());
    }
    words.push(format!("... ({} commands that took this long together)", run.len()).into_bytes());
    words
}
