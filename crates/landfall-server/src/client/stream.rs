//! The blocking stream of the client, of whatever kind, with a bound on every wait.
//! It must never send anything by itself.

use std::io::{Read, Result, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::tls::{self, TlsStream};
use super::{CONNECT_TIMEOUT, REPLY_TIMEOUT};
use crate::config::{ClientTls, ServerAddress};

/// A stream to a server.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream>),
}

impl Stream {
    /// Connects; the error says why not.
    pub(super) fn connect(server: &ServerAddress, trust: &ClientTls) -> std::result::Result<Stream, String> {
        match server {
            ServerAddress::Tcp { host, port, tls: false } => tcp(host, *port).map(Stream::Tcp),
            ServerAddress::Tcp { host, port, tls: true } => {
                tls::connect(tcp(host, *port)?, host, trust).map(|stream| Stream::Tls(Box::new(stream)))
            }
            ServerAddress::Unix(path) => unix(path).map(Stream::Unix).map_err(|error| error.to_string()),
        }
    }

    pub(super) fn set_read_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_read_timeout(timeout),
            Stream::Unix(stream) => stream.set_read_timeout(timeout),
            Stream::Tls(stream) => stream.sock.set_read_timeout(timeout),
        }
    }
}

/// Tries all addresses of a name, one after the other.
fn tcp(host: &str, port: u16) -> std::result::Result<TcpStream, String> {
    let addresses = (host, port).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut cause = "the name has no address".to_owned();
    for address in addresses {
        let connected = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => cause = error.to_string(),
        }
    }
    Err(cause)
}

fn unix(path: &Path) -> Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
    Ok(stream)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Stream::Tcp(stream) => stream.flush(),
            Stream::Unix(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}
