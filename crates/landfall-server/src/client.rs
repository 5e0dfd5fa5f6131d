//! A small blocking Redis client for the commands of the binary: one connection, one reply at a time, every wait bounded.
//! It must never send a command twice, as it cannot know whether the first one was carried out.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use landfall_resp::{DecodedReply, ReplyDecoder, ReplyLimits, Value, encode_request};
use serde_json::Value as Json;

use crate::config::{ClientTls, Password, ServerAddress};
use crate::failure::{FINDING, Failure, UNAVAILABLE};
use crate::front::users::DEFAULT_USER;

mod stream;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "client/tls_absent.rs"]
mod tls;

use stream::Stream;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a reply may take where the caller says nothing else.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 64 << 10;

/// A connection to a server.
pub struct Client {
    stream: Stream,
    server: ServerAddress,
    decoder: ReplyDecoder,
    received: Vec<u8>,
    request: Vec<u8>,
    timeout: Duration,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection.
    #[error("cannot connect to {server}: {cause}. Is the server running? Start it with: landfall serve")]
    Connect {
        /// Where to.
        server: ServerAddress,
        /// The cause.
        cause: String,
    },
    /// The connection ended, or what came is no reply.
    #[error("the connection to {server} was lost: {cause}. Is it Landfall, and is it still running?")]
    Lost {
        /// Where to.
        server: ServerAddress,
        /// The cause.
        cause: String,
    },
    /// Nothing came.
    #[error("{server} has not answered within {seconds} s; the command may still be carried out")]
    Timeout {
        /// Where to.
        server: ServerAddress,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The server answered with an error where none was expected.
    #[error("{0}")]
    Refused(String),
    /// The server answered with something else than the command promises.
    #[error(
        "{server} does not answer {command} as Landfall does: is it another server, or an older one? Choose one with --url"
    )]
    Unexpected {
        /// Where to.
        server: ServerAddress,
        /// The command.
        command: String,
    },
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let code = match &error {
            ClientError::Refused(_) => FINDING,
            _ => UNAVAILABLE,
        };
        Failure::new(code, error.to_string())
    }
}

impl Client {
    /// Connects, and logs in if there is a password. `tls` says what a server with TLS is trusted by and shown.
    ///
    /// # Errors
    /// [`ClientError::Connect`], and [`ClientError::Refused`] for a wrong password.
    pub fn connect(
        server: &ServerAddress,
        tls: &ClientTls,
        login: Option<(&str, &Password)>,
    ) -> Result<Client, ClientError> {
        let stream = Stream::connect(server, tls)
            .map_err(|cause| ClientError::Connect { server: server.clone(), cause })?;
        let mut client = Client {
            stream,
            server: server.clone(),
            decoder: ReplyDecoder::new(ReplyLimits::default()),
            received: Vec::new(),
            request: Vec::new(),
            timeout: REPLY_TIMEOUT,
        };
        match login {
            // As other servers understand it too.
            Some((DEFAULT_USER, password)) => client.expect_ok(&[b"AUTH", password.as_bytes()])?,
            Some((user, password)) => client.expect_ok(&[b"AUTH", user.as_bytes(), password.as_bytes()])?,
            None => {}
        }
        Ok(client)
    }

    /// From now on a reply may take so long.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Sends one command and returns its reply, which may be an error reply.
    ///
    /// # Errors
    /// [`ClientError::Lost`] and [`ClientError::Timeout`]; the connection is of no use afterwards.
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Value, ClientError> {
        self.request.clear();
        encode_request(&mut self.request, args);
        self.stream.write_all(&self.request).map_err(|error| self.lost_by(&error))?;
        self.reply()
    }

    /// The same, where an error reply is an error too.
    ///
    /// # Errors
    /// As [`Client::call`], and [`ClientError::Refused`].
    pub fn value<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Value, ClientError> {
        let value = self.call(args)?;
        match value.as_error() {
            Some(error) => Err(self.refused(args, error.to_string())),
            None => Ok(value),
        }
    }

    /// Sends a command that answers OK.
    ///
    /// # Errors
    /// As [`Client::value`].
    pub fn expect_ok<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<(), ClientError> {
        match self.value(args)?.as_bytes() {
            Some(b"OK") => Ok(()),
            _ => Err(self.unexpected(args)),
        }
    }

    /// Sends a command that answers a number.
    ///
    /// # Errors
    /// As [`Client::value`].
    pub fn integer<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<i64, ClientError> {
        self.value(args)?.as_integer().ok_or_else(|| self.unexpected(args))
    }

    /// Sends a command that answers a text or nothing.
    ///
    /// # Errors
    /// As [`Client::value`].
    pub fn text<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Option<String>, ClientError> {
        let value = self.value(args)?;
        if value.is_null() {
            return Ok(None);
        }
        let bytes = value.as_bytes().ok_or_else(|| self.unexpected(args))?;
        Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
    }

    /// Sends a command that answers a hash.
    ///
    /// # Errors
    /// As [`Client::value`].
    pub fn pairs<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Vec<(String, String)>, ClientError> {
        let pairs = self.value(args)?.into_pairs().map_err(|_| self.unexpected(args))?;
        let text = |value: &Value| value.as_bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let pairs: Option<Vec<_>> =
            pairs.iter().map(|(name, value)| Some((text(name)?, text(value)?))).collect();
        pairs.ok_or_else(|| self.unexpected(args))
    }

    /// Sends a command that answers a JSON document, and returns it with its text.
    ///
    /// # Errors
    /// As [`Client::value`].
    pub fn document<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<(String, Json), ClientError> {
        let text = self.text(args)?.ok_or_else(|| self.unexpected(args))?;
        let document = serde_json::from_str(&text).map_err(|_| self.unexpected(args))?;
        Ok((text, document))
    }

    /// An error reply; that it does not know our own commands says that it is another server.
    fn refused<A: AsRef<[u8]>>(&self, args: &[A], reason: String) -> ClientError {
        let is_own = args.first().is_some_and(|name| name.as_ref().starts_with(b"LANDFALL."));
        if is_own && reason.starts_with("ERR unknown command") {
            self.unexpected(args)
        } else {
            ClientError::Refused(reason)
        }
    }

    fn reply(&mut self) -> Result<Value, ClientError> {
        let deadline = Instant::now().checked_add(self.timeout);
        loop {
            match self.decoder.decode(&self.received).map_err(|error| self.lost(&error.to_string()))? {
                DecodedReply::Complete { value, consumed } => {
                    self.received.drain(..consumed);
                    return Ok(value);
                }
                DecodedReply::Incomplete { .. } => self.receive(deadline)?,
            }
        }
    }

    fn receive(&mut self, deadline: Option<Instant>) -> Result<(), ClientError> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout =
            || ClientError::Timeout { server: self.server.clone(), seconds: self.timeout.as_secs() };
        if left.is_some_and(|left| left.is_zero()) {
            return Err(timeout());
        }
        self.stream.set_read_timeout(left).map_err(|error| self.lost(&error.to_string()))?;
        let start = self.received.len();
        self.received.resize(start + READ_BYTES, 0);
        let read = self.stream.read(&mut self.received[start..]);
        self.received.truncate(start + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(self.lost("the server closed it")),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(timeout())
            }
            Err(error) => Err(self.lost_by(&error)),
        }
    }

    fn lost_by(&self, error: &std::io::Error) -> ClientError {
        self.lost(&format!("{error}{}", tls::advice(error)))
    }

    fn lost(&self, cause: &str) -> ClientError {
        ClientError::Lost { server: self.server.clone(), cause: cause.to_owned() }
    }

    fn unexpected<A: AsRef<[u8]>>(&self, args: &[A]) -> ClientError {
        let command = args.first().map(|command| String::from_utf8_lossy(command.as_ref()).into_owned());
        ClientError::Unexpected { server: self.server.clone(), command: command.unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn server(answer: &'static [u8]) -> ServerAddress {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            for part in answer.chunks(3) {
                stream.write_all(part).unwrap();
            }
            let _ = stream.read(&mut request);
        });
        ServerAddress::Tcp { host: "127.0.0.1".into(), port, tls: false }
    }

    #[test]
    fn a_reply_is_put_together_from_its_parts() {
        let mut client =
            Client::connect(&server(b"*2\r\n$5\r\nhello\r\n:7\r\n"), &ClientTls::default(), None).unwrap();
        let reply = client.call(&["ANY"]).unwrap();
        assert_eq!(reply, Value::Array(vec![Value::Bulk(b"hello".to_vec()), Value::Integer(7)]));
    }

    #[test]
    fn an_error_reply_is_a_finding() {
        let mut client = Client::connect(&server(b"-ERR no\r\n"), &ClientTls::default(), None).unwrap();
        let error = client.expect_ok(&["ANY"]).unwrap_err();
        assert_eq!(error.to_string(), "ERR no");
        assert_eq!(crate::failure::exit_code(&anyhow::Error::from(Failure::from(error))), FINDING);
    }

    #[test]
    fn a_server_that_does_not_know_our_commands_is_another_one() {
        let unknown = b"-ERR unknown command 'LANDFALL.STATUS', with args beginning with: \r\n";
        let mut client = Client::connect(&server(unknown), &ClientTls::default(), None).unwrap();
        let error = client.document(&["LANDFALL.STATUS"]).unwrap_err();
        assert!(error.to_string().contains("is it another server"), "{error}");
    }

    #[test]
    fn silence_ends_with_a_timeout() {
        let mut client = Client::connect(&server(b"$9\r\nhal"), &ClientTls::default(), None).unwrap();
        client.set_timeout(Duration::from_millis(20));
        assert!(matches!(client.call(&["ANY"]), Err(ClientError::Timeout { .. })));
    }

    #[test]
    fn garbage_is_no_reply() {
        let mut client =
            Client::connect(&server(b"HTTP/1.1 400 Bad Request\r\n"), &ClientTls::default(), None).unwrap();
        assert!(matches!(client.call(&["ANY"]), Err(ClientError::Lost { .. })));
    }

    #[test]
    fn nobody_there_names_the_command_to_run() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let server = ServerAddress::Tcp { host: "127.0.0.1".into(), port, tls: false };
        let error = Client::connect(&server, &ClientTls::default(), None).err().unwrap();
        assert!(error.to_string().ends_with("Start it with: landfall serve"), "{error}");
        assert_eq!(crate::failure::exit_code(&anyhow::Error::from(Failure::from(error))), UNAVAILABLE);
    }
}
