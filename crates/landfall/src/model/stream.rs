//! Streams as the model sees them: ids of entries, the head of a stream, and the bytes of an entry's fields.
//! An id that was given stays given: nothing here makes one that is not above the last.

use std::fmt;

use super::codec::{Reader, put_bytes};

/// The id of an entry: milliseconds, and a number within them.
///
/// ```
/// use landfall::model::EntryId;
/// let last = EntryId { ms: 1_700, seq: 4 };
/// assert_eq!(last.next_at(1_700), Some(EntryId { ms: 1_700, seq: 5 }));
/// assert_eq!(last.next_at(1_699), Some(EntryId { ms: 1_700, seq: 5 })); // the clock went back
/// assert_eq!(last.next_at(1_701).unwrap().to_string(), "1701-0");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EntryId {
    /// Unix milliseconds, unless a client chose otherwise.
    pub ms: u64,
    /// The number within the millisecond.
    pub seq: u64,
}

impl EntryId {
    /// Below every entry.
    pub const MIN: EntryId = EntryId { ms: 0, seq: 0 };
    /// The last id there is.
    pub const MAX: EntryId = EntryId { ms: u64::MAX, seq: u64::MAX };

    /// The id behind this one; none behind the last.
    pub fn next(self) -> Option<EntryId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(EntryId { seq, ..self }),
            None => self.ms.checked_add(1).map(|ms| EntryId { ms, seq: 0 }),
        }
    }

    /// The id before this one; none before the first.
    pub fn previous(self) -> Option<EntryId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(EntryId { seq, ..self }),
            None => self.ms.checked_sub(1).map(|ms| EntryId { ms, seq: u64::MAX }),
        }
    }

    /// The id of an entry that comes behind this one at the time `now_ms`: of that time, unless this one is of it or of a
    /// later one. None behind the last id.
    pub fn next_at(self, now_ms: u64) -> Option<EntryId> {
        match now_ms > self.ms {
            true => Some(EntryId { ms: now_ms, seq: 0 }),
            false => self.next(),
        }
    }

    /// An id as clients and tables write it: `ms-seq`, or `ms` alone with `seq` instead of what is left out.
    pub fn parse(text: &str, seq: u64) -> Option<EntryId> {
        match text.split_once('-') {
            Some((ms, seq)) => Some(EntryId { ms: number(ms)?, seq: number(seq)? }),
            None => Some(EntryId { ms: number(text)?, seq }),
        }
    }
}

/// A number below 2^64, in the forms that Redis takes: with blanks, a plus or zeros before it.
pub fn number(text: &str) -> Option<u64> {
    let digits = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    // `parse` would take another plus.
    if digits.starts_with('+') { None } else { digits.parse().ok() }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// What a stream knows beside its entries.
///
/// Its text is `last added deleted`, as in `1700-4 5 0-0`: the form in which it is logged and stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamHead {
    /// The last id that was given: every new one is above it, also when the entry is gone.
    pub last: EntryId,
    /// How many entries were ever added.
    pub added: u64,
    /// The highest id that XDEL has removed.
    pub deleted: EntryId,
}

impl StreamHead {
    /// A head from its text.
    pub fn parse(text: &[u8]) -> Option<StreamHead> {
        let mut parts = std::str::from_utf8(text).ok()?.split(' ');
        let mut next = || parts.next();
        let (last, added, deleted) = (next()?, next()?, next()?);
        let head = StreamHead {
            last: EntryId::parse(last, 0)?,
            added: added.parse().ok()?,
            deleted: EntryId::parse(deleted, 0)?,
        };
        parts.next().is_none().then_some(head)
    }
}

impl fmt::Display for StreamHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.last, self.added, self.deleted)
    }
}

/// The bytes of an entry: its fields and values one after the other, each with its length. A name may recur.
pub fn encode_fields<'f>(parts: impl IntoIterator<Item = &'f [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    parts.into_iter().for_each(|part| put_bytes(&mut out, part));
    out
}

/// The fields and values in the bytes of an entry, in their order; bytes that [`encode_fields`] did not make end early.
pub fn fields(entry: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let mut left = entry;
    std::iter::from_fn(move || {
        let mut reader = Reader::new(left);
        let part = if reader.is_empty() { None } else { reader.bytes().ok() };
        left = if part.is_some() { reader.rest() } else { &[] };
        part
    })
}

/// Whether these bytes are an entry: fields with a value each.
pub fn is_entry(entry: &[u8]) -> bool {
    let mut reader = Reader::new(entry);
    let mut count = 0usize;
    while !reader.is_empty() {
        if reader.bytes().is_err() {
            return false;
        }
        count += 1;
    }
    count.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_go_on_behind_the_last_and_end_at_the_highest() {
        let id = |ms, seq| EntryId { ms, seq };
        assert_eq!(id(5, u64::MAX).next(), Some(id(6, 0)));
        assert_eq!(id(6, 0).previous(), Some(id(5, u64::MAX)));
        assert_eq!((EntryId::MAX.next(), EntryId::MIN.previous()), (None, None));
        assert_eq!(EntryId::MAX.next_at(u64::MAX), None);
        assert_eq!(EntryId::MIN.next_at(0), Some(id(0, 1)));
    }

    #[test]
    fn an_id_is_read_in_the_forms_that_redis_takes() {
        let id = |ms, seq| Some(EntryId { ms, seq });
        for (text, found) in [
            ("5", id(5, 7)),
            ("5-3", id(5, 3)),
            ("05- +3", id(5, 3)),
            ("18446744073709551615-18446744073709551615", Some(EntryId::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("-", None),
            ("5-", None),
            ("5-*", None),
            ("5--3", None),
            ("5-3-1", None),
            ("++5", None),
            ("5 ", None),
            ("x", None),
        ] {
            assert_eq!(EntryId::parse(text, 7), found, "{text}");
        }
    }

    #[test]
    fn a_head_comes_back_from_its_text() {
        let head =
            StreamHead { last: EntryId { ms: 1700, seq: 4 }, added: 5, deleted: EntryId { ms: 3, seq: 1 } };
        assert_eq!(head.to_string(), "1700-4 5 3-1");
        assert_eq!(StreamHead::parse(head.to_string().as_bytes()), Some(head));
        for text in ["", "1-1", "1-1 5", "1-1 5 0-0 x", "1-1 x 0-0", "1-1 5 0-0 ", "\u{ff}"] {
            assert_eq!(StreamHead::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn the_fields_of_an_entry_come_back_in_their_order(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8)
        ) {
            let entry = encode_fields(parts.iter().map(|part| &part[..]));
            let back: Vec<Vec<u8>> = fields(&entry).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(is_entry(&entry), parts.len() % 2 == 0);
            prop_assert_eq!(back, parts);
        }

        #[test]
        fn garbage_is_fields_that_end(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(fields(&bytes).count() <= bytes.len());
            is_entry(&bytes);
        }
    }
}
