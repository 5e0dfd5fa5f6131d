//! The stages of the test command as data, fast ones first.
//! A stage only names commands; it runs nothing and counts nothing.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::fuzz;
use crate::install;
use crate::workspace;

/// One stage: commands that succeed or fail together.
pub(super) struct Stage {
    pub(super) name: String,
    pub(super) commands: Vec<CommandLine>,
    pub(super) counts: Counts,
    /// A stage without whose success this one makes no sense.
    pub(super) needs: Option<&'static str>,
    /// Why it cannot be run at all.
    pub(super) skip: Option<String>,
}

/// What a stage adds to the sum.
#[derive(Clone, Copy)]
pub(super) enum Counts {
    /// One: it passed or failed.
    Itself,
    /// The tests that it ran.
    Tests,
}

/// A command to run in the root.
pub(super) struct CommandLine {
    program: Program,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

enum Program {
    Cargo,
    /// This program itself.
    Xtask,
}

/// A test target that drives the release binary from outside.
struct EndToEnd {
    target: &'static str,
    package: &'static str,
    /// Programs without which it cannot run.
    tools: &'static [&'static str],
}

const END_TO_END: &[EndToEnd] = &[
    EndToEnd { target: "cli", package: "landfall-server", tools: &[] },
    EndToEnd { target: "hostile", package: "landfall-server", tools: &[] },
    EndToEnd { target: "real_clients", package: "landfall-server", tools: &[] },
    EndToEnd { target: "demo", package: "landfall-server", tools: &[] },
    EndToEnd { target: "kills", package: "landfall-server", tools: &[] },
    EndToEnd { target: "failpoints", package: "landfall-server", tools: &[] },
    EndToEnd {
        target: "power",
        package: "landfall-server",
        tools: &["unshare", "mount", "mkfs.ext4", "mkfs.xfs", "xfs_io"],
    },
    EndToEnd { target: "syscalls", package: "landfall-server", tools: &["strace"] },
    EndToEnd { target: "full_disk", package: "landfall-server", tools: &["unshare", "mount"] },
    EndToEnd { target: "pg_kills", package: "landfall-server", tools: POSTGRES },
    EndToEnd { target: "pg_failover", package: "landfall-server", tools: POSTGRES },
    EndToEnd { target: "pg_failures", package: "landfall-server", tools: POSTGRES },
];

/// The programs of PostgreSQL that its private servers need.
const POSTGRES: &[&str] = &["postgres", "initdb", "psql", "pg_basebackup"];

/// Every stage. All tests are built in one profile and with the features of the whole workspace, or the
/// dependencies would be built several times; only the binary under test is a release build.
pub(super) fn all(metadata: &Value, target_folder: &Path) -> Result<Vec<Stage>> {
    let targets = test_targets(metadata)?;
    let end_to_end = |name: &str| END_TO_END.iter().any(|entry| entry.target == name);
    let mut tests = words("test --workspace --locked --no-fail-fast --lib --bins");
    for (_, target) in targets.iter().filter(|(_, target)| !end_to_end(target)) {
        tests.extend(["--test".to_owned(), target.clone()]);
    }
    let rustdoc = vec![("RUSTDOCFLAGS", "-D warnings".to_owned())];
    let mut stages = vec![
        Stage::of_itself("fmt", CommandLine::cargo(words("fmt --all --check -- --color never"))),
        Stage::of_itself("checks", CommandLine::xtask(words("check"))),
        Stage::of_itself(
            "clippy",
            CommandLine::cargo(words("clippy --workspace --all-targets --locked -- -D warnings")),
        ),
        Stage {
            name: "test".to_owned(),
            commands: vec![
                CommandLine::cargo(tests),
                CommandLine::cargo(words("test --workspace --locked --no-fail-fast --doc")),
            ],
            counts: Counts::Tests,
            needs: None,
            skip: None,
        },
        Stage::of_itself(
            "doc",
            CommandLine {
                environment: rustdoc,
                ..CommandLine::cargo(words("doc --workspace --no-deps --locked"))
            },
        ),
        simulation(),
        interleavings(),
        Stage::of_itself("mutants", CommandLine::cargo(words(&format!("{} --mutants", workspace::SIMULATE)))),
        Stage::of_itself(
            "crash-points",
            CommandLine::cargo(words(&format!("{} --crash-points", workspace::SIMULATE))),
        ),
        Stage::of_itself("release", CommandLine::cargo(words("build --release --locked"))),
    ];
    let binary = target_folder.join("release").join("landfall").to_string_lossy().into_owned();
    for entry in END_TO_END {
        let exists = targets.contains(&(entry.package.to_owned(), entry.target.to_owned()));
        stages.push(entry.stage(exists, &binary));
    }
    stages.push(Stage {
        skip: fuzz::lacks().map(|tool| format!("this machine lacks {tool}, which builds the engine")),
        ..Stage::of_itself("fuzz", CommandLine::xtask(words("fuzz --seconds 10")))
    });
    Ok(stages)
}

/// The simulation: its own lints and tests, then seeds in an optimised build. The recorded ones come first.
fn simulation() -> Stage {
    let of_sim = |line: &str| CommandLine::cargo(words(line));
    let seeds = format!("{} --seeds 20000 --faults 150000", workspace::SIMULATE);
    Stage {
        name: "sim".to_owned(),
        commands: vec![
            of_sim("clippy -p landfall-sim --features core --all-targets --locked -- -D warnings"),
            of_sim("test -p landfall-sim --features core --locked --lib core::"),
            CommandLine::cargo(words(&seeds)),
        ],
        counts: Counts::Tests,
        needs: None,
        skip: None,
    }
}

/// Many interleavings of the same threads, in an optimised build. Without SQLite, which has no part in them.
fn interleavings() -> Stage {
    let of_library = |begin: &str, end: &str| {
        let line =
            format!("{begin} -p landfall --no-default-features --features interleavings --locked {end}");
        CommandLine::cargo(words(&line))
    };
    Stage {
        name: "interleavings".to_owned(),
        commands: vec![
            of_library("clippy", "--all-targets -- -D warnings"),
            of_library("test --release", "--lib interleavings"),
        ],
        counts: Counts::Tests,
        needs: None,
        skip: None,
    }
}

/// The stages that `only` names, with what they need; all of them when it names none.
pub(super) fn chosen(stages: Vec<Stage>, only: &[String]) -> Result<Vec<Stage>> {
    if only.is_empty() {
        return Ok(stages);
    }
    let group = |stage: &Stage| stage.name.split(':').next().unwrap_or_default().to_owned();
    for wanted in only {
        if !stages.iter().any(|stage| stage.name == *wanted || group(stage) == *wanted) {
            let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
            bail!("there is no stage `{wanted}`; there are {}", names.join(", "));
        }
    }
    let named: Vec<bool> =
        stages.iter().map(|stage| only.contains(&stage.name) || only.contains(&group(stage))).collect();
    let needed: HashSet<&str> =
        stages.iter().zip(&named).filter(|(_, named)| **named).filter_map(|(stage, _)| stage.needs).collect();
    let kept =
        stages.into_iter().zip(named).filter(|(stage, named)| *named || needed.contains(stage.name.as_str()));
    Ok(kept.map(|(stage, _)| stage).collect())
}

/// The integration tests of the workspace, as package and target. A name must be unique, because a target is
/// chosen by its name over the whole workspace.
fn test_targets(metadata: &Value) -> Result<Vec<(String, String)>> {
    let mut found: Vec<(String, String)> = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let owner = package["name"].as_str().unwrap_or_default();
        for target in package["targets"].as_array().into_iter().flatten() {
            let name = target["name"].as_str().unwrap_or_default();
            if !target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "test")) {
                continue;
            }
            if let Some((other, _)) = found.iter().find(|(_, known)| known == name) {
                bail!("{other} and {owner} both have a test target `{name}`: give one another name");
            }
            found.push((owner.to_owned(), name.to_owned()));
        }
    }
    Ok(found)
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

impl Stage {
    fn of_itself(name: &str, command: CommandLine) -> Stage {
        Stage {
            name: name.to_owned(),
            commands: vec![command],
            counts: Counts::Itself,
            needs: None,
            skip: None,
        }
    }
}

impl EndToEnd {
    fn stage(&self, exists: bool, binary: &str) -> Stage {
        let lacking: Vec<&str> =
            self.tools.iter().copied().filter(|tool| install::find(tool).is_none()).collect();
        let skip = match (exists, lacking.is_empty()) {
            (false, _) => Some(format!("{} has no test target `{}` yet", self.package, self.target)),
            (true, false) => Some(format!("this machine lacks {}", lacking.join(", "))),
            (true, true) => None,
        };
        let arguments = words("test --workspace --locked --no-fail-fast --test")
            .into_iter()
            .chain([self.target.to_owned()]);
        let command = CommandLine {
            environment: vec![("LANDFALL_E2E", "1".to_owned()), ("LANDFALL_BIN", binary.to_owned())],
            ..CommandLine::cargo(arguments.collect())
        };
        Stage {
            name: format!("e2e:{}", self.target),
            commands: vec![command],
            counts: Counts::Tests,
            needs: Some("release"),
            skip,
        }
    }
}

impl CommandLine {
    fn cargo(arguments: Vec<String>) -> CommandLine {
        CommandLine { program: Program::Cargo, arguments, environment: Vec::new() }
    }

    fn xtask(arguments: Vec<String>) -> CommandLine {
        CommandLine { program: Program::Xtask, ..CommandLine::cargo(arguments) }
    }

    /// The command as a user would type it.
    pub(super) fn shown(&self) -> String {
        let program = match self.program {
            Program::Cargo => "cargo",
            Program::Xtask => "cargo xtask",
        };
        let environment: String =
            self.environment.iter().map(|(name, value)| format!("{name}={value:?} ")).collect();
        format!("{environment}{program} {}", self.arguments.join(" "))
    }

    pub(super) fn command(&self, root: &Path) -> Command {
        let mut command = match self.program {
            Program::Cargo => workspace::cargo(root),
            Program::Xtask => {
                // Linux can start the running program even when its file was replaced meanwhile.
                let mut command = Command::new("/proc/self/exe");
                command.current_dir(root);
                command
            }
        };
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (*name, value)));
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(targets: &[(&str, &str)]) -> Value {
        let package = |(package, target): &(&str, &str)| {
            serde_json::json!({"name": package, "targets": [
                {"name": target, "kind": ["test"]}, {"name": "landfall", "kind": ["bin"]}]})
        };
        serde_json::json!({"packages": targets.iter().map(package).collect::<Vec<_>>()})
    }

    fn names(stages: &[Stage]) -> Vec<&str> {
        stages.iter().map(|stage| stage.name.as_str()).collect()
    }

    #[test]
    fn an_end_to_end_test_runs_in_its_own_stage_only() {
        let metadata = metadata(&[("landfall-server", "cli"), ("landfall", "conformance")]);
        let stages = all(&metadata, Path::new("target")).unwrap();
        let test = stages.iter().find(|stage| stage.name == "test").unwrap();
        assert!(test.commands[0].shown().ends_with("--lib --bins --test conformance"));
        let cli = stages.iter().find(|stage| stage.name == "e2e:cli").unwrap();
        assert_eq!(cli.skip, None);
        assert!(cli.commands[0].shown().contains("LANDFALL_BIN=\"target/release/landfall\""));
    }

    #[test]
    fn a_listed_target_that_does_not_exist_is_skipped_by_name() {
        let stages = all(&metadata(&[]), Path::new("target")).unwrap();
        let kills = stages.iter().find(|stage| stage.name == "e2e:kills").unwrap();
        assert_eq!(kills.skip.as_deref(), Some("landfall-server has no test target `kills` yet"));
    }

    #[test]
    fn a_chosen_stage_brings_what_it_needs() {
        let stages = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(|name| name.to_string()).collect();
            chosen(all(&metadata(&[]), Path::new("target")).unwrap(), &only)
        };
        assert_eq!(names(&stages(&["fmt"]).unwrap()), ["fmt"]);
        assert_eq!(names(&stages(&["e2e:cli"]).unwrap()), ["release", "e2e:cli"]);
        assert_eq!(names(&stages(&["e2e"]).unwrap()).len(), 1 + END_TO_END.len());
        assert!(stages(&["nonsense"]).is_err());
    }

    #[test]
    fn two_test_targets_of_one_name_are_refused() {
        assert!(all(&metadata(&[("a", "cli"), ("b", "cli")]), Path::new("target")).is_err());
    }
}
