//! Long runs that prove more than a test run can, and the page that remembers their results.
//! A result is written down only when the run itself printed it, good or bad.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::{SIMULATE, cargo, metadata, output_of};

const PAGE: &str = "docs/reliability.md";
const RESULT_MARK: &str = "PROOF: ";

const PAGE_HEAD: &str = "# Reliability\n\n\
    What long runs have shown, newest last. `cargo xtask proof NAME --minutes N` runs one and adds its line.\n\n\
    | date | command | commit | result | proves at 95 % |\n|---|---|---|---|---|\n";

/// The package of a proof that is no test target but a task of this program, with `--minutes`.
const OWN: &str = "xtask";

/// The target of a proof that is the program that plays seeds of the simulation.
const SIMULATION: &str = "simulate";
/// The proof of the same program that plays crash points, in rounds.
const CRASH_POINTS: &str = "crash-points";
/// The proof of the same program that searches for planted bugs.
const MUTANTS: &str = "mutants";

/// One long run: a test target of the release build that reads `LANDFALL_PROOF_MINUTES`, a task of [`OWN`], or the
/// [`SIMULATION`].
struct Proof {
    name: &'static str,
    package: &'static str,
    target: &'static str,
    shows: &'static str,
}

const PROOFS: &[Proof] = &[
    Proof {
        name: "kills",
        package: "landfall-server",
        target: "kills",
        shows: "a server killed with -9 again and again under load loses and doubles nothing",
    },
    Proof {
        name: "failpoints",
        package: "landfall-server",
        target: "failpoints",
        shows: "a server that dies at any named step of its path loses and doubles nothing",
    },
    Proof {
        name: "power",
        package: "landfall-server",
        target: "power",
        shows: "a server whose power is cut again and again keeps what its fsync policy promises",
    },
    Proof {
        name: "syscalls",
        package: "landfall-server",
        target: "syscalls",
        shows: "a server whose k-th system call fails loses and doubles nothing (LANDFALL_FROM=K goes on from K)",
    },
    Proof {
        name: "full-disk",
        package: "landfall-server",
        target: "full_disk",
        shows: "on a full disk writers hear why, and everything goes on when there is room",
    },
    Proof {
        name: "pg-kills",
        package: "landfall-server",
        target: "pg_kills",
        shows: "the server and its PostgreSQL killed with -9 again and again under load lose and double nothing",
    },
    Proof {
        name: "pg-failover",
        package: "landfall-server",
        target: "pg_failover",
        shows: "what a promoted replica of PostgreSQL lacks lands again, once and in order",
    },
    Proof {
        name: "crowd",
        package: "landfall-server",
        target: "crowd",
        shows: "ten thousand idle and slow sockets slow a good client by less than a factor of two",
    },
    Proof {
        name: "fuzz",
        package: OWN,
        target: "fuzz",
        shows: "what must hold for any input holds for every input that the search found",
    },
    Proof {
        name: "sim",
        package: "landfall-sim",
        target: SIMULATION,
        shows: "the real core on a simulated disk, database and clock keeps every promise, seed by seed",
    },
    Proof {
        name: CRASH_POINTS,
        package: "landfall-sim",
        target: SIMULATION,
        shows: "scripted scenarios keep every promise with any two faults, round by round",
    },
    Proof {
        name: MUTANTS,
        package: "landfall-sim",
        target: SIMULATION,
        shows: "the simulation sees each bug that is planted on purpose, whichever seeds it begins with",
    },
];

/// Runs one proof and writes its result down; `false` when it failed.
pub(crate) fn run(root: &Path, name: &str, minutes: u32) -> Result<bool> {
    let Some(proof) = PROOFS.iter().find(|proof| proof.name == name) else {
        let known: Vec<String> =
            PROOFS.iter().map(|proof| format!("{}: {}", proof.name, proof.shows)).collect();
        bail!("there is no proof `{name}`; there are\n  {}", known.join("\n  "));
    };
    let (mut command, shown) = command_of(root, proof, minutes)?;
    println!("{shown}");
    let (ok, result) = follow(&mut command)?;
    let Some(result) = result else {
        bail!("the run printed no line `{RESULT_MARK}...`, so nothing is written down");
    };
    let result = if ok { result } else { format!("FAILED: {result}") };
    let date = output_of(Command::new("date").args(["-u", "+%F"]))?;
    let (proves, result) =
        (if ok { proves(&result) } else { "nothing".to_owned() }, result.replace('|', "/"));
    let row = format!("| {} | `{shown}` | {} | {result} | {proves} |\n", date.trim(), commit(root)?);
    write_down(root, &row)?;
    println!("added to {PAGE}: {}", row.trim());
    Ok(ok)
}

/// The command, and the same as text for the page.
fn command_of(root: &Path, proof: &Proof, minutes: u32) -> Result<(Command, String)> {
    let shown = format!("cargo xtask proof {} --minutes {minutes}", proof.name);
    if proof.package == OWN {
        // Linux can start the running program even when its file was replaced meanwhile.
        let mut command = Command::new("/proc/self/exe");
        command.current_dir(root).args([proof.target, "--minutes", &minutes.to_string()]);
        return Ok((command, shown));
    }
    if proof.target == SIMULATION {
        let mut command = cargo(root);
        let (kind, from) = match proof.name {
            CRASH_POINTS => (Some("--crash-points"), "--round"),
            MUTANTS => (Some("--mutants"), "--from"),
            _ => (None, "--from"),
        };
        command.args(SIMULATE.split(' ')).args(kind);
        command.args(["--minutes", &minutes.to_string(), from, &fresh_seed()?]);
        return Ok((command, shown));
    }
    let program = program_for_users(root)?;
    let arguments =
        ["test", "-p", proof.package, "--release", "--locked", "--test", proof.target, "--", "--nocapture"];
    let mut command = cargo(root);
    command
        .args(arguments)
        .env("LANDFALL_PROOF_MINUTES", minutes.to_string())
        .env("LANDFALL_E2E", "1")
        .env("LANDFALL_BIN", program);
    Ok((command, shown))
}

/// Builds the program as users do, and puts it aside: what a test run builds can do more (the steps at which a test ends
/// it), and takes its place in the target folder.
fn program_for_users(root: &Path) -> Result<PathBuf> {
    let target_folder =
        metadata(root)?["target_directory"].as_str().context("cargo names no target folder")?.to_owned();
    if !cargo(root).args(["build", "--release", "--locked"]).status().context("cannot start cargo")?.success()
    {
        bail!("the program cannot be built");
    }
    let aside = Path::new(&target_folder).join("xtask");
    fs::create_dir_all(&aside)?;
    let program = aside.join("landfall");
    // Under another name first: a server of another run may still run from the old one.
    let draft = aside.join("landfall.new");
    fs::copy(Path::new(&target_folder).join("release/landfall"), &draft)
        .context("cannot put the program aside")?;
    fs::rename(&draft, &program)?;
    Ok(program)
}

/// The first seed of a proof: another one each time, so that proofs add up, and far from those of the test command.
fn fresh_seed() -> Result<String> {
    let seconds: u64 = output_of(Command::new("date").arg("+%s"))?.trim().parse().context("the date")?;
    Ok((seconds << 24).to_string())
}

/// Runs a command, passes its output on, and keeps the last result that it printed.
fn follow(command: &mut Command) -> Result<(bool, Option<String>)> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let output = child.stdout.take().context("the run has no output")?;
    let mut result = None;
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        result = result_of(&line).map(str::to_owned).or(result);
    }
    Ok((child.wait()?.success(), result))
}

/// The result in a line, which may begin with what the test runner wrote before it.
fn result_of(line: &str) -> Option<&str> {
    line.split_once(RESULT_MARK).map(|(_, result)| result.trim())
}

/// What a run without a failure proves: of n independent trials none failed, so fewer than 3/n of them do, at 95 %. A
/// result begins with the number of its trials.
fn proves(result: &str) -> String {
    if result.contains(" executions, ") {
        return "no share: a search is no sample".to_owned();
    }
    if result.starts_with("median of ") {
        return "no share: a measurement".to_owned();
    }
    let digits = result.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    match digits.parse::<u64>().map(|trials| trials / 3) {
        Ok(one_in @ 2..) => format!("fewer than 1 in {one_in} fails"),
        _ => "nothing: too few".to_owned(),
    }
}

/// The commit that was proved; a plus sign says that the tree held more than it.
fn commit(root: &Path) -> Result<String> {
    let git = |arguments: &[&str]| output_of(Command::new("git").current_dir(root).args(arguments));
    let changed = !git(&["status", "--porcelain"])?.trim().is_empty();
    Ok(format!("{}{}", git(&["rev-parse", "--short", "HEAD"])?.trim(), if changed { "+" } else { "" }))
}

/// Adds a row to the end of the page, which is made when it is not there.
fn write_down(root: &Path, row: &str) -> Result<()> {
    let page = root.join(PAGE);
    let mut text = match fs::read_to_string(&page) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => PAGE_HEAD.to_owned(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {PAGE}")),
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(row);
    fs::create_dir_all(root.join("docs"))?;
    fs::write(&page, text).with_context(|| format!("cannot write {PAGE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_found_behind_what_the_test_runner_wrote() {
        assert_eq!(result_of("PROOF: 20 kills, nothing lost"), Some("20 kills, nothing lost"));
        assert_eq!(result_of("test kills ... PROOF: 3 kills "), Some("3 kills"));
        assert_eq!(result_of("test kills ... ok"), None);
    }

    #[test]
    fn three_in_as_many_trials_as_there_were_is_the_bound() {
        assert_eq!(proves("970 kills, 1488281 acknowledged writes, 0 lost"), "fewer than 1 in 323 fails");
        assert_eq!(proves("5 kills"), "nothing: too few");
        assert_eq!(proves("no figure"), "nothing: too few");
        assert_eq!(proves("median of 7 rounds: p99 1 ms"), "no share: a measurement");
        assert_eq!(proves("9000 executions, 0 targets broken"), "no share: a search is no sample");
    }

    #[test]
    fn the_last_result_counts_and_a_failed_run_is_told() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo PROOF: early; echo PROOF: late; echo more; exit 3"]);
        assert_eq!(follow(&mut command).unwrap(), (false, Some("late".to_owned())));
    }
}
