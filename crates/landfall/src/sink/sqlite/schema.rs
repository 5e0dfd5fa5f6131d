//! Landfall's own tables in the user's database, and their version.
//! It never touches a table whose name does not begin with `landfall_`.

use rusqlite::{Connection, OptionalExtension};

use super::errors::classify;
use crate::error::SinkError;

/// What [`SCHEMA`] makes. Version 1 had no identity and no incidents, version 2 no dead letters, version 3 counted
/// letters with AUTOINCREMENT, which leaves a table of SQLite's own behind, version 4 had keys whose row numbers
/// VACUUM changes, and version 5 no streams; what is missing is added to a file of them.
const VERSION: i64 = 6;

/// The statements that create Landfall's own tables, for `landfall setup` to print.
///
/// Keys and values are raw bytes; the fields of a stream's entry are JSON. The views show them as text, for people. The table of keys has row numbers:
/// batches of 10,000 overwrites landed 1.0 to 1.6 times as fast as without, and large values stay out of the index. They
/// have a name, because SQLite gives nameless ones anew in a VACUUM, and whoever pages through the keys goes by them.
pub const SCHEMA: &str = "\
CREATE TABLE IF NOT EXISTS landfall_schema (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS landfall_lane (
  lane INTEGER PRIMARY KEY,
  owner TEXT NOT NULL DEFAULT '',
  epoch INTEGER NOT NULL,
  lineage BLOB NOT NULL,
  position INTEGER NOT NULL,
  anchor BLOB NOT NULL,
  batch BLOB NOT NULL,
  server TEXT NOT NULL DEFAULT '',
  boot INTEGER NOT NULL DEFAULT 0,
  generation INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS landfall_database (id BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS landfall_incident (
  id BLOB NOT NULL PRIMARY KEY,
  time_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  lineage BLOB NOT NULL,
  lane INTEGER,
  first_position INTEGER NOT NULL,
  last_position INTEGER NOT NULL,
  what TEXT NOT NULL,
  acknowledged_ms INTEGER
);
CREATE TABLE IF NOT EXISTS landfall_key (
  id INTEGER PRIMARY KEY,
  key BLOB NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  value BLOB,
  expires_ms INTEGER,
  lane INTEGER NOT NULL,
  generation INTEGER NOT NULL DEFAULT 0,
  head TEXT
);
CREATE TABLE IF NOT EXISTS landfall_hash_field (
  key BLOB NOT NULL,
  field BLOB NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (key, field)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS landfall_stream_entry (
  key BLOB NOT NULL,
  ms INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  fields TEXT NOT NULL,
  PRIMARY KEY (key, ms, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS landfall_letter_number (last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS landfall_dead_letter (
  id INTEGER PRIMARY KEY,
  key BLOB NOT NULL UNIQUE,
  change BLOB NOT NULL,
  display TEXT NOT NULL,
  table_name TEXT NOT NULL,
  lane INTEGER NOT NULL,
  first_position INTEGER NOT NULL,
  last_position INTEGER NOT NULL,
  class TEXT NOT NULL,
  reason TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  first_ms INTEGER NOT NULL,
  last_ms INTEGER NOT NULL
);
CREATE VIEW IF NOT EXISTS landfall_string AS
  SELECT CAST(key AS TEXT) AS key, CAST(value AS TEXT) AS value, expires_ms
  FROM landfall_key WHERE kind = 'string';
CREATE VIEW IF NOT EXISTS landfall_hash AS
  SELECT CAST(key AS TEXT) AS key, CAST(field AS TEXT) AS field, CAST(value AS TEXT) AS value
  FROM landfall_hash_field;
CREATE VIEW IF NOT EXISTS landfall_stream AS
  SELECT CAST(key AS TEXT) AS key, printf('%u-%u', ms, seq) AS id, ms, seq, fields
  FROM landfall_stream_entry;
";

/// Creates what is missing. Takes the write lock only when something is.
pub(super) fn set_up(connection: &Connection) -> Result<(), SinkError> {
    let found = version(connection)?;
    match found {
        Some(VERSION) => return Ok(()),
        Some(newer) if newer > VERSION => {
            return Err(SinkError::Unusable(format!(
                "Landfall's own tables in this database have version {newer}, and this program knows {VERSION}; use the program that made them, or a newer one"
            )));
        }
        _ => {}
    }
    // No number of a letter is ever given again: an intent that is still on its way names its letter by it.
    let last = match found {
        Some(3) => "(SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'landfall_dead_letter')",
        _ => "0",
    };
    // Keys of a file from before have no place of their own. The views name the table, so they are made anew as well.
    let (set_aside, brought_back) = match has_nameless_keys(connection)? {
        true => (
            "DROP VIEW IF EXISTS landfall_string; ALTER TABLE landfall_key RENAME TO landfall_key_4;",
            "INSERT INTO landfall_key (key, kind, value, expires_ms, lane, generation) \
             SELECT key, kind, value, expires_ms, lane, generation FROM landfall_key_4 ORDER BY rowid; \
             DROP TABLE landfall_key_4;",
        ),
        false => ("", ""),
    };
    let headed = match lacks_heads(connection)? {
        true => "ALTER TABLE landfall_key ADD COLUMN head TEXT;",
        false => "",
    };
    let made = connection.execute_batch(&creating(&format!("{headed} {set_aside}"), brought_back, last));
    made.map_err(|error| {
        // Dropping the connection would roll back as well; the caller may keep it.
        let open = !connection.is_autocommit();
        let rolled_back = !open || connection.execute_batch("ROLLBACK").is_ok();
        match classify("landfall_schema", &error) {
            busy @ SinkError::Busy(_) if rolled_back => busy,
            other => SinkError::Unusable(format!("Landfall's own tables cannot be created: {other}")),
        }
    })
}

/// What creates the tables, in one transaction, with what an older file needs before and behind.
fn creating(before: &str, behind: &str, last_letter: &str) -> String {
    format!(
        "BEGIN IMMEDIATE; {before}\n{SCHEMA}{behind}\
         INSERT INTO landfall_letter_number SELECT {last_letter} WHERE NOT EXISTS (SELECT 1 FROM landfall_letter_number);\n\
         INSERT INTO landfall_database SELECT randomblob(16) WHERE NOT EXISTS (SELECT 1 FROM landfall_database);\n\
         DELETE FROM landfall_schema;\nINSERT INTO landfall_schema VALUES ({VERSION});\nCOMMIT;\n"
    )
}

/// The SQL that creates Landfall's own tables in a file that has none of an older version.
pub fn set_up_script() -> String {
    format!(
        "-- Landfall's own tables, for a file that never had them. Landfall creates them by itself where it may.\n{}",
        creating("", "", "0")
    )
}

fn has_nameless_keys(connection: &Connection) -> Result<bool, SinkError> {
    keys_lack(connection, "id")
}

fn lacks_heads(connection: &Connection) -> Result<bool, SinkError> {
    keys_lack(connection, "head")
}

/// Whether there is a table of keys, and without this column.
fn keys_lack(connection: &Connection, column: &str) -> Result<bool, SinkError> {
    let columns = "SELECT count(*), coalesce(sum(name = ?1), 0) FROM pragma_table_info('landfall_key')";
    connection
        .query_row(columns, [column], |row| Ok(row.get::<_, i64>(0)? > 0 && row.get::<_, i64>(1)? == 0))
        .map_err(|error| classify("landfall_schema", &error))
}

fn version(connection: &Connection) -> Result<Option<i64>, SinkError> {
    only_value(connection, "landfall_schema", "version")
}

/// The identity of this database, once it has one.
pub(super) fn identity(connection: &Connection) -> Result<Option<[u8; 16]>, SinkError> {
    let Some(id) = only_value::<Vec<u8>>(connection, "landfall_database", "id")? else { return Ok(None) };
    id.try_into().map(Some).map_err(|_| {
        SinkError::Unusable(
            "the row of landfall_database was changed by hand; restore it from a backup".into(),
        )
    })
}

/// The value in a table of one row; none when the table or the row is not there.
fn only_value<T: rusqlite::types::FromSql>(
    connection: &Connection,
    table: &str,
    column: &str,
) -> Result<Option<T>, SinkError> {
    let failed = |error| classify("landfall_schema", &error);
    let is_there = connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1", [table], |_| Ok(()))
        .optional()
        .map_err(failed)?
        .is_some();
    if !is_there {
        return Ok(None);
    }
    connection
        .query_row(&format!("SELECT {column} FROM {table}"), [], |row| row.get(0))
        .optional()
        .map_err(failed)
}
