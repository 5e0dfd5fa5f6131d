//! Stands in for TLS in a build without it: nothing of it can be opened, and the refusal names the build that has it.
//! It must never let a connection in.

use std::io::{Read, Result, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Source;
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};

use super::settings::TlsFiles;
use super::shared::Shared;

/// There is none.
pub enum TlsStream {}

/// There is none.
pub(super) enum Door {}

/// There is none.
pub(super) enum Config {}

pub(super) fn config(_: &TlsFiles) -> std::result::Result<Config, String> {
    Err("tls-cert: this build has no TLS; build it with: cargo build --release --features tls".to_owned())
}

pub(super) fn open(_: Vec<TcpListener>, config: Config, _: Duration, _: Arc<Shared>) -> Result<Door> {
    match config {}
}

impl TlsStream {
    pub(crate) fn local_addr(&self) -> Result<SocketAddr> {
        match *self {}
    }

    pub(crate) fn has_ended(&self) -> bool {
        match *self {}
    }

    pub(crate) fn held_bytes(&self) -> usize {
        match *self {}
    }

    pub(crate) fn say_goodbye(&mut self) {
        match *self {}
    }
}

impl Read for TlsStream {
    fn read(&mut self, _: &mut [u8]) -> Result<usize> {
        match *self {}
    }
}

impl Write for TlsStream {
    fn write(&mut self, _: &[u8]) -> Result<usize> {
        match *self {}
    }

    fn flush(&mut self) -> Result<()> {
        match *self {}
    }
}

impl Source for TlsStream {
    fn register(&mut self, _: &Registry, _: Token, _: Interest) -> Result<()> {
        match *self {}
    }

    fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> Result<()> {
        match *self {}
    }

    fn deregister(&mut self, _: &Registry) -> Result<()> {
        match *self {}
    }
}
