//! Many seeds on all processors, those first that once failed, and what came of them.
//! It must never hide a failing seed: each is printed with the command that repeats it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use landfall_sim::core::{Config, RARE, Report, kinds_of_faults, run};

use crate::options::Options;

/// Seeds when nobody says how many.
const SEEDS: u64 = 10_000;
/// One seed in so many is played twice, and must go the same way.
const PLAYED_TWICE: u64 = 1000;
/// After so many failures the rest is not played.
const FAILED_MAX: usize = 20;
/// So many seeds reach every rare state, and have every kind of fault.
const SEEDS_OF_ALL: u64 = 10_000;
/// Seeds that once failed; they are played first.
const RECORDED: &str = include_str!("../../core/recorded_seeds.txt");

#[derive(Default)]
struct Sum {
    seeds: u64,
    operations: u64,
    steps: u64,
    faults: BTreeMap<&'static str, u64>,
    reached: BTreeMap<&'static str, u64>,
    failed: Vec<(u64, String)>,
}

impl Sum {
    fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.operations += report.operations;
        self.steps += report.steps;
        for (kind, count) in report.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        for (state, count) in report.reached {
            *self.reached.entry(state).or_default() += count;
        }
        if let Some(first) = report.violations.first() {
            self.failed.push((report.seed, first.clone()));
        }
    }

    fn faults(&self) -> u64 {
        self.faults.values().sum()
    }

    /// What did not happen once, although it should have in so many seeds: then nothing was shown about it.
    fn never(&self, options: &Options) -> Vec<&'static str> {
        if self.seeds < SEEDS_OF_ALL || options.bug.is_some() || options.moves < Config::default().moves {
            return Vec::new();
        }
        let states = RARE.iter().copied().filter(|state| !self.reached.contains_key(state));
        states.chain(kinds_of_faults().filter(|kind| !self.faults.contains_key(kind))).collect()
    }
}

/// What the threads share.
struct Play<'p> {
    options: &'p Options,
    recorded: Vec<u64>,
    started: Instant,
    next: AtomicU64,
    stop: AtomicBool,
    sum: Mutex<Sum>,
}

/// Plays the seeds; whether every one of them kept every promise.
pub(crate) fn play(options: &Options) -> Result<bool> {
    let recorded: Vec<u64> = RECORDED
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| !word.starts_with('#'))
        .map(|word| word.parse().with_context(|| format!("recorded_seeds.txt: {word}")))
        .collect::<Result<_>>()?;
    let started = Instant::now();
    let (next, stop, sum) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(Sum::default()));
    let play = Play { options, recorded, started, next, stop, sum };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| play.seeds());
        }
    });
    let sum = play.sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    tell(&sum, started.elapsed().as_secs_f64(), options);
    Ok(sum.failed.is_empty() && sum.never(options).is_empty())
}

impl Play<'_> {
    fn seeds(&self) {
        let config = self.options.config();
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let behind = number.saturating_sub(self.recorded.len() as u64);
            let old = self.recorded.get(number as usize);
            if old.is_none() && self.is_over(behind) {
                return;
            }
            let seed = old.copied().unwrap_or(self.options.from + behind);
            let mut report = run(seed, &config);
            if number.is_multiple_of(PLAYED_TWICE) {
                let again = run(seed, &config);
                if again.hash != report.hash {
                    report.violations.push("two runs of this seed went different ways".into());
                }
            }
            let mut sum = self.sum();
            sum.add(report);
            if sum.failed.len() >= FAILED_MAX {
                self.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    fn is_over(&self, played: u64) -> bool {
        match self.options.time {
            Some(time) => self.started.elapsed() >= time,
            None => {
                let seeds = self.options.seeds.unwrap_or(SEEDS);
                played >= seeds && (self.options.faults == 0 || self.sum().faults() >= self.options.faults)
            }
        }
    }

    fn sum(&self) -> std::sync::MutexGuard<'_, Sum> {
        self.sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn tell(sum: &Sum, seconds: f64, options: &Options) {
    println!("faults:");
    sum.faults.iter().for_each(|(kind, count)| println!("  {count:>10}  {kind}"));
    println!("reached:");
    sum.reached.iter().for_each(|(state, count)| println!("  {count:>10}  {state}"));
    let bug = options.bug.map_or_else(String::new, |bug| format!(" --bug {}", bug.name()));
    for (seed, what) in &sum.failed {
        println!("seed {seed} FAILED: {what}");
        println!(
            "  repeat: cargo run --release -p landfall-sim --features core --bin simulate -- --seed {seed}{bug} --trace"
        );
    }
    for what in sum.never(options) {
        println!("NEVER: {what}");
    }
    println!(
        "PROOF: {} seeds, {} faults, {} units of clients, {} steps, {} failed, {:.0} seeds a second",
        sum.seeds,
        sum.faults(),
        sum.operations,
        sum.steps,
        sum.failed.len(),
        sum.seeds as f64 / seconds
    );
}
