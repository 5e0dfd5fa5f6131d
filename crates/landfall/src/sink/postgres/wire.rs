//! One connection: statements go out in one write, answers come back with the server's own tags.
//! It never waits without a deadline, and never goes on with a connection whose answers it does not understand.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::IsNull;
use postgres_protocol::message::backend::{DataRowBody, ErrorFields, Message};
use postgres_protocol::message::frontend;

use super::raw::{Raw, Timed};
use super::tls;
use crate::env::Clock;

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;
/// So much is collected before it is sent: while the server works on it, the next is made.
const SEND_BYTES: usize = 256 * 1024;
/// So many statements go out before their answers are read. Who only sends, to a server whose answers nobody takes, waits for
/// ever once the sockets are full: they hold the answers of some thousands.
const UNANSWERED_MAX: usize = 1_000;
/// The largest answer: a row of the largest field that PostgreSQL has, and some.
const ANSWER_BYTES_MAX: usize = 1 << 30;

/// A cell as its text; none is NULL.
pub(super) type Cell = Option<Vec<u8>>;

/// A statement and what is bound to it, as text.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) sql: Cow<'static, str>,
    pub(super) bound: Vec<Cell>,
    /// What a `COPY .. FROM STDIN` reads.
    pub(super) copied: Option<Vec<u8>>,
}

impl Step {
    pub(super) fn new(sql: impl Into<Cow<'static, str>>, bound: Vec<Cell>) -> Step {
        Step { sql: sql.into(), bound, copied: None }
    }

    /// A `COPY .. FROM STDIN` of this text.
    pub(super) fn copy(sql: impl Into<Cow<'static, str>>, text: Vec<u8>) -> Step {
        Step { copied: Some(text), ..Step::bare(sql) }
    }

    pub(super) fn bare(sql: impl Into<Cow<'static, str>>) -> Step {
        Step::new(sql, Vec::new())
    }

    /// About how much it is on the wire.
    pub(super) fn bytes(&self) -> usize {
        let bound: usize = self.bound.iter().flatten().map(Vec::len).sum();
        self.sql.len() + bound + self.copied.as_ref().map_or(0, Vec::len)
    }
}

/// What the server answered to one statement.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) rows: Vec<Vec<Cell>>,
    /// `UPDATE 3`, `COMMIT`.
    pub(super) tag: String,
    /// The server said a warning with it.
    pub(super) is_warned: bool,
}

impl Answer {
    /// Takes a message of the answer in; with its last one it goes to the others.
    fn take_in(&mut self, message: Message, answers: &mut Vec<Answer>) -> Result<(), Failure> {
        match message {
            Message::DataRow(row) => self.rows.push(cells(&row)?),
            Message::CommandComplete(body) => {
                self.tag = body.tag()?.to_owned();
                answers.push(std::mem::take(self));
            }
            Message::EmptyQueryResponse => answers.push(std::mem::take(self)),
            Message::ErrorResponse(body) => return Err(Failure::Refused(refusal(body.fields())?)),
            Message::NoticeResponse(body) => self.is_warned |= is_warning(body.fields())?,
            Message::ParseComplete
            | Message::BindComplete
            | Message::NoData
            | Message::CopyInResponse(_)
            | Message::RowDescription(_)
            | Message::ParameterStatus(_)
            | Message::NotificationResponse(_) => {}
            _ => return Err(Failure::Lost("an answer of a kind that was not asked for".into())),
        }
        Ok(())
    }
}

/// An error that the server reports.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusal {
    pub(super) code: String,
    /// Whether the session is over.
    pub(super) is_fatal: bool,
    pub(super) column: String,
    pub(super) constraint: String,
}

/// Why an exchange failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server refuses.
    Refused(Box<Refusal>),
    /// No answer that can be trusted; the connection is of no more use. Words without values.
    Lost(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        if let Some(words) = tls::told(&error) {
            return Failure::Lost(words);
        }
        Failure::Lost(match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time".into(),
            io::ErrorKind::UnexpectedEof => "the server closed the connection".into(),
            kind => kind.to_string(),
        })
    }
}

/// A connection. Dropping it ends the session, and rolls back what was open.
pub(super) struct Wire {
    raw: Raw,
    tls: Option<Box<tls::Session>>,
    input: BytesMut,
    buffer: Vec<u8>,
    /// What is queued and not sent yet.
    output: BytesMut,
    /// How many statements are queued or sent whose answers were not asked for.
    queued: usize,
    /// Of the statements that are queued, the answers that were read already, up to the first failure; and that.
    early: (Vec<Answer>, Option<Failure>),
    clock: Arc<dyn Clock>,
    answer_timeout: Duration,
}

impl Wire {
    pub(super) fn new(raw: Raw, clock: Arc<dyn Clock>, answer_timeout: Duration) -> Wire {
        Wire {
            raw,
            tls: None,
            input: BytesMut::new(),
            buffer: vec![0; READ_BYTES],
            output: BytesMut::new(),
            queued: 0,
            early: (Vec::new(), None),
            clock,
            answer_timeout,
        }
    }

    /// Puts TLS around what follows. What came before in plain text is no part of it.
    pub(super) fn encrypt(
        &mut self,
        config: &tls::Config,
        host: &str,
        deadline: Duration,
    ) -> Result<(), tls::Failed> {
        let mut io = Timed { raw: &mut self.raw, clock: &*self.clock, deadline };
        self.tls = Some(Box::new(tls::Session::begin(config, host, &mut io)?));
        Ok(())
    }

    /// What a login over TLS can be bound to.
    pub(super) fn server_end_point(&self) -> Option<Vec<u8>> {
        self.tls.as_ref()?.server_end_point()
    }

    /// When what begins now has to be over.
    pub(super) fn deadline(&self) -> Duration {
        self.clock.monotonic() + self.answer_timeout
    }

    pub(super) fn send(&mut self, out: &[u8], deadline: Duration) -> io::Result<()> {
        let mut io = Timed { raw: &mut self.raw, clock: &*self.clock, deadline };
        match &mut self.tls {
            None => io.write_all(out),
            Some(session) => session.send(&mut io, out),
        }
    }

    /// One byte of plain text, and nothing behind it: what is there belongs to the handshake.
    pub(super) fn receive_byte(&mut self, deadline: Duration) -> Result<u8, Failure> {
        let mut byte = [0];
        Timed { raw: &mut self.raw, clock: &*self.clock, deadline }.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    pub(super) fn receive(&mut self, deadline: Duration) -> Result<Message, Failure> {
        loop {
            if let Some(message) = Message::parse(&mut self.input)? {
                return Ok(message);
            }
            if self.input.len() > ANSWER_BYTES_MAX {
                return Err(Failure::Lost("an answer larger than a row can be".into()));
            }
            let mut io = Timed { raw: &mut self.raw, clock: &*self.clock, deadline };
            let read = match &mut self.tls {
                None => io.read(&mut self.buffer),
                Some(session) => session.read(&mut io, &mut self.buffer),
            };
            match read {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(count) => self.input.extend_from_slice(&self.buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Queues statements without waiting for answers; what has collected is sent. Behind the first refused one none runs,
    /// up to the [`exchange`](Wire::exchange) that tells.
    pub(super) fn queue(&mut self, steps: &[Step]) -> Result<(), Failure> {
        for step in steps {
            let out = &mut self.output;
            out.reserve(step.bytes() + 64);
            frontend::parse("", &step.sql, [], out)?;
            frontend::bind("", "", [], &step.bound, write_cell, [0i16], out)
                .map_err(|_| Failure::Lost("a value larger than a message can hold".into()))?;
            frontend::execute("", 0, out)?;
            if let Some(text) = &step.copied {
                frontend::CopyData::new(&text[..])?.write(out);
                frontend::copy_done(out);
            }
            self.queued += 1;
            if self.output.len() >= SEND_BYTES {
                self.send_queued()?;
            }
            if self.queued - self.early.0.len() >= UNANSWERED_MAX && self.early.1.is_none() {
                self.read_early()?;
            }
        }
        Ok(())
    }

    /// Reads the answers to all that is queued up to here. Behind a failure the server passes over the rest by itself.
    fn read_early(&mut self) -> io::Result<()> {
        frontend::flush(&mut self.output);
        self.send_queued()?;
        let (mut answers, mut failure) = std::mem::take(&mut self.early);
        let mut current = Answer::default();
        let deadline = self.deadline();
        while answers.len() < self.queued && failure.is_none() {
            let message = self.receive(deadline);
            failure = message.and_then(|message| current.take_in(message, &mut answers)).err();
        }
        self.early = (answers, failure);
        Ok(())
    }

    /// Asks for the answers to all that is queued: those up to the first failure, and that.
    pub(super) fn exchange(&mut self) -> (Vec<Answer>, Option<Failure>) {
        let asked = std::mem::take(&mut self.queued);
        let (mut answers, failed) = std::mem::take(&mut self.early);
        frontend::sync(&mut self.output);
        let deadline = self.deadline();
        if let Err(error) = self.send_queued() {
            return (answers, Some(failed.unwrap_or(error.into())));
        }
        let failure = self.collect_into(&mut answers, deadline).err();
        match (answers, failed.or(failure)) {
            (answers, None) if answers.len() != asked => {
                (answers, Some(Failure::Lost("an answer is missing".into())))
            }
            collected => collected,
        }
    }

    /// Lets go of what is queued and of the answers to what was sent of it.
    pub(super) fn abandon(&mut self) {
        if self.queued > 0 {
            self.exchange();
        }
    }

    fn send_queued(&mut self) -> io::Result<()> {
        let mut out = std::mem::take(&mut self.output);
        let sent = self.send(&out, self.deadline());
        out.clear();
        self.output = out;
        sent
    }

    /// Runs statements one after the other; behind the first refused one none runs. What is queued goes before them.
    pub(super) fn run(&mut self, steps: &[Step]) -> Result<Vec<Answer>, Failure> {
        let before = self.queued;
        self.queue(steps)?;
        match self.exchange() {
            (mut answers, None) => Ok(answers.split_off(before.min(answers.len()))),
            (_, Some(failure)) => Err(failure),
        }
    }

    /// Runs a text of several statements that binds nothing.
    pub(super) fn script(&mut self, sql: &str) -> Result<Vec<Answer>, Failure> {
        let mut out = BytesMut::new();
        frontend::query(sql, &mut out)?;
        let deadline = self.deadline();
        self.send(&out, deadline)?;
        self.collect(deadline)
    }

    pub(super) fn collect(&mut self, deadline: Duration) -> Result<Vec<Answer>, Failure> {
        match self.collected(deadline) {
            (answers, None) => Ok(answers),
            (_, Some(failure)) => Err(failure),
        }
    }

    /// The answers up to the first failure, and that.
    fn collected(&mut self, deadline: Duration) -> (Vec<Answer>, Option<Failure>) {
        let mut answers = Vec::new();
        let failure = self.collect_into(&mut answers, deadline).err();
        (answers, failure)
    }

    fn collect_into(&mut self, answers: &mut Vec<Answer>, deadline: Duration) -> Result<(), Failure> {
        let mut current = Answer::default();
        let mut refused = None;
        loop {
            match self.receive(deadline)? {
                Message::ReadyForQuery(_) => break,
                message => match current.take_in(message, answers) {
                    Err(Failure::Refused(refusal)) => {
                        let is_fatal = refusal.is_fatal;
                        refused.get_or_insert(refusal);
                        if is_fatal {
                            break;
                        }
                    }
                    taken => taken?,
                },
            }
        }
        match refused {
            Some(refusal) => Err(Failure::Refused(refusal)),
            None => Ok(()),
        }
    }
}

fn write_cell(cell: &Cell, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
    match cell {
        None => Ok(IsNull::Yes),
        Some(text) => {
            out.extend_from_slice(text);
            Ok(IsNull::No)
        }
    }
}

fn cells(row: &DataRowBody) -> io::Result<Vec<Cell>> {
    let buffer = row.buffer();
    row.ranges().map(|range| Ok(range.map(|range| buffer[range].to_vec()))).collect()
}

/// What a server's error says; its words are left out, because they may hold values.
pub(super) fn refusal(mut fields: ErrorFields<'_>) -> io::Result<Box<Refusal>> {
    let mut refusal = Refusal::default();
    while let Some(field) = fields.next()? {
        let text = || String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'V' => refusal.is_fatal = field.value_bytes() != b"ERROR",
            b'C' => refusal.code = text(),
            b'c' => refusal.column = text(),
            b'n' => refusal.constraint = text(),
            _ => {}
        }
    }
    Ok(Box::new(refusal))
}

fn is_warning(mut fields: ErrorFields<'_>) -> io::Result<bool> {
    while let Some(field) = fields.next()? {
        if field.type_() == b'V' {
            return Ok(field.value_bytes() == b"WARNING");
        }
    }
    Ok(false)
}
