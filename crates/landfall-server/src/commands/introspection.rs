//! COMMAND, CONFIG GET and TIME: what clients ask when they connect.
//! Answers are made from the command table and the settings, never kept twice.

use std::time::{SystemTime, UNIX_EPOCH};

use landfall::engine::Engine;
use landfall::settings::Fsync;
use landfall_resp::{ReplyWriter, Request};

use super::table::{COMMANDS, lookup};
use super::{Flow, Spec, glob};
use crate::front::session::Session;

/// `COMMAND [COUNT | LIST | INFO name .. | DOCS name .. | GETKEYS command ..]`
pub fn command(_: &mut Session, _: &Engine, request: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    let named: Vec<Option<&Spec>> = request.args().skip(2).map(lookup).collect();
    let sub = request.arg(1).map(<[u8]>::to_ascii_uppercase);
    match (sub.as_deref(), named.is_empty()) {
        (None, _) | (Some(b"INFO"), true) => {
            reply.array_header(COMMANDS.len());
            COMMANDS.iter().for_each(|spec| describe(spec, reply));
        }
        (Some(b"INFO"), false) => {
            reply.array_header(named.len());
            for spec in named {
                match spec {
                    Some(spec) => describe(spec, reply),
                    None => reply.null_array(),
                }
            }
        }
        (Some(b"COUNT"), _) => reply.integer(COMMANDS.len() as i64),
        (Some(b"LIST"), true) => {
            reply.array_header(COMMANDS.len());
            COMMANDS.iter().for_each(|spec| reply.bulk(spec.name.to_lowercase().as_bytes()));
        }
        (Some(b"DOCS"), all) => {
            let asked: Vec<&Spec> = match all {
                true => COMMANDS.iter().collect(),
                false => named.into_iter().flatten().collect(),
            };
            reply.map_header(asked.len());
            asked.iter().for_each(|spec| document(spec, reply));
        }
        (Some(b"GETKEYS"), false) => get_keys(request, reply),
        _ => reply.error("ERR unknown subcommand or wrong number of arguments for 'command'; COUNT, LIST, INFO, DOCS and GETKEYS are built"),
    }
    Flow::Done
}

fn describe(spec: &Spec, reply: &mut ReplyWriter<'_>) {
    reply.array_header(10);
    reply.bulk(spec.name.to_lowercase().as_bytes());
    reply.integer(spec.arity.into());
    reply.set_header(1);
    reply.simple(if spec.writes { "write" } else { "readonly" });
    reply.integer(spec.keys.first as i64);
    reply.integer(spec.keys.last.into());
    reply.integer(spec.keys.step as i64);
    reply.set_header(0);
    reply.array_header(0);
    reply.array_header(0);
    reply.array_header(0);
}

fn document(spec: &Spec, reply: &mut ReplyWriter<'_>) {
    reply.bulk(spec.name.to_lowercase().as_bytes());
    reply.map_header(1);
    reply.bulk(b"summary");
    reply.bulk(spec.summary.as_bytes());
}

fn get_keys(request: &Request<'_>, reply: &mut ReplyWriter<'_>) {
    let asked = request.arg_count() - 2;
    let Some(spec) = request.arg(2).and_then(lookup) else {
        return reply.error("ERR Invalid command specified");
    };
    if !spec.takes(asked) {
        return reply.error("ERR Invalid number of arguments specified for command");
    }
    let keys: Vec<&[u8]> = spec.key_args(asked).filter_map(|at| request.arg(at + 2)).collect();
    if keys.is_empty() {
        return reply.error("ERR The command has no key arguments");
    }
    reply.array_header(keys.len());
    keys.into_iter().for_each(|key| reply.bulk(key));
}

/// `CONFIG GET pattern [pattern ..]`
pub fn config(
    session: &mut Session,
    engine: &Engine,
    request: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Flow {
    if !request[1].eq_ignore_ascii_case(b"GET") || request.arg_count() < 3 {
        reply.error("ERR unknown subcommand or wrong number of arguments for 'config'; GET is built, settings are changed in landfall.toml");
        return Flow::Done;
    }
    let settings = engine.settings();
    let appendfsync = match settings.fsync {
        Fsync::Always => "always",
        Fsync::Everysec => "everysec",
        Fsync::Os => "no",
    };
    let port = session.shared.listen.rsplit(':').next().unwrap_or_default().to_owned();
    let parameters: [(&str, String); 10] = [
        ("save", String::new()),
        ("appendonly", "yes".into()),
        ("appendfsync", appendfsync.into()),
        ("databases", "1".into()),
        ("dir", settings.data_dir.display().to_string()),
        ("maxclients", session.shared.connections_max.to_string()),
        ("maxmemory", settings.memory_bytes_max.to_string()),
        // Clean rows are let go when memory is short, dirty ones never; Redis has no better word for it.
        ("maxmemory-policy", "allkeys-lru".into()),
        ("port", port),
        ("proto-max-bulk-len", landfall_resp::Limits::authenticated().bulk_bytes_max.to_string()),
    ];
    let found: Vec<_> = parameters
        .iter()
        .filter(|(name, _)| {
            request
                .args()
                .skip(2)
                .any(|pattern| glob::matches(&pattern.to_ascii_lowercase(), name.as_bytes()))
        })
        .collect();
    reply.map_header(found.len());
    for (name, value) in found {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    Flow::Done
}

/// TIME
pub fn time(_: &mut Session, _: &Engine, _: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    reply.array_header(2);
    reply.bulk(now.as_secs().to_string().as_bytes());
    reply.bulk(now.subsec_micros().to_string().as_bytes());
    Flow::Done
}
