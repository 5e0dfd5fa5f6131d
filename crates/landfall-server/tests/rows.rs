//! Rows of tables as a client meets them: how long they stay in the cache, and keys that name no row.
//! What the cache does with a time is shown in the engine's own tests; these show that the commands ask for it.

mod common;

use common::{Place, Server, connect, texts, wait_until};
use landfall_resp::Value;
use landfall_sim::client::Client;
use rusqlite::Connection;

const TABLES: &str = "
    CREATE TABLE page (id INTEGER PRIMARY KEY, title TEXT);
    CREATE TABLE click (at INTEGER, who TEXT);";

fn place() -> Place {
    let place = Place::new();
    file(&place).execute_batch(TABLES).unwrap();
    place
}

fn file(place: &Place) -> Connection {
    Connection::open(place.path().join("app.db")).unwrap()
}

fn serve(place: &Place) -> (Server<'_>, Client) {
    let server = place.serve(&["--database", "sqlite:app.db"]);
    let client = connect(&server);
    (server, client)
}

fn number(client: &mut Client, command: &[&str]) -> i64 {
    match client.call(command).unwrap() {
        Value::Integer(number) => number,
        other => panic!("{command:?}: {other:?}"),
    }
}

#[test]
fn a_time_to_live_of_a_row_lets_it_leave_the_cache_and_never_the_database() {
    let place = place();
    let (_server, mut client) = serve(&place);
    let client = &mut client;
    client.call(&["HSET", "page:1", "title", "Home"]).unwrap();
    client.call(&["LANDFALL.FLUSH"]).unwrap();
    assert_eq!(number(client, &["TTL", "page:1"]), -1);
    assert_eq!(number(client, &["TTL", "page:2"]), -2);
    assert_eq!(number(client, &["EXPIRE", "page:2", "10"]), 0);
    for (set, ttl) in [
        (&["EXPIRE", "page:1", "100"][..], 100),
        (&["PEXPIRE", "page:1", "200000", "GT"], 200),
        (&["EXPIREAT", "page:1", "33000000000", "NX"], 200),
        (&["EXPIRE", "page:1", "50", "LT"], 50),
        (&["SET", "page:1", r#"{"title":"Home"}"#, "EX", "70"], 70),
        (&["SET", "page:1", r#"{"title":"Home"}"#, "KEEPTTL"], 70),
        (&["SETEX", "page:1", "80", r#"{"title":"Home"}"#], 80),
        (&["GETEX", "page:1", "EX", "90"], 90),
        (&["GETEX", "page:1", "PERSIST"], -1),
        (&["PSETEX", "page:1", "60000", r#"{"title":"Home"}"#], 60),
        (&["SET", "page:1", r#"{"title":"Home"}"#], -1),
        (&["EXPIRE", "page:1:title", "30"], 30),
    ] {
        client.call(set).unwrap();
        assert_eq!(number(client, &["TTL", "page:1"]), ttl, "{set:?}");
    }
    assert!((29_000..=30_000).contains(&number(client, &["PTTL", "page:1"])));
    assert!(number(client, &["EXPIRETIME", "page:1"]) > 1_700_000_000);
    assert!(number(client, &["PEXPIRETIME", "page:1"]) > 1_700_000_000_000);
    assert_eq!(number(client, &["PERSIST", "page:1"]), 1);
    assert_eq!(number(client, &["PERSIST", "page:1"]), 0);
    // Another program changes the row: who gave it no time to stay sees that at once.
    client.call(&["LANDFALL.FLUSH"]).unwrap();
    assert_eq!(number(client, &["EXPIRE", "page:1", "-1"]), 1);
    file(&place).execute("UPDATE page SET title = 'Away'", []).unwrap();
    wait_until("it has left", || {
        client.call(&["HGET", "page:1", "title"]).unwrap() == Value::Bulk(b"Away".to_vec())
    });
}

#[test]
fn a_key_that_names_a_table_is_refused_by_every_command_and_ends_no_server() {
    let place = place();
    let (_server, mut client) = serve(&place);
    for key in ["page", "click"] {
        for command in [
            &["LANDFALL.EVICT", key][..],
            &["PERSIST", key],
            &["TTL", key],
            &["PEXPIRETIME", key],
            &["EXPIRE", key, "1"],
            &["EXPIRE", key, "1", "GT"],
            &["EXISTS", key],
            &["TOUCH", key],
            &["TYPE", key],
            &["DEL", key],
            &["GET", key],
            &["GETEX", key, "PERSIST"],
            &["GETDEL", key],
            &["SET", key, "1"],
            &["SET", key, "1", "KEEPTTL"],
            &["SET", key, "1", "NX"],
            &["APPEND", key, "1"],
            &["STRLEN", key],
            &["GETRANGE", key, "0", "1"],
            &["SETRANGE", key, "0", "1"],
            &["MSET", "a", "1", key, "1"],
            &["MSETNX", "a", "1", key, "1"],
            &["INCR", key],
            &["INCRBYFLOAT", key, "1"],
            &["HSET", key, "title", "1"],
            &["HSETNX", key, "title", "1"],
            &["HGET", key, "title"],
            &["HMGET", key, "title"],
            &["HGETALL", key],
            &["HKEYS", key],
            &["HLEN", key],
            &["HEXISTS", key, "title"],
            &["HSTRLEN", key, "title"],
            &["HDEL", key, "title"],
            &["HSCAN", key, "0"],
            &["HRANDFIELD", key],
            &["HINCRBY", key, "title", "1"],
            &["HINCRBYFLOAT", key, "title", "1"],
            &["LANDFALL.ADD", key, "title", "1"],
            &["RENAME", key, "a"],
            &["RENAME", "a", key],
            &["RENAMENX", key, "a"],
            &["COPY", key, "a"],
            &["COPY", "a", key],
            &["OBJECT", "ENCODING", key],
            &["OBJECT", "FREQ", key],
            &["MEMORY", "USAGE", key],
        ] {
            client.call(&["SET", "a", "1"]).unwrap();
            let error = client.call(command).expect_err(&format!("{command:?}")).to_string();
            assert!(error.contains("ERR "), "{command:?}: {error}");
        }
    }
}

/// All that a scan finds, sorted.
fn scanned(client: &mut Client, options: &[&str]) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), "0".to_owned());
    loop {
        let reply = client.call(&[&["SCAN", &cursor], options].concat()).unwrap();
        let Value::Array(parts) = reply else { panic!() };
        found.extend(texts(&parts[1]));
        let Value::Bulk(next) = &parts[0] else { panic!() };
        cursor = String::from_utf8(next.clone()).unwrap();
        assert!(cursor.parse::<u64>().unwrap() < 1 << 53, "{cursor}");
        if cursor == "0" {
            found.sort();
            found.dedup();
            return found;
        }
    }
}

#[test]
fn a_scan_of_a_table_finds_its_rows_and_one_of_keys_finds_none_of_them() {
    let place = place();
    let stored = "
        CREATE TABLE seat (flight INTEGER, place TEXT, taken INTEGER, PRIMARY KEY (flight, place)) WITHOUT ROWID;
        INSERT INTO seat VALUES (115, '12:A', 1), (115, '50%', 0), (9, 'B', 1);
        INSERT INTO page VALUES (1, 'stored'), (2, 'stored'), (3, 'stored')";
    file(&place).execute_batch(stored).unwrap();
    let (_server, mut client) = serve(&place);
    let client = &mut client;
    client.call(&["SET", "pages", "1"]).unwrap();
    client.call(&["LANDFALL.PAUSE"]).unwrap();
    client.call(&["HSET", "page:4", "title", "pending"]).unwrap();
    client.call(&["DEL", "page:2"]).unwrap();
    assert_eq!(scanned(client, &["MATCH", "page:*"]), ["page:1", "page:3", "page:4"]);
    assert_eq!(scanned(client, &["MATCH", "page:[34]", "COUNT", "1"]), ["page:3", "page:4"]);
    assert_eq!(scanned(client, &["MATCH", "page:*", "TYPE", "hash"]).len(), 3);
    assert_eq!(scanned(client, &["MATCH", "page:*", "TYPE", "string"]).len(), 0);
    assert_eq!(scanned(client, &["MATCH", "seat:*"]), ["seat:115:12%3AA", "seat:115:50%25", "seat:9:B"]);
    assert_eq!(scanned(client, &["MATCH", "seat:115:*"]).len(), 2);
    assert_eq!(scanned(client, &["MATCH", "page*"]), ["pages"], "no colon: these are keys");
    assert_eq!(scanned(client, &[]), ["pages"]);
    assert_eq!(texts(&client.call(&["KEYS", "page:*"]).unwrap()).len(), 0);
    // Another program writes a row.
    file(&place).execute("INSERT INTO page VALUES (5, 'foreign')", []).unwrap();
    assert_eq!(scanned(client, &["MATCH", "page:*"]).len(), 4);
    client.call(&["LANDFALL.RESUME"]).unwrap();
    client.call(&["LANDFALL.FLUSH"]).unwrap();
    assert_eq!(scanned(client, &["MATCH", "page:*"]), ["page:1", "page:3", "page:4", "page:5"]);
    let error = client.call(&["SCAN", "0", "MATCH", "click:*"]).unwrap_err().to_string();
    assert!(error.contains("no key leads to a row of table click"), "{error}");
}

#[test]
fn a_pattern_that_is_too_long_is_refused() {
    let place = place();
    let (_server, mut client) = serve(&place);
    client.call(&["HSET", "h", "f", "1"]).unwrap();
    let (long, longest) = ("a".repeat(1025), "a".repeat(1024));
    for (long, longest) in [
        (&["KEYS", &long][..], &["KEYS", &longest][..]),
        (&["SCAN", "0", "MATCH", &long], &["SCAN", "0", "MATCH", &longest]),
        (&["HSCAN", "h", "0", "MATCH", &long], &["HSCAN", "h", "0", "MATCH", &longest]),
    ] {
        let error = client.call(long).unwrap_err().to_string();
        assert!(error.contains("the pattern has 1025 bytes, and at most 1024 are taken"), "{error}");
        client.call(longest).unwrap();
    }
}
