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
//! | JSON | a document; in SQLite not a number alone | as written |
//! | UUID | `123e4567-e89b-12d3-a456-426614174000` | as written; in PostgreSQL in small letters |

use bigdecimal::BigDecimal;

use super::catalogue::{Column, ColumnType};
use super::value::Value;

mod moment;

/// The most digits before the point of a delta: more than any column holds, and cheap to add.
const DELTA_DIGITS_MAX: u32 = 1000;

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
    let parsed = match &column.kind {
        ColumnType::Bool => boolean(text),
        ColumnType::Int { min, max } => integer(text).and_then(|n| in_range(n, *min, *max)),
        ColumnType::Decimal { precision, scale } => decimal(text, *precision, *scale),
        ColumnType::Float => float(text),
        ColumnType::Text { chars_max } => characters(text, *chars_max).map(Value::from),
        ColumnType::Bytes => Ok(Value::bytes(text)),
        ColumnType::Date => utf8(text).and_then(moment::date).map(|text| Value::from(&*text)),
        ColumnType::Time => utf8(text).and_then(moment::time).map(|text| Value::from(&*text)),
        ColumnType::Timestamp => utf8(text).and_then(moment::timestamp).map(|text| Value::from(&*text)),
        ColumnType::Json { bare_numbers } => json(text, *bare_numbers),
        ColumnType::Uuid { folded } => uuid(text, *folded),
        ColumnType::Unknown => Err("Landfall does not know this type; the column can only be read".into()),
    };
    parsed.map_err(|hint| misfit(column, hint))
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
        ColumnType::Int { .. } => integer(text).map(Value::Int),
        ColumnType::Decimal { scale, .. } => decimal(text, scale.saturating_add(DELTA_DIGITS_MAX), *scale),
        ColumnType::Float => Err("a float cannot be added to exactly; write the new value".into()),
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
        (ColumnType::Float, Value::Float(n)) if n.is_finite() => Ok(()),
        (ColumnType::Text { chars_max }, Value::Text(text)) => {
            characters(text.as_bytes(), *chars_max).map(|_| ())
        }
        (ColumnType::Date | ColumnType::Time | ColumnType::Timestamp, Value::Text(_)) => Ok(()),
        (ColumnType::Json { .. } | ColumnType::Uuid { .. }, Value::Text(_)) => Ok(()),
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
        ColumnType::Float => format!("{declared}, a finite number"),
        ColumnType::Text { chars_max: Some(max) } => format!("{declared}, up to {max} characters"),
        ColumnType::Text { chars_max: None } => format!("{declared}, text in UTF-8"),
        ColumnType::Bytes => format!("{declared}, bytes"),
        ColumnType::Date => format!("{declared} as YYYY-MM-DD"),
        ColumnType::Time => format!("{declared} as HH:MM:SS"),
        ColumnType::Timestamp => format!("{declared} as YYYY-MM-DDTHH:MM:SS"),
        ColumnType::Json { .. } => format!("{declared}, a JSON document"),
        ColumnType::Uuid { .. } => format!("{declared}, 32 hexadecimal digits as 8-4-4-4-12"),
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

/// Sign and digits of a number in plain notation, and the digits behind the point.
struct Plain<'a> {
    negative: bool,
    whole: &'a str,
    fraction: Option<&'a str>,
}

fn plain(text: &[u8]) -> Result<Plain<'_>, String> {
    let text = utf8(text)?;
    if text.is_empty() {
        return Err("the text is empty; to clear a column, delete the field".into());
    }
    if text.starts_with('+') {
        return Err("leave out the plus sign".into());
    }
    if text.trim() != text {
        return Err("leave out the spaces".into());
    }
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(a, b)| (a, Some(b)));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !fraction.is_none_or(is_digits) {
        return Err("write a number in plain digits".into());
    }
    Ok(Plain { negative, whole, fraction })
}

fn integer(text: &[u8]) -> Result<i64, String> {
    let number = plain(text)?;
    if number.fraction.is_some() {
        return Err("write a whole number, without a point".into());
    }
    if number.negative && number.whole.bytes().all(|digit| digit == b'0') {
        return Err("write 0".into());
    }
    if number.whole.len() > 1 && number.whole.starts_with('0') {
        return Err("leave out the leading zeros".into());
    }
    utf8(text)?.parse().map_err(|_| range_hint(i64::MIN, i64::MAX))
}

/// `115` for `0115` or `+115`: the spelling that a key has to use.
fn canonical_integer_key(segment: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(segment).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() != text).then_some(number)
}

fn range_hint(min: i64, max: i64) -> String {
    format!("write a number from {min} to {max}")
}

fn in_range(n: i64, min: i64, max: i64) -> Result<Value, String> {
    if (min..=max).contains(&n) { Ok(Value::Int(n)) } else { Err(range_hint(min, max)) }
}

fn decimal(text: &[u8], precision: u32, scale: u32) -> Result<Value, String> {
    let number = plain(text)?;
    if number.whole.len() > 1 && number.whole.starts_with('0') {
        return Err("leave out the leading zeros".into());
    }
    if number.fraction.is_some_and(|digits| digits.len() > scale as usize) {
        return Err(scale_hint(scale));
    }
    // Asked before parsing, so that a number of a million digits costs nothing.
    if number.whole != "0" && number.whole.len() > precision.saturating_sub(scale) as usize {
        return Err(whole_hint(precision.saturating_sub(scale)));
    }
    let parsed: BigDecimal = utf8(text)?.parse().map_err(|_| "write a number in plain digits")?;
    Ok(Value::decimal(parsed.with_scale(i64::from(scale))))
}

fn whole_hint(digits_max: u32) -> String {
    match digits_max {
        0 => "the number must be below 1".into(),
        1 => "write at most 1 digit before the point".into(),
        _ => format!("write at most {digits_max} digits before the point"),
    }
}

fn scale_hint(scale: u32) -> String {
    match scale {
        0 => "write a whole number, without a point".into(),
        1 => "write at most 1 digit behind the point".into(),
        _ => format!("write at most {scale} digits behind the point"),
    }
}

fn digits_fit(value: &Value, precision: u32, scale: u32) -> Result<(), String> {
    let big = match value {
        Value::Int(n) => BigDecimal::from(*n),
        Value::Decimal(n) => (**n).clone(),
        _ => return Err("the value is no number".into()),
    };
    let normal = big.normalized();
    if normal.fractional_digit_count() > i64::from(scale) {
        return Err(scale_hint(scale));
    }
    let whole_max = precision.saturating_sub(scale);
    let whole = normal.with_scale(0);
    if whole != 0 && whole.digits() > u64::from(whole_max) {
        return Err(whole_hint(whole_max));
    }
    Ok(())
}

fn float(text: &[u8]) -> Result<Value, String> {
    let text = utf8(text)?;
    let number: f64 = text.parse().map_err(|_| "write a number")?;
    if !number.is_finite() {
        return Err("the number must be finite".into());
    }
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    if number == 0.0 && mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
        return Err("the number is too close to 0 for a float".into());
    }
    // No database keeps the sign of zero for sure.
    Ok(Value::Float(if number == 0.0 { 0.0 } else { number }))
}

/// The shortest text that parses to the same float; very large and very small ones with an exponent.
fn float_text(n: f64) -> String {
    let size = n.abs();
    if size == 0.0 || (1e-7..1e21).contains(&size) { format!("{n}") } else { format!("{n:e}") }
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

fn json(text: &[u8], bare_numbers: bool) -> Result<Value, String> {
    let text = characters(text, None)?;
    // The parser's words name a line and a column, and no content.
    let document = serde_json::from_str::<serde_json::Value>(text);
    match document.map_err(|error| format!("not valid JSON: {error}"))? {
        serde_json::Value::Number(_) if !bare_numbers => Err(
            "the database would not keep a number alone as it is written; put it into an object or an array"
                .into(),
        ),
        _ => Ok(Value::from(text)),
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
