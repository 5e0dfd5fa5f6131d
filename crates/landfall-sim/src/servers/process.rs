//! A child process whose words are kept, and that is gone when its owner is.
//! It must never signal a process that was already waited for.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::waiting::wait_until;

/// What is shown of a server's words.
const TAIL_BYTES: usize = 4000;

/// The end of a text file, for a message; empty when it cannot be read.
pub fn tail_of(file: &Path) -> String {
    let text = fs::read(file).unwrap_or_default();
    let start = text.len().saturating_sub(TAIL_BYTES);
    String::from_utf8_lossy(&text[start..]).into_owned()
}

/// A running child.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    ended: Option<ExitStatus>,
    words: PathBuf,
}

impl Process {
    /// Starts `command`; what it says is added to the file `words`.
    pub(super) fn start(command: &mut Command, words: &Path) -> Result<Process> {
        let open = || File::options().create(true).append(true).open(words);
        let file = open().with_context(|| format!("cannot open {}", words.display()))?;
        let other = file.try_clone()?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(other)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Process { child, ended: None, words: words.to_owned() })
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }

    /// Kills it with -9 and waits for its end. Returns whether the kill was what ended it.
    pub(super) fn kill9(&mut self) -> Result<bool> {
        if self.ended()?.is_none() {
            self.child.kill()?;
            self.ended = Some(self.child.wait()?);
        }
        Ok(self.ended.is_some_and(|status| status.signal() == Some(Signal::KILL.as_raw())))
    }

    /// Asks it to end and waits for that.
    pub(super) fn terminate(&mut self, within: Duration) -> Result<ExitStatus> {
        self.signalled(Signal::TERM, within)
    }

    /// Sends it a signal that ends it, and waits for that.
    pub(super) fn signalled(&mut self, signal: Signal, within: Duration) -> Result<ExitStatus> {
        if self.ended()?.is_none() {
            let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
            kill_process(pid, signal)?;
        }
        self.wait(within)
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + within;
        wait_until(deadline, || !matches!(self.ended(), Ok(None)));
        match self.ended()? {
            Some(status) => Ok(status),
            None => bail!("the server did not end within {within:?}; it said:\n{}", tail_of(&self.words)),
        }
    }

    /// Waits until `ready` gives something; an early end is an error with what the process said.
    pub(super) fn wait_ready<T>(
        &mut self,
        within: Duration,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        let mut found = None;
        wait_until(Instant::now() + within, || {
            found = ready();
            found.is_some() || !matches!(self.ended(), Ok(None))
        });
        match (found, self.ended()?) {
            (Some(found), _) => Ok(found),
            (None, Some(status)) => {
                bail!("the server ended with {status}; it said:\n{}", tail_of(&self.words))
            }
            (None, None) => {
                bail!("the server is not ready after {within:?}; it said:\n{}", tail_of(&self.words))
            }
        }
    }
}

/// The owner is gone, maybe by a panic: so is the server. Nobody is left to tell an error to.
impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill9();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_end_shows_what_was_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo cannot open the log >&2; exit 3"]);
        let mut process = Process::start(&mut command, &folder.path().join("words")).unwrap();
        let error = process.wait_ready(Duration::from_secs(10), || None::<()>).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("cannot open the log"), "{error}");
    }

    #[test]
    fn a_killed_process_is_gone_and_a_dropped_one_too() {
        let folder = tempfile::tempdir().unwrap();
        let start = || {
            let mut command = Command::new("sleep");
            command.arg("100");
            Process::start(&mut command, &folder.path().join("words")).unwrap()
        };
        let mut killed = start();
        assert!(killed.kill9().unwrap());
        let mut asked = start();
        assert_eq!(asked.terminate(Duration::from_secs(10)).unwrap().signal(), Some(Signal::TERM.as_raw()));
        let dropped = start();
        let pid = Pid::from_raw(dropped.child.id() as i32).unwrap();
        drop(dropped);
        assert!(rustix::process::test_kill_process(pid).is_err());
    }
}
