//! What a put of the library costs until it is acknowledged, with one thread and with several.
//! It must never count a put that was not acknowledged.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use hdrhistogram::Histogram;
use landfall::Landfall;
use rustix::time::ClockId;

use crate::library::{DRAIN, Dice, Key, Policy, VALUE_BYTES, processor_time, settings};
use crate::machine::Machine;

/// Every so many puts one is timed by itself: reading the clock would be a good part of each.
const TIMED_ONE_IN: u64 = 16;

/// What a put of the library costs: SET of 64 B over random keys, until it is acknowledged
///
/// Each cell has a fresh folder and first writes every key once. Data lies below TMPDIR, which should be on a disk.
#[derive(Args)]
pub(crate) struct Options {
    /// Threads that put at once
    #[arg(long, value_delimiter = ',', default_value = "1,2", value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: Vec<u32>,
    /// Sync policies
    #[arg(long, value_enum, value_delimiter = ',', default_value = "os,everysec")]
    policy: Vec<Policy>,
    /// Seconds of puts in a cell
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Passes over all cells
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    passes: u32,
    /// Random keys
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    keys: u64,
    /// Land meanwhile; else landing is paused
    #[arg(long)]
    landing: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let machine = Machine::here("put", &std::env::temp_dir());
    println!(
        "{} at {} on {} cores ({}), {}, load {}",
        machine.started,
        machine.commit,
        machine.cores,
        machine.processor,
        machine.file_system,
        machine.load_before
    );
    println!("{}\n", machine.command);
    println!(
        "| policy | threads | pass | ns per put | processor ns | p50 ns | p99 ns | p99.9 ns | max us | puts/s |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for pass in 1..=options.passes {
        for &policy in &options.policy {
            for &threads in &options.threads {
                cell(options, policy, threads, pass)?;
            }
        }
    }
    Ok(())
}

fn cell(options: &Options, policy: Policy, threads: u32, pass: u32) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("landfall-put-").tempdir()?;
    let waits = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let settings = settings(folder.path(), policy, !options.landing);
    let (landfall, _) = waits.block_on(Landfall::open_sqlite(settings, &folder.path().join("rows.db")))?;
    waits.block_on(fill(&landfall, options.keys))?;
    let together = Barrier::new(threads as usize);
    let length = Duration::from_secs_f64(options.seconds);
    let outcomes: Vec<Result<Outcome>> = std::thread::scope(|scope| {
        let putters: Vec<_> = (0..u64::from(threads))
            .map(|seed| {
                scope.spawn({
                    let (landfall, together) = (&landfall, &together);
                    move || put_for(landfall, options.keys, seed, length, together)
                })
            })
            .collect();
        putters
            .into_iter()
            .map(|putter| putter.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked")))
            .collect()
    });
    let mut times = Histogram::<u64>::new(3)?;
    let (mut puts, mut seconds, mut worked) = (0, 0.0, 0.0);
    for outcome in outcomes {
        let outcome = outcome?;
        times.add(&outcome.times)?;
        puts += outcome.puts;
        seconds += outcome.seconds;
        worked += outcome.worked.as_secs_f64();
    }
    let quantile = |part: f64| times.value_at_quantile(part);
    println!(
        "| {} | {threads} | {pass} | {:.0} | {:.0} | {} | {} | {} | {:.0} | {:.0} |",
        policy.name(),
        seconds * 1e9 / puts as f64,
        worked * 1e9 / puts as f64,
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
        times.max() as f64 / 1e3,
        puts as f64 / (seconds / f64::from(threads)),
    );
    let drain = if options.landing { DRAIN } else { Duration::ZERO };
    waits.block_on(landfall.close(drain)).context("cannot close")?;
    Ok(())
}

async fn fill(landfall: &Landfall, keys: u64) -> Result<()> {
    let mut key = Key::new();
    for number in 0..keys {
        let _landed_later = landfall.set(key.of(number), &[b'x'; VALUE_BYTES]).await?;
    }
    Ok(())
}

/// What one thread did.
struct Outcome {
    puts: u64,
    seconds: f64,
    /// Processor time of the thread.
    worked: Duration,
    times: Histogram<u64>,
}

fn put_for(
    landfall: &Landfall,
    keys: u64,
    seed: u64,
    length: Duration,
    together: &Barrier,
) -> Result<Outcome> {
    let waits = tokio::runtime::Builder::new_current_thread().build()?;
    let (mut dice, mut key) = (Dice(seed), Key::new());
    let mut value = [b'x'; VALUE_BYTES];
    let mut times = Histogram::new(3)?;
    let mut puts = 0_u64;
    together.wait();
    let (started, worked) = (Instant::now(), processor_time(ClockId::ThreadCPUTime));
    waits.block_on(async {
        loop {
            let begun = Instant::now();
            if begun - started >= length {
                return anyhow::Ok(());
            }
            for nth in 0..TIMED_ONE_IN {
                value[..8].copy_from_slice(&puts.to_le_bytes());
                let _landed_later = landfall.set(key.of(dice.below(keys)), &value).await?;
                puts += 1;
                if nth == 0 {
                    times.record(begun.elapsed().as_nanos() as u64)?;
                }
            }
        }
    })?;
    let worked = processor_time(ClockId::ThreadCPUTime) - worked;
    Ok(Outcome { puts, seconds: started.elapsed().as_secs_f64(), worked, times })
}
