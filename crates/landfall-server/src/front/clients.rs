//! What CLIENT asks of the connections: to tell of them, and to close some.
//! Only the loop has them all; a reply here is about what is true between two requests.

use std::fmt::Write;
use std::time::Instant;

use landfall_resp::ReplyWriter;

use super::Front;
use super::connection::Connection;
use super::session::Session;
use super::socket::Peer;
use crate::commands::client::{Asked, Filter, Kind};
use crate::commands::spec::Spec;

impl Front {
    /// Does what CLIENT asked on behalf of a connection, and replies to it.
    pub(super) fn answer_clients(&mut self, token: usize, asked: &Asked) {
        let unblocked = match asked {
            Asked::Unblock(id, with_error) => self.unblock(*id, *with_error),
            _ => false,
        };
        let now = Instant::now();
        let mut text = String::new();
        let mut killed: Vec<usize> = Vec::new();
        let own = matches!(asked, Asked::Own);
        for (other, connection) in &self.connections {
            // Anybody may ask for the own line: it must not cost what all of them cost.
            if own && other != token {
                continue;
            }
            let (from, to) = addresses(connection);
            let is_meant = match asked {
                Asked::Own => true,
                Asked::KillAddress(address) => *address == from,
                Asked::Unblock(..) => break,
                Asked::List(filter) | Asked::Kill(filter) => {
                    matches(filter, connection, other == token, (&from, &to), now)
                }
            };
            match asked {
                Asked::Own | Asked::List(_) if is_meant => line(&mut text, connection, (&from, &to), now),
                Asked::Kill(_) | Asked::KillAddress(_) if is_meant => killed.push(other),
                _ => {}
            }
        }
        let count = killed.len();
        for other in killed {
            match other == token {
                // It hears of it first.
                true => {
                    if let Some(own) = self.connections.get_mut(token) {
                        own.closing = true;
                    }
                }
                false => self.close(other),
            }
        }
        let Some(own) = self.connections.get_mut(token) else { return };
        if own.session.is_silent() {
            return;
        }
        let mut reply = ReplyWriter::new(&mut own.output, own.session.protocol);
        match asked {
            Asked::Own | Asked::List(_) => reply.verbatim(b"txt", text.as_bytes()),
            Asked::Kill(_) => reply.integer(count as i64),
            Asked::Unblock(..) => reply.integer(i64::from(unblocked)),
            Asked::KillAddress(_) if count > 0 => reply.ok(),
            Asked::KillAddress(_) => reply.error("ERR No such client"),
        }
    }
}

/// Where a connection comes from, and where it came to; empty when the system has forgotten.
fn addresses(connection: &Connection) -> (String, String) {
    let from = match connection.session.peer {
        Peer::Network(address) => address.to_string(),
        // As Redis has it: the path of the socket, and no port.
        Peer::Unix => format!("{}:0", unix_path(connection)),
    };
    let to = match connection.socket.local_addr() {
        Some(address) => address.to_string(),
        None => format!("{}:0", unix_path(connection)),
    };
    (from, to)
}

fn unix_path(connection: &Connection) -> &str {
    let places = &connection.session.shared.listens;
    places.iter().find_map(|place| place.strip_prefix("unix:")).unwrap_or_default()
}

fn kind(session: &Session) -> Kind {
    if session.subscriptions.is_some() { Kind::Pubsub } else { Kind::Normal }
}

fn matches(
    filter: &Filter,
    connection: &Connection,
    own: bool,
    (from, to): (&str, &str),
    now: Instant,
) -> bool {
    let session = &connection.session;
    let age_s = now.saturating_duration_since(connection.came).as_secs();
    !(filter.skip_me && own)
        && filter.ids.as_ref().is_none_or(|ids| ids.contains(&session.who.id))
        && filter.kind.is_none_or(|wanted| wanted == kind(session))
        && filter.address.as_ref().is_none_or(|address| address == from)
        && filter.own_address.as_ref().is_none_or(|address| address == to)
        && filter
            .user
            .as_ref()
            .is_none_or(|user| session.user().is_some_and(|own| own.name.as_bytes() == user))
        && filter.age_s.is_none_or(|least_s| age_s >= least_s)
}

/// A connection in one line, in the fields that Redis has for it.
fn line(text: &mut String, connection: &Connection, (from, to): (&str, &str), now: Instant) {
    let session = &connection.session;
    let since = |then: Instant| now.saturating_duration_since(then).as_secs();
    let flags = match (session.subscriptions.is_some(), &session.transaction, connection.wait.is_some()) {
        (true, ..) => "P",
        (_, Some(_), _) => "x",
        (_, _, true) => "b",
        _ => "N",
    };
    let multi = session.transaction.as_ref().map_or(-1, |transaction| transaction.queued.len() as i64);
    let printable = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let last = session.last.map_or_else(|| "NULL".to_owned(), Spec::full_name);
    let (name, library) =
        (printable(&session.name), (printable(&session.library.0), printable(&session.library.1)));
    let (input, unsent) = (connection.input.len(), connection.unsent_bytes());
    let held = connection.input.capacity() + connection.output.capacity();
    let (channels, patterns) = session.subscribed();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "id={} addr={from} laddr={to} fd=-1 name={name} age={} idle={} flags={flags} db=0 sub={channels} psub={patterns} ssub=0 multi={multi} watch={} qbuf={input} qbuf-free={} argv-mem=0 multi-mem={} rbs={} rbp={} obl={unsent} oll=0 omem={unsent} tot-mem={held} events=r cmd={last} user={} redir=-1 resp={} lib-name={} lib-ver={}",
        session.who.id,
        since(connection.came),
        since(connection.active),
        session.watch.as_ref().map_or(0, |watch| watch.rows()),
        connection.input.capacity() - input,
        session.transaction.as_ref().map_or(0, |transaction| transaction.bytes),
        connection.output.capacity(),
        connection.output.capacity(),
        session.user().map_or("", |user| &user.name),
        session.protocol.number(),
        library.0,
        library.1,
    );
}
