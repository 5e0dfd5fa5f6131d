//! One connection: its socket, what it sent, what it has to be sent.
//! It is bounded on both sides: a client that never reads is not read from, and at last closed.

use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

use landfall::engine::Refusal;
use landfall_resp::{Limits, ReplyWriter, RequestDecoder};

use super::session::Session;
use super::socket::Socket;
use super::waiting::{Held, Wait};
use crate::commands::refuse;

/// From so many bytes of unsent replies on, nothing more is read from a connection.
pub const OUTPUT_PAUSE_BYTES: usize = 1 << 20;
/// The same before a login: what is refused needs little room.
const STRANGER_OUTPUT_PAUSE_BYTES: usize = 16 << 10;
/// With more bytes of unsent replies a connection is closed. Nothing more is run for a connection from
/// `OUTPUT_PAUSE_BYTES` on, so this bounds what a single request may ask for.
pub const OUTPUT_BYTES_MAX: usize = ReplyWriter::OUT_BYTES_MAX;

/// A connection.
pub struct Connection {
    /// The socket.
    pub socket: Socket,
    /// Received and not run: the start of a request, or what came behind one that is parked.
    pub input: Vec<u8>,
    /// Finds requests in the input.
    pub decoder: RequestDecoder,
    /// Replies, from `sent` on not sent yet.
    pub output: Vec<u8>,
    /// How much of the output is sent.
    pub sent: usize,
    /// Where the replies of this turn begin.
    pub turn_start: usize,
    /// What the connection has agreed with the server.
    pub session: Session,
    /// What it waits for.
    pub wait: Option<Wait>,
    /// Replies that wait until what they tell is safe.
    pub held: Option<Held>,
    /// The socket may hold more.
    pub readable: bool,
    /// The client has sent its last byte: read until the end, for no further event will come.
    pub hung_up: bool,
    /// The socket takes no more for now.
    pub blocked: bool,
    /// Close once everything is sent.
    pub closing: bool,
    /// Whether this turn has touched it already.
    pub touched: bool,
    /// When it came.
    pub came: Instant,
    /// Since when it has no login, as far as was looked.
    pub stranger_since: Option<Instant>,
    /// From so many bytes of unsent replies on nothing more is read.
    output_pause_bytes: usize,
    /// When it came, or last completed a request.
    pub active: Instant,
}

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes in the buffer; there may be more when it is full.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The client is gone.
    Gone,
}

impl Connection {
    /// A new connection.
    pub fn new(socket: Socket, session: Session, now: Instant) -> Connection {
        let mut connection = Connection {
            socket,
            input: Vec::new(),
            decoder: RequestDecoder::new(Limits::unauthenticated()),
            output: Vec::new(),
            sent: 0,
            turn_start: 0,
            session,
            wait: None,
            held: None,
            readable: false,
            hung_up: false,
            blocked: false,
            closing: false,
            touched: false,
            came: now,
            stranger_since: Some(now),
            output_pause_bytes: STRANGER_OUTPUT_PAUSE_BYTES,
            active: now,
        };
        connection.follow_login();
        connection
    }

    /// Gives the connection what its login allows.
    #[inline]
    pub fn follow_login(&mut self) {
        if self.session.authenticated != self.decoder.limits().authenticated {
            self.change_limits();
        }
    }

    #[cold]
    fn change_limits(&mut self) {
        self.stranger_since = None;
        (self.output_pause_bytes, _) = match self.session.authenticated {
            true => (OUTPUT_PAUSE_BYTES, self.decoder.set_limits(Limits::authenticated())),
            false => (STRANGER_OUTPUT_PAUSE_BYTES, self.decoder.set_limits(Limits::unauthenticated())),
        };
    }

    /// Reads once.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Received {
        loop {
            return match self.socket.read(buffer) {
                Ok(0) => Received::Gone,
                Ok(count) => Received::Bytes(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => Received::Nothing,
                Err(_) => Received::Gone,
            };
        }
    }

    /// How much is waiting to be sent, in bytes.
    pub fn unsent_bytes(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Whether requests may be run now.
    pub fn may_run(&self) -> bool {
        self.wait.is_none() && self.held.is_none() && !self.closing && !self.is_jammed()
    }

    /// Whether the client has so much to read that nothing more is run for it.
    pub fn is_jammed(&self) -> bool {
        self.unsent_bytes() >= self.output_pause_bytes
    }

    /// Takes back the reply from `start` on, if none is wanted.
    pub fn keep_silence(&mut self, start: usize) {
        if self.session.is_silent() {
            self.output.truncate(start);
            self.session.end_silence();
        }
    }

    /// Replies with a refusal, if a reply is wanted.
    pub fn refuse(&mut self, refusal: &Refusal) {
        let start = self.output.len();
        refuse(&mut ReplyWriter::new(&mut self.output, self.session.protocol), refusal);
        self.keep_silence(start);
    }

    /// Sends what it can; whether the connection is still of use.
    pub fn send(&mut self) -> bool {
        // Such a reply is cut off: no byte of it may go.
        if self.unsent_bytes() > OUTPUT_BYTES_MAX {
            return false;
        }
        while self.sent < self.output.len() {
            match self.socket.write(&self.output[self.sent..]) {
                Ok(0) => return false,
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.blocked = true;
                    if self.sent > OUTPUT_PAUSE_BYTES {
                        self.output.drain(..self.sent);
                        self.sent = 0;
                    }
                    // Who does not read what it is refused with will not log in.
                    return self.session.authenticated || !self.is_jammed();
                }
                Err(_) => return false,
            }
        }
        self.output.clear();
        self.sent = 0;
        // A large reply once does not hold its memory for ever.
        if self.output.capacity() > OUTPUT_PAUSE_BYTES {
            self.output = Vec::new();
        }
        // Of a socket that encrypts, the last bytes may still be on their way.
        self.blocked = match self.socket.flush() {
            Ok(()) => false,
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            Err(_) => return false,
        };
        self.blocked || !self.closing || self.held.is_some()
    }
}
