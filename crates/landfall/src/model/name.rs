//! The name of a column, or of a part of a key-value key, as changes and records carry it.
//! A name is resolved before it is logged: a changed catalogue cannot reinterpret it.

use std::fmt;
use std::sync::Arc;

/// A column name of a mapped table, or one of the parts of a key-value key.
///
/// The parts of a key-value key are `=v` (the value of a string), `=x` (when the key expires, Unix
/// milliseconds) and `.field` (a field of a hash).
///
/// ```
/// use landfall::model::Name;
/// assert_eq!(Name::field(b"age").as_field(), Some(&b"age"[..]));
/// assert_eq!(Name::column("age").as_field(), None);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<[u8]>);

impl Name {
    /// The part of a key-value key that holds a string's value.
    pub const STRING: &'static [u8] = b"=v";
    /// The part of a key-value key that holds the time of its expiry.
    pub const EXPIRES: &'static [u8] = b"=x";

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
