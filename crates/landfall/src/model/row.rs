//! The identity of a row, as the cache, the log and the lander know it: its canonical bytes.
//! Two spellings of one row must never give two identities; the mapping canonicalises before it builds one.

use std::fmt;
use std::sync::Arc;

use super::codec::{CodecError, Reader, put_bytes, put_value};
use super::value::Value;

/// The canonical bytes of a row's identity: a key-value key, or a table and its primary key.
///
/// ```
/// use landfall::model::{RowKey, Value, row::RowName};
/// let flight = RowKey::of_table("flight", &[Value::Int(115)]);
/// assert_eq!(flight.decode().unwrap(), RowName::Table { table: "flight", key: vec![Value::Int(115)] });
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey(Arc<[u8]>);

/// A decoded [`RowKey`].
#[derive(Debug, PartialEq, Eq)]
pub enum RowName<'a> {
    /// A key that belongs to no table and lives in Landfall's own key-value tables.
    Key(&'a [u8]),
    /// A row of a mapped table.
    Table {
        /// The table, as the catalogue spells it.
        table: &'a str,
        /// The values of the primary key, in its order.
        key: Vec<Value>,
    },
}

const KEY_VALUE: u8 = 0;
const TABLE: u8 = 1;

impl RowKey {
    /// The identity of a key-value key.
    pub fn of_key(key: &[u8]) -> RowKey {
        let mut bytes = Vec::with_capacity(key.len() + 1);
        RowKey::write_key(&mut bytes, key);
        RowKey(bytes.into())
    }

    /// The identity of a row of `table`.
    pub fn of_table(table: &str, key: &[Value]) -> RowKey {
        let mut bytes = Vec::with_capacity(table.len() + 12);
        RowKey::write_table(&mut bytes, table, key);
        RowKey(bytes.into())
    }

    /// Appends the identity of a key-value key to `out`.
    pub fn write_key(out: &mut Vec<u8>, key: &[u8]) {
        out.push(KEY_VALUE);
        out.extend_from_slice(key);
    }

    /// Appends the identity of a row of `table` to `out`.
    pub fn write_table(out: &mut Vec<u8>, table: &str, key: &[Value]) {
        out.push(TABLE);
        put_bytes(out, table.as_bytes());
        key.iter().for_each(|value| put_value(out, value));
    }

    /// An identity from the bytes that a record carries.
    pub fn from_bytes(bytes: &[u8]) -> RowKey {
        RowKey(bytes.into())
    }

    /// The canonical bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is a key-value key.
    pub fn is_key_value(&self) -> bool {
        self.0.first() == Some(&KEY_VALUE)
    }

    /// The parts of the identity.
    ///
    /// # Errors
    /// [`CodecError`] when the bytes were not written by this type.
    pub fn decode(&self) -> Result<RowName<'_>, CodecError> {
        decode(&self.0)
    }
}

/// The parts of an identity given as bytes.
///
/// # Errors
/// [`CodecError`] when the bytes were not written by [`RowKey`].
pub fn decode(bytes: &[u8]) -> Result<RowName<'_>, CodecError> {
    match bytes.split_first() {
        Some((&KEY_VALUE, key)) => Ok(RowName::Key(key)),
        Some((&TABLE, rest)) => {
            let mut reader = Reader::new(rest);
            let table =
                std::str::from_utf8(reader.bytes()?).map_err(|_| CodecError::Malformed("table name"))?;
            let mut key = Vec::with_capacity(1);
            while !reader.is_empty() {
                key.push(reader.value()?);
            }
            Ok(RowName::Table { table, key })
        }
        _ => Err(CodecError::Malformed("row identity")),
    }
}

/// The hash that spreads rows over lanes. Pinned: it decides which lane holds a row's history.
pub fn lane_hash(row: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(row)
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decode() {
            Ok(name) => write!(f, "{name:?}"),
            Err(_) => write!(f, "RowKey({} bytes)", self.0.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_that_chooses_a_lane_is_pinned_for_ever() {
        assert_eq!(lane_hash(RowKey::of_key(b"user:1:name").as_bytes()), 9_285_688_148_298_302_363);
    }

    #[test]
    fn the_lanes_that_rows_go_to_are_pinned_for_ever() {
        let key = |key: &str| RowKey::of_key(key.as_bytes());
        let rows = [
            key("a"),
            key("user:1:name"),
            RowKey::of_table("flight", &[Value::Int(115)]),
            RowKey::of_table(
                "weatherdata",
                &[Value::from("2025-10-01"), Value::from("11:19:00"), Value::Int(7)],
            ),
            RowKey::of_table("page", &[Value::Int(-1)]),
        ];
        let lanes: Vec<u64> = rows.iter().map(|row| lane_hash(row.as_bytes()) % 64).collect();
        assert_eq!(lanes, [20, 27, 29, 11, 2]);
    }

    #[test]
    fn a_composite_key_decodes_to_itself() {
        let key = vec![Value::from("2025-10-01"), Value::from("11:19:00"), Value::Int(7)];
        let row = RowKey::of_table("weatherdata", &key);
        assert_eq!(row.decode().unwrap(), RowName::Table { table: "weatherdata", key });
    }
}
