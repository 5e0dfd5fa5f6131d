//! Plays crash points: all scenarios or one, or a single run again with everything it does.
//! It must never hide a failing run: each is printed with the command that repeats it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use landfall_sim::core::crashpoints::{Depth, Failure, Fault, Mode, Outcome, Scenario, all, enumerate, play};

pub(crate) const HELP: &str = "simulate --crash-points [NAME [--fault MODE@STEP [--fault MODE@STEP]] [--trace]] \
    [--seconds N|all] [--round N] [--minutes N] [--modes]";
/// So many second faults follow each first one.
const SECONDS: u64 = 2;

/// So many failed runs of a scenario are shown; all are counted.
const SHOWN_MAX: usize = 5;

struct Options {
    name: Option<String>,
    faults: Vec<Fault>,
    depth: Depth,
    /// Goes on with further rounds for so long.
    time: Option<Duration>,
    trace: bool,
    modes: bool,
}

/// Plays what the words behind `--crash-points` say; whether every promise was kept.
pub(crate) fn main(words: impl Iterator<Item = String>) -> Result<bool> {
    let options = options(words)?;
    let chosen: Vec<Scenario> = match &options.name {
        None => all(),
        Some(name) => all().into_iter().filter(|scenario| scenario.name == *name).collect(),
    };
    match (chosen.as_slice(), options.faults.as_slice()) {
        ([], _) => {
            let names: Vec<String> = all().into_iter().map(|scenario| scenario.name).collect();
            bail!("there is no such scenario; there are {}", names.join(", "))
        }
        ([one], faults) if !faults.is_empty() || options.trace => Ok(play_one(one, &options)),
        (_, []) => Ok(play_rounds(&chosen, &options)),
        _ => bail!("name the scenario of these faults: {HELP}"),
    }
}

fn options(words: impl Iterator<Item = String>) -> Result<Options> {
    let mut words = words.peekable();
    let name = words.next_if(|word| !word.starts_with("--"));
    let depth = Depth { seconds: SECONDS, round: 0 };
    let mut options = Options { name, faults: Vec::new(), depth, time: None, trace: false, modes: false };
    while let Some(word) = words.next() {
        let mut number = || -> Result<u64> {
            let text = words.next().with_context(|| format!("{word} needs a number"))?;
            if (word.as_str(), text.as_str()) == ("--seconds", "all") {
                return Ok(u64::MAX);
            }
            text.parse().with_context(|| format!("{text} is no number"))
        };
        match word.as_str() {
            "--seconds" => options.depth.seconds = number()?,
            "--round" => options.depth.round = number()?,
            "--minutes" => options.time = Some(Duration::from_secs(60 * number()?)),
            "--trace" => options.trace = true,
            "--modes" => options.modes = true,
            "--fault" => options.faults.push(fault(&words.next().context("--fault needs MODE@STEP")?)?),
            other => bail!("{other} is not known: {HELP}"),
        }
    }
    Ok(options)
}

fn fault(text: &str) -> Result<Fault> {
    let (mode, step) = text.split_once('@').with_context(|| format!("{text} is no MODE@STEP"))?;
    let names = || Mode::all().iter().map(|mode| mode.name).collect::<Vec<_>>().join(", ");
    let mode =
        Mode::named(mode).with_context(|| format!("there is no mode {mode}; there are {}", names()))?;
    Ok(Fault { mode, step: step.parse().with_context(|| format!("{step} is no step"))? })
}

fn play_one(scenario: &Scenario, options: &Options) -> bool {
    let report = play(scenario, &options.faults, options.depth.round, options.trace);
    report.trace.iter().for_each(|line| println!("{line}"));
    println!("{}: {}", scenario.name, scenario.what);
    println!("{} steps, faults {:?}, reached {:?}", report.steps, report.faults, report.reached);
    report.violations.iter().for_each(|what| println!("VIOLATION: {what}"));
    report.violations.is_empty()
}

/// One round, or as many as the time allows; each has other second faults and tears other sectors.
fn play_rounds(scenarios: &[Scenario], options: &Options) -> bool {
    let (mut sum, mut depth, started) = (Outcome::default(), options.depth, Instant::now());
    loop {
        let mut round = Outcome::default();
        for scenario in scenarios {
            play_scenario(scenario, depth, &mut round);
        }
        (sum.steps, round.steps) = (round.steps, 0);
        sum.add(round);
        depth.round += 1;
        if options.time.is_none_or(|time| started.elapsed() >= time) || !sum.failures.is_empty() {
            break;
        }
    }
    if options.modes {
        sum.by_mode.iter().for_each(|(mode, runs)| println!("  {runs:>8}  {mode}"));
    }
    println!(
        "PROOF: {} scenarios, {} steps, {} runs, {} of them with a second fault, {} failed",
        scenarios.len(),
        sum.steps,
        sum.runs,
        sum.second_faults,
        sum.failures.len()
    );
    sum.failures.is_empty()
}

fn play_scenario(scenario: &Scenario, depth: Depth, sum: &mut Outcome) {
    let started = Instant::now();
    let outcome = enumerate(scenario, depth);
    println!(
        "{:<28} {:>4} steps, {:>6} runs, {:>6} of them with a second fault, {} failed, {:.1} s",
        scenario.name,
        outcome.steps,
        outcome.runs,
        outcome.second_faults,
        outcome.failures.len(),
        started.elapsed().as_secs_f64()
    );
    outcome.failures.iter().take(SHOWN_MAX).for_each(|failure| tell(scenario, depth.round, failure));
    sum.steps += outcome.steps;
    sum.add(outcome);
}

fn tell(scenario: &Scenario, round: u64, failure: &Failure) {
    let faults: Vec<String> = failure.faults.iter().map(Fault::to_string).collect();
    let hit = if faults.is_empty() { "without a fault".to_owned() } else { faults.join(", then ") };
    println!("FAILED {}: {hit} ({}): {}", scenario.name, failure.hit, failure.what);
    let faults: String = faults.iter().map(|fault| format!(" --fault {fault}")).collect();
    println!(
        "  repeat: cargo run --release -p landfall-sim --features core --bin simulate -- --crash-points {}{faults} --round {round} --trace",
        scenario.name
    );
}
