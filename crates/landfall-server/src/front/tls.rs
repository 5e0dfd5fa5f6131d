//! TLS for the front: the certificate, the thread that makes handshakes, and the stream that the loop reads afterwards.
//! It must never fall back to plain text, or take less than TLS 1.2.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpListener;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::settings::TlsFiles;
use super::shared::Shared;

mod handshakes;
mod stream;

pub(super) use handshakes::Door;
pub(super) use stream::TlsStream;

/// What the handshakes need, from the files.
///
/// # Errors
/// What is wrong with the files, and what to do.
pub(super) fn config(files: &TlsFiles) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(certificates(&files.cert)?, key(&files.key)?);
    config.map(Arc::new).map_err(|error| {
        let (cert, key) = (files.cert.display(), files.key.display());
        format!("tls-cert = \"{cert}\" and tls-key = \"{key}\" do not go together: {error}")
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let refused = |why: String| format!("tls-cert = \"{}\" {why}", path.display());
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| refused(format!("cannot be read: {error}")));
    match found? {
        none if none.is_empty() => Err(refused("holds no certificate in PEM".to_owned())),
        found => Ok(found),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let refused = |why: String| format!("tls-key = \"{}\" {why}", path.display());
    let metadata = std::fs::metadata(path).map_err(|error| refused(format!("cannot be read: {error}")))?;
    if metadata.mode() & 0o007 != 0 {
        return Err(refused("is open to everybody on this machine; chmod o-rwx it".to_owned()));
    }
    // What is wrong with a key is said without any of it.
    PrivateKeyDer::from_pem_file(path).map_err(|_| refused("holds no key in PEM".to_owned()))
}

/// Opens the doors with TLS.
///
/// # Errors
/// The system's.
pub(super) fn open(
    listeners: Vec<TcpListener>,
    config: Arc<ServerConfig>,
    handshake_max: Duration,
    shared: Arc<Shared>,
) -> std::io::Result<Door> {
    Door::open(listeners, config, handshake_max, shared)
}
