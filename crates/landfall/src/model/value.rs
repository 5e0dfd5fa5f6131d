//! One value of one column, with exact numbers.
//! A decimal never passes through a float, and arithmetic never wraps or fails.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bigdecimal::{BigDecimal, ToPrimitive};

/// A value as the log, the cache and the sinks exchange it.
///
/// Dates, times, UUIDs, JSON and enum labels are [`Value::Text`] in their canonical form; the catalogue's
/// [`ColumnType`](super::ColumnType) checks them before a write is acknowledged. Cloning is cheap (a
/// reference count) for text and bytes.
///
/// ```
/// use landfall::model::Value;
/// assert_eq!(Value::from(2).plus(&Value::from(3)), Value::Int(5));
/// assert_eq!(Value::Null.plus(&Value::Int(3)), Value::Int(3)); // NULL counts as 0
/// ```
#[derive(Debug, Clone)]
pub enum Value {
    /// SQL's NULL: an absent field.
    Null,
    /// A boolean column's value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A binary floating-point number.
    Float(f64),
    /// An exact decimal, or a whole number outside `i64`.
    Decimal(Arc<BigDecimal>),
    /// Text in UTF-8.
    Text(Arc<str>),
    /// Raw bytes.
    Bytes(Arc<[u8]>),
}

impl Value {
    /// A decimal; one that is whole, has no digits behind the point and fits `i64` becomes [`Value::Int`].
    pub fn decimal(number: BigDecimal) -> Value {
        if number.fractional_digit_count() == 0
            && let Some(small) = number.to_i64()
        {
            return Value::Int(small);
        }
        Value::Decimal(Arc::new(number))
    }

    /// Raw bytes, copied.
    pub fn bytes(bytes: &[u8]) -> Value {
        Value::Bytes(bytes.into())
    }

    /// The whole number that this is, whatever its digits behind the point: 5 for the decimal 5.00.
    pub fn as_whole(&self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(*n),
            Value::Decimal(n) if n.is_integer() => n.to_i64(),
            _ => None,
        }
    }

    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The exact sum. NULL and whatever is no exact number count as 0; a sum outside `i64` becomes a decimal.
    ///
    /// Addition is associative and commutative, which the merging of `add` changes relies on.
    pub fn plus(&self, other: &Value) -> Value {
        match (self.number(), other.number()) {
            (Number::Small(a), Number::Small(b)) => match a.checked_add(b) {
                Some(sum) => Value::Int(sum),
                None => Value::decimal(BigDecimal::from(a) + BigDecimal::from(b)),
            },
            (a, b) => Value::decimal(a.big() + b.big()),
        }
    }

    fn number(&self) -> Number<'_> {
        match self {
            Value::Int(n) => Number::Small(*n),
            Value::Decimal(n) => Number::Big(n),
            _ => Number::Small(0),
        }
    }

    /// An estimate of the memory that the value holds, in bytes.
    pub fn memory_bytes(&self) -> usize {
        std::mem::size_of::<Value>()
            + match self {
                Value::Text(text) => text.len() + 16,
                Value::Bytes(bytes) => bytes.len() + 16,
                Value::Decimal(_) => 64,
                _ => 0,
            }
    }

    fn rank(&self) -> u8 {
        match self {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Int(_) => 2,
            Value::Float(_) => 3,
            Value::Decimal(_) => 4,
            Value::Text(_) => 5,
            Value::Bytes(_) => 6,
        }
    }
}

enum Number<'a> {
    Small(i64),
    Big(&'a BigDecimal),
}

impl Number<'_> {
    fn big(&self) -> BigDecimal {
        match self {
            Number::Small(n) => BigDecimal::from(*n),
            Number::Big(n) => (*n).clone(),
        }
    }
}

// A total order and equality by representation, floats by their bits: rows are sorted by key and compared in
// tests, and NaN must not break either.
impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
            (Value::Decimal(a), Value::Decimal(b)) => {
                a.cmp(b).then_with(|| a.fractional_digit_count().cmp(&b.fractional_digit_count()))
            }
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rank().hash(state);
        match self {
            Value::Null => {}
            Value::Bool(b) => b.hash(state),
            Value::Int(n) => n.hash(state),
            Value::Float(n) => n.to_bits().hash(state),
            Value::Decimal(n) => n.to_string().hash(state),
            Value::Text(text) => text.hash(state),
            Value::Bytes(bytes) => bytes.hash(state),
        }
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Value {
        Value::Int(n)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.into())
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Value {
        Value::Bool(b)
    }
}

impl From<f64> for Value {
    fn from(n: f64) -> Value {
        Value::Float(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_outside_i64_is_exact_and_comes_back() {
        let over = Value::Int(i64::MAX).plus(&Value::Int(1));
        assert!(matches!(over, Value::Decimal(_)));
        assert_eq!(over.plus(&Value::Int(-1)), Value::Int(i64::MAX));
    }

    #[test]
    fn a_decimal_without_a_fraction_is_a_whole_number() {
        let decimal = |text: &str| Value::decimal(text.parse().unwrap());
        assert_eq!(decimal("5.00").as_whole(), Some(5));
        assert_eq!(decimal("5.01").as_whole(), None);
        assert_eq!(decimal("9223372036854775808").as_whole(), None);
        assert_eq!(Value::Null.as_whole(), None);
    }

    #[test]
    fn decimals_add_without_a_float() {
        let cent = Value::decimal("0.10".parse().unwrap());
        assert_eq!(
            cent.plus(&Value::decimal("0.20".parse().unwrap())),
            Value::decimal("0.30".parse().unwrap())
        );
    }
}
