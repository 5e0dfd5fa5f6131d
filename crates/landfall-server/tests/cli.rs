//! The command line, end to end: the real binary, a real server, a directory of its own for each test.

mod common;

use common::{PATIENCE, Place, wait_until};
use landfall_sim::client::{Client, request};
use rusqlite::Connection;

#[test]
fn help_and_version_need_nothing_and_end_with_0() {
    let place = Place::new();
    for args in [
        &["--help"][..],
        &["--version"],
        &[],
        &["help", "serve"],
        &["serve", "--help"],
        &["config", "print", "--help"],
    ] {
        let ended = place.run(args);
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
        assert!(ended.out.contains("landfall"), "{args:?}: {ended:?}");
    }
    let serve = place.run(&["serve", "--help"]).out;
    assert!(serve.contains("Example: landfall serve") && serve.contains("LANDFALL_FSYNC"), "{serve}");
    assert!(!serve.contains("port-file"), "a flag for our own tools is not for users");
}

#[test]
fn what_clap_does_not_know_ends_with_2() {
    let place = Place::new();
    for args in
        [&["serve", "--nonsense"][..], &["dance"], &["serve", "--http", "off"], &["drain", "--timeout", "5"]]
    {
        assert_eq!(place.run(args).code, Some(2), "{args:?}");
    }
}

#[test]
fn a_bad_flag_is_a_usage_error_and_starts_nothing() {
    let place = Place::new();
    let ended = place.run(&["serve", "--buffer", "redis://host", "--fsync", "sometimes"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("flag --buffer") && ended.err.contains("flag --fsync"), "{ended:?}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "no file was made");
}

#[test]
fn a_bad_file_ends_with_78_and_tells_every_problem() {
    let place = Place::new();
    place.write(
        "landfall.toml",
        "fsync = \"never\"\nflushinterval = \"1s\"\nmax-pending = 0\nlisten = \"0.0.0.0:1\"\n",
    );
    for args in [&["serve"][..], &["config", "check"], &["status"]] {
        let ended = place.run(args);
        assert_eq!(ended.code, Some(78), "{args:?}: {ended:?}");
        for part in
            ["landfall.toml:1: ", "did you mean flush-interval?", "landfall.toml:3: ", "--password-file"]
        {
            assert!(ended.err.contains(part), "{part} is missing in {}", ended.err);
        }
    }
    assert_eq!(place.run(&["config", "check", "--config", "missing.toml"]).code, Some(78));
}

#[test]
fn the_example_is_a_file_that_checks_and_print_says_where_values_come_from() {
    let place = Place::new();
    place.write("landfall.toml", &place.run(&["config", "example"]).out);
    assert_eq!(place.run(&["config", "check"]).code, Some(0));
    place.write("landfall.toml", "flush-count = 7\n");
    let mut command = place.command(&["config", "print", "--flush", "time"]);
    let printed = String::from_utf8(command.env("LANDFALL_FSYNC", "os").output().unwrap().stdout).unwrap();
    let line =
        |start: &str| printed.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
    assert!(line("flush-count = 7").ends_with("# landfall.toml:1"), "{printed}");
    assert!(line("fsync = \"os\"").ends_with("# LANDFALL_FSYNC"), "{printed}");
    assert!(line("flush = \"time\"").ends_with("# --flush"), "{printed}");
    let json: serde_json::Value =
        serde_json::from_str(&place.run(&["config", "print", "--json"]).out).unwrap();
    assert_eq!(json["settings"]["flush-count"]["value"], "7");
}

// shows: S1, S18
#[test]
fn a_write_is_read_back_at_once_and_lands_later() {
    let place = Place::new();
    let server = place.serve(&[]);
    assert_eq!(server.cli(&["LANDFALL.PAUSE"]), "OK");
    assert_eq!(server.cli(&["SET", "user:1:name", "Alice"]), "OK");
    assert_eq!(server.cli(&["GET", "user:1:name"]), "Alice");
    let explained = server.run(&["explain", "user:1:name"]);
    assert!(
        explained.out.contains("waits to land") && explained.out.contains("does not have it"),
        "{explained:?}"
    );
    assert_eq!(server.run(&["resume"]).code, Some(0));
    assert_eq!(server.run(&["drain"]).code, Some(0));
    let explained = server.run(&["explain", "user:1:name"]);
    assert!(
        explained.out.contains("landed") && explained.out.contains("has it:\n    value  Alice"),
        "{explained:?}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&server.run(&["explain", "user:1:name", "--json"]).out).unwrap();
    assert_eq!((&json["pending"], &json["database"]["present"]), (&false.into(), &true.into()));
    let file = Connection::open(place.path().join("landfall-data/landfall.db")).unwrap();
    let name: Vec<u8> = file
        .query_row(
            "SELECT CAST(value AS BLOB) FROM landfall_key WHERE CAST(key AS TEXT) = 'user:1:name'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(name, b"Alice");
}

#[test]
fn replies_in_a_pipe_are_bare_and_an_error_reply_ends_with_1() {
    let place = Place::new();
    let server = place.serve(&[]);
    server.cli(&["SET", "a", "-1"]);
    assert_eq!(server.cli(&["INCRBY", "a", "-4"]), "-5");
    assert_eq!(server.cli(&["MGET", "a", "nothing", "a"]), "-5\n\n-5");
    let ended = server.cli_ended(&["INCR"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.starts_with("ERR wrong number of arguments"), "{ended:?}");
}

// shows: S9, S11
#[test]
fn status_says_what_is_pending_and_what_can_be_lost() {
    let place = Place::new();
    let server = place.serve(&["--fsync", "everysec"]);
    server.cli(&["LANDFALL.PAUSE"]);
    server.cli(&["SET", "a", "1"]);
    let json: serde_json::Value = serde_json::from_str(&server.run(&["status", "--json"]).out).unwrap();
    assert_eq!(json["pending"]["changes"], 1);
    let status = server.run(&["status"]).out;
    for part in ["last second", "1 of 10,000,000 changes", "landfall-data/landfall.db", "paused"] {
        assert!(status.contains(part), "{part} is missing in {status}");
    }
    assert!(server.said().contains("can be lost"), "the start says it too: {}", server.said());
}

#[test]
fn drain_ends_with_1_and_says_what_is_left() {
    let place = Place::new();
    let server = place.serve(&[]);
    assert_eq!(server.run(&["pause"]).code, Some(0));
    server.cli(&["SET", "a", "1"]);
    let ended = server.run(&["drain", "--timeout", "50ms"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.err.contains("1 change is left") && ended.err.to_lowercase().contains("paused"),
        "{ended:?}"
    );
    assert_eq!(server.run(&["resume"]).code, Some(0));
    let ended = server.run(&["drain"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "everything has landed\n"));
}

// shows: S5
#[test]
fn drain_does_not_wait_for_a_pause_to_end() {
    let place = Place::new();
    let server = place.serve(&[]);
    assert_eq!(server.run(&["pause"]).code, Some(0));
    server.cli(&["SET", "a", "1"]);
    let begun = std::time::Instant::now();
    let ended = server.run(&["drain", "--timeout", "10m"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("landing is paused (key-value); go on with `landfall resume`"), "{ended:?}");
    assert!(begun.elapsed() < common::PATIENCE);
    assert_eq!(server.run(&["resume"]).code, Some(0));
    assert_eq!(server.run(&["drain"]).code, Some(0), "what was said before a moment holds no more");
}

#[test]
fn help_shows_the_flags_that_matter_to_a_command_and_takes_the_others() {
    let place = Place::new();
    for command in ["cli", "status", "explain", "drain", "pause", "resume", "evict", "warm"] {
        let help = place.run(&[command, "--help"]).out;
        assert!(help.contains("--url") && !help.contains("--database"), "{help}");
    }
    let server = place.serve(&[]);
    assert_eq!(server.run(&["status", "--database", "sqlite:elsewhere.db", "--json"]).code, Some(0));
    let lines = [place.run(&["serve", "-h"]).out, server.run(&["status"]).out, server.said()].concat();
    assert!(lines.lines().all(|line| line.chars().count() <= 100), "{lines}");
}

// shows: S16
#[test]
fn a_table_is_warmed_page_by_page_and_then_read_without_the_database() {
    let place = Place::new();
    assert_eq!(place.run(&["setup", "--sample", "airport", "--database", "sqlite:app.db"]).code, Some(0));
    let server = place.serve(&["--database", "sqlite:app.db"]);
    let loads = || {
        let status: serde_json::Value = serde_json::from_str(&server.cli(&["LANDFALL.STATUS"])).unwrap();
        status["counts"]["loaded"].as_u64().unwrap_or_else(|| panic!("{status}"))
    };
    let ended = server.run(&["warm", "flight", "--limit", "10"]);
    assert!(ended.code == Some(0) && ended.out.starts_with("10 rows of flight loaded"), "{ended:?}");
    let ended = server.run(&["warm", "flight", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert!(document["loaded"].as_u64().unwrap() > 500 && document["full"] == false, "{document}");
    let before = loads();
    assert!(server.cli(&["HGETALL", "flight:115"]).contains("AM5136"));
    assert_eq!(loads(), before);
    let ended = server.run(&["warm", "nothing"]);
    assert!(ended.code != Some(0) && ended.err.contains("no table nothing"), "{ended:?}");
    let ended = server.run(&["warm", "airport_geo"]);
    assert!(ended.code != Some(0) && ended.err.contains("no key leads to a row"), "{ended:?}");
}

#[test]
fn what_start_status_and_explain_say_fits_a_terminal() {
    let place = Place::new();
    assert_eq!(place.run(&["setup", "--sample", "airport", "--database", "sqlite:app.db"]).code, Some(0));
    let server = place.serve(&["--database", "sqlite:app.db", "--fsync", "everysec"]);
    let said = server.said() + &server.run(&["status"]).out + &server.run(&["explain", "flight:115"]).out;
    // Group names are as long as the tables in them make them, and stand in a table of their own.
    let wide: Vec<&str> = said.lines().filter(|line| line.chars().count() > 80).collect();
    assert_eq!(wide, Vec::<&str>::new(), "{said}");
}

#[test]
fn a_locked_database_is_said_in_status_and_loses_nothing() {
    let place = Place::new();
    let server = place.serve(&[]);
    let other = Connection::open(place.path().join("landfall-data/landfall.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    server.cli(&["SET", "a", "1"]);
    wait_until("status names the lock", || {
        let status = server.run(&["status"]).out;
        status.starts_with("LANDING WAITS") && status.contains("lock")
            || status.lines().any(|line| line.contains("DOES NOT LAND") && line.contains("lock"))
    });
    assert_eq!(server.cli(&["GET", "a"]), "1");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(server.run(&["drain"]).code, Some(0));
    assert!(!server.run(&["status"]).out.contains("LANDING WAITS"));
}

#[test]
fn a_port_that_is_taken_ends_with_69() {
    let place = Place::new();
    let server = place.serve(&[]);
    let other = Place::new();
    let ended = other.run(&["serve", "--listen", &server.address]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(ended.err.contains(&server.address) && ended.err.contains("--listen"), "{ended:?}");
}

#[test]
fn without_a_server_the_command_to_start_one_is_named() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    drop(taken);
    for command in [&["status"][..], &["drain"], &["explain", "a"], &["evict"]] {
        let ended = place.run(&[command, &["--url", &address]].concat());
        assert_eq!(ended.code, Some(69), "{ended:?}");
        assert!(ended.err.contains("landfall serve"), "{ended:?}");
    }
}

#[test]
fn sigterm_ends_with_0_and_says_what_is_left_which_the_next_start_lands() {
    let place = Place::new();
    let server = place.serve_with(&[], &[("LANDFALL_DRAIN_TIMEOUT", "20ms")]);
    server.cli(&["LANDFALL.PAUSE"]);
    server.cli(&["SET", "a", "1"]);
    assert_eq!(server.terminate().code(), Some(0));
    let server = place.serve(&[]);
    assert!(server.said().contains("1 changes have not landed"), "{}", server.said());
    assert!(server.said().contains("recovered"), "{}", server.said());
    assert_eq!(server.cli(&["GET", "a"]), "1");
    assert_eq!(server.run(&["drain"]).code, Some(0));
    assert_eq!(server.terminate().code(), Some(0));
    assert!(std::fs::read_to_string(place.path().join("log")).unwrap().contains("everything has landed"));
}

// shows: S6
#[test]
fn an_acknowledged_write_survives_kill_9_and_counts_once() {
    let place = Place::new();
    for _ in 0..3 {
        let server = place.serve(&[]);
        server.cli(&["INCR", "count"]);
        server.kill();
    }
    let server = place.serve(&[]);
    assert_eq!(server.cli(&["GET", "count"]), "3");
    assert_eq!(server.run(&["drain"]).code, Some(0));
    server.run(&["evict"]);
    assert_eq!(server.cli(&["GET", "count"]), "3");
}

#[test]
fn a_password_is_asked_for_and_never_printed() {
    let place = Place::new();
    place.write("secret", "open sesame\n");
    let ended = place.run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(ended.code, Some(78), "{ended:?}");
    let server = place.serve(&["--password-file", "secret"]);
    let refused = server.run(&["status"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("NOAUTH"), "{refused:?}");
    let allowed = server.run(&["status", "--password-file", "secret"]);
    assert_eq!(allowed.code, Some(0), "{allowed:?}");
    let printed = place.run(&["config", "print", "--password-file", "secret"]);
    assert!(!format!("{allowed:?}{printed:?}{}", server.said()).contains("sesame"));
}

#[test]
fn the_sample_is_loaded_once_and_served_by_its_table_names() {
    let place = Place::new();
    let load = ["setup", "--sample", "airport", "--database", "sqlite:airport.db"];
    assert_eq!(place.run(&load).code, Some(0));
    let again = place.run(&load);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.err.contains("already has"), "{again:?}");
    let other = place.run(&["setup", "--sample", "airport"]).out;
    assert!(other.contains("landfall serve --data-dir landfall-data"), "{other}");
    assert_eq!(place.run(&["setup", "-d", "sqlite:airport.db"]).code, Some(0));
    let server = place.serve(&["--database", "sqlite:airport.db"]);
    assert_eq!(server.cli(&["HMGET", "flight:115", "flightno", "departure"]), "AM5136\n2025-10-01T11:19:00");
    assert!(server.run(&["evict", "flight:115"]).out.starts_with("1 row"), "it was clean");
    let refused = server.cli_ended(&["HSET", "flight:115", "departure", "soon"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.out.contains("departure"), "{refused:?}");
}

#[test]
fn what_a_start_and_the_sample_advise_can_be_done() {
    let place = Place::new();
    assert!(place.serve(&[]).terminate().success(), "now the usual data directory has a database");
    let loaded = place.run(&["setup", "--sample", "airport", "--database", "sqlite:airport.db"]).out;
    let advice = "landfall serve --database sqlite:airport.db --data-dir airport-data";
    assert!(loaded.contains(advice), "{loaded}");
    let server = place.serve(&["--database", "sqlite:airport.db", "--data-dir", "airport-data"]);
    let said = server.said();
    let tried = said.lines().filter_map(|line| line.split_once("landfall cli ")).next_back().unwrap().1;
    let words: Vec<&str> = std::iter::once("cli").chain(tried.split(' ')).collect();
    assert!(words.contains(&&*server.address), "another server may be at the usual address: {said}");
    assert_eq!(place.run(&words).out, "OK\n");
    assert!(said.contains("landfall.db (a new file)") && !said.contains("airport.db (a new file)"), "{said}");
}

#[test]
fn a_database_that_is_none_is_refused() {
    let place = Place::new();
    place.write("notes.txt", &"This is no database. ".repeat(100));
    let ended = place.run(&["serve", "--listen", "127.0.0.1:0", "--database", "sqlite:notes.txt"]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(ended.err.contains("notes.txt"), "{ended:?}");
}

#[test]
fn output_into_a_pipe_that_closes_early_is_no_error() {
    let place = Place::new();
    let mut child = place
        .command(&["config", "example"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    assert_eq!(output.status.code(), Some(0));
}

/// Ends a server in order with `a` and `b` not landed, and flips a byte of the record of `a`.
fn damage_a_log(place: &Place) {
    let server = place.serve_with(&[], &[("LANDFALL_DRAIN_TIMEOUT", "20ms")]);
    server.cli(&["LANDFALL.PAUSE"]);
    server.cli(&["SET", "a", "the first value"]);
    server.cli(&["SET", "b", "the second value"]);
    assert_eq!(server.terminate().code(), Some(0));
    let segments = std::fs::read_dir(place.path().join("landfall-data/log")).unwrap();
    for path in segments.map(|entry| entry.unwrap().path()) {
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(9).position(|bytes| bytes == b"the first") {
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            return;
        }
    }
    panic!("the value is in no file of the log");
}

#[test]
fn a_damaged_log_is_refused_with_file_and_offset_and_the_commands_that_help() {
    let place = Place::new();
    damage_a_log(&place);
    let refused = place.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.code, Some(69), "{refused:?}");
    for part in [".seg at offset", "landfall log check landfall-data", "landfall log repair landfall-data"] {
        assert!(refused.err.contains(part), "{part} is missing in {}", refused.err);
    }
    let checked = place.run(&["log", "check", "landfall-data"]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(checked.out.contains("DAMAGED") && checked.out.contains("gone?   lane"), "{checked:?}");
    let json = place.run(&["log", "check", "--json"]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["whole"], json["unsure"].as_array().map(Vec::is_empty)), (&false.into(), Some(false)));
}

#[test]
fn a_dump_hides_keys_and_values_until_it_is_asked_for_them() {
    let place = Place::new();
    damage_a_log(&place);
    let hidden = place.run(&["log", "dump", "landfall-data"]);
    assert_eq!(hidden.code, Some(1), "there is damage: {hidden:?}");
    assert!(hidden.out.contains("key (1 bytes)") && hidden.out.contains("(16 bytes)"), "{hidden:?}");
    assert!(hidden.out.contains("DAMAGE") && !hidden.out.contains("the second"), "{hidden:?}");
    let shown = place.run(&["log", "dump", "landfall-data", "--values", "--from", "1"]).out;
    assert!(shown.contains("put key") || shown.contains("replace key \"b\""), "{shown}");
    assert!(shown.contains("the second value") && !shown.contains("lanes:"), "{shown}");
    for line in place.run(&["log", "dump", "--json"]).out.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
}

#[test]
fn a_repair_lists_the_loss_wants_it_confirmed_and_the_next_start_reports_it() {
    let place = Place::new();
    damage_a_log(&place);
    let dry = place.run(&["log", "repair", "landfall-data"]);
    assert_eq!(dry.code, Some(1), "{dry:?}");
    assert!(dry.out.contains("LOST?     lane") && dry.out.contains("nothing was changed"), "{dry:?}");
    let refused = place.run(&["log", "repair", "landfall-data", "--apply"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.out.contains("--declare-loss"), "{refused:?}");
    let done = place.run(&["log", "repair", "landfall-data", "--apply", "--declare-loss"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(place.run(&["log", "check", "landfall-data"]).code, Some(0));
    let server = place.serve(&[]);
    assert!(server.said().contains("declared-loss: records of group key-value"), "{}", server.said());
    assert!(
        server.run(&["incidents", "list"]).out.contains("declared-loss"),
        "{:?}",
        server.run(&["incidents", "list"])
    );
    assert_eq!(server.cli(&["GET", "b"]), "the second value");
    assert_eq!(server.cli(&["GET", "a"]), "");
    assert_eq!(server.run(&["drain"]).code, Some(0));
    assert_eq!(server.terminate().code(), Some(0));
    assert_eq!(place.run(&["log", "repair", "landfall-data"]).code, Some(0), "nothing is left to repair");
}

/// A server that was killed when it had spilled what the paused group of `page` owes.
fn spill(place: &Place) {
    let database = Connection::open(place.path().join("app.db")).unwrap();
    database.execute_batch("CREATE TABLE page (id INTEGER PRIMARY KEY, title TEXT)").unwrap();
    let bounds = [
        ("LANDFALL_LOG_BYTES_MAX", "1MiB"),
        ("LANDFALL_SEGMENT_BYTES", "64KiB"),
        ("LANDFALL_RETENTION", "0s"),
        ("LANDFALL_RETENTION_BYTES", "0"),
    ];
    let server = place.serve_with(&["--database", "sqlite:app.db"], &bounds);
    server.cli(&["LANDFALL.PAUSE", "page"]);
    server.cli(&["HSET", "page:1", "title", "the first title"]);
    server.cli(&["HSET", "page:2", "title", "the second title"]);
    let mut client = Client::connect(server.address.parse().unwrap(), PATIENCE).unwrap();
    let value = "v".repeat(2_000);
    wait_until("the group's records to be spilled", || {
        let some: Vec<_> = (0..50).map(|n| request(&["SET", &format!("key:{n}"), &value])).collect();
        client.pipeline(&some);
        let status: serde_json::Value = serde_json::from_str(&server.run(&["status", "--json"]).out).unwrap();
        let gone = status["log"]["segments"].as_u64().unwrap() < 6;
        status["log"]["spilled_bytes"].as_u64().unwrap() > 0 && gone
    });
    server.kill();
}

#[test]
fn the_commands_for_a_log_know_the_spill_file() {
    let place = Place::new();
    spill(&place);
    let of = ["--database", "sqlite:app.db", "--data-dir", "landfall-data"];
    let run = |words: &[&str]| place.run(&[words, &of[..]].concat());
    let checked = run(&["log", "check"]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(checked.out.contains("in the spill file)"), "{checked:?}");
    let dumped = run(&["log", "dump", "--values"]);
    let line = dumped.out.lines().find(|line| line.contains("the first title"));
    assert!(line.is_some_and(|line| line.contains(".spill+")), "{line:?}");

    // One byte of it, and whoever reads it says where.
    let mut files = std::fs::read_dir(place.path().join("landfall-data/log")).unwrap();
    let is_spill = |path: &std::path::PathBuf| path.extension().is_some_and(|kind| kind == "spill");
    let path = files.find_map(|entry| Some(entry.unwrap().path()).filter(is_spill)).expect("a spill file");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(9).position(|bytes| bytes == b"the first").expect("the value is there");
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let refused = run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.code, Some(69), "{refused:?}");
    assert!(refused.err.contains(".spill at offset"), "{refused:?}");
    let checked = run(&["log", "check"]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(checked.out.contains(".spill"), "{checked:?}");
    assert_eq!(run(&["log", "dump"]).code, Some(1), "there is damage");
    let dry = run(&["log", "repair"]);
    assert!(dry.code == Some(1) && dry.out.contains("LOST      lane"), "{dry:?}");
    let done = run(&["log", "repair", "--apply", "--declare-loss"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(!path.exists(), "its records are in a segment now");
    let server = place.serve_with(&of, &[]);
    assert!(server.said().contains("declared-loss"), "{}", server.said());
    server.cli(&["LANDFALL.RESUME"]);
    assert_eq!(server.run(&["drain"]).code, Some(0));
    assert_eq!(server.cli(&["HGET", "page:2", "title"]), "the second title");
    assert_eq!(server.cli(&["HGET", "page:1", "title"]), "");
}

#[test]
fn a_repair_without_the_log_s_database_changes_nothing() {
    let place = Place::new();
    damage_a_log(&place);
    let missing = place.run(&["log", "repair", "landfall-data", "--database", "sqlite:none.db", "--apply"]);
    assert_eq!(missing.code, Some(69), "{missing:?}");
    assert!(!place.path().join("none.db").exists());
}

#[test]
fn a_second_server_is_refused_under_every_name_that_the_directory_has() {
    let place = Place::new();
    let server = place.serve(&["--database", "sqlite:app.db"]);
    std::os::unix::fs::symlink("landfall-data", place.path().join("alias")).unwrap();
    let mut names = vec!["landfall-data", "alias"];
    std::fs::create_dir(place.path().join("bound")).unwrap();
    let mount = |args: &[&str]| {
        std::process::Command::new(args[0]).args(&args[1..]).current_dir(place.path()).status()
    };
    let bound = mount(&["mount", "--bind", "landfall-data", "bound"]).is_ok_and(|status| status.success());
    if bound {
        names.push("bound");
    } else {
        eprintln!("SKIPPED in part: no folder can be bound to another place here");
    }
    let refused = |name: &str, context: &str| {
        let second = ["serve", "--listen", "127.0.0.1:0", "--database", "sqlite:app.db", "--data-dir", name];
        let ended = place.run(&second);
        assert_eq!(ended.code, Some(69), "{name}, {context}: {ended:?}");
        assert!(ended.err.contains("in use by another Landfall process"), "{name}, {context}: {ended:?}");
    };
    names.iter().for_each(|name| refused(name, "as it is"));
    std::fs::rename(place.path().join("landfall-data"), place.path().join("renamed")).unwrap();
    refused("renamed", "renamed");
    std::fs::remove_file(place.path().join("renamed/LOCK")).unwrap();
    refused("renamed", "without its LOCK");
    if bound {
        refused("bound", "without its LOCK");
        assert!(mount(&["umount", "-l", "bound"]).unwrap().success());
    }
    assert_eq!(server.cli(&["SET", "a", "1"]), "OK", "the first one goes on");
}
