//! The socket of a connection, of whatever kind: the loop reads, writes and polls all kinds alike.
//! It must never block, and never hold more than what one record of its kind needs.

use std::io::{Read, Result, Write};
use std::net::SocketAddr;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use super::tls::TlsStream;

/// A socket.
pub enum Socket {
    /// Redis protocol over TCP, in the clear.
    Tcp(TcpStream),
    /// Over a socket in the file system.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Box<TlsStream>),
}

impl Socket {
    /// Says that nothing follows, where the protocol has a word for it.
    pub(super) fn say_goodbye(&mut self) {
        if let Socket::Tls(stream) = self {
            stream.say_goodbye();
        }
    }

    /// Whether no event tells of what is left to read.
    #[inline]
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Socket::Tls(stream) if stream.has_ended())
    }

    /// The memory that it holds in this process, in bytes.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Socket::Tcp(_) | Socket::Unix(_) => 0,
            Socket::Tls(stream) => stream.held_bytes(),
        }
    }
}

/// Who is on the other side, as far as the network tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// An address of a network.
    Network(SocketAddr),
    /// A process of this machine, over the socket in the file system.
    Unix,
}

impl Socket {
    /// The address that the client came to, if it came over a network and the system still knows.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Socket::Tcp(stream) => stream.local_addr().ok(),
            Socket::Tls(stream) => stream.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(buffer),
            Socket::Unix(stream) => stream.read(buffer),
            Socket::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
            Socket::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Socket::Tcp(stream) => stream.flush(),
            Socket::Unix(stream) => stream.flush(),
            Socket::Tls(stream) => stream.flush(),
        }
    }
}

impl Source for Socket {
    fn register(&mut self, registry: &Registry, token: Token, interest: Interest) -> Result<()> {
        match self {
            Socket::Tcp(stream) => stream.register(registry, token, interest),
            Socket::Unix(stream) => stream.register(registry, token, interest),
            Socket::Tls(stream) => stream.register(registry, token, interest),
        }
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interest: Interest) -> Result<()> {
        match self {
            Socket::Tcp(stream) => stream.reregister(registry, token, interest),
            Socket::Unix(stream) => stream.reregister(registry, token, interest),
            Socket::Tls(stream) => stream.reregister(registry, token, interest),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> Result<()> {
        match self {
            Socket::Tcp(stream) => stream.deregister(registry),
            Socket::Unix(stream) => stream.deregister(registry),
            Socket::Tls(stream) => stream.deregister(registry),
        }
    }
}
