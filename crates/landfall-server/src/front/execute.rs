//! Runs one request: looks the command up, locks its rows, runs it, logs what it did, and writes exactly one reply.
//! It never waits: what needs the database is parked, and run again when the rows are there.

use std::sync::atomic::Ordering;

use landfall::engine::ops::names_a_table;
use landfall::engine::{Engine, Refusal, Stop, ToLoad};
use landfall::model::mapping::Target;
use landfall_resp::{OwnedRequest, Protocol, ReplyWriter, Request};
use smallvec::SmallVec;

use super::event_ids::event_id;
use super::session::{Session, TRANSACTION_BYTES_MAX, Transaction};
use super::transaction;
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
    Load(Vec<ToLoad>),
    /// There is nothing to reply yet: this request is to run again when somebody has written to its keys, at most so many
    /// milliseconds long (0: without end).
    Block(OwnedRequest, u64),
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
        Handler::Exec => transaction::exec(engine, session, out),
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
        .key_args(request)
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
        blocking: None,
    };
    let outcome = handler(&mut call);
    let (event, blocking) = (call.event, call.blocking);
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
                note_wakes(session, spec, request);
                let waits = blocking.and_then(|it| Some((it.resolved(request)?, it.timeout_ms)));
                let Some((request, timeout_ms)) = waits else { return Outcome::Done };
                out.truncate(start);
                Outcome::Block(request, timeout_ms)
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

/// Notes the keys of a command that somebody may have waited for.
pub(super) fn note_wakes(session: &mut Session, spec: &Spec, request: &Request<'_>) {
    if spec.flags.has(Flags::WAKES) && session.shared.readers.load(Ordering::Relaxed) > 0 {
        let keys = spec.key_args(request).filter_map(|at| request.arg(at));
        session.woken.extend(keys.map(<[u8]>::to_vec));
    }
}

/// While the log has no room, a value that was accepted last may get lost again: nobody is told of it.
pub(super) fn refused_read(engine: &Engine, unit: &landfall::engine::Unit<'_>) -> Option<Refusal> {
    if engine.has_room() || !unit.read_dirty() || !unit.reads_unsafe() {
        return None;
    }
    let reason = "the log has no room on its disk, and the last write to this key is not safe yet; make room, or try again later";
    Some(Refusal::Log { reason: reason.into(), outcome_unknown: false })
}

pub(super) fn refused(session: &Session, out: &mut Vec<u8>, start: usize, refusal: &Refusal) -> Outcome {
    out.truncate(start);
    refuse(&mut ReplyWriter::new(out, session.protocol), refusal);
    Outcome::Done
}

pub(super) type Targets = SmallVec<[Target; 1]>;

pub(super) fn targets_of(engine: &Engine, spec: &Spec, request: &Request<'_>) -> Result<Targets, Refusal> {
    let mut targets = Targets::new();
    for at in spec.key_args(request) {
        let target = engine.resolve(request.arg(at).unwrap_or_default())?;
        if let (Target::Table(table), true) = (&target, spec.name != "XADD") {
            return Err(names_a_table(table));
        }
        targets.push(target);
    }
    Ok(targets)
}
