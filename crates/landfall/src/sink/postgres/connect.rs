//! Makes connections: the socket, the login, and the settings that landing relies on.
//! It never sends a password anywhere but to the server that was named, and never waits without a deadline.

use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use super::settings::{PostgresPlace, PostgresSettings};
use super::wire::{Failure, Refusal, Socket, Wire, refusal};
use crate::env::Clock;
use crate::error::SinkError;

/// A connection that is logged in.
pub(super) fn connect(settings: &PostgresSettings, clock: &Arc<dyn Clock>) -> Result<Wire, SinkError> {
    let lost = |words: String| SinkError::Unavailable(format!("{settings}: {words}"));
    let socket = socket(settings).map_err(|error| lost(error.kind().to_string()))?;
    let timeout = Duration::from_millis(settings.answer_timeout_ms);
    let mut wire = Wire::new(socket, Arc::clone(clock), timeout);
    let deadline = clock.monotonic() + Duration::from_millis(settings.connect_timeout_ms);
    log_in(&mut wire, settings, deadline).map_err(|failure| match failure {
        Failure::Lost(words) => lost(words),
        Failure::Refused(refusal) => refused(settings, &refusal),
    })?;
    Ok(wire)
}

fn socket(settings: &PostgresSettings) -> std::io::Result<Socket> {
    let timeout = Duration::from_millis(settings.connect_timeout_ms);
    match &settings.place {
        PostgresPlace::Unix(folder, port) => {
            UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).map(Socket::Unix)
        }
        PostgresPlace::Tcp(host, port) => {
            // The name is asked for at each connection: after a failover it may mean another machine.
            let mut failed = std::io::ErrorKind::NotFound.into();
            for address in (host.as_str(), *port).to_socket_addrs()? {
                match TcpStream::connect_timeout(&address, timeout) {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        return Ok(Socket::Tcp(stream));
                    }
                    Err(error) => failed = error,
                }
            }
            Err(failed)
        }
    }
}

fn log_in(wire: &mut Wire, settings: &PostgresSettings, deadline: Duration) -> Result<(), Failure> {
    let mut out = BytesMut::new();
    let parameters = [
        ("user", settings.user.as_str()),
        ("database", settings.database.as_str()),
        ("client_encoding", "UTF8"),
        ("application_name", "landfall"),
    ];
    frontend::startup_message(parameters, &mut out)?;
    wire.send(&out, deadline)?;
    let password = || {
        let missing = "the server asks for a password; write it into the URL or into a file";
        settings.password.as_deref().ok_or_else(|| Failure::Lost(missing.into()))
    };
    let mut scram: Option<ScramSha256> = None;
    loop {
        out.clear();
        match wire.receive(deadline)? {
            Message::AuthenticationCleartextPassword => {
                frontend::password_message(password()?.as_bytes(), &mut out)?;
            }
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(settings.user.as_bytes(), password()?.as_bytes(), body.salt());
                frontend::password_message(hash.as_bytes(), &mut out)?;
            }
            Message::AuthenticationSasl(body) => {
                if !body.mechanisms().any(|mechanism| Ok(mechanism == SCRAM_SHA_256))? {
                    return Err(Failure::Lost(
                        "the server knows no way to log in that Landfall knows".into(),
                    ));
                }
                let begun = ScramSha256::new(password()?.as_bytes(), ChannelBinding::unsupported());
                frontend::sasl_initial_response(SCRAM_SHA_256, begun.message(), &mut out)?;
                scram = Some(begun);
            }
            Message::AuthenticationSaslContinue(body) => {
                let scram = scram.as_mut().ok_or_else(unasked)?;
                scram.update(body.data())?;
                frontend::sasl_response(scram.message(), &mut out)?;
            }
            Message::AuthenticationSaslFinal(body) => {
                scram.as_mut().ok_or_else(unasked)?.finish(body.data())?
            }
            Message::AuthenticationOk
            | Message::BackendKeyData(_)
            | Message::ParameterStatus(_)
            | Message::NoticeResponse(_) => {}
            Message::ReadyForQuery(_) => return Ok(()),
            Message::ErrorResponse(body) => return Err(Failure::Refused(refusal(body.fields())?)),
            _ => {
                return Err(Failure::Lost(
                    "the server asks for a way to log in that Landfall does not know".into(),
                ));
            }
        }
        wire.send(&out, deadline)?;
    }
}

fn unasked() -> Failure {
    Failure::Lost("the server went on with a login that was not begun".into())
}

/// Why a login was refused, and what to do.
fn refused(settings: &PostgresSettings, refusal: &Refusal) -> SinkError {
    let code = &refusal.code;
    match code.as_str() {
        "28P01" | "28000" => SinkError::Unusable(format!(
            "{settings} refuses the user or the password ({code}); check both, and pg_hba.conf on the server"
        )),
        "3D000" => SinkError::Unusable(format!(
            "{settings}: the server has no such database ({code}); create it with createdb {}",
            settings.database
        )),
        "42501" => SinkError::Unusable(format!(
            "{settings}: the user may not connect to this database ({code}); grant CONNECT to it"
        )),
        _ => SinkError::Unavailable(format!("{settings} takes no connections now ({code})")),
    }
}
