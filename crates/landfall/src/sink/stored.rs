//! Key-value keys as a database holds them, without their values: what a walk over all keys reads.
//! It never says what readers see: a key may have expired since, or have a dead letter.

use crate::model::{Name, RowKey, Value, Watermark};

/// Some of the key-value keys that the database holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKeys {
    /// The keys, by place.
    pub keys: Vec<StoredKey>,
    /// The highest place of all; 0 when there is no key.
    pub last: u64,
    /// The watermarks of the lanes that were asked for, in their order.
    pub watermarks: Vec<Watermark>,
}

/// A key-value key as the database holds it, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its place, from 1.
    pub place: u64,
    /// The key.
    pub key: Vec<u8>,
    /// What it holds; none: nothing that is left.
    pub kind: Option<KeyKind>,
    /// When it expires, Unix milliseconds; 0: never.
    pub expires_ms: u64,
    /// It has a dead letter, so that this is not what readers see.
    pub is_parked: bool,
}

impl StoredKey {
    /// A key from its parts as a load gives them.
    pub fn of_parts(
        place: u64,
        row: &RowKey,
        parts: Option<Vec<(Name, Value)>>,
        is_parked: bool,
    ) -> StoredKey {
        let parts = parts.unwrap_or_default();
        let has = |part: fn(&Name) -> bool| parts.iter().any(|(name, _)| part(name));
        let kind = KeyKind::of(
            has(|name| name.as_bytes() == Name::STRING),
            has(|name| name.as_bytes() == Name::STREAM || name.as_entry().is_some()),
            has(|name| name.as_field().is_some()),
        );
        let expires_ms = parts.iter().find(|(name, _)| name.as_bytes() == Name::EXPIRES);
        let expires_ms = match expires_ms {
            Some((_, Value::Int(ms))) => u64::try_from(*ms).unwrap_or(1),
            _ => 0,
        };
        let key = row.as_bytes().get(1..).unwrap_or_default().to_vec();
        StoredKey { place, key, kind, expires_ms, is_parked }
    }
}

/// What a key-value key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// A string.
    String,
    /// A hash.
    Hash,
    /// A stream.
    Stream,
}

impl KeyKind {
    /// What a key holds of which these parts are there; none when nothing is.
    pub(crate) fn of(value: bool, stream: bool, fields: bool) -> Option<KeyKind> {
        match (value, stream, fields) {
            (true, ..) => Some(KeyKind::String),
            (_, true, _) => Some(KeyKind::Stream),
            (.., true) => Some(KeyKind::Hash),
            _ => None,
        }
    }
}
