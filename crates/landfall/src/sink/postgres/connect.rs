//! Makes connections: the server among several, TLS, and the login.
//! It never sends a password anywhere but to the server that was named, never goes on in plain text where TLS was asked
//! for, and never waits without a deadline.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;

use super::address;
use super::settings::{PostgresPlace, PostgresSettings, PostgresTarget, PostgresTls};
use super::tls;
use super::wire::{Failure, Refusal, Step, Wire, refusal};
use crate::env::Clock;
use crate::error::SinkError;

/// A connection that is logged in, to the first of the servers that can be used.
pub(super) fn connect(settings: &PostgresSettings, clock: &Arc<dyn Clock>) -> Result<Wire, SinkError> {
    let mut failed = Vec::new();
    for (at, place) in settings.places.iter().enumerate() {
        match connect_to(settings, at, place, clock) {
            Ok(wire) => return Ok(wire),
            Err(error) => failed.push((place, error)),
        }
    }
    let is_unusable = failed.iter().all(|(_, error)| matches!(error, Unmade::Unusable(_)));
    let words = failed.into_iter().map(|(place, error)| {
        let (Unmade::Unavailable(words) | Unmade::Unusable(words)) = error;
        if settings.places.len() > 1 { format!("{place}: {words}") } else { words }
    });
    let words = format!("{settings}: {}", words.collect::<Vec<_>>().join("; "));
    Err(if is_unusable { SinkError::Unusable(words) } else { SinkError::Unavailable(words) })
}

/// Why there is no connection.
enum Unmade {
    /// It may work the next time.
    Unavailable(String),
    /// A person has to change something.
    Unusable(String),
}

impl From<Failure> for Unmade {
    fn from(failure: Failure) -> Unmade {
        match failure {
            Failure::Lost(words) => Unmade::Unavailable(words),
            Failure::Refused(refusal) => {
                Unmade::Unavailable(format!("it takes no connections now ({})", refusal.code))
            }
        }
    }
}

impl From<std::io::Error> for Unmade {
    fn from(error: std::io::Error) -> Unmade {
        Failure::from(error).into()
    }
}

fn connect_to(
    settings: &PostgresSettings,
    at: usize,
    place: &PostgresPlace,
    clock: &Arc<dyn Clock>,
) -> Result<Wire, Unmade> {
    let deadline = clock.monotonic() + Duration::from_millis(settings.connect_timeout_ms);
    let raw = address::reach(place, clock, deadline).map_err(|error| {
        let words = match error.kind() {
            std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
            kind => kind.to_string(),
        };
        Unmade::Unavailable(words)
    })?;
    let mut wire = Wire::new(raw, Arc::clone(clock), Duration::from_millis(settings.answer_timeout_ms));
    if let PostgresPlace::Tcp(host, _) = place
        && settings.tls != PostgresTls::Disable
    {
        encrypt(&mut wire, settings, host, deadline)?;
    }
    let mut login =
        Login { settings, at, binding: Binding::of(&wire, settings), scram: None, is_proved: false };
    login.run(&mut wire, deadline)?;
    if settings.target == PostgresTarget::ReadWrite {
        let asked = Step::bare("SELECT current_setting('transaction_read_only')");
        let answers = wire.run(&[asked])?;
        let read_only = answers.first().and_then(|answer| answer.rows.first()?.first()?.clone());
        if read_only.as_deref() != Some(b"off") {
            return Err(Unmade::Unavailable(
                "it is read-only (a replica?), and target_session_attrs asks for one that takes writes"
                    .into(),
            ));
        }
    }
    Ok(wire)
}

/// Puts TLS around the connection, or fails. Nothing but the request for it has been sent before.
fn encrypt(
    wire: &mut Wire,
    settings: &PostgresSettings,
    host: &str,
    deadline: Duration,
) -> Result<(), Unmade> {
    let config = tls::Config::new(settings).map_err(Unmade::Unusable)?;
    let mut out = BytesMut::new();
    frontend::ssl_request(&mut out);
    wire.send(&out, deadline)?;
    match wire.receive_byte(deadline)? {
        b'S' => {}
        b'N' => {
            return Err(Unmade::Unusable(
                "the server has no TLS, and sslmode asks for it; switch ssl on in its postgresql.conf, or write sslmode=disable if the network can be trusted".into(),
            ));
        }
        _ => return Err(Unmade::Unavailable("the server does not understand a request for TLS".into())),
    }
    wire.encrypt(&config, host, deadline).map_err(|failed| match failed {
        tls::Failed::Refused(words) => Unmade::Unusable(words),
        tls::Failed::Lost(error) => error.into(),
    })
}

/// What a login over TLS can be bound to.
enum Binding {
    /// There is no TLS.
    None,
    /// There is, and nothing to bind to in the server's certificate.
    Impossible,
    /// The fingerprint of the server's certificate.
    EndPoint(Vec<u8>),
}

impl Binding {
    fn of(wire: &Wire, settings: &PostgresSettings) -> Binding {
        match (settings.tls, wire.server_end_point()) {
            (PostgresTls::Disable, _) => Binding::None,
            (_, None) => Binding::Impossible,
            (_, Some(end_point)) => Binding::EndPoint(end_point),
        }
    }
}

/// A login under way.
struct Login<'s> {
    settings: &'s PostgresSettings,
    at: usize,
    binding: Binding,
    /// The exchange, and whether it is bound to the connection.
    scram: Option<(ScramSha256, bool)>,
    /// The server has shown that it knows the password: over this connection, where the exchange was bound to it.
    is_proved: bool,
}

impl Login<'_> {
    fn run(&mut self, wire: &mut Wire, deadline: Duration) -> Result<(), Unmade> {
        let mut out = BytesMut::new();
        let parameters = [
            ("user", self.settings.user.as_str()),
            ("database", self.settings.database.as_str()),
            ("client_encoding", "UTF8"),
            ("application_name", "landfall"),
        ];
        frontend::startup_message(parameters, &mut out)?;
        wire.send(&out, deadline)?;
        loop {
            out.clear();
            let message = wire.receive(deadline)?;
            if self.answer(message, &mut out)? {
                return Ok(());
            }
            wire.send(&out, deadline)?;
        }
    }

    /// What a message asks for; whether it was the last one.
    fn answer(&mut self, message: Message, out: &mut BytesMut) -> Result<bool, Unmade> {
        match message {
            Message::AuthenticationCleartextPassword => {
                self.check_binding(false)?;
                frontend::password_message(self.password()?.as_bytes(), out)?;
            }
            Message::AuthenticationMd5Password(body) => {
                self.check_binding(false)?;
                let user = self.settings.user.as_bytes();
                let hash = md5_hash(user, self.password()?.as_bytes(), body.salt());
                frontend::password_message(hash.as_bytes(), out)?;
            }
            Message::AuthenticationSasl(body) => self.begin_scram(&body, out)?,
            Message::AuthenticationSaslContinue(body) => {
                let (scram, _) = self.scram.as_mut().ok_or_else(unasked)?;
                scram.update(body.data())?;
                frontend::sasl_response(scram.message(), out)?;
            }
            Message::AuthenticationSaslFinal(body) => {
                let (scram, _) = self.scram.as_mut().ok_or_else(unasked)?;
                scram.finish(body.data()).map_err(|_| {
                    Unmade::Unavailable("the server does not know the password that it asks for".into())
                })?;
                self.is_proved = true;
            }
            Message::AuthenticationOk => {
                if self.scram.is_some() && !self.is_proved {
                    return Err(unasked());
                }
                self.check_binding(matches!(self.scram, Some((_, true))))?;
            }
            Message::BackendKeyData(_) | Message::ParameterStatus(_) | Message::NoticeResponse(_) => {}
            Message::ReadyForQuery(_) => return Ok(true),
            Message::ErrorResponse(body) => return Err(refused(self.settings, &*refusal(body.fields())?)),
            _ => {
                return Err(Unmade::Unusable(
                    "the server asks for a way to log in that Landfall does not know".into(),
                ));
            }
        }
        Ok(false)
    }

    fn begin_scram(&mut self, body: &AuthenticationSaslBody, out: &mut BytesMut) -> Result<(), Unmade> {
        let offered: Vec<String> =
            body.mechanisms().map(|mechanism| Ok(mechanism.to_owned())).collect().map_err(Unmade::from)?;
        let offers = |name: &str| offered.iter().any(|mechanism| mechanism == name);
        let (binding, name, is_bound) = match &self.binding {
            Binding::EndPoint(end_point) if offers(SCRAM_SHA_256_PLUS) => {
                (ChannelBinding::tls_server_end_point(end_point.clone()), SCRAM_SHA_256_PLUS, true)
            }
            // Told so that a server which does offer it notices who in between took the offer away.
            Binding::EndPoint(_) => (ChannelBinding::unrequested(), SCRAM_SHA_256, false),
            Binding::Impossible | Binding::None => (ChannelBinding::unsupported(), SCRAM_SHA_256, false),
        };
        self.check_binding(is_bound)?;
        if !offers(name) {
            return Err(Unmade::Unusable("the server knows no way to log in that Landfall knows".into()));
        }
        let begun = ScramSha256::new(self.password()?.as_bytes(), binding);
        frontend::sasl_initial_response(name, begun.message(), out)?;
        self.scram = Some((begun, is_bound));
        Ok(())
    }

    /// Refuses to go on with a login that is not bound to the connection where it has to be.
    fn check_binding(&self, is_bound: bool) -> Result<(), Unmade> {
        if is_bound || !self.settings.is_bound {
            return Ok(());
        }
        let advice = match self.settings.tls {
            PostgresTls::Require => {
                "sslmode=require verifies no certificate, so the server must prove itself in the login, and it does not (SCRAM-SHA-256-PLUS, which poolers lack); name its authority: sslmode=verify-full&sslrootcert=FILE"
            }
            _ => {
                "channel_binding=require asks for a login that is bound to the connection, and the server has none (SCRAM-SHA-256-PLUS)"
            }
        };
        Err(Unmade::Unusable(advice.into()))
    }

    fn password(&self) -> Result<&str, Unmade> {
        self.settings.password_at(self.at).ok_or_else(|| {
            Unmade::Unusable(
                "the server asks for a password; write it into ~/.pgpass, or name a file: password_file=FILE"
                    .into(),
            )
        })
    }
}

fn unasked() -> Unmade {
    Unmade::Unavailable("the server went on with a login that was not begun or not ended".into())
}

/// Why a login was refused, and what to do.
fn refused(settings: &PostgresSettings, refusal: &Refusal) -> Unmade {
    let code = &refusal.code;
    let about_tls = match settings.tls {
        PostgresTls::Disable => "; if it takes only TLS, write sslmode=verify-full",
        _ => "",
    };
    match code.as_str() {
        "28P01" | "28000" => Unmade::Unusable(format!(
            "the server refuses the user or the password ({code}); check both, and pg_hba.conf on the server{about_tls}"
        )),
        "3D000" => Unmade::Unusable(format!(
            "the server has no such database ({code}); create it with createdb {}",
            settings.database
        )),
        "42501" => Unmade::Unusable(format!(
            "the user may not connect to this database ({code}); grant CONNECT to it"
        )),
        _ => Unmade::Unavailable(format!("it takes no connections now ({code})")),
    }
}
