//! HELLO, AUTH, PING and what else concerns the connection alone.
//! A password is only handed on, and never repeated in a reply.

use landfall::engine::Engine;
use landfall_resp::{Protocol, ReplyWriter, Request};

use super::Flow;
use super::client::{NO_NAME, is_name};
use super::messages::ping_while_listening;
use crate::front::session::Session;
use crate::front::shared::LoginError;
use crate::front::users::DEFAULT_USER;

/// `PING [message]`
pub fn ping(session: &mut Session, _: &Engine, request: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    match request.arg_count() {
        1 | 2 if ping_while_listening(session, request, reply) => {}
        1 => reply.pong(),
        2 => reply.bulk(&request[1]),
        _ => reply.error("ERR wrong number of arguments for 'ping' command"),
    }
    Flow::Done
}

/// ECHO message
pub fn echo(_: &mut Session, _: &Engine, request: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    reply.bulk(&request[1]);
    Flow::Done
}

/// `HELLO [protover [AUTH username password] [SETNAME name]]`
pub fn hello(session: &mut Session, _: &Engine, request: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    let mut protocol = session.protocol;
    let mut name = None;
    let mut login = None;
    if let Some(version) = request.arg(1) {
        let known = std::str::from_utf8(version).ok().and_then(|version| version.parse().ok());
        match known.and_then(Protocol::from_number) {
            Some(known) => protocol = known,
            None => {
                reply.error("NOPROTO unsupported protocol version");
                return Flow::Done;
            }
        }
    }
    let mut at = 2;
    while let Some(option) = request.arg(at) {
        match (option.to_ascii_uppercase().as_slice(), request.arg(at + 1), request.arg(at + 2)) {
            (b"AUTH", Some(user), Some(password)) => {
                login = Some((user, password));
                at += 3;
            }
            (b"SETNAME", Some(wanted), _) => {
                if !is_name(wanted) {
                    reply.error(NO_NAME);
                    return Flow::Done;
                }
                name = Some(wanted.to_vec());
                at += 2;
            }
            _ => {
                reply.error("ERR Syntax error in HELLO option");
                return Flow::Done;
            }
        }
    }
    // As in Redis, the last one counts. One look at a password for each request: a client chooses how many it names.
    let login = match login.map(|(user, password)| session.shared.login(session.peer, user, password)) {
        Some(Err(error)) => {
            refuse_login(error, reply);
            return Flow::Done;
        }
        login => login.and_then(Result::ok),
    };
    if login.is_none() && !session.authenticated {
        reply.error("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time");
        return Flow::Done;
    }
    if login.is_some() {
        session.become_user(login);
    }
    session.protocol = protocol;
    if let Some(name) = name {
        session.name = name;
    }
    answer_hello(session, request, reply);
    Flow::Done
}

/// The reply is in the protocol that was just chosen.
fn answer_hello(session: &Session, _: &Request<'_>, reply: &mut ReplyWriter<'_>) {
    reply.set_protocol(session.protocol);
    reply.map_header(7);
    for (name, value) in [("server", "landfall"), ("version", env!("CARGO_PKG_VERSION"))] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(session.protocol.number());
    reply.bulk(b"id");
    reply.integer(session.who.id as i64);
    for (name, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array_header(0);
}

/// `AUTH [username] password`
pub fn auth(session: &mut Session, _: &Engine, request: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    let (user, password) = match request.arg_count() {
        2 => (DEFAULT_USER.as_bytes(), &request[1]),
        3 => (&request[1], &request[2]),
        _ => {
            reply.error("ERR syntax error");
            return Flow::Done;
        }
    };
    let is_open = session.shared.users().without_login().is_some();
    if is_open && request.arg_count() == 2 {
        reply.error("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?");
        return Flow::Done;
    }
    match session.shared.login(session.peer, user, password) {
        Ok(number) => {
            session.become_user(Some(number));
            reply.ok();
        }
        Err(error) => refuse_login(error, reply),
    }
    Flow::Done
}

fn refuse_login(error: LoginError, reply: &mut ReplyWriter<'_>) {
    reply.error(match error {
        LoginError::Wrong => "WRONGPASS invalid username-password pair or user is disabled.",
        LoginError::TooOften => {
            "WRONGPASS too many failed logins from this address; the password was not looked at, try again in a second"
        }
    });
}

/// SELECT 0
pub fn select(_: &mut Session, _: &Engine, request: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    match &request[1] {
        b"0" => reply.ok(),
        _ => reply.error("ERR DB index is out of range; Landfall has database 0 only"),
    }
    Flow::Done
}

/// RESET
pub fn reset(session: &mut Session, _: &Engine, _: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    session.reset();
    reply.set_protocol(session.protocol);
    reply.simple("RESET");
    Flow::Done
}

/// QUIT
pub fn quit(_: &mut Session, _: &Engine, _: &Request<'_>, reply: &mut ReplyWriter<'_>) -> Flow {
    reply.ok();
    Flow::Close
}
