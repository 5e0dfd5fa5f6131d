//! CLIENT: what a connection says of itself, and what it asks of others.
//! What needs other connections is only read here; the loop, which has them, does it.

use landfall::engine::Engine;
use landfall::engine::ops::numbers;
use landfall_resp::{ReplyWriter, Request};

use super::Flow;
use crate::front::session::{Replies, Session};

type Reply<'a, 'o> = &'a mut ReplyWriter<'o>;

/// What is asked of the connections.
pub enum Asked {
    /// CLIENT INFO: the own one.
    Own,
    /// CLIENT LIST: those that match.
    List(Filter),
    /// CLIENT KILL with filters: close those that match, and answer how many.
    Kill(Filter),
    /// CLIENT KILL with an address alone: close it, or say that there is none.
    KillAddress(String),
    /// CLIENT UNBLOCK: end the wait of the one with this number, with an error or as if its time were over.
    Unblock(u64, bool),
}

/// Which connections are meant; each part that is there has to match.
#[derive(Default)]
pub struct Filter {
    /// With one of these numbers.
    pub ids: Option<Vec<u64>>,
    /// Of this kind; none of the kind `None` is there.
    pub kind: Option<Kind>,
    /// From this address.
    pub address: Option<String>,
    /// At this address of ours.
    pub own_address: Option<String>,
    /// Of this user.
    pub user: Option<Vec<u8>>,
    /// At least so old.
    pub age_s: Option<u64>,
    /// Not the one that asks.
    pub skip_me: bool,
}

/// The kinds of connections that Redis knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any other.
    Normal,
    /// One that waits for messages.
    Pubsub,
    /// Replication, which Landfall has not.
    Replication,
}

/// CLIENT ID
pub fn id(session: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.integer(session.who.id as i64);
    Flow::Done
}

/// CLIENT SETNAME name
pub fn setname(session: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    match is_name(&request[2]) {
        true => {
            session.name = request[2].to_vec();
            reply.ok();
        }
        false => reply.error(NO_NAME),
    }
    Flow::Done
}

/// The refusal of what is no name of a connection.
pub(super) const NO_NAME: &str =
    "ERR Client names cannot contain spaces, newlines or special characters, and are short.";

/// Whether a connection may be called so. The name is kept with each slow command, and CLIENT LIST shows it in a line.
pub(super) fn is_name(text: &[u8]) -> bool {
    text.len() <= NAME_BYTES_MAX && text.iter().all(u8::is_ascii_graphic)
}

/// CLIENT GETNAME
pub fn getname(session: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.bulk_or_null(Some(&session.name[..]).filter(|name| !name.is_empty()));
    Flow::Done
}

/// CLIENT SETINFO LIB-NAME | LIB-VER text
pub fn setinfo(session: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    let text = &request[3];
    let place = match request[2].to_ascii_uppercase().as_slice() {
        b"LIB-NAME" => &mut session.library.0,
        b"LIB-VER" => &mut session.library.1,
        _ => {
            let name = String::from_utf8_lossy(&request[2][..request[2].len().min(64)]).into_owned();
            reply.error_fmt(format_args!("ERR Unrecognized option '{name}'"));
            return Flow::Done;
        }
    };
    match is_name(text) {
        true => {
            *place = text.to_vec();
            reply.ok();
        }
        false => reply.error(
            "ERR lib-name and lib-ver cannot contain spaces, newlines or special characters, and are short.",
        ),
    }
    Flow::Done
}

/// The longest name of a connection or a client library, and the longest version of one.
const NAME_BYTES_MAX: usize = 256;

/// CLIENT NO-EVICT | NO-TOUCH ON | OFF
pub fn switch(_: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    match request[2].to_ascii_uppercase().as_slice() {
        b"ON" | b"OFF" => reply.ok(),
        _ => reply.error("ERR syntax error"),
    }
    Flow::Done
}

/// CLIENT REPLY ON | OFF | SKIP
pub fn reply(session: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    match request[2].to_ascii_uppercase().as_slice() {
        b"ON" => {
            session.replies = Replies::On;
            reply.ok();
        }
        b"OFF" => session.replies = Replies::Off,
        // Within OFF it changes nothing.
        b"SKIP" if session.replies != Replies::Off => session.replies = Replies::SkipNext,
        b"SKIP" => {}
        _ => reply.error("ERR syntax error"),
    }
    Flow::Done
}

/// CLIENT GETREDIR
pub fn getredir(_: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.integer(-1);
    Flow::Done
}

/// `CLIENT TRACKING ON | OFF [option ..]`
pub fn tracking(_: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    match request[2].to_ascii_uppercase().as_slice() {
        b"OFF" => reply.ok(),
        b"ON" => reply.error(
            "ERR Landfall does not tell clients of changed keys; cache in the client with a time to live",
        ),
        _ => reply.error("ERR syntax error"),
    }
    Flow::Done
}

/// CLIENT TRACKINGINFO
pub fn trackinginfo(_: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.map_header(3);
    reply.bulk(b"flags");
    reply.set_header(1);
    reply.bulk(b"off");
    reply.bulk(b"redirect");
    reply.integer(-1);
    reply.bulk(b"prefixes");
    reply.array_header(0);
    Flow::Done
}

/// CLIENT PAUSE
pub fn pause(_: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.error("ERR clients are not paused; LANDFALL.PAUSE stops the landing of rows, and clients go on");
    Flow::Done
}

/// CLIENT UNPAUSE
pub fn unpause(_: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.ok();
    Flow::Done
}

/// `CLIENT UNBLOCK id [TIMEOUT | ERROR]`
pub fn unblock(_: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    let with_error = match request.arg(3) {
        None => Some(false),
        Some(word) if word.eq_ignore_ascii_case(b"TIMEOUT") => Some(false),
        Some(word) if word.eq_ignore_ascii_case(b"ERROR") => Some(true),
        Some(_) => None,
    };
    match (with_error, numbers::integer(&request[2])) {
        (None, _) => reply.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        (_, Err(_)) => reply.error("ERR value is not an integer or out of range"),
        (Some(with_error), Ok(id)) => {
            return Flow::Clients(Asked::Unblock(u64::try_from(id).unwrap_or(0), with_error));
        }
    }
    Flow::Done
}

/// CLIENT INFO
pub fn info(_: &mut Session, _: &Engine, _: &Request<'_>, _: Reply<'_, '_>) -> Flow {
    Flow::Clients(Asked::Own)
}

/// `CLIENT LIST [TYPE kind] [ID id ..]`
pub fn list(_: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    let mut filter = Filter::default();
    let words: Vec<&[u8]> = request.args().skip(2).collect();
    match words.as_slice() {
        [] => {}
        [word, kind] if word.eq_ignore_ascii_case(b"TYPE") => match kind_of(kind) {
            Some(kind) => filter.kind = Some(kind),
            None => return unknown_kind(kind, reply),
        },
        [word, ids @ ..] if word.eq_ignore_ascii_case(b"ID") && !ids.is_empty() => {
            let ids: Option<Vec<u64>> = ids.iter().map(|id| number(id)).collect();
            if ids.is_none() {
                reply.error("ERR Invalid client ID");
                return Flow::Done;
            }
            filter.ids = ids;
        }
        _ => {
            reply.error("ERR syntax error");
            return Flow::Done;
        }
    }
    Flow::Clients(Asked::List(filter))
}

/// `CLIENT KILL address | [ID id] [TYPE kind] [ADDR address] [LADDR address] [USER name] [MAXAGE s] [SKIPME yes | no]`
pub fn kill(_: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    if request.arg_count() == 3 {
        return Flow::Clients(Asked::KillAddress(text(&request[2])));
    }
    let mut filter = Filter { skip_me: true, ..Filter::default() };
    let words: Vec<&[u8]> = request.args().skip(2).collect();
    for pair in words.chunks(2) {
        let [option, value] = pair else {
            reply.error("ERR syntax error");
            return Flow::Done;
        };
        match option.to_ascii_uppercase().as_slice() {
            b"ID" => match number(value).filter(|id| *id > 0) {
                Some(id) => filter.ids = Some(vec![id]),
                None => {
                    reply.error("ERR client-id should be greater than 0");
                    return Flow::Done;
                }
            },
            b"TYPE" => match kind_of(value) {
                Some(kind) => filter.kind = Some(kind),
                None => return unknown_kind(value, reply),
            },
            b"ADDR" => filter.address = Some(text(value)),
            b"LADDR" => filter.own_address = Some(text(value)),
            b"USER" => filter.user = Some(value.to_vec()),
            b"MAXAGE" if number(value).is_some() => filter.age_s = number(value),
            b"SKIPME" if value.eq_ignore_ascii_case(b"yes") => filter.skip_me = true,
            b"SKIPME" if value.eq_ignore_ascii_case(b"no") => filter.skip_me = false,
            _ => {
                reply.error("ERR syntax error");
                return Flow::Done;
            }
        }
    }
    Flow::Clients(Asked::Kill(filter))
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

fn number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn kind_of(word: &[u8]) -> Option<Kind> {
    match word.to_ascii_lowercase().as_slice() {
        b"normal" => Some(Kind::Normal),
        b"pubsub" => Some(Kind::Pubsub),
        b"master" | b"replica" | b"slave" => Some(Kind::Replication),
        _ => None,
    }
}

fn unknown_kind(word: &[u8], reply: Reply<'_, '_>) -> Flow {
    let shown = text(&word[..word.len().min(64)]);
    reply.error_fmt(format_args!("ERR Unknown client type '{shown}'"));
    Flow::Done
}
