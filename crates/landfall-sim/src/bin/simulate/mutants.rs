//! Plants bugs into the library one after the other, and finds a seed that shows each: a test of the simulation itself.
//! It must never count a bug as seen when the same seed fails without it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use landfall_sim::core::{Bug, Config, Report, run};

use crate::options::Options;

/// A bug has to be seen within so many seeds.
const SEEDS: u64 = 20_000;
/// The file of the seeds that showed each bug when they were recorded.
const RECORDED: &str = include_str!("../../core/mutant_seeds.txt");
const RECORDED_AT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/core/mutant_seeds.txt");
const RECORDED_HEAD: &str = "# For each planted bug a seed that shows it: `simulate --mutants` plays it first. Written by \
`simulate --mutants --record`.\n";

/// What came of the search for one bug.
struct Found {
    /// The seed that shows it, and the first broken promise; none when no seed did.
    seed: Option<(u64, String)>,
    /// How many seeds were played, and whether the recorded one was enough.
    played: u64,
    recorded: bool,
    /// How often the bug was come by.
    came_by: u64,
    /// What is wrong with the seed when no bug is planted.
    without: Option<String>,
}

/// What came of many searches.
#[derive(Default)]
struct Searches {
    done: u64,
    seen: u64,
    unsound: u64,
    seeds: u64,
    most: (u64, &'static str),
}

/// How often one bug was seen.
#[derive(Default)]
struct Rate {
    seen: u64,
    /// By what, and how often.
    symptoms: BTreeMap<String, u64>,
}

/// Finds every bug, or counts how often each is seen.
pub(crate) fn play(options: &Options) -> Result<bool> {
    // A bug may end in a panic, which is as good a sign as any.
    std::panic::set_hook(Box::new(|_| {}));
    let bugs: Vec<Bug> = options.bug.map_or_else(|| Bug::ALL.to_vec(), |bug| vec![bug]);
    if options.rates {
        return Ok(tell_rates(options, &bugs));
    }
    if let Some(time) = options.time {
        return Ok(play_rounds(options, &bugs, time));
    }
    let recorded = recorded()?;
    let started = Instant::now();
    let found = on_all_processors(&bugs, |bug| {
        let found = find(options, bug, recorded.get(bug.name()).copied(), options.from);
        tell(bug, &found);
        found
    });
    let unseen = found.iter().filter(|found| found.seed.is_none()).count();
    let unsound = found.iter().filter(|found| found.without.is_some()).count();
    if options.record {
        record(&bugs, &found, recorded)?;
    }
    println!(
        "PROOF: {} planted bugs, {} seen, {unsound} seeds failed without a bug, {:.1} seconds",
        bugs.len(),
        bugs.len() - unseen,
        started.elapsed().as_secs_f64()
    );
    Ok(unseen == 0 && unsound == 0)
}

/// Searches for every bug again and again, among other seeds each time and without the recorded ones.
fn play_rounds(options: &Options, bugs: &[Bug], time: Duration) -> bool {
    let started = Instant::now();
    let mut sum = Searches::default();
    let mut from = options.from;
    while started.elapsed() < time {
        let found = on_all_processors(bugs, |bug| find(options, bug, None, from));
        for (bug, found) in bugs.iter().zip(&found) {
            sum.done += 1;
            sum.seen += u64::from(found.seed.is_some());
            sum.unsound += u64::from(found.without.is_some());
            sum.seeds += found.played;
            sum.most = sum.most.max((found.played, bug.name()));
            if found.seed.is_none() || found.without.is_some() {
                println!("from seed {from}:");
                tell(*bug, found);
            }
        }
        from += options.seeds.unwrap_or(SEEDS);
    }
    println!(
        "PROOF: {} searches for {} planted bugs, {} seen, within {} seeds in the mean and {} at most ({}), {} seeds failed \
         without a bug",
        sum.done,
        bugs.len(),
        sum.seen,
        sum.seeds / sum.done.max(1),
        sum.most.0,
        sum.most.1,
        sum.unsound
    );
    sum.seen == sum.done && sum.unsound == 0
}

/// Does `work` for each bug, several at once; the results are in the order of the bugs.
fn on_all_processors<T: Send>(bugs: &[Bug], work: impl Fn(Bug) -> T + Sync) -> Vec<T> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, bug)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    bugs.get(at).map(|bug| (at, *bug))
                } {
                    let result = work(bug);
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(at, result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).into_values().collect()
}

fn mutated(options: &Options, bug: Bug, seed: u64) -> Report {
    run(seed, &Config { bug: Some(bug), trace: false, ..options.config() })
}

/// Looks for a seed that shows a bug, at the recorded one first and then from `from` on.
fn find(options: &Options, bug: Bug, recorded: Option<u64>, from: u64) -> Found {
    let seeds = options.seeds.unwrap_or(SEEDS);
    let all = recorded.into_iter().map(|seed| (seed, true));
    let all = all.chain((from..from + seeds).map(|seed| (seed, false)));
    let (mut played, mut came_by) = (0, 0);
    for (seed, recorded) in all {
        let report = mutated(options, bug, seed);
        played += 1;
        came_by += report.came_by;
        if let Some(what) = report.violations.into_iter().next() {
            let without = run(seed, &Config { bug: None, trace: false, ..options.config() });
            let without = without.violations.into_iter().next();
            return Found { seed: Some((seed, what)), played, recorded, came_by, without };
        }
    }
    Found { seed: None, played, recorded: false, came_by, without: None }
}

fn tell(bug: Bug, found: &Found) {
    match &found.seed {
        Some((seed, what)) => {
            let how =
                if found.recorded { "recorded".into() } else { format!("after {} seeds", found.played) };
            println!("seen    {:<36} seed {seed} ({how}): {}", bug.name(), shortened(what));
            if !found.recorded {
                println!(
                    "  mutant_seeds.txt: write `{} {seed}`, or run this again with --record",
                    bug.name()
                );
            }
        }
        None => println!(
            "UNSEEN  {:<36} in {} seeds, come by {} times ({}: {})",
            bug.name(),
            found.played,
            found.came_by,
            bug.place(),
            bug.what()
        ),
    }
    if let Some(what) = &found.without {
        println!("  this seed fails WITHOUT the bug too: {what}");
    }
}

/// What kind of violation it is, without its rows and numbers.
fn symptom(what: &str) -> String {
    const KINDS: &[(&str, &str)] = &[
        (" answered ", "an answer is not what the log says"),
        (" was logged as something else", "a unit is logged as something else than it was"),
        (" differs from the log", "in the end the database differs from the log"),
        (" are lost, and something of them was acknowledged", "acknowledged records are lost"),
        (" counts as landed", "more counts as landed than the database has"),
        ("the database is ahead of the log", "the database is ahead of the log"),
        (" landed for ", "a record of several lanes lands in part"),
        (" was not refused", "what has to be refused is not"),
    ];
    let known = KINDS.iter().find(|(part, _)| what.contains(part)).map(|(_, kind)| *kind);
    let words = known.unwrap_or_else(|| what.split(':').next().unwrap_or_default());
    words.replace('|', "/")
}

/// The beginning of a sentence: a violation may hold a whole row.
fn shortened(what: &str) -> String {
    let words = match what.char_indices().nth(120) {
        Some((at, _)) => format!("{}...", &what[..at]),
        None => what.to_owned(),
    };
    words.replace('\n', " ")
}

fn recorded() -> Result<BTreeMap<&'static str, u64>> {
    let lines = RECORDED.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| {
            let (name, seed) = line.split_once(' ').with_context(|| format!("mutant_seeds.txt: {line}"))?;
            if !Bug::ALL.iter().any(|bug| bug.name() == name) {
                bail!("mutant_seeds.txt: there is no bug `{name}` any more: take its line out");
            }
            Ok((name, seed.trim().parse().with_context(|| format!("mutant_seeds.txt: {line}"))?))
        })
        .collect()
}

/// Writes down the seeds that were found; those of other bugs stay.
fn record(bugs: &[Bug], found: &[Found], mut seeds: BTreeMap<&'static str, u64>) -> Result<()> {
    for (bug, found) in bugs.iter().zip(found) {
        match &found.seed {
            Some((seed, _)) => drop(seeds.insert(bug.name(), *seed)),
            None => drop(seeds.remove(bug.name())),
        }
    }
    let lines =
        Bug::ALL.iter().filter_map(|bug| Some(format!("{} {}\n", bug.name(), seeds.get(bug.name())?)));
    std::fs::write(RECORDED_AT, RECORDED_HEAD.to_owned() + &lines.collect::<String>())
        .with_context(|| format!("cannot write {RECORDED_AT}"))?;
    println!("recorded in {RECORDED_AT}");
    Ok(())
}

/// A table for docs/reliability.md; whether every bug was seen.
fn tell_rates(options: &Options, bugs: &[Bug]) -> bool {
    let seeds = options.seeds.unwrap_or(SEEDS);
    let rates = on_all_processors(bugs, |bug| {
        let mut rate = Rate::default();
        for seed in options.from..options.from + seeds {
            if let Some(what) = mutated(options, bug, seed).violations.into_iter().next() {
                rate.seen += 1;
                *rate.symptoms.entry(symptom(&what)).or_default() += 1;
            }
        }
        eprintln!("{}: {} of {seeds}", bug.name(), rate.seen);
        rate
    });
    println!(
        "| bug | what it does | where | of {seeds} seeds | what is noticed most |\n|---|---|---|---|---|"
    );
    for (bug, rate) in bugs.iter().zip(&rates) {
        let most = rate.symptoms.iter().max_by_key(|(_, count)| **count);
        let most = most.map_or("", |(symptom, _)| symptom);
        println!("| {} | {} | `{}` | {} | {most} |", bug.name(), bug.what(), bug.place(), rate.seen);
    }
    rates.iter().all(|rate| rate.seen > 0)
}
