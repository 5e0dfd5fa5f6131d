//! Stands in for TLS in a build without it: it connects to nobody, and names the build that can.
//! It must never go on in plain text.

use std::io::{Read, Result, Write};
use std::net::TcpStream;

use crate::config::ClientTls;

/// There is none.
pub(super) struct TlsStream {
    pub(super) sock: TcpStream,
    never: Never,
}

enum Never {}

pub(super) fn connect(_: TcpStream, _: &str, _: &ClientTls) -> std::result::Result<TlsStream, String> {
    Err("this build has no TLS; build it with: cargo build --release --features tls".to_owned())
}

pub(super) fn advice(_: &std::io::Error) -> &'static str {
    ""
}

impl Read for TlsStream {
    fn read(&mut self, _: &mut [u8]) -> Result<usize> {
        match self.never {}
    }
}

impl Write for TlsStream {
    fn write(&mut self, _: &[u8]) -> Result<usize> {
        match self.never {}
    }

    fn flush(&mut self) -> Result<()> {
        match self.never {}
    }
}
