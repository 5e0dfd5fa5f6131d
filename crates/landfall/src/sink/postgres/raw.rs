//! The stream below a connection, plain or not yet encrypted.
//! It never waits longer than the deadline that each call is given.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::env::Clock;

/// The stream below.
#[derive(Debug)]
pub(super) enum Raw {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The stream below, of which each call ends at the deadline.
pub(super) struct Timed<'w> {
    pub(super) raw: &'w mut Raw,
    pub(super) clock: &'w dyn Clock,
    pub(super) deadline: Duration,
}

impl Timed<'_> {
    /// Lets the next call wait as long as there is time left.
    fn limit(&self) -> io::Result<()> {
        let left = self.deadline.saturating_sub(self.clock.monotonic());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let left = Some(left.max(Duration::from_millis(1)));
        match &*self.raw {
            Raw::Tcp(stream) => stream.set_read_timeout(left).and_then(|()| stream.set_write_timeout(left)),
            Raw::Unix(stream) => stream.set_read_timeout(left).and_then(|()| stream.set_write_timeout(left)),
        }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.limit()?;
        match self.raw {
            Raw::Tcp(stream) => stream.read(bytes),
            Raw::Unix(stream) => stream.read(bytes),
        }
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.limit()?;
        match self.raw {
            Raw::Tcp(stream) => stream.write(bytes),
            Raw::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
