//! Rows of tables as a client meets them: how long they stay in the cache, and keys that name no row.
//! What the cache does with a time is shown in the engine's own tests; these show that the commands ask for it.

mod common;

use common::{Place, Server, wait_until};
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
    let client = Client::connect(server.address.parse().unwrap(), common::PATIENCE).unwrap();
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
