//! Plays crash points: all scenarios or one, or a single run again with everything it does.
//! It must never hide a failing run: each is printed with the command that repeats it.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use landfall_sim::core::crashpoints::{
    Failure, Fault, Mode, Outcome, Scenario, Seconds, all, enumerate, play,
};

pub(crate) const HELP: &str = "simulate --crash-points [NAME [--fault MODE@STEP [--fault MODE@STEP]] [--trace]] [--seconds N|all] [--modes]";

struct Options {
    name: Option<String>,
    faults: Vec<Fault>,
    seconds: Seconds,
    trace: bool,
    modes: bool,
}

/// Plays what the words behind `--crash-points` say; whether every promise was kept.
pub(crate) fn main(words: impl Iterator<Item = String>) -> Result<bool> {
    let options = options(words)?;
    let chosen: Vec<Scenario> = match &options.name {
        None => all(),
        Some(name) => all().into_iter().filter(|scenario| scenario.name == name).collect(),
    };
    match (chosen.as_slice(), options.faults.as_slice()) {
        ([], _) => {
            let names: Vec<&str> = all().iter().map(|scenario| scenario.name).collect();
            bail!("there is no such scenario; there are {}", names.join(", "))
        }
        ([one], faults) if !faults.is_empty() || options.trace => Ok(play_one(one, faults, options.trace)),
        (_, []) => Ok(play_all(&chosen, &options)),
        _ => bail!("name the scenario of these faults: {HELP}"),
    }
}

fn options(words: impl Iterator<Item = String>) -> Result<Options> {
    let mut words = words.peekable();
    let name = words.next_if(|word| !word.starts_with("--"));
    let mut options =
        Options { name, faults: Vec::new(), seconds: Seconds::Some(1), trace: false, modes: false };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--trace" => options.trace = true,
            "--modes" => options.modes = true,
            "--fault" => options.faults.push(fault(&words.next().context("--fault needs MODE@STEP")?)?),
            "--seconds" => {
                options.seconds = match words.next().context("--seconds needs a number, or all")?.as_str() {
                    "all" => Seconds::EveryStep,
                    text => Seconds::Some(text.parse().with_context(|| format!("{text} is no number"))?),
                }
            }
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

fn play_one(scenario: &Scenario, faults: &[Fault], trace: bool) -> bool {
    let report = play(scenario, faults, trace);
    report.trace.iter().for_each(|line| println!("{line}"));
    println!("{}: {}", scenario.name, scenario.what);
    println!("{} steps, faults {:?}, reached {:?}", report.steps, report.faults, report.reached);
    report.violations.iter().for_each(|what| println!("VIOLATION: {what}"));
    report.violations.is_empty()
}

fn play_all(scenarios: &[Scenario], options: &Options) -> bool {
    let mut sum = Outcome::default();
    for scenario in scenarios {
        let started = Instant::now();
        let outcome = enumerate(scenario, options.seconds);
        println!(
            "{:<28} {:>4} steps, {:>6} runs, {:>6} of them with a second fault, {} failed, {:.1} s",
            scenario.name,
            outcome.steps,
            outcome.runs,
            outcome.second_faults,
            outcome.failures.len(),
            started.elapsed().as_secs_f64()
        );
        outcome.failures.iter().for_each(|failure| tell(scenario, failure));
        sum.steps += outcome.steps;
        sum.add(outcome);
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

fn tell(scenario: &Scenario, failure: &Failure) {
    let faults: Vec<String> = failure.faults.iter().map(Fault::to_string).collect();
    let hit = if faults.is_empty() { "without a fault".to_owned() } else { faults.join(", then ") };
    println!("FAILED {}: {hit} ({}): {}", scenario.name, failure.hit, failure.what);
    let faults: String = faults.iter().map(|fault| format!(" --fault {fault}")).collect();
    println!(
        "  repeat: cargo run --release -p landfall-sim --features core --bin simulate -- --crash-points {}{faults} --trace",
        scenario.name
    );
}
