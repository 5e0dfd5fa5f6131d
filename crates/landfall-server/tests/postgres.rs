//! The server over a private PostgreSQL: what a client writes and reads, over restarts, and what is refused.
//! Without a PostgreSQL on this machine the tests say by name that they are skipped.
#![cfg(feature = "postgres")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use common::Place;
use landfall_resp::Value;
use landfall_sim::client::Client;
use landfall_sim::servers::{Landfall, LandfallOptions, Postgres};

const TABLES: &str = "
    CREATE TYPE mood AS ENUM ('good', 'bad');
    CREATE TABLE page (id bigint PRIMARY KEY, views int NOT NULL DEFAULT 0, score numeric(10,2), title varchar(5),
      seen timestamptz, open boolean, raw bytea, doc json, who uuid, mood mood, day date, weight double precision);
    CREATE TABLE click (request_id text UNIQUE, url text NOT NULL, at timestamp);
    CREATE TABLE shape (id int PRIMARY KEY, area box, name text);
    CREATE VIEW seen AS SELECT id FROM page;
    CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY);";

fn start(options: LandfallOptions) -> (Landfall, Client) {
    let server = Landfall::start(options).unwrap();
    let client = server.connect().unwrap();
    (server, client)
}

fn fields(value: Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => format!("{other:?}"),
    };
    match &value {
        Value::Array(items) => items.iter().map(text).collect(),
        other => vec![format!("{other:?}")],
    }
}

const ROW: [(&str, &str); 11] = [
    ("views", "7"),
    ("score", "12.50"),
    ("title", "Hellö"),
    ("seen", "2025-10-01T09:19:00.5"),
    ("open", "1"),
    ("raw", "a\"b\\c,{}'\u{1}"),
    ("doc", "{\"a\": 1}"),
    ("who", "123e4567-e89b-12d3-a456-426614174000"),
    ("mood", "good"),
    ("day", "2025-10-01"),
    ("weight", "0.1"),
];

#[test]
fn what_a_client_writes_is_in_postgresql_and_is_read_back_byte_for_byte_after_a_restart() {
    let test = "what_a_client_writes_is_in_postgresql_and_is_read_back_byte_for_byte_after_a_restart";
    let Some(postgres) = Postgres::shared_or_skip(test) else { return };
    let name = postgres.new_database().unwrap();
    postgres.psql(&name, TABLES).unwrap();
    let mut options = LandfallOptions::new(env!("CARGO_BIN_EXE_landfall"));
    options.postgres = Some((Arc::clone(&postgres), name.clone()));
    let (mut server, mut client) = start(options);
    let mut put = vec!["HSET", "page:1"];
    ROW.iter().for_each(|(column, value)| put.extend([*column, *value]));
    assert_eq!(client.call(&put).unwrap(), Value::Integer(11));
    assert_eq!(client.call(&["HINCRBY", "page:1", "views", "3"]).unwrap(), Value::Integer(10));
    assert_eq!(client.call(&["HINCRBY", "page:2", "views", "1"]).unwrap(), Value::Integer(1));
    for _ in 0..2 {
        client.call(&["XADD", "click", "*", "request_id", "r1", "url", "/a"]).unwrap();
    }
    client.call(&["SET", "greeting", "Hi\0\u{ff}"]).unwrap();
    client.call(&["HSET", "session:1", "user", "7"]).unwrap();
    client.call(&["LANDFALL.FLUSH"]).unwrap();
    assert_eq!(
        postgres
            .psql(&name, "SELECT views, score, seen, mood FROM page ORDER BY id")
            .unwrap()
            .lines()
            .count(),
        2
    );
    assert_eq!(
        postgres.psql(&name, "SELECT views || ' ' || score FROM page WHERE id = 1").unwrap(),
        "10 12.50"
    );
    assert_eq!(postgres.psql(&name, "SELECT count(*) FROM click").unwrap(), "1");
    assert_eq!(postgres.psql(&name, "SELECT value FROM landfall.landfall_hash").unwrap(), "7");
    drop(client);
    assert!(server.terminate().unwrap().success());
    server.restart().unwrap();
    let mut client = server.connect().unwrap();
    let found = fields(client.call(&["HGETALL", "page:1"]).unwrap());
    for (column, value) in ROW {
        let at =
            found.iter().position(|text| text == column).unwrap_or_else(|| panic!("{column}: {found:?}"));
        let expected = if column == "views" { "10" } else { value };
        assert_eq!(found[at + 1], expected, "{column}");
    }
    assert_eq!(client.call(&["GET", "greeting"]).unwrap(), Value::Bulk("Hi\0\u{ff}".as_bytes().to_vec()));
    assert_eq!(client.call(&["HGET", "session:1", "user"]).unwrap(), Value::Bulk(b"7".to_vec()));
    let refused = |client: &mut Client, command: &[&str], part: &str| {
        let answer = format!("{:?}", client.call(command));
        assert!(answer.contains(part), "{command:?}: {answer}");
    };
    refused(&mut client, &["HSET", "page:1", "views", "2147483648"], "2147483647");
    refused(&mut client, &["HSET", "page:1", "title", "too long"], "at most 5");
    refused(&mut client, &["HSET", "page:1", "score", "1.001"], "2 digits");
    refused(&mut client, &["HSET", "shape:1", "area", "(1,2),(3,4)"], "only be read");
}

/// What the private server's password must never be seen as.
const HUSH: &str = "not-a-secret";

#[test]
fn a_password_is_read_from_a_closed_file_and_never_printed() {
    let test = "a_password_is_read_from_a_closed_file_and_never_printed";
    let Some(postgres) = Postgres::shared_or_skip(test) else { return };
    let name = postgres.new_database().unwrap();
    let place = Place::new();
    let closed = |file: &str, text: &str| {
        place.write(file, text);
        std::fs::set_permissions(place.path().join(file), PermissionsExt::from_mode(0o600)).unwrap();
    };
    let with = postgres.url(&name);
    let url = with.replace(&format!(":{HUSH}"), "");
    closed("right", &format!("{HUSH}\n"));
    closed("wrong", &format!("{HUSH}-at-all\n"));
    closed("pass", &format!("*:*:*:*:{HUSH}\n"));
    place.write("open", HUSH);
    let mut said = String::new();
    let mut setup = |url: &str, variables: &[(&str, &str)]| {
        let mut command = place.command(&["setup", "-v", "--database", url]);
        let home = place.path().join("home");
        command.env_remove("PGPASSFILE").env("HOME", home).envs(variables.iter().copied());
        let ended = common::Ended::from(command.output().unwrap());
        said.push_str(&format!("{}{}", ended.out, ended.err));
        (ended.code, ended.err)
    };
    let mut refused = |url: &str, variables: &[(&str, &str)], part: &str| {
        let (code, words) = setup(url, variables);
        assert!(code != Some(0) && words.contains(part), "{url}: {words}");
    };
    refused(&url, &[], "asks for a password");
    refused(&format!("{url}?password_file=wrong"), &[], "refuses the user or the password");
    refused(&format!("{url}?password_file=gone"), &[], "cannot be read");
    refused(&format!("{url}?password_file=open"), &[], "chmod 600");
    refused(&format!("{url}?passfile=open"), &[], "chmod 600");
    refused(&url, &[("PGPASSFILE", "open")], "chmod 600");
    refused(&format!("{with}-at-all?connect_timeout=x"), &[], "connect_timeout");
    refused(&format!("{with}?sslmode=verify-full"), &[], "no TLS");
    std::fs::create_dir(place.path().join("home")).unwrap();
    closed("home/.pgpass", &format!("*:*:{name}:*:{HUSH}\n"));
    for (url, variables) in [
        (url.clone(), &[][..]),
        (with.clone(), &[]),
        (format!("{url}?password_file=right"), &[]),
        (format!("{url}?passfile=pass"), &[]),
        (url.clone(), &[("PGPASSFILE", "pass")]),
    ] {
        assert_eq!(setup(&url, variables).0, Some(0), "{url} {variables:?}");
    }
    let server = place.serve(&["-v", "--database", &with]);
    server.cli(&["SET", "a", "1"]);
    for command in [&["INFO"][..], &["LANDFALL.STATUS"], &["LANDFALL.EXPLAIN", "a"], &["CONFIG", "GET", "*"]]
    {
        said.push_str(&server.cli(command));
    }
    for command in [&["status"][..], &["config", "print", "--database", &with]] {
        let ended = server.run(command);
        said.push_str(&format!("{}{}", ended.out, ended.err));
    }
    said.push_str(&server.said());
    assert!(said.contains(&format!("127.0.0.1:{}", postgres.port())) && !said.contains(HUSH), "{said}");
}

#[test]
fn the_airport_is_loaded_whole_or_not_at_all_and_its_flights_are_served_and_logged() {
    let test = "the_airport_is_loaded_whole_or_not_at_all_and_its_flights_are_served_and_logged";
    let Some(postgres) = Postgres::shared_or_skip(test) else { return };
    let name = postgres.new_database().unwrap();
    let place = Place::new();
    let url = postgres.url(&name);
    let load = || place.run(&["setup", "--sample", "airport", "--database", &url]);
    let tables =
        "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    postgres.psql(&name, "CREATE TABLE weatherdata (a int)").unwrap();
    let refused = load();
    assert!(refused.code == Some(1) && refused.err.contains("a table named weatherdata"), "{refused:?}");
    // Something in the way of the last statements: nothing stays.
    postgres.psql(&name, "DROP TABLE weatherdata; CREATE TABLE flight_arrival (a int)").unwrap();
    let refused = load();
    assert!(refused.code == Some(69) && refused.err.contains("nothing of it is there"), "{refused:?}");
    assert_eq!(postgres.psql(&name, tables).unwrap(), "1");
    postgres.psql(&name, "DROP TABLE flight_arrival").unwrap();
    let loaded = load();
    assert_eq!(loaded.code, Some(0), "{loaded:?}");
    assert!(!loaded.out.contains(HUSH), "{loaded:?}");
    assert_eq!(postgres.psql(&name, tables).unwrap(), "13");
    let counted = "SELECT sum((xpath('/row/c/text()', query_to_xml('SELECT count(*) AS c FROM ' || oid::regclass, \
         false, true, '')))[1]::text::int) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    let rows = postgres.psql(&name, counted).unwrap();
    assert!(loaded.out.starts_with(&format!("{rows} rows in 13 tables")), "{loaded:?} {rows}");
    let keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated";
    assert_eq!(postgres.psql(&name, keys).unwrap(), "10");
    place.write("landfall.toml", "[table.flight]\naudit = \"flight_log\"\n");
    let server = place.serve(&["--config", "landfall.toml", "--database", &url]);
    assert_eq!(server.cli(&["HGET", "flight:115", "departure"]), "2025-10-01T11:19:00");
    server.cli(&["HSET", "flight:115", "departure", "2025-10-01T13:19:00"]);
    server.cli(&["LANDFALL.FLUSH"]);
    let log = "SELECT departure_old || ' ' || departure_new FROM flight_log";
    assert_eq!(postgres.psql(&name, log).unwrap(), "2025-10-01 11:19:00 2025-10-01 13:19:00");
    let flights: u64 = postgres.psql(&name, "SELECT count(*) FROM flight").unwrap().parse().unwrap();
    let warmed = server.run(&["warm", "flight"]);
    // One is known already.
    assert!(warmed.out.starts_with(&format!("{} rows of flight loaded", flights - 1)), "{warmed:?}");
    let warmed = server.run(&["warm", "weatherdata", "--limit", "25"]);
    assert!(warmed.out.starts_with("25 rows of weatherdata loaded"), "{warmed:?}");
}

#[test]
fn a_row_that_postgresql_refuses_becomes_a_dead_letter_and_its_neighbours_land() {
    let test = "a_row_that_postgresql_refuses_becomes_a_dead_letter_and_its_neighbours_land";
    let Some(postgres) = Postgres::shared_or_skip(test) else { return };
    let name = postgres.new_database().unwrap();
    postgres.psql(&name, "CREATE TABLE item (id int PRIMARY KEY, n int CHECK (n < 100))").unwrap();
    let mut options = LandfallOptions::new(env!("CARGO_BIN_EXE_landfall"));
    options.postgres = Some((Arc::clone(&postgres), name.clone()));
    let (_server, mut client) = start(options);
    for (key, n) in [("item:1", "1"), ("item:2", "200"), ("item:3", "3"), ("item:4", "4")] {
        client.call(&["HSET", key, "n", n]).unwrap();
    }
    common::wait_until("the neighbours are there and the guilty row is a letter", || {
        postgres.psql(&name, "SELECT count(*) FROM item").unwrap() == "3"
            && postgres
                .psql(&name, "SELECT class || ' ' || table_name FROM landfall.landfall_dead_letter")
                .unwrap()
                == "check item"
    });
    assert_eq!(client.call(&["HGET", "item:2", "n"]).unwrap(), Value::Bulk(b"200".to_vec()));
}

#[test]
fn what_cannot_be_had_is_said_before_anything_is_made() {
    let place = Place::new();
    for (url, part) in [
        ("postgres://me:secret@127.0.0.1:1/app?sslmode=prefer", "plain text"),
        ("postgres://me:secret@127.0.0.1:1/app?sslmode=sure", "not known"),
        ("postgres://me:secret@127.0.0.1:1/app?sslmode=require", "not available"),
        ("postgres://me:secret@127.0.0.1:1/app", "not available"),
    ] {
        let ended = place.run(&["serve", "--listen", "127.0.0.1:0", "--database", url]);
        assert!(ended.code != Some(0) && ended.err.contains(part), "{url}: {ended:?}");
        assert!(!ended.err.contains("secret") && !ended.out.contains("secret"), "{ended:?}");
    }
}

/// Seats of flights, of which one is taken.
const SEATS: &str = "CREATE TABLE flight (id int PRIMARY KEY, no text);
    CREATE TABLE seat (id int PRIMARY KEY, flight int NOT NULL REFERENCES flight, place text,
      paid numeric(6,2) CHECK (paid < 1000), UNIQUE (flight, place));";

// shows: S5
#[test]
fn a_person_reads_edits_retries_and_drops_what_postgresql_refused() {
    let test = "a_person_reads_edits_retries_and_drops_what_postgresql_refused";
    let Some(postgres) = Postgres::shared_or_skip(test) else { return };
    let name = postgres.new_database().unwrap();
    postgres.psql(&name, SEATS).unwrap();
    let place = Place::new();
    place.write("landfall.toml", "refusals-max = 2\n");
    let server = place.serve(&["--database", &postgres.url(&name)]);
    let list = || {
        let ended = server.run(&["dead-letters", "list", "--json"]);
        let listed: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
        listed["letters"].as_array().unwrap().clone()
    };
    server.cli(&["HSET", "flight:1", "no", "AM1"]);
    for (seat, at, paid) in [("seat:1", "1A", "10"), ("seat:2", "1A", "20.50"), ("seat:3", "1B", "30")] {
        server.cli(&["HSET", seat, "flight", "1", "place", at, "paid", paid]);
    }
    server.cli(&["HSET", "seat:4", "flight", "9", "place", "1C", "paid", "1"]);
    server.cli(&["HSET", "seat:5", "flight", "1", "place", "1D", "paid", "2000"]);
    server.cli(&["LANDFALL.FLUSH"]);
    let seats = || postgres.psql(&name, "SELECT string_agg(id || place, ' ' ORDER BY id) FROM seat").unwrap();
    assert_eq!(seats(), "11A 31B");
    // What kind, SQLSTATE and constraint.
    let letters = list();
    let reasons: Vec<_> = letters.iter().map(|letter| (&letter["key"], &letter["reason"])).collect();
    for (key, reason) in [
        ("seat:2", "UNIQUE constraint failed: seat.flight, seat.place (23505, seat_flight_place_key)"),
        ("seat:4", "FOREIGN KEY constraint failed (23503, seat_flight_fkey)"),
        ("seat:5", "CHECK constraint failed: seat_paid_check (23514)"),
    ] {
        assert!(reasons.contains(&(&key.into(), &reason.into())), "{key}: {reasons:?}");
    }
    assert_eq!(letters.len(), 3);
    let id = |key: &str| {
        list().iter().find(|letter| letter["key"] == key).map(|letter| letter["id"].to_string()).unwrap()
    };
    // The whole row.
    let shown = server.run(&["dead-letters", "show", &id("seat:2")]).out;
    for part in ["seat:2", "flight = 1", "place = 1A", "paid = 20.5"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(server.run(&["dead-letters", "edit", &id("seat:2"), "place", "7F"]).code, Some(0));
    postgres.psql(&name, "INSERT INTO flight VALUES (9, 'AM9')").unwrap();
    assert_eq!(server.run(&["dead-letters", "retry", &id("seat:4")]).code, Some(0));
    assert_eq!(seats(), "11A 27F 31B 41C");
    let last = id("seat:5");
    assert_eq!(server.run(&["dead-letters", "drop", &last, "--confirm"]).code, Some(0));
    assert_eq!(list().len(), 0);
    assert_eq!(postgres.psql(&name, "SELECT count(*) FROM landfall.landfall_dead_letter").unwrap(), "0");
    common::wait_until("the row is the database's", || server.cli(&["EXISTS", "seat:5"]) == "0");
    assert!(!server.said().contains("1A") && !server.said().contains("2000"), "{}", server.said());
}
