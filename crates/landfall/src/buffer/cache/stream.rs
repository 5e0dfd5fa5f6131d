//! The entries of a key-value stream, by id, and what one command does to them.
//! Its size is kept in step with every change, and never counted anew. It gives no ids: whoever writes has chosen them.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::model::{Change, EntryId, Name, StreamHead, Value};

/// What an entry costs besides its fields: its place, and an allocation.
const ENTRY_BYTES: usize = 64;

type Entry = (EntryId, Arc<[u8]>);

/// A stream: its head, and its entries in the order of their ids.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    head: StreamHead,
    entries: VecDeque<Entry>,
    bytes: usize,
}

/// What becomes of a stream in one command: entries that come or go, sorted by id and each once, and its head afterwards.
#[derive(Debug, Clone, Default)]
pub struct StreamEdits {
    /// The head.
    pub head: StreamHead,
    /// Entries with their fields, or none where they go.
    pub entries: Vec<(EntryId, Option<Arc<[u8]>>)>,
}

impl StreamEdits {
    /// The same as a change of the key's parts.
    pub fn into_change(self) -> Change {
        let head = (Name::from_bytes(Name::STREAM), Value::bytes(self.head.to_string().as_bytes()));
        let entry = |(id, fields): (EntryId, Option<Arc<[u8]>>)| {
            (Name::entry(id), fields.map_or(Value::Null, Value::Bytes))
        };
        Change::put(self.entries.into_iter().map(entry).chain([head]))
    }
}

impl Stream {
    /// A stream from its parts, the entries sorted by id. A head that is missing, or that knows less than the entries show,
    /// is made good: another program may have written them.
    pub fn new(head: Option<StreamHead>, entries: Vec<Entry>) -> Stream {
        let mut head = head.unwrap_or(StreamHead { added: entries.len() as u64, ..StreamHead::default() });
        head.last = entries.last().map_or(head.last, |(id, _)| head.last.max(*id));
        let bytes = entries.iter().map(|(_, fields)| ENTRY_BYTES + fields.len()).sum();
        Stream { head, entries: entries.into(), bytes }
    }

    /// The head.
    pub fn head(&self) -> &StreamHead {
        &self.head
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none; such a stream still has its last id.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The id of the first entry.
    pub fn first(&self) -> Option<EntryId> {
        self.entries.front().map(|(id, _)| *id)
    }

    /// The id of the last entry that is there.
    pub fn last(&self) -> Option<EntryId> {
        self.entries.back().map(|(id, _)| *id)
    }

    /// Whether this entry is there.
    pub fn contains(&self, id: EntryId) -> bool {
        self.place(id).is_ok()
    }

    /// The entries of a range of ids, in their order.
    pub fn range(
        &self,
        ids: RangeInclusive<EntryId>,
    ) -> impl DoubleEndedIterator<Item = (EntryId, &Arc<[u8]>)> {
        let start = self.entries.partition_point(|(id, _)| id < ids.start());
        let end = self.entries.partition_point(|(id, _)| id <= ids.end());
        self.entries.range(start..end.max(start)).map(|(id, fields)| (*id, fields))
    }

    /// All entries.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (EntryId, &Arc<[u8]>)> {
        self.entries.iter().map(|(id, fields)| (*id, fields))
    }

    /// Does what a command does to a stream.
    pub fn edit(&mut self, edits: &StreamEdits) {
        self.head = edits.head;
        for (id, fields) in &edits.entries {
            match fields {
                Some(fields) => self.set(*id, fields.clone()),
                None => self.remove(*id),
            }
        }
        // Never below an entry that is there, whoever wrote it.
        self.head.last = self.head.last.max(self.last().unwrap_or(EntryId::MIN));
    }

    fn place(&self, id: EntryId) -> Result<usize, usize> {
        // Nearly always it is the first that goes, and a last one that comes.
        match (self.first(), self.last()) {
            (Some(first), _) if first == id => Ok(0),
            (_, Some(last)) if last < id => Err(self.entries.len()),
            _ => self.entries.binary_search_by(|(have, _)| have.cmp(&id)),
        }
    }

    fn set(&mut self, id: EntryId, fields: Arc<[u8]>) {
        self.bytes += fields.len();
        match self.place(id) {
            Ok(at) => {
                let old = std::mem::replace(&mut self.entries[at].1, fields);
                self.bytes -= old.len();
            }
            Err(at) => {
                self.bytes += ENTRY_BYTES;
                self.entries.insert(at, (id, fields));
            }
        }
    }

    fn remove(&mut self, id: EntryId) {
        let old = self.place(id).ok().and_then(|at| self.entries.remove(at));
        if let Some((_, old)) = old {
            self.bytes -= ENTRY_BYTES + old.len();
        }
        // A stream that was once long does not hold its room for ever.
        if self.entries.capacity() > 64 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }

    /// The bytes of all fields.
    pub fn fields_bytes(&self) -> usize {
        self.bytes - ENTRY_BYTES * self.entries.len()
    }

    /// An estimate of the memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        128 + self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn id(ms: u64) -> EntryId {
        EntryId { ms, seq: 1 }
    }

    proptest! {
        #[test]
        fn a_stream_is_a_sorted_map_and_its_size_is_that_of_its_entries(
            edits in prop::collection::vec(
                prop::collection::btree_map(0u64..40, prop::option::of(0usize..9), 0..4), 0..100
            ),
            (from, to) in (0u64..40, 0u64..40),
        ) {
            let mut stream = Stream::default();
            let mut model: BTreeMap<EntryId, Vec<u8>> = BTreeMap::new();
            for (step, entries) in edits.into_iter().enumerate() {
                let head = StreamHead { added: step as u64, ..StreamHead::default() };
                let entries: Vec<(EntryId, Option<Arc<[u8]>>)> = entries
                    .into_iter()
                    .map(|(ms, length)| (id(ms), length.map(|length| vec![7; length].into())))
                    .collect();
                for (id, fields) in &entries {
                    match fields {
                        Some(fields) => model.insert(*id, fields.to_vec()),
                        None => model.remove(id),
                    };
                }
                stream.edit(&StreamEdits { head, entries });
                let last = model.keys().last().copied().unwrap_or(EntryId::MIN);
                prop_assert_eq!(stream.head(), &StreamHead { last, ..head });
            }
            let found = |entries: &mut dyn Iterator<Item = (EntryId, &Arc<[u8]>)>| -> Vec<(EntryId, Vec<u8>)> {
                entries.map(|(id, fields)| (id, fields.to_vec())).collect()
            };
            let whole: Vec<_> = model.clone().into_iter().collect();
            prop_assert_eq!(found(&mut stream.iter()), whole);
            let part: Vec<_> = model.clone().into_iter().filter(|(at, _)| (id(from)..=id(to)).contains(at)).collect();
            prop_assert_eq!(found(&mut stream.range(id(from)..=id(to))), part);
            let bytes: usize = model.values().map(|fields| ENTRY_BYTES + fields.len()).sum();
            prop_assert_eq!((stream.memory_bytes(), stream.len()), (128 + bytes, model.len()));
            prop_assert_eq!(stream.first(), model.keys().next().copied());
            prop_assert_eq!(stream.last(), model.keys().last().copied());
        }
    }

    #[test]
    fn a_head_that_is_missing_is_told_from_the_entries() {
        let entries = vec![(id(3), Arc::from(&b""[..])), (id(9), Arc::from(&b""[..]))];
        let stream = Stream::new(None, entries.clone());
        assert_eq!(stream.head(), &StreamHead { last: id(9), added: 2, deleted: EntryId::MIN });
        let behind = StreamHead { last: id(5), added: 7, deleted: id(4) };
        assert_eq!(Stream::new(Some(behind), entries).head(), &StreamHead { last: id(9), ..behind });
    }
}
