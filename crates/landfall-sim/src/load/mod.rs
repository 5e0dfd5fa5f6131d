//! A load that writes through every family of commands at once, from several real clients, and keeps the history.
//! It must never retry what is not idempotent, or write a register's value twice.
//!
//! Registers and counters are named by how they are read: `shared:3` is read with GET, `item:7 title` with HGET.
//! The load needs the tables of [`SCHEMA`].

mod driver;
mod families;
mod step;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use landfall_resp::Value;

use crate::chance::Chance;
use crate::checker::{Kind, Operation, State};
use crate::client::{Answer, Client, Connect, Request, request};
use crate::waiting::wait_until;

pub use driver::drive;

/// The tables that the load writes to: an ordinary one, counters, events with and without a unique id, a parent and
/// its children, and one with a second unique column.
pub const SCHEMA: &str = "
    CREATE TABLE item (id INTEGER PRIMARY KEY, title TEXT, note TEXT);
    CREATE TABLE page (id INTEGER PRIMARY KEY, views INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE click (request_id TEXT UNIQUE, url TEXT, client INTEGER);
    CREATE TABLE reading (id TEXT NOT NULL, client INTEGER);
    CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE purchase (
        id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer (id), state TEXT);
    CREATE TABLE account (id INTEGER PRIMARY KEY, email TEXT UNIQUE, owner TEXT);
";

/// The tables of [`SCHEMA`] whose rows have keys, with the key's column.
pub const ROW_TABLES: &[(&str, &str)] =
    &[("item", "id"), ("page", "id"), ("customer", "id"), ("purchase", "id"), ("account", "id")];

/// The tables of [`SCHEMA`] that take events, with the column that names the event. In `reading` nothing keeps a row
/// from being inserted twice, so that a repetition shows.
pub const EVENT_TABLES: &[(&str, &str)] = &[("click", "request_id"), ("reading", "id")];

/// Streams over keys whose entries are events, in place of a table: the beginning of their names.
const TRAIL: &str = "trail:";

/// Requests that read the state are sent so many at once.
const READS_AT_ONCE: usize = 200;

/// A database that has been hurt is there again within this time.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// What the clients of one run share.
#[derive(Debug)]
pub struct Scene {
    start: Instant,
    address: Mutex<Option<SocketAddr>>,
    stop: AtomicBool,
    acknowledged: AtomicU64,
    sessions: AtomicU64,
}

impl Default for Scene {
    fn default() -> Scene {
        Scene {
            start: Instant::now(),
            address: Mutex::new(None),
            stop: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
        }
    }
}

impl Scene {
    /// Tells the clients where the server is, or that it is gone.
    pub fn set_address(&self, address: Option<SocketAddr>) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// Where the server is; none while it is gone.
    pub fn address(&self) -> Option<SocketAddr> {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the clients to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the clients are to end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Writes that were acknowledged so far, all clients together.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// This moment, on the clock of the history.
    pub fn now_ns(&self) -> u64 {
        self.ns(Instant::now())
    }

    /// Nanoseconds since the scene began; at least 1.
    fn ns(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.start).as_nanos() as u64 + 1
    }
}

/// What a client is given.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its number.
    pub client: u32,
    /// How it connects: which client it is.
    pub connect: Connect,
    /// The number of the part of the run; names what is written only once.
    pub segment: u32,
    /// Its chances.
    pub chance: Chance,
}

/// What a client brought back.
#[derive(Debug, Default)]
pub struct Record {
    /// What it did.
    pub history: Vec<Operation>,
    /// Refusals, and how often.
    pub refusals: BTreeMap<String, u64>,
    /// Replies that no reading of the protocol explains.
    pub strange: Vec<String>,
}

/// The names of all registers and counters of a history, and of an earlier state.
pub fn names(first: &State, history: &[Operation]) -> State {
    let mut names = State {
        registers: first.registers.keys().map(|name| (name.clone(), None)).collect(),
        counters: first.counters.keys().map(|name| (name.clone(), 0)).collect(),
        sets: first
            .sets
            .keys()
            .filter(|name| is_trail(name))
            .map(|name| (name.clone(), Vec::new()))
            .collect(),
    };
    for operation in history {
        match &operation.kind {
            Kind::Write { registers, .. } | Kind::Read { registers } => {
                names.registers.extend(registers.iter().map(|name| (name.clone(), None)));
            }
            Kind::Add { counter, .. } | Kind::ReadSum { counter } => {
                names.counters.insert(counter.clone(), 0);
            }
            Kind::Append { set, .. } if is_trail(set) => drop(names.sets.insert(set.clone(), Vec::new())),
            Kind::Append { .. } => {}
        }
    }
    names
}

/// Whether the events of a set are the entries of a stream, which the server can be asked for.
fn is_trail(set: &str) -> bool {
    set.starts_with(TRAIL)
}

/// The keys behind the names of registers, counters and streams.
pub fn keys(state: &State) -> Vec<String> {
    let trails = state.sets.keys().filter(|name| is_trail(name));
    let names = state.registers.keys().chain(state.counters.keys()).chain(trails);
    let mut keys: Vec<String> =
        names.map(|name| name.split(' ').next().unwrap_or_default().to_owned()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Fills in what the server answers for every name of `state`.
///
/// # Errors
/// A read got no answer, or an error.
pub fn read_back(client: &mut Client, state: &mut State) -> Result<()> {
    let names: Vec<String> = state.registers.keys().cloned().collect();
    for (name, value) in names.iter().zip(read_names(client, &names)?) {
        state.registers.insert(name.clone(), value);
    }
    let names: Vec<String> = state.counters.keys().cloned().collect();
    for (name, value) in names.iter().zip(read_names(client, &names)?) {
        let sum = value.as_deref().unwrap_or("0").parse();
        state.counters.insert(name.clone(), sum.with_context(|| format!("{name} is no number: {value:?}"))?);
    }
    for (name, events) in state.sets.iter_mut().filter(|(name, _)| is_trail(name)) {
        *events = read_trail(client, name)?;
    }
    Ok(())
}

/// The events that are the entries of a stream.
fn read_trail(client: &mut Client, name: &str) -> Result<Vec<String>> {
    let deadline = Instant::now() + READ_WITHIN;
    let request = request(&["XRANGE", name, "-", "+"]);
    match answer_until(client, &request, Answer::None, deadline).value() {
        Some(Value::Array(entries)) => {
            entries.iter().map(|entry| event_of(entry).map(str::to_owned)).collect()
        }
        other => bail!("reading {name}: {other:?}"),
    }
}

/// The event in an entry of a stream: `[id, [field, value, ..]]`.
fn event_of(entry: &Value) -> Result<&str> {
    let event = match entry {
        Value::Array(parts) => match parts.get(1) {
            Some(Value::Array(fields)) => fields.get(1).and_then(Value::as_str),
            _ => None,
        },
        _ => None,
    };
    event.with_context(|| format!("an entry without an event: {entry:?}"))
}

fn read_names(client: &mut Client, names: &[String]) -> Result<Vec<Option<String>>> {
    let deadline = Instant::now() + READ_WITHIN;
    let mut values = Vec::with_capacity(names.len());
    for chunk in names.chunks(READS_AT_ONCE) {
        let requests: Vec<Request> = chunk.iter().map(|name| read_request(name)).collect();
        for ((name, request), answer) in chunk.iter().zip(&requests).zip(client.pipeline(&requests)) {
            values.push(read_until(client, name, request, answer, deadline)?);
        }
    }
    Ok(values)
}

/// The value in an answer, or in a later one where the server asks to try again.
fn read_until(
    client: &mut Client,
    name: &str,
    request: &Request,
    answer: Answer,
    deadline: Instant,
) -> Result<Option<String>> {
    match answer_until(client, request, answer, deadline).value() {
        Some(Value::Null) => Ok(None),
        Some(value) if value.as_str().is_some() => Ok(value.as_str().map(str::to_owned)),
        other => bail!("reading {name}: {other:?}"),
    }
}

/// This answer, or a later one where there is none yet or the server asks to try again.
fn answer_until(client: &mut Client, request: &Request, mut answer: Answer, deadline: Instant) -> Answer {
    let asks_again = |answer: &Answer| {
        let error = answer.value().and_then(Value::as_error);
        error.is_some_and(|error| matches!(error.prefix, b"TRYAGAIN" | b"MASTERDOWN"))
    };
    let mut is_asked = answer.value().is_some();
    wait_until(deadline, || {
        if !is_asked || asks_again(&answer) {
            is_asked = true;
            answer = client.pipeline(std::slice::from_ref(request)).pop().unwrap_or(Answer::None);
        }
        !asks_again(&answer)
    });
    answer
}

/// The request that reads a register or a counter.
fn read_request(name: &str) -> Request {
    match name.split_once(' ') {
        Some((key, field)) => request(&["HGET", key, field]),
        None => request(&["GET", name]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_how_it_is_read() {
        assert_eq!(read_request("shared:3"), request(&["GET", "shared:3"]));
        assert_eq!(read_request("item:7 title"), request(&["HGET", "item:7", "title"]));
    }

    #[test]
    fn keys_are_the_first_words_of_names_each_once() {
        let mut state = State::default();
        state.registers.insert("item:7 title".into(), None);
        state.registers.insert("item:7 note".into(), None);
        state.counters.insert("count:1".into(), 0);
        state.sets.insert("click".into(), Vec::new());
        state.sets.insert("trail:1".into(), Vec::new());
        assert_eq!(keys(&state), ["count:1", "item:7", "trail:1"]);
    }
}
