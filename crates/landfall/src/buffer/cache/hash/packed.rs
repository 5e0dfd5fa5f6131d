//! A few fields of a hash in one piece of memory: names and values one behind the other, each with its length before it.
//! It must never hold more than a look at all of it may cost: whoever would pack more is told that it does not fit.

use crate::buffer::cache::compact::ALLOCATION_BYTES;
use crate::buffer::cache::edits::FieldEdits;

/// From more fields than this on, a table finds them faster than a look at each.
const FIELDS_MAX: usize = 16;
/// A change of one field may copy all of them.
const BYTES_MAX: usize = 1024;
/// A length below this takes one byte, any other two: none is above [`BYTES_MAX`].
const SHORT: usize = 0x80;

/// Packed fields. Their order is that in which they came.
#[derive(Debug, Clone, Default)]
pub(super) struct Packed(Box<[u8]>);

/// The fields do not fit in here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

impl Packed {
    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.0.len() + ALLOCATION_BYTES
    }

    /// What is read first.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (field, behind) = take(rest)?;
            let (value, behind) = take(behind)?;
            rest = behind;
            Some((field, value))
        })
    }

    pub(super) fn get(&self, field: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(have, _)| *have == field).map(|(_, value)| value)
    }

    /// Changes fields; nothing is changed when the result would not fit.
    pub(super) fn change(&mut self, edits: &FieldEdits) -> Result<(), TooMuch> {
        if self.overwrite(edits) {
            return Ok(());
        }
        let of_field = |field: &[u8]| edits.iter().find(|(edited, _)| *edited == field);
        let stay =
            || self.iter().filter(|(field, _)| of_field(field).is_none_or(|(_, value)| value.is_some()));
        let stay = || {
            stay().map(|(field, value)| (field, of_field(field).and_then(|(_, new)| new).unwrap_or(value)))
        };
        let new = || edits.iter().filter(|(field, _)| self.get(field).is_none());
        let new = || new().filter_map(|(field, value)| Some((field, value?)));
        let all = || stay().chain(new());
        let (mut fields, mut bytes) = (0, 0);
        for (field, value) in all() {
            fields += 1;
            bytes += packed_bytes(field) + packed_bytes(value);
            if fields > FIELDS_MAX || bytes > BYTES_MAX {
                return Err(TooMuch);
            }
        }
        let mut packed = Vec::with_capacity(bytes);
        for (field, value) in all() {
            put(&mut packed, field);
            put(&mut packed, value);
        }
        self.0 = packed.into();
        Ok(())
    }

    /// Copies values over old ones, when each of them is there and as long as before; whether that was so.
    fn overwrite(&mut self, edits: &FieldEdits) -> bool {
        let start = self.0.as_ptr().addr();
        let fits = |(field, value): (&[u8], Option<&[u8]>)| matches!((self.get(field), value), (Some(old), Some(new)) if old.len() == new.len());
        if self.0.is_empty() || !edits.iter().all(fits) {
            return false;
        }
        for (field, value) in edits.iter() {
            let place = self.get(field).map(|old| old.as_ptr().addr() - start);
            if let (Some(place), Some(value)) = (place, value) {
                self.0[place..place + value.len()].copy_from_slice(value);
            }
        }
        true
    }
}

fn packed_bytes(bytes: &[u8]) -> usize {
    bytes.len() + if bytes.len() < SHORT { 1 } else { 2 }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        length if length < SHORT => out.push(length as u8),
        length => out.extend_from_slice(&[(length % SHORT + SHORT) as u8, (length / SHORT) as u8]),
    }
    out.extend_from_slice(bytes);
}

fn take(from: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = from.split_first()?;
    let first = usize::from(first);
    if first < SHORT {
        return rest.split_at_checked(first);
    }
    let (&second, rest) = rest.split_first()?;
    rest.split_at_checked(first - SHORT + usize::from(second) * SHORT)
}
