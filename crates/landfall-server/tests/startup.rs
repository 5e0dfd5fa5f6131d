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
fn a_lost_log_an_empty_database_and_a_missing_one_are_refused() {
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
    assert!(refused(&place).contains("put it back"));
    assert!(!place.path().join("app.db").exists(), "no empty file is made in its place");
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
