//! Starts on data that does not belong together, with the real binary: refused, told, adopted, and never in silence.

mod common;

use std::path::Path;
use std::process::Command;

use common::{Place, Server, wait_until};
use serde_json::Value as Json;

/// Runs `serve` in a place where it has to refuse; returns what it said.
fn refused(place: &Place) -> String {
    let ended = place.run(&["serve", "--listen", "127.0.0.1:0", "--exit-with-parent"]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    ended.err
}

fn status(server: &Server<'_>) -> Json {
    serde_json::from_str(&server.run(&["status", "--json"]).out).unwrap()
}

fn copy(place: &Place, from: &str, to: &str) {
    let done = Command::new("cp").arg("-a").arg(place.path().join(from)).arg(place.path().join(to)).status();
    assert!(done.unwrap().success());
}

fn database(place: &Place) -> rusqlite::Connection {
    rusqlite::Connection::open(place.path().join("app.db")).unwrap()
}

/// A place with a database beside the data directory, so that each can be copied alone.
fn place() -> Place {
    let place = Place::new();
    place.write(
        "landfall.toml",
        "database = \"sqlite:app.db\"\ndata-dir = \"data\"\ndatabase-check = \"20ms\"\n",
    );
    place
}

fn write_and_stop(server: Server<'_>, key: &str) {
    server.cli(&["SET", key, "v"]);
    assert!(server.terminate().success());
}

fn remove(path: &Path) {
    if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
}

#[test]
fn a_copied_data_directory_is_refused_and_adopted_only_when_told_so() {
    let place = place();
    write_and_stop(place.serve(&[]), "a");
    copy(&place, "data", "copy");
    write_and_stop(place.serve(&[]), "b");
    remove(&place.path().join("data"));
    copy(&place, "copy", "data");
    for _ in 0..3 {
        let said = refused(&place);
        assert!(said.contains("it is a copy") && said.contains("landfall adopt"), "{said}");
    }
    let told = place.run(&["adopt"]);
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(told.out.contains("--i-know"), "{told:?}");
    refused(&place);
    assert_eq!(place.run(&["adopt", "--i-know"]).code, Some(0));
    let server = place.serve(&[]);
    assert_eq!(server.cli(&["GET", "b"]), "v", "what had landed is there");
    assert_eq!(status(&server)["health"], "look");
    let list = server.run(&["incidents", "list"]);
    assert!(list.code == Some(1) && list.out.contains("OPEN"), "{list:?}");
    assert_eq!(server.run(&["incidents", "acknowledge", "all"]).code, Some(0));
    assert_eq!(server.run(&["incidents", "list"]).code, Some(0));
    assert_eq!(status(&server)["health"], "ok");
    let kept = "SELECT count(*) FROM landfall_incident WHERE acknowledged_ms IS NOT NULL";
    wait_until("the database has the incidents as they are", || {
        database(&place).query_row(kept, [], |row| row.get::<_, i64>(0)).unwrap() > 0
    });
    assert_eq!(place.run(&["adopt"]).code, Some(69), "not while a server runs");
}

#[test]
fn a_lost_log_and_an_empty_database_are_refused() {
    let place = place();
    write_and_stop(place.serve(&[]), "a");
    copy(&place, "data", "kept");
    remove(&place.path().join("data"));
    assert!(refused(&place).contains("belongs to log"));
    remove(&place.path().join("data"));
    copy(&place, "kept", "data");
    for file in ["app.db", "app.db-wal", "app.db-shm"] {
        if place.path().join(file).exists() {
            copy(&place, file, &format!("kept-{file}"));
            remove(&place.path().join(file));
        }
    }
    database(&place).execute_batch("CREATE TABLE other (id INTEGER PRIMARY KEY)").unwrap();
    let said = refused(&place);
    assert!(
        said.contains("was emptied, or was put in the place") && said.contains("landfall adopt"),
        "{said}"
    );
    remove(&place.path().join("app.db"));
    std::fs::rename(place.path().join("kept-app.db"), place.path().join("app.db")).unwrap();
    assert_eq!(place.serve(&[]).cli(&["GET", "a"]), "v");
}

#[test]
fn who_forgets_to_name_the_database_is_told_which_one_it_is() {
    let place = Place::new();
    write_and_stop(place.serve(&["--database", "sqlite:app.db"]), "a");
    let said = refused(&place);
    assert!(said.contains("this log belongs to the database sqlite:app.db"), "{said}");
    for command in [&["adopt"][..], &["adopt", "--i-know"], &["log", "repair"]] {
        let ended = place.run(command);
        assert_eq!(ended.code, Some(69), "{command:?}: {ended:?}");
        assert!(ended.err.contains("give --database sqlite:app.db"), "{command:?}: {ended:?}");
    }
    assert!(!place.path().join("landfall-data/landfall.db").exists(), "no empty file is made in its place");
    assert_eq!(place.serve(&["--database", "sqlite:app.db"]).cli(&["GET", "a"]), "v");
}

#[test]
fn a_database_that_is_lost_for_good_is_made_anew_and_adopted() {
    let place = place();
    write_and_stop(place.serve(&[]), "a");
    remove(&place.path().join("app.db"));
    let told = place.run(&["adopt", "--i-know"]);
    assert!(
        told.code == Some(69) && told.err.contains("landfall setup --database sqlite:app.db"),
        "{told:?}"
    );
    assert_eq!(place.run(&["setup"]).code, Some(0));
    assert_eq!(place.run(&["adopt"]).code, Some(1));
    assert_eq!(place.run(&["adopt", "--i-know"]).code, Some(0));
    assert_eq!(place.serve(&[]).cli(&["SET", "b", "v"]), "OK");
}

#[test]
fn a_database_file_that_goes_away_is_noticed_and_nothing_is_lost() {
    let place = place();
    let server = place.serve(&[]);
    server.cli(&["SET", "a", "1"]);
    server.run(&["drain"]);
    let (path, moved) = (place.path().join("app.db"), place.path().join("moved.db"));
    std::fs::rename(&path, &moved).unwrap();
    wait_until("the status tells of it", || {
        status(&server)["connection"]["error"].as_str().is_some_and(|error| error.contains("put it back"))
    });
    assert_eq!(server.cli(&["SET", "a", "2"]), "OK");
    std::fs::rename(&moved, &path).unwrap();
    assert_eq!(server.run(&["drain"]).code, Some(0));
    wait_until("all is well again", || status(&server)["health"] == "ok");
    let value: Vec<u8> = database(&place)
        .query_row("SELECT value FROM landfall_key WHERE key = CAST('a' AS BLOB)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(value, b"2");
}

/// Takes the database away, as a volume that is not mounted does.
fn take_away(place: &Place) {
    assert!(!place.path().join("app.db-wal").exists(), "a close in order leaves one file");
    std::fs::rename(place.path().join("app.db"), place.path().join("away.db")).unwrap();
}

fn put_back(place: &Place) {
    assert!(!place.path().join("app.db").exists(), "no empty file is made in its place");
    std::fs::rename(place.path().join("away.db"), place.path().join("app.db")).unwrap();
}

fn value(place: &Place, key: &str) -> Option<String> {
    let query = "SELECT CAST(value AS TEXT) FROM landfall_key WHERE key = CAST(?1 AS BLOB)";
    use rusqlite::OptionalExtension;
    database(place).query_row(query, [key], |row| row.get(0)).optional().unwrap()
}

// shows: S1
#[test]
fn with_the_database_away_at_the_start_writes_are_taken_and_land_once_when_it_is_back() {
    let place = place();
    database(&place).execute_batch("CREATE TABLE page (id INTEGER PRIMARY KEY, views INTEGER)").unwrap();
    let server = place.serve(&[]);
    server.cli(&["SET", "a", "v"]);
    server.cli(&["LANDFALL.ADD", "page:1", "views", "1"]);
    assert!(server.terminate().success());
    take_away(&place);
    let server = place.serve(&[]);
    assert!(server.said().contains("the database does not answer"), "{}", server.said());
    assert!(server.cli_ended(&["GET", "a"]).out.contains("MASTERDOWN"), "an unknown value is not made up");
    assert!(server.cli_ended(&["LANDFALL.RELOAD"]).out.contains("MASTERDOWN"), "no tables were read");
    assert_eq!(server.cli(&["SET", "b", "w"]), "OK");
    server.cli(&["LANDFALL.ADD", "page:1", "views", "10"]);
    assert_eq!(server.cli(&["GET", "b"]), "w");
    let now = status(&server);
    assert_eq!((&now["health"], &now["connection"]["met"]), (&Json::from("look"), &Json::from(false)));
    server.kill();
    let server = place.serve(&[]);
    assert_eq!(server.cli(&["GET", "b"]), "w");
    server.cli(&["LANDFALL.ADD", "page:1", "views", "100"]);
    server.kill();
    let server = place.serve(&[]);
    put_back(&place);
    assert_eq!(server.run(&["drain"]).code, Some(0));
    assert_eq!(
        (server.cli(&["GET", "a"]), server.cli(&["HGET", "page:1", "views"])),
        ("v".into(), "111".into())
    );
    wait_until("all is well again", || status(&server)["health"] == "ok");
    assert_eq!(value(&place, "b").as_deref(), Some("w"));
    let views = "SELECT views FROM page WHERE id = 1";
    assert_eq!(database(&place).query_row(views, [], |row| row.get::<_, i64>(0)).unwrap(), 111);
    assert!(server.terminate().success());
    assert_eq!(place.serve(&[]).cli(&["GET", "b"]), "w");
}

#[test]
fn another_database_in_the_place_of_the_one_that_was_away_gets_nothing() {
    let place = place();
    write_and_stop(place.serve(&[]), "a");
    take_away(&place);
    let server = place.serve(&[]);
    assert_eq!(server.cli(&["SET", "b", "w"]), "OK");
    let other = database(&place);
    other.execute_batch("CREATE TABLE other (id INTEGER PRIMARY KEY)").unwrap();
    let mut told = String::new();
    wait_until("landing has stopped", || {
        let now = status(&server);
        told = now["groups"][0]["error"].as_str().unwrap_or_default().to_owned();
        now["groups"][0]["phase"] == "stopped: diverged"
    });
    assert!(told.contains("was emptied, or was put in the place"), "{told}");
    let said = server.cli_ended(&["SET", "b", "x"]).out;
    assert!(said.contains("stopped for good"), "{said}");
    assert_eq!(server.cli(&["GET", "b"]), "w", "what is known is served");
    assert_eq!(server.run(&["incidents", "list"]).code, Some(1));
    assert!(server.terminate().success());
    let tables = "SELECT count(*) FROM sqlite_schema";
    assert_eq!(other.query_row(tables, [], |row| row.get::<_, i64>(0)).unwrap(), 1, "nothing was made there");
    drop(other);
    assert!(refused(&place).contains(&told), "a start says the same");
    remove(&place.path().join("app.db"));
    put_back(&place);
    let server = place.serve(&[]);
    assert_eq!(server.run(&["drain"]).code, Some(0));
    assert_eq!(value(&place, "b").as_deref(), Some("w"));
}

#[test]
fn tables_that_changed_while_the_database_was_away_are_read_anew_by_the_server_itself() {
    let place = place();
    database(&place)
        .execute_batch("CREATE TABLE page (id INTEGER PRIMARY KEY, views INTEGER, title TEXT)")
        .unwrap();
    let server = place.serve(&[]);
    server.cli(&["HSET", "page:1", "views", "1", "title", "t"]);
    assert!(server.terminate().success());
    database(&place)
        .execute_batch(
            "ALTER TABLE page DROP COLUMN title; CREATE TABLE later (id INTEGER PRIMARY KEY, n INTEGER)",
        )
        .unwrap();
    take_away(&place);
    let server = place.serve(&[]);
    server.cli(&["HSET", "page:2", "views", "2"]);
    server.cli(&["HSET", "page:3", "title", "t"]);
    put_back(&place);
    wait_until("the new tables are read", || server.run(&["status", "--json"]).out.contains("\"later\""));
    assert_eq!(server.run(&["drain"]).code, Some(0), "{}", server.said());
    let number = |query| database(&place).query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("SELECT views FROM page WHERE id = 2"), 2, "{:?}", status(&server));
    assert_eq!(server.cli(&["HSET", "later:1", "n", "7"]), "1");
    assert_eq!(server.run(&["drain"]).code, Some(0));
    assert_eq!(number("SELECT n FROM later"), 7, "a new table is known");
    wait_until("what has no column any more is a dead letter", || {
        status(&server)["dead_letters"]["count"] == 1
    });
}

#[test]
fn a_first_start_without_the_database_is_refused_and_says_what_it_needs() {
    let place = place();
    let lock = database(&place);
    lock.execute_batch("CREATE TABLE page (id INTEGER PRIMARY KEY, views INTEGER); BEGIN EXCLUSIVE").unwrap();
    let said = refused(&place);
    assert!(
        said.contains("holds the lock") && said.contains("start again when the database answers"),
        "{said}"
    );
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(place.serve(&[]).cli(&["HSET", "page:1", "views", "1"]), "1");
}
