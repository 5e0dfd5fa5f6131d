//! Clients that ask for too much, leave early or read late, against the real binary.
//! Each test is one way to lose a reply or to stop the server, and must end with every reply in its place.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use common::{PATIENCE, Place, Server, wait_until};
use landfall_resp::encode_request;

fn requests(all: &[&[&str]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for words in all {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        encode_request(&mut bytes, &words);
    }
    bytes
}

/// A SQLite file `app.db` with these tables and rows.
fn with_database(place: &Place, sql: &str) {
    rusqlite::Connection::open(place.path().join("app.db")).unwrap().execute_batch(sql).unwrap();
}

fn connect(server: &Server<'_>) -> TcpStream {
    let stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends everything, says that nothing follows, and reads to the end.
fn exchange(server: &Server<'_>, all: &[&[&str]]) -> String {
    let mut stream = connect(server);
    stream.write_all(&requests(all)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut replies = Vec::new();
    stream.read_to_end(&mut replies).unwrap();
    String::from_utf8(replies).unwrap()
}

#[test]
fn a_client_that_has_sent_its_last_byte_still_gets_its_replies() {
    let place = Place::new();
    let server = place.serve(&[]);
    for _ in 0..50 {
        assert_eq!(exchange(&server, &[&["SET", "a", "1"], &["GET", "a"]]), "+OK\r\n$1\r\n1\r\n");
    }
}

#[test]
fn a_pipeline_whose_replies_fill_the_socket_is_answered_to_the_end() {
    let place = Place::new();
    let server = place.serve(&[]);
    let value = "x".repeat(1000);
    server.cli(&["SET", "k", &value]);
    let count = 20_000;
    let mut stream = connect(&server);
    let mut sender = stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || sender.write_all(&requests(&vec![&["GET", "k"][..]; count])));
    let mut replies = vec![0; count * (value.len() + "$1000\r\n\r\n".len())];
    stream.read_exact(&mut replies).unwrap();
    sending.join().unwrap().unwrap();
}

#[test]
fn what_lies_ahead_in_a_pipeline_changes_no_reply_before_it() {
    let place = Place::new();
    with_database(&place, "CREATE TABLE page (id INTEGER PRIMARY KEY, views INTEGER NOT NULL DEFAULT 0)");
    let server = place.serve(&["--database", "sqlite:app.db"]);
    // More than is looked at ahead, of every kind: one key again and again, many keys, no key, no command, a table, a row
    // whose key is wrong, and at last bytes that are no request.
    let mut bytes = Vec::new();
    let mut expected = String::new();
    for n in 1..=200 {
        bytes.extend(requests(&[
            &["INCR", "n"],
            &["MSET", "a", "1", "b", "2"],
            &["PING"],
            &["EXISTS", "a", "b", "c"],
        ]));
        expected += &format!(":{n}\r\n+OK\r\n+PONG\r\n:2\r\n");
    }
    bytes.extend(requests(&[&["NOSUCH", "x"], &["GET", "page"], &["GET", "page:01"], &["SET", "late", "1"]]));
    bytes.extend_from_slice(b"*1\r\n!garbage\r\n");
    let mut stream = connect(&server);
    stream.write_all(&bytes).unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).unwrap();
    let rest = replies.strip_prefix(&expected).unwrap_or_else(|| panic!("{replies}"));
    let rest: Vec<&str> = rest.split("\r\n").map(|line| line.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(rest, ["-ERR", "-ERR", "-ERR", "+OK", "-ERR", ""]);
    assert_eq!(server.cli(&["GET", "late"]), "1");
}

#[test]
fn letting_the_cache_go_in_a_transaction_is_refused_and_stops_nobody() {
    let place = Place::new();
    let server = place.serve(&[]);
    let replies = exchange(&server, &[&["MULTI"], &["SET", "a", "1"], &["LANDFALL.EVICT"], &["EXEC"]]);
    assert!(replies.contains("not allowed in transactions"), "{replies}");
    assert_eq!(server.cli(&["PING"]), "PONG");
}

#[test]
fn a_command_over_many_unread_keys_loads_them_together() {
    let place = Place::new();
    let server = place.serve(&[]);
    let keys: Vec<String> = (0..300).map(|number| format!("k{number}")).collect();
    let mut set = vec!["MSET"];
    keys.iter().for_each(|key| set.extend([key.as_str(), "v"]));
    assert_eq!(
        exchange(&server, &[&set, &["LANDFALL.FLUSH"], &["LANDFALL.EVICT"]]),
        "+OK\r\n+OK\r\n:300\r\n"
    );
    let mut del = vec!["DEL"];
    del.extend(keys.iter().map(String::as_str));
    assert_eq!(exchange(&server, &[&del]), ":300\r\n");
}

#[test]
fn a_value_larger_than_a_share_of_the_cache_is_read_after_it_was_let_go() {
    let place = Place::new();
    let server = place.serve(&["--maxmemory", "32mb"]);
    let value = "x".repeat(2 << 20);
    let setting = exchange(&server, &[&["SET", "big", &value], &["LANDFALL.FLUSH"], &["LANDFALL.EVICT"]]);
    assert_eq!(setting, "+OK\r\n+OK\r\n:1\r\n");
    assert!(exchange(&server, &[&["GET", "big"]]).contains(&value));
}

#[test]
fn exec_while_the_tables_are_read_again_ends_the_transaction() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut stream = connect(&server);
    stream.write_all(&requests(&[&["MULTI"], &["SET", "a", "1"]])).unwrap();
    let mut queued = [0; "+OK\r\n+QUEUED\r\n".len()];
    stream.read_exact(&mut queued).unwrap();
    let mut reloading = connect(&server);
    reloading.write_all(&requests(&[&["LANDFALL.RELOAD"]])).unwrap();
    stream.write_all(&requests(&[&["EXEC"], &["ECHO", "now"], &["ECHO", "end"]])).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).unwrap();
    assert!(!replies.contains("QUEUED"), "{replies}");
}

#[test]
fn a_transaction_that_begins_while_the_tables_are_read_again_is_not_run_piecemeal() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut database = rusqlite::Connection::open(place.path().join("landfall-data/landfall.db")).unwrap();
    let lock = database.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    server.cli(&["SET", "a", "1"]);
    let mut reloading = connect(&server);
    reloading.write_all(&requests(&[&["LANDFALL.RELOAD"]])).unwrap();
    let is_loading = || format!("{:?}", server.cli_ended(&["GET", "a"])).contains("LOADING");
    wait_until("the engine is closed", is_loading);
    let mut stream = connect(&server);
    stream.write_all(&requests(&[&["MULTI"], &["INCR", "a"]])).unwrap();
    let mut queued = [0; "+OK\r\n+QUEUED\r\n".len()];
    stream.read_exact(&mut queued).unwrap();
    assert_eq!(&queued, b"+OK\r\n+QUEUED\r\n");
    drop(lock);
    wait_until("the engine is open", || !is_loading());
    stream.write_all(&requests(&[&["INCR", "a"], &["EXEC"]])).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).unwrap();
    assert_eq!(replies, "+QUEUED\r\n*2\r\n:2\r\n:3\r\n");
}

#[test]
fn waitaof_knows_that_what_was_written_before_a_reload_is_on_the_disk() {
    let place = Place::new();
    // Old segments go, so that the log that is opened anew is shorter than the one that was written to.
    place.write(
        "landfall.toml",
        "fsync = \"os\"\nsegment-bytes = \"64KiB\"\nretention = \"0s\"\nretention-bytes = \"0B\"\n",
    );
    let server = place.serve(&[]);
    let value = "x".repeat(5000);
    let set: &[&str] = &["SET", "a", &value];
    let mut requests = vec![set; 100];
    requests.extend_from_slice(&[
        &["LANDFALL.FLUSH"],
        &["LANDFALL.RELOAD"],
        &["WAITAOF", "1", "0", "0"],
        &["ECHO", "end"],
    ]);
    let replies = exchange(&server, &requests);
    assert!(replies.ends_with("+OK\r\n+OK\r\n*2\r\n:1\r\n:0\r\n$3\r\nend\r\n"), "{replies}");
}

#[test]
fn sigterm_while_the_tables_are_read_again_says_that_what_is_left_is_in_the_log() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut database = rusqlite::Connection::open(place.path().join("landfall-data/landfall.db")).unwrap();
    let lock = database.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    server.cli(&["SET", "a", "1"]);
    let mut reloading = connect(&server);
    reloading.write_all(&requests(&[&["LANDFALL.RELOAD"]])).unwrap();
    wait_until("the engine is closed", || {
        format!("{:?}", server.cli_ended(&["GET", "a"])).contains("LOADING")
    });
    let status = server.terminate();
    assert_eq!(status.code(), Some(0));
    drop(lock);
    let said = std::fs::read_to_string(place.path().join("log")).unwrap();
    assert!(said.contains("what has not landed is in the log and lands after the next start"), "{said}");
    let server = place.serve(&[]);
    assert_eq!(server.cli(&["GET", "a"]), "1");
}

#[test]
fn a_refused_command_of_a_transaction_changes_none_of_its_keys() {
    let place = Place::new();
    let server = place.serve(&[]);
    server.cli(&["HSET", "h", "f", "1"]);
    // INCR of a hash is refused; DEL of a key with a bad name would be, MSET checks its keys one by one.
    let replies = exchange(
        &server,
        &[&["SET", "a", "1"], &["MULTI"], &["SET", "b", "2"], &["INCR", "h"], &["SET", "a", "3"], &["EXEC"]],
    );
    assert!(replies.contains("WRONGTYPE"), "{replies}");
    assert_eq!(server.cli(&["MGET", "a", "b"]), "3\n2");
}

#[test]
fn a_delete_in_a_transaction_that_is_refused_half_way_deletes_nothing() {
    let place = Place::new();
    with_database(
        &place,
        "CREATE TABLE page (id INTEGER PRIMARY KEY, title TEXT NOT NULL); INSERT INTO page VALUES (1, 'x')",
    );
    let server = place.serve(&["--database", "sqlite:app.db"]);
    server.cli(&["SET", "kb", "1"]);
    // A NOT NULL column cannot be cleared: the second key of DEL is refused.
    let replies =
        exchange(&server, &[&["MULTI"], &["DEL", "kb", "page:1:title"], &["SET", "c", "1"], &["EXEC"]]);
    assert!(replies.contains("-ERR page.title is NOT NULL"), "{replies}");
    assert_eq!(server.cli(&["MGET", "kb", "c"]), "1\n1");
}

#[test]
fn rows_that_a_landed_delete_cascades_to_are_read_again() {
    let place = Place::new();
    with_database(
        &place,
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent ON DELETE CASCADE, note TEXT);
         INSERT INTO parent VALUES (1); INSERT INTO child VALUES (5, 1, 'x')",
    );
    let server = place.serve(&["--database", "sqlite:app.db"]);
    assert_eq!(server.cli(&["HGET", "child:5", "note"]), "x");
    server.cli(&["DEL", "parent:1"]);
    server.cli(&["LANDFALL.FLUSH"]);
    common::wait_until("the child is gone", || server.cli(&["EXISTS", "child:5"]) == "0");
}

#[test]
fn setting_a_cell_that_is_null_counts_as_setting_an_absent_key() {
    let place = Place::new();
    with_database(
        &place,
        "CREATE TABLE page (id INTEGER PRIMARY KEY, title TEXT); INSERT INTO page VALUES (1, NULL)",
    );
    let server = place.serve(&["--database", "sqlite:app.db"]);
    assert_eq!(server.cli(&["SET", "page:1:title", "new", "NX"]), "OK");
    assert_eq!(server.cli(&["GET", "page:1:title"]), "new");
}

#[test]
fn reading_the_tables_again_keeps_a_pause_and_the_writes_before_it() {
    let place = Place::new();
    let server = place.serve(&[]);
    let replies = exchange(
        &server,
        &[
            &["LANDFALL.PAUSE"],
            &["SET", "a", "1"],
            &["LANDFALL.RELOAD"],
            &["SET", "b", "1"],
            &["WAIT", "1", "300"],
        ],
    );
    assert_eq!(replies, "+OK\r\n+OK\r\n+OK\r\n+OK\r\n:0\r\n");
    server.cli(&["LANDFALL.RESUME"]);
    assert_eq!(server.cli(&["LANDFALL.FLUSH"]), "OK");
}

#[test]
fn a_start_on_a_wrong_database_leaves_nothing_in_it() {
    let place = Place::new();
    let server = place.serve(&[]);
    server.cli(&["SET", "a", "1"]);
    server.terminate();
    with_database(&place, "CREATE TABLE page (id INTEGER PRIMARY KEY, title TEXT)");
    let refused = place.run(&["serve", "--listen", "127.0.0.1:0", "--database", "sqlite:app.db"]);
    assert_eq!(refused.code, Some(69), "{refused:?}");
    let server = place.serve(&["--database", "sqlite:app.db", "--data-dir", "app-data"]);
    assert_eq!(server.cli(&["HSET", "page:1", "title", "x"]), "1");
    assert_eq!(server.cli(&["LANDFALL.FLUSH"]), "OK");
}

#[test]
fn a_flight_that_is_deleted_is_in_the_change_log_and_stops_nobody() {
    let place = Place::new();
    assert_eq!(place.run(&["setup", "--sample", "airport", "--database", "sqlite:app.db"]).code, Some(0));
    place.write("landfall.toml", "[table.flight]\naudit = \"flight_log\"\n");
    let server = place.serve(&["--database", "sqlite:app.db"]);
    // A flight that no booking refers to.
    let flight = ["flightno", "ZZ1", "from", "9358", "to", "5904", "departure", "2025-10-01T11:19:00"];
    let rest = ["arrival", "2025-10-01T15:03:00", "airline_id", "3", "airplane_id"];
    let plane = server.cli(&["HGET", "flight:115", "airplane_id"]);
    let words = [&["HSET", "flight:900001"][..], &flight, &rest, &[plane.as_str()]].concat();
    server.cli(&words);
    assert_eq!(server.cli(&["LANDFALL.FLUSH"]), "OK");
    server.cli(&["DEL", "flight:900001"]);
    assert_eq!(server.cli(&["LANDFALL.FLUSH"]), "OK");
    let file = rusqlite::Connection::open(place.path().join("app.db")).unwrap();
    let logged: i64 = file.query_row("SELECT count(*) FROM flight_log", [], |row| row.get(0)).unwrap();
    assert_eq!(logged, 2);
}
