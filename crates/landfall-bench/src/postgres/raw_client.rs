//! PostgreSQL by hand, as lean as it gets: prepared statements, binary values, a whole transaction in one write.
//! It must never be slower than what a person would write who knows the protocol: it is the limit that others are held to.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result, bail};
use bytes::{BufMut, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

const READ_BYTES: usize = 64 * 1024;

/// A connection over the server's socket.
pub(super) struct RawClient {
    stream: UnixStream,
    input: BytesMut,
    buffer: Vec<u8>,
}

impl RawClient {
    pub(super) fn connect(folder: &Path, port: u16, user: &str, database: &str) -> Result<RawClient> {
        let stream = UnixStream::connect(folder.join(format!(".s.PGSQL.{port}")))?;
        let mut client = RawClient { stream, input: BytesMut::new(), buffer: vec![0; READ_BYTES] };
        let mut out = BytesMut::new();
        frontend::startup_message([("user", user), ("database", database)], &mut out)?;
        client.exchange(&out, 1)?;
        Ok(client)
    }

    /// Sends what was prepared, and waits for so many ends of it.
    pub(super) fn exchange(&mut self, out: &[u8], ends: usize) -> Result<()> {
        self.stream.write_all(out)?;
        let mut left = ends;
        let mut refused = None;
        while left > 0 {
            match Message::parse(&mut self.input)? {
                Some(Message::ReadyForQuery(_)) => left -= 1,
                Some(Message::ErrorResponse(body)) => {
                    refused = Some(String::from_utf8_lossy(&error_bytes(&body)).into_owned());
                }
                Some(_) => {}
                None => {
                    let count = self.stream.read(&mut self.buffer)?;
                    if count == 0 {
                        bail!("PostgreSQL closed the connection");
                    }
                    self.input.extend_from_slice(&self.buffer[..count]);
                }
            }
        }
        match refused {
            Some(words) => bail!("PostgreSQL refuses: {words}"),
            None => Ok(()),
        }
    }

    /// Runs statements that bind nothing.
    pub(super) fn script(&mut self, sql: &str) -> Result<()> {
        let mut out = BytesMut::new();
        frontend::query(sql, &mut out)?;
        self.exchange(&out, 1)
    }

    pub(super) fn prepare(&mut self, name: &str, sql: &str) -> Result<()> {
        let mut out = BytesMut::new();
        frontend::parse(name, sql, [], &mut out)?;
        frontend::sync(&mut out);
        self.exchange(&out, 1).with_context(|| sql.to_owned())
    }
}

fn error_bytes(body: &postgres_protocol::message::backend::ErrorResponseBody) -> Vec<u8> {
    use fallible_iterator::FallibleIterator;
    let mut words = Vec::new();
    let mut fields = body.fields();
    while let Ok(Some(field)) = fields.next() {
        if matches!(field.type_(), b'C' | b'M') {
            words.extend_from_slice(field.value_bytes());
            words.push(b' ');
        }
    }
    words
}

/// Adds one prepared statement with binary values.
pub(super) fn bound(name: &str, values: &[BytesMut], out: &mut BytesMut) -> Result<()> {
    let write = |value: &BytesMut, out: &mut BytesMut| {
        out.extend_from_slice(value);
        Ok(IsNull::No)
    };
    if frontend::bind("", name, [1], values, write, [1], out).is_err() {
        bail!("a value is too large");
    }
    frontend::execute("", 0, out)?;
    Ok(())
}

/// Adds a statement that binds nothing.
pub(super) fn plain(sql: &str, out: &mut BytesMut) -> Result<()> {
    frontend::parse("", sql, [], out)?;
    bound("", &[], out)
}

/// An array in binary: the element's type, how many, and what writes them, each behind its length.
pub(super) fn array<T>(
    kind: u32,
    items: impl ExactSizeIterator<Item = T>,
    write: impl Fn(T, &mut BytesMut),
) -> BytesMut {
    let mut out = BytesMut::with_capacity(20 + 24 * items.len());
    out.put_i32(1);
    out.put_i32(0);
    out.put_u32(kind);
    out.put_i32(i32::try_from(items.len()).unwrap_or(i32::MAX));
    out.put_i32(1);
    for item in items {
        field(&mut out, |out| write(item, out));
    }
    out
}

/// One value behind its length.
pub(super) fn field(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_i32(0);
    write(out);
    let length = i32::try_from(out.len() - at - 4).unwrap_or(i32::MAX);
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}
