//! SUBSCRIBE and PUBLISH over the wire, as a real Redis has them, and what happens to who does not read.
//! A message never comes before what was written before it is safe; nothing here waits for a duration.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::{Place, Server};
use landfall_resp::{DecodedReply, ReplyDecoder, ReplyLimits, Value, encode_request};
use landfall_sim::client::Client;
use landfall_sim::servers::{Appendfsync, Redis};
use landfall_sim::skipping::skipped;

/// A connection whose replies are read one by one, whoever asked for them.
struct Line {
    stream: TcpStream,
    decoder: ReplyDecoder,
    received: Vec<u8>,
}

impl Line {
    fn new(address: &str, protocol: &str) -> Line {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        let mut line =
            Line { stream, decoder: ReplyDecoder::new(ReplyLimits::default()), received: Vec::new() };
        line.send(&["HELLO", protocol]);
        line.next();
        line
    }

    fn send(&mut self, words: &[&str]) {
        let mut sent = Vec::new();
        encode_request(&mut sent, words);
        self.stream.write_all(&sent).unwrap();
    }

    fn next(&mut self) -> Value {
        loop {
            if let DecodedReply::Complete { value, consumed } = self.decoder.decode(&self.received).unwrap() {
                self.received.drain(..consumed);
                return value;
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk).unwrap();
            assert!(count > 0, "closed");
            self.received.extend_from_slice(&chunk[..count]);
        }
    }

    fn ask(&mut self, words: &[&str]) -> Value {
        self.send(words);
        self.next()
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Bulk(text) | Value::Simple(text) => String::from_utf8_lossy(text).into_owned(),
        Value::Error(text) => format!("-{}", String::from_utf8_lossy(text)),
        Value::Integer(number) => number.to_string(),
        Value::Null => "nil".into(),
        Value::Push(items) => format!(">{}", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Array(items) => format!("*{}", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        other => format!("{other:?}"),
    }
}

/// One conversation, as both sides hear it.
fn conversation(address: &str, protocol: &str) -> Vec<String> {
    let (mut amy, mut ben) = (Line::new(address, protocol), Line::new(address, protocol));
    let mut heard = Vec::new();
    let mut note = |value: Value| heard.push(shown(&value));
    amy.send(&["SUBSCRIBE", "news", "other"]);
    (0..2).for_each(|_| note(amy.next()));
    note(amy.ask(&["PSUBSCRIBE", "n*"]));
    note(ben.ask(&["PUBLISH", "news", "one"]));
    (0..2).for_each(|_| note(amy.next()));
    note(amy.ask(&["PING"]));
    note(amy.ask(&["PING", "hi"]));
    note(amy.ask(&["GET", "nosuch"]));
    note(ben.ask(&["PUBSUB", "NUMSUB", "news", "x"]));
    note(ben.ask(&["PUBSUB", "NUMPAT"]));
    note(ben.ask(&["PUBSUB", "CHANNELS", "o*"]));
    for words in [&["MULTI"][..], &["PUBLISH", "nothing", "two"], &["EXEC"]] {
        note(ben.ask(words));
    }
    note(amy.next());
    note(amy.ask(&["UNSUBSCRIBE", "news"]));
    note(amy.ask(&["UNSUBSCRIBE"]));
    note(amy.ask(&["UNSUBSCRIBE"]));
    note(amy.ask(&["PUNSUBSCRIBE"]));
    note(amy.ask(&["GET", "nosuch"]));
    note(ben.ask(&["PUBLISH", "news", "three"]));
    heard
}

// Messages of RESP2 are arrays, those of RESP3 pushes.
fn expected(protocol: &str) -> Vec<String> {
    let kind = if protocol == "3" { ">" } else { "*" };
    let listening = protocol == "3";
    let told = |text: &str| format!("{kind}{text}");
    let refused = "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";
    vec![
        told("subscribe news 1"),
        told("subscribe other 2"),
        told("psubscribe n* 3"),
        "2".into(),
        told("message news one"),
        told("pmessage n* news one"),
        if listening { "PONG".into() } else { "*pong ".into() },
        if listening { "hi".into() } else { "*pong hi".into() },
        if listening { "nil".into() } else { refused.into() },
        "*news 1 x 0".into(),
        "1".into(),
        "*other".into(),
        "OK".into(),
        "QUEUED".into(),
        "*1".into(),
        told("pmessage n* nothing two"),
        told("unsubscribe news 2"),
        told("unsubscribe other 1"),
        told("unsubscribe nil 1"),
        told("punsubscribe n* 0"),
        "nil".into(),
        "0".into(),
    ]
}

#[test]
fn messages_come_as_from_redis_in_both_protocols() {
    let place = Place::new();
    let server: Server<'_> = place.serve(&[]);
    for protocol in ["2", "3"] {
        assert_eq!(conversation(&server.address, protocol), expected(protocol), "RESP{protocol}");
    }
    if Redis::find().is_none() {
        return skipped(
            "messages_come_as_from_redis_in_both_protocols",
            "this machine has no redis-server to compare with",
        );
    }
    let redis = Redis::start(Appendfsync::No, &[]).unwrap();
    for protocol in ["2", "3"] {
        let theirs = conversation(&redis.address().to_string(), protocol);
        assert_eq!(theirs, expected(protocol), "Redis, RESP{protocol}");
    }
}

#[test]
fn a_message_of_a_refused_transaction_is_not_sent() {
    let place = Place::new();
    let server = place.serve(&[]);
    let (mut amy, mut ben) = (Line::new(&server.address, "3"), Line::new(&server.address, "3"));
    let mut other = Line::new(&server.address, "3");
    amy.ask(&["SUBSCRIBE", "c"]);
    ben.ask(&["WATCH", "k"]);
    other.ask(&["SET", "k", "1"]);
    for words in [&["MULTI"][..], &["PUBLISH", "c", "no"], &["EXEC"]] {
        ben.ask(words);
    }
    // With a row to load the transaction runs twice, and its message is sent once.
    other.ask(&["LANDFALL.FLUSH"]);
    other.ask(&["LANDFALL.EVICT"]);
    for words in [&["MULTI"][..], &["PUBLISH", "c", "once"], &["GET", "k"], &["EXEC"]] {
        ben.ask(words);
    }
    ben.ask(&["PUBLISH", "c", "last"]);
    assert_eq!([shown(&amy.next()), shown(&amy.next())], [">message c once", ">message c last"]);
}

#[test]
fn who_does_not_read_its_messages_is_closed_and_nobody_else_waits() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut deaf = Line::new(&server.address, "3");
    deaf.ask(&["SUBSCRIBE", "c"]);
    let mut client = Client::connect(server.address.parse().unwrap(), common::PATIENCE).unwrap();
    let message = "m".repeat(1 << 20);
    common::wait_until("who does not read is gone", || {
        client.call(&["PUBLISH", "c", &message]).unwrap();
        client.call(&["PUBSUB", "NUMSUB", "c"]).unwrap()
            == Value::Array(vec![Value::Bulk(b"c".to_vec()), Value::Integer(0)])
    });
    client.call(&["PING"]).unwrap();
}

#[test]
fn a_connection_that_ends_or_resets_listens_no_more() {
    let place = Place::new();
    let server = place.serve(&[]);
    let (mut amy, mut ben) = (Line::new(&server.address, "2"), Line::new(&server.address, "2"));
    amy.ask(&["SUBSCRIBE", "c"]);
    ben.ask(&["PSUBSCRIBE", "c*"]);
    let mut client = Client::connect(server.address.parse().unwrap(), common::PATIENCE).unwrap();
    assert_eq!(client.call(&["PUBLISH", "c", "m"]).unwrap(), Value::Integer(2));
    ben.next();
    ben.ask(&["RESET"]);
    assert_eq!(client.call(&["PUBLISH", "c", "m"]).unwrap(), Value::Integer(1));
    drop(amy);
    common::wait_until("the end of a connection is seen", || {
        client.call(&["PUBLISH", "c", "m"]).unwrap() == Value::Integer(0)
    });
    assert_eq!(client.call(&["PUBSUB", "NUMPAT"]).unwrap(), Value::Integer(0));
}
