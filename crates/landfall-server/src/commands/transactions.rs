//! MULTI, DISCARD, WATCH and UNWATCH; EXEC is the front's.
//! A watch never misses a change through Landfall; it may be broken for none, and then the client tries again.

use landfall::engine::{Engine, Refusal, Stop};
use landfall_resp::{ReplyWriter, Request};

use super::{Call, Flow};
use crate::front::session::{Session, Transaction};

/// So many rows a connection may watch.
const WATCHED_ROWS_MAX: usize = 10_000;

/// MULTI
pub fn multi(session: &mut Session, _: &Engine, _: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    if session.transaction.is_some() {
        reply.error("ERR MULTI calls can not be nested");
    } else {
        session.transaction = Some(Transaction::default());
        reply.ok();
    }
    Flow::Done
}

/// DISCARD
pub fn discard(session: &mut Session, _: &Engine, _: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    match session.transaction.take() {
        Some(_) => {
            session.watch = None;
            reply.ok();
        }
        None => reply.error("ERR DISCARD without MULTI"),
    }
    Flow::Done
}

/// `WATCH key [key ..]`
pub fn watch(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let watch = call.watch.get_or_insert_with(|| call.engine.watch());
    for at in 0..call.targets.len() {
        call.unit.watch(call.base + at, watch)?;
        if watch.rows() > WATCHED_ROWS_MAX {
            return Err(Refusal::invalid(format!(
                "a connection may watch {WATCHED_ROWS_MAX} keys at most; UNWATCH, and watch fewer"
            ))
            .into());
        }
    }
    call.reply.ok();
    Ok(())
}

/// UNWATCH
pub fn unwatch(session: &mut Session, _: &Engine, _: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    session.watch = None;
    reply.ok();
    Flow::Done
}
