//! COMMAND, HELP and TIME: what the server says of its commands.
//! Answers are made from the command table, never kept twice.

use std::time::{SystemTime, UNIX_EPOCH};

use landfall::engine::Engine;
use landfall_resp::{ReplyWriter, Request};

use super::spec::{Flags, Group, Keys, Spec};
use super::table::{COMMANDS, everything, lookup, named};
use super::{Flow, glob};
use crate::front::session::Session;

type Reply<'a, 'o> = &'a mut ReplyWriter<'o>;

/// COMMAND
pub fn command(_: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    describe_all(reply);
    Flow::Done
}

/// COMMAND COUNT
pub fn count(_: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.integer(COMMANDS.len() as i64);
    Flow::Done
}

/// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]`
pub fn list(_: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    let words: Vec<Vec<u8>> = request.args().skip(2).take(2).map(<[u8]>::to_ascii_uppercase).collect();
    let asked = request.arg(4).unwrap_or_default().to_ascii_lowercase();
    let names: Vec<String> = match (words.as_slice(), request.arg_count()) {
        ([], 2) => COMMANDS.iter().map(Spec::full_name).collect(),
        ([by, kind], 5) if by == b"FILTERBY" => match kind.as_slice() {
            b"MODULE" => Vec::new(),
            b"ACLCAT" => {
                let belongs =
                    |spec: &&Spec| categories(spec).iter().any(|have| have.as_bytes()[1..] == asked);
                everything().filter(belongs).map(Spec::full_name).collect()
            }
            b"PATTERN" => {
                let names = everything().map(Spec::full_name);
                names.filter(|name| glob::matches(&asked, name.as_bytes())).collect()
            }
            _ => return syntax_error(reply),
        },
        _ => return syntax_error(reply),
    };
    reply.array_header(names.len());
    names.iter().for_each(|name| reply.bulk(name.as_bytes()));
    Flow::Done
}

fn syntax_error(reply: Reply<'_, '_>) -> Flow {
    reply.error("ERR syntax error");
    Flow::Done
}

/// `COMMAND INFO [name ..]`
pub fn command_info(_: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    if request.arg_count() == 2 {
        describe_all(reply);
        return Flow::Done;
    }
    reply.array_header(request.arg_count() - 2);
    for name in request.args().skip(2) {
        match named(name) {
            Some(spec) => describe(spec, reply),
            None => reply.null_array(),
        }
    }
    Flow::Done
}

/// `COMMAND DOCS [name ..]`
pub fn docs(_: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    let asked: Vec<&Spec> = match request.arg_count() {
        2 => COMMANDS.iter().collect(),
        _ => request.args().skip(2).filter_map(named).collect(),
    };
    reply.map_header(asked.len());
    asked.iter().for_each(|spec| document(spec, reply));
    Flow::Done
}

/// `COMMAND GETKEYS command [argument ..]`
pub fn getkeys(_: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    if let Some((_, keys)) = keys_within(request, reply) {
        reply.array_header(keys.len());
        keys.into_iter().for_each(|key| reply.bulk(key));
    }
    Flow::Done
}

/// `COMMAND GETKEYSANDFLAGS command [argument ..]`
pub fn getkeysandflags(_: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    if let Some((spec, keys)) = keys_within(request, reply) {
        reply.array_header(keys.len());
        for key in keys {
            reply.array_header(2);
            reply.bulk(key);
            access(spec, reply);
        }
    }
    Flow::Done
}

/// The command behind the first two words of a request, and its keys; else the error is written.
fn keys_within<'r>(request: &Request<'r>, reply: Reply<'_, '_>) -> Option<(&'static Spec, Vec<&'r [u8]>)> {
    let asked = request.arg_count() - 2;
    let found = request.arg(2).and_then(lookup).and_then(|spec| match request.arg(3) {
        Some(word) if !spec.subcommands.is_empty() => spec.subcommand(word),
        _ => Some(spec),
    });
    let Some(spec) = found else {
        reply.error("ERR Invalid command specified");
        return None;
    };
    if spec.keys == Keys::NONE {
        reply.error("ERR The command has no key arguments");
        return None;
    }
    if !spec.takes(asked) {
        reply.error("ERR Invalid number of arguments specified for command");
        return None;
    }
    Some((spec, spec.key_args_behind(request, 2).filter_map(|at| request.arg(at)).collect()))
}

fn describe_all(reply: Reply<'_, '_>) {
    reply.array_header(COMMANDS.len());
    COMMANDS.iter().for_each(|spec| describe(spec, reply));
}

fn describe(spec: &Spec, reply: Reply<'_, '_>) {
    reply.array_header(10);
    reply.bulk(spec.full_name().as_bytes());
    reply.integer(spec.arity.into());
    let mut flags = spec.flags.names();
    flags.extend((spec.keys == Keys::STREAMS).then_some("movablekeys"));
    simple_set(&flags, reply);
    reply.integer(spec.keys.first as i64);
    reply.integer(spec.keys.last.into());
    reply.integer(if spec.keys == Keys::STREAMS { 0 } else { spec.keys.step as i64 });
    simple_set(&categories(spec), reply);
    reply.array_header(0);
    key_specifications(spec, reply);
    reply.array_header(spec.subcommands.len());
    spec.subcommands.iter().for_each(|sub| describe(sub, reply));
}

fn simple_set(words: &[&str], reply: Reply<'_, '_>) {
    reply.set_header(words.len());
    words.iter().for_each(|word| reply.simple(word));
}

/// The categories that Redis would count a command to, each with its `@`.
fn categories(spec: &Spec) -> Vec<&'static str> {
    let mut categories = vec![match spec.group {
        Group::String => "@string",
        Group::Hash => "@hash",
        Group::Generic => "@keyspace",
        Group::Stream => "@stream",
        Group::Transactions => "@transaction",
        Group::Connection => "@connection",
        Group::Server => "@server",
        Group::Pubsub => "@pubsub",
        Group::Landfall => "@landfall",
    }];
    let flags: [(Flags, &[&'static str]); 4] = [
        (Flags::READONLY, &["@read"]),
        (Flags::WRITE, &["@write"]),
        (Flags::BLOCKING, &["@blocking"]),
        (Flags::ADMIN, &["@admin", "@dangerous"]),
    ];
    for (_, names) in flags.iter().filter(|(flag, _)| spec.flags.has(*flag)) {
        categories.extend_from_slice(names);
    }
    categories.push(if spec.flags.has(Flags::FAST) { "@fast" } else { "@slow" });
    categories
}

/// What a command does with its keys, in Redis's letters.
fn access(spec: &Spec, reply: Reply<'_, '_>) {
    simple_set(
        match (spec.flags.has(Flags::READONLY), spec.flags.has(Flags::REMOVES)) {
            (true, _) => &["RO", "access"],
            (false, true) => &["RW", "access", "delete"],
            (false, false) => &["RW", "access", "update"],
        },
        reply,
    );
}

fn key_specifications(spec: &Spec, reply: Reply<'_, '_>) {
    if spec.keys == Keys::NONE {
        return reply.array_header(0);
    }
    reply.array_header(1);
    reply.map_header(3);
    reply.bulk(b"flags");
    access(spec, reply);
    reply.bulk(b"begin_search");
    if spec.keys == Keys::STREAMS {
        reply.map_header(2);
        reply.bulk(b"type");
        reply.bulk(b"keyword");
        reply.bulk(b"spec");
        reply.map_header(2);
        reply.bulk(b"keyword");
        reply.bulk(b"STREAMS");
        reply.bulk(b"startfrom");
        reply.integer(1);
        reply.bulk(b"find_keys");
        return search("range", &[("lastkey", -1), ("keystep", 1), ("limit", 2)], reply);
    }
    search("index", &[("index", spec.keys.first as i64)], reply);
    reply.bulk(b"find_keys");
    // The last key is counted from the first one, or from the end.
    let last = if spec.keys.last < 0 { spec.keys.last } else { spec.keys.last - spec.keys.first as i32 };
    search("range", &[("lastkey", last.into()), ("keystep", spec.keys.step as i64), ("limit", 0)], reply);
}

fn search(kind: &str, numbers: &[(&str, i64)], reply: Reply<'_, '_>) {
    reply.map_header(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map_header(numbers.len());
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.integer(*number);
    }
}

fn document(spec: &Spec, reply: Reply<'_, '_>) {
    reply.bulk(spec.full_name().as_bytes());
    let texts = [("summary", spec.summary), ("since", spec.since), ("group", spec.group.name())];
    let told = || texts.iter().filter(|(_, text)| !text.is_empty());
    reply.map_header(told().count() + usize::from(!spec.subcommands.is_empty()));
    for (name, text) in told() {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    if !spec.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map_header(spec.subcommands.len());
        spec.subcommands.iter().for_each(|sub| document(sub, reply));
    }
}

/// HELP of a command with subcommands.
pub fn help(_: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    let (name, subcommands) =
        lookup(request.command()).map_or(("", &[][..]), |spec| (spec.name, spec.subcommands));
    reply.array_header(1 + 2 * subcommands.len());
    reply.simple(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for sub in subcommands {
        reply.simple(sub.name);
        reply.simple(&format!("    {}", sub.summary));
    }
    Flow::Done
}

/// TIME
pub fn time(_: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    reply.array_header(2);
    reply.bulk(now.as_secs().to_string().as_bytes());
    reply.bulk(now.subsec_micros().to_string().as_bytes());
    Flow::Done
}
