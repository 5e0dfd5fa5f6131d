//! Replies of a turn that the log had no room to make safe: they wait a little, and then become errors, one for each.
//! No reply leaves before what it tells is as safe as promised, and no connection is closed for want of room.

use std::time::Instant;

use landfall::engine::Engine;
use landfall_resp::{DecodedReply, Protocol, ReplyDecoder, ReplyLimits, ReplyWriter, Value};

use super::Front;
use super::connection::Connection;
use super::run::begin;
use super::waiting::{HELD_MAX, Held};

/// Takes back the replies of this turn. Replies of turns before are safe; those of a turn that follows wait behind.
pub(super) fn hold(connection: &mut Connection, engine: Option<&Engine>) {
    let replies = connection.output.split_off(connection.turn_start.max(connection.sent));
    let end = engine.map_or(u64::MAX, Engine::accepted);
    match &mut connection.held {
        Some(held) => {
            held.replies.extend_from_slice(&replies);
            held.end = end;
        }
        None => connection.held = Some(Held { replies, end, until: Instant::now() + HELD_MAX }),
    }
}

impl Front {
    /// Lets replies go that are safe now, and answers with errors where that took too long.
    pub(super) fn end_held(&mut self) {
        if self.held.is_empty() {
            return;
        }
        // Each look tries again; what comes of it is seen below.
        let failed = self.engine.as_ref().and_then(|engine| engine.commit().err());
        let now = Instant::now();
        for token in std::mem::take(&mut self.held) {
            let Some(connection) = self.connections.get_mut(token) else { continue };
            let Some(held) = connection.held.take() else { continue };
            let safe = self.engine.as_ref().is_some_and(|engine| engine.is_acknowledged(held.end));
            if !safe && now < held.until {
                connection.held = Some(held);
                self.held.push(token);
                continue;
            }
            begin(connection, &mut self.touched, token);
            // What this turn has answered already, to a wait that ended, comes behind.
            let later = connection.output.split_off(connection.turn_start.max(connection.sent));
            if safe {
                connection.output.extend_from_slice(&held.replies);
            } else {
                let reason = failed.as_ref().map_or_else(String::new, ToString::to_string);
                let protocol = connection.session.protocol;
                connection.closing |=
                    !answer_with_errors(&mut connection.output, protocol, &held.replies, &reason);
            }
            connection.turn_start = connection.output.len();
            connection.output.extend_from_slice(&later);
            self.go_on(token);
        }
    }
}

/// Writes one error for each of the replies; whether they could be counted.
fn answer_with_errors(out: &mut Vec<u8>, protocol: Protocol, replies: &[u8], reason: &str) -> bool {
    let mut decoder = ReplyDecoder::new(ReplyLimits::default());
    let mut rest = replies;
    while !rest.is_empty() {
        let Ok(DecodedReply::Complete { consumed, value }) = decoder.decode(rest) else { return false };
        let (one, behind) = rest.split_at(consumed);
        rest = behind;
        if matches!(value, Value::Push(_)) {
            // A message answers no request.
            out.extend_from_slice(one);
            continue;
        }
        ReplyWriter::new(out, protocol).error_fmt(format_args!(
            "MISCONF outcome unknown: the log has no room, and what was accepted may still be kept later: {reason}"
        ));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_held_reply_becomes_one_error() {
        let mut out = Vec::new();
        let replies = b"+OK\r\n*2\r\n$1\r\na\r\n:5\r\n-ERR no\r\n";
        assert!(answer_with_errors(&mut out, Protocol::Resp2, replies, "full"));
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("-MISCONF outcome unknown").count(), 3, "{text}");
        assert_eq!(text.matches("\r\n").count(), 3);
        let mut out = Vec::new();
        let message = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n";
        assert!(answer_with_errors(&mut out, Protocol::Resp3, &[&message[..], b"+OK\r\n"].concat(), "full"));
        assert!(out.starts_with(message) && out[message.len()..].starts_with(b"-MISCONF"), "a message stays");
        assert!(!answer_with_errors(&mut Vec::new(), Protocol::Resp2, b"$5\r\nab", "full"));
    }
}
