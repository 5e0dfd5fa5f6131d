//! The system's own programs that the rigs use: one way to run them.
//! It must never take a failed program for a success, and never hide what one said.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::skipping::find_program;

/// A command of a program that this machine has.
///
/// # Errors
/// It has no such program.
pub fn command(program: &str) -> Result<Command> {
    Ok(Command::new(find_program(program).with_context(|| format!("this machine lacks {program}"))?))
}

/// Runs a command to its end; what it printed.
///
/// # Errors
/// It cannot be started, or it failed: the error holds its words.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}: {}", output.status, words.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command whose process ends with the thread that started it, however that one ends. Without the little program
/// `setpriv` it still ends with its owner, unless that one is killed with -9.
pub fn dying_with_parent(program: impl Into<PathBuf>) -> Command {
    let program = program.into();
    let Some(setpriv) = find_program("setpriv") else { return Command::new(program) };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_program_shows_what_it_said() {
        let mut shell = command("sh").unwrap();
        let error = run(shell.args(["-c", "echo no such disk >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("no such disk") && error.contains("exit status: 3"), "{error}");
        assert!(command("no-such-program-anywhere").is_err());
    }
}
