//! The loop that serves all connections: read and run what is ready, make it safe once, then reply.
//! No reply leaves before what it tells is as safe as the policy promises; nothing here waits for the database.
//!
//! # Why one loop
//!
//! One thread runs the commands of all ready connections, one `write` (and with `always` one `fdatasync`) makes all
//! of them safe, and then all replies go out. Measured against two loops, a multi-threaded runtime and a dedicated
//! log writer, this was the fastest shape on two cores (docs/decisions/0004-one-event-loop.md). Loads, landings and
//! syncs of `everysec` run on other threads, which reach the loop by posting ([`shared::Post`]).

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use landfall::engine::Engine;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

mod clients;
pub mod connection;
pub mod counters;
mod descriptors;
mod event_ids;
pub mod execute;
mod foresight;
mod guesses;
mod held;
pub mod listen;
pub mod messages;
mod parked;
pub mod readers;
mod receive;
pub mod run;
pub mod session;
pub mod settings;
pub mod shared;
pub mod socket;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_absent.rs"]
mod tls;
mod transaction;
mod upkeep;
pub mod users;
pub mod waiting;

use connection::Connection;
use counters::Timed;
use foresight::Foresight;
use listen::{Bound, Listener};
use readers::Readers;
use receive::Part;
use session::Session;
use settings::FrontSettings;
use shared::{Post, Shared, Who};
use socket::{Peer, Socket};
use tls::TlsStream;
use upkeep::Upkeep;

/// How many ready connections one turn serves at most: a turn's replies wait for the last of them.
const CONNECTIONS_A_TURN: usize = 256;
/// How long to wait before accepting again when the system had no descriptor to give.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// How much is read from a connection in a turn.
const READ_BYTES: usize = 64 << 10;
/// Holds what several connections sent. Twice a read: room for one that sent much behind others that sent little.
const BUFFER_BYTES: usize = 2 * READ_BYTES;

const WAKER: Token = Token(usize::MAX);
/// The listeners have this token and those above.
const FIRST_LISTENER: usize = usize::MAX - LISTENERS_MAX;
/// The most places to listen at.
pub const LISTENERS_MAX: usize = 16;

/// Opens the engine anew on another thread and posts it.
pub type Reopen = Box<dyn Fn(Arc<Engine>, &Arc<Shared>) + Send>;

/// The event loop.
pub struct Front {
    poll: Poll,
    listeners: Vec<Listener>,
    tls_door: Option<tls::Door>,
    connections: Slab<Connection>,
    /// Connections with something to do, each at most once.
    ready: VecDeque<usize>,
    /// Connections that this turn has written replies for.
    touched: Vec<usize>,
    /// Parked connections with a deadline or a position.
    landing: Vec<usize>,
    /// Connections whose replies wait for room in the log.
    held: Vec<usize>,
    /// Connections that wait for entries of streams.
    readers: Readers,
    engine: Option<Arc<Engine>>,
    shared: Arc<Shared>,
    reopen: Reopen,
    /// Who waits for the engine to be opened anew.
    reloading: Vec<Who>,
    buffer: Vec<u8>,
    foresight: Foresight,
    timed: Timed,
    /// Empty between two calls of [`Front::serve`].
    parts: Vec<Part>,
    next_id: u64,
    /// When this turn began.
    now: Instant,
    upkeep: Upkeep,
    login_max: Duration,
    client_bytes_max: usize,
    /// Clients wait to be accepted, and no event will tell.
    accept_again: bool,
    stop: bool,
    failed: Option<String>,
}

/// Why there is no loop.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// It cannot listen somewhere.
    #[error("cannot listen on {place}: {cause}")]
    Listen {
        /// Where.
        place: String,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The files for TLS are of no use.
    #[error("{0}")]
    Tls(String),
    /// It cannot be polled.
    #[error("the system has no means to wait for clients: {0}")]
    Poll(#[from] std::io::Error),
}

/// How the loop ended.
pub struct Ended {
    /// The engine, to be closed.
    pub engine: Option<Arc<Engine>>,
    /// Why it had to end, unless it was asked to.
    pub failed: Option<String>,
}

impl Front {
    /// A loop that listens where the settings say.
    ///
    /// # Errors
    /// The place, and what the system says: the address is taken or not allowed.
    pub fn new(settings: &FrontSettings, reopen: Reopen) -> Result<Front, FrontError> {
        let poll = Poll::new()?;
        let mut bound = Bound::default();
        for place in settings.places.iter().take(LISTENERS_MAX) {
            bound.add(place).map_err(|cause| FrontError::Listen { place: place.to_string(), cause })?;
        }
        let Bound { mut listeners, encrypted, names } = bound;
        for (number, listener) in listeners.iter_mut().enumerate() {
            listener.register(poll.registry(), Token(FIRST_LISTENER + number))?;
        }
        let now = Instant::now();
        let waker = mio::Waker::new(poll.registry(), WAKER)?;
        let connections_max = descriptors::connections_max(settings.connections_max);
        let shared = Arc::new(Shared::new(names, connections_max, waker));
        shared.idle_max_ms.store(settings.idle_max.as_millis() as u64, Ordering::Relaxed);
        let tls_door = match (encrypted.is_empty(), &settings.tls) {
            (false, Some(files)) => {
                let config = tls::config(files).map_err(FrontError::Tls)?;
                Some(tls::open(encrypted, config, settings.login_max, shared.clone())?)
            }
            _ => None,
        };
        Ok(Front {
            poll,
            listeners,
            connections: Slab::new(),
            ready: VecDeque::new(),
            touched: Vec::new(),
            landing: Vec::new(),
            held: Vec::new(),
            readers: Readers::default(),
            engine: None,
            tls_door,
            shared,
            reopen,
            reloading: Vec::new(),
            buffer: vec![0; BUFFER_BYTES],
            foresight: Foresight::new(),
            timed: Timed::new(),
            parts: Vec::new(),
            next_id: 1,
            now,
            upkeep: Upkeep::new(now),
            login_max: settings.login_max,
            client_bytes_max: settings.client_bytes_max,
            accept_again: false,
            stop: false,
            failed: None,
        })
    }

    /// What other threads reach the loop by.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Serves until it is asked to stop, or the log fails.
    ///
    /// # Errors
    /// The system's, when it can no longer be polled.
    pub fn run(mut self, engine: Arc<Engine>) -> std::io::Result<Ended> {
        self.adopt(engine);
        let mut events = Events::with_capacity(256);
        while !self.stop {
            let timeout = self.timeout();
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            self.now = Instant::now();
            for event in &events {
                match event.token() {
                    WAKER => {}
                    Token(token) if token >= FIRST_LISTENER => self.accept(token - FIRST_LISTENER),
                    Token(token) => self.wake(token, event),
                }
            }
            if std::mem::take(&mut self.accept_again) {
                (0..self.listeners.len()).for_each(|number| self.accept(number));
            }
            self.take_posts();
            let mut left = CONNECTIONS_A_TURN;
            while left > 0 && !self.ready.is_empty() {
                left -= self.serve(left);
            }
            self.end_waits();
            self.end_reads();
            self.end_held();
            self.keep_up();
            if let Some(failed) = self.finish_turn() {
                return Ok(Ended { engine: self.engine.take(), failed: Some(failed) });
            }
        }
        // Who waits sees its connection close; everything accepted is safe already.
        self.listeners.clear();
        self.tls_door = None;
        Ok(Ended { engine: self.engine.take(), failed: self.failed.take() })
    }

    fn adopt(&mut self, engine: Arc<Engine>) {
        let shared = self.shared.clone();
        engine.on_landed(Arc::new(move || shared.post(Post::Landed)));
        let shared = self.shared.clone();
        engine.on_outdated(Arc::new(move || shared.post(Post::Outdated)));
        if engine.is_outdated() {
            // It was found before anybody listened.
            self.shared.post(Post::Outdated);
        }
        self.engine = Some(engine);
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() || !self.touched.is_empty() {
            return Some(Duration::ZERO);
        }
        let now = Instant::now();
        let accept = self.accept_again.then_some(ACCEPT_AGAIN);
        // Without an engine nobody can say what became of the writes: who waits is answered when it is there again.
        self.landing
            .iter()
            .filter(|_| self.engine.is_some())
            .filter_map(|&token| self.connections.get(token)?.wait.as_ref()?.deadline())
            .map(|deadline| deadline.saturating_duration_since(now) + Duration::from_millis(1))
            .chain(accept)
            .chain(self.readers.next(now))
            .chain((!self.held.is_empty()).then_some(waiting::HELD_LOOK))
            .chain((!self.connections.is_empty()).then(|| self.upkeep.next().saturating_duration_since(now)))
            .min()
    }

    /// Takes all clients that wait at a listener.
    fn accept(&mut self, number: usize) {
        while let Some(listener) = self.listeners.get(number) {
            match listener.accept() {
                Ok((socket, peer)) => {
                    self.welcome(socket, peer);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                // Descriptors are short. Who waits already causes no event again, so the clock does.
                Err(_) => {
                    self.accept_again = true;
                    return;
                }
            }
        }
    }

    /// Takes a client in that has made its TLS handshake.
    fn welcome_secured(&mut self, stream: Box<TlsStream>, peer: Peer) {
        let Some(token) = self.welcome(Socket::Tls(stream), peer) else { return };
        // Its first request may have come with the handshake, and no event tells of that.
        if let Some(connection) = self.connections.get_mut(token) {
            connection.readable = true;
            self.ready.push_back(token);
        }
    }

    /// Takes a client in and returns its place, or tells it that there is no room.
    fn welcome(&mut self, mut socket: Socket, peer: Peer) -> Option<usize> {
        let is_full = self.connections.len() >= self.shared.connections_max;
        if is_full && !self.close_first_stranger() {
            Shared::count(&self.shared.rejected);
            // The socket is fresh: a line fits, and if it does not, the close says enough.
            let _ = std::io::Write::write(&mut socket, b"-ERR max number of clients reached\r\n");
            return None;
        }
        let entry = self.connections.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(&mut socket, Token(entry.key()), interest).is_err() {
            return None;
        }
        let who = Who { token: entry.key(), id: self.next_id };
        let session = Session::new(who, peer, self.shared.clone());
        let is_stranger = !session.authenticated;
        entry.insert(Connection::new(socket, session, self.now));
        if is_stranger {
            self.note_stranger(who);
        }
        self.next_id += 1;
        Shared::count(&self.shared.accepted);
        self.shared.connections.store(self.connections.len() as u64, Ordering::Relaxed);
        Some(who.token)
    }

    fn wake(&mut self, token: usize, event: &mio::event::Event) {
        let Some(connection) = self.connections.get_mut(token) else { return };
        connection.hung_up |= event.is_read_closed();
        if event.is_writable() && connection.blocked {
            connection.blocked = false;
            if !connection.touched {
                connection.touched = true;
                connection.turn_start = connection.output.len();
                self.touched.push(token);
            }
        }
        if (event.is_readable() || connection.hung_up) && !connection.readable {
            connection.readable = true;
            self.ready.push_back(token);
        }
    }

    fn close(&mut self, token: usize) {
        self.stop_waiting_for_entries(token);
        let Some(mut connection) = self.connections.try_remove(token) else { return };
        connection.socket.say_goodbye();
        connection.session.stop_listening_to_all();
        // Closing the socket takes it out of the poll as well.
        let _ = self.poll.registry().deregister(&mut connection.socket);
        self.landing.retain(|&waiting| waiting != token);
        self.held.retain(|&waiting| waiting != token);
        self.ready.retain(|&ready| ready != token);
        self.shared.connections.store(self.connections.len() as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front() -> Front {
        let settings = FrontSettings {
            places: Vec::new(),
            tls: None,
            connections_max: 100,
            client_bytes_max: 1 << 20,
            idle_max: Duration::ZERO,
            login_max: Duration::from_secs(60),
        };
        Front::new(&settings, Box::new(|_, _| {})).unwrap()
    }

    /// A client, and its own end of the connection.
    fn client(front: &mut Front) -> (usize, mio::net::UnixStream) {
        let (own, other) = mio::net::UnixStream::pair().unwrap();
        (front.welcome(Socket::Unix(own), Peer::Unix).unwrap(), other)
    }

    #[test]
    fn while_the_engine_is_opened_anew_a_wait_whose_time_is_over_does_not_keep_the_loop_awake() {
        let mut front = front();
        let (token, _other) = client(&mut front);
        front.landing.push(token);
        let (answer, deadline) = (waiting::Answer::Count, Some(front.now));
        front.connections[token].wait = Some(waiting::Wait::Landed { places: Vec::new(), deadline, answer });
        let timeout = front.timeout().expect("the connections are looked at once in a while");
        assert!(timeout > Duration::from_millis(500), "{timeout:?}");
    }

    #[test]
    fn those_who_hold_most_are_closed_until_the_others_hold_no_more_than_they_may() {
        let mut front = front();
        let clients: Vec<_> = (0..10).map(|_| client(&mut front)).collect();
        for (number, (token, _)) in clients.iter().enumerate() {
            front.connections[*token].input = Vec::with_capacity(number * 100_000);
        }
        front.upkeep.grown_bytes = usize::MAX;
        front.keep_up();
        let left: Vec<bool> = clients.iter().map(|(token, _)| front.connections.contains(*token)).collect();
        let few = [true, true, true, true, true, false, false, false, false, false];
        assert_eq!(left, few, "0 to 4 hold one million bytes");
        assert_eq!(front.shared.clients_evicted.load(Ordering::Relaxed), 5);
    }
}
