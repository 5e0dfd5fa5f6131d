//! Files that are locked, read-only, foreign or in the wrong place: what is said, and that nothing is lost.

use rusqlite::OpenFlags;

use super::super::connect;
use super::*;
use crate::model::{RowKey, Value};
use crate::sink::conformance::{Owner, put, row};

fn open(path: impl AsRef<Path>) -> Result<SqliteDatabase, SinkError> {
    SqliteDatabase::open(path, SqliteSettings::default())
}

fn words(outcome: Result<SqliteDatabase, SinkError>) -> String {
    match outcome {
        Err(SinkError::Unusable(words)) => words,
        other => panic!("expected an unusable file, got {other:?}"),
    }
}

fn journal_mode(connection: &Connection) -> String {
    connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_new_file_gets_a_write_ahead_log() {
    let fixture = with("");
    assert_eq!(journal_mode(&fixture.raw()), "wal");
    assert!(fixture.database.describe().starts_with("sqlite:"));
}

#[test]
fn a_users_file_keeps_its_journal_mode() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("user's own; file?.db");
    let user = Connection::open(&path).unwrap();
    user.execute_batch(conformance::TABLES).unwrap();
    let database = open(&path).unwrap();
    database.set_up().unwrap();
    database.set_up().unwrap();
    let mut owner = Owner::new(&database);
    owner.change(&row("page", 1), put(&[("views", Value::Int(1))])).unwrap();
    assert_eq!(journal_mode(&user), "delete");
    assert_eq!(owner.cell(&row("page", 1), "views"), "1");
}

#[test]
fn our_connections_sync_fully_and_check_foreign_keys() {
    let fixture = with("");
    let settings = SqliteSettings::default();
    for connection in [
        connect::writer(fixture.database.path(), &settings).unwrap(),
        connect::reader(fixture.database.path(), &settings).unwrap(),
    ] {
        let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((number("PRAGMA synchronous"), number("PRAGMA foreign_keys")), (2, 1));
    }
}

#[test]
fn a_file_locked_by_another_process_is_busy_and_lands_later() {
    for mode in ["wal", "delete"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.db");
        let other = Connection::open(&path).unwrap();
        other.execute_batch(&format!("PRAGMA journal_mode = {mode}; {}", conformance::TABLES)).unwrap();
        let settings = SqliteSettings { writer_busy_timeout_ms: 5, ..SqliteSettings::default() };
        let database = SqliteDatabase::open(&path, settings).unwrap();
        database.set_up().unwrap();
        let mut owner = Owner::new(&database);
        let mut land = || owner.change(&row("page", 1), put(&[("views", Value::Int(1))]));
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        match land() {
            Err(SinkError::Busy(words)) => assert!(words.contains("another process"), "{words}"),
            outcome => panic!("expected busy, got {outcome:?}"),
        }
        other.execute_batch("COMMIT").unwrap();
        land().unwrap();
        assert_eq!(owner.cell(&row("page", 1), "views"), "1");
    }
}

/// With a rollback journal a commit needs all readers gone; the open transaction must not survive its failure.
#[test]
fn a_commit_that_a_reader_holds_up_is_rolled_back_and_lands_later() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let other = Connection::open(&path).unwrap();
    other.execute_batch(conformance::TABLES).unwrap();
    let settings = SqliteSettings { writer_busy_timeout_ms: 5, ..SqliteSettings::default() };
    let database = SqliteDatabase::open(&path, settings).unwrap();
    database.set_up().unwrap();
    let mut owner = Owner::new(&database);
    other.execute_batch("BEGIN; SELECT * FROM page;").unwrap();
    let outcome = owner.change(&row("page", 1), put(&[("views", Value::Int(1))]));
    assert!(matches!(outcome, Err(SinkError::Busy(_))), "{outcome:?}");
    other.execute_batch("COMMIT; BEGIN IMMEDIATE; COMMIT").unwrap();
    assert_eq!(owner.cell(&row("page", 1), "views"), "absent");
    owner.change(&row("page", 1), put(&[("views", Value::Int(1))])).unwrap();
}

#[test]
fn a_file_that_is_locked_at_start_opens_and_is_busy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE t (a); PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    let settings =
        SqliteSettings { reader_busy_timeout_ms: 5, writer_busy_timeout_ms: 5, ..SqliteSettings::default() };
    let database = SqliteDatabase::open(&path, settings).unwrap();
    assert!(matches!(database.set_up(), Err(SinkError::Busy(_))));
    assert!(matches!(database.catalogue(), Err(SinkError::Busy(_))));
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    let text = "nothing that SQLite wrote. ".repeat(400);
    std::fs::write(&path, &text).unwrap();
    assert!(words(open(&path)).contains("is not a SQLite database"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_wrong_place_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    assert!(words(open(dir.path())).contains("is a folder"));
    assert!(words(open(dir.path().join("no/where/app.db"))).contains("mkdir -p"));
    assert!(words(open(":memory:")).contains("name of a file"));
    assert!(words(open("")).contains("name of a file"));
}

#[test]
fn a_read_only_file_is_refused_with_what_to_do() {
    let fixture = with("");
    let path = fixture.database.path();
    // Opened like this, because a test that runs as root may write to any file.
    let read_only = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    match connect::check_writable(&read_only, path) {
        Err(SinkError::Unusable(words)) => assert!(words.contains("chmod u+w"), "{words}"),
        outcome => panic!("expected a refusal, got {outcome:?}"),
    }
}

#[test]
fn a_file_that_went_away_is_not_made_again() {
    let fixture = with(conformance::TABLES);
    let context = conformance::context(&fixture);
    let moved = fixture.file("moved.db");
    fixture.raw().execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    std::fs::rename(fixture.database.path(), &moved).unwrap();
    assert!(fixture.sink(context).is_err());
    assert!(!fixture.database.path().exists());
}

#[test]
fn nothing_lands_in_or_loads_from_a_file_that_lost_its_name() {
    let fixture = with(conformance::TABLES);
    fixture.raw().execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    let mut owner = Owner::new(&fixture);
    let (path, moved) = (fixture.database.path().to_owned(), fixture.file("moved.db"));
    let change = || put(&[("views", Value::Int(1))]);
    owner.change(&row("page", 1), change()).unwrap();
    let landed = owner.at;
    std::fs::rename(&path, &moved).unwrap();
    std::fs::copy(&moved, &path).unwrap();
    let replaced = owner.change(&row("page", 1), change());
    assert!(
        matches!(&replaced, Err(SinkError::Unavailable(words)) if words.contains("in the place of")),
        "{replaced:?}"
    );
    std::fs::remove_file(&path).unwrap();
    let missing = owner.change(&row("page", 1), change());
    assert!(
        matches!(&missing, Err(SinkError::Unavailable(words)) if words.contains("put it back")),
        "{missing:?}"
    );
    std::fs::rename(&moved, &path).unwrap();
    assert_eq!(owner.at, landed, "the load finds the watermark as it was");
    assert_eq!(owner.cell(&row("page", 1), "views"), "1");
    owner.change(&row("page", 1), change()).unwrap();
}

#[test]
fn a_file_of_an_older_version_gets_what_is_missing_and_keeps_its_lanes() {
    let fixture = with(
        "DROP TABLE landfall_incident; DROP TABLE landfall_database; UPDATE landfall_schema SET version = 1",
    );
    let mut owner = Owner::new(&fixture);
    fixture.raw().execute_batch("UPDATE landfall_lane SET owner = '', boot = 0").unwrap();
    assert_eq!(fixture.database.identity().unwrap(), None);
    fixture.set_up().unwrap();
    assert!(fixture.database.identity().unwrap().is_some());
    owner.sink().take_over(&conformance::us(3), &[conformance::LANE]).unwrap();
}

#[test]
fn tables_of_a_newer_program_are_refused() {
    let fixture = with("UPDATE landfall_schema SET version = 99");
    match fixture.set_up() {
        Err(SinkError::Unusable(words)) => assert!(words.contains("version 99"), "{words}"),
        outcome => panic!("expected a refusal, got {outcome:?}"),
    }
}

#[test]
fn missing_tables_of_our_own_stop_and_park_nothing() {
    let fixture = with(conformance::TABLES);
    let mut owner = Owner::new(&fixture);
    fixture.raw().execute_batch("DROP VIEW landfall_string; DROP TABLE landfall_key").unwrap();
    let outcome = owner.change(&RowKey::of_key(b"k"), put(&[("=v", Value::Int(1))]));
    match outcome {
        Err(SinkError::Unusable(words)) => assert!(words.contains("landfall setup"), "{words}"),
        outcome => panic!("expected a refusal, got {outcome:?}"),
    }
}
