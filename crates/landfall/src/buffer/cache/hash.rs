//! The fields of a key-value hash: packed in one piece while they are few and short, else a table.
//! Its size is kept in step with every change, and never counted anew.

use indexmap::IndexMap;

use super::compact::ALLOCATION_BYTES;
use super::edits::FieldEdits;
use super::prefetch;

mod packed;

use packed::{Packed, TooMuch};

/// What a field of a table costs besides its name and value: two pointers with lengths, its place, two allocations.
const FIELD_BYTES: usize = 48 + 2 * ALLOCATION_BYTES;
/// What a table costs.
const TABLE_BYTES: usize = 64 + ALLOCATION_BYTES;

/// The fields of a hash. Their order is that in which they came, until one is removed from a table.
#[derive(Debug, Clone)]
pub struct Hash(Fields);

#[derive(Debug, Clone)]
enum Fields {
    Few(Packed),
    Many(Box<Table>),
}

#[derive(Debug, Clone, Default)]
struct Table {
    fields: IndexMap<Box<[u8]>, Box<[u8]>, ahash::RandomState>,
    bytes: usize,
}

impl Default for Hash {
    fn default() -> Hash {
        Hash(Fields::Few(Packed::default()))
    }
}

impl Hash {
    /// How many fields there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Fields::Few(few) => few.len(),
            Fields::Many(many) => many.fields.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Fields::Few(few) => few.bytes().is_empty(),
            Fields::Many(many) => many.fields.is_empty(),
        }
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        match &self.0 {
            Fields::Few(few) => few.get(field),
            Fields::Many(many) => many.fields.get(field).map(|value| &**value),
        }
    }

    /// Whether a field is there.
    pub fn contains_key(&self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// All fields with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (few, many) = match &self.0 {
            Fields::Few(few) => (Some(few), None),
            Fields::Many(many) => (None, Some(many)),
        };
        let many = many.into_iter().flat_map(|many| many.fields.iter());
        let many = many.map(|(field, value)| (&**field, &**value));
        few.into_iter().flat_map(Packed::iter).chain(many)
    }

    /// Gives fields values and takes fields away.
    pub fn change(&mut self, edits: &FieldEdits) {
        if let Fields::Few(few) = &mut self.0 {
            match few.change(edits) {
                Ok(()) => return,
                Err(TooMuch) => {
                    let mut many = Table::default();
                    few.iter().for_each(|(field, value)| many.set(field, value));
                    self.0 = Fields::Many(Box::new(many));
                }
            }
        }
        let Fields::Many(many) = &mut self.0 else { return };
        for (field, value) in edits.iter() {
            match value {
                Some(value) => many.set(field, value),
                None => many.remove(field),
            }
        }
    }

    /// Has the memory fetched that a read begins with.
    pub(super) fn prefetch(&self) {
        match &self.0 {
            Fields::Few(few) => prefetch::bytes(few.bytes()),
            Fields::Many(many) => prefetch::lines(&**many),
        }
    }

    /// An estimate of the memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        match &self.0 {
            Fields::Few(few) => few.memory_bytes(),
            Fields::Many(many) => TABLE_BYTES + many.bytes,
        }
    }
}

impl Table {
    fn set(&mut self, field: &[u8], value: &[u8]) {
        match self.fields.get_mut(field) {
            Some(have) if have.len() == value.len() => have.copy_from_slice(value),
            Some(have) => {
                self.bytes = self.bytes + value.len() - have.len();
                *have = value.into();
            }
            None => {
                self.bytes += FIELD_BYTES + field.len() + value.len();
                self.fields.insert(field.into(), value.into());
            }
        }
    }

    /// The last field takes the place of the one that goes.
    fn remove(&mut self, field: &[u8]) {
        if let Some(old) = self.fields.swap_remove(field) {
            self.bytes -= FIELD_BYTES + field.len() + old.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_hash_is_a_map_and_its_size_is_that_of_its_fields(
            commands in prop::collection::vec(
                prop::collection::vec((0u8..40, prop::option::of(0usize..200)), 0..6), 0..100)
        ) {
            let mut hash = Hash::default();
            let mut model = std::collections::BTreeMap::new();
            for edits in commands {
                let edits: Vec<(Vec<u8>, Option<Vec<u8>>)> = edits
                    .into_iter()
                    .map(|(field, value)| (vec![field; 3], value.map(|length| vec![field; length])))
                    .collect();
                let given = edits.iter().map(|(field, value)| (&field[..], value.as_deref()));
                let edits = FieldEdits::new(given);
                hash.change(&edits);
                for (field, value) in edits.iter() {
                    match value {
                        Some(value) => model.insert(field.to_vec(), value.to_vec()),
                        None => model.remove(field),
                    };
                }
                prop_assert_eq!(hash.len(), model.len());
                prop_assert_eq!(hash.is_empty(), model.is_empty());
                let bytes: usize =
                    model.iter().map(|(field, value)| FIELD_BYTES + field.len() + value.len()).sum();
                if let Fields::Many(_) = hash.0 {
                    prop_assert_eq!(hash.memory_bytes(), TABLE_BYTES + bytes);
                }
            }
            for (field, value) in &model {
                prop_assert_eq!(hash.get(field), Some(&value[..]));
            }
            let found: std::collections::BTreeMap<_, _> =
                hash.iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect();
            prop_assert_eq!(found, model);
        }
    }

    #[test]
    fn few_short_fields_lie_in_one_piece_and_others_in_a_table() {
        let set = |count: usize, length: usize| {
            let values = vec![b'v'; length];
            let names: Vec<String> = (0..count).map(|n| format!("field{n}")).collect();
            let mut hash = Hash::default();
            hash.change(&FieldEdits::new(names.iter().map(|name| (name.as_bytes(), Some(&values[..])))));
            assert!(names.iter().all(|name| hash.get(name.as_bytes()) == Some(&values[..])));
            assert_eq!(hash.iter().count(), count);
            matches!(hash.0, Fields::Few(_))
        };
        assert_eq!([set(5, 10), set(16, 10), set(1, 900), set(3, 200)], [true; 4]);
        assert_eq!([set(17, 10), set(1, 1100), set(6, 200)], [false; 3]);
        assert_eq!(size_of::<Hash>(), 16);
    }
}
