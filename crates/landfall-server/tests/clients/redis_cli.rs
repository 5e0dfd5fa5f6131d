//! redis-cli, which reads commands from a pipe and prints one line of CSV for each reply.
//! It never sends a command again, but it does connect again for the next one: whoever saw it fail must end it.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use landfall_resp::Value;
use landfall_sim::client::{Answer, Connection, Request, request};
use landfall_sim::skipping::find_program;

use super::piped::Piped;

const PROGRAM: &str = "redis-cli";
/// CSV does not tell a list of one from its item; these answer with lists, and in the load never with one item.
const ANSWERED_WITH_LISTS: &[&[u8]] = &[b"EXEC", b"HMGET", b"MGET"];

pub(super) fn lacks() -> Option<String> {
    find_program(PROGRAM).is_none().then(|| format!("this machine has no {PROGRAM} (package redis-tools)"))
}

/// Starts redis-cli; it is connected when a PING was answered.
pub(super) fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Box<dyn Connection>> {
    let mut command = Command::new(PROGRAM);
    command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string(), "--csv"]);
    // What a person has set for their own servers is not for this one.
    command.env("REDISCLI_RCFILE", "/dev/null").env_remove("REDISCLI_AUTH");
    let mut cli = RedisCli { piped: Piped::start(command, timeout)?, broken: false };
    match cli.pipeline(&[request(&["PING"])]).pop() {
        Some(Answer::Reply(Value::Bulk(text), _)) if text == b"PONG" => Ok(Box::new(cli)),
        _ => Err(io::ErrorKind::ConnectionRefused.into()),
    }
}

struct RedisCli {
    piped: Piped,
    broken: bool,
}

impl Connection for RedisCli {
    fn pipeline(&mut self, requests: &[Request]) -> Vec<Answer> {
        let lines: String = requests.iter().map(line).collect();
        let mut answers = Vec::with_capacity(requests.len());
        if !self.broken && self.piped.write(&lines).is_ok() {
            for request in requests {
                let Some(value) = self.piped.line().ok().and_then(|line| reply(request, &line)) else {
                    break;
                };
                answers.push(Answer::Reply(value, Instant::now()));
            }
        }
        self.broken |= answers.len() < requests.len();
        answers.resize_with(requests.len(), || Answer::None);
        answers
    }

    fn is_broken(&self) -> bool {
        self.broken
    }
}

/// A request as a person would type it, each word in quotes.
fn line(request: &Request) -> String {
    let quoted = |word: &Vec<u8>| {
        let escaped: String = word
            .iter()
            .map(|byte| match byte {
                b'"' | b'\\' => format!("\\{}", *byte as char),
                b' '..=b'~' => (*byte as char).to_string(),
                _ => format!("\\x{byte:02x}"),
            })
            .collect();
        format!("\"{escaped}\"")
    };
    let words: Vec<String> = request.iter().map(quoted).collect();
    words.join(" ") + "\n"
}

/// The reply in a line; none when the line says that the connection failed.
fn reply(request: &Request, line: &str) -> Option<Value> {
    if line.starts_with("Error: ") || line.starts_with("Could not connect ") {
        return None;
    }
    let strange = || Value::Error(format!("ERR redis-cli printed {line:?}").into_bytes());
    let Some(mut items) = items(line) else { return Some(strange()) };
    let name = request.first().map(Vec::as_slice).unwrap_or_default();
    let is_list = ANSWERED_WITH_LISTS.contains(&name);
    Some(match (items.pop(), items.is_empty()) {
        (Some(only), true) if !is_list || only.as_error().is_some() => only,
        (Some(last), _) if is_list => {
            items.push(last);
            Value::Array(items)
        }
        (None, _) if is_list => Value::Array(items),
        _ => strange(),
    })
}

/// The items of a line of CSV: quoted texts, numbers, `NULL`, and `ERROR` with its text.
fn items(line: &str) -> Option<Vec<Value>> {
    let mut found = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (item, behind) = item(rest)?;
        found.push(item);
        rest = match behind.strip_prefix(',') {
            Some("") => return None,
            Some(next) => next,
            None if behind.is_empty() => "",
            None => return None,
        };
    }
    Some(found)
}

fn item(line: &str) -> Option<(Value, &str)> {
    if let Some(text) = line.strip_prefix("ERROR,\"") {
        let (message, rest) = text_to_quote(text)?;
        return Some((Value::Error(message), rest));
    }
    if let Some(text) = line.strip_prefix('"') {
        let (bytes, rest) = text_to_quote(text)?;
        return Some((Value::Bulk(bytes), rest));
    }
    let (word, rest) = line.split_at(line.find(',').unwrap_or(line.len()));
    match word {
        "NULL" | "NIL" => Some((Value::Null, rest)),
        number => Some((Value::Integer(number.parse().ok()?), rest)),
    }
}

/// The text up to its closing quote, with the escapes of redis-cli taken back, and what follows.
fn text_to_quote(text: &str) -> Option<(Vec<u8>, &str)> {
    let mut bytes = Vec::new();
    let mut rest = text;
    loop {
        let next = rest.chars().next()?;
        rest = &rest[next.len_utf8()..];
        match next {
            '"' => return Some((bytes, rest)),
            '\\' => {
                let kind = rest.chars().next()?;
                rest = &rest[kind.len_utf8()..];
                bytes.push(match kind {
                    'n' => b'\n',
                    'r' => b'\r',
                    't' => b'\t',
                    'a' => 7,
                    'b' => 8,
                    'x' => {
                        let (digits, behind) = rest.split_at_checked(2)?;
                        rest = behind;
                        u8::from_str_radix(digits, 16).ok()?
                    }
                    '"' | '\\' => kind as u8,
                    _ => return None,
                });
            }
            _ => bytes.extend(next.to_string().as_bytes()),
        }
    }
}

mod tests {
    use super::*;

    #[test]
    fn a_line_of_redis_cli_is_read_as_the_reply_that_it_shows() {
        let read = |words: &[&str], line: &str| reply(&request(words), line);
        let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
        assert_eq!(read(&["GET", "a"], r#""x\"y\x00,z""#), Some(bulk("x\"y\0,z")));
        assert_eq!(read(&["GET", "a"], "NULL"), Some(Value::Null));
        assert_eq!(read(&["INCR", "a"], "-7"), Some(Value::Integer(-7)));
        assert_eq!(
            read(&["HMGET", "h", "f", "g"], r#""1",NULL"#),
            Some(Value::Array(vec![bulk("1"), Value::Null]))
        );
        let error = Value::Error(b"ERR no".to_vec());
        assert_eq!(read(&["EXEC"], r#"ERROR,"ERR no""#), Some(error.clone()));
        assert_eq!(read(&["EXEC"], r#""OK",ERROR,"ERR no""#), Some(Value::Array(vec![bulk("OK"), error])));
        assert_eq!(read(&["GET", "a"], "Error: Server closed the connection"), None);
        assert!(read(&["GET", "a"], "what is this").unwrap().as_error().is_some());
    }

    #[test]
    fn a_request_is_typed_so_that_redis_cli_reads_the_same_words() {
        assert_eq!(
            line(&request(&["SET", "a b", "{\"c\":\"\\\n\"}"])),
            "\"SET\" \"a b\" \"{\\\"c\\\":\\\"\\\\\\x0a\\\"}\"\n"
        );
    }
}
