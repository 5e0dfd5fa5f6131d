//! CONFIG: the settings that clients and tools ask for, by the names that Redis has for them.
//! A few may be changed while the server runs; the others are set in landfall.toml, and saying so is the refusal.

use std::sync::atomic::Ordering;

use landfall::engine::Engine;
use landfall::settings::Fsync;
use landfall_resp::{ReplyWriter, Request};

use super::{Flow, glob};
use crate::front::counters::SLOW_ENTRIES_MAX;
use crate::front::session::Session;

type Reply<'a, 'o> = &'a mut ReplyWriter<'o>;

/// A setting under its name in Redis.
struct Parameter {
    name: &'static str,
    /// What it is.
    value: fn(&Session, &Engine) -> String,
    /// Takes another value while the server runs; whether it is one.
    change: Option<fn(&Session, &[u8]) -> bool>,
    /// Where it is set, for the refusal.
    set_by: &'static str,
}

const fn fixed(
    name: &'static str,
    value: fn(&Session, &Engine) -> String,
    set_by: &'static str,
) -> Parameter {
    Parameter { name, value, change: None, set_by }
}

const fn open(
    name: &'static str,
    value: fn(&Session, &Engine) -> String,
    change: fn(&Session, &[u8]) -> bool,
) -> Parameter {
    Parameter { name, value, change: Some(change), set_by: "" }
}

const ALWAYS_SO: &str = "it is always so in Landfall";

const PARAMETERS: &[Parameter] = &[
    fixed(
        "appendfsync",
        |_, engine| fsync(engine.settings().fsync).into(),
        "`fsync` in landfall.toml sets it",
    ),
    fixed("appendonly", |_, _| "yes".into(), ALWAYS_SO),
    fixed("bind", |session, _| host(session).into(), "`listen` in landfall.toml sets it"),
    fixed("databases", |_, _| "1".into(), ALWAYS_SO),
    fixed(
        "dir",
        |_, engine| engine.settings().data_dir.display().to_string(),
        "`data-dir` in landfall.toml sets it",
    ),
    open(
        "latency-monitor-threshold",
        |session, _| number(&session.shared.counters.event_from_ms),
        |session, text| {
            set(text, u64::MAX / 2, |ms| session.shared.counters.event_from_ms.store(ms, Ordering::Relaxed))
        },
    ),
    fixed("lazyfree-lazy-user-del", |_, _| "no".into(), ALWAYS_SO),
    fixed(
        "maxclients",
        |session, _| session.shared.connections_max.to_string(),
        "the limit of open files sets it",
    ),
    fixed(
        "maxmemory",
        |_, engine| engine.settings().memory_bytes_max.to_string(),
        "`maxmemory` in landfall.toml sets it",
    ),
    // Clean rows are let go when memory is short, dirty ones never; Redis has no better word for it.
    fixed("maxmemory-policy", |_, _| "allkeys-lru".into(), ALWAYS_SO),
    fixed("notify-keyspace-events", |_, _| String::new(), "Landfall does not tell of changed keys"),
    fixed("port", |session, _| port(session).into(), "`listen` in landfall.toml sets it"),
    fixed(
        "proto-max-bulk-len",
        |_, _| landfall_resp::Limits::authenticated().bulk_bytes_max.to_string(),
        ALWAYS_SO,
    ),
    fixed("save", |_, _| String::new(), "Landfall keeps a log, and lands it in the database"),
    open(
        "slowlog-log-slower-than",
        |session, _| session.shared.counters.slow_from_us.load(Ordering::Relaxed).to_string(),
        slower_than,
    ),
    open(
        "slowlog-max-len",
        |session, _| number(&session.shared.counters.slow_entries),
        |session, text| {
            let counters = &session.shared.counters;
            let taken = set(text, SLOW_ENTRIES_MAX as u64, |length| {
                counters.slow_entries.store(length, Ordering::Relaxed)
            });
            counters.cut_slow();
            taken
        },
    ),
    open(
        "timeout",
        |session, _| (session.shared.idle_max_ms.load(Ordering::Relaxed) / 1000).to_string(),
        |session, text| {
            set(text, i32::MAX as u64, |s| session.shared.idle_max_ms.store(s * 1000, Ordering::Relaxed))
        },
    ),
];

fn fsync(fsync: Fsync) -> &'static str {
    match fsync {
        Fsync::Always => "always",
        Fsync::Everysec => "everysec",
        Fsync::Os => "no",
    }
}

fn host(session: &Session) -> &str {
    session.shared.host()
}

fn port(session: &Session) -> &str {
    session.shared.port()
}

fn number(number: &std::sync::atomic::AtomicU64) -> String {
    number.load(Ordering::Relaxed).to_string()
}

/// Hands a whole number up to `most` on; whether it was one.
fn set(text: &[u8], most: u64, take: impl FnOnce(u64)) -> bool {
    let number =
        std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).filter(|number| *number <= most);
    number.map(take).is_some()
}

fn slower_than(session: &Session, text: &[u8]) -> bool {
    let microseconds = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
    let taken = microseconds.filter(|microseconds| *microseconds >= -1);
    taken
        .map(|microseconds| session.shared.counters.slow_from_us.store(microseconds, Ordering::Relaxed))
        .is_some()
}

/// `CONFIG GET pattern [pattern ..]`
pub fn get(session: &mut Session, engine: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    let patterns: Vec<Vec<u8>> = request.args().skip(2).map(<[u8]>::to_ascii_lowercase).collect();
    let asked = |parameter: &&Parameter| {
        patterns.iter().any(|pattern| glob::matches(pattern, parameter.name.as_bytes()))
    };
    let found: Vec<&Parameter> = PARAMETERS.iter().filter(asked).collect();
    reply.map_header(found.len());
    for parameter in found {
        reply.bulk(parameter.name.as_bytes());
        reply.bulk((parameter.value)(session, engine).as_bytes());
    }
    Flow::Done
}

/// `CONFIG SET name value [name value ..]`: all or none.
pub fn set_all(session: &mut Session, engine: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    if !request.arg_count().is_multiple_of(2) {
        reply.error("ERR wrong number of arguments for 'config|set' command");
        return Flow::Done;
    }
    let words: Vec<&[u8]> = request.args().skip(2).collect();
    let mut changes = Vec::new();
    for pair in words.chunks_exact(2) {
        let found = PARAMETERS.iter().find(|known| known.name.as_bytes().eq_ignore_ascii_case(pair[0]));
        let Some(parameter) = found else {
            let name = String::from_utf8_lossy(&pair[0][..pair[0].len().min(64)]).into_owned();
            reply.error_fmt(format_args!(
                "ERR Unknown option or number of arguments for CONFIG SET - '{name}'; settings are changed in landfall.toml"
            ));
            return Flow::Done;
        };
        let old = (parameter.value)(session, engine);
        match parameter.change {
            Some(change) if change(session, pair[1]) => changes.push((change, old)),
            // Said again as it is: what tools do to be sure.
            None if old.as_bytes().eq_ignore_ascii_case(pair[1]) => {}
            refused => {
                // What was changed before is changed back, the last first.
                for (change, old) in changes.iter().rev() {
                    // It was taken before.
                    change(session, old.as_bytes());
                }
                let why = if refused.is_some() { "argument is out of range" } else { parameter.set_by };
                reply.error_fmt(format_args!(
                    "ERR CONFIG SET failed (possibly related to argument '{}') - {why}",
                    parameter.name
                ));
                return Flow::Done;
            }
        }
    }
    reply.ok();
    Flow::Done
}

/// CONFIG RESETSTAT
pub fn resetstat(session: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    session.shared.counters.reset();
    session.shared.commands.store(0, Ordering::Relaxed);
    session.shared.accepted.store(0, Ordering::Relaxed);
    reply.ok();
    Flow::Done
}

/// CONFIG REWRITE
pub fn rewrite(_: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.error("ERR settings are kept in landfall.toml, which the server reads and never writes");
    Flow::Done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_listed_once_and_in_order() {
        assert!(PARAMETERS.is_sorted_by(|a, b| a.name < b.name));
        assert!(PARAMETERS.iter().all(|parameter| parameter.change.is_some() == parameter.set_by.is_empty()));
    }
}
