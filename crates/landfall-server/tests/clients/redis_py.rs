//! redis-py, driven by a small script that sends each pipeline once.
//! When a pipeline breaks, the script ends without a word on the replies that came: all of it is unknown.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use landfall_resp::Value;
use landfall_sim::client::{Answer, Connection, Request, request};
use landfall_sim::skipping::find_program;

use super::piped::Piped;

const SCRIPT: &str = include_str!("redis_py.py");

pub(super) fn lacks() -> Option<String> {
    python().is_none().then(|| "this machine has no python3 with redis-py (package python3-redis)".to_owned())
}

/// A Python that has redis-py: the system's, for which packages are made, or the first in `PATH`.
fn python() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let has_redis = |python: &PathBuf| {
        let mut command = Command::new(python);
        command.args(["-c", "import redis"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let look =
        || [Some("/usr/bin/python3".into()), find_program("python3")].into_iter().flatten().find(has_redis);
    FOUND.get_or_init(look).clone()
}

/// Starts the script; it is connected when a PING was answered.
pub(super) fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Box<dyn Connection>> {
    let mut command = Command::new(python().ok_or(io::ErrorKind::NotFound)?);
    command.args(["-c", SCRIPT, &address.ip().to_string(), &address.port().to_string()]);
    command.arg(timeout.as_secs().to_string());
    let mut client = RedisPy { piped: Piped::start(command, timeout)?, broken: false };
    match client.pipeline(&[request(&["PING"])]).pop() {
        Some(Answer::Reply(Value::Bulk(text), _)) if text == b"PONG" => Ok(Box::new(client)),
        _ => Err(io::ErrorKind::ConnectionRefused.into()),
    }
}

struct RedisPy {
    piped: Piped,
    broken: bool,
}

impl RedisPy {
    fn replies(&mut self, requests: &[Request]) -> Option<Vec<Value>> {
        let words: Option<Vec<Vec<&str>>> = requests
            .iter()
            .map(|request| request.iter().map(|word| std::str::from_utf8(word).ok()).collect())
            .collect();
        let line = serde_json::to_string(&words?).ok()?;
        self.piped.write(&(line + "\n")).ok()?;
        let replies: Vec<serde_json::Value> = serde_json::from_str(&self.piped.line().ok()?).ok()?;
        (replies.len() == requests.len()).then(|| replies.into_iter().map(value).collect())
    }
}

impl Connection for RedisPy {
    fn pipeline(&mut self, requests: &[Request]) -> Vec<Answer> {
        let replies = if self.broken { None } else { self.replies(requests) };
        self.broken |= replies.is_none();
        let at = Instant::now();
        match replies {
            Some(replies) => replies.into_iter().map(|reply| Answer::Reply(reply, at)).collect(),
            None => requests.iter().map(|_| Answer::None).collect(),
        }
    }

    fn is_broken(&self) -> bool {
        self.broken
    }
}

fn value(reply: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match reply {
        Json::Null => Value::Null,
        Json::Bool(boolean) => Value::Bool(boolean),
        Json::String(text) => Value::Bulk(text.into_bytes()),
        Json::Array(items) => Value::Array(items.into_iter().map(value).collect()),
        Json::Number(number) if number.is_i64() => Value::Integer(number.as_i64().unwrap_or_default()),
        other => match other.get("error").and_then(Json::as_str) {
            Some(message) => Value::Error(message.as_bytes().to_vec()),
            None => Value::Error(format!("ERR redis-py read {other}").into_bytes()),
        },
    }
}
