//! The fields of a key-value hash: a short list while there are few, a table when there are many.
//! Its size is kept in step with every change, and never counted anew.

use std::sync::Arc;

use indexmap::IndexMap;

/// From more fields than this on, a table finds them faster than a look at each.
const FEW: usize = 16;
/// What a field costs besides its name and value: two pointers with lengths, two allocations.
const FIELD_BYTES: usize = 64;

type Field = (Box<[u8]>, Arc<[u8]>);
type Table = IndexMap<Box<[u8]>, Arc<[u8]>, ahash::RandomState>;

/// The fields of a hash. Their order is that in which they came, until one is removed.
#[derive(Debug, Clone)]
pub struct Hash {
    fields: Fields,
    bytes: usize,
}

#[derive(Debug, Clone)]
enum Fields {
    Few(Vec<Field>),
    Many(Box<Table>),
}

impl Default for Hash {
    fn default() -> Hash {
        Hash { fields: Fields::Few(Vec::new()), bytes: 0 }
    }
}

impl Hash {
    /// One field.
    pub fn of(field: Box<[u8]>, value: Arc<[u8]>) -> Hash {
        let mut hash = Hash::default();
        hash.insert(field, value);
        hash
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        match &self.fields {
            Fields::Few(few) => few.len(),
            Fields::Many(many) => many.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> Option<&Arc<[u8]>> {
        match &self.fields {
            Fields::Few(few) => few.iter().find(|(have, _)| **have == *field).map(|(_, value)| value),
            Fields::Many(many) => many.get(field),
        }
    }

    /// Whether a field is there.
    pub fn contains_key(&self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// All fields with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Arc<[u8]>)> {
        let (few, many) = match &self.fields {
            Fields::Few(few) => (Some(few), None),
            Fields::Many(many) => (None, Some(many)),
        };
        let few = few.into_iter().flatten().map(|(field, value)| (&**field, value));
        few.chain(many.into_iter().flat_map(|many| many.iter()).map(|(field, value)| (&**field, value)))
    }

    /// Gives a field a value, in the place of the old one where it fits and nobody else holds it.
    pub fn set(&mut self, field: &[u8], value: &[u8]) {
        let have = match &mut self.fields {
            Fields::Few(few) => few.iter_mut().find(|(have, _)| **have == *field).map(|(_, have)| have),
            Fields::Many(many) => many.get_mut(field),
        };
        let Some(have) = have else { return self.insert(field.into(), value.into()) };
        match Arc::get_mut(have) {
            Some(old) if old.len() == value.len() => old.copy_from_slice(value),
            _ => {
                self.bytes = self.bytes + value.len() - have.len();
                *have = value.into();
            }
        }
    }

    /// Gives a field a value.
    pub fn insert(&mut self, field: Box<[u8]>, value: Arc<[u8]>) {
        let (name_bytes, value_bytes) = (field.len(), value.len());
        let old = match &mut self.fields {
            Fields::Few(few) => match few.iter_mut().find(|(have, _)| *have == field) {
                Some((_, have)) => Some(std::mem::replace(have, value)),
                None => {
                    few.push((field, value));
                    None
                }
            },
            Fields::Many(many) => many.insert(field, value),
        };
        match old {
            Some(old) => self.bytes -= old.len(),
            None => self.bytes += FIELD_BYTES + name_bytes,
        }
        self.bytes += value_bytes;
        if let Fields::Few(few) = &mut self.fields
            && few.len() > FEW
        {
            self.fields = Fields::Many(Box::new(std::mem::take(few).into_iter().collect()));
        }
    }

    /// Takes a field away; the last field takes its place in the order.
    pub fn remove(&mut self, field: &[u8]) {
        let old = match &mut self.fields {
            Fields::Few(few) => {
                few.iter().position(|(have, _)| **have == *field).map(|at| few.swap_remove(at).1)
            }
            Fields::Many(many) => many.swap_remove(field),
        };
        if let Some(old) = old {
            self.bytes -= FIELD_BYTES + field.len() + old.len();
        }
    }

    /// An estimate of the memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        64 + self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_hash_is_a_map_and_its_size_is_that_of_its_fields(
            edits in prop::collection::vec((0u8..40, prop::option::of(0usize..9)), 0..200)
        ) {
            let mut hash = Hash::default();
            let mut model = std::collections::BTreeMap::new();
            for (field, value) in edits {
                match value {
                    Some(length) => {
                        hash.set(&[field; 3], &vec![field; length]);
                        model.insert(vec![field; 3], vec![field; length]);
                    }
                    None => {
                        hash.remove(&[field; 3]);
                        model.remove(&vec![field; 3]);
                    }
                }
            }
            prop_assert_eq!(hash.len(), model.len());
            let found: std::collections::BTreeMap<_, _> =
                hash.iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect();
            let bytes: usize = model.iter().map(|(field, value)| FIELD_BYTES + field.len() + value.len()).sum();
            prop_assert_eq!(hash.memory_bytes(), 64 + bytes);
            for (field, value) in &model {
                prop_assert_eq!(hash.get(field).map(|value| value.to_vec()), Some(value.clone()));
            }
            prop_assert_eq!(found, model);
        }
    }
}
