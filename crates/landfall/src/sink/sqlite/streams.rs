//! Lands and loads the entries of key-value streams: a row each, by key and id, its fields as JSON.
//! It never touches the key's own row, which holds the stream's head.

use rusqlite::{Connection, params};

use super::key_value::{cell, failed, statement};
use crate::error::SinkError;
use crate::model::{EntryId, Name, Op, Value};
use crate::sink::entries::{from_json, to_json};
use crate::sink::parts;

/// SQLite's integers are signed: what is 2^63 or more is stored as what it is below 2^64.
fn signed(id: EntryId) -> (i64, i64) {
    (id.ms as i64, id.seq as i64)
}

/// Lands what becomes of an entry.
pub(super) fn change_entry(
    connection: &Connection,
    key: &[u8],
    id: EntryId,
    op: &Op,
) -> Result<(), SinkError> {
    let (ms, seq) = signed(id);
    match parts::of_stream(op)? {
        Some(entry) => {
            let json =
                to_json(entry).ok_or_else(|| parts::refused_key("an entry that is no list of fields"))?;
            statement(
                connection,
                "INSERT INTO landfall_stream_entry (key, ms, seq, fields) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (key, ms, seq) DO UPDATE SET fields = ?4",
            )?
            .execute(params![key, ms, seq, json])
        }
        None => statement(
            connection,
            "DELETE FROM landfall_stream_entry WHERE key = ?1 AND ms = ?2 AND seq = ?3",
        )?
        .execute(params![key, ms, seq]),
    }
    .map(|_| ())
    .map_err(failed)
}

/// The text of a stream's head, as the key's row has it.
pub(super) fn head(op: &Op) -> Result<Option<String>, SinkError> {
    let text = parts::of_stream(op)?.map(|bytes| String::from_utf8(bytes.to_vec()));
    text.transpose().map_err(|_| parts::refused_key("the head of a stream that is no text"))
}

/// Removes all entries of a key.
pub(super) fn delete_entries(connection: &Connection, key: &[u8]) -> Result<(), SinkError> {
    statement(connection, "DELETE FROM landfall_stream_entry WHERE key = ?1")?
        .execute([key])
        .map(|_| ())
        .map_err(failed)
}

/// Which entries of a stream are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entries {
    All,
    /// The last, if the stream has a head: that tells whether the head is behind what another program wrote.
    Last,
}

/// The entries of a key, by their ids.
pub(super) fn entries(
    connection: &Connection,
    key: &[u8],
    which: Entries,
) -> Result<Vec<(Name, Value)>, SinkError> {
    let mut entries = statement(
        connection,
        match which {
            Entries::All => {
                "SELECT ms, seq, fields FROM landfall_stream_entry WHERE key = ?1 ORDER BY ms, seq"
            }
            Entries::Last => {
                "SELECT ms, seq, fields FROM landfall_stream_entry WHERE key = ?1 ORDER BY ms DESC, seq DESC LIMIT 1"
            }
        },
    )?;
    let rows = entries.query_map([key], |row| {
        let id = EntryId { ms: row.get::<_, i64>(0)? as u64, seq: row.get::<_, i64>(1)? as u64 };
        let fields = from_json(&cell(row.get_ref(2)?).unwrap_or_default());
        Ok((Name::entry(id), Value::bytes(&fields)))
    });
    let mut found: Vec<(Name, Value)> = rows.and_then(Iterator::collect).map_err(failed)?;
    // Only ids of 2^63 and more are out of order.
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}
