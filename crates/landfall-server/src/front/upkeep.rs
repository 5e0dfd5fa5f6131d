//! What is looked at once in a while and not at every request: who does not log in, who is idle, who holds too much.
//! It must never cost a request anything, or close a connection that waits for the server.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::shared::Who;
use super::waiting::Wait;
use super::{Front, Shared};

/// How often the connections are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// After so many bytes that were kept for clients the sum is taken, however little time has passed.
const GROWN_BYTES_MAX: usize = 16 << 20;
/// Buffers up to this size stay with a connection that rests.
pub(super) const RESTING_BYTES_MAX: usize = 4 << 10;
/// What a row that is watched takes, in bytes, as measured.
const WATCHED_ROW_BYTES: usize = 80;
/// A connection rests when it has completed no request for so long.
const RESTING_AFTER: Duration = Duration::from_secs(2);

/// When the connections were looked at, and who is to be looked at first.
pub(super) struct Upkeep {
    next: Instant,
    /// What was kept for clients since the sum was taken, in bytes.
    pub(super) grown_bytes: usize,
    /// Connections that came without a login, in their order. Who has logged in or left is still here, until it is at
    /// the front.
    strangers: VecDeque<Who>,
}

impl Upkeep {
    /// Nothing to look at.
    pub(super) fn new(now: Instant) -> Upkeep {
        Upkeep { next: now + EVERY, grown_bytes: 0, strangers: VecDeque::new() }
    }

    /// When the next look is due.
    pub(super) fn next(&self) -> Instant {
        self.next
    }
}

impl Front {
    /// Has the engine opened anew, unless it was already: an older one may have asked for it again and again.
    pub(super) fn open_anew(&mut self, asked: bool) {
        let Some(engine) = self.engine.take_if(|engine| asked || engine.is_outdated()) else { return };
        // What this turn has written is answered at its end, when this engine is no longer here. If that cannot be
        // promised, the lander asks again, or the end of the turn ends the server.
        match engine.commit() {
            Ok(()) => (self.reopen)(engine, &self.shared),
            Err(_) => self.engine = Some(engine),
        }
    }

    /// Looks at the connections, if it is time.
    pub(super) fn keep_up(&mut self) {
        let is_due = self.now >= self.upkeep.next;
        if is_due {
            self.upkeep.next = self.now + EVERY;
            self.close_late();
        }
        if is_due || self.upkeep.grown_bytes > GROWN_BYTES_MAX {
            self.upkeep.grown_bytes = 0;
            self.close_largest();
        }
    }

    /// Notes a connection that has to log in. Half of all connections at most are such.
    pub(super) fn note_stranger(&mut self, who: Who) {
        self.upkeep.strangers.push_back(who);
        // Whoever has logged in or left meanwhile goes from the list when it is at its front, and nobody else for it.
        while self.upkeep.strangers.len() > self.shared.connections_max.div_ceil(2) {
            self.pop_stranger();
        }
    }

    /// Takes the first from the list, and closes it if it has not logged in; whether it was closed.
    fn pop_stranger(&mut self) -> bool {
        let Some(first) = self.upkeep.strangers.pop_front() else { return false };
        let is_stranger = self.is_stranger(first);
        if is_stranger {
            Shared::count(&self.shared.strangers_closed);
            self.close(first.token);
        }
        is_stranger
    }

    /// Closes the connection that came first of those that have not logged in: it had the most time, and who knows the
    /// password needs little. Whether there was one.
    pub(super) fn close_first_stranger(&mut self) -> bool {
        while !self.upkeep.strangers.is_empty() {
            if self.pop_stranger() {
                return true;
            }
        }
        false
    }

    fn is_stranger(&self, who: Who) -> bool {
        let connection = self.connections.get(who.token);
        connection.is_some_and(|one| one.session.who == who && !one.session.authenticated)
    }

    /// Closes who has not logged in in time and who is idle, and takes memory from those that rest.
    fn close_late(&mut self) {
        let (now, login_max) = (self.now, self.login_max);
        let idle_max = Duration::from_millis(self.shared.idle_max_ms.load(Ordering::Relaxed));
        let mut late = Vec::new();
        for (token, connection) in &mut self.connections {
            let idle = now.saturating_duration_since(connection.active);
            // Who listens to messages is not expected to ask.
            let is_waiting = connection.wait.is_some()
                || connection.held.is_some()
                || connection.session.subscriptions.is_some();
            // What is refused is no sign of a login.
            if !connection.session.authenticated
                && now.saturating_duration_since(*connection.stranger_since.get_or_insert(now)) > login_max
            {
                Shared::count(&self.shared.strangers_closed);
                late.push(token);
            } else if !idle_max.is_zero() && idle > idle_max && !is_waiting {
                late.push(token);
            } else if idle > RESTING_AFTER {
                connection.rest();
            }
        }
        late.into_iter().for_each(|token| self.close(token));
    }

    /// Closes the connections that hold most, until all together hold no more than they may.
    fn close_largest(&mut self) {
        let mut sum: usize = self.connections.iter().map(|(_, one)| one.held_bytes()).sum();
        self.shared.client_bytes.store(sum as u64, Ordering::Relaxed);
        if sum <= self.client_bytes_max {
            return;
        }
        let mut largest: Vec<(usize, usize)> =
            self.connections.iter().map(|(token, one)| (one.held_bytes(), token)).collect();
        largest.sort_unstable();
        while let Some((bytes, token)) = largest.pop().filter(|_| sum > self.client_bytes_max) {
            Shared::count(&self.shared.clients_evicted);
            self.close(token);
            sum = sum.saturating_sub(bytes);
        }
    }
}

impl Connection {
    /// The memory that the connection holds for what is on its way, in bytes.
    pub(super) fn held_bytes(&self) -> usize {
        let transaction = self.session.transaction.as_ref().map_or(0, |transaction| transaction.bytes);
        let held = self.held.as_ref().map_or(0, |held| held.replies.capacity());
        let watched = self.session.watch.as_ref().map_or(0, |watch| watch.rows() * WATCHED_ROW_BYTES);
        let waiting = self.wait.as_ref().map_or(0, Wait::held_bytes);
        size_of::<Connection>()
            + waiting
            + self.socket.held_bytes()
            + self.input.capacity()
            + self.output.capacity()
            + self.decoder.held_bytes()
            + transaction
            + held
            + watched
    }

    /// Gives back memory that the last requests needed.
    fn rest(&mut self) {
        if self.input.capacity() > RESTING_BYTES_MAX.max(2 * self.input.len()) {
            self.input.shrink_to(self.input.len());
        }
        if self.output.is_empty() && self.output.capacity() > RESTING_BYTES_MAX {
            self.output = Vec::new();
        }
    }
}
