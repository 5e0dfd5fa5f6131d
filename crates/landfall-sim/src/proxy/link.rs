//! One connection through the proxy: two threads, one for each way.
//! It must never read what it may not pass on: a sender in the dark fills its own buffers.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Fault, Shared, Trap, Way, hold, locked};

/// How much is passed on at once.
const PIECE_BYTES: usize = 16 * 1024;
/// Between two looks at the weather and the traps.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Link {
    shared: Arc<Shared>,
    number: u64,
    /// The trap that this connection is in; its exchange has begun.
    trap: Mutex<Option<Trap>>,
    is_cut: AtomicBool,
    is_dark: AtomicBool,
}

/// What a piece may do.
enum Passage {
    All,
    /// So many bytes, and then the fault.
    Part(usize, Fault),
}

impl Link {
    pub(super) fn new(shared: Arc<Shared>, number: u64) -> Link {
        let (is_cut, is_dark) = (AtomicBool::new(false), AtomicBool::new(false));
        Link { shared, number, trap: Mutex::default(), is_cut, is_dark }
    }

    pub(super) fn run(self, client: TcpStream) {
        while self.is_held() && !self.is_over() {
            hold(LOOK_EVERY, &self.shared);
        }
        let target = *locked(&self.shared.target);
        let connected =
            if self.is_over() { None } else { TcpStream::connect_timeout(&target, CONNECT_WITHIN).ok() };
        let Some(server) = connected else { return };
        // A socket that cannot be set up is one that broke; both are dropped.
        let set_up = |stream: &TcpStream| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(LOOK_EVERY))?;
            stream.set_write_timeout(Some(LOOK_EVERY))
        };
        if set_up(&client).and_then(|()| set_up(&server)).is_err() {
            return;
        }
        std::thread::scope(|scope| {
            scope.spawn(|| self.pump(&client, &server, Way::ToServer));
            self.pump(&server, &client, Way::ToClient);
        });
    }

    fn is_over(&self) -> bool {
        self.shared.stop.load(Ordering::SeqCst)
            || self.is_cut.load(Ordering::SeqCst)
            || self.number < self.shared.cut_before.load(Ordering::SeqCst)
    }

    fn is_held(&self) -> bool {
        self.is_dark.load(Ordering::SeqCst) || self.shared.weather().is_dark
    }

    /// Passes on what flows one way until somebody ends the connection.
    fn pump(&self, from: &TcpStream, to: &TcpStream, way: Way) {
        let mut piece = vec![0; PIECE_BYTES];
        while !self.is_over() {
            if self.is_held() {
                hold(LOOK_EVERY, &self.shared);
                continue;
            }
            // Looked at and left where it is: what comes in the dark stays unread.
            match from.peek(&mut piece) {
                Ok(0) => {
                    // The other side may still be sent what is under way.
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
                Ok(_) if self.is_held() => {}
                Ok(_) => {
                    if self.pass(from, to, way, &mut piece).is_err() {
                        break;
                    }
                }
                Err(error) if is_passing(&error) => {}
                Err(_) => break,
            }
        }
        self.is_cut.store(true, Ordering::SeqCst);
        // They may be closed already.
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    fn pass(&self, mut from: &TcpStream, to: &TcpStream, way: Way, piece: &mut [u8]) -> io::Result<()> {
        let weather = self.shared.weather();
        let most = weather.bytes_per_second_max.map_or(PIECE_BYTES, |rate| (rate / 100).max(1) as usize);
        let count = from.read(&mut piece[..most.min(PIECE_BYTES)])?;
        let piece = &piece[..count];
        hold(weather.delay, &self.shared);
        if let Some(rate) = weather.bytes_per_second_max {
            hold(Duration::from_secs_f64(count as f64 / rate as f64), &self.shared);
        }
        let passage = self.passage(way, piece);
        let passing = if let Passage::Part(bytes, _) = passage { &piece[..bytes] } else { piece };
        self.send(to, passing)?;
        match passage {
            Passage::All => Ok(()),
            Passage::Part(_, fault) => {
                let field = if fault == Fault::Cut { &self.is_cut } else { &self.is_dark };
                field.store(true, Ordering::SeqCst);
                self.shared.is_sprung.store(true, Ordering::SeqCst);
                Ok(())
            }
        }
    }

    /// Writes all of it, unless the connection ends meanwhile.
    fn send(&self, mut to: &TcpStream, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match to.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => rest = &rest[sent..],
                Err(error) if is_passing(&error) && !self.is_over() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What a piece may do, and counts it where an exchange is watched.
    fn passage(&self, way: Way, piece: &[u8]) -> Passage {
        let mut own = locked(&self.trap);
        let mut begins = 0;
        if own.is_none()
            && way == Way::ToServer
            && let Some((trap, at)) = self.shared.sprung_by(piece)
        {
            begins = at;
            *own = Some(trap);
        }
        let Some(trap) = own.as_ref() else { return Passage::All };
        let count = (piece.len() - begins) as u64;
        let passed = &self.shared.passed[way as usize];
        let before = passed.load(Ordering::SeqCst);
        let is_here = trap.way == way;
        if is_here && before + count >= trap.passing_bytes {
            let rest = trap.passing_bytes.saturating_sub(before);
            passed.store(before + rest, Ordering::SeqCst);
            let fault = trap.fault;
            *own = None;
            return Passage::Part(begins + rest as usize, fault);
        }
        passed.store(before + count, Ordering::SeqCst);
        Passage::All
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
