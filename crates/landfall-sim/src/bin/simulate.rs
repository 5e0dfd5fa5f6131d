//! Plays seeds of the simulation, many at once, or one again with everything it does.
//! It must never hide a failing seed: each is printed with the command that repeats it.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use landfall_sim::core::{Config, Report, run, shrink};

#[path = "simulate/crash_points.rs"]
mod crash_points;

const HELP: &str =
    "simulate [--seeds N] [--minutes N] [--from SEED] | --seed SEED [--trace] [--shrink] [--moves N]";
/// One seed in so many is played twice, and must go the same way.
const PLAYED_TWICE: u64 = 1000;
/// Seeds that once failed; they are played first.
const RECORDED: &str = include_str!("../core/recorded_seeds.txt");

struct Options {
    seed: Option<u64>,
    seeds: u64,
    from: u64,
    time: Option<Duration>,
    trace: bool,
    shrink: bool,
    moves: u64,
}

fn options() -> Result<Options> {
    let moves = Config::default().moves;
    let mut options =
        Options { seed: None, seeds: 10_000, from: 0, time: None, trace: false, shrink: false, moves };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || -> Result<u64> {
            let text = words.next().with_context(|| format!("{word} needs a number"))?;
            text.parse().with_context(|| format!("{text} is no number"))
        };
        match word.as_str() {
            "--seed" => options.seed = Some(number()?),
            "--seeds" => options.seeds = number()?,
            "--from" => options.from = number()?,
            "--minutes" => options.time = Some(Duration::from_secs(60 * number()?)),
            "--moves" => options.moves = number()?,
            "--trace" => options.trace = true,
            "--shrink" => options.shrink = true,
            other => bail!("{other} is not known: {HELP}, or {}", crash_points::HELP),
        }
    }
    Ok(options)
}

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
}

fn main() -> ExitCode {
    let crash_points = std::env::args().nth(1).is_some_and(|word| word == "--crash-points");
    let played = match crash_points {
        true => crash_points::main(std::env::args().skip(2)),
        false => options().and_then(|options| play(&options)),
    };
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn play(options: &Options) -> Result<bool> {
    match options.seed {
        Some(seed) => Ok(play_one(seed, options)),
        None => play_many(options),
    }
}

fn play_one(seed: u64, options: &Options) -> bool {
    let config = Config { trace: options.trace, moves: options.moves, ..Config::default() };
    let report = if options.shrink {
        let (smaller, report) = shrink(seed, &config);
        println!("smallest: {} moves, without {:?}", smaller.moves, smaller.without);
        report
    } else {
        run(seed, &config)
    };
    report.trace.iter().for_each(|line| println!("{line}"));
    println!("seed {seed}: hash {:016x}, {} steps, faults {:?}", report.hash, report.steps, report.faults);
    report.violations.iter().for_each(|what| println!("VIOLATION: {what}"));
    report.violations.is_empty()
}

fn play_many(options: &Options) -> Result<bool> {
    let recorded: Vec<u64> = RECORDED
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| !word.starts_with('#'))
        .map(|word| word.parse().with_context(|| format!("recorded_seeds.txt: {word}")))
        .collect::<Result<_>>()?;
    let started = Instant::now();
    let (next, stop, sum) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(Sum::default()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| play_seeds(options, &recorded, (&next, &stop), started, &sum));
        }
    });
    let sum = sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    tell(&sum, started.elapsed().as_secs_f64());
    Ok(sum.failed.is_empty())
}

fn play_seeds(
    options: &Options,
    recorded: &[u64],
    (next, stop): (&AtomicU64, &AtomicBool),
    started: Instant,
    sum: &Mutex<Sum>,
) {
    let config = Config { moves: options.moves, ..Config::default() };
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let (old, behind) = (recorded.get(number as usize), number.saturating_sub(recorded.len() as u64));
        let over = match options.time {
            Some(time) => started.elapsed() >= time,
            None => behind >= options.seeds,
        };
        if old.is_none() && over {
            return;
        }
        let seed = old.copied().unwrap_or(options.from + behind);
        let mut report = run(seed, &config);
        if number.is_multiple_of(PLAYED_TWICE) {
            let again = run(seed, &config);
            if again.hash != report.hash {
                report.violations.push("two runs of this seed went different ways".into());
            }
        }
        let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sum.add(report);
        if sum.failed.len() >= 20 {
            stop.store(true, Ordering::Relaxed);
        }
    }
}

fn tell(sum: &Sum, seconds: f64) {
    let faults: u64 = sum.faults.values().sum();
    println!("faults:");
    sum.faults.iter().for_each(|(kind, count)| println!("  {count:>10}  {kind}"));
    println!("reached:");
    sum.reached.iter().for_each(|(state, count)| println!("  {count:>10}  {state}"));
    for (seed, what) in &sum.failed {
        println!("seed {seed} FAILED: {what}");
        println!(
            "  repeat: cargo run --release -p landfall-sim --features core --bin simulate -- --seed {seed} --trace"
        );
    }
    println!(
        "PROOF: {} seeds, {faults} faults, {} units of clients, {} steps, {} failed, {:.0} seeds a second",
        sum.seeds,
        sum.operations,
        sum.steps,
        sum.failed.len(),
        sum.seeds as f64 / seconds
    );
}
