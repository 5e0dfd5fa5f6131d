//! SCAN, KEYS, DBSIZE and RANDOMKEY: walks over the key-value keys, cached, pending and stored, and with `SCAN .. MATCH table:*` over the
//! rows of a table; and FLUSHALL, which clears the keys.
//! The meaning is the engine's; a walk that needs the database answers later, and the loop serves the others meanwhile.

use std::sync::Arc;

use landfall::engine::keyspace::{Cursor, Found, Wanted, Wish};
use landfall::engine::ops::numbers;
use landfall::engine::{Engine, Refusal, Stop};
use landfall::model::Table;
use landfall::sink::KeyKind;
use landfall_resp::{ReplyWriter, Request};

use super::{Flow, glob, refuse, syntax_error};
use crate::front::session::Session;
use crate::front::shared::Post;
use crate::front::waiting::Wait;

/// How many keys a page looks at when it is not told.
const COUNT: usize = 10;
/// The longest pattern, in bytes: a hostile one costs its length times that of each name.
const PATTERN_BYTES_MAX: usize = 1024;

/// What SCAN and its kin are told behind the cursor.
pub(super) struct Options<'r> {
    /// About so many.
    pub(super) count: usize,
    /// Names that match.
    pub(super) pattern: Option<&'r [u8]>,
    /// Keys of this type.
    pub(super) kind: Option<&'r [u8]>,
}

impl<'r> Options<'r> {
    /// The words from number `from` on; `TYPE` only where keys are looked for.
    pub(super) fn parse(request: &Request<'r>, from: usize, takes_type: bool) -> Result<Options<'r>, Stop> {
        let mut options = Options { count: COUNT, pattern: None, kind: None };
        let mut at = from;
        while let Some(word) = request.arg(at) {
            let value = request.arg(at + 1).ok_or_else(syntax_error)?;
            match word {
                word if word.eq_ignore_ascii_case(b"COUNT") => {
                    let count = numbers::integer(value)?;
                    options.count =
                        usize::try_from(count).ok().filter(|count| *count > 0).ok_or_else(syntax_error)?;
                }
                word if word.eq_ignore_ascii_case(b"MATCH") => options.pattern = Some(pattern_of(value)?),
                word if takes_type && word.eq_ignore_ascii_case(b"TYPE") => options.kind = Some(value),
                _ => return Err(syntax_error()),
            }
            at += 2;
        }
        Ok(options)
    }
}

/// A pattern of a bearable length: it is matched with every name that a walk meets.
fn pattern_of(text: &[u8]) -> Result<&[u8], Stop> {
    match text.len() {
        0..=PATTERN_BYTES_MAX => Ok(text),
        long => Err(Refusal::invalid(format!(
            "the pattern has {long} bytes, and at most {PATTERN_BYTES_MAX} are taken; match in the client what needs more"
        ))
        .into()),
    }
}

/// The cursor that a client gives back.
pub(super) fn cursor(text: &[u8]) -> Result<u64, Stop> {
    let number = std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+'));
    number.and_then(|text| text.parse().ok()).ok_or_else(|| Refusal::invalid("invalid cursor").into())
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub fn scan(
    session: &mut Session,
    engine: &Engine,
    request: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Flow {
    let asked = cursor(request.arg(1).unwrap_or_default())
        .and_then(|cursor| Ok((cursor, Options::parse(request, 2, true)?)));
    let (cursor, options) = match asked {
        Ok(asked) => asked,
        Err(Stop::Refused(refusal)) => {
            refuse(reply, &refusal);
            return Flow::Done;
        }
        Err(Stop::Load) => return Flow::Done,
    };
    let pattern = options.pattern.filter(|pattern| *pattern != b"*").map(<[u8]>::to_vec);
    let table =
        pattern.as_deref().and_then(glob::first_segment).and_then(|segment| engine.table_named(&segment));
    if let Some((table, reason)) = table.and_then(|table| Some((table, table.keyless_reason.as_ref()?))) {
        reply.error_fmt(format_args!("ERR no key leads to a row of table {}: {reason}", table.name));
        return Flow::Done;
    }
    let kind = options.kind.map(<[u8]>::to_ascii_lowercase);
    let wanted: Wanted = Box::new(move |key, of| {
        let name: &[u8] = match of {
            KeyKind::String => b"string",
            KeyKind::Hash => b"hash",
            KeyKind::Stream => b"stream",
        };
        kind.as_ref().is_none_or(|kind| *kind == name)
            && pattern.as_ref().is_none_or(|pattern| glob::matches(pattern, key))
    });
    let wish = match table {
        Some(table) => Walked::Rows(table, Cursor(cursor), options.count),
        None => Walked::Keys(Wish::Page(Cursor(cursor), options.count)),
    };
    answer(session, engine, reply, (wish, wanted), |reply, found| {
        reply.array_header(2);
        reply.bulk(found.cursor.0.to_string().as_bytes());
        list(reply, &found.keys);
    })
}

/// KEYS pattern
pub fn keys(
    session: &mut Session,
    engine: &Engine,
    request: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Flow {
    let pattern = match pattern_of(request.arg(1).unwrap_or_default()) {
        Ok(pattern) => pattern.to_vec(),
        Err(Stop::Refused(refusal)) => {
            refuse(reply, &refusal);
            return Flow::Done;
        }
        Err(Stop::Load) => return Flow::Done,
    };
    let wanted: Wanted = Box::new(move |key, _| pattern == b"*" || glob::matches(&pattern, key));
    answer(session, engine, reply, (Walked::Keys(Wish::All), wanted), |reply, found| list(reply, &found.keys))
}

/// DBSIZE
pub fn dbsize(session: &mut Session, engine: &Engine, _: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    let wanted: Wanted = Box::new(|_, _| true);
    answer(session, engine, reply, (Walked::Keys(Wish::Count), wanted), |reply, found| {
        reply.integer(i64::try_from(found.count).unwrap_or(i64::MAX));
    })
}

/// RANDOMKEY
pub fn randomkey(
    session: &mut Session,
    engine: &Engine,
    _: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Flow {
    let wanted: Wanted = Box::new(|_, _| true);
    answer(session, engine, reply, (Walked::Keys(Wish::One), wanted), |reply, found| {
        reply.bulk_or_null(found.keys.first().map(Vec::as_slice));
    })
}

/// `FLUSHALL [ASYNC | SYNC]`, and FLUSHDB, of which there is one
pub fn flushall(
    session: &mut Session,
    engine: &Engine,
    request: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Flow {
    let is_known = |word: &[u8]| word.eq_ignore_ascii_case(b"ASYNC") || word.eq_ignore_ascii_case(b"SYNC");
    if request.arg_count() > 2 || !request.arg(1).is_none_or(is_known) {
        reply.error("ERR syntax error");
        return Flow::Done;
    }
    match engine.clear() {
        Ok(written) => {
            session.wrote(&written);
            reply.ok();
        }
        Err(refusal) => refuse(reply, &refusal),
    }
    Flow::Done
}

fn list(reply: &mut ReplyWriter<'_>, keys: &[Vec<u8>]) {
    reply.array_header(keys.len());
    keys.iter().for_each(|key| reply.bulk(key));
}

/// What a command walks over.
enum Walked<'e> {
    Keys(Wish),
    Rows(&'e Arc<Table>, Cursor, usize),
}

/// Answers now if the cache can, else when the walk is over.
fn answer(
    session: &mut Session,
    engine: &Engine,
    reply: &mut ReplyWriter<'_>,
    (walked, wanted): (Walked<'_>, Wanted),
    write: impl Fn(&mut ReplyWriter<'_>, &Found) + Send + 'static + Copy,
) -> Flow {
    let (shared, who, protocol) = (session.shared.clone(), session.who, session.protocol);
    let later = Box::new(move |found: Result<Found, Refusal>| {
        let mut out = Vec::new();
        let mut reply = ReplyWriter::new(&mut out, protocol);
        match found {
            Ok(found) => write(&mut reply, &found),
            Err(refusal) => refuse(&mut reply, &refusal),
        }
        shared.post(Post::Reply(who, out));
    });
    let found = match walked {
        Walked::Keys(wish) => engine.walk(wish, wanted, later),
        Walked::Rows(table, cursor, count) => engine.walk_rows(table, (cursor, count), wanted, later),
    };
    match found {
        None => return Flow::Park(Wait::Reply),
        Some(Err(refusal)) => refuse(reply, &refusal),
        // While the log has no room, what was accepted last may get lost again: nobody is told of it.
        Some(Ok(found))
            if found.read_dirty && !engine.has_room() && !engine.is_acknowledged(engine.accepted()) =>
        {
            let reason = "the log has no room on its disk, and the last writes are not safe yet; make room, or try again later";
            refuse(reply, &Refusal::Log { reason: reason.into(), outcome_unknown: false });
        }
        Some(Ok(found)) => {
            session.unsafe_reply |= found.read_dirty && engine.has_room();
            write(reply, &found);
        }
    }
    Flow::Done
}
