//! In a build without TLS: nothing can be made, and nobody asks, because URLs that want TLS are refused.
//! It must never let a connection go on as if it were encrypted.

use std::io::{self, Read, Write};

use super::settings::PostgresSettings;

pub(super) enum Failed {
    Refused(String),
    #[expect(dead_code, reason = "there is no handshake that could lose the connection")]
    Lost(io::Error),
}

pub(super) struct Config(());

impl Config {
    pub(super) fn new(_: &PostgresSettings) -> Result<Config, String> {
        Err(ABSENT.into())
    }
}

const ABSENT: &str = "this build has no TLS; build it with the feature tls";

pub(super) fn told(_: &io::Error) -> Option<String> {
    None
}

/// There is none.
pub(super) enum Session {}

impl Session {
    pub(super) fn begin(_: &Config, _: &str, _: &mut (impl Read + Write)) -> Result<Session, Failed> {
        Err(Failed::Refused(ABSENT.into()))
    }

    pub(super) fn send(&mut self, _: &mut (impl Read + Write), _: &[u8]) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn read(&mut self, _: &mut (impl Read + Write), _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn server_end_point(&self) -> Option<Vec<u8>> {
        match *self {}
    }
}
