//! What the loop may be told: where to listen, and how much clients may take.
//! It holds values only; what they mean is decided where they are used.

use std::path::PathBuf;
use std::time::Duration;

use super::listen::Place;

/// The settings of the loop.
#[derive(Debug, Clone)]
pub struct FrontSettings {
    /// Where to listen, at most [`super::LISTENERS_MAX`] places.
    pub places: Vec<Place>,
    /// What places with TLS need.
    pub tls: Option<TlsFiles>,
    /// The most connections at once, if there are descriptors for them.
    pub connections_max: usize,
    /// The most memory of all requests and replies that are on their way, in bytes.
    pub client_bytes_max: usize,
    /// A connection that completes no request for so long is closed; zero: never.
    pub idle_max: Duration,
    /// Who has to log in is closed when it has not after so long.
    pub login_max: Duration,
}

/// The files that a server shows and signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those between it and its authority, in PEM.
    pub cert: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
    /// By what clients are known; none: they are asked for no certificate.
    pub clients: Option<ClientCertificates>,
}

/// Which certificates of clients are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The authorities that sign them, in PEM.
    pub ca: PathBuf,
    /// Whether a client without one is turned away.
    pub required: bool,
}
