//! The name of a column, or of a part of a key-value key, as changes and records carry it.
//! A name is resolved before it is logged: a changed catalogue cannot reinterpret it.

use std::fmt;
use std::sync::Arc;

use super::stream::EntryId;

/// A column name of a mapped table, or one of the parts of a key-value key.
///
/// The parts of a key-value key are `=v` (the value of a string), `=x` (when the key expires, Unix
/// milliseconds), `.field` (a field of a hash), `=s` (the head of a stream) and `+` with 16 bytes (an entry of a stream,
/// by its id).
///
/// ```
/// use landfall::model::Name;
/// assert_eq!(Name::field(b"age").as_field(), Some(&b"age"[..]));
/// assert_eq!(Name::column("age").as_field(), None);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<[u8]>);

/// What the name of an entry begins with.
const ENTRY: u8 = b'+';
/// How long the name of an entry is.
const ENTRY_BYTES: usize = 17;

impl Name {
    /// The part of a key-value key that holds a string's value.
    pub const STRING: &'static [u8] = b"=v";
    /// The part of a key-value key that holds the time of its expiry.
    pub const EXPIRES: &'static [u8] = b"=x";

    /// The part of a key-value key that holds the head of a stream.
    pub const STREAM: &'static [u8] = b"=s";

    /// The name of a table's column.
    pub fn column(name: &str) -> Name {
        Name(name.as_bytes().into())
    }

    /// The part of a key-value key that holds `field` of a hash.
    pub fn field(field: &[u8]) -> Name {
        let mut bytes = Vec::with_capacity(field.len() + 1);
        bytes.push(b'.');
        bytes.extend_from_slice(field);
        Name(bytes.into())
    }

    /// The part of a key-value key that holds an entry of a stream. Names of entries sort as their ids do.
    pub fn entry(id: EntryId) -> Name {
        Name(Name::entry_bytes(id)[..].into())
    }

    /// The bytes of [`Name::entry`].
    pub fn entry_bytes(id: EntryId) -> [u8; ENTRY_BYTES] {
        let mut bytes = [ENTRY; ENTRY_BYTES];
        bytes[1..9].copy_from_slice(&id.ms.to_be_bytes());
        bytes[9..].copy_from_slice(&id.seq.to_be_bytes());
        bytes
    }

    /// A name from the bytes that a record carries.
    pub fn from_bytes(bytes: &[u8]) -> Name {
        Name(bytes.into())
    }

    /// The bytes that a record carries.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The hash field that this name stands for, or none.
    pub fn as_field(&self) -> Option<&[u8]> {
        self.0.strip_prefix(b".")
    }

    /// The entry of a stream that this name stands for, or none.
    pub fn as_entry(&self) -> Option<EntryId> {
        let (&ENTRY, id) = self.0.split_first()? else { return None };
        let (ms, seq) = id.split_at_checked(8)?;
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
        Some(EntryId { ms: number(ms)?, seq: number(seq)? })
    }

    /// The name as text, for columns; a name that is not UTF-8 is shown with replacement characters.
    pub fn to_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_entries_sort_as_their_ids_and_tell_them() {
        let ids = [(0, 1), (0, u64::MAX), (1, 0), (255, 7), (256, 0), (u64::MAX, u64::MAX)];
        let names = ids.map(|(ms, seq)| Name::entry(EntryId { ms, seq }));
        assert!(names.is_sorted_by(|a, b| a < b));
        for (name, (ms, seq)) in names.iter().zip(ids) {
            assert_eq!(name.as_entry(), Some(EntryId { ms, seq }));
            assert!(*name < Name::from_bytes(Name::STREAM) && name.as_field().is_none());
        }
        for name in
            [&b"+"[..], b"+12345678", b"+123456781234567", b"+12345678123456789", b".234567812345678_"]
        {
            assert_eq!(Name::from_bytes(name).as_entry(), None);
        }
    }
}
