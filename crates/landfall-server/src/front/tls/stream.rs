//! A TLS session on a socket that does not block. To the loop it looks like any other socket.
//! It must never say that nothing is left to read while the session still holds some of it.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::SocketAddr;

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ServerConnection;

/// What a session may hold of encrypted replies, in bytes.
pub(super) const SESSION_BYTES_MAX: usize = 64 << 10;
/// What a session takes that has nothing to send, in bytes, as measured.
const SESSION_BYTES: usize = 8 << 10;

/// A session whose handshake is over.
pub struct TlsStream {
    stream: TcpStream,
    session: ServerConnection,
    /// The client has said goodbye, or broken the session: no event tells when the rest is read.
    ended: bool,
    /// How the client has broken the session; what came before still counts.
    broken: Option<Box<rustls::Error>>,
}

impl TlsStream {
    /// A session whose handshake is made; it may have been `broken` right behind it.
    pub(super) fn new(
        stream: TcpStream,
        session: ServerConnection,
        broken: Option<Box<rustls::Error>>,
    ) -> TlsStream {
        TlsStream { stream, session, ended: false, broken }
    }

    /// The address that the client came to.
    pub(crate) fn local_addr(&self) -> Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Whether no event tells of what is left to read.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The memory that the session holds, in bytes: what it may hold at most, as it does not say how much it does.
    pub(crate) fn held_bytes(&self) -> usize {
        SESSION_BYTES + if self.session.wants_write() { SESSION_BYTES_MAX } else { 0 }
    }

    /// Says that nothing follows, as far as that goes without waiting.
    pub(crate) fn say_goodbye(&mut self) {
        self.session.send_close_notify();
        // The socket closes next; a client that misses this sees a cut.
        let _ = self.flush();
    }
}

impl Read for TlsStream {
    /// Fills the buffer, unless the socket has no more for now. What came before the session broke still counts.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        loop {
            match self.session.reader().read(&mut buffer[filled..]) {
                // A goodbye.
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock && self.broken.is_none() => {
                    match self.session.read_tls(&mut self.stream) {
                        Ok(0) => break,
                        Ok(_) => self.broken = self.session.process_new_packets().err().map(Box::new),
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(_) if filled > 0 => return Ok(filled),
                        Err(error) => return Err(error),
                    }
                    continue;
                }
                // The session is broken and read to its end, or was cut off without a goodbye.
                Err(_) => break,
            }
            if filled == buffer.len() {
                return Ok(filled);
            }
        }
        self.ended = true;
        match self.broken.clone() {
            Some(error) if filled == 0 => {
                // What was wrong is told as far as that goes without waiting.
                let _ = self.flush();
                Err(Error::new(ErrorKind::InvalidData, error))
            }
            _ => Ok(filled),
        }
    }
}

impl Write for TlsStream {
    /// Takes no more than the session may hold; what was taken before goes first.
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.flush()?;
        let taken = self.session.writer().write(bytes)?;
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    /// Sends what is encrypted; an error of the kind `WouldBlock` says that some of it is left.
    fn flush(&mut self) -> Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.stream) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Source for TlsStream {
    fn register(&mut self, registry: &Registry, token: Token, interest: Interest) -> Result<()> {
        self.stream.register(registry, token, interest)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interest: Interest) -> Result<()> {
        self.stream.reregister(registry, token, interest)
    }

    fn deregister(&mut self, registry: &Registry) -> Result<()> {
        self.stream.deregister(registry)
    }
}
