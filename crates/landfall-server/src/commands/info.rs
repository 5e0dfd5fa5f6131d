//! INFO: the sections that exporters and clients parse, and `# Landfall`.
//! Every number is computed when asked, or counted for more than INFO.

use std::fmt::Write;

use landfall::engine::Engine;
use landfall_resp::{ReplyWriter, Request};

use super::Flow;
use crate::front::session::Session;

mod sections;

/// What a section is made from.
pub(crate) struct Picture<'a> {
    session: &'a Session,
    engine: &'a Engine,
    status: landfall::engine::Status,
}

/// A section: its name, whether INFO without an argument shows it, and what is in it.
type Section = (&'static str, bool, fn(&Picture<'_>) -> String);

const SECTIONS: &[Section] = &[
    ("Server", true, sections::server),
    ("Clients", true, sections::clients),
    ("Memory", true, sections::memory),
    ("Persistence", true, sections::persistence),
    ("Stats", true, sections::stats),
    ("Replication", true, sections::replication),
    ("CPU", true, sections::cpu),
    ("Modules", true, sections::modules),
    ("Commandstats", false, sections::commandstats),
    ("Errorstats", true, sections::errorstats),
    ("Latencystats", false, sections::latencystats),
    ("Cluster", true, sections::cluster),
    ("Landfall", true, sections::landfall),
    ("Keyspace", true, sections::keyspace),
];

/// `INFO [section ..]`
pub fn info(
    session: &mut Session,
    engine: &Engine,
    request: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Flow {
    let asked: Vec<String> =
        request.args().skip(1).map(|name| String::from_utf8_lossy(name).to_lowercase()).collect();
    let has = |words: &[&str]| asked.iter().any(|asked| words.contains(&asked.as_str()));
    let (all, default) = (has(&["all", "everything"]), asked.is_empty() || has(&["default"]));
    let picture = Picture { session, engine, status: engine.status() };
    let mut text = String::new();
    for (name, usual, section) in SECTIONS {
        if all || (default && *usual) || asked.iter().any(|asked| asked.eq_ignore_ascii_case(name)) {
            let gap = if text.is_empty() { "" } else { "\r\n" };
            // Writing to a string cannot fail.
            let _ = write!(text, "{gap}# {name}\r\n{}", section(&picture));
        }
    }
    reply.verbatim(b"txt", text.as_bytes());
    Flow::Done
}
