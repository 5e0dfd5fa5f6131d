//! `landfall demo`, end to end: what it shows, what it leaves behind, and what it does when it is interrupted.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use common::{Ended, Place, is_alive, signal, wait_until};
use rusqlite::Connection;
use rustix::process::Signal;

// shows: S17, S3
#[test]
fn what_the_demo_cannot_use_is_refused_before_it_begins() {
    let place = Place::new();
    for (args, code, words) in [
        (&["--json"][..], 2, "flag --json"),
        (&["--quiet"], 2, "flag --quiet"),
        (&["--config", "x.toml"], 2, "flag --config"),
        (&["--trace", "--flight-id", "3"], 2, "--flight-id"),
        (&["--flight-id", "99999"], 1, "flight 99999 is not in the database"),
        (&["--database", "sqlite:missing.db"], 69, "there is no such file; make one with"),
    ] {
        let ended = place.run(&[&["demo"], args].concat());
        assert_eq!((ended.code, &*ended.out), (Some(code), ""), "{args:?}: {ended:?}");
        assert!(ended.err.contains(words), "{ended:?}");
    }
}

#[test]
fn the_demo_holds_every_check_in_under_ten_seconds_in_a_pipe() {
    let place = Place::new();
    let begun = Instant::now();
    let ended = place.run(&["demo"]);
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    for step in 1..=10 {
        assert!(
            ended.out.contains(&format!("Step {step} of 10")),
            "step {step} is missing in\n{}",
            ended.out
        );
    }
    for part in [
        "✗ CACHE_MISS",
        "✓ CACHE_HIT",
        "YPC → XGR",
        "American Samoa Airlines",
        "AM5136",
        "Queue status:    1 pending update(s)",
        "Processed:       1 update(s)",
        "INSERT INTO \"flight_log\"",
        "2025-10-01T13:19:00 ← Updated",
        "nothing lost: all 200 keys are back",
        "nothing twice: 50 increments count once each",
        "Write-through",
        "Inconsistency:",
        "UNIQUE constraint failed: booking.flight_id, booking.seat",
        "it alone is a dead letter",
        "All 14 checks held.",
    ] {
        assert!(ended.out.contains(part), "{part} is missing in\n{}", ended.out);
    }
    assert!(!ended.out.contains('\x1b'), "no colours and nothing that moves in a pipe");
    let widest = ended.out.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "a line has {widest:?} columns");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "it leaves nothing behind");
}

// shows: S18
#[test]
fn the_trace_shows_cache_queue_and_database_at_each_step() {
    let place = Place::new();
    let ended = place.run(&["demo", "--trace"]);
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    let row =
        |action: &str| ended.out.lines().find(|line| line.contains(action)).unwrap_or_default().to_owned();
    for name in ["Step", "Action", "Cache", "Queue", "Database", "Output"] {
        assert!(row("Action").contains(name), "{name} is missing in\n{}", ended.out);
    }
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words(&row("SET user:1:name")), "2 SET user:1:name \"Alice\" newest, dirty 1 pending - OK");
    assert_eq!(words(&row("lander")), "4 (the lander lands it) newest, clean 0 pending Alice OK");
}

#[test]
fn a_flight_that_is_not_there_is_a_finding() {
    let place = Place::new();
    let ended = place.run(&["demo", "--flight-id", "999999"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("flight 999999 is not in the database"), "{ended:?}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "it leaves nothing behind");
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    let place = Place::new();
    for (flag, url, told) in [
        ("--buffer", "redis://x", ["Valkey/Redis", "not built yet"]),
        ("--buffer", "kafka://x", ["Kafka", "not built yet"]),
        ("--database", "postgres://me@localhost/y", ["SQLite file", "leave it out"]),
        ("--database", "mysql://x/y", ["MySQL", "not built yet"]),
    ] {
        let ended = place.run(&["demo", flag, url]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(told.iter().all(|part| ended.err.contains(part)), "{ended:?}");
    }
}

#[test]
fn settings_for_another_server_do_not_reach_the_demo() {
    let place = Place::new();
    place.write("landfall.toml", "fsync = \"nonsense\"\n");
    let output =
        place.command(&["demo", "--trace"]).env("LANDFALL_DATABASE", "postgres://x/y").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_database_of_the_user_is_put_back_as_it_was() {
    let place = Place::new();
    assert_eq!(place.run(&["setup", "--sample", "airport", "-d", "sqlite:mine.db"]).code, Some(0));
    let before = contents(&place, "mine.db");
    let ended = place.run(&["demo", "--database", "sqlite:mine.db", "--flush", "--verbose", "-f", "7"]);
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    for part in ["HGETALL flight:7", "SELECT", "1 change(s)", "nothing is pending and the cache is empty"] {
        assert!(ended.out.contains(part), "{part} is missing in\n{}", ended.out);
    }
    assert!(ended.out.contains("the database holds what it held before"), "{}", ended.out);
    assert!(contents(&place, "mine.db") == before, "the database was changed");
    let empty = place.run(&["demo", "--database", "sqlite:none.db"]);
    assert_eq!(empty.code, Some(69), "{empty:?}");
    Connection::open(place.path().join("empty.db")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let empty = place.run(&["demo", "--database", "sqlite:empty.db"]);
    assert_eq!(empty.code, Some(1), "{empty:?}");
    assert!(empty.err.contains("landfall setup --sample airport"), "{empty:?}");
}

#[test]
fn ctrl_c_leaves_no_process_and_no_file_and_puts_the_database_back() {
    let place = Place::new();
    assert_eq!(place.run(&["setup", "--sample", "airport", "-d", "sqlite:mine.db"]).code, Some(0));
    let before = contents(&place, "mine.db");
    let (mut demo, server, _input) = waiting_demo(&place, &["--database", "sqlite:mine.db"]);
    signal(demo.id(), Signal::INT);
    let status = demo.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(!is_alive(server));
    assert!(contents(&place, "mine.db") == before, "the database was changed");
    let left: Vec<_> =
        std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mine.db"]);
}

#[test]
fn a_demo_that_is_killed_takes_its_server_with_it() {
    let place = Place::new();
    let (mut demo, server, _input) = waiting_demo(&place, &[]);
    demo.kill().unwrap();
    demo.wait().unwrap();
    wait_until("the server has ended", || !is_alive(server));
}

/// An interactive demo that waits for an answer, the number of its server's process, and what the answer would go to.
fn waiting_demo(place: &Place, args: &[&str]) -> (Child, u32, ChildStdin) {
    let mut command = place.command(&["demo", "--interactive"]);
    let mut demo = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(demo.stdout.take().unwrap());
    let mut server = None;
    let mut line = String::new();
    while server.is_none() {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "the demo ended early");
        server = line.split("process ").nth(1).and_then(|rest| rest.trim().parse().ok());
    }
    let mut shown = Vec::new();
    while !String::from_utf8_lossy(&shown).contains("Which flight?") {
        let mut byte = [0];
        out.read_exact(&mut byte).unwrap();
        shown.push(byte[0]);
    }
    let input = demo.stdin.take().unwrap();
    (demo, server.unwrap(), input)
}

/// Every row of every table of the sample that the demo could touch, and every name in the schema.
fn contents(place: &Place, name: &str) -> Vec<Vec<String>> {
    let connection = Connection::open(place.path().join(name)).unwrap();
    let read = |query: &str| -> Vec<String> {
        let mut statement = connection.prepare(query).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let cells: Result<Vec<rusqlite::types::Value>, _> = (0..columns).map(|at| row.get(at)).collect();
            Ok(format!("{:?}", cells?))
        });
        rows.unwrap().map(Result::unwrap).collect()
    };
    ["sqlite_schema", "flight", "flight_log", "airplane", "airport", "airline"]
        .map(|table| read(&format!("SELECT * FROM {table} ORDER BY rowid")))
        .into()
}

#[test]
fn a_demo_of_which_nobody_sees_the_checks_does_not_end_with_0() {
    let place = Place::new();
    let mut demo = place.command(&["demo"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(demo.stdout.take());
    let ended: Ended = demo.wait_with_output().unwrap().into();
    assert_eq!((ended.code, ended.err.as_str()), (Some(1), ""), "{ended:?}");
}
