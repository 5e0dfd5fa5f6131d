//! MEMORY: what a key holds of the cache, and what the cache holds.
//! The sizes are the cache's own estimates, by which it also evicts.

use landfall::engine::ops::numbers;
use landfall::engine::{Engine, Refusal, Stop};
use landfall_resp::{ReplyWriter, Request};

use super::{Call, Flow, syntax_error};
use crate::front::session::Session;

/// `MEMORY USAGE key [SAMPLES count]`
pub fn usage(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    match (call.request.arg_count(), call.request.arg(3)) {
        (3, _) => {}
        (5, Some(word)) if word.eq_ignore_ascii_case(b"SAMPLES") => {
            // Nothing is sampled, but a wrong number is wrong.
            if numbers::integer(call.arg(4))? < 0 {
                return Err(syntax_error());
            }
        }
        _ => return Err(syntax_error()),
    }
    let there = landfall::engine::ops::rows::exists(call.unit, call.base, &call.targets[0])?;
    match call.unit.entry(call.base).filter(|_| there) {
        Some(entry) => call.reply.integer(entry.held_bytes() as i64),
        None if there => {
            return Err(Refusal::TryAgain("the row left the cache while it was looked at".into()).into());
        }
        None => call.reply.null(),
    }
    Ok(())
}

/// MEMORY DOCTOR
pub fn doctor(_: &mut Session, engine: &Engine, _: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    let status = engine.status();
    let most = engine.settings().memory_bytes_max;
    let text = match status.dirty.1 > most / 4 {
        true => format!(
            "Rows that have not landed hold {} of {most} bytes. From half on writes are refused with OOM: see LANDFALL.STATUS for what holds landing up.\n",
            status.dirty.1
        ),
        false => format!(
            "All is well: the cache holds {} of {most} bytes, of which {} have not landed.\n",
            status.cache.1, status.dirty.1
        ),
    };
    reply.verbatim(b"txt", text.as_bytes());
    Flow::Done
}

/// MEMORY STATS
pub fn stats(_: &mut Session, engine: &Engine, _: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    let status = engine.status();
    let numbers = [
        ("total.allocated", status.cache.1),
        ("keys.count", status.cache.0),
        ("keys.bytes-per-key", status.cache.1 / status.cache.0.max(1)),
        ("dataset.bytes", status.cache.1),
        ("landfall.dirty.rows", status.dirty.0),
        ("landfall.dirty.bytes", status.dirty.1),
        ("landfall.maxmemory", engine.settings().memory_bytes_max),
    ];
    reply.map_header(numbers.len());
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.integer(number as i64);
    }
    Flow::Done
}
