//! Fills a database with rows of a sample or of another program: scripts, and COPY.
//! It never touches Landfall's own tables, and no value becomes part of a statement's text.

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use super::errors::plain;
use super::wire::{Failure, Step, Wire, refusal};
use super::{PostgresDatabase, text};
use crate::error::SinkError;

/// How long one statement may take: an index over the largest sample takes minutes.
const ANSWER_TIMEOUT_MS: u64 = 3_600_000;
/// How much is sent at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// A connection to fill a database with. Dropped within a transaction, it rolls back.
pub struct PostgresLoader {
    wire: Wire,
}

impl PostgresDatabase {
    /// Connects to fill the database with rows, beside everything that lands.
    ///
    /// # Errors
    /// [`SinkError`] when no connection can be made.
    pub fn loader(&self) -> Result<PostgresLoader, SinkError> {
        let mut settings = self.settings.clone();
        settings.answer_timeout_ms = ANSWER_TIMEOUT_MS;
        super::connect::connect(&settings, &self.clock).map(|wire| PostgresLoader { wire })
    }
}

impl PostgresLoader {
    /// Runs statements that bind nothing.
    ///
    /// # Errors
    /// [`SinkError`]; the statements behind the refused one did not run.
    pub fn run(&mut self, sql: &str) -> Result<(), SinkError> {
        self.wire.script(sql).map(|_| ()).map_err(failed)
    }

    /// Commits, for sure or with an error: PostgreSQL answers the COMMIT of a failed transaction without one.
    ///
    /// # Errors
    /// [`SinkError::Unknown`] when it may be committed or not.
    pub fn commit(&mut self) -> Result<(), SinkError> {
        super::frame::commit(&mut self.wire, "the sample")
    }

    /// The first column of the rows that a query with these texts bound gives.
    ///
    /// # Errors
    /// [`SinkError`].
    pub fn texts(&mut self, sql: &'static str, bound: &[&str]) -> Result<Vec<String>, SinkError> {
        let bound = bound.iter().map(|text| Some(text.as_bytes().to_vec())).collect();
        let answers = self.wire.run(&[Step::new(sql, bound)]).map_err(failed)?;
        let rows = answers.iter().flat_map(|answer| &answer.rows);
        Ok(rows.filter_map(|row| text::string(row.first())).collect())
    }

    /// Begins `COPY table (columns) FROM STDIN`, which `sql` is.
    ///
    /// # Errors
    /// [`SinkError`] when the server refuses it.
    pub fn copy(&mut self, sql: &str) -> Result<PostgresCopy<'_>, SinkError> {
        let mut out = BytesMut::new();
        frontend::query(sql, &mut out).map_err(|error| failed(error.into()))?;
        let deadline = self.wire.deadline();
        self.wire.send(&out, deadline).map_err(|error| failed(error.into()))?;
        loop {
            match self.wire.receive(deadline).map_err(failed)? {
                Message::CopyInResponse(_) => break,
                Message::NoticeResponse(_) | Message::ParameterStatus(_) => {}
                Message::ErrorResponse(body) => {
                    let refusal = refusal(body.fields()).map_err(|error| failed(error.into()))?;
                    return Err(failed(Failure::Refused(refusal)));
                }
                _ => return Err(failed(Failure::Lost("the server does not copy".into()))),
            }
        }
        Ok(PostgresCopy { wire: &mut self.wire, rows: Vec::with_capacity(CHUNK_BYTES) })
    }
}

/// A COPY under way. Dropped before its end, it leaves the connection of no use, and the server rolls back.
pub struct PostgresCopy<'l> {
    wire: &'l mut Wire,
    rows: Vec<u8>,
}

impl PostgresCopy<'_> {
    /// Sends one row; none is NULL. The server may refuse it only at the end.
    ///
    /// # Errors
    /// [`SinkError::Unavailable`] when the connection is lost.
    pub fn row<'c>(&mut self, cells: impl IntoIterator<Item = Option<&'c str>>) -> Result<(), SinkError> {
        for (at, cell) in cells.into_iter().enumerate() {
            if at > 0 {
                self.rows.push(b'\t');
            }
            match cell {
                None => self.rows.extend_from_slice(b"\\N"),
                Some(text) => text.bytes().for_each(|byte| escape(byte, &mut self.rows)),
            }
        }
        self.rows.push(b'\n');
        if self.rows.len() >= CHUNK_BYTES { self.send() } else { Ok(()) }
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`SinkError::Refused`] when one of the rows is refused: then none of them is there.
    pub fn finish(mut self) -> Result<(), SinkError> {
        self.send()?;
        let mut out = BytesMut::new();
        frontend::copy_done(&mut out);
        let deadline = self.wire.deadline();
        self.wire.send(&out, deadline).map_err(|error| failed(error.into()))?;
        self.wire.collect(deadline).map(|_| ()).map_err(failed)
    }

    fn send(&mut self) -> Result<(), SinkError> {
        let mut out = BytesMut::new();
        let data = frontend::CopyData::new(self.rows.as_slice()).map_err(|error| failed(error.into()))?;
        data.write(&mut out);
        self.rows.clear();
        let deadline = self.wire.deadline();
        self.wire.send(&out, deadline).map_err(|error| failed(error.into()))
    }
}

/// In the text form of COPY a backslash begins what stands for another byte.
fn escape(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        other => out.push(other),
    }
}

fn failed(failure: Failure) -> SinkError {
    plain("the sample", failure)
}
