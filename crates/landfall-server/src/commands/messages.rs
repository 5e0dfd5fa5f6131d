//! SUBSCRIBE, PUBLISH and their kin: who listens is noted here, and the loop hands messages on.
//! A message that a transaction publishes goes out when the transaction has run, and not when it is refused.

use landfall::engine::Engine;
use landfall_resp::{Protocol, ReplyWriter, Request};

use super::{Flow, glob};
use crate::front::messages::{Kind, NAME_BYTES_MAX, PATTERNS_MAX, SUBSCRIPTIONS_MAX};
use crate::front::session::Session;

type Reply<'a, 'o> = &'a mut ReplyWriter<'o>;

/// `SUBSCRIBE channel [channel ..]`
pub fn subscribe(session: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    listen(session, request, reply, Kind::Channel)
}

/// `PSUBSCRIBE pattern [pattern ..]`
pub fn psubscribe(session: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    listen(session, request, reply, Kind::Pattern)
}

/// `UNSUBSCRIBE [channel ..]`
pub fn unsubscribe(session: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    leave(session, request, reply, Kind::Channel)
}

/// `PUNSUBSCRIBE [pattern ..]`
pub fn punsubscribe(session: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    leave(session, request, reply, Kind::Pattern)
}

fn listen(session: &mut Session, request: &Request<'_>, reply: Reply<'_, '_>, kind: Kind) -> Flow {
    let more = request.arg_count() - 1;
    let (channels, patterns) = session.subscribed();
    if channels + patterns + more > SUBSCRIPTIONS_MAX
        || (kind == Kind::Pattern && patterns + more > PATTERNS_MAX)
    {
        reply.error_fmt(format_args!(
            "ERR a connection may listen to {SUBSCRIPTIONS_MAX} channels at most, {PATTERNS_MAX} of them patterns; open another one"
        ));
        return Flow::Done;
    }
    if request.args().skip(1).any(|name| name.len() > NAME_BYTES_MAX) {
        reply.error_fmt(format_args!("ERR the name of a channel has {NAME_BYTES_MAX} bytes at most"));
        return Flow::Done;
    }
    for name in request.args().skip(1) {
        let subscriptions = session.subscriptions.get_or_insert_default();
        if subscriptions.of(kind).insert(name.to_vec()) {
            session.shared.messages.listen(kind, name, session.who);
        }
        let word = if kind == Kind::Channel { "subscribe" } else { "psubscribe" };
        tell(word, Some(name), session.subscription_count(), reply);
    }
    Flow::Done
}

fn leave(session: &mut Session, request: &Request<'_>, reply: Reply<'_, '_>, kind: Kind) -> Flow {
    let word = if kind == Kind::Channel { "unsubscribe" } else { "punsubscribe" };
    let names: Vec<Vec<u8>> = match (request.arg_count(), &mut session.subscriptions) {
        (1, Some(subscriptions)) => subscriptions.of(kind).iter().cloned().collect(),
        (1, None) => Vec::new(),
        _ => request.args().skip(1).map(<[u8]>::to_vec).collect(),
    };
    for name in &names {
        session.stop_listening(kind, name);
        tell(word, Some(name), session.subscription_count(), reply);
    }
    if names.is_empty() {
        tell(word, None, session.subscription_count(), reply);
    }
    Flow::Done
}

fn tell(word: &str, name: Option<&[u8]>, count: usize, reply: Reply<'_, '_>) {
    reply.push_header(3);
    reply.bulk(word.as_bytes());
    reply.bulk_or_null(name);
    reply.integer(count as i64);
}

/// PUBLISH channel message
pub fn publish(session: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    let count = session.shared.messages.count(&request[1]);
    if count > 0 {
        session.published.push((request[1].to_vec(), request[2].to_vec()));
    }
    reply.integer(count as i64);
    Flow::Done
}

/// `PUBSUB CHANNELS [pattern]`
pub fn channels(session: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    let mut channels = session.shared.messages.channels();
    if let Some(pattern) = request.arg(2) {
        channels.retain(|channel| glob::matches(pattern, channel));
    }
    reply.array_header(channels.len());
    channels.iter().for_each(|channel| reply.bulk(channel));
    Flow::Done
}

/// `PUBSUB NUMSUB [channel ..]`
pub fn numsub(session: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    // In RESP3 too: Redis gives no map here, and clients take pairs out of an array.
    reply.array_header(2 * (request.arg_count() - 2));
    for channel in request.args().skip(2) {
        reply.bulk(channel);
        reply.integer(session.shared.messages.listening(channel) as i64);
    }
    Flow::Done
}

/// PUBSUB NUMPAT
pub fn numpat(session: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.integer(session.shared.messages.patterns() as i64);
    Flow::Done
}

/// PING of a connection that listens in RESP2, where every reply looks like a message.
pub fn ping_while_listening(session: &Session, request: &Request<'_>, reply: Reply<'_, '_>) -> bool {
    let listens = session.subscriptions.is_some() && session.protocol == Protocol::Resp2;
    if listens {
        reply.array_header(2);
        reply.bulk(b"pong");
        reply.bulk(request.arg(1).unwrap_or_default());
    }
    listens
}
