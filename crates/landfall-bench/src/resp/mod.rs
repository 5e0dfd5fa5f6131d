//! The comparison with Redis: every cell on every server in turn, pass after pass.
//! It must never measure two servers at once, or drop a cell that failed: a failure is a row with its reason.

mod contestant;
mod load;
mod options;
mod report;

pub(crate) use contestant::processor_seconds;
pub(crate) use options::Options;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use self::contestant::{Contestant, Kind, Landed};
use self::load::{Load, Measured};
use self::options::{Length, Plan, Policy, Test};
use crate::machine::Machine;

/// One cell on one server in one pass.
#[derive(Debug, Clone, Serialize)]
struct Run {
    policy: &'static str,
    test: &'static str,
    pipeline: u32,
    server: &'static str,
    pass: u32,
    requests: u64,
    #[serde(flatten)]
    outcome: Outcome,
}

/// How it went.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Figures(Figures),
    Failed(String),
}

/// All that is known of a run.
#[derive(Debug, Clone, Copy, Serialize)]
struct Figures {
    #[serde(flatten)]
    measured: Measured,
    /// Processor time of the server for one request, all its threads together.
    server_us_per_request: f64,
    /// Of servers that land.
    landed: Option<Landed>,
}

/// Runs the comparison, prints the table, and writes it where it belongs.
pub(crate) fn run(options: &Options) -> Result<()> {
    let plan = options.plan()?;
    let machine = Machine::here("resp", &std::env::temp_dir());
    if machine.file_system == "tmpfs" {
        eprintln!(
            "The data lies in memory (tmpfs): syncs cost nothing there. Set TMPDIR to a folder on a disk."
        );
    }
    let mut runs = Vec::new();
    for &policy in &plan.policies {
        for pass in 1..=plan.passes {
            measure_pass(policy, pass, &plan, &mut runs)?;
        }
    }
    let page = report::page(&machine, &plan, &runs);
    println!("{page}");
    if let Some(json) = &plan.json {
        report::write(json, &page, &machine, &plan, &runs)?;
        eprintln!("Written: {} and the same as .md", json.display());
    }
    if runs.iter().any(|run| matches!(run.outcome, Outcome::Failed(_))) {
        bail!("some cells failed; the table says which");
    }
    Ok(())
}

fn measure_pass(policy: Policy, pass: u32, plan: &Plan, runs: &mut Vec<Run>) -> Result<()> {
    eprintln!("{}, pass {pass} of {}: filling {} keys", policy.name(), plan.passes, plan.keys);
    let mut contestants = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| plan.measures(*kind, pass)) {
        contestants.push(Contestant::start(kind, policy, plan)?);
    }
    for &pipeline in &plan.pipelines {
        for &test in &plan.tests {
            // Whoever comes first finds another machine than whoever comes last.
            contestants.rotate_left(1);
            for contestant in &mut contestants {
                let rate = rate_before(runs, policy, test, pipeline, contestant.kind);
                let run = measure(contestant, policy, test, pipeline, pass, plan, rate);
                eprintln!("  {}", report::line(&run));
                runs.push(run);
            }
        }
    }
    Ok(())
}

/// The rate of this cell in the pass before; the first pass has to find it out.
fn rate_before(runs: &[Run], policy: Policy, test: Test, pipeline: u32, kind: Kind) -> Option<f64> {
    let cell = (policy.name(), test.name(), pipeline, kind.name());
    let same = |run: &&Run| (run.policy, run.test, run.pipeline, run.server) == cell;
    match runs.iter().rev().find(same)?.outcome {
        Outcome::Figures(figures) => Some(figures.measured.requests_per_second),
        Outcome::Failed(_) => None,
    }
}

fn measure(
    contestant: &mut Contestant,
    policy: Policy,
    test: Test,
    pipeline: u32,
    pass: u32,
    plan: &Plan,
    rate: Option<f64>,
) -> Run {
    let mut load = Load { test, pipeline, connections: plan.connections, keys: plan.keys, requests: 0 };
    let outcome = match figures(contestant, &mut load, plan.length, rate) {
        Ok(figures) => Outcome::Figures(figures),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    };
    let (policy, test, server) = (policy.name(), test.name(), contestant.kind.name());
    Run { policy, test, pipeline, server, pass, requests: load.requests, outcome }
}

fn figures(
    contestant: &mut Contestant,
    load: &mut Load,
    length: Length,
    rate: Option<f64>,
) -> Result<Figures> {
    let address = contestant.address()?;
    load.requests = match length {
        Length::Requests(requests) => requests,
        Length::Seconds(seconds) => {
            // A twentieth of a second or so: enough to know how many requests fill the time.
            load.requests = u64::from(load.connections) * u64::from(load.pipeline) * 100;
            let rate = match rate {
                Some(rate) => rate,
                None => load.run(address)?.requests_per_second,
            };
            if !rate.is_finite() {
                bail!("too few requests to measure a rate; use --requests");
            }
            ((rate * seconds) as u64).max(load.requests)
        }
    };
    contestant.get_ready()?;
    let before = contestant.landed()?;
    let worked = contestant.processor_seconds()?;
    let measured = load.run(address)?;
    let worked = contestant.processor_seconds()? - worked;
    let landed = contestant.settle(before).context("after the load")?;
    let landed = landed.filter(|_| load.test.writes());
    Ok(Figures { measured, server_us_per_request: worked * 1e6 / load.requests as f64, landed })
}
