//! Runs one request: looks the command up, locks its rows, runs it, logs what it did, and writes exactly one reply.
//! It never waits: what needs the database is parked, and run again when the rows are there.

use landfall::engine::ops::names_a_table;
use landfall::engine::{Engine, Refusal, Stop, Unit};
use landfall::model::mapping::Target;
use landfall::model::{LaneId, RowKey};
use landfall_resp::{Protocol, ReplyWriter, Request};
use smallvec::SmallVec;

use super::event_ids::{event_id, insert_event_ids};
use super::session::{Session, TRANSACTION_BYTES_MAX, Transaction};
use super::users::Rights;
use crate::commands::spec::{DataHandler, Flags, Group};
use crate::commands::table::Unknown;
use crate::commands::{Call, Flow, Handler, Spec, acl, refuse};

/// How a request ended.
pub enum Outcome {
    /// Replied.
    Done,
    /// Replied: queued by MULTI, or refused to be.
    Queued,
    /// Replied with an error, and nothing ran.
    Rejected,
    /// These rows have to be loaded; nothing was replied. For EXEC the transaction is still queued.
    Load(Vec<(RowKey, LaneId)>),
    /// As a session command asks.
    Flow(Flow),
}

/// Runs a request of `session`, whose command was `found`. `engine` is none while it is opened anew.
pub fn execute(
    engine: Option<&Engine>,
    session: &mut Session,
    out: &mut Vec<u8>,
    request: &Request<'_>,
    found: &Result<&'static Spec, Unknown>,
) -> Outcome {
    let spec = match found {
        Ok(spec) => spec,
        Err(what) => {
            spoil(session);
            unknown(session, out, request, what);
            return Outcome::Rejected;
        }
    };
    let mut reply = ReplyWriter::new(out, session.protocol);
    if !spec.takes(request.arg_count()) {
        spoil(session);
        reply.error_fmt(format_args!("ERR wrong number of arguments for '{}' command", spec.full_name()));
        return Outcome::Rejected;
    }
    if !session.authenticated && !spec.flags.has(Flags::NO_AUTH) {
        reply.error("NOAUTH Authentication required.");
        return Outcome::Rejected;
    }
    if session.rights != Rights::ALL && !acl::allows(session.rights, spec) {
        spoil(session);
        acl::refuse(session, spec, &mut reply);
        return Outcome::Rejected;
    }
    if session.subscriptions.is_some() && session.protocol == Protocol::Resp2 && !runs_while_listening(spec) {
        reply.error_fmt(format_args!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            spec.full_name()
        ));
        return Outcome::Rejected;
    }
    if session.transaction.is_some() && !runs_at_once(spec) {
        match spec.name {
            // Redis refuses it without spoiling the transaction.
            "WATCH" => reply.error("ERR WATCH inside MULTI is not allowed"),
            _ => queue(session, spec, request, &mut reply),
        }
        return Outcome::Queued;
    }
    let Some(engine) = engine else {
        // Refused, its commands would run one by one as soon as the engine is there again.
        if spec.name == "MULTI" && session.transaction.is_none() {
            session.transaction = Some(Transaction::default());
            reply.ok();
            return Outcome::Done;
        }
        // Whatever EXEC answers, the transaction is over: else the next commands would be queued.
        session.transaction = None;
        session.watch = None;
        reply.error("LOADING Landfall is reading the tables of the database again; try again in a moment");
        return Outcome::Rejected;
    };
    match spec.handler {
        Handler::Session(handler) => Outcome::Flow(handler(session, engine, request, &mut reply)),
        Handler::Data(handler) => data(engine, session, out, (spec, request, handler)),
        Handler::Exec => exec(engine, session, out),
    }
}

/// Whether a command is not queued between MULTI and EXEC. A subcommand may have the name of one of these.
fn runs_at_once(spec: &Spec) -> bool {
    spec.container.is_empty() && matches!(spec.name, "EXEC" | "DISCARD" | "MULTI" | "QUIT" | "RESET")
}

/// Whether a connection that listens in RESP2 may run a command: the reply to any other would look like a message.
fn runs_while_listening(spec: &Spec) -> bool {
    let own = spec.group == Group::Pubsub && spec.container.is_empty() && spec.name != "PUBLISH";
    own || (spec.container.is_empty() && matches!(spec.name, "PING" | "QUIT" | "RESET"))
}

fn unknown(session: &Session, out: &mut Vec<u8>, request: &Request<'_>, what: &Unknown) {
    let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).into_owned();
    if let Unknown::Subcommand(spec) = what {
        return ReplyWriter::new(out, session.protocol).error_fmt(format_args!(
            "ERR unknown subcommand '{}'. Try {} HELP.",
            shown(request.arg(1).unwrap_or_default()),
            spec.name
        ));
    }
    let args: Vec<String> = request.args().skip(1).take(3).map(|arg| format!("'{}' ", shown(arg))).collect();
    ReplyWriter::new(out, session.protocol).error_fmt(format_args!(
        "ERR unknown command '{}', with args beginning with: {}",
        shown(request.command()),
        args.concat()
    ));
}

/// A request that is refused while a transaction is queued makes EXEC refuse.
fn spoil(session: &mut Session) {
    if let Some(transaction) = &mut session.transaction {
        transaction.spoiled = true;
    }
}

fn queue(session: &mut Session, spec: &'static Spec, request: &Request<'_>, reply: &mut ReplyWriter<'_>) {
    let Some(transaction) = &mut session.transaction else { return };
    if spec.flags.has(Flags::NO_MULTI) {
        transaction.spoiled = true;
        reply.error_fmt(format_args!(
            "ERR {} is not allowed in transactions",
            spec.full_name().to_uppercase().replace('|', " ")
        ));
        return;
    }
    let request = request.to_owned_request();
    transaction.bytes += request.held_bytes();
    if transaction.bytes > TRANSACTION_BYTES_MAX {
        transaction.spoiled = true;
        transaction.queued.clear();
        reply.error_fmt(format_args!(
            "ERR the transaction is larger than {TRANSACTION_BYTES_MAX} bytes; split it"
        ));
        return;
    }
    transaction.queued.push((spec, request));
    reply.queued();
}

fn data(
    engine: &Engine,
    session: &mut Session,
    out: &mut Vec<u8>,
    (spec, request, handler): (&'static Spec, &Request<'_>, DataHandler),
) -> Outcome {
    let targets = match targets_of(engine, spec, request) {
        Ok(targets) => targets,
        Err(refusal) => return refused(session, out, out.len(), &refusal),
    };
    let keys: SmallVec<[(&[u8], &Target); 4]> = spec
        .key_args(request.arg_count())
        .zip(&targets)
        .map(|(at, target)| (request.arg(at).unwrap_or_default(), target))
        .collect();
    let mut unit = engine.unit(&keys, keys.len() > 1);
    let start = out.len();
    let mut call = Call {
        engine,
        request: *request,
        targets: &targets,
        base: 0,
        unit: &mut unit,
        reply: ReplyWriter::new(out, session.protocol),
        origin: session.who.id,
        watch: &mut session.watch,
        event: None,
    };
    let outcome = handler(&mut call);
    let event = call.event;
    if let Some(refusal) = refused_read(engine, &unit) {
        return refused(session, out, start, &refusal);
    }
    session.unsafe_reply |= engine.has_room() && unit.read_dirty();
    match outcome {
        Ok(()) => match unit.commit() {
            Ok(written) => {
                session.wrote(&written);
                if let Some(lane) = event {
                    ReplyWriter::new(out, session.protocol).bulk(event_id(&written, lane).as_bytes());
                }
                Outcome::Done
            }
            Err(refusal) => refused(session, out, start, &refusal),
        },
        Err(Stop::Refused(refusal)) => refused(session, out, start, &refusal),
        Err(Stop::Load) => {
            out.truncate(start);
            Outcome::Load(unit.wanted())
        }
    }
}

/// While the log has no room, a value that was accepted last may get lost again: nobody is told of it.
fn refused_read(engine: &Engine, unit: &landfall::engine::Unit<'_>) -> Option<Refusal> {
    if engine.has_room() || !unit.read_dirty() || !unit.reads_unsafe() {
        return None;
    }
    let reason = "the log has no room on its disk, and the last write to this key is not safe yet; make room, or try again later";
    Some(Refusal::Log { reason: reason.into(), outcome_unknown: false })
}

fn refused(session: &Session, out: &mut Vec<u8>, start: usize, refusal: &Refusal) -> Outcome {
    out.truncate(start);
    refuse(&mut ReplyWriter::new(out, session.protocol), refusal);
    Outcome::Done
}

type Targets = SmallVec<[Target; 1]>;

fn targets_of(engine: &Engine, spec: &Spec, request: &Request<'_>) -> Result<Targets, Refusal> {
    let mut targets = Targets::new();
    for at in spec.key_args(request.arg_count()) {
        let target = engine.resolve(request.arg(at).unwrap_or_default())?;
        if let (Target::Table(table), true) = (&target, spec.name != "XADD") {
            return Err(names_a_table(table));
        }
        targets.push(target);
    }
    Ok(targets)
}

/// Where a queued command finds its keys.
struct Queued {
    /// Its targets, or why it has none.
    targets: Result<Targets, Refusal>,
    /// The number of its first key in the unit.
    base: usize,
}

fn exec(engine: &Engine, session: &mut Session, out: &mut Vec<u8>) -> Outcome {
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
        let args = spec.key_args(request.arg_count());
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
    start: usize,
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
    commit_queued(engine, session, out, start, unit, events)
}
