//! The tables of the load in a SQLite file, wherever the server keeps them: as they are, or copied out of PostgreSQL.
//! It must never write to the database, and never leave a row or a byte out.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use rusqlite::Connection;

use crate::load::{EVENT_TABLES, ROW_TABLES, SCHEMA};
use crate::servers::{Landfall, Postgres};

/// Landfall's own tables, as far as they are compared.
const OWN: &str = "
    CREATE TABLE landfall_key (key BLOB, kind TEXT, value BLOB, expires_ms INTEGER);
    CREATE TABLE landfall_hash_field (key BLOB, field BLOB, value BLOB);
    CREATE TABLE landfall_stream_entry (key BLOB, ms INTEGER, seq INTEGER);
";

/// The server's SQLite file, or a new one with what its PostgreSQL holds now.
///
/// # Errors
/// The database cannot be read.
pub fn file_of(server: &Landfall) -> Result<PathBuf> {
    let Some((postgres, database)) = server.postgres() else { return Ok(server.database()) };
    let path = server.folder().join("copy.db");
    if path.exists() {
        fs::remove_file(&path)?;
    }
    let mut file = Connection::open(&path)?;
    file.execute_batch(SCHEMA)?;
    file.execute_batch(OWN)?;
    let copied = file.transaction()?;
    for (table, _) in ROW_TABLES.iter().chain(EVENT_TABLES) {
        copy(&copied, (postgres, database), table, table)?;
    }
    for table in ["landfall_key", "landfall_hash_field"] {
        copy(&copied, (postgres, database), &format!("landfall.{table}"), table)?;
    }
    copy_entries(&copied, (postgres, database))?;
    copied.commit()?;
    Ok(path)
}

fn copy(file: &Connection, (postgres, database): (&Postgres, &str), from: &str, to: &str) -> Result<()> {
    let select = file.prepare(&format!("SELECT * FROM {to}"))?;
    let names: Vec<&str> = select.column_names().collect();
    let is_bytes = |name: &str| to.starts_with("landfall_") && !matches!(name, "kind" | "expires_ms");
    let bytes = |name: &&str| match is_bytes(name) {
        true => format!("coalesce(encode({name}, 'hex'), '-')"),
        false => format!("coalesce(encode(convert_to({name}::text, 'UTF8'), 'hex'), '-')"),
    };
    let cells = names.iter().map(bytes);
    let cells = cells.collect::<Vec<_>>().join(" || ' ' || ");
    let rows = postgres.psql(database, &format!("SELECT {cells} FROM {from}"))?;
    let places = vec!["?"; names.len()].join(", ");
    let mut insert = file.prepare(&format!("INSERT INTO {to} VALUES ({places})"))?;
    for line in rows.lines() {
        let cells = line.split(' ').map(cell).collect::<Option<Vec<_>>>().context("a cell that is no hex")?;
        let values = names.iter().zip(cells).map(|(name, cell)| match cell {
            None => rusqlite::types::Value::Null,
            Some(bytes) if is_bytes(name) => rusqlite::types::Value::Blob(bytes),
            // The column's affinity makes a number of it, where it is one.
            Some(bytes) => rusqlite::types::Value::Text(String::from_utf8_lossy(&bytes).into_owned()),
        });
        insert.execute(rusqlite::params_from_iter(values))?;
    }
    Ok(())
}

/// The ids of the entries of streams, each of two numbers of 8 bytes.
fn copy_entries(file: &Connection, (postgres, database): (&Postgres, &str)) -> Result<()> {
    let select = "SELECT encode(key, 'hex') || ' ' || encode(id, 'hex') FROM landfall.landfall_stream_entry";
    let mut insert = file.prepare("INSERT INTO landfall_stream_entry VALUES (?, ?, ?)")?;
    for line in postgres.psql(database, select)?.lines() {
        let (key, id) = line.split_once(' ').context("an entry without an id")?;
        let key = cell(key).flatten().context("a key that is no hex")?;
        let (ms, seq) = id.split_at_checked(16).context("an id that is too short")?;
        let number = |digits| i64::from_str_radix(digits, 16).context("an id that is no hex");
        insert.execute((key, number(ms)?, number(seq)?))?;
    }
    Ok(())
}

/// A cell from its digits; NULL is a dash.
fn cell(digits: &str) -> Option<Option<Vec<u8>>> {
    if digits == "-" {
        return Some(None);
    }
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>().map(Some)
}
