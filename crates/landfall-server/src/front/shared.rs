//! What all connections of a server share: options, numbers, and the way for other threads to reach the loop.
//! Other threads only post; the loop alone touches connections.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use landfall::engine::{Engine, Refusal};

use super::counters::Counters;

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

/// What connections share.
pub struct Shared {
    /// The password, when there is one.
    pub password: Option<Vec<u8>>,
    /// Where the server listens: `host:port`, or `unix:path`.
    pub listens: Vec<String>,
    /// When it started.
    pub started: Instant,
    /// The most connections at once.
    pub connections_max: usize,
    /// Open connections.
    pub connections: AtomicU64,
    /// Connections ever accepted.
    pub accepted: AtomicU64,
    /// Commands run.
    pub commands: AtomicU64,
    /// What each command cost.
    pub counters: Counters,
    stopping: AtomicBool,
    posts: Mutex<Vec<Post>>,
    waker: mio::Waker,
}

impl Shared {
    /// Nothing posted yet.
    pub fn new(
        password: Option<Vec<u8>>,
        listens: Vec<String>,
        connections_max: usize,
        waker: mio::Waker,
    ) -> Shared {
        Shared {
            password,
            listens,
            started: Instant::now(),
            connections_max,
            connections: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            counters: Counters::new(),
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

    /// Adds to a number.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
