//! XINFO: what a stream is, for people and tools; and the refusal of consumer groups.
//! Numbers of Redis's own trees are what they would be for full nodes; nothing is counted for them.

use landfall::engine::ops::{numbers, streams};
use landfall::engine::{Engine, Refusal, Stop, Stream};
use landfall::model::EntryId;
use landfall_resp::{ReplyWriter, Request};

use super::{write_entries, write_entry, write_id};
use crate::commands::{Call, Flow};
use crate::front::session::Session;

/// So many entries FULL tells unless COUNT says otherwise.
const TOLD: u64 = 10;
/// So many entries Redis keeps in a node.
const NODE_ENTRIES: usize = 100;

/// `XINFO STREAM key [FULL [COUNT count]]`
pub fn stream(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let reply = &mut call.reply;
    let request = call.request;
    streams::read(call.unit, call.base, &call.targets[0], |stream| {
        let stream = stream.ok_or_else(no_such_key)?;
        match full(&request)? {
            None => summary(stream, reply),
            Some(most) => whole(stream, most, reply),
        }
        Ok(())
    })?
}

fn no_such_key() -> Stop {
    Refusal::invalid("no such key").into()
}

/// How many entries are to be told (0: all) when FULL is asked for.
fn full(request: &Request<'_>) -> Result<Option<u64>, Stop> {
    let is = |at: usize, word: &str| {
        request.arg(at).is_some_and(|have| have.eq_ignore_ascii_case(word.as_bytes()))
    };
    match request.arg_count() {
        3 => Ok(None),
        4 if is(3, "FULL") => Ok(Some(TOLD)),
        6 if is(3, "FULL") && is(4, "COUNT") => {
            let count = numbers::integer(request.arg(5).unwrap_or_default())?;
            Ok(Some(u64::try_from(count).unwrap_or(TOLD)))
        }
        _ => {
            let shown = String::from_utf8_lossy(request.arg(1).unwrap_or_default()).into_owned();
            Err(Refusal::invalid(format!(
                "unknown subcommand or wrong number of arguments for '{shown}'. Try XINFO HELP."
            ))
            .into())
        }
    }
}

fn head(stream: &Stream, reply: &mut ReplyWriter<'_>) {
    let nodes = stream.len().div_ceil(NODE_ENTRIES);
    let head = stream.head();
    for (name, number) in
        [("length", stream.len()), ("radix-tree-keys", nodes), ("radix-tree-nodes", nodes + 1)]
    {
        reply.bulk(name.as_bytes());
        reply.integer(number as i64);
    }
    for (name, id) in [("last-generated-id", head.last), ("max-deleted-entry-id", head.deleted)] {
        reply.bulk(name.as_bytes());
        write_id(reply, id);
    }
    reply.bulk(b"entries-added");
    reply.integer(head.added as i64);
    reply.bulk(b"recorded-first-entry-id");
    write_id(reply, stream.first().unwrap_or(EntryId::MIN));
}

fn summary(stream: &Stream, reply: &mut ReplyWriter<'_>) {
    reply.map_header(10);
    head(stream, reply);
    reply.bulk(b"groups");
    reply.integer(0);
    for (name, entry) in [("first-entry", stream.iter().next()), ("last-entry", stream.iter().next_back())] {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => write_entry(reply, entry),
            None => reply.null(),
        }
    }
}

fn whole(stream: &Stream, most: u64, reply: &mut ReplyWriter<'_>) {
    let most = if most == 0 { usize::MAX } else { usize::try_from(most).unwrap_or(usize::MAX) };
    reply.map_header(9);
    head(stream, reply);
    reply.bulk(b"entries");
    write_entries(reply, || stream.iter().take(most));
    reply.bulk(b"groups");
    reply.array_header(0);
}

/// XINFO GROUPS key
pub fn groups(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let there = streams::read(call.unit, call.base, &call.targets[0], |stream| stream.is_some())?;
    if !there {
        return Err(no_such_key());
    }
    call.reply.array_header(0);
    Ok(())
}

/// XINFO CONSUMERS key group
pub fn consumers(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let there = streams::read(call.unit, call.base, &call.targets[0], |stream| stream.is_some())?;
    if !there {
        return Err(no_such_key());
    }
    let shown = |at| String::from_utf8_lossy(call.request.arg(at).unwrap_or_default()).into_owned();
    let (key, group) = (shown(2), shown(3));
    call.reply.error_fmt(format_args!("NOGROUP No such consumer group '{group}' for key name '{key}'"));
    Ok(())
}

/// XGROUP, XREADGROUP and their kin: refused.
pub fn no_groups(_: &mut Session, _: &Engine, _: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    reply.error(
        "ERR streams have no consumer groups here; read with XREAD, and keep the last id that was handled beside its outcome",
    );
    Flow::Done
}
