//! A client that is another program: requests go into its input by lines, replies come from its output by lines.
//! It must never wait without an end, or outlive its owner.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The program.
pub(super) struct Piped {
    child: Child,
    input: ChildStdin,
    lines: Receiver<io::Result<String>>,
    reader: Option<JoinHandle<()>>,
    timeout: Duration,
}

impl Piped {
    /// Starts it. What it says on either of its outputs counts as a line. `timeout` is the longest wait for one.
    pub(super) fn start(mut command: Command, timeout: Duration) -> io::Result<Piped> {
        let (output, writer) = io::pipe()?;
        command.stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn()?;
        // It holds the writing end: the output would not end with the program.
        drop(command);
        let input = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (sender, lines) = channel();
        let reader = thread::spawn(move || {
            // Whoever no longer listens has dropped the program, and this ends with it.
            BufReader::new(output).lines().for_each(|line| drop(sender.send(line)));
        });
        Ok(Piped { child, input, lines, reader: Some(reader), timeout })
    }

    pub(super) fn write(&mut self, text: &str) -> io::Result<()> {
        self.input.write_all(text.as_bytes())
    }

    /// The next line.
    pub(super) fn line(&mut self) -> io::Result<String> {
        match self.lines.recv_timeout(self.timeout) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => Err(io::ErrorKind::TimedOut.into()),
            Err(RecvTimeoutError::Disconnected) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Nobody is left to tell an error to; the program may have ended before.
impl Drop for Piped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.reader.take().map(JoinHandle::join);
    }
}
