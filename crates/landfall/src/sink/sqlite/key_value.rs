//! Lands and loads key-value keys: strings and heads of streams in one table, fields of hashes in another, bytes as they
//! are; entries of streams in a third ([`super::streams`]).
//! A key's row is there from the first upsert to its delete; its parts come and go.

use std::borrow::Cow;

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

/// What nearly every row of a landing runs, prepared once for all of them.
#[derive(Clone, Copy)]
enum Often {
    SetString,
    TouchHash,
    SetField,
}

impl Often {
    const ALL: [&'static str; 3] = [
        // A string has no other parts, so nothing of it has to be removed.
        "INSERT INTO landfall_key (key, kind, value, expires_ms, lane) VALUES (?1, 'string', ?2, ?3, ?4) \
         ON CONFLICT (key) DO UPDATE SET value = ?2, expires_ms = ?3, lane = ?4, head = NULL WHERE kind = 'string'",
        // A hash whose row is right already costs no write.
        "INSERT INTO landfall_key (key, kind, lane) VALUES (?1, 'hash', ?2) \
         ON CONFLICT (key) DO UPDATE SET kind = 'hash', lane = ?2 WHERE kind IS NOT 'hash' OR lane IS NOT ?2",
        "INSERT INTO landfall_hash_field (key, field, value) VALUES (?1, ?2, ?3) \
         ON CONFLICT (key, field) DO UPDATE SET value = ?3",
    ];
}

/// The keys of one landing.
pub(super) struct Keys<'c> {
    connection: &'c Connection,
    often: [Option<CachedStatement<'c>>; Often::ALL.len()],
}

impl<'c> Keys<'c> {
    pub(super) fn new(connection: &'c Connection) -> Keys<'c> {
        Keys { connection, often: [const { None }; Often::ALL.len()] }
    }

    fn often(&mut self, which: Often) -> Result<&mut CachedStatement<'c>, SinkError> {
        let at = which as usize;
        match &mut self.often[at] {
            Some(prepared) => Ok(prepared),
            empty => Ok(empty.insert(statement(self.connection, Often::ALL[at])?)),
        }
    }

    /// Lands a change of a key.
    pub(super) fn change(&mut self, lane: LaneId, key: &[u8], change: &Change) -> Result<(), SinkError> {
        let connection = self.connection;
        match change {
            Change::Delete => {
                statement(connection, "DELETE FROM landfall_key WHERE key = ?1")?
                    .execute([key])
                    .map_err(failed)?;
                delete_fields(connection, key)?;
                streams::delete_entries(connection, key)
            }
            Change::Upsert(upsert) => {
                if self.set_string(lane, key, upsert)? {
                    return Ok(());
                }
                if upsert.replace {
                    delete_fields(connection, key)?;
                    streams::delete_entries(connection, key)?;
                }
                if is_fields(upsert) {
                    self.often(Often::TouchHash)?.execute(params![key, lane.0]).map_err(failed)?;
                } else {
                    Head::of(connection, key, upsert)?.land(connection, lane, key)?;
                }
                for (name, op) in &upsert.columns {
                    match Part::of(name)? {
                        Part::Field(field) => self.change_field(key, field, op)?,
                        Part::Entry(id) => streams::change_entry(connection, key, id, op)?,
                        Part::Value | Part::Expires | Part::Stream => {}
                    }
                }
                Ok(())
            }
        }
    }

    /// Lands a key that becomes a string, unless it is there as something else: then its other parts have to go first.
    fn set_string(&mut self, lane: LaneId, key: &[u8], upsert: &Upsert) -> Result<bool, SinkError> {
        let (value, expires_ms) = match &upsert.columns[..] {
            [(name, Op::Assign(value))] if name.as_bytes() == Name::STRING => (value, None),
            [(name, Op::Assign(value)), (other, Op::Assign(Value::Int(ms)))]
                if name.as_bytes() == Name::STRING && other.as_bytes() == Name::EXPIRES =>
            {
                (value, Some(*ms))
            }
            _ => return Ok(false),
        };
        let (true, Some(value)) = (upsert.replace, parts::bytes(value)) else { return Ok(false) };
        let set = self.often(Often::SetString)?.execute(params![key, value, expires_ms, lane.0]);
        set.map(|changed| changed == 1).map_err(failed)
    }

    fn change_field(&mut self, key: &[u8], field: &[u8], op: &Op) -> Result<(), SinkError> {
        let value = match op {
            Op::Assign(value) => parts::bytes(value),
            Op::Add(delta) => {
                let old = field_value(self.connection, key, field)?;
                parts::stored(&parts::stored_sum(old.as_deref(), delta)?).map(Cow::Owned)
            }
        };
        match value {
            Some(value) => self.often(Often::SetField)?.execute(params![key, field, value]),
            None => {
                statement(self.connection, "DELETE FROM landfall_hash_field WHERE key = ?1 AND field = ?2")?
                    .execute([key, field])
            }
        }
        .map(|_| ())
        .map_err(failed)
    }
}

/// Whether a change sets fields of a hash, one at least, and is about nothing else. (A field that goes makes no key a hash.)
fn is_fields(upsert: &Upsert) -> bool {
    let is_field = |(name, _): &(Name, Op)| name.as_field().is_some();
    let is_set = |(_, op): &(Name, Op)| !op.value().is_null();
    !upsert.replace && upsert.columns.iter().all(is_field) && upsert.columns.iter().any(is_set)
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
    /// Nothing is left of what the key was.
    emptied: bool,
    kind: Option<&'static str>,
    value: Option<Option<Vec<u8>>>,
    expires_ms: Option<Option<i64>>,
    head: Option<Option<String>>,
}

impl Head {
    fn of(connection: &Connection, key: &[u8], upsert: &Upsert) -> Result<Head, SinkError> {
        let emptied = upsert.replace;
        let mut head = Head {
            emptied,
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
                    head.value = Some(value);
                }
                (Part::Stream, op) => {
                    let text = streams::head(op)?;
                    if text.is_some() {
                        head.kind = head.kind.or(Some("stream"));
                    }
                    head.head = Some(text);
                }
                (Part::Entry(_) | Part::Field(_), op) if op.value().is_null() => {}
                (Part::Entry(_), _) => head.kind = head.kind.or(Some("stream")),
                (Part::Field(_), _) => head.kind = head.kind.or(Some("hash")),
            }
        }
        if head.kind.is_none() && matches!(head.value, Some(Some(_))) {
            head.kind = Some("string");
        }
        Ok(head)
    }

    fn land(&self, connection: &Connection, lane: LaneId, key: &[u8]) -> Result<(), SinkError> {
        let mut sql =
            "INSERT INTO landfall_key (key, kind, value, expires_ms, lane, head) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                       ON CONFLICT (key) DO UPDATE SET lane = ?5"
                .to_owned();
        // What is called a string has no other parts ([`Often::SetString`]): a key that has some is not called so.
        let is_of_kind = self.kind.is_some_and(|kind| kind != "string" || self.emptied);
        for (is_set, part) in [
            (is_of_kind, ", kind = ?2"),
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

fn field_value(connection: &Connection, key: &[u8], field: &[u8]) -> Result<Option<Vec<u8>>, SinkError> {
    statement(connection, "SELECT value FROM landfall_hash_field WHERE key = ?1 AND field = ?2")?
        .query_row([key, field], |row| row.get(0))
        .optional()
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
