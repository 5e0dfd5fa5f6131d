//! Rows that the database refuses, end to end: the real binary on a SQLite file with constraints.

mod common;

use common::{Place, Server, wait_until};
use landfall_sim::client::Client;
use rusqlite::Connection;
use serde_json::Value as Json;

const TABLES: &str = "
    CREATE TABLE flight (id INTEGER PRIMARY KEY, no TEXT);
    CREATE TABLE seat (id INTEGER PRIMARY KEY, flight INTEGER NOT NULL REFERENCES flight (id), place TEXT, paid INTEGER,
      UNIQUE (flight, place));
    CREATE TABLE meal (id INTEGER PRIMARY KEY, flight INTEGER NOT NULL REFERENCES flight (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE click (at INTEGER NOT NULL CHECK (at > 0), who TEXT);";

fn place() -> Place {
    let place = Place::new();
    file(&place).execute_batch(TABLES).unwrap();
    place
}

fn file(place: &Place) -> Connection {
    Connection::open(place.path().join("app.db")).unwrap()
}

fn serve<'p>(place: &'p Place, args: &[&str]) -> Server<'p> {
    place.write("landfall.toml", "refusals-max = 2\n");
    let all: Vec<&str> = ["--database", "sqlite:app.db"].iter().chain(args).copied().collect();
    place.serve(&all)
}

fn one(place: &Place, sql: &str) -> String {
    file(place).query_row(sql, [], |row| row.get::<_, Option<String>>(0)).unwrap().unwrap_or("-".into())
}

fn list(server: &Server<'_>) -> Vec<Json> {
    let ended = server.run(&["dead-letters", "list", "--json"]);
    let listed: Json = serde_json::from_str(&ended.out).unwrap();
    let letters = listed["letters"].as_array().unwrap().clone();
    assert_eq!(ended.code, Some(i32::from(!letters.is_empty())), "{ended:?}");
    letters
}

/// A flight, a taken seat, and somebody who wants it too.
fn take_a_taken_seat(server: &Server<'_>) {
    server.cli(&["HSET", "flight:1", "no", "AM1"]);
    server.cli(&["HSET", "seat:1", "flight", "1", "place", "1A", "paid", "10"]);
    server.cli(&["HSET", "seat:2", "flight", "1", "place", "1A", "paid", "20"]);
    server.cli(&["HSET", "seat:3", "flight", "1", "place", "1B", "paid", "30"]);
    server.cli(&["HINCRBY", "seat:2", "paid", "5"]);
    server.cli(&["LANDFALL.FLUSH"]);
}

// shows: S5
#[test]
fn a_taken_seat_alone_becomes_a_dead_letter_and_its_neighbours_land() {
    let place = place();
    let server = serve(&place, &[]);
    take_a_taken_seat(&server);
    assert_eq!(one(&place, "SELECT group_concat(id) FROM seat"), "1,3");
    let letters = list(&server);
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!((&letters[0]["key"], &letters[0]["class"]), (&"seat:2".into(), &"unique".into()));
    assert_eq!(letters[0]["reason"], "UNIQUE constraint failed: seat.flight, seat.place");
    assert_eq!(server.cli(&["HGET", "seat:2", "paid"]), "25", "it stays in the view");
    server.cli(&["LANDFALL.EVICT"]);
    assert_eq!(server.cli(&["HGET", "seat:2", "paid"]), "25", "and is read from there");
    let status: Json = serde_json::from_str(&server.run(&["status", "--json"]).out).unwrap();
    assert_eq!((&status["dead_letters"]["count"], &status["health"]), (&1.into(), &"look".into()));
    let shown = server.run(&["status"]).out;
    assert!(shown.starts_with("DEAD LETTERS: 1 of 10,000"), "{shown}");
    assert!(server.cli(&["INFO", "landfall"]).contains("dead_letters:1\r"), "INFO tells it");
    let explained = server.run(&["explain", "seat:2"]).out;
    assert!(explained.contains("does not have it") && explained.contains("has a dead letter"), "{explained}");
    assert!(!server.said().contains("1A"), "no value in what the server prints: {}", server.said());
}

#[test]
fn a_client_corrects_a_parked_row_by_writing_it() {
    let place = place();
    let server = serve(&place, &[]);
    take_a_taken_seat(&server);
    server.cli(&["HSET", "seat:2", "place", "9C"]);
    server.cli(&["LANDFALL.FLUSH"]);
    assert_eq!(one(&place, "SELECT place || paid FROM seat WHERE id = 2"), "9C25");
    assert_eq!(list(&server).len(), 0);
    let status: Json = serde_json::from_str(&server.run(&["status", "--json"]).out).unwrap();
    assert_eq!(status["health"], "ok", "{status}");
    server.cli(&["HSET", "seat:2", "place", "1A"]);
    server.cli(&["LANDFALL.FLUSH"]);
    assert_eq!(list(&server).len(), 1, "an update may be refused as well");
    server.cli(&["DEL", "seat:2"]);
    server.cli(&["LANDFALL.FLUSH"]);
    assert_eq!((list(&server).len(), one(&place, "SELECT group_concat(id) FROM seat").as_str()), (0, "1,3"));
}

#[test]
fn a_person_edits_retries_and_drops() {
    let place = place();
    let server = serve(&place, &[]);
    take_a_taken_seat(&server);
    let id = list(&server)[0]["id"].to_string();
    let shown = server.run(&["dead-letters", "show", &id]).out;
    assert!(shown.contains("seat:2") && shown.contains("place = 1A"), "{shown}");
    // Its two writes may have landed in one batch or in two.
    let attempts = list(&server)[0]["attempts"].as_u64().unwrap();
    assert_eq!(server.run(&["dead-letters", "retry", &id]).code, Some(0));
    assert_eq!(list(&server)[0]["attempts"], attempts + 1);
    let bad = server.run(&["dead-letters", "edit", &id, "nothing", "1"]);
    assert!(bad.code == Some(1) && bad.err.contains("nothing"), "{bad:?}");
    assert_eq!(server.run(&["dead-letters", "edit", &id, "place", "7F"]).code, Some(0));
    assert_eq!((list(&server).len(), one(&place, "SELECT place FROM seat WHERE id = 2").as_str()), (0, "7F"));
    // Another that is given up: nothing without the word, and then the view is the database's.
    server.cli(&["HSET", "seat:3", "place", "1A"]);
    server.cli(&["LANDFALL.FLUSH"]);
    let other = list(&server)[0]["id"].to_string();
    assert_ne!(other, id, "an id is not given again");
    let refused = server.run(&["dead-letters", "drop", &other]);
    assert!(refused.code == Some(2) && refused.err.contains("--confirm"), "{refused:?}");
    assert_eq!(list(&server).len(), 1);
    assert_eq!(server.cli(&["HGET", "seat:3", "place"]), "1A");
    assert_eq!(server.run(&["dead-letters", "drop", &other, "--confirm"]).code, Some(0));
    assert_eq!(list(&server).len(), 0);
    wait_until("the row is read again", || server.cli(&["HGET", "seat:3", "place"]) == "1B");
    assert_eq!(server.run(&["dead-letters", "show", &other]).code, Some(1));
}

#[test]
fn what_the_database_refused_is_not_told_as_landed() {
    let place = place();
    let server = serve(&place, &[]);
    take_a_taken_seat(&server);
    let drained = server.run(&["drain"]);
    assert_eq!(drained.code, Some(0), "nothing is left in the log: {drained:?}");
    assert!(drained.out.contains("1 dead letter is kept"), "{drained:?}");
    let json: Json = serde_json::from_str(&server.run(&["drain", "--json"]).out).unwrap();
    assert_eq!((&json["pending"], &json["dead_letters"]), (&0.into(), &1.into()));
    assert_eq!(server.terminate().code(), Some(0));
    let said = std::fs::read_to_string(place.path().join("log")).unwrap();
    assert!(said.contains("1 dead letter is kept"), "{said}");
}

#[test]
fn who_lists_letters_reads_what_can_be_done() {
    let place = place();
    let server = serve(&place, &[]);
    take_a_taken_seat(&server);
    let listed = server.run(&["dead-letters", "list"]).out;
    for part in ["refused by seat, ", "dead-letters edit", "dead-letters retry", "dead-letters drop"] {
        assert!(listed.contains(part), "{part} is missing in {listed}");
    }
    let explained = server.run(&["explain", "seat:2"]).out;
    let said = listed + &explained;
    let wide: Vec<&str> = said.lines().filter(|line| line.chars().count() > 80).collect();
    assert_eq!(wide, Vec::<&str>::new(), "{said}");
    let slip = server.run(&["dead-letters", "retry", "seats"]);
    assert!(slip.code == Some(1) && slip.err.contains("no table seats"), "{slip:?}");
    assert_eq!(
        server.run(&["dead-letters", "retry", "flight"]).code,
        Some(0),
        "it has none, and that is well"
    );
}

#[test]
fn a_reason_that_is_gone_lets_all_letters_of_a_table_land() {
    let place = place();
    let server = serve(&place, &[]);
    for id in 1..=5 {
        let id = id.to_string();
        server.cli(&["HSET", &format!("seat:{id}"), "flight", "9", "place", &id]);
    }
    server.cli(&["XADD", "click", "*", "at", "-1", "who", "me"]);
    server.cli(&["LANDFALL.FLUSH"]);
    assert_eq!(list(&server).len(), 6);
    let exported = server.run(&["dead-letters", "export", "seat"]).out;
    assert_eq!(exported.lines().count(), 5, "{exported}");
    assert!(exported.contains(r#"{"name":"flight","op":"set","value":"9"}"#), "{exported}");
    server.cli(&["HSET", "flight:9", "no", "AM9"]);
    assert_eq!(server.run(&["dead-letters", "retry", "seat"]).code, Some(0));
    let left = list(&server);
    assert_eq!((left.len(), &left[0]["table"]), (1, &"click".into()));
    assert_eq!(left[0]["key"], Json::Null);
    let id = left[0]["id"].to_string();
    assert_eq!(
        server.run(&["dead-letters", "edit", &id, "at", "-5", "--quiet"]).code,
        Some(0),
        "a negative number"
    );
    assert_eq!(list(&server)[0]["display"], "event of click at = -5, who = 'me'");
    assert_eq!(server.run(&["dead-letters", "edit", &id, "at", "5"]).code, Some(0));
    assert_eq!(list(&server).len(), 0);
    assert_eq!(one(&place, "SELECT at || who FROM click"), "5me");
    assert_eq!(one(&place, "SELECT CAST(count(*) AS TEXT) FROM seat"), "5");
}

/// Only the COMMIT refuses such a row, and says nothing of which.
#[test]
fn a_deferred_constraint_parks_its_record_and_lets_the_others_land() {
    let place = place();
    let server = serve(&place, &[]);
    server.cli(&["LANDFALL.PAUSE"]);
    server.cli(&["HSET", "flight:1", "no", "AM1"]);
    for id in 1..=20 {
        let flight = if id == 13 { "77" } else { "1" };
        server.cli(&["HSET", &format!("meal:{id}"), "flight", flight]);
    }
    server.cli(&["LANDFALL.RESUME"]);
    server.cli(&["LANDFALL.FLUSH"]);
    let letters = list(&server);
    assert_eq!((letters.len(), &letters[0]["key"]), (1, &"meal:13".into()), "{letters:?}");
    assert_eq!(one(&place, "SELECT CAST(count(*) AS TEXT) FROM meal"), "19");
}

#[test]
fn wait_tells_a_connection_that_its_write_was_refused() {
    let place = place();
    let server = serve(&place, &[]);
    let address = server.address.parse().unwrap();
    let mut client = Client::connect(address, common::PATIENCE).unwrap();
    let wait = |client: &mut Client| format!("{:?}", client.call(&["WAIT", "1", "0"]));
    client.call(&["HSET", "flight:1", "no", "A"]).unwrap();
    assert_eq!(wait(&mut client), "Ok(Integer(1))");
    client.call(&["HSET", "seat:1", "flight", "5"]).unwrap();
    client.call(&["HSET", "flight:1", "no", "B"]).unwrap();
    let error = wait(&mut client);
    assert!(error.contains("DEADLETTER "), "{error}");
    assert_eq!(wait(&mut client), "Ok(Integer(1))", "it is told once");
}

#[test]
fn a_dropped_table_is_parked_by_a_reload_and_holds_up_nobody() {
    let place = place();
    let server = serve(&place, &[]);
    server.cli(&["LANDFALL.PAUSE"]);
    server.cli(&["HSET", "flight:1", "no", "A"]);
    server.cli(&["XADD", "click", "*", "at", "1"]);
    file(&place).execute_batch("DROP TABLE click").unwrap();
    server.cli(&["LANDFALL.RELOAD"]);
    server.cli(&["LANDFALL.RESUME"]);
    server.cli(&["LANDFALL.FLUSH"]);
    let letters = list(&server);
    assert_eq!((letters.len(), &letters[0]["class"]), (1, &"no-such-table".into()), "{letters:?}");
    assert_eq!(one(&place, "SELECT no FROM flight"), "A");
    file(&place).execute_batch("CREATE TABLE click (at INTEGER)").unwrap();
    server.cli(&["LANDFALL.RELOAD"]);
    assert_eq!(server.run(&["dead-letters", "retry", "ALL"]).code, Some(0));
    assert_eq!((list(&server).len(), one(&place, "SELECT CAST(at AS TEXT) FROM click").as_str()), (0, "1"));
}

// shows: S6
#[test]
fn a_kill_at_any_moment_neither_loses_nor_doubles_a_parked_change() {
    let place = place();
    file(&place).execute_batch("INSERT INTO flight VALUES (1, 'A')").unwrap();
    for round in 0..8 {
        let server = serve(&place, &["--flush-interval", "1ms"]);
        let mut client = Client::connect(server.address.parse().unwrap(), common::PATIENCE).unwrap();
        for n in 0..400 {
            let seat = format!("seat:{}", n % 8);
            // Seats 0 to 3 want the same place, and only one of them can have it.
            let place = if n % 8 < 4 { "1A".to_owned() } else { (n % 8).to_string() };
            client.call(&["HSET", &seat, "flight", "1", "place", &place]).unwrap();
            client.call(&["HINCRBY", &seat, "paid", "1"]).unwrap();
        }
        // Each seat was paid fifty times a round.
        let expected = format!("paid: {}", 50 * (round + 1));
        server.kill();
        let server = serve(&place, &[]);
        let mut client = Client::connect(server.address.parse().unwrap(), common::PATIENCE).unwrap();
        let mut check = |when: &str| {
            for n in 0..8 {
                let paid = client.call(&["HGET", &format!("seat:{n}"), "paid"]).unwrap();
                let paid = format!("paid: {}", String::from_utf8_lossy(paid.as_bytes().unwrap()));
                assert_eq!(paid, expected, "seat {n}, round {round}, {when}");
            }
        };
        check("from the log");
        server.cli(&["LANDFALL.FLUSH"]);
        server.cli(&["LANDFALL.EVICT"]);
        check("from the database and its letters");
        assert_eq!(list(&server).len(), 3);
        assert_eq!(one(&place, "SELECT CAST(count(*) AS TEXT) FROM seat WHERE place = '1A'"), "1");
        server.kill();
    }
}

#[test]
fn a_request_that_is_wrong_changes_nothing() {
    let place = place();
    let server = serve(&place, &[]);
    for bad in [
        &["LANDFALL.DEADLETTERS", "DANCE"][..],
        &["LANDFALL.DEADLETTERS", "DROP", "1"],
        &["LANDFALL.DEADLETTERS", "GET", "-1"],
        &["LANDFALL.DEADLETTERS", "RETRY", "77"],
        &["LANDFALL.DEADLETTERS", "EDIT", "77", "a", "b"],
        &["LANDFALL.DEADLETTERS", "LIST", "COUNT", "many"],
    ] {
        let ended = server.cli_ended(bad);
        assert!(ended.code == Some(1) && ended.out.starts_with("ERR "), "{bad:?}: {ended:?}");
    }
    assert_eq!(server.cli(&["LANDFALL.DEADLETTERS", "GET", "1"]), "");
    assert_eq!(server.cli(&["LANDFALL.DEADLETTERS", "RETRY", "ALL"]), "0");
    assert_eq!(server.run(&["dead-letters", "list"]).out, "no dead letters\n");
    let status: Json = serde_json::from_str(&server.run(&["status", "--json"]).out).unwrap();
    assert_eq!(status["pending"]["changes"], 0);
}
