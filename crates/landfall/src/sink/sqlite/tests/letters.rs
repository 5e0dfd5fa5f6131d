//! Dead letters in SQLite: files of the version before them, and constraints that end or outlast a statement.

use super::*;
use crate::model::{Change, LaneId, Letter, RowKey, Value};
use crate::sink::conformance::{Owner, context, op, put, row};
use crate::sink::{Landing, RefusedOp};

/// What version 1 of the schema made.
const VERSION_1: &str = "
CREATE TABLE landfall_schema (version INTEGER NOT NULL);
INSERT INTO landfall_schema VALUES (1);
CREATE TABLE landfall_lane (
  lane INTEGER PRIMARY KEY, owner TEXT NOT NULL DEFAULT '', epoch INTEGER NOT NULL, lineage BLOB NOT NULL,
  position INTEGER NOT NULL, anchor BLOB NOT NULL, batch BLOB NOT NULL, server TEXT NOT NULL DEFAULT '',
  boot INTEGER NOT NULL DEFAULT 0, generation INTEGER NOT NULL DEFAULT 0);
CREATE TABLE landfall_key (
  key BLOB NOT NULL PRIMARY KEY, kind TEXT NOT NULL, value BLOB, expires_ms INTEGER, lane INTEGER NOT NULL,
  generation INTEGER NOT NULL DEFAULT 0);
CREATE TABLE landfall_hash_field (
  key BLOB NOT NULL, field BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (key, field)) WITHOUT ROWID;
INSERT INTO landfall_key (key, kind, value, lane) VALUES (x'6b', 'string', x'76', 3);
";

#[test]
fn a_file_of_the_version_without_letters_opens_and_gets_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    Connection::open(&path).unwrap().execute_batch(VERSION_1).unwrap();
    let database = SqliteDatabase::open(&path, SqliteSettings::default()).unwrap();
    database.set_up().unwrap();
    database.set_up().unwrap();
    let fixture = Fixture { database, dir };
    assert_eq!(fixture.one("SELECT group_concat(version) FROM landfall_schema"), "6");
    assert_eq!(fixture.one("SELECT count(*) FROM landfall_dead_letter"), "0");
    let mut owner = Owner::new(&fixture);
    assert_eq!(owner.cell(&RowKey::of_key(b"k"), "=v"), "v");
    assert!(fixture.catalogue().unwrap().tables().is_empty(), "nothing of ours is mapped");
}

#[test]
fn the_number_of_a_letter_is_given_once_also_behind_a_file_of_version_3() {
    let fixture = with(conformance::TABLES);
    fixture
        .raw()
        .execute_batch(
            "DROP TABLE landfall_letter_number; ALTER TABLE landfall_dead_letter RENAME TO old;
             CREATE TABLE landfall_dead_letter (id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE,
               change BLOB NOT NULL, display TEXT NOT NULL, table_name TEXT NOT NULL, lane INTEGER NOT NULL,
               first_position INTEGER NOT NULL, last_position INTEGER NOT NULL, class TEXT NOT NULL,
               reason TEXT NOT NULL, attempts INTEGER NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL);
             DROP TABLE old; INSERT INTO sqlite_sequence VALUES ('landfall_dead_letter', 41);
             UPDATE landfall_schema SET version = 3",
        )
        .unwrap();
    fixture.set_up().unwrap();
    let mut owner = Owner::new(&fixture);
    owner.park_for_display(&row("page", 7));
    assert_eq!(fixture.one("SELECT id FROM landfall_dead_letter"), "42");
    fixture.raw().execute("DELETE FROM landfall_dead_letter", []).unwrap();
    owner.park_for_display(&row("page", 8));
    assert_eq!(fixture.one("SELECT id FROM landfall_dead_letter"), "43", "a number comes back");
}

#[test]
fn what_people_read_of_a_letter_is_in_its_row() {
    let fixture = with(conformance::TABLES);
    conformance::a_letter_moves_with_the_watermark_and_comes_back_whole(&fixture);
    let mut owner = Owner::new(&fixture);
    owner.park_for_display(&row("page", 7));
    assert_eq!(fixture.one("SELECT display FROM landfall_dead_letter"), "page:7 views = 5");
    assert_eq!(
        fixture.one("SELECT table_name || ' ' || class || ' ' || reason FROM landfall_dead_letter"),
        "page unique taken"
    );
}

#[test]
fn a_letter_that_was_changed_by_hand_is_no_panic_and_no_lost_change() {
    let fixture = with(conformance::TABLES);
    let mut owner = Owner::new(&fixture);
    owner.park_for_display(&row("page", 7));
    fixture.raw().execute("UPDATE landfall_dead_letter SET change = x'01ff'", []).unwrap();
    let mut source = fixture.source(context(&fixture)).unwrap();
    for outcome in [source.load(&row("page", 7), LaneId(3)).map(|_| ()), source.letters(0, 9).map(|_| ())] {
        let Err(SinkError::Unusable(words)) = outcome else { panic!("{outcome:?}") };
        assert!(words.contains("landfall_dead_letter"), "{words}");
    }
}

fn isolate(fixture: &Fixture, ops: Vec<crate::sink::LandingOp>) -> Vec<RefusedOp> {
    let mut sink = fixture.sink(context(fixture)).unwrap();
    let landing = Landing {
        batch: [0; 16],
        time_ms: 0,
        lineage: conformance::OURS,
        lanes: vec![],
        ops,
        letters: vec![],
        ordered: true,
    };
    sink.isolate(&landing).unwrap()
}

/// A conflict clause or a trigger may end the whole transaction; nothing may be committed by what comes after.
#[test]
fn a_row_that_ends_the_transaction_is_found_and_nothing_stays_of_the_others() {
    let fixture = with(
        "CREATE TABLE seat (id INTEGER PRIMARY KEY, no TEXT UNIQUE ON CONFLICT ROLLBACK);
         CREATE TRIGGER strict BEFORE INSERT ON seat WHEN new.no = 'X' BEGIN SELECT RAISE(ROLLBACK, 'no'); END;
         CREATE TABLE child (id INTEGER PRIMARY KEY, seat INTEGER NOT NULL REFERENCES seat (id));",
    );
    let seat = |id: i64, no: &str| op(&row("seat", id), put(&[("no", no.into())]));
    let child = |id: i64, seat: i64| op(&row("child", id), put(&[("seat", Value::Int(seat))]));
    let refused = isolate(
        &fixture,
        vec![seat(1, "A"), child(1, 1), seat(2, "A"), child(2, 2), seat(3, "X"), child(3, 1), seat(4, "D")],
    );
    let found: Vec<_> = refused.iter().map(|one| (one.op, &*one.reason.class)).collect();
    assert_eq!(found, [(2, "unique"), (3, "foreign-key"), (4, "trigger")]);
    assert_eq!(fixture.one("SELECT (SELECT count(*) FROM seat) + (SELECT count(*) FROM child)"), "0");
}

#[test]
fn many_rows_that_each_end_the_transaction_are_found_a_few_at_a_time() {
    let fixture = with(
        "CREATE TABLE seat (id INTEGER PRIMARY KEY, no TEXT UNIQUE ON CONFLICT ROLLBACK);
         INSERT INTO seat VALUES (-1, 'A');",
    );
    let ops: Vec<_> = (0..200).map(|id| op(&row("seat", id), put(&[("no", "A".into())]))).collect();
    let refused = isolate(&fixture, ops);
    assert!(!refused.is_empty() && refused.len() <= 64, "{}", refused.len());
    assert_eq!(fixture.one("SELECT count(*) FROM seat"), "1");
}

impl Owner {
    fn park_for_display(&mut self, page: &RowKey) {
        let change = put(&[("views", Value::Int(5))]);
        self.park(conformance::letter(page, change));
    }
}

#[test]
fn the_display_text_of_a_huge_change_is_cut() {
    let fixture = with(conformance::TABLES);
    let mut owner = Owner::new(&fixture);
    let huge = put(&[("raw", Value::bytes(&vec![7; 5 << 20]))]);
    let letter: Letter = conformance::letter(&row("page", 1), huge);
    owner.park(letter);
    assert_eq!(fixture.one("SELECT length(display) < 1100 FROM landfall_dead_letter"), "1");
    assert_eq!(fixture.one("SELECT length(change) > 5000000 FROM landfall_dead_letter"), "1");
    owner.park(conformance::letter(&row("page", 1), Change::Delete));
    assert_eq!(fixture.one("SELECT display FROM landfall_dead_letter"), "page:1 deleted");
}
