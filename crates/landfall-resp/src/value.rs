//! A reply as a client holds it.
//! It must never lose a difference between types that RESP3 can express.

use crate::ErrorText;

/// One decoded reply, owning its bytes.
///
/// Texts are bytes, as a server may send back what a client once stored.
///
/// ```
/// use landfall_resp::Value;
///
/// let reply = Value::Array(vec![Value::Bulk(b"Alice".to_vec()), Value::Null, Value::Integer(3)]);
/// let items = reply.as_slice().unwrap_or_default();
/// assert_eq!(items[0].as_str(), Some("Alice"));
/// assert!(items[1].is_null());
/// assert_eq!(items[2].as_integer(), Some(3));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `+OK`: a short text without CR or LF.
    Simple(Vec<u8>),
    /// `-ERR ...` or a RESP3 bulk error, without the first character. See [`Value::as_error`].
    Error(Vec<u8>),
    /// `:42`.
    Integer(i64),
    /// `,3.25`; RESP3 only.
    Double(f64),
    /// `#t`; RESP3 only.
    Bool(bool),
    /// `_`, or RESP2's `$-1` and `*-1`.
    Null,
    /// `$5`: bytes.
    Bulk(Vec<u8>),
    /// `=9`: bytes with a format of three letters; RESP3 only.
    Verbatim {
        /// `txt` or `mkd`.
        format: [u8; 3],
        /// The text without its format.
        text: Vec<u8>,
    },
    /// `*2`.
    Array(Vec<Value>),
    /// `%2`: pairs in the order they came; RESP3 only.
    Map(Vec<(Value, Value)>),
    /// `~2`, in the order it came; RESP3 only.
    Set(Vec<Value>),
    /// `>2`: a message that answers no request; RESP3 only.
    Push(Vec<Value>),
    /// `(12345678901234567890`: digits with an optional sign; RESP3 only.
    BigNumber(Vec<u8>),
}

impl Value {
    /// The bytes of a simple, bulk or verbatim string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(bytes) | Self::Bulk(bytes) | Self::Verbatim { text: bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    /// The same, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The number, if this is an integer.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The error's prefix and message, if this is an error.
    ///
    /// ```
    /// use landfall_resp::Value;
    ///
    /// let reply = Value::Error(b"NOAUTH Authentication required.".to_vec());
    /// assert!(reply.as_error().is_some_and(|error| error.prefix == b"NOAUTH"));
    /// ```
    pub fn as_error(&self) -> Option<ErrorText<'_>> {
        match self {
            Self::Error(line) => Some(ErrorText::split(line)),
            _ => None,
        }
    }

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The items of an array, set or push.
    pub fn as_slice(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => Some(items),
            _ => None,
        }
    }

    /// The pairs of a map, or of the flat array that RESP2 sends in its place.
    ///
    /// ```
    /// use landfall_resp::Value;
    ///
    /// let (field, value) = (Value::Bulk(b"gate".to_vec()), Value::Bulk(b"B12".to_vec()));
    /// let flat = Value::Array(vec![field.clone(), value.clone()]);
    /// assert_eq!(flat.into_pairs(), Ok(vec![(field, value)]));
    /// assert_eq!(Value::Integer(1).into_pairs(), Err(Value::Integer(1)));
    /// ```
    pub fn into_pairs(self) -> Result<Vec<(Value, Value)>, Value> {
        match self {
            Self::Map(pairs) => Ok(pairs),
            Self::Array(items) if items.len() % 2 == 0 => Ok(paired(items)),
            other => Err(other),
        }
    }
}

/// Pairs neighbours; the number of items is even.
pub(crate) fn paired(items: Vec<Value>) -> Vec<(Value, Value)> {
    let mut pairs = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let (Some(first), Some(second)) = (items.next(), items.next()) {
        pairs.push((first, second));
    }
    pairs
}
