//! SCAN, KEYS, DBSIZE and RANDOMKEY over the wire, while all keys are in the cache and while none is.
//! What a walk promises is shown in the engine's own tests; these show that the front asks and answers right.

mod common;

use std::collections::BTreeSet;

use common::{Place, connect};
use landfall_resp::Value;
use landfall_sim::client::Client;

fn forget(client: &mut Client) {
    client.call(&["LANDFALL.FLUSH"]).unwrap();
    client.call(&["LANDFALL.EVICT"]).unwrap();
}

fn texts(value: &Value) -> BTreeSet<String> {
    common::texts(value).into_iter().collect()
}

/// All that a scan finds, and in how many pages.
fn scanned(client: &mut Client, command: &[&str], options: &[&str]) -> (BTreeSet<String>, usize) {
    scanned_from(client, command, "0", options)
}

fn scanned_from(
    client: &mut Client,
    command: &[&str],
    cursor: &str,
    options: &[&str],
) -> (BTreeSet<String>, usize) {
    let (mut found, mut cursor, mut pages) = (BTreeSet::new(), cursor.to_owned(), 0);
    loop {
        let words: Vec<&str> =
            command.iter().copied().chain([&*cursor]).chain(options.iter().copied()).collect();
        let reply = client.call(&words).unwrap();
        let Value::Array(parts) = &reply else { panic!("{reply:?}") };
        let Value::Bulk(next) = &parts[0] else { panic!("{reply:?}") };
        found.extend(texts(&parts[1]));
        cursor = String::from_utf8(next.clone()).unwrap();
        pages += 1;
        assert!(pages < 10_000, "a scan ends");
        if cursor == "0" {
            return (found, pages);
        }
    }
}

#[test]
fn all_keys_are_found_in_the_cache_and_in_the_database() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    assert_eq!(client.call(&["RANDOMKEY"]).unwrap(), Value::Null);
    let all: BTreeSet<String> = (0..300).map(|key| format!("key:{key}")).collect();
    for key in &all {
        client.call(&["SET", key, "1"]).unwrap();
    }
    client.call(&["HSET", "hash", "f", "1"]).unwrap();
    client.call(&["SET", "gone", "1", "PX", "1"]).unwrap();
    client.call(&["SET", "deleted", "1"]).unwrap();
    client.call(&["DEL", "deleted"]).unwrap();
    std::thread::scope(|_| while client.call(&["EXISTS", "gone"]).unwrap() != Value::Integer(0) {});
    for evicted in [false, true] {
        if evicted {
            forget(&mut client);
        }
        let (strings, pages) = scanned(&mut client, &["SCAN"], &["MATCH", "key:*", "TYPE", "STRING"]);
        assert_eq!(strings, all);
        assert!(pages >= 300 / 10, "{pages} pages of about 10 keys");
        let (hashes, _) = scanned(&mut client, &["SCAN"], &["COUNT", "1000", "TYPE", "hash"]);
        assert_eq!(hashes, BTreeSet::from(["hash".to_owned()]));
        assert_eq!(scanned(&mut client, &["SCAN"], &["TYPE", "zset"]).0, BTreeSet::new());
        assert_eq!(texts(&client.call(&["KEYS", "key:*"]).unwrap()), all);
        assert_eq!(texts(&client.call(&["KEYS", "*"]).unwrap()).len(), 301);
        assert_eq!(client.call(&["DBSIZE"]).unwrap(), Value::Integer(301));
        let Value::Bulk(any) = client.call(&["RANDOMKEY"]).unwrap() else { panic!("no key") };
        let any = String::from_utf8(any).unwrap();
        assert!(all.contains(&any) || any == "hash", "{any}");
    }
}

#[test]
fn a_scan_says_what_is_wrong_with_it() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    client.call(&["HSET", "h", "f", "1"]).unwrap();
    client.call(&["SET", "s", "1"]).unwrap();
    for (command, words) in [
        (&["SCAN", "x"][..], "ERR invalid cursor"),
        (&["SCAN", "-1"], "ERR invalid cursor"),
        (&["SCAN", "0", "COUNT"], "ERR syntax error"),
        (&["SCAN", "0", "COUNT", "0"], "ERR syntax error"),
        (&["SCAN", "0", "COUNT", "x"], "ERR value is not an integer or out of range"),
        (&["SCAN", "0", "NOSUCH", "1"], "ERR syntax error"),
        (&["HSCAN", "h", "x"], "ERR invalid cursor"),
        (&["HSCAN", "h", "0", "TYPE", "hash"], "ERR syntax error"),
        (&["HSCAN", "s", "0"], "WRONGTYPE"),
    ] {
        let error = client.call(command).unwrap_err().to_string();
        assert!(error.contains(words), "{command:?}: {error}");
    }
    client.call(&["MULTI"]).unwrap();
    client.call(&["SCAN", "0"]).unwrap_err();
    client.call(&["DISCARD"]).unwrap();
    client.call(&["DEL", "h", "s"]).unwrap();
    assert_eq!(scanned(&mut client, &["SCAN"], &[]).0, BTreeSet::new());
    // A cursor that nobody gave out begins the walk anew.
    client.call(&["SET", "a", "1"]).unwrap();
    let one = BTreeSet::from(["a".to_owned()]);
    assert_eq!(scanned_from(&mut client, &["SCAN"], "18446744073709551615", &["COUNT", "1000"]), (one, 1));
}

#[test]
fn a_large_hash_comes_in_pages_and_every_field_that_stays_is_met() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    for chunk in (0..5_000).collect::<Vec<_>>().chunks(500) {
        let mut words = vec!["HSET".to_owned(), "h".to_owned()];
        chunk.iter().for_each(|field| words.extend([format!("f{field}"), "1".to_owned()]));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        client.call(&words).unwrap();
    }
    let (mut met, mut cursor, mut pages) = (BTreeSet::new(), "0".to_owned(), 0);
    loop {
        let reply = client.call(&["HSCAN", "h", &cursor, "COUNT", "100"]).unwrap();
        let Value::Array(parts) = reply else { panic!() };
        met.extend(texts(&parts[1]));
        let Value::Bulk(next) = &parts[0] else { panic!() };
        cursor = String::from_utf8(next.clone()).unwrap();
        // Odd fields go meanwhile, and others come.
        client.call(&["HDEL", "h", &format!("f{}", pages * 2 + 1)]).unwrap();
        client.call(&["HSET", "h", &format!("new{pages}"), "1"]).unwrap();
        pages += 1;
        if cursor == "0" {
            break;
        }
    }
    assert!(pages > 10, "{pages} pages");
    assert!((0..5_000).step_by(2).all(|field| met.contains(&format!("f{field}"))));
    let (few, pages) = scanned(&mut client, &["HSCAN", "h"], &["MATCH", "new1*"]);
    assert!(few.contains("new1") && !few.contains("f1") && pages > 1);
    assert_eq!(scanned(&mut client, &["HSCAN", "nosuch"], &[]), (BTreeSet::new(), 1));
}

#[test]
fn flushall_takes_all_keys_and_leaves_the_rows_also_through_a_restart() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    client.call(&["SET", "stored", "1"]).unwrap();
    forget(&mut client);
    client.call(&["LANDFALL.PAUSE"]).unwrap();
    client.call(&["SET", "pending", "1"]).unwrap();
    client.call(&["WATCH", "stored"]).unwrap();
    let ok = Value::Simple(b"OK".to_vec());
    assert_eq!(client.call(&["FLUSHALL", "ASYNC"]).unwrap(), ok);
    client.call(&["MULTI"]).unwrap();
    client.call(&["SET", "no", "1"]).unwrap();
    assert_eq!(client.call(&["EXEC"]).unwrap(), Value::Null, "a watched key was cleared");
    client.call(&["SET", "new", "1"]).unwrap();
    client.call(&["LANDFALL.EVICT"]).unwrap();
    let left = BTreeSet::from(["new".to_owned()]);
    assert_eq!(texts(&client.call(&["KEYS", "*"]).unwrap()), left);
    assert_eq!(client.call(&["EXISTS", "stored", "pending"]).unwrap(), Value::Integer(0));
    server.kill();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    assert_eq!(texts(&client.call(&["KEYS", "*"]).unwrap()), left);
    client.call(&["LANDFALL.RESUME"]).unwrap();
    forget(&mut client);
    assert_eq!(texts(&client.call(&["KEYS", "*"]).unwrap()), left);
    assert_eq!(client.call(&["FLUSHDB"]).unwrap(), ok);
    assert_eq!(client.call(&["DBSIZE"]).unwrap(), Value::Integer(0));
    client.call(&["FLUSHALL", "NOSUCH"]).unwrap_err();
}
