//! TLS around a connection to PostgreSQL: who the server has to be, and what its certificate binds a login to.
//! It never takes a certificate that was not verified as the settings ask, and never falls back to plain text.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme, Stream,
};

use super::fingerprint;
use super::settings::{PostgresSettings, PostgresTls};

/// Why there is no TLS.
pub(super) enum Failed {
    /// A person has to change something.
    Refused(String),
    /// The connection is gone.
    Lost(io::Error),
}

/// What handshakes are made with.
pub(super) struct Config(Arc<ClientConfig>);

impl Config {
    /// The error says what is wrong with the certificates that the settings name.
    pub(super) fn new(settings: &PostgresSettings) -> Result<Config, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = match settings.tls {
            PostgresTls::Disable | PostgresTls::Require => None,
            PostgresTls::VerifyCa | PostgresTls::VerifyFull => Some(roots(settings)?),
        };
        let verifier = Verifier {
            roots,
            is_named: settings.tls == PostgresTls::VerifyFull,
            provider: Arc::clone(&provider),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match &settings.pem.own {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = CertificateDer::pem_slice_iter(cert).collect::<Result<Vec<_>, _>>();
                let chain = chain.ok().filter(|chain| !chain.is_empty());
                let chain = chain.ok_or("the file of sslcert holds no certificate in PEM")?;
                // What is wrong with a key is said without any of it.
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|_| "the file of sslkey holds no key in PEM, or one with a passphrase")?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| format!("sslcert and sslkey do not go together: {error}"))?
            }
        };
        Ok(Config(Arc::new(config)))
    }
}

fn roots(settings: &PostgresSettings) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_slice_iter(&settings.pem.root).collect::<Result<Vec<_>, _>>();
    // Bundles of systems hold some that are of no use here.
    let (taken, _) = roots.add_parsable_certificates(found.unwrap_or_default());
    match (taken, &settings.pem.root_file) {
        (0, None) => Err("this system has no certificates that are trusted; name those of the server's authority with sslrootcert=FILE".into()),
        (0, Some(_)) => Err("the file of sslrootcert holds no certificate in PEM".into()),
        _ => Ok(roots),
    }
}

/// A session over a connection that is somebody else's.
pub(super) struct Session(ClientConnection);

impl Session {
    /// Makes a handshake with the server, which `host` names.
    pub(super) fn begin(
        config: &Config,
        host: &str,
        io: &mut (impl Read + Write),
    ) -> Result<Session, Failed> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Failed::Refused(format!("no certificate can be made out to the host {host}")))?;
        let mut connection = ClientConnection::new(Arc::clone(&config.0), name)
            .map_err(|error| Failed::Refused(format!("TLS: {error}")))?;
        while connection.is_handshaking() {
            connection.complete_io(io).map_err(failed)?;
        }
        Ok(Session(connection))
    }

    /// Sends all of it.
    pub(super) fn send(&mut self, io: &mut (impl Read + Write), bytes: &[u8]) -> io::Result<()> {
        let mut stream = Stream::new(&mut self.0, io);
        stream.write_all(bytes)?;
        stream.flush()
    }

    pub(super) fn read(&mut self, io: &mut (impl Read + Write), bytes: &mut [u8]) -> io::Result<usize> {
        Stream::new(&mut self.0, io).read(bytes)
    }

    /// What a login is bound to (RFC 5929, tls-server-end-point); none where the certificate leaves it open.
    pub(super) fn server_end_point(&self) -> Option<Vec<u8>> {
        fingerprint::of(self.0.peer_certificates()?.first()?)
    }
}

/// What an error of a handshake means, and what to do.
fn failed(error: io::Error) -> Failed {
    match told(&error) {
        None => Failed::Lost(error),
        Some(words) => Failed::Refused(words),
    }
}

/// What an error says, and what to do, if it is about TLS. With TLS 1.3 a server refuses only after the handshake.
pub(super) fn told(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let advice = match inner {
        rustls::Error::InvalidCertificate(of_certificate) => match of_certificate {
            CertificateError::UnknownIssuer => "name the certificate of its authority with sslrootcert=FILE",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "connect to the name that it is made out to (subjectAltName), or write sslmode=verify-ca"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "renew it on the server, or set the clock"
            }
            _ => "the server needs a certificate that an authority made out to it",
        },
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure,
        ) => "the server may ask for a certificate: name one with sslcert=FILE and sslkey=FILE",
        rustls::Error::AlertReceived(_) => "the server refuses; does it take the certificate of sslcert?",
        _ => "does it speak TLS 1.2 or later?",
    };
    Some(format!("TLS: {inner} ({advice})"))
}

/// Verifies as much of a certificate as the settings ask for.
#[derive(Debug)]
struct Verifier {
    /// None: whoever it is, the login will tell.
    roots: Option<RootCertStore>,
    is_named: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
            if self.is_named {
                verify_server_name(&certificate, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
