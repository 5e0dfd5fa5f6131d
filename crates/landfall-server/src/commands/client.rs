//! CLIENT: what a connection says of itself.
//! It only reads and writes the session; nothing here touches a socket.

use landfall::engine::Engine;
use landfall_resp::{ReplyWriter, Request};

use super::Flow;
use crate::front::session::Session;

/// CLIENT ID
pub fn id(session: &mut Session, _: &Engine, _: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    reply.integer(session.who.id as i64);
    Flow::Done
}

/// CLIENT SETNAME name
pub fn setname(
    session: &mut Session,
    _: &Engine,
    request: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Flow {
    match request[2].iter().all(u8::is_ascii_graphic) {
        true => {
            session.name = request[2].to_vec();
            reply.ok();
        }
        false => reply.error("ERR Client names cannot contain spaces, newlines or special characters."),
    }
    Flow::Done
}

/// CLIENT GETNAME
pub fn getname(session: &mut Session, _: &Engine, _: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    reply.bulk_or_null(Some(&session.name[..]).filter(|name| !name.is_empty()));
    Flow::Done
}

/// CLIENT SETINFO LIB-NAME | LIB-VER text
pub fn setinfo(_: &mut Session, _: &Engine, request: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    match request[2].to_ascii_uppercase().as_slice() {
        b"LIB-NAME" | b"LIB-VER" => reply.ok(),
        _ => reply.error("ERR Unrecognized option; LIB-NAME and LIB-VER are known"),
    }
    Flow::Done
}

/// CLIENT NO-EVICT | NO-TOUCH ON | OFF
pub fn switch(_: &mut Session, _: &Engine, request: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    match request[2].to_ascii_uppercase().as_slice() {
        b"ON" | b"OFF" => reply.ok(),
        _ => reply.error("ERR syntax error"),
    }
    Flow::Done
}
