//! SLOWLOG and LATENCY: which commands were slow, and what delays there were.
//! A value never appears here: of a slow command its name and keys are kept.

use std::sync::atomic::Ordering;

use landfall::engine::Engine;
use landfall::engine::ops::numbers;
use landfall_resp::{ReplyWriter, Request};

use super::Flow;
use super::spec::Spec;
use super::table::{everything, named};
use crate::front::counters::{Counter, Slow};
use crate::front::session::Session;

/// So many entries SLOWLOG GET answers when it is not told how many.
const ENTRIES: usize = 10;

type Reply<'a, 'o> = &'a mut ReplyWriter<'o>;

/// `SLOWLOG GET [count]`
pub fn get(session: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    let most = match request.arg(2).map(numbers::integer) {
        None => ENTRIES,
        Some(Ok(-1)) => usize::MAX,
        Some(Ok(count)) if count >= 0 => count as usize,
        Some(_) => {
            reply.error("ERR count should be greater than or equal to -1");
            return Flow::Done;
        }
    };
    let slow = session.shared.counters.slow(most);
    reply.array_header(slow.len());
    slow.iter().for_each(|slow| entry(slow, reply));
    Flow::Done
}

fn entry(slow: &Slow, reply: Reply<'_, '_>) {
    reply.array_header(6);
    reply.integer(slow.id as i64);
    reply.integer(slow.at_s as i64);
    reply.integer(slow.took.as_micros() as i64);
    reply.array_header(slow.words.len());
    slow.words.iter().for_each(|word| reply.bulk(word));
    let (name, id) = &slow.client;
    reply.bulk(format!("client {id}").as_bytes());
    reply.bulk(name);
}

/// SLOWLOG LEN
pub fn len(session: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.integer(session.shared.counters.slow_kept() as i64);
    Flow::Done
}

/// SLOWLOG RESET
pub fn reset(session: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    session.shared.counters.forget_slow();
    reply.ok();
    Flow::Done
}

/// LATENCY LATEST
pub fn latest(session: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    let events = session.shared.counters.events();
    reply.array_header(events.len());
    for (kind, event) in &events {
        let (at_s, took_ms) = event.moments.back().copied().unwrap_or_default();
        reply.array_header(4);
        reply.bulk(kind.as_bytes());
        [at_s, took_ms, event.longest_ms].into_iter().for_each(|number| reply.integer(number as i64));
    }
    Flow::Done
}

/// LATENCY HISTORY event
pub fn history(session: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    let events = session.shared.counters.events();
    let found = events.iter().find(|(kind, _)| kind.as_bytes() == &request[2]);
    let moments = found.map(|(_, event)| &event.moments);
    reply.array_header(moments.map_or(0, std::collections::VecDeque::len));
    for (at_s, took_ms) in moments.into_iter().flatten() {
        reply.array_header(2);
        reply.integer(*at_s as i64);
        reply.integer(*took_ms as i64);
    }
    Flow::Done
}

/// `LATENCY RESET [event ..]`
pub fn forget(session: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    let kinds: Vec<&[u8]> = request.args().skip(2).collect();
    reply.integer(session.shared.counters.forget_events(&kinds) as i64);
    Flow::Done
}

/// LATENCY DOCTOR
pub fn doctor(session: &mut Session, engine: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    let counters = &session.shared.counters;
    let mut text = match counters.event_from_ms.load(Ordering::Relaxed) {
        0 => "Delays are not watched: CONFIG SET latency-monitor-threshold 10 watches those of 10 ms and more.\n".to_owned(),
        from_ms => format!("Delays of {from_ms} ms and more are watched.\n"),
    };
    for (kind, event) in counters.events() {
        text += &format!(
            "{kind}: {} seconds with such a delay, {} ms at most.\n",
            event.moments.len(),
            event.longest_ms
        );
    }
    text += &format!(
        "The slowest sync of the log took {} ms. LANDFALL.STATUS tells what holds landing up.\n",
        engine.status().log.sync_ms_max
    );
    reply.verbatim(b"txt", text.as_bytes());
    Flow::Done
}

/// `LATENCY HISTOGRAM [command ..]`
pub fn histogram(session: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    let asked: Vec<&'static Spec> = match request.arg_count() {
        2 => everything().collect(),
        _ => request.args().skip(2).filter_map(named).collect(),
    };
    let counters = &session.shared.counters;
    let ran = |spec: &&&Spec| counters.of(spec).calls.load(Ordering::Relaxed) > 0;
    let told: Vec<_> = asked.iter().filter(ran).collect();
    reply.map_header(told.len());
    for spec in told {
        reply.bulk(spec.full_name().as_bytes());
        buckets(counters.of(spec), reply);
    }
    Flow::Done
}

/// How many calls took at most so long, as sums.
fn buckets(counter: &Counter, reply: Reply<'_, '_>) {
    reply.map_header(2);
    reply.bulk(b"calls");
    reply.integer(counter.calls.load(Ordering::Relaxed) as i64);
    reply.bulk(b"histogram_usec");
    let mut sum = 0;
    let mut told = Vec::new();
    for (number, bucket) in counter.buckets.iter().enumerate() {
        let here = bucket.load(Ordering::Relaxed);
        sum += here;
        if here > 0 {
            told.push((1_i64 << number, sum as i64));
        }
    }
    reply.map_header(told.len());
    for (below_us, sum) in told {
        reply.integer(below_us);
        reply.integer(sum);
    }
}
