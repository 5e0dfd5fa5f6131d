//! Searches for inputs that break a fuzz target: builds the engine on the stable compiler, and runs targets side by side.
//! What a search found is kept in the target folder, so the next one goes on there; nothing in the tree is changed.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::install;
use crate::workspace::{cargo, metadata, output_of};

const CORPUS: &str = "crates/landfall-fuzz/corpus";

/// What libFuzzer needs to see where an input leads. All of it is stable; a sanitizer would need another compiler.
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // The pass is lost in units that are split.
    "-Ccodegen-units=1",
];

/// An input that takes longer is a fault: all of them are short.
const INPUT_SECONDS_MAX: u32 = 10;
const MEMORY_MIB_MAX: u32 = 2048;
/// How much of what a failed target said is shown.
const SHOWN_LINES_MAX: usize = 30;

/// How long to search.
pub(crate) enum Time {
    /// Each target.
    Each(Duration),
    /// All targets, on all processors.
    Together(Duration),
}

/// What one target came to.
struct Searched {
    target: String,
    executions: u64,
    /// What it said, when it failed.
    failure: Option<String>,
}

/// The program that the engine needs and this machine lacks.
pub(crate) fn lacks() -> Option<&'static str> {
    install::find("c++").is_none().then_some("a C++ compiler (c++)")
}

/// Runs the named targets, or all; `false` when one was broken.
pub(crate) fn run(root: &Path, time: Time, only: &[String]) -> Result<bool> {
    if let Some(tool) = lacks() {
        bail!("this machine lacks {tool}; install g++");
    }
    let targets = targets(root, only)?;
    let (program, kept) = build(root)?;
    let workers = thread::available_parallelism().map_or(1, usize::from).min(targets.len());
    let each = match time {
        Time::Each(each) => each,
        Time::Together(all) => all * workers as u32 / targets.len() as u32,
    };
    println!("{} targets, {} s each, {workers} at a time", targets.len(), each.as_secs().max(1));
    let waiting = Mutex::new(VecDeque::from(targets));
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.pop_front());
    let work = || -> Result<Vec<Searched>> {
        let mut done = Vec::new();
        while let Some(target) = next() {
            let searched = search(root, &program, &kept, &target, each)?;
            let verdict = if searched.failure.is_some() { "BROKEN" } else { "ok" };
            println!("{target:<12} {verdict}, {} executions", searched.executions);
            done.push(searched);
        }
        Ok(done)
    };
    let mut done = Vec::new();
    thread::scope(|scope| -> Result<()> {
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for worker in running {
            done.extend(worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??);
        }
        Ok(())
    })?;
    Ok(report(done))
}

/// The targets are the folders of the corpus; a test of theirs keeps both the same.
fn targets(root: &Path, only: &[String]) -> Result<Vec<String>> {
    let folders = fs::read_dir(root.join(CORPUS)).with_context(|| format!("cannot list {CORPUS}"))?;
    let mut all = Vec::new();
    for folder in folders {
        all.push(folder?.file_name().to_string_lossy().into_owned());
    }
    all.sort();
    if let Some(unknown) = only.iter().find(|name| !all.contains(name)) {
        bail!("there is no fuzz target `{unknown}`; there are {}", all.join(", "));
    }
    Ok(if only.is_empty() { all } else { only.to_vec() })
}

/// Builds the engine; the program, and the folder for what searches keep.
fn build(root: &Path) -> Result<(PathBuf, PathBuf)> {
    let target_folder =
        metadata(root)?["target_directory"].as_str().context("cargo names no target folder")?.to_owned();
    let version = output_of(cargo(root).args(["--version", "--verbose"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("cargo names no host")?;
    // With `--target`, what runs while building is built as always.
    let arguments = "build -p landfall-fuzz --features engine --profile fuzz --locked --target";
    let mut command = cargo(root);
    command
        .args(arguments.split(' '))
        .arg(host)
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\x1f"))
        .env("CARGO_INCREMENTAL", "0");
    println!("cargo {arguments} {host}");
    if !command.status().context("cannot start cargo")?.success() {
        bail!("the engine cannot be built");
    }
    let program = Path::new(&target_folder).join(host).join("fuzz/landfall-fuzz");
    Ok((program, Path::new(&target_folder).join("fuzzing")))
}

/// Runs one target for so long.
fn search(root: &Path, program: &Path, kept: &Path, target: &str, time: Duration) -> Result<Searched> {
    let found = kept.join("inputs").join(target);
    let broken = kept.join("broken");
    fs::create_dir_all(&found)?;
    fs::create_dir_all(&broken)?;
    let log = kept.join(format!("{target}.log"));
    let words = fs::File::create(&log)?;
    let status = Command::new(program)
        .env("LANDFALL_FUZZ_TARGET", target)
        .env("RUST_BACKTRACE", "0")
        // The first folder takes what is new.
        .args([&found, &root.join(CORPUS).join(target)])
        .arg(format!("-max_total_time={}", time.as_secs().max(1)))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
        .arg(format!("-artifact_prefix={}/{target}-", broken.display()))
        .args(["-print_final_stats=1", "-verbosity=0"])
        .stdin(Stdio::null())
        .stdout(words.try_clone()?)
        .stderr(words)
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let failure = (!status.success()).then(|| {
        let shown: Vec<&str> = said.lines().filter(|line| !line.is_empty()).take(SHOWN_LINES_MAX).collect();
        format!(
            "{}\nagain with: LANDFALL_FUZZ_TARGET={target} {} FILE\nwhole output: {}",
            shown.join("\n"),
            program.display(),
            log.display()
        )
    });
    Ok(Searched { target: target.to_owned(), executions: executions(&said), failure })
}

/// How many inputs a target was given, as libFuzzer says at its end.
fn executions(said: &str) -> u64 {
    let line = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// Says what broke, and the sum in one line that a proof writes down.
fn report(mut done: Vec<Searched>) -> bool {
    done.sort_by(|a, b| a.target.cmp(&b.target));
    for searched in &done {
        if let Some(failure) = &searched.failure {
            println!("\n{} is broken:\n{failure}", searched.target);
        }
    }
    let broken = done.iter().filter(|searched| searched.failure.is_some()).count();
    let each: Vec<String> =
        done.iter().map(|searched| format!("{} {}", searched.target, searched.executions)).collect();
    let sum: u64 = done.iter().map(|searched| searched.executions).sum();
    println!("PROOF: {sum} executions, {broken} targets broken ({})", each.join(", "));
    broken == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executions_are_read_from_the_engine_s_last_words() {
        let said = "INFO: seed\nstat::number_of_executed_units: 501813\nstat::new_units_added: 7\n";
        assert_eq!(executions(said), 501_813);
        assert_eq!(executions("killed"), 0);
    }

    #[test]
    fn a_broken_target_is_told_and_fails_the_run() {
        let searched = |failure: Option<&str>| Searched {
            target: "keys".to_owned(),
            executions: 5,
            failure: failure.map(str::to_owned),
        };
        assert!(report(vec![searched(None)]));
        assert!(!report(vec![searched(None), searched(Some("a panic"))]));
    }

    #[test]
    fn a_target_that_does_not_exist_is_refused() {
        let root = crate::workspace::root().unwrap();
        assert!(targets(&root, &["nonsense".to_owned()]).is_err());
        assert!(targets(&root, &[]).unwrap().contains(&"recovery".to_owned()));
    }
}
