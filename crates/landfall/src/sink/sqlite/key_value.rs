//! Lands and loads key-value keys: strings and heads of streams in one table, fields of hashes in another, bytes as they
//! are; entries of streams in a third ([`super::streams`]).
//! A key's row is there from the first upsert to its delete; its parts come and go.

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::errors::classify;
use super::streams::{self, Entries};
use crate::error::SinkError;
use crate::model::{Change, LaneId, Name, Op, Upsert, Value};
use crate::sink::parts::{self, Part};
use crate::sink::{KeyKind, StoredKey};

pub(super) fn failed(error: rusqlite::Error) -> SinkError {
    classify("landfall_key", &error)
}

pub(super) fn statement<'c>(connection: &'c Connection, sql: &str) -> Result<CachedStatement<'c>, SinkError> {
    connection.prepare_cached(sql).map_err(failed)
}

/// Lands a change of a key.
pub(super) fn change(
    connection: &Connection,
    lane: LaneId,
    key: &[u8],
    change: &Change,
) -> Result<(), SinkError> {
    match change {
        Change::Delete => {
            statement(connection, "DELETE FROM landfall_key WHERE key = ?1")?
                .execute([key])
                .map_err(failed)?;
            delete_fields(connection, key)?;
            streams::delete_entries(connection, key)
        }
        Change::Upsert(upsert) => {
            if upsert.replace {
                delete_fields(connection, key)?;
                streams::delete_entries(connection, key)?;
            }
            let head = Head::of(connection, key, upsert)?;
            head.land(connection, lane, key)?;
            for (name, op) in &upsert.columns {
                match Part::of(name)? {
                    Part::Field(field) => change_field(connection, key, field, op)?,
                    Part::Entry(id) => streams::change_entry(connection, key, id, op)?,
                    Part::Value | Part::Expires | Part::Stream => {}
                }
            }
            Ok(())
        }
    }
}

/// Lands a clear: one statement for each table.
pub(super) fn clear(connection: &Connection) -> Result<(), SinkError> {
    for sql in
        ["DELETE FROM landfall_hash_field", "DELETE FROM landfall_stream_entry", "DELETE FROM landfall_key"]
    {
        statement(connection, sql)?.execute([]).map_err(failed)?;
    }
    Ok(())
}

/// What an upsert does to the key's own row; none: it stays as it is.
struct Head {
    kind: Option<&'static str>,
    value: Option<Option<Vec<u8>>>,
    expires_ms: Option<Option<i64>>,
    head: Option<Option<String>>,
}

impl Head {
    fn of(connection: &Connection, key: &[u8], upsert: &Upsert) -> Result<Head, SinkError> {
        let emptied = upsert.replace;
        let mut head = Head {
            kind: None,
            value: emptied.then_some(None),
            expires_ms: emptied.then_some(None),
            head: emptied.then_some(None),
        };
        for (name, op) in &upsert.columns {
            match (Part::of(name)?, op) {
                (Part::Expires, Op::Assign(value)) => head.expires_ms = Some(parts::expiry(value)?),
                (Part::Expires, Op::Add(_)) => {
                    return Err(parts::refused_key("an add to a time of expiry"));
                }
                (Part::Value, op) => {
                    let value = match op {
                        Op::Assign(value) => parts::stored(value),
                        Op::Add(delta) => {
                            let old = if emptied { None } else { string(connection, key)? };
                            parts::stored(&parts::stored_sum(old.as_deref(), delta)?)
                        }
                    };
                    if value.is_some() {
                        head.kind = Some("string");
                    }
                    head.value = Some(value);
                }
                (Part::Stream, op) => {
                    let text = streams::head(op)?;
                    if text.is_some() {
                        head.kind = head.kind.or(Some("stream"));
                    }
                    head.head = Some(text);
                }
                (Part::Entry(_), _) => {}
                (Part::Field(_), op) => {
                    if head.kind.is_none() && !op.value().is_null() {
                        head.kind = Some("hash");
                    }
                }
            }
        }
        Ok(head)
    }

    fn land(&self, connection: &Connection, lane: LaneId, key: &[u8]) -> Result<(), SinkError> {
        let mut sql =
            "INSERT INTO landfall_key (key, kind, value, expires_ms, lane, head) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                       ON CONFLICT (key) DO UPDATE SET lane = ?5"
                .to_owned();
        for (is_set, part) in [
            (self.kind.is_some(), ", kind = ?2"),
            (self.value.is_some(), ", value = ?3"),
            (self.expires_ms.is_some(), ", expires_ms = ?4"),
            (self.head.is_some(), ", head = ?6"),
        ] {
            if is_set {
                sql.push_str(part);
            }
        }
        let value = self.value.as_ref().and_then(Option::as_ref);
        let head = self.head.as_ref().and_then(Option::as_ref);
        let kind = self.kind.unwrap_or("hash");
        statement(connection, &sql)?
            .execute(params![key, kind, value, self.expires_ms.flatten(), lane.0, head])
            .map(|_| ())
            .map_err(failed)
    }
}

/// The bytes of a stored cell. A number that another program put there reads as its text.
pub(super) fn cell(stored: ValueRef<'_>) -> Option<Vec<u8>> {
    match stored {
        ValueRef::Null => None,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
        ValueRef::Integer(n) => parts::stored(&Value::Int(n)),
        ValueRef::Real(n) => parts::stored(&Value::Float(n)),
    }
}

fn string(connection: &Connection, key: &[u8]) -> Result<Option<Vec<u8>>, SinkError> {
    statement(connection, "SELECT value FROM landfall_key WHERE key = ?1")?
        .query_row([key], |row| Ok(cell(row.get_ref(0)?)))
        .optional()
        .map(Option::flatten)
        .map_err(failed)
}

fn delete_fields(connection: &Connection, key: &[u8]) -> Result<(), SinkError> {
    statement(connection, "DELETE FROM landfall_hash_field WHERE key = ?1")?
        .execute([key])
        .map(|_| ())
        .map_err(failed)
}

fn change_field(connection: &Connection, key: &[u8], field: &[u8], op: &Op) -> Result<(), SinkError> {
    let value = match op {
        Op::Assign(value) => parts::stored(value),
        Op::Add(delta) => {
            let old =
                statement(connection, "SELECT value FROM landfall_hash_field WHERE key = ?1 AND field = ?2")?
                    .query_row([key, field], |row| row.get::<_, Vec<u8>>(0))
                    .optional()
                    .map_err(failed)?;
            parts::stored(&parts::stored_sum(old.as_deref(), delta)?)
        }
    };
    match value {
        Some(value) => statement(
            connection,
            "INSERT INTO landfall_hash_field (key, field, value) VALUES (?1, ?2, ?3) \
             ON CONFLICT (key, field) DO UPDATE SET value = ?3",
        )?
        .execute(params![key, field, value]),
        None => statement(connection, "DELETE FROM landfall_hash_field WHERE key = ?1 AND field = ?2")?
            .execute([key, field]),
    }
    .map(|_| ())
    .map_err(failed)
}

/// The parts of a key, sorted by name, or none for an absent key; and whether entries may have been left out.
pub(super) type KeyParts = (Option<Vec<(Name, Value)>>, bool);

/// Loads a key.
pub(super) fn load(connection: &Connection, key: &[u8], entries: Entries) -> Result<KeyParts, SinkError> {
    let head = statement(connection, "SELECT value, expires_ms, head FROM landfall_key WHERE key = ?1")?
        .query_row([key], |row| {
            let bytes = |at| row.get_ref(at).map(cell).map(|cell| cell.map(|bytes| Value::bytes(&bytes)));
            Ok((bytes(0)?, row.get::<_, Option<i64>>(1)?, bytes(2)?))
        })
        .optional()
        .map_err(failed)?;
    let Some((value, expires_ms, head)) = head else { return Ok((None, false)) };
    let entries = if head.is_some() { entries } else { Entries::All };
    // In the order of names: '+' sorts before '.', and that before '='.
    let mut parts = streams::entries(connection, key, entries)?;
    let only_head = entries == Entries::Last && !parts.is_empty();
    let mut fields =
        statement(connection, "SELECT field, value FROM landfall_hash_field WHERE key = ?1 ORDER BY field")?;
    let mut rows = fields.query([key]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let of = |at| row.get_ref(at).map(cell).map_err(failed).map(Option::unwrap_or_default);
        parts.push((Name::field(&of(0)?), Value::bytes(&of(1)?)));
    }
    parts.extend(head.map(|head| (Name::from_bytes(Name::STREAM), head)));
    parts.extend(value.map(|value| (Name::from_bytes(Name::STRING), value)));
    parts.extend(expires_ms.map(|ms| (Name::from_bytes(Name::EXPIRES), Value::Int(ms))));
    Ok((Some(parts), only_head))
}

/// Whether there is no key at all.
pub(super) fn is_empty(connection: &Connection) -> Result<bool, SinkError> {
    statement(connection, "SELECT 1 FROM landfall_key LIMIT 1")?
        .exists([])
        .map(|found| !found)
        .map_err(failed)
}

/// At most `most` keys with a place above `after`, by place; of dead letters nothing is known here.
pub(super) fn page(connection: &Connection, after: u64, most: usize) -> Result<Vec<StoredKey>, SinkError> {
    let mut page = statement(
        connection,
        "SELECT id, key, expires_ms, value IS NOT NULL, \
         EXISTS (SELECT 1 FROM landfall_hash_field AS field WHERE field.key = landfall_key.key), \
         head IS NOT NULL \
         OR EXISTS (SELECT 1 FROM landfall_stream_entry AS entry WHERE entry.key = landfall_key.key) \
         FROM landfall_key WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = page.query_map([after, most], |row| {
        let kind = KeyKind::of(row.get(3)?, row.get(5)?, row.get(4)?);
        let expires_ms: Option<i64> = row.get(2)?;
        Ok(StoredKey {
            place: row.get::<_, i64>(0)? as u64,
            key: cell(row.get_ref(1)?).unwrap_or_default(),
            kind,
            expires_ms: expires_ms.map_or(0, |ms| u64::try_from(ms).unwrap_or(1)),
            is_parked: false,
        })
    });
    rows.and_then(Iterator::collect).map_err(failed)
}

/// The highest place of all keys; 0 without any.
pub(super) fn last_place(connection: &Connection) -> Result<u64, SinkError> {
    statement(connection, "SELECT coalesce(max(id), 0) FROM landfall_key")?
        .query_row([], |row| row.get::<_, i64>(0))
        .map(|last| u64::try_from(last).unwrap_or(0))
        .map_err(failed)
}
