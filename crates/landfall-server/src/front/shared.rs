//! What all connections of a server share: options, numbers, and the way for other threads to reach the loop.
//! Other threads only post; the loop alone touches connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use landfall::engine::{Engine, Refusal};

use super::counters::Counters;
use super::guesses::Guesses;
use super::messages::Messages;
use super::socket::Peer;
use super::tls::TlsStream;
use super::users::Users;
use crate::admin_token;

/// What another thread tells the loop.
pub enum Post {
    /// The rows that a connection waits for are known, or cannot be.
    Loaded(Who, Result<(), Refusal>),
    /// Positions have landed.
    Landed,
    /// The reply of a parked command, written in the protocol of its connection.
    Reply(Who, Vec<u8>),
    /// The engine was opened anew.
    Reloaded(Arc<Engine>),
    /// A client has made its TLS handshake.
    Secured(Box<TlsStream>, Peer),
    /// The tables are not those of the engine any more.
    Outdated,
    /// Somebody wants the tables read again.
    Reload,
    /// The server should end.
    Stop,
    /// The server has to end, and not as if it had been asked to.
    Failed(String),
}

/// A connection, and which of its waits is meant: a connection that went away hears nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// The connection's place.
    pub token: usize,
    /// The connection's number.
    pub id: u64,
}

/// Why a login failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginError {
    /// There is no such user, or it has another password.
    Wrong,
    /// Its address has failed too often; the password was not looked at.
    TooOften,
}

/// What connections share.
pub struct Shared {
    /// Where the server listens: `host:port`, `rediss://host:port`, or `unix:path`.
    pub listens: Vec<String>,
    /// When it started.
    pub started: Instant,
    /// The most connections at once.
    pub connections_max: usize,
    /// Open connections.
    pub connections: AtomicU64,
    /// Connections ever accepted.
    pub accepted: AtomicU64,
    /// Connections that wait for entries of streams.
    pub readers: AtomicU64,
    /// Commands run.
    pub commands: AtomicU64,
    /// A connection that asks nothing for so long is closed, in milliseconds; 0: none is.
    pub idle_max_ms: AtomicU64,
    /// Who listens to which channels.
    pub messages: Messages,
    /// What each command cost.
    pub counters: Counters,
    /// Connections refused because there were as many as may be.
    pub rejected: AtomicU64,
    /// Connections closed because they had not logged in.
    pub strangers_closed: AtomicU64,
    /// Connections closed because clients together held too much memory.
    pub clients_evicted: AtomicU64,
    /// Memory of what is on its way from and to clients, in bytes, as it was at the last look.
    pub client_bytes: AtomicU64,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: AtomicU64,
    /// Logins with a wrong password, or too soon after others.
    pub failed_logins: AtomicU64,
    /// Commands that a user had no right to.
    pub denied_commands: AtomicU64,
    users: OnceLock<Users>,
    guesses: Mutex<Guesses>,
    stopping: AtomicBool,
    posts: Mutex<Vec<Post>>,
    waker: mio::Waker,
}

impl Shared {
    /// Nothing posted yet.
    pub fn new(listens: Vec<String>, connections_max: usize, waker: mio::Waker) -> Shared {
        Shared {
            users: OnceLock::new(),
            guesses: Mutex::new(Guesses::new()),
            handshakes_failed: AtomicU64::new(0),
            failed_logins: AtomicU64::new(0),
            denied_commands: AtomicU64::new(0),
            listens,
            started: Instant::now(),
            connections_max,
            connections: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            readers: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            idle_max_ms: AtomicU64::new(0),
            messages: Messages::default(),
            counters: Counters::new(),
            rejected: AtomicU64::new(0),
            strangers_closed: AtomicU64::new(0),
            clients_evicted: AtomicU64::new(0),
            client_bytes: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            posts: Mutex::new(Vec::new()),
            waker,
        }
    }

    /// The first address of a network, or else the first place.
    pub fn listen(&self) -> &str {
        let network = self.listens.iter().find(|place| !place.starts_with("unix:"));
        network.or(self.listens.first()).map_or("", String::as_str)
    }

    /// The host of [`Shared::listen`]; empty when there is none.
    pub fn host(&self) -> &str {
        match self.listen() {
            place if place.starts_with("unix:") => "",
            address => address.rsplit_once(':').map_or("", |(host, _)| host),
        }
    }

    /// The port of [`Shared::listen`]; 0 when there is none.
    pub fn port(&self) -> &str {
        match self.listen() {
            place if place.starts_with("unix:") => "0",
            address => address.rsplit(':').next().unwrap_or("0"),
        }
    }

    /// Says who may come in, once and for all. Until then nobody may.
    pub fn let_in(&self, users: Users) {
        // Only the start of the server calls this.
        let _ = self.users.set(users);
    }

    /// Who may come in.
    pub fn users(&self) -> &Users {
        static NOBODY: Users = Users::nobody();
        self.users.get().unwrap_or(&NOBODY)
    }

    /// The user that this password belongs to, or why nobody is logged in.
    ///
    /// # Errors
    /// [`LoginError`].
    pub fn login(&self, peer: Peer, name: &[u8], password: &[u8]) -> Result<usize, LoginError> {
        let now = Instant::now();
        // Who panicked while holding it has left numbers only.
        let mut guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody guesses the token of the administrator, and whoever holds up an address must not keep him out.
        if name != admin_token::USER.as_bytes() && !guesses.may_try(peer, now) {
            Shared::count(&self.failed_logins);
            return Err(LoginError::TooOften);
        }
        let found = self.users().login(name, password);
        if found.is_none() {
            guesses.failed(peer, now);
            Shared::count(&self.failed_logins);
        }
        found.ok_or(LoginError::Wrong)
    }

    /// Tells the loop something and wakes it.
    pub fn post(&self, post: Post) {
        if let Ok(mut posts) = self.posts.lock() {
            // Publications say nothing new while one is on its way.
            if matches!(post, Post::Landed) && posts.iter().any(|have| matches!(have, Post::Landed)) {
                return;
            }
            posts.push(post);
        }
        // A loop that is gone needs no waking.
        let _ = self.waker.wake();
    }

    /// Asks the loop to end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.post(Post::Stop);
    }

    /// Whether the server was asked to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// What was posted since the last call.
    pub fn take_posts(&self) -> Vec<Post> {
        self.posts.lock().map(|mut posts| std::mem::take(&mut *posts)).unwrap_or_default()
    }

    /// Adds to a number that the loop alone changes, without the cost of sharing.
    pub fn count_alone(counter: &AtomicU64) {
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Adds to a number.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
