//! What becomes of fields of a hash in one command: all names and values in one buffer, sorted by field.
//! One allocation however many fields: a client chooses how many.

use smallvec::SmallVec;

/// As much as the fields of most commands take.
const FIRST_BYTES: usize = 128;

/// Fields that get a value or are removed, sorted by field and each once.
#[derive(Debug, Clone, Default)]
pub struct FieldEdits {
    bytes: Vec<u8>,
    edits: SmallVec<[Edit; 4]>,
}

#[derive(Debug, Clone, Copy)]
struct Edit {
    start: usize,
    field_end: usize,
    /// The end of the value, or none when the field is removed.
    value_end: Option<usize>,
}

impl FieldEdits {
    /// Edits in any order; of those that name one field the last counts.
    pub fn new<'f>(edits: impl IntoIterator<Item = (&'f [u8], Option<&'f [u8]>)>) -> FieldEdits {
        let mut all = FieldEdits { bytes: Vec::with_capacity(FIRST_BYTES), ..FieldEdits::default() };
        for (field, value) in edits {
            let start = all.bytes.len();
            all.bytes.extend_from_slice(field);
            let field_end = all.bytes.len();
            all.bytes.extend_from_slice(value.unwrap_or_default());
            let value_end = value.map(|_| all.bytes.len());
            all.edits.push(Edit { start, field_end, value_end });
        }
        all.sort();
        all
    }

    /// Sorts by field, and keeps of those that name one field the last. Never more than n log n.
    fn sort(&mut self) {
        let bytes = &self.bytes;
        let field = |edit: &Edit| &bytes[edit.start..edit.field_end];
        if self.edits.is_sorted_by(|a, b| field(a) < field(b)) {
            return;
        }
        self.edits.sort_by(|a, b| field(a).cmp(field(b)));
        self.edits.dedup_by(|later, earlier| {
            let same = field(later) == field(earlier);
            if same {
                *earlier = *later;
            }
            same
        });
    }

    /// How many fields are named.
    pub fn len(&self) -> usize {
        self.edits.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The fields with their new values, or none where they are removed, sorted by field.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.edits.iter().map(|edit| {
            let value = edit.value_end.map(|end| &self.bytes[edit.field_end..end]);
            (&self.bytes[edit.start..edit.field_end], value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_field_that_is_named_twice_the_last_edit_counts() {
        let edits = FieldEdits::new([
            (&b"b"[..], Some(&b"1"[..])),
            (b"a", None),
            (b"b", Some(b"2")),
            (b"a", Some(b"3")),
            (b"c", None),
        ]);
        let found: Vec<_> = edits.iter().collect();
        assert_eq!(found, [(&b"a"[..], Some(&b"3"[..])), (b"b", Some(b"2")), (b"c", None)]);
    }
}
