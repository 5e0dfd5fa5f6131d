//! The project's own commands: house checks, the one test command, requirements, and long proofs.
//! They look at the code from outside and never become part of what users run.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod checks;
mod clients;
mod committed_list;
mod fuzz;
mod install;
mod proof;
mod requirements;
mod source;
mod test_command;
mod workspace;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check the house rules: imports, crate walls, sizes, licences, links, and more
    Check,
    /// Run every test; installs what the tests need and the machine lacks, where that is allowed
    Test {
        /// Install nothing; what lacks is named and counted as skipped
        #[arg(long)]
        no_install: bool,
        /// Run only this stage, and what it builds on: fmt, checks, clippy, test, doc, sim, mutants, crash-points, release,
        /// fuzz, e2e, or one of the last, as e2e:cli; may be given more than once
        #[arg(long, value_name = "STAGE")]
        only: Vec<String>,
    },
    /// Install the Redis clients that tests run, at their pinned versions, below the target folder; nothing of the system changes
    Clients,
    /// List the requirements with the tests that show them
    Requirements,
    /// Search for inputs that break what must hold for any input; each search goes on where the last one ended
    Fuzz {
        /// How long each target runs
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
        seconds: u32,
        /// How long all targets together run, in place of `--seconds`
        #[arg(long, conflicts_with = "seconds", value_parser = clap::value_parser!(u32).range(1..=1440))]
        minutes: Option<u32>,
        /// Run only this target; may be given more than once
        #[arg(long, value_name = "NAME")]
        target: Vec<String>,
    },
    /// Run a long proof and add its result to docs/reliability.md
    Proof {
        /// Which proof
        name: String,
        /// How long it runs
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1440))]
        minutes: u32,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Does one task; `false` means that it found something wrong.
fn run(task: Task) -> Result<bool> {
    let root = workspace::root()?;
    match task {
        Task::Check => {
            let findings = checks::run(&root)?;
            for finding in &findings {
                println!("{finding}");
            }
            println!("{} finding(s)", findings.len());
            Ok(findings.is_empty())
        }
        Task::Test { no_install, only } => test_command::run(&root, !no_install, &only),
        Task::Clients => clients::install(&root, &workspace::target_folder(&root)?),
        Task::Requirements => Ok(requirements::print(&workspace::Workspace::read(&root)?)),
        Task::Fuzz { seconds, minutes, target } => {
            let time = match minutes {
                Some(minutes) => fuzz::Time::Together(Duration::from_secs(u64::from(minutes) * 60)),
                None => fuzz::Time::Each(Duration::from_secs(seconds.into())),
            };
            fuzz::run(&root, time, &target)
        }
        Task::Proof { name, minutes } => proof::run(&root, &name, minutes),
    }
}
