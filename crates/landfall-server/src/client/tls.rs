//! TLS for the client: it connects only to a server that it can trust, by its name and its authority.
//! It must never go on in plain text, or without looking at the certificate.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::CONNECT_TIMEOUT;
use crate::config::ClientTls;
use crate::pem;

/// A TLS session that blocks.
pub(super) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Makes a handshake as a client of `host`; the error says why not.
pub(super) fn connect(socket: TcpStream, host: &str, tls: &ClientTls) -> Result<TlsStream, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| format!("{host}: {error}"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(tls.ca.as_deref())?);
    let config = match &tls.own {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => builder
            .with_client_auth_cert(
                pem::certificates("tls-client-cert", cert)?,
                pem::key("tls-client-key", key)?,
            )
            .map_err(|error| {
                let (cert, key) = (cert.display(), key.display());
                format!(
                    "tls-client-cert = \"{cert}\" and tls-client-key = \"{key}\" do not go together: {error}"
                )
            })?,
    };
    let session = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    let mut stream = StreamOwned::new(session, socket);
    stream.sock.set_read_timeout(Some(CONNECT_TIMEOUT)).map_err(|error| error.to_string())?;
    while stream.conn.is_handshaking() {
        if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
            return Err(format!("TLS: {error}{}", advice(&error)));
        }
    }
    Ok(stream)
}

/// What to do about an error, if there is something.
pub(super) fn advice(error: &std::io::Error) -> &'static str {
    use rustls::CertificateError;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            " (give the certificate of its authority with --tls-ca FILE)"
        }
        Some(rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure,
        )) => {
            " (the server asks for a certificate: give one with --tls-client-cert FILE and --tls-client-key FILE)"
        }
        Some(rustls::Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::DecryptError,
        )) => " (the server does not take the certificate of --tls-client-cert)",
        Some(rustls::Error::InvalidMessage(_)) => " (does it speak TLS? Without, connect with redis://)",
        _ => "",
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let path = ca.map(Path::to_owned).or_else(pem::system_roots).ok_or_else(|| {
        "this system has no certificates that are trusted; name those of the server's authority with --tls-ca FILE".to_owned()
    })?;
    let refused = |why: String| format!("tls-ca = \"{}\" {why}", path.display());
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&path)
        .and_then(Iterator::collect)
        .map_err(|error| refused(format!("cannot be read: {error}")));
    let mut roots = RootCertStore::empty();
    // Bundles of systems hold some that are of no use here.
    let (taken, _) = roots.add_parsable_certificates(found?);
    match taken {
        0 => Err(refused("holds no certificate in PEM".to_owned())),
        _ => Ok(roots),
    }
}
