//! The one test command: what the tests need, then every stage, then one line with the sum.
//! What could not be run is named and counted; it is never passed over.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::clients;
use crate::committed_list::entries;
use crate::install;
use crate::workspace;

mod follow;
mod outcome;
mod stages;

use outcome::{Outcome, OutputReader, Skip};
use stages::{Counts, Stage};

/// Set to `all`, this makes a failure of whatever was skipped without being listed in `MAY_SKIP`.
const REQUIRE: &str = "LANDFALL_TEST_REQUIRE";
const MAY_SKIP: &str = "xtask/may-skip.txt";
/// Tests that skip themselves add a line `SKIPPED: <test name>: <reason>` to the file that this names.
const SKIP_FILE: &str = "LANDFALL_SKIP_FILE";
/// The stage whose tests run clients that we install.
const CLIENTS_STAGE: &str = "e2e:real_clients";
/// How much of a failed stage's output is shown; the whole is in its log.
const SHOWN_LINES_MAX: usize = 200;

/// Runs the stages that `only` names, or all; `false` when anything failed.
pub(crate) fn run(root: &Path, install: bool, only: &[String]) -> Result<bool> {
    let started = Instant::now();
    let metadata = workspace::metadata(root)?;
    let target = workspace::target_of(&metadata)?;
    let scratch = target.join("xtask");
    fs::create_dir_all(&scratch)?;
    let skip_file = scratch.join("skipped.txt");
    fs::write(&skip_file, "")?;

    let stages = stages::chosen(stages::all(&metadata, &target)?, only)?;
    let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
    println!("stages: {}", names.join(", "));
    install::install_missing(&scratch, install)?;
    if install && stages.iter().any(|stage| stage.name == CLIENTS_STAGE) {
        // What cannot be installed was told, and the tests that need it are counted as skipped.
        clients::install(root, &target)?;
    }

    let mut total = Outcome::default();
    let mut unbuilt: Vec<String> = Vec::new();
    for stage in &stages {
        let missing_build = stage.needs.filter(|needed| unbuilt.iter().any(|name| name == needed));
        let reason = stage.skip.clone().or(missing_build.map(|needed| format!("stage {needed} failed")));
        if let Some(reason) = reason {
            println!("{:<10} skipped: {reason}", stage.name);
            total.skipped.push(Skip { name: stage.name.clone(), reason });
            continue;
        }
        let outcome = run_stage(root, stage, &scratch, &skip_file)?;
        if !outcome.failed.is_empty() {
            unbuilt.push(stage.name.clone());
        }
        total.add(outcome);
    }
    total.add_self_skipped(&fs::read_to_string(&skip_file)?);
    if std::env::var_os(REQUIRE).is_some_and(|value| value == "all") {
        require_all(&mut total, &fs::read_to_string(root.join(MAY_SKIP)).context(MAY_SKIP)?)?;
    }
    report(&total, started);
    Ok(total.failed.is_empty())
}

/// Runs the commands of a stage one after the other and counts.
fn run_stage(root: &Path, stage: &Stage, scratch: &Path, skip_file: &Path) -> Result<Outcome> {
    let started = Instant::now();
    let log_path = scratch.join(format!("{}.log", stage.name.replace(':', "-")));
    let mut log = fs::File::create(&log_path)?;
    let mut reader = OutputReader::default();
    let mut succeeded = true;
    for line in &stage.commands {
        println!("{:<10} {}", stage.name, line.shown());
        let mut command = line.command(root);
        command.env("PATH", install::search_path()).env(SKIP_FILE, skip_file);
        succeeded &= follow::follow(command, &stage.name, &mut log, |line| reader.read(line))?;
        if reader.build_failed() {
            break;
        }
    }
    let outcome = reader.finish(&stage.name, succeeded, matches!(stage.counts, Counts::Tests));
    let seconds = started.elapsed().as_secs_f32();
    if outcome.failed.is_empty() {
        println!("{:<10} ok, {} passed, {seconds:.1} s", stage.name, outcome.passed);
    } else {
        println!(
            "{:<10} FAILED, {} of {}, {seconds:.1} s",
            stage.name,
            outcome.failed.len(),
            outcome.count()
        );
        println!("{}", outcome::worth_showing(&fs::read_to_string(&log_path)?, SHOWN_LINES_MAX));
        println!("{:<10} whole output: {}", stage.name, log_path.display());
    }
    Ok(outcome)
}

/// Turns into failures what was skipped and may not be.
fn require_all(total: &mut Outcome, may_skip: &str) -> Result<()> {
    let (listed, malformed) = entries::<2>(may_skip);
    if let Some(line) = malformed.first() {
        bail!("{MAY_SKIP}:{line}: write `name | reason`");
    }
    let (excused, refused): (Vec<Skip>, Vec<Skip>) = std::mem::take(&mut total.skipped)
        .into_iter()
        .partition(|skip| listed.iter().any(|entry| entry.fields[0] == skip.name));
    for entry in listed.iter().filter(|entry| !excused.iter().any(|skip| skip.name == entry.fields[0])) {
        println!("note: {MAY_SKIP} lists {}, which was not skipped here", entry.fields[0]);
    }
    let failure =
        |skip: Skip| format!("{}: skipped although everything is required ({})", skip.name, skip.reason);
    total.failed.extend(refused.into_iter().map(failure));
    total.skipped = excused;
    Ok(())
}

/// The end of the run: names first, the sum on the last line.
fn report(total: &Outcome, started: Instant) {
    println!("\nall stages: {:.0} s", started.elapsed().as_secs_f32());
    if !total.skipped.is_empty() {
        println!("could not be run:");
        for skip in &total.skipped {
            println!("  {}: {}", skip.name, skip.reason);
        }
    }
    if !total.failed.is_empty() {
        println!("failed:");
        for name in &total.failed {
            println!("  {name}");
        }
    }
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed.len(), total.skipped.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(names: &[&str]) -> Outcome {
        let skip = |name: &&str| Skip { name: name.to_string(), reason: "no server".to_owned() };
        Outcome { passed: 1, failed: Vec::new(), skipped: names.iter().map(skip).collect() }
    }

    #[test]
    fn what_is_required_and_skipped_has_failed_unless_it_is_listed() {
        let mut total = skipped(&["a", "b"]);
        require_all(&mut total, "a | needs a cluster\n").unwrap();
        assert_eq!(total.failed, ["b: skipped although everything is required (no server)"]);
        assert_eq!(total.skipped.len(), 1);
        assert!(require_all(&mut skipped(&[]), "no reason\n").is_err());
    }
}
