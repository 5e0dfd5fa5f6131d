//! Checks text against a column's type and gives its canonical value, before a write is acknowledged; renders it back.
//! Nothing is rounded, cut or coerced in silence: a value that does not fit is refused with a hint.
//!
//! | column | accepted | read back |
//! |---|---|---|
//! | whole number | `115`, in the column's range; not `0115`, `+1`, `1.0` | as written |
//! | decimal | `5`, `-5.10`; at most the column's digits behind the point | with all its digits: `5.00` |
//! | boolean | `1`, `0`, `true`, `false`, `t`, `f` in any case | `1` or `0`: what Redis clients and SQL agree on |
//! | float | what is finite; `1e-400`, which would become 0, is refused | the shortest text that gives the same number |
//! | text | UTF-8 without NUL, at most so many characters | as written |
//! | bytes | anything | as written |
//! | date, time | `2025-10-01`, `11:19:00.5` | without zeros at the end of a fraction |
//! | timestamp | `2025-10-01T11:19:00+02:00`; also with a space or without a zone (UTC) | in UTC, `2025-10-01T09:19:00` |
//! | JSON | a document; in SQLite not a number alone | as written; `jsonb` as PostgreSQL spells it |
//! | UUID | `123e4567-e89b-12d3-a456-426614174000` | as written; in PostgreSQL in small letters |

use std::sync::Arc;

use bigdecimal::BigDecimal;

use self::number::{canonical_integer_key, digits_fit, float_text, in_range, range_hint};
use super::catalogue::{Column, ColumnType};
use super::value::Value;

mod address;
mod array;
mod interval;
mod json;
mod moment;
mod number;

/// Why a text does not fit a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// What the column takes: `smallint -32768..32767`.
    pub expected: String,
    /// What to write instead, in a few words; may be empty.
    pub hint: String,
}

/// The canonical value of `text` for `column`.
///
/// ```
/// use landfall::model::{types, Column, ColumnType, Value};
/// let column = Column {
///     name: "price".into(),
///     kind: ColumnType::Decimal { precision: 10, scale: 2 },
///     declared: "decimal(10,2)".into(),
///     nullable: false,
///     has_default: false,
///     default: None,
///     generated: false,
/// };
/// let price = types::parse(&column, b"5").unwrap();
/// let mut text = Vec::new();
/// types::render(&price, &mut text);
/// assert_eq!(text, b"5.00");
/// assert_eq!(types::parse(&column, b"5.001").unwrap_err().hint, "write at most 2 digits behind the point");
/// ```
///
/// # Errors
/// [`Misfit`] when the column cannot hold it exactly.
pub fn parse(column: &Column, text: &[u8]) -> Result<Value, Misfit> {
    of_kind(&column.kind, text).map_err(|hint| misfit(column, hint))
}

/// The canonical value of a text for a type, or what to write instead.
fn of_kind(kind: &ColumnType, text: &[u8]) -> Result<Value, String> {
    let canonical = |form: &dyn Fn(&str) -> Result<String, String>| {
        utf8(text).and_then(form).map(|text| Value::from(&*text))
    };
    match kind {
        ColumnType::Bool => boolean(text),
        ColumnType::Int { min, max } => number::integer(text).and_then(|n| in_range(n, *min, *max)),
        ColumnType::Decimal { precision, scale } => number::decimal(text, *precision, *scale),
        ColumnType::Number => number::number(text),
        ColumnType::Float => number::float(text),
        ColumnType::SmallFloat => number::small_float(text),
        ColumnType::Text { chars_max } => characters(text, *chars_max).map(Value::from),
        ColumnType::Padded { chars_max } => unpadded(text, *chars_max).map(Value::from),
        ColumnType::Bytes => Ok(Value::bytes(text)),
        ColumnType::Date => canonical(&moment::date),
        ColumnType::Time { digits_max } => canonical(&|text| moment::time(text, *digits_max)),
        ColumnType::Timestamp { digits_max } => canonical(&|text| moment::timestamp(text, *digits_max)),
        ColumnType::Interval { digits_max } => canonical(&|text| interval::canonical(text, *digits_max)),
        ColumnType::Json { bare_numbers } => json::document(text, *bare_numbers),
        ColumnType::Jsonb => json::canonical(text),
        ColumnType::Uuid { folded } => uuid(text, *folded),
        ColumnType::Enum { labels } => utf8(text).and_then(|text| label(text, labels)),
        ColumnType::Address { is_network } => canonical(&|text| address::canonical(text, *is_network)),
        ColumnType::Mac => canonical(&address::mac),
        ColumnType::Array { of } => canonical(&|text| array::canonical(text, of)),
        ColumnType::Unknown => Err("Landfall does not know this type; the column can only be read".into()),
    }
}

/// The value of a key segment, which must be in canonical form: one row never has two keys.
///
/// # Errors
/// [`Misfit`] as for [`parse`], and when another spelling of the same value is the canonical one.
pub fn parse_key(column: &Column, segment: &[u8]) -> Result<Value, Misfit> {
    let written = match &column.kind {
        ColumnType::Int { .. } => canonical_integer_key(segment),
        _ => None,
    };
    if let Some(canonical) = written {
        return Err(misfit(column, format!("write {canonical}")));
    }
    let value = parse(column, segment)?;
    let mut canonical = Vec::with_capacity(segment.len());
    render(&value, &mut canonical);
    if canonical == segment {
        return Ok(value);
    }
    Err(misfit(column, format!("write {}", String::from_utf8_lossy(&canonical))))
}

/// The number that an `add` to `column` carries: a delta may be outside the column's range, the sum may not.
///
/// # Errors
/// [`Misfit`] when the column holds no exact number or the text is none.
pub fn parse_delta(column: &Column, text: &[u8]) -> Result<Value, Misfit> {
    match &column.kind {
        ColumnType::Int { .. } => number::integer(text).map(Value::Int),
        ColumnType::Decimal { scale, .. } => {
            number::decimal(text, scale.saturating_add(number::DIGITS_MAX), *scale)
        }
        ColumnType::Number => number::number(text),
        ColumnType::Float | ColumnType::SmallFloat => {
            Err("a float cannot be added to exactly; write the new value".into())
        }
        _ => Err("only whole numbers and decimals can be added to".into()),
    }
    .map_err(|hint| misfit(column, hint))
}

/// The value of `column` after `delta` was added to `old`, where NULL counts as 0.
///
/// # Errors
/// [`Misfit`] when the column cannot hold the sum, or when `old` or `delta` is no exact number.
pub fn sum(column: &Column, old: &Value, delta: &Value) -> Result<Value, Misfit> {
    let exact = |value: &Value| matches!(value, Value::Int(_) | Value::Decimal(_));
    if !(exact(delta) && (old.is_null() || exact(old))) {
        return Err(misfit(column, "the stored value is no exact number and cannot be added to".into()));
    }
    let sum = match (&column.kind, old.plus(delta)) {
        (ColumnType::Decimal { scale, .. }, sum) => with_scale(sum, *scale),
        (_, sum) => sum,
    };
    fits(column, &sum)?;
    Ok(sum)
}

/// Whether `column` can hold `value`, which somebody else made; NULL is asked of [`Column::nullable`].
///
/// # Errors
/// [`Misfit`] when it cannot.
pub fn fits(column: &Column, value: &Value) -> Result<(), Misfit> {
    let fit = match (&column.kind, value) {
        (ColumnType::Unknown, _) => Err("Landfall does not know this type".into()),
        (_, Value::Null) if !column.nullable => Err("the column is NOT NULL".into()),
        (_, Value::Null) | (ColumnType::Bool, Value::Bool(_)) | (ColumnType::Bytes, Value::Bytes(_)) => {
            Ok(())
        }
        (ColumnType::Int { min, max }, Value::Int(n)) => in_range(*n, *min, *max).map(|_| ()),
        (ColumnType::Int { min, max }, Value::Decimal(_)) => Err(range_hint(*min, *max)),
        (ColumnType::Decimal { precision, scale }, Value::Int(_) | Value::Decimal(_)) => {
            digits_fit(value, *precision, *scale)
        }
        (ColumnType::Number, Value::Int(_) | Value::Decimal(_)) => {
            digits_fit(value, 2 * number::DIGITS_MAX, number::DIGITS_MAX)
        }
        (ColumnType::Float, Value::Float(n)) if n.is_finite() => Ok(()),
        (ColumnType::SmallFloat, Value::Float(n)) if number::nearest_small(*n) == Some(*n) => Ok(()),
        (ColumnType::Text { chars_max }, Value::Text(text)) => {
            characters(text.as_bytes(), *chars_max).map(|_| ())
        }
        (ColumnType::Padded { chars_max }, Value::Text(text)) => {
            unpadded(text.as_bytes(), *chars_max).map(|_| ())
        }
        (kind, Value::Text(_)) if kind.is_kept_as_text() => Ok(()),
        _ => Err("the value is of another type than the column".into()),
    };
    fit.map_err(|hint| misfit(column, hint))
}

/// Appends the text of a value, as clients read it; NULL appends nothing.
pub fn render(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => {}
        Value::Bool(b) => out.push(if *b { b'1' } else { b'0' }),
        Value::Int(n) => out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes()),
        Value::Float(n) => out.extend_from_slice(float_text(*n).as_bytes()),
        Value::Decimal(n) => out.extend_from_slice(n.to_plain_string().as_bytes()),
        Value::Text(text) => out.extend_from_slice(text.as_bytes()),
        Value::Bytes(bytes) => out.extend_from_slice(bytes),
    }
}

/// An exact number with all the digits behind the point that its column shows; other values stay as they are.
///
/// Digits that the scale has no room for stay, so nothing is rounded.
pub fn with_scale(number: Value, scale: u32) -> Value {
    let (Value::Int(_) | Value::Decimal(_)) = &number else { return number };
    let big = match &number {
        Value::Decimal(n) => (**n).clone(),
        Value::Int(n) => BigDecimal::from(*n),
        _ => return number,
    };
    let scale = i64::from(scale).max(big.normalized().fractional_digit_count());
    Value::decimal(big.with_scale(scale))
}

/// What a column of floats keeps of a sum: one of 32 bits the nearest that it has. None where that is nothing.
pub fn float_for(column: &Column, sum: f64) -> Option<f64> {
    let kept = match column.kind {
        ColumnType::SmallFloat => number::nearest_small(sum)?,
        _ => sum,
    };
    // No database keeps the sign of zero for sure.
    Some(if kept == 0.0 { 0.0 } else { kept })
}

/// A timestamp's canonical text for Unix milliseconds; none beyond the year 9999.
pub fn timestamp_of_unix_ms(ms: u64) -> Option<String> {
    moment::of_unix_ms(ms)
}

/// What a column takes, in a few words: `smallint -32768..32767`.
pub fn expected(column: &Column) -> String {
    let declared = &column.declared;
    match &column.kind {
        ColumnType::Bool => format!("{declared}, 1 or 0"),
        ColumnType::Int { min, max } => format!("{declared} {min}..{max}"),
        ColumnType::Decimal { precision, scale } => {
            format!("{declared}, up to {precision} digits, {scale} of them behind the point")
        }
        ColumnType::Number => format!("{declared}, an exact number"),
        ColumnType::Float => format!("{declared}, a finite number"),
        ColumnType::SmallFloat => format!("{declared}, a finite number of 32 bits"),
        ColumnType::Text { chars_max: Some(max) } | ColumnType::Padded { chars_max: Some(max) } => {
            format!("{declared}, up to {max} characters")
        }
        ColumnType::Text { chars_max: None } | ColumnType::Padded { chars_max: None } => {
            format!("{declared}, text in UTF-8")
        }
        ColumnType::Bytes => format!("{declared}, bytes"),
        ColumnType::Date => format!("{declared} as YYYY-MM-DD"),
        ColumnType::Time { .. } => format!("{declared} as HH:MM:SS"),
        ColumnType::Timestamp { .. } => format!("{declared} as YYYY-MM-DDTHH:MM:SS"),
        ColumnType::Interval { .. } => format!("{declared} as P1Y2M3DT4H5M6S"),
        ColumnType::Json { .. } | ColumnType::Jsonb => format!("{declared}, a JSON document"),
        ColumnType::Uuid { .. } => format!("{declared}, 32 hexadecimal digits as 8-4-4-4-12"),
        ColumnType::Enum { labels } => format!("{declared}, one of {}", listed(labels)),
        ColumnType::Address { .. } => format!("{declared}, an address such as 192.0.2.7 or 2001:db8::/32"),
        ColumnType::Mac => format!("{declared} as 08:00:2b:01:02:03"),
        ColumnType::Array { .. } => format!("{declared} as {{1,2}} or [1, 2]"),
        ColumnType::Unknown => format!("{declared}, which Landfall does not know: it can only be read"),
    }
}

fn misfit(column: &Column, hint: String) -> Misfit {
    Misfit { expected: expected(column), hint }
}

fn utf8(text: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(text).map_err(|_| "the bytes are not UTF-8".into())
}

fn boolean(text: &[u8]) -> Result<Value, String> {
    for (spelling, value) in
        [("1", true), ("0", false), ("true", true), ("false", false), ("t", true), ("f", false)]
    {
        if text.eq_ignore_ascii_case(spelling.as_bytes()) {
            return Ok(Value::Bool(value));
        }
    }
    Err("write 1 or 0".into())
}

fn characters(text: &[u8], chars_max: Option<u32>) -> Result<&str, String> {
    let text = utf8(text)?;
    if text.as_bytes().contains(&0) {
        return Err("text cannot hold a NUL byte".into());
    }
    match chars_max {
        Some(max) if text.len() > max as usize => {
            let count = text.chars().count();
            if count > max as usize {
                return Err(format!("the text has {count} characters; write at most {max}"));
            }
            Ok(text)
        }
        _ => Ok(text),
    }
}

/// Text of a column that forgets spaces at its end.
fn unpadded(text: &[u8], chars_max: Option<u32>) -> Result<&str, String> {
    let text = characters(text, chars_max)?;
    match text.ends_with(' ') {
        true => Err("a char column forgets spaces at the end; leave them out".into()),
        false => Ok(text),
    }
}

/// How many labels a message names.
const LABELS_SHOWN: usize = 20;

fn listed(labels: &[Arc<str>]) -> String {
    let more = if labels.len() > LABELS_SHOWN { ", .." } else { "" };
    format!("{}{more}", labels[..labels.len().min(LABELS_SHOWN)].join(", "))
}

fn label(text: &str, labels: &[Arc<str>]) -> Result<Value, String> {
    match labels.iter().find(|label| &***label == text) {
        Some(label) => Ok(Value::Text(label.clone())),
        None => Err("write one of its labels, in their spelling; a label that was just added is known after LANDFALL.RELOAD".into()),
    }
}

fn uuid(text: &[u8], folded: bool) -> Result<Value, String> {
    let is_uuid = text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    match is_uuid {
        true if folded => utf8(text).map(|text| Value::from(&*text.to_ascii_lowercase())),
        true => utf8(text).map(Value::from),
        false => Err("write it like 123e4567-e89b-12d3-a456-426614174000".into()),
    }
}

#[cfg(test)]
mod tests;
