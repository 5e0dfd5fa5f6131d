//! What one command does to one row: its bytes in the record, and what it leaves in the cache.
//! Both come from the same value, so that the log and the view cannot tell different stories.

use crate::buffer::cache::shard::After;
use crate::buffer::cache::{Compact, FieldEdits, StreamEdits, View};
use crate::model::codec::BodyWriter;
use crate::model::{Change, Name, Table, Value};

/// What a command does to a row.
#[derive(Debug)]
pub(super) enum Effect {
    /// A string, replacing whatever the key held.
    String { value: Compact, expires_ms: u64 },
    /// Fields of a hash, set or removed, sorted by field; `replace`: the key was absent.
    Fields { fields: Box<FieldEdits>, replace: bool },
    /// Entries of a stream, added or removed, and its head; `anew`: nothing is left of what the key was before, and it
    /// expires then (0: never).
    Stream { edits: Box<StreamEdits>, anew: Option<u64> },
    /// Another time of expiry; 0: never.
    Expire(u64),
    /// The key or row is gone.
    Delete,
    /// A change of a mapped row.
    Row(Change),
}

impl Effect {
    /// What it leaves in the cache; a row of a table is served until then without being loaded again.
    pub(super) fn into_after(self, table: Option<&Table>, until: u64) -> After {
        match self {
            Effect::String { value, expires_ms } => After::Known(View::String(value), expires_ms),
            Effect::Fields { fields, replace } => After::Fields(fields, replace),
            Effect::Stream { edits, anew } => After::Stream(edits, anew),
            Effect::Expire(expires_ms) => After::Expires(expires_ms),
            Effect::Delete => After::Known(View::Absent, until * u64::from(table.is_some())),
            Effect::Row(change) => {
                let computed =
                    |table: &Table| table.columns.iter().any(|column| column.generated || column.has_default);
                After::Changed { change, until, reload: table.is_some_and(computed) }
            }
        }
    }

    /// Appends this effect to a record's body.
    pub(super) fn encode(&self, writer: &mut BodyWriter<'_>, lane: u8, row: &[u8]) {
        match self {
            Effect::String { value, expires_ms } => {
                writer.upsert(lane, row, true, 1 + usize::from(*expires_ms > 0));
                writer.name(Name::STRING, false);
                writer.bytes_value(value);
                if *expires_ms > 0 {
                    writer.name(Name::EXPIRES, false);
                    writer.value(&Value::Int(*expires_ms as i64));
                }
            }
            Effect::Fields { fields, replace } => {
                writer.upsert(lane, row, *replace, fields.len());
                for (field, value) in fields.iter() {
                    writer.field(field);
                    match value {
                        Some(value) => writer.bytes_value(value),
                        None => writer.value(&Value::Null),
                    }
                }
            }
            Effect::Stream { edits, anew } => {
                let expires_ms = anew.unwrap_or(0);
                let columns = edits.entries.len() + 1 + usize::from(expires_ms > 0);
                writer.upsert(lane, row, anew.is_some(), columns);
                for (id, fields) in &edits.entries {
                    writer.name(&Name::entry_bytes(*id), false);
                    match fields {
                        Some(fields) => writer.bytes_value(fields),
                        None => writer.value(&Value::Null),
                    }
                }
                writer.name(Name::STREAM, false);
                writer.bytes_value(edits.head.to_string().as_bytes());
                if expires_ms > 0 {
                    writer.name(Name::EXPIRES, false);
                    writer.value(&Value::Int(expires_ms as i64));
                }
            }
            Effect::Expire(expires_ms) => {
                writer.upsert(lane, row, false, 1);
                writer.name(Name::EXPIRES, false);
                writer.value(&if *expires_ms > 0 { Value::Int(*expires_ms as i64) } else { Value::Null });
            }
            Effect::Delete => writer.row(lane, row, &Change::Delete),
            Effect::Row(change) => writer.row(lane, row, change),
        }
    }
}

/// The row behind `effect`, when it was known before or the effect makes it known.
pub(super) fn overlaid(seen: Option<(View, u64)>, effect: &Effect) -> Option<(View, u64)> {
    match effect {
        Effect::String { value, expires_ms } => Some((View::String(value.clone()), *expires_ms)),
        Effect::Delete => Some((View::Absent, 0)),
        Effect::Expire(expires_ms) => seen.map(|(view, _)| (view, *expires_ms)),
        Effect::Fields { fields, .. } => seen.map(|(mut view, expires_ms)| {
            view.set_fields(fields);
            (view, expires_ms)
        }),
        Effect::Stream { edits, anew: Some(expires_ms) } => {
            let mut view = View::Absent;
            view.edit_stream(edits);
            Some((view, *expires_ms))
        }
        Effect::Stream { edits, anew: None } => seen.map(|(mut view, expires_ms)| {
            view.edit_stream(edits);
            (view, expires_ms)
        }),
        Effect::Row(change) => seen.map(|(view, _)| (view.changed(change), 0)),
    }
}
