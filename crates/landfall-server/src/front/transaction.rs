//! EXEC: runs what was queued as one unit, under the locks of all its rows, and logs it as one record.
//! It must never run a part of a transaction: what needs a load has done nothing yet, and runs again as a whole.

use landfall::engine::{Engine, Refusal, Stop, Unit};
use landfall::model::LaneId;
use landfall::model::mapping::Target;
use landfall_resp::ReplyWriter;

use super::event_ids::insert_event_ids;
use super::execute::{Outcome, Targets, note_wakes, refused, refused_read, targets_of};
use super::session::{Session, Transaction};
use crate::commands::{Call, Handler};

/// Where a queued command finds its keys.
struct Queued {
    /// Its targets, or why it has none.
    targets: Result<Targets, Refusal>,
    /// The number of its first key in the unit.
    base: usize,
}

pub(super) fn exec(engine: &Engine, session: &mut Session, out: &mut Vec<u8>) -> Outcome {
    let mut reply = ReplyWriter::new(out, session.protocol);
    let Some(transaction) = session.transaction.take() else {
        reply.error("ERR EXEC without MULTI");
        return Outcome::Done;
    };
    if transaction.spoiled {
        session.watch = None;
        reply.error("EXECABORT Transaction discarded because of previous errors.");
        return Outcome::Done;
    }
    let mut base = 0;
    let queued: Vec<Queued> = transaction
        .queued
        .iter()
        .map(|(spec, request)| {
            let targets = targets_of(engine, spec, &request.as_request());
            let queued = Queued { base, targets };
            base += queued.targets.as_ref().map_or(0, |targets| targets.len());
            queued
        })
        .collect();
    run_queued(engine, session, out, transaction, &queued)
}

/// All keys of a transaction, in the order of its commands.
fn keys_of<'t>(transaction: &'t Transaction, queued: &'t [Queued]) -> Vec<(&'t [u8], &'t Target)> {
    let mut keys = Vec::new();
    for ((spec, request), queued) in transaction.queued.iter().zip(queued) {
        let request = request.as_request();
        let args = spec.key_args(&request);
        for (at, target) in args.zip(queued.targets.iter().flatten()) {
            keys.push((request.arg(at).unwrap_or_default(), target));
        }
    }
    keys
}

/// Writes what a transaction did, and gives its events their ids.
fn commit_queued(
    engine: &Engine,
    session: &mut Session,
    out: &mut Vec<u8>,
    (transaction, start): (&Transaction, usize),
    unit: Unit<'_>,
    events: Vec<(usize, LaneId)>,
) -> Outcome {
    if let Some(refusal) = refused_read(engine, &unit) {
        session.published.clear();
        return refused(session, out, start, &refusal);
    }
    session.unsafe_reply |= engine.has_room() && unit.read_dirty();
    match unit.commit() {
        Ok(written) => {
            session.wrote(&written);
            for (spec, request) in &transaction.queued {
                note_wakes(session, spec, &request.as_request());
            }
            insert_event_ids(session.protocol, out, &events, &written);
            Outcome::Done
        }
        Err(refusal) => {
            // What would have told of it is not told.
            session.published.clear();
            refused(session, out, start, &refusal)
        }
    }
}

/// Whether something changed that the connection watches, which it then no longer does. Asked under the locks of what is
/// watched: until the transaction is through, it stays so.
fn is_broken(session: &mut Session, unit: &Unit<'_>) -> bool {
    session.watch.take_if(|watch| !unit.holds(watch)).is_some()
}

/// A unit over the keys of a transaction and what its connection watches.
fn locked<'e>(engine: &'e Engine, session: &Session, keys: &[(&[u8], &Target)]) -> Unit<'e> {
    match &session.watch {
        Some(watch) => engine.unit_watching(keys, true, watch),
        None => engine.unit(keys, true),
    }
}

fn run_queued(
    engine: &Engine,
    session: &mut Session,
    out: &mut Vec<u8>,
    transaction: Transaction,
    queued: &[Queued],
) -> Outcome {
    let keys = keys_of(&transaction, queued);
    let mut unit = locked(engine, session, &keys);
    let start = out.len();
    if is_broken(session, &unit) {
        ReplyWriter::new(out, session.protocol).null_array();
        return Outcome::Done;
    }
    ReplyWriter::new(out, session.protocol).array_header(transaction.queued.len());
    // Where the ids of events go, once the log has given them.
    let mut events: Vec<(usize, LaneId)> = Vec::new();
    for ((spec, request), queued) in transaction.queued.iter().zip(queued) {
        let request = request.as_request();
        let before = out.len();
        session.shared.counters.ran_inside(spec);
        let targets = match (&queued.targets, spec.handler) {
            (Err(refusal), _) => {
                refused(session, out, before, refusal);
                continue;
            }
            (Ok(_), Handler::Session(handler)) => {
                let mut reply = ReplyWriter::new(out, session.protocol);
                handler(session, engine, &request, &mut reply);
                continue;
            }
            (Ok(_), Handler::Exec) => continue,
            (Ok(targets), Handler::Data(_)) => targets,
        };
        let Handler::Data(handler) = spec.handler else { continue };
        let savepoint = unit.savepoint(targets.len() > 1 && spec.writes());
        let mut call = Call {
            engine,
            request,
            targets,
            base: queued.base,
            unit: &mut unit,
            reply: ReplyWriter::new(out, session.protocol),
            origin: session.who.id,
            watch: &mut session.watch,
            event: None,
            blocking: None,
        };
        let outcome = handler(&mut call);
        let event = call.event;
        match outcome {
            Ok(()) => events.extend(event.map(|lane| (out.len(), lane))),
            Err(Stop::Refused(refusal)) => {
                refused(session, out, before, &refusal);
                savepoint.into_iter().for_each(|savepoint| unit.restore(savepoint));
            }
            Err(Stop::Load) => {
                // Nothing was done yet: the whole transaction runs again.
                out.truncate(start);
                session.published.clear();
                let wanted = unit.wanted();
                drop(unit);
                session.transaction = Some(transaction);
                return Outcome::Load(wanted);
            }
        }
    }
    session.watch = None;
    commit_queued(engine, session, out, (&transaction, start), unit, events)
}
