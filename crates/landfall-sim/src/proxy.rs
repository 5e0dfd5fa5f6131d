//! A TCP proxy that does to connections what networks do: it cuts them at a byte, keeps them open and passes nothing,
//! delays, is slow, and leads to another server from one connection to the next.
//! It must never change a byte, change their order, or let one through that a fault stands before.
//!
//! A connection in the dark is held, not closed: neither side hears that the other went away, and what was sent comes
//! through when there is light again, as on a network whose packets were lost for a while.

mod link;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::waiting::wait_until;
use link::Link;

/// Which way bytes flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Both sides are closed.
    Cut,
    /// Nothing passes any more, and nothing is closed.
    Blackhole,
}

/// A fault that waits for an exchange. It hits the first connection whose client says `words`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// What a client says when the exchange begins.
    pub words: Vec<u8>,
    /// On which way bytes are counted.
    pub way: Way,
    /// So many bytes pass since the exchange began, and not one more.
    pub passing_bytes: u64,
    /// What happens then.
    pub fault: Fault,
}

/// The weather of all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weather {
    /// Nothing passes, and nothing is closed; new connections are taken and lead nowhere.
    pub is_dark: bool,
    /// Each piece is held for so long.
    pub delay: Duration,
    /// At most so many bytes a second each way.
    pub bytes_per_second_max: Option<u64>,
}

/// A proxy on a free port of this machine. Dropping it closes every connection.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// What the connections of a proxy share.
#[derive(Debug)]
struct Shared {
    target: Mutex<SocketAddr>,
    weather: Mutex<Weather>,
    trap: Mutex<Option<Trap>>,
    /// Links younger than this number live; the others are cut.
    cut_before: AtomicU64,
    links: AtomicU64,
    /// Whether the last trap has hit.
    is_sprung: AtomicBool,
    /// What has passed since the trapped exchange began: to the server, to the client.
    passed: [AtomicU64; 2],
    stop: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// A proxy in front of `target`.
    ///
    /// # Errors
    /// The system has no port or no thread.
    pub fn start(target: SocketAddr) -> io::Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            weather: Mutex::default(),
            trap: Mutex::default(),
            cut_before: AtomicU64::new(0),
            links: AtomicU64::new(0),
            is_sprung: AtomicBool::new(false),
            passed: [AtomicU64::new(0), AtomicU64::new(0)],
            stop: AtomicBool::new(false),
        });
        let of_acceptor = Arc::clone(&shared);
        let acceptor = std::thread::Builder::new()
            .name("proxy".into())
            .spawn(move || accept(&listener, &of_acceptor))?;
        Ok(Proxy { address, shared, acceptor: Some(acceptor) })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where new connections lead from now on; those that there are stay where they are.
    pub fn set_target(&self, target: SocketAddr) {
        *locked(&self.shared.target) = target;
    }

    /// Changes the weather of all connections.
    pub fn set_weather(&self, weather: Weather) {
        *locked(&self.shared.weather) = weather;
    }

    /// Nothing passes from now on, and nothing is closed.
    pub fn darken(&self) {
        self.set_weather(Weather { is_dark: true, ..Weather::default() });
    }

    /// Everything passes again.
    pub fn clear(&self) {
        self.set_weather(Weather::default());
    }

    /// Closes every connection that there is.
    pub fn cut_all(&self) {
        self.shared.cut_before.store(self.shared.links.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Sets a trap, in the place of one that waits; see [`Proxy::is_sprung`].
    pub fn set_trap(&self, trap: Trap) {
        let mut place = locked(&self.shared.trap);
        self.shared.is_sprung.store(false, Ordering::SeqCst);
        self.shared.passed.iter().for_each(|count| count.store(0, Ordering::SeqCst));
        *place = Some(trap);
    }

    /// Takes a trap away that has met no exchange yet.
    pub fn forget_trap(&self) {
        *locked(&self.shared.trap) = None;
    }

    /// Whether the last trap has hit a connection.
    pub fn is_sprung(&self) -> bool {
        self.shared.is_sprung.load(Ordering::SeqCst)
    }

    /// What has passed since the last trap met its exchange, on this way.
    pub fn passed_bytes(&self, way: Way) -> u64 {
        self.shared.passed[way as usize].load(Ordering::SeqCst)
    }
}

/// Every connection ends with its proxy.
impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Whoever waits for a connection gets one, and sees that it is over.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut links: Vec<JoinHandle<()>> = Vec::new();
    while let Ok((client, _)) = listener.accept() {
        if shared.stop.load(Ordering::SeqCst) {
            break;
        }
        let number = shared.links.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(shared);
        let of_link = std::thread::Builder::new().name("proxy-link".into());
        // Without a thread the client is dropped, and sees a connection that broke.
        links.extend(of_link.spawn(move || Link::new(shared, number).run(client)));
        links.retain(|link| !link.is_finished());
    }
    links.into_iter().for_each(|link| {
        let _ = link.join();
    });
}

impl Shared {
    fn weather(&self) -> Weather {
        *locked(&self.weather)
    }

    /// The trap, if `said` holds its words, and where the exchange begins.
    fn sprung_by(&self, said: &[u8]) -> Option<(Trap, usize)> {
        let mut place = locked(&self.trap);
        let words = &place.as_ref()?.words;
        let at = said.windows(words.len()).position(|window| window == words)?;
        place.take().map(|trap| (trap, at))
    }
}

/// Lets time pass on the network.
fn hold(time: Duration, shared: &Shared) {
    wait_until(Instant::now() + time, || shared.stop.load(Ordering::SeqCst));
}

#[cfg(test)]
mod tests;
