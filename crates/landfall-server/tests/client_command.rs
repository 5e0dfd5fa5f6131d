//! CLIENT over the wire: who is there, who is closed, and who wants no replies.
//! A connection that is closed hears nothing more, and nobody else is.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::{Place, connect, text};
use landfall_resp::{Value, encode_request};
use landfall_sim::client::Client;

/// The lines of CLIENT LIST.
fn list(client: &mut Client, words: &[&str]) -> Vec<String> {
    let all = text(&client.call(&[&["CLIENT", "LIST"], words].concat()).unwrap());
    all.lines().map(str::to_owned).collect()
}

fn field(line: &str, name: &str) -> String {
    let start = format!("{name}=");
    line.split(' ').find_map(|field| field.strip_prefix(start.as_str())).expect(line).to_owned()
}

#[test]
fn connections_are_listed_with_what_they_do() {
    let place = Place::new();
    let server = place.serve(&[]);
    let (mut client, mut other) = (connect(&server), connect(&server));
    other.call(&["CLIENT", "SETNAME", "amy"]).unwrap();
    other.call(&["CLIENT", "SETINFO", "LIB-NAME", "own"]).unwrap();
    other.call(&["WATCH", "k"]).unwrap();
    other.call(&["MULTI"]).unwrap();
    other.call(&["INCR", "k"]).unwrap();
    let own = text(&client.call(&["CLIENT", "INFO"]).unwrap());
    assert_eq!((field(&own, "cmd").as_str(), field(&own, "resp").as_str()), ("client|info", "2"));
    let lines = list(&mut client, &[]);
    assert_eq!(lines.len(), 2);
    let theirs = lines.iter().find(|line| field(line, "name") == "amy").expect("amy");
    for (name, value) in [
        ("laddr", server.address.as_str()),
        ("multi", "1"),
        ("watch", "1"),
        ("flags", "x"),
        ("cmd", "incr"),
        ("lib-name", "own"),
        ("db", "0"),
        ("user", "default"),
    ] {
        assert_eq!(field(theirs, name), value, "{theirs}");
    }
    let same = list(&mut client, &["ID", &field(theirs, "id")]);
    assert_eq!((same.len(), field(&same[0], "name").as_str()), (1, "amy"));
    assert_eq!(list(&mut client, &["TYPE", "normal"]).len(), 2);
    assert!(list(&mut client, &["TYPE", "pubsub"]).is_empty());
    assert!(
        client
            .call(&["CLIENT", "LIST", "TYPE", "nosuch"])
            .unwrap_err()
            .to_string()
            .contains("Unknown client type")
    );
    assert!(client.call(&["CLIENT", "LIST", "FOO"]).unwrap_err().to_string().contains("syntax error"));
}

// shows: S1, S7
#[test]
fn the_name_of_a_connection_is_one_short_word_however_it_is_given() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    let long = "x".repeat(257);
    for name in ["two words", "line\nid=1 addr=forged", "\u{e9}", &long] {
        for words in [&["CLIENT", "SETNAME", name][..], &["HELLO", "3", "SETNAME", name]] {
            let refused = client.call(words).unwrap_err().to_string();
            assert!(refused.contains("Client names cannot contain"), "{words:?}: {refused}");
        }
    }
    assert_eq!(client.call(&["CLIENT", "GETNAME"]).unwrap(), Value::Null);
    assert_eq!(list(&mut client, &[]).len(), 1);
    client.call(&["HELLO", "3", "SETNAME", &long[1..]]).unwrap();
    assert_eq!(field(&list(&mut client, &[])[0], "name"), &long[1..]);
}

#[test]
fn a_killed_connection_is_closed_and_no_other() {
    let place = Place::new();
    let server = place.serve(&[]);
    let (mut client, mut amy, mut ben) = (connect(&server), connect(&server), connect(&server));
    amy.call(&["CLIENT", "SETNAME", "amy"]).unwrap();
    ben.call(&["PING"]).unwrap();
    let lines = list(&mut client, &[]);
    let line = lines.iter().find(|line| field(line, "name") == "amy").unwrap();
    assert_eq!(
        client.call(&["CLIENT", "KILL", &field(line, "addr")]).unwrap(),
        Value::Simple(b"OK".to_vec())
    );
    amy.call(&["PING"]).unwrap_err();
    ben.call(&["PING"]).unwrap();
    assert!(
        client.call(&["CLIENT", "KILL", "1.2.3.4:5"]).unwrap_err().to_string().contains("No such client")
    );
    assert_eq!(client.call(&["CLIENT", "KILL", "TYPE", "normal", "ID", "999"]).unwrap(), Value::Integer(0));
    assert_eq!(client.call(&["CLIENT", "KILL", "USER", "nobody"]).unwrap(), Value::Integer(0));
    // All but the own one, and at last the own one, which hears of it.
    assert_eq!(client.call(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap(), Value::Integer(1));
    ben.call(&["PING"]).unwrap_err();
    assert_eq!(
        client.call(&["CLIENT", "KILL", "SKIPME", "no", "USER", "default"]).unwrap(),
        Value::Integer(1)
    );
    client.call(&["PING"]).unwrap_err();
    connect(&server).call(&["PING"]).unwrap();
}

#[test]
fn who_wants_no_replies_gets_none() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let mut sent = Vec::new();
    for line in [
        "SET k 1",
        "CLIENT REPLY SKIP",
        "INCR k",
        "INCR k",
        "CLIENT REPLY OFF",
        "INCR k",
        "NOSUCH",
        "LANDFALL.FLUSH 0",
        "WAIT 0 0",
        "CLIENT REPLY SKIP",
        "INCR k",
        "CLIENT LIST",
        "CLIENT REPLY ON",
        "GET k",
        "PING",
    ] {
        encode_request(&mut sent, &line.split(' ').collect::<Vec<_>>());
    }
    stream.write_all(&sent).unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"+PONG\r\n") {
        let mut chunk = [0; 1024];
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "closed after {received:?}");
        received.extend_from_slice(&chunk[..count]);
    }
    assert_eq!(String::from_utf8(received).unwrap(), "+OK\r\n:3\r\n+OK\r\n$1\r\n5\r\n+PONG\r\n");
}

#[test]
fn what_clients_ask_at_connect_is_answered() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    assert_eq!(client.call(&["CLIENT", "GETREDIR"]).unwrap(), Value::Integer(-1));
    client.call(&["CLIENT", "TRACKING", "OFF"]).unwrap();
    client.call(&["CLIENT", "TRACKING", "ON"]).unwrap_err();
    client.call(&["CLIENT", "PAUSE", "5"]).unwrap_err();
    assert_eq!(client.call(&["CLIENT", "UNBLOCK", "1"]).unwrap(), Value::Integer(0));
    let Value::Array(info) = client.call(&["CLIENT", "TRACKINGINFO"]).unwrap() else { panic!() };
    assert_eq!(info.len(), 6);
    assert!(
        client
            .call(&["CLIENT", "SETINFO", "LIB-FOO", "x"])
            .unwrap_err()
            .to_string()
            .contains("Unrecognized option")
    );
}
