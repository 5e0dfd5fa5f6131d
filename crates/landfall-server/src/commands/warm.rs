//! `LANDFALL.WARM`: loads rows of a table before somebody asks for them, a page for each call.
//! The meaning is the engine's; the loop serves the others while the database answers.

use landfall::engine::Stop;
use landfall::engine::keyspace::Cursor;
use landfall::engine::warm::Warmed;
use landfall::engine::{Engine, Refusal};
use landfall_resp::{ReplyWriter, Request};

use super::keyspace::{Options, cursor};
use super::{Flow, refuse};
use crate::front::session::Session;
use crate::front::shared::Post;
use crate::front::waiting::Wait;

/// `LANDFALL.WARM table cursor [COUNT count]`
pub fn warm(
    session: &mut Session,
    engine: &Engine,
    request: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Flow {
    let asked = cursor(request.arg(2).unwrap_or_default())
        .and_then(|cursor| Ok((cursor, Options::parse(request, 3, false)?)));
    let (cursor, options) = match asked {
        Ok((cursor, options)) if options.pattern.is_none() => (cursor, options),
        Ok(_) => {
            refuse(reply, &Refusal::invalid("syntax error"));
            return Flow::Done;
        }
        Err(Stop::Refused(refusal)) => {
            refuse(reply, &refusal);
            return Flow::Done;
        }
        Err(Stop::Load) => return Flow::Done,
    };
    let name = request.arg(1).unwrap_or_default();
    let Some(table) = engine.table_named(name) else {
        let name = String::from_utf8_lossy(name);
        let sentence =
            format!("there is no table {name} that keys lead to; `landfall status` names the tables");
        refuse(reply, &Refusal::invalid(sentence));
        return Flow::Done;
    };
    if let Some(reason) = &table.keyless_reason {
        reply.error_fmt(format_args!("ERR no key leads to a row of table {}: {reason}", table.name));
        return Flow::Done;
    }
    let (shared, who, protocol) = (session.shared.clone(), session.who, session.protocol);
    let done = Box::new(move |warmed: Result<Warmed, Refusal>| {
        let mut out = Vec::new();
        let mut reply = ReplyWriter::new(&mut out, protocol);
        match warmed {
            Ok(warmed) => {
                reply.array_header(3);
                reply.bulk(warmed.cursor.0.to_string().as_bytes());
                reply.integer(i64::try_from(warmed.loaded).unwrap_or(i64::MAX));
                reply.integer(i64::from(warmed.is_full));
            }
            Err(refusal) => refuse(&mut reply, &refusal),
        }
        shared.post(Post::Reply(who, out));
    });
    engine.warm(table, (Cursor(cursor), options.count), done);
    Flow::Park(Wait::Reply)
}
