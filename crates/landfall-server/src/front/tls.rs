//! TLS for the front: the certificate, the thread that makes handshakes, and the stream that the loop reads afterwards.
//! It must never fall back to plain text, take less than TLS 1.2, or let a client in without a certificate where one is asked for.

use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpListener;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use super::settings::{ClientCertificates, TlsFiles};
use super::shared::Shared;
use crate::pem;

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
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?;
    let builder = match &files.clients {
        Some(clients) => builder.with_client_cert_verifier(verifier(clients, provider)?),
        None => builder.with_no_client_auth(),
    };
    let (certificates, key) = (pem::certificates("tls-cert", &files.cert)?, pem::key("tls-key", &files.key)?);
    let mut config = builder.with_single_cert(certificates, key);
    if let (Ok(config), Some(_)) = (&mut config, &files.clients) {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.map(Arc::new).map_err(|error| {
        let (cert, key) = (files.cert.display(), files.key.display());
        format!("tls-cert = \"{cert}\" and tls-key = \"{key}\" do not go together: {error}")
    })
}

/// Who asks clients for their certificates. Each is looked at anew: a session that is taken up again would bring one that has
/// expired since.
fn verifier(
    clients: &ClientCertificates,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let refused = |why: String| format!("tls-ca = \"{}\" {why}", clients.ca.display());
    let mut authorities = RootCertStore::empty();
    for certificate in pem::certificates("tls-ca", &clients.ca)? {
        authorities
            .add(certificate)
            .map_err(|error| refused(format!("holds a certificate of no use: {error}")))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| refused(format!("cannot tell clients: {error}")))
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
