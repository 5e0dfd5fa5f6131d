//! Values to what SQLite binds, and what SQLite stores to values, by the column's declared type.
//! A value never changes on its way: what SQLite's affinity would alter is refused.

use bigdecimal::BigDecimal;
use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};

use crate::model::{Column, ColumnType, Value, types};

/// The digits of a decimal that a binary float of 64 bits keeps exactly.
pub(super) const DECIMAL_DIGITS_MAX: u32 = 15;

/// What a column does to a value that is stored in it (sqlite.org/datatype3.html).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Affinity {
    Text,
    Numeric,
    Integer,
    Real,
    Blob,
}

impl Affinity {
    pub(super) fn of(declared: &str) -> Affinity {
        let upper = declared.to_ascii_uppercase();
        let has = |part: &str| upper.contains(part);
        if has("INT") {
            Affinity::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Affinity::Text
        } else if has("BLOB") || upper.is_empty() {
            Affinity::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Affinity::Real
        } else {
            Affinity::Numeric
        }
    }
}

/// What to bind for a value that fits its column, or why SQLite would change it.
pub(super) fn bind<'v>(affinity: Affinity, value: &'v Value) -> Result<ToSqlOutput<'v>, &'static str> {
    let bound = match value {
        Value::Null => ValueRef::Null,
        Value::Bool(b) => ValueRef::Integer(i64::from(*b)),
        Value::Int(n) => ValueRef::Integer(*n),
        Value::Float(n) => ValueRef::Real(*n),
        Value::Decimal(n) => return decimal(n).map(ToSqlOutput::Owned),
        Value::Text(text) => {
            if !matches!(affinity, Affinity::Text | Affinity::Blob) && looks_numeric(text) {
                return Err(
                    "SQLite would turn this text into a number, because of the column's declared type",
                );
            }
            ValueRef::Text(text.as_bytes())
        }
        Value::Bytes(bytes) => ValueRef::Blob(bytes),
    };
    Ok(ToSqlOutput::Borrowed(bound))
}

/// The number nearest to the decimal; with at most 15 digits it leads back to the same decimal.
fn decimal(n: &BigDecimal) -> Result<Owned, &'static str> {
    let normal = n.normalized();
    if normal.digits() > u64::from(DECIMAL_DIGITS_MAX) {
        return Err("SQLite keeps decimals exact to 15 digits only");
    }
    let nearest = normal.to_plain_string().parse::<f64>();
    nearest.map(Owned::Real).map_err(|_| "SQLite cannot hold this decimal")
}

fn looks_numeric(text: &str) -> bool {
    let first = text.trim_ascii_start().bytes().next();
    matches!(first, Some(b'0'..=b'9' | b'+' | b'-' | b'.')) && text.trim_ascii().parse::<f64>().is_ok()
}

/// The value of a stored cell. What is not of the column's type comes as text, or as bytes when it is no text.
pub(super) fn value(column: &Column, stored: ValueRef<'_>) -> Value {
    match (&column.kind, stored) {
        (_, ValueRef::Null) => Value::Null,
        (ColumnType::Bool, ValueRef::Integer(n @ (0 | 1))) => Value::Bool(n == 1),
        (ColumnType::Int { .. }, ValueRef::Integer(n)) => Value::Int(n),
        (ColumnType::Decimal { scale, .. }, ValueRef::Integer(n)) => types::with_scale(Value::Int(n), *scale),
        (ColumnType::Decimal { scale, .. }, ValueRef::Real(n)) => from_real(n, *scale),
        (ColumnType::Float, ValueRef::Real(n)) => Value::Float(n),
        // SQLite stores 5.0 as the integer 5 where it may.
        (ColumnType::Float, ValueRef::Integer(n)) if n.unsigned_abs() <= 1 << 53 => Value::Float(n as f64),
        (ColumnType::Bytes, ValueRef::Text(bytes)) => Value::bytes(bytes),
        (_, ValueRef::Integer(n)) => Value::from(itoa::Buffer::new().format(n)),
        (_, ValueRef::Real(n)) => text_of(&Value::Float(n)),
        (kind, ValueRef::Text(bytes)) => match std::str::from_utf8(bytes) {
            Err(_) => Value::bytes(bytes),
            Ok(text) => match kind {
                ColumnType::Date
                | ColumnType::Time { .. }
                | ColumnType::Timestamp { .. }
                | ColumnType::Decimal { .. } => {
                    types::parse(column, bytes).unwrap_or_else(|_| Value::from(text))
                }
                _ => Value::from(text),
            },
        },
        (_, ValueRef::Blob(bytes)) => Value::bytes(bytes),
    }
}

/// The decimal that a float stands for, if 15 digits and the scale can say it; else the float's own text.
fn from_real(n: f64, scale: u32) -> Value {
    let fifteen = format!("{n:.14e}").parse::<BigDecimal>();
    match fifteen {
        Ok(big) if big.normalized().fractional_digit_count() <= i64::from(scale) => {
            types::with_scale(Value::decimal(big.normalized()), scale)
        }
        _ => text_of(&Value::Float(n)),
    }
}

fn text_of(value: &Value) -> Value {
    let mut text = Vec::new();
    types::render(value, &mut text);
    Value::from(&*String::from_utf8_lossy(&text))
}
