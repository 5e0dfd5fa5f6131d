//! Connections that wait for entries of streams: who waits for which key, in the order in which they came, and until when.
//! A waiting connection holds its request and its places here, and nothing else; whatever ends the wait takes them all away.
//!
//! A command that may have added entries notes its keys, and whoever waits for one of them runs its request again, right
//! behind that command and before the next one. What it then reads is as new as the turn, so its reply leaves with the
//! replies of the turn, when everything is as safe as promised. A request that still finds nothing goes on waiting, in its
//! old place.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use landfall_resp::{OwnedRequest, ReplyWriter};

use super::Front;
use super::run::{Next, begin};
use super::waiting::Wait;
use crate::commands::spec::Keys;

/// What a key costs that is waited for, beside its bytes.
pub const WAITED_KEY_BYTES: usize = 128;

/// Since when and how long a connection waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Who began sooner has a lower number, and is answered first.
    ticket: u64,
    /// When to give up; none: never.
    deadline: Option<Instant>,
}

/// Who waits for which keys.
#[derive(Default)]
pub(super) struct Readers {
    /// Of each key: the connections by their tickets.
    by_key: HashMap<Box<[u8]>, BTreeMap<u64, usize>, ahash::RandomState>,
    deadlines: BTreeSet<(Instant, usize)>,
    /// Connections that were answered: what they sent meanwhile is to be run.
    answered: Vec<usize>,
    tickets: u64,
}

impl Readers {
    fn add(&mut self, token: usize, keys: &[&[u8]], reading: Reading) {
        for key in keys {
            self.by_key.entry((*key).into()).or_default().insert(reading.ticket, token);
        }
        if let Some(deadline) = reading.deadline {
            self.deadlines.insert((deadline, token));
        }
    }

    fn remove(&mut self, token: usize, keys: &[&[u8]], reading: Reading) {
        for key in keys {
            if let Some(waiting) = self.by_key.get_mut(*key) {
                waiting.remove(&reading.ticket);
                if waiting.is_empty() {
                    self.by_key.remove(*key);
                }
            }
        }
        if let Some(deadline) = reading.deadline {
            self.deadlines.remove(&(deadline, token));
        }
    }

    /// Who waits for one of these keys, the first come first.
    fn of(&self, keys: &[Vec<u8>]) -> Vec<usize> {
        let waiting = keys.iter().filter_map(|key| self.by_key.get(&**key)).flatten();
        let sorted: BTreeMap<u64, usize> = waiting.map(|(ticket, token)| (*ticket, *token)).collect();
        sorted.into_values().collect()
    }

    /// When the loop has to look again; at once, when there is something to run.
    pub(super) fn next(&self, now: Instant) -> Option<Duration> {
        if !self.answered.is_empty() {
            return Some(Duration::ZERO);
        }
        let (deadline, _) = self.deadlines.first()?;
        Some(deadline.saturating_duration_since(now) + Duration::from_millis(1))
    }
}

/// The keys of a request that waits.
fn keys_of(request: &OwnedRequest) -> Vec<&[u8]> {
    let request = request.as_request();
    let (first, count) = Keys::of_streams(&request, 0).unwrap_or_default();
    (first..first + count).filter_map(|at| request.arg(at)).collect()
}

impl Front {
    /// From now on a connection waits, or goes on waiting.
    pub(super) fn wait_for_entries(&mut self, token: usize, request: OwnedRequest, timeout_ms: u64) {
        let Some(connection) = self.connections.get_mut(token) else { return };
        let reading = connection.session.reading.take().unwrap_or_else(|| {
            self.readers.tickets += 1;
            let deadline = Duration::from_millis(timeout_ms);
            // A time that no clock will show is no end either.
            let deadline = if timeout_ms == 0 { None } else { Instant::now().checked_add(deadline) };
            Reading { ticket: self.readers.tickets, deadline }
        });
        self.readers.add(token, &keys_of(&request), reading);
        let wait = Wait::Read { request, reading };
        self.upkeep.grown_bytes += wait.held_bytes();
        connection.wait = Some(wait);
        self.shared.readers.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the wait of a connection, if it is one for entries: its request, and since when it waited.
    pub(super) fn stop_waiting_for_entries(&mut self, token: usize) -> Option<(OwnedRequest, Reading)> {
        let connection = self.connections.get_mut(token)?;
        let wait = connection.wait.take_if(|wait| matches!(wait, Wait::Read { .. }))?;
        let Wait::Read { request, reading } = wait else { return None };
        self.readers.remove(token, &keys_of(&request), reading);
        self.shared.readers.fetch_sub(1, Ordering::Relaxed);
        Some((request, reading))
    }

    /// Lets those read again who wait for a key that a connection has written to.
    #[cold]
    pub(super) fn wake_readers(&mut self, token: usize) {
        let Some(writer) = self.connections.get_mut(token) else { return };
        let keys = std::mem::take(&mut writer.session.woken);
        // What others run from here on is not the time of this one's commands.
        self.timed.end(&self.shared.counters, &writer.session, None);
        for reader in self.readers.of(&keys) {
            let Some((request, reading)) = self.stop_waiting_for_entries(reader) else { continue };
            let Some(connection) = self.connections.get_mut(reader) else { continue };
            connection.session.reading = Some(reading);
            begin(connection, &mut self.touched, reader);
            let next = self.run_again(reader, &request, 0);
            let has_ended = !matches!(next, Next::Load(_) | Next::Block(..));
            self.follow(reader, next);
            if has_ended {
                self.readers.answered.push(reader);
            }
        }
    }

    /// Answers those whose time is over, and runs what was sent behind requests that are answered.
    pub(super) fn end_reads(&mut self) {
        if self.readers.deadlines.is_empty() && self.readers.answered.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(&(deadline, token)) = self.readers.deadlines.first()
            && deadline <= now
        {
            // The list must get shorter, whatever the connection says.
            self.readers.deadlines.remove(&(deadline, token));
            self.give_up_reading(token, |reply| reply.null_array());
        }
        for token in std::mem::take(&mut self.readers.answered) {
            // It was perhaps answered at the end of the turn before.
            let Some(connection) = self.connections.get_mut(token) else { continue };
            begin(connection, &mut self.touched, token);
            self.go_on(token);
        }
    }

    /// CLIENT UNBLOCK: ends the wait of the connection with this number; whether it waited.
    pub(super) fn unblock(&mut self, id: u64, with_error: bool) -> bool {
        let found = self.connections.iter().find(|(_, one)| one.session.who.id == id).map(|(token, _)| token);
        found.is_some_and(|token| {
            self.give_up_reading(token, |reply| match with_error {
                true => reply.error("UNBLOCKED client unblocked via CLIENT UNBLOCK"),
                false => reply.null_array(),
            })
        })
    }

    /// Ends the wait of a connection with another reply than entries; whether it waited for any.
    pub(super) fn give_up_reading(
        &mut self,
        token: usize,
        answer: impl FnOnce(&mut ReplyWriter<'_>),
    ) -> bool {
        if self.stop_waiting_for_entries(token).is_none() {
            return false;
        }
        let Some(connection) = self.connections.get_mut(token) else { return false };
        begin(connection, &mut self.touched, token);
        let start = connection.output.len();
        answer(&mut ReplyWriter::new(&mut connection.output, connection.session.protocol));
        connection.keep_silence(start);
        self.readers.answered.push(token);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_first_is_found_first_and_who_left_is_not_found() {
        let mut readers = Readers::default();
        let reading = |ticket, deadline| Reading { ticket, deadline };
        let soon = Instant::now();
        readers.add(7, &[b"a", b"b", b"a"], reading(1, None));
        readers.add(5, &[b"b"], reading(2, Some(soon)));
        readers.add(6, &[b"b", b"c"], reading(3, None));
        let of = |readers: &Readers, keys: &[&str]| {
            readers.of(&keys.iter().map(|key| key.as_bytes().to_vec()).collect::<Vec<_>>())
        };
        assert_eq!(of(&readers, &["c", "b", "x"]), [7, 5, 6]);
        assert_eq!(of(&readers, &["a", "a"]), [7]);
        assert_eq!(readers.next(soon), Some(Duration::from_millis(1)));
        readers.remove(7, &[b"a", b"b", b"a"], reading(1, None));
        readers.remove(5, &[b"b"], reading(2, Some(soon)));
        assert_eq!(of(&readers, &["a", "b"]), [6]);
        readers.remove(6, &[b"b", b"c"], reading(3, None));
        assert!(readers.by_key.is_empty() && readers.deadlines.is_empty() && readers.next(soon).is_none());
    }
}
