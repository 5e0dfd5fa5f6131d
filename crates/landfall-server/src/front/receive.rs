//! The first part of a turn: reading from the ready connections and running what they sent.
//! It must never run two parts of one connection's bytes in another order than they came.
//!
//! Several connections are read before the first of their requests runs: their rows are then fetched from memory
//! together ([`super::foresight`]), as those of one pipeline are.

use landfall::engine::FORESEEN_MAX;

use super::connection::{OUTPUT_PAUSE_BYTES, Received};
use super::run::begin;
use super::waiting::Wait;
use super::{Front, READ_BYTES};

/// What a connection sent, in the loop's buffer.
pub(super) struct Part {
    token: usize,
    start: usize,
    end: usize,
}

impl Front {
    /// Reads from ready connections, at most `most`, and runs what they sent. Returns how many it looked at.
    pub(super) fn serve(&mut self, most: usize) -> usize {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut parts = std::mem::take(&mut self.parts);
        let (mut looked_at, mut end) = (0, 0);
        // None is here twice: who may have more gets ready again when its part has run.
        while looked_at < most && parts.len() < FORESEEN_MAX {
            let Some(room) = buffer.get_mut(end..end + READ_BYTES) else { break };
            let Some(token) = self.ready.pop_front() else { break };
            looked_at += 1;
            if let Some(count) = self.receive(token, room) {
                parts.push(Part { token, start: end, end: end + count });
                end += count;
            }
        }
        if let Some(engine) = self.engine.as_deref() {
            let fresh =
                |part: &&Part| self.connections.get(part.token).is_some_and(|one| one.input.is_empty());
            let sent = parts.iter().filter(fresh).map(|part| &buffer[part.start..part.end]);
            self.foresight.look_across(engine, sent);
        }
        self.timed.restart();
        for part in parts.drain(..) {
            self.run_part(part.token, &buffer[part.start..part.end]);
        }
        self.buffer = buffer;
        self.parts = parts;
        looked_at
    }

    /// Reads from a connection once; how many bytes it sent, if any may be run.
    fn receive(&mut self, token: usize, room: &mut [u8]) -> Option<usize> {
        let connection = self.connections.get_mut(token)?;
        if !connection.may_run() {
            // The end of the wait, or of the jam, wakes it again.
            connection.readable = true;
            // A client that has sent its last byte may still read what it is owed. Only a wait without end, or for what
            // nobody may ever write, is not kept for somebody who left.
            let is_vain =
                matches!(connection.wait, Some(Wait::Landed { deadline: None, .. } | Wait::Read { .. }));
            if connection.hung_up && is_vain {
                self.close_if_gone(token);
            }
            return None;
        }
        begin(connection, &mut self.touched, token);
        match connection.receive(room) {
            Received::Bytes(count) => {
                connection.hung_up |= connection.socket.has_ended();
                connection.readable = count == room.len() || connection.hung_up;
                Some(count)
            }
            Received::Nothing => {
                connection.readable = false;
                None
            }
            // It may still listen: what it sent this turn is answered at the end of the turn, and then it is closed.
            Received::Gone => {
                connection.readable = false;
                connection.closing = true;
                None
            }
        }
    }

    /// Runs what a connection sent.
    fn run_part(&mut self, token: usize, part: &[u8]) {
        let Some(connection) = self.connections.get_mut(token) else { return };
        let more = connection.readable;
        if connection.input.is_empty() {
            let used = self.run_requests(token, part);
            if let Some(connection) = self.connections.get_mut(token) {
                connection.input.extend_from_slice(&part[used..]);
            }
            self.upkeep.grown_bytes += part.len() - used;
        } else {
            connection.input.extend_from_slice(part);
            self.upkeep.grown_bytes += part.len();
            self.run_input(token);
        }
        if more {
            self.ready.push_back(token);
        }
    }

    /// A client that left while its command waits need not be waited for. What it sent before is kept, within reason.
    fn close_if_gone(&mut self, token: usize) {
        let mut buffer = vec![0; READ_BYTES];
        while let Some(connection) = self.connections.get_mut(token) {
            match connection.receive(&mut buffer) {
                Received::Bytes(count) if connection.input.len() < OUTPUT_PAUSE_BYTES => {
                    connection.input.extend_from_slice(&buffer[..count]);
                }
                Received::Bytes(_) | Received::Gone => self.close(token),
                Received::Nothing => break,
            }
        }
    }
}
