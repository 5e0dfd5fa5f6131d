//! A small blocking RESP client for tests: pipelines, timeouts, and an honest word on every outcome.
//! It must never send a request twice, and never call an outcome known that is not.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use landfall_resp::{DecodedReply, ReplyDecoder, ReplyLimits, Value, encode_request};

/// Bytes taken from the socket at once.
const READ_BYTES: usize = 64 * 1024;

/// A request: the command's name and its arguments.
pub type Request = Vec<Vec<u8>>;

/// Makes a request of texts and numbers.
///
/// ```
/// let request = landfall_sim::client::request(&["SET", "user:1", "Alice"]);
/// assert_eq!(request[2], b"Alice");
/// ```
pub fn request(words: &[&str]) -> Request {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// What a request led to.
#[derive(Debug)]
pub enum Answer {
    /// A reply came, at this moment.
    Reply(Value, Instant),
    /// The request may have been sent, and no reply came.
    None,
}

/// What can be said of a request's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is acknowledged.
    Done,
    /// It was refused and changed nothing.
    Refused,
    /// Nobody knows.
    Unknown,
}

impl Answer {
    /// What the answer says of the request's effect. An error that calls an outcome unknown may or may not have had one.
    pub fn effect(&self) -> Effect {
        let Self::Reply(value, _) = self else { return Effect::Unknown };
        let Some(error) = value.as_error() else { return Effect::Done };
        let message = String::from_utf8_lossy(error.message);
        match message.contains("outcome unknown") || message.contains("unknown outcome") {
            true => Effect::Unknown,
            false => Effect::Refused,
        }
    }

    /// The reply, if one came.
    pub fn value(&self) -> Option<&Value> {
        match self {
            Self::Reply(value, _) => Some(value),
            Self::None => None,
        }
    }
}

/// A connection of any client: ours, or one that people use. It sends a request once; one that tries again by itself
/// doubles what it sends, and has to be set up not to.
pub trait Connection {
    /// Sends all requests and waits for their replies, one answer for each request. A failure breaks the connection,
    /// and every request whose reply was not seen has an unknown outcome.
    fn pipeline(&mut self, requests: &[Request]) -> Vec<Answer>;

    /// Whether the connection failed; what is sent afterwards is not sent at all.
    fn is_broken(&self) -> bool;
}

/// How a connection of some client is made; the time is the longest wait for a reply.
///
/// # Errors
/// The server is not there, or the client does not get on with it.
pub type Connect = fn(SocketAddr, Duration) -> io::Result<Box<dyn Connection>>;

/// One connection of our own client.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    decoder: ReplyDecoder,
    received: Vec<u8>,
    timeout: Duration,
    broken: bool,
}

impl Client {
    /// Connects. `timeout` is the longest wait for the next bytes of a reply.
    ///
    /// # Errors
    /// The connection was refused, or the address cannot be reached.
    pub fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        let decoder = ReplyDecoder::new(ReplyLimits::default());
        Ok(Client { stream, decoder, received: Vec::new(), timeout, broken: false })
    }

    /// [`Client::connect`] for the load.
    ///
    /// # Errors
    /// As for [`Client::connect`].
    pub fn connect_any(address: SocketAddr, timeout: Duration) -> io::Result<Box<dyn Connection>> {
        Ok(Box::new(Client::connect(address, timeout)?))
    }

    /// Whether the connection failed; what is sent afterwards is not sent at all.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Sends all requests at once and waits for their replies, one answer for each request. A failure breaks the
    /// connection, and every request without a reply has an unknown outcome.
    pub fn pipeline(&mut self, requests: &[Request]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(requests.len());
        let mut sent = Vec::new();
        requests.iter().for_each(|request| encode_request(&mut sent, request));
        let written = match self.broken {
            true => Err(io::ErrorKind::NotConnected.into()),
            false => self.stream.write_all(&sent),
        };
        if written.is_ok() {
            while answers.len() < requests.len() {
                match self.reply() {
                    Ok(value) => answers.push(Answer::Reply(value, Instant::now())),
                    Err(_) => break,
                }
            }
        }
        self.broken |= answers.len() < requests.len();
        answers.resize_with(requests.len(), || Answer::None);
        answers
    }

    /// Sends one request and waits for its reply; an error reply is an error here.
    ///
    /// # Errors
    /// The connection failed, no reply came in time, or the reply is an error.
    pub fn call(&mut self, words: &[&str]) -> anyhow::Result<Value> {
        let name = words.first().copied().unwrap_or_default();
        match self.pipeline(&[request(words)]).pop() {
            Some(Answer::Reply(Value::Error(line), _)) => {
                anyhow::bail!("{name} was refused: {}", String::from_utf8_lossy(&line))
            }
            Some(Answer::Reply(value, _)) => Ok(value),
            _ => anyhow::bail!("{name} got no reply within {:?}, or the connection broke", self.timeout),
        }
    }

    fn reply(&mut self) -> io::Result<Value> {
        loop {
            let decoded = self.decoder.decode(&self.received);
            match decoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))? {
                DecodedReply::Complete { value, consumed } => {
                    self.received.drain(..consumed);
                    return Ok(value);
                }
                DecodedReply::Incomplete { .. } => self.receive()?,
            }
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut chunk = [0; READ_BYTES];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => {
                self.received.extend_from_slice(&chunk[..bytes]);
                Ok(())
            }
        }
    }
}

impl Connection for Client {
    fn pipeline(&mut self, requests: &[Request]) -> Vec<Answer> {
        Client::pipeline(self, requests)
    }

    fn is_broken(&self) -> bool {
        self.broken
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// A server that reads `expected_bytes`, answers with `reply` and closes.
    fn answering(expected_bytes: usize, reply: &'static [u8]) -> (SocketAddr, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut vec![0; expected_bytes]).unwrap();
            stream.write_all(reply).unwrap();
        });
        (address, server)
    }

    #[test]
    fn a_pipeline_whose_connection_breaks_has_known_and_unknown_outcomes() {
        let ping = request(&["PING"]);
        let mut bytes = Vec::new();
        encode_request(&mut bytes, &ping);
        let (address, server) = answering(bytes.len() * 3, b"+PONG\r\n-ERR no\r\n$5\r\nhal");
        let mut client = Client::connect(address, TIMEOUT).unwrap();
        let answers = client.pipeline(&[ping.clone(), ping.clone(), ping.clone()]);
        let effects: Vec<Effect> = answers.iter().map(Answer::effect).collect();
        assert_eq!(effects, [Effect::Done, Effect::Refused, Effect::Unknown]);
        assert!(client.is_broken());
        assert_eq!(client.pipeline(&[ping])[0].effect(), Effect::Unknown);
        server.join().unwrap();
    }

    #[test]
    fn an_error_that_leaves_the_outcome_open_is_unknown() {
        let answer =
            |line: &str| Answer::Reply(Value::Error(line.as_bytes().to_vec()), Instant::now()).effect();
        assert_eq!(answer("MISCONF outcome unknown: the log is poisoned"), Effect::Unknown);
        assert_eq!(answer("MISCONF cannot make a segment: no space"), Effect::Refused);
        assert_eq!(answer("ERR unknown command"), Effect::Refused);
        assert_eq!(answer("TRYAGAIN the queue is at its bound"), Effect::Refused);
    }
}
