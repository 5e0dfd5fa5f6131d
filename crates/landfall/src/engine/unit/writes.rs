//! What commands do to the rows of a unit, by type.
//! Nothing is logged or shown by it: that is done when the unit commits.

use super::{Effect, Unit};
use crate::buffer::cache::{Compact, FieldEdits, Hash, StreamEdits, View};
use crate::model::Change;

impl Unit<'_> {
    /// Makes the key a string.
    pub fn set_string(&mut self, at: usize, value: Compact, expires_ms: u64) {
        self.effect(at, Effect::String { value, expires_ms });
    }

    /// Sets (or, with none, removes) fields of a hash that was seen, sorted and each once; a hash that becomes empty is gone.
    pub fn set_fields(&mut self, at: usize, fields: FieldEdits) {
        let there = |hash: &Hash, field| hash.contains_key(field);
        let (gone, replace) = match self.known(at).view {
            View::Hash(hash) => {
                let removed =
                    fields.iter().filter(|(field, value)| value.is_none() && there(hash, field)).count();
                (removed == hash.len() && fields.iter().all(|(_, value)| value.is_none()), false)
            }
            _ => (fields.iter().all(|(_, value)| value.is_none()), true),
        };
        if gone {
            self.effect(at, Effect::Delete);
        } else {
            self.effect(at, Effect::Fields { fields: Box::new(fields), replace });
        }
    }

    /// Changes a stream that was seen; with `anew` nothing is left of what the key was, and it expires then (0: never).
    pub fn edit_stream(&mut self, at: usize, edits: StreamEdits, anew: Option<u64>) {
        self.effect(at, Effect::Stream { edits: Box::new(edits), anew });
    }

    /// Sets when a key-value key expires; 0: never.
    pub fn set_expiry(&mut self, at: usize, expires_ms: u64) {
        self.effect(at, Effect::Expire(expires_ms));
    }

    /// Deletes the key or row.
    pub fn delete(&mut self, at: usize) {
        self.effect(at, Effect::Delete);
    }

    /// Changes a mapped row.
    pub fn change_row(&mut self, at: usize, change: Change) {
        self.effect(at, Effect::Row(change));
    }
}
