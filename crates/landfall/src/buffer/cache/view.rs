//! What is known of a row: its value in the form that reads want.
//! A view never holds a value that the log or the database did not give.

use std::sync::Arc;

use super::compact::Compact;
use super::edits::FieldEdits;
use super::hash::Hash;
use super::owed::Owed;
use super::prefetch;
use super::stream::{Stream, StreamEdits};
use crate::model::{Change, Name, Op, StreamHead, Upsert, Value};

/// What is known of a row.
#[derive(Debug, Clone)]
pub enum View {
    /// Nothing but the changes that it is owed, if there are any, and perhaps the head of a stream.
    Unknown(Option<Box<Owed>>),
    /// It does not exist.
    Absent,
    /// A key-value string.
    String(Compact),
    /// A key-value hash; never empty.
    Hash(Hash),
    /// A key-value stream; it may be empty.
    Stream(Box<Stream>),
    /// A row of a mapped table: the columns that are not NULL, sorted by name, key columns included.
    Row(Arc<[(Name, Value)]>),
}

impl Default for View {
    fn default() -> View {
        View::Unknown(None)
    }
}

impl View {
    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        matches!(self, View::Unknown(_))
    }

    /// The head of a stream of which nothing else is known.
    pub fn lone_head(&self) -> Option<&StreamHead> {
        match self {
            View::Unknown(Some(owed)) => owed.head(),
            _ => None,
        }
    }

    /// Has the memory fetched that a read of the value begins with.
    pub(super) fn prefetch(&self) {
        match self {
            View::Unknown(_) | View::Absent => {}
            View::String(value) => value.apart().into_iter().for_each(prefetch::bytes),
            View::Hash(hash) => hash.prefetch(),
            View::Stream(stream) => prefetch::lines(&**stream),
            View::Row(row) => prefetch::line(&**row),
        }
    }

    /// An estimate of the memory held behind the view itself, in bytes.
    pub fn memory_bytes(&self) -> usize {
        match self {
            View::Unknown(owed) => owed.as_ref().map_or(0, |owed| owed.memory_bytes()),
            View::Absent => 0,
            View::String(value) => value.apart_bytes(),
            View::Hash(hash) => hash.memory_bytes(),
            View::Stream(stream) => stream.memory_bytes(),
            View::Row(row) => row
                .iter()
                .fold(16, |sum, (name, value)| sum + name.as_bytes().len() + 16 + value.memory_bytes()),
        }
    }

    /// Becomes `view`.
    pub fn become_this(&mut self, view: View) {
        match (&mut *self, view) {
            (View::String(old), View::String(new)) => old.become_this(new),
            (_, view) => *self = view,
        }
    }

    /// Sets and removes fields of a key-value hash; an empty hash is absent.
    pub fn set_fields(&mut self, fields: &FieldEdits) {
        let mut hash = match std::mem::take(self) {
            View::Hash(hash) => hash,
            _ => Hash::default(),
        };
        hash.change(fields);
        *self = if hash.is_empty() { View::Absent } else { View::Hash(hash) };
    }

    /// Does what a command does to a key-value stream; whatever else it was, it is a stream then.
    pub fn edit_stream(&mut self, edits: &StreamEdits) {
        match self {
            View::Stream(stream) => stream.edit(edits),
            _ => {
                let mut stream = Box::<Stream>::default();
                stream.edit(edits);
                *self = View::Stream(stream);
            }
        }
    }

    /// A mapped row after `change`.
    pub fn changed(self, change: &Change) -> View {
        let columns = match self {
            View::Row(row) => Some(row.to_vec()),
            _ => None,
        };
        apply(columns, change).map_or(View::Absent, |row| View::Row(row.into()))
    }

    /// Becomes a key-value key after `change`, and answers when it expires then (0: never). What the engine writes is done
    /// in place; anything else by way of the key's parts.
    pub fn change_key(&mut self, expires_ms: u64, change: Change) -> u64 {
        match change {
            Change::Upsert(upsert) if self.takes(&upsert) => self.take(expires_ms, &upsert),
            Change::Upsert(upsert) if self.takes_entries(&upsert) => self.take_entries(expires_ms, upsert),
            change => {
                let parts = apply(self.key_parts(expires_ms), &change);
                let (view, expires_ms) = View::of_key_parts(parts.as_deref());
                *self = view;
                expires_ms
            }
        }
    }

    /// Whether [`View::take`] knows what to do: a string gets a value, or a hash gets and loses fields.
    fn takes(&self, upsert: &Upsert) -> bool {
        if matches!(self, View::Stream(_)) && !upsert.replace {
            return false;
        }
        let is_string = matches!(self, View::String(_)) && !upsert.replace;
        let mut sets_string = false;
        let mut sets_fields = false;
        upsert.columns.iter().all(|(name, op)| match (name.as_bytes(), op) {
            (Name::EXPIRES, Op::Assign(Value::Int(_) | Value::Null)) => true,
            (Name::STRING, Op::Assign(Value::Bytes(_))) => {
                sets_string = true;
                !sets_fields
            }
            ([b'.', ..], Op::Assign(Value::Bytes(_) | Value::Null)) => {
                sets_fields = true;
                !sets_string && !is_string
            }
            _ => false,
        })
    }

    /// Whether [`View::take_entries`] knows what to do: entries come and go, with the head that the stream has then.
    fn takes_entries(&self, upsert: &Upsert) -> bool {
        let is_stream = matches!(self, View::Stream(_)) && !upsert.replace;
        let mut has_head = is_stream;
        let known = upsert.columns.iter().all(|(name, op)| match (name.as_bytes(), op) {
            (Name::EXPIRES, Op::Assign(Value::Int(_) | Value::Null)) => true,
            (Name::STREAM, Op::Assign(Value::Bytes(_))) => {
                has_head = true;
                true
            }
            (_, Op::Assign(Value::Bytes(_) | Value::Null)) => name.as_entry().is_some(),
            _ => false,
        });
        known && has_head && (is_stream || upsert.replace || matches!(self, View::Absent))
    }

    fn take_entries(&mut self, mut expires_ms: u64, upsert: Upsert) -> u64 {
        let mut edits = StreamEdits::default();
        match self {
            View::Stream(stream) if !upsert.replace => edits.head = *stream.head(),
            View::Absent if !upsert.replace => {}
            _ => (*self, expires_ms) = (View::Absent, 0),
        }
        for (name, op) in upsert.columns {
            let (Op::Assign(value) | Op::Add(value)) = op;
            match (name.as_entry(), value) {
                (Some(id), Value::Bytes(fields)) => edits.entries.push((id, Some(fields))),
                (Some(id), _) => edits.entries.push((id, None)),
                (None, Value::Int(ms)) => expires_ms = u64::try_from(ms).unwrap_or(1),
                (None, Value::Bytes(head)) => edits.head = StreamHead::parse(&head).unwrap_or_default(),
                (None, _) => expires_ms = 0,
            }
        }
        self.edit_stream(&edits);
        expires_ms
    }

    fn take(&mut self, mut expires_ms: u64, upsert: &Upsert) -> u64 {
        if upsert.replace || !matches!(self, View::String(_) | View::Hash(_) | View::Absent) {
            (*self, expires_ms) = (View::Absent, 0);
        }
        let mut fields: Vec<(&[u8], Option<&[u8]>)> = Vec::new();
        for (name, op) in &upsert.columns {
            let (Op::Assign(value) | Op::Add(value)) = op;
            match (name.as_field(), value) {
                (None, Value::Int(ms)) => expires_ms = u64::try_from(*ms).unwrap_or(1),
                (None, Value::Bytes(bytes)) => self.become_this(View::String(bytes[..].into())),
                (None, _) => expires_ms = 0,
                (Some(field), Value::Bytes(bytes)) => fields.push((field, Some(bytes))),
                (Some(field), _) => fields.push((field, None)),
            }
        }
        if !fields.is_empty() {
            self.set_fields(&FieldEdits::new(fields));
        }
        expires_ms
    }

    /// The view of a key-value key from its parts, and when it expires (0: never).
    pub fn of_key_parts(parts: Option<&[(Name, Value)]>) -> (View, u64) {
        let Some(parts) = parts else { return (View::Absent, 0) };
        let mut expires_ms = 0;
        let mut string = None;
        let mut fields: Vec<(&[u8], Option<&[u8]>)> = Vec::new();
        let (mut head, mut entries) = (None, Vec::new());
        for (name, value) in parts {
            match (name.as_bytes(), value) {
                (Name::STREAM, Value::Bytes(bytes)) => {
                    head = Some(StreamHead::parse(bytes).unwrap_or_default())
                }
                (Name::EXPIRES, Value::Int(ms)) => expires_ms = u64::try_from(*ms).unwrap_or(1),
                (Name::STRING, Value::Bytes(bytes)) => string = Some(&bytes[..]),
                (_, Value::Bytes(bytes)) => {
                    if let Some(field) = name.as_field() {
                        fields.push((field, Some(&bytes[..])));
                    } else if let Some(id) = name.as_entry() {
                        entries.push((id, bytes.clone()));
                    }
                }
                _ => {}
            }
        }
        match string {
            Some(value) => (View::String(value.into()), expires_ms),
            None if head.is_some() || !entries.is_empty() => {
                (View::Stream(Box::new(Stream::new(head, entries))), expires_ms)
            }
            // A time alone: what it was given to is lost. It counts for what comes next, as in the database.
            None if fields.is_empty() => (View::Absent, expires_ms),
            None => {
                let mut hash = Hash::default();
                hash.change(&FieldEdits::new(fields));
                (View::Hash(hash), expires_ms)
            }
        }
    }

    /// The parts of a key-value key, the opposite of [`View::of_key_parts`].
    pub fn key_parts(&self, expires_ms: u64) -> Option<Vec<(Name, Value)>> {
        let mut parts: Vec<(Name, Value)> = match self {
            View::String(value) => vec![(Name::from_bytes(Name::STRING), Value::bytes(value))],
            View::Hash(hash) => {
                hash.iter().map(|(field, value)| (Name::field(field), Value::bytes(value))).collect()
            }
            View::Stream(stream) => {
                let head = Value::bytes(stream.head().to_string().as_bytes());
                let entries =
                    stream.iter().map(|(id, fields)| (Name::entry(id), Value::Bytes(fields.clone())));
                entries.chain([(Name::from_bytes(Name::STREAM), head)]).collect()
            }
            View::Absent if expires_ms > 0 => Vec::new(),
            _ => return None,
        };
        if expires_ms > 0 {
            parts.push((Name::from_bytes(Name::EXPIRES), Value::Int(expires_ms as i64)));
        }
        parts.sort_by(|(a, _), (b, _)| a.cmp(b));
        Some(parts)
    }
}

/// The columns after `change`, in the form that loads and views use.
pub fn apply(columns: Option<Vec<(Name, Value)>>, change: &Change) -> Option<Vec<(Name, Value)>> {
    let Change::Upsert(upsert) = change else { return None };
    let mut row = if upsert.replace { Vec::new() } else { columns.unwrap_or_default() };
    for (name, op) in &upsert.columns {
        match (row.binary_search_by(|(have, _)| have.cmp(name)), op) {
            (Ok(at), Op::Assign(Value::Null)) => {
                row.remove(at);
            }
            (Ok(at), op) => row[at].1 = op.apply(Some(&row[at].1)),
            (Err(_), Op::Assign(Value::Null)) => {}
            (Err(at), op) => row.insert(at, (name.clone(), op.apply(None))),
        }
    }
    Some(row)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::EntryId;

    #[test]
    fn applying_to_columns_equals_the_model() {
        let n = Name::column("n");
        for change in [
            Change::Delete,
            Change::put([(n.clone(), Value::Int(4))]),
            Change::put([(n.clone(), Value::Null)]),
            Change::add(n.clone(), Value::Int(4)),
            Change::replace([(Name::column("m"), Value::Int(1))]),
        ] {
            for before in [None, Some(vec![]), Some(vec![(n.clone(), Value::Int(1))])] {
                let model = change.apply(before.clone().map(|row| row.into_iter().collect()));
                let here = apply(before, &change).map(|row| row.into_iter().collect());
                assert_eq!(here, model, "{change:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_key_changed_in_place_is_the_one_that_its_parts_give(
            changes in prop::collection::vec(
                (0u8..8, prop::collection::vec((0u8..10, 0u8..6), 0..5)),
                1..12,
            )
        ) {
            let name = |at: u8| match at {
                0 => Name::from_bytes(Name::EXPIRES),
                1 => Name::from_bytes(Name::STRING),
                2 => Name::from_bytes(Name::STREAM),
                3..6 => Name::entry(EntryId { ms: at.into(), seq: 1 }),
                at => Name::field(&[b'a' + at]),
            };
            let op = |at: u8, kind: u8| match (at, kind) {
                (_, 0) => Op::Assign(Value::Null),
                (_, 1) => Op::Assign(Value::Int(7)),
                (0, kind) => Op::Assign(Value::Int(i64::from(kind) - 3)),
                (2, kind) => {
                    let last = EntryId { ms: kind.into(), seq: 0 };
                    let head = StreamHead { last, added: kind.into(), ..StreamHead::default() };
                    Op::Assign(Value::bytes(head.to_string().as_bytes()))
                }
                (_, 2) => Op::Add(Value::Int(1)),
                (_, kind) => Op::Assign(Value::bytes(&[kind; 3])),
            };
            let (mut view, mut expires_ms) = (View::Absent, 0);
            for (kind, columns) in changes {
                let columns = columns.into_iter().map(|(at, kind)| (name(at), op(at, kind)));
                let change = if kind == 0 { Change::Delete } else { Change::upsert(kind < 3, columns) };
                let parts = apply(view.key_parts(expires_ms), &change);
                let (model, model_expires_ms) = View::of_key_parts(parts.as_deref());
                expires_ms = view.change_key(expires_ms, change);
                prop_assert_eq!(view.key_parts(expires_ms), model.key_parts(model_expires_ms));
                prop_assert_eq!(expires_ms, model_expires_ms);
                prop_assert!(matches!(view, View::Absent) == matches!(model, View::Absent));
            }
        }
    }

    #[test]
    fn a_time_whose_key_is_lost_counts_for_what_is_put_behind_it() {
        let put = |name: Name, value| Change::put([(name, value)]);
        let time = || put(Name::from_bytes(Name::EXPIRES), Value::Int(5));
        let head = Value::bytes(StreamHead::default().to_string().as_bytes());
        for later in [put(Name::field(b"f"), Value::bytes(b"1")), put(Name::from_bytes(Name::STREAM), head)] {
            let mut view = View::Absent;
            let expires_ms = view.change_key(0, time());
            assert!(matches!(view, View::Absent));
            assert_eq!(view.change_key(expires_ms, later), 5);
            assert!(!matches!(view, View::Absent));
        }
    }

    #[test]
    fn a_key_comes_back_from_its_parts() {
        let mut view = View::Absent;
        view.set_fields(&FieldEdits::new([(&b"f"[..], Some(&b"1"[..]))]));
        let (back, expires) = View::of_key_parts(view.key_parts(77).as_deref());
        assert!(matches!(back, View::Hash(hash) if hash.len() == 1));
        assert_eq!(expires, 77);
        let ids = [(1, u64::MAX), (2, 0), (256, 0)].map(|(ms, seq)| EntryId { ms, seq });
        let head = StreamHead { last: ids[2], added: 5, deleted: ids[0] };
        let entries = ids.map(|id| (id, Some(id.to_string().into_bytes().into())));
        let mut view = View::Absent;
        view.edit_stream(&StreamEdits { head, entries: entries.into() });
        let View::Stream(back) = View::of_key_parts(view.key_parts(0).as_deref()).0 else {
            panic!("no stream")
        };
        assert_eq!((back.head(), back.len()), (&head, 3));
        assert!(
            back.iter().zip(ids).all(|((id, fields), of)| id == of && **fields == *of.to_string().as_bytes())
        );
    }
}
