//! Places of keys in SQLite: what a file of before gets, and what a VACUUM leaves as it is.

use super::*;
use crate::model::{Change, RowKey, Value};
use crate::sink::conformance::{self, Owner, bytes, replace};

fn places(fixture: &Fixture) -> String {
    fixture.one("SELECT group_concat(id || '=' || CAST(key AS TEXT), ' ' ORDER BY id) FROM landfall_key")
}

#[test]
fn keys_of_a_file_of_version_4_get_places_that_a_vacuum_keeps() {
    let fixture = with(conformance::TABLES);
    let mut owner = Owner::new(&fixture);
    for key in [&b"a"[..], b"b", b"c"] {
        owner.change(&RowKey::of_key(key), replace(&[("=v", bytes("1"))])).unwrap();
    }
    owner.change(&RowKey::of_key(b"a"), crate::model::Change::Delete).unwrap();
    drop(owner);
    fixture
        .raw()
        .execute_batch(
            "DROP VIEW landfall_string; ALTER TABLE landfall_key RENAME TO new;
             CREATE TABLE landfall_key (key BLOB NOT NULL PRIMARY KEY, kind TEXT NOT NULL, value BLOB, expires_ms INTEGER,
               lane INTEGER NOT NULL, generation INTEGER NOT NULL DEFAULT 0);
             INSERT INTO landfall_key SELECT key, kind, value, expires_ms, lane, generation FROM new; DROP TABLE new;
             UPDATE landfall_schema SET version = 4",
        )
        .unwrap();
    fixture.set_up().unwrap();
    assert_eq!(places(&fixture), "1=b 2=c");
    assert_eq!(fixture.one("SELECT group_concat(key) FROM landfall_string"), "b,c");
    let mut owner = Owner::new(&fixture);
    owner.change(&RowKey::of_key(b"b"), crate::model::Change::Delete).unwrap();
    drop(owner);
    fixture.raw().execute_batch("VACUUM").unwrap();
    fixture.set_up().unwrap();
    assert_eq!(places(&fixture), "2=c", "a place is kept");
}

#[test]
fn a_file_of_version_5_keeps_its_keys_and_gets_streams() {
    let fixture = with(conformance::TABLES);
    let mut owner = Owner::new(&fixture);
    owner.change(&RowKey::of_key(b"a"), replace(&[("=v", bytes("1"))])).unwrap();
    drop(owner);
    fixture
        .raw()
        .execute_batch(
            "DROP VIEW landfall_stream; DROP TABLE landfall_stream_entry; ALTER TABLE landfall_key DROP COLUMN head;
             UPDATE landfall_schema SET version = 5",
        )
        .unwrap();
    fixture.set_up().unwrap();
    fixture.set_up().unwrap();
    assert_eq!(fixture.one("SELECT version FROM landfall_schema"), "6");
    assert_eq!(places(&fixture), "1=a");
    // The suite wants its stream to be the only key.
    Owner::new(&fixture).change(&RowKey::of_key(b"a"), Change::Delete).unwrap();
    conformance::a_stream_keeps_its_entries_and_its_head(&fixture);
}

#[test]
fn ids_above_those_of_sqlite_are_shown_as_they_are() {
    let fixture = with(conformance::TABLES);
    let mut owner = Owner::new(&fixture);
    let id = crate::model::EntryId { ms: u64::MAX, seq: 1 << 63 };
    let fields = Value::bytes(&crate::model::stream::encode_fields([&b"f"[..], b"v"]));
    owner
        .change(&RowKey::of_key(b"t"), crate::model::Change::put([(crate::model::Name::entry(id), fields)]))
        .unwrap();
    assert_eq!(
        fixture.one("SELECT key || ' ' || id || ' ' || fields FROM landfall_stream"),
        r#"t 18446744073709551615-9223372036854775808 {"f":"v"}"#
    );
}
