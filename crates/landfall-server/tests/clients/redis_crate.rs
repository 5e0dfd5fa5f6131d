//! The `redis` crate: its blocking connection, and its multiplexed asynchronous one. Neither connects again by itself
//! (only its connection manager does), so nothing is sent twice.
//! When a pipeline breaks, the crate keeps the replies that came to itself: all of it is unknown.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use landfall_resp::Value;
use landfall_sim::client::{Answer, Connection, Request};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, RedisResult};

/// Connects in the blocking way.
pub(super) fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Box<dyn Connection>> {
    let connection = client(address)?.get_connection_with_timeout(timeout).map_err(io::Error::other)?;
    connection.set_read_timeout(Some(timeout)).map_err(io::Error::other)?;
    connection.set_write_timeout(Some(timeout)).map_err(io::Error::other)?;
    Ok(Box::new(Blocking { connection, broken: false }))
}

/// Connects in the asynchronous way, on a runtime of its own.
pub(super) fn connect_async(address: SocketAddr, timeout: Duration) -> io::Result<Box<dyn Connection>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(Some(timeout));
    let client = client(address)?;
    let connection = runtime
        .block_on(client.get_multiplexed_async_connection_with_config(&config))
        .map_err(io::Error::other)?;
    Ok(Box::new(Multiplexed { runtime, connection, broken: false }))
}

fn client(address: SocketAddr) -> io::Result<Client> {
    Client::open(format!("redis://{address}/")).map_err(io::Error::other)
}

struct Blocking {
    connection: redis::Connection,
    broken: bool,
}

impl Connection for Blocking {
    fn pipeline(&mut self, requests: &[Request]) -> Vec<Answer> {
        if self.broken {
            return unknown(requests);
        }
        let replies = pipe(requests).query(&mut self.connection);
        answers(requests, replies, &mut self.broken)
    }

    fn is_broken(&self) -> bool {
        self.broken
    }
}

struct Multiplexed {
    runtime: tokio::runtime::Runtime,
    connection: MultiplexedConnection,
    broken: bool,
}

impl Connection for Multiplexed {
    fn pipeline(&mut self, requests: &[Request]) -> Vec<Answer> {
        if self.broken {
            return unknown(requests);
        }
        let replies = self.runtime.block_on(pipe(requests).query_async(&mut self.connection));
        answers(requests, replies, &mut self.broken)
    }

    fn is_broken(&self) -> bool {
        self.broken
    }
}

/// The requests as they are, without a transaction of the crate's own.
fn pipe(requests: &[Request]) -> Pipeline {
    let mut pipe = redis::pipe();
    pipe.ignore_errors();
    for request in requests {
        let mut command = redis::Cmd::new();
        for word in request {
            command.arg(word.as_slice());
        }
        pipe.add_command(command);
    }
    pipe
}

fn answers(requests: &[Request], replies: RedisResult<Vec<redis::Value>>, broken: &mut bool) -> Vec<Answer> {
    let at = Instant::now();
    match replies {
        Ok(replies) if replies.len() == requests.len() => {
            replies.into_iter().map(|reply| Answer::Reply(value(reply), at)).collect()
        }
        _ => {
            *broken = true;
            unknown(requests)
        }
    }
}

fn unknown(requests: &[Request]) -> Vec<Answer> {
    requests.iter().map(|_| Answer::None).collect()
}

fn value(reply: redis::Value) -> Value {
    use redis::Value as Theirs;
    match reply {
        Theirs::Nil => Value::Null,
        Theirs::Int(number) => Value::Integer(number),
        Theirs::BulkString(bytes) => Value::Bulk(bytes),
        Theirs::SimpleString(text) => Value::Simple(text.into_bytes()),
        Theirs::Okay => Value::Simple(b"OK".to_vec()),
        Theirs::Array(items) => Value::Array(items.into_iter().map(value).collect()),
        Theirs::Double(number) => Value::Double(number),
        Theirs::Boolean(boolean) => Value::Bool(boolean),
        Theirs::ServerError(error) => {
            Value::Error(format!("{} {}", error.code(), error.details().unwrap_or_default()).into_bytes())
        }
        // An error that nobody expects: the load does not ask for such replies.
        other => Value::Error(format!("ERR the redis crate read {other:?}").into_bytes()),
    }
}
