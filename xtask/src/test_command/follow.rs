//! Runs one command of a stage, keeps its output in a log, and says now and then that it still runs.
//! It waits for the command itself, and not for processes that the command left behind.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How often a long stage says that it still runs.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How often we look whether the command has ended.
const LOOK: Duration = Duration::from_millis(500);
/// Lines that wait for us before the command waits with them.
const LINES_WAITING_MAX: usize = 10_000;

/// Runs `command` and hands every line of its output to `each`; tells whether it succeeded.
pub(super) fn follow(
    mut command: Command,
    stage: &str,
    log: &mut File,
    mut each: impl FnMut(&str),
) -> Result<bool> {
    // One pipe for both streams keeps their lines in order.
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    drop(command); // it holds the writing end

    let (sender, lines) = mpsc::sync_channel::<String>(LINES_WAITING_MAX);
    thread::Builder::new().name("stage-output".to_owned()).spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        // A pipe that cannot be read is like one that has ended: the exit code tells the rest.
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                return;
            }
            line.clear();
        }
    })?;

    let started = Instant::now();
    let mut last_beat = started;
    let mut last_line = String::new();
    let mut exited = false;
    loop {
        match lines.recv_timeout(LOOK) {
            Ok(line) => {
                writeln!(log, "{line}")?;
                each(&line);
                if !line.trim().is_empty() {
                    last_line = line;
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if exited => {
                println!("{stage:<10} note: something that it started still holds its output");
                break;
            }
            Err(RecvTimeoutError::Timeout) => exited = child.try_wait()?.is_some(),
        }
        if last_beat.elapsed() >= HEARTBEAT {
            last_beat = Instant::now();
            println!("{stage:<10} ... {} s: {}", started.elapsed().as_secs(), last_line.trim());
        }
    }
    Ok(child.wait()?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(script: &str) -> (bool, Vec<String>) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let mut lines = Vec::new();
        let mut log = File::options().write(true).open("/dev/null").unwrap();
        let ok = follow(command, "stage", &mut log, |line| lines.push(line.to_owned())).unwrap();
        (ok, lines)
    }

    #[test]
    fn both_streams_arrive_in_order_and_the_exit_code_decides() {
        assert_eq!(lines_of("echo a; echo b >&2; echo c"), (true, vec!["a".into(), "b".into(), "c".into()]));
        assert!(!lines_of("echo a; exit 3").0);
    }

    #[test]
    fn a_process_left_behind_does_not_hold_up_the_run() {
        let (ok, lines) = lines_of("sleep 60 & echo $!");
        assert!(ok);
        let ended = Command::new("kill").arg(&lines[0]).status().unwrap();
        assert!(ended.success(), "the process was still there");
    }
}
