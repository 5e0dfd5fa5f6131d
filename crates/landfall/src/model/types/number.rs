//! Numbers in plain digits, exact or binary, to their canonical values.
//! Nothing is rounded, and no text is parsed before it is known to be short enough.

use bigdecimal::BigDecimal;

use super::utf8;
use crate::model::Value;

/// The most digits before the point of a number without declared digits, and the most behind it. More than anybody
/// counts, and cheap to add.
pub(super) const DIGITS_MAX: u32 = 1000;

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

pub(super) fn integer(text: &[u8]) -> Result<i64, String> {
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
pub(super) fn canonical_integer_key(segment: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(segment).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() != text).then_some(number)
}

pub(super) fn range_hint(min: i64, max: i64) -> String {
    format!("write a number from {min} to {max}")
}

pub(super) fn in_range(n: i64, min: i64, max: i64) -> Result<Value, String> {
    if (min..=max).contains(&n) { Ok(Value::Int(n)) } else { Err(range_hint(min, max)) }
}

pub(super) fn decimal(text: &[u8], precision: u32, scale: u32) -> Result<Value, String> {
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

pub(super) fn digits_fit(value: &Value, precision: u32, scale: u32) -> Result<(), String> {
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

pub(super) fn float(text: &[u8]) -> Result<Value, String> {
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
pub(super) fn float_text(n: f64) -> String {
    let size = n.abs();
    if size == 0.0 || (1e-7..1e21).contains(&size) { format!("{n}") } else { format!("{n:e}") }
}

/// An exact number without declared digits, with as many digits behind the point as were written.
pub(super) fn number(text: &[u8]) -> Result<Value, String> {
    let fraction = plain(text)?.fraction.map_or(0, str::len);
    decimal(text, 2 * DIGITS_MAX, DIGITS_MAX)?;
    let scale = i64::try_from(fraction).unwrap_or(i64::MAX);
    let parsed: BigDecimal = utf8(text)?.parse().map_err(|_| "write a number in plain digits")?;
    Ok(Value::decimal(parsed.with_scale(scale)))
}

/// A float of 32 bits, as the float of 64 bits whose text is the same.
pub(super) fn small_float(text: &[u8]) -> Result<Value, String> {
    let Value::Float(wanted) = float(text)? else { return Err("write a number".into()) };
    match nearest_small(wanted) {
        Some(near) if near == wanted => Ok(Value::Float(wanted)),
        Some(near) => Err(format!("a float of 32 bits would make {} of it; write that", float_text(near))),
        None => Err("the number is out of the range of a float of 32 bits".into()),
    }
}

/// The float of 32 bits next to a number, read from its shortest text; none beyond the range.
#[expect(clippy::cast_possible_truncation, reason = "that is what is asked for")]
pub(super) fn nearest_small(n: f64) -> Option<f64> {
    let near = n as f32;
    let is_lost = !near.is_finite() || (near == 0.0 && n != 0.0);
    if is_lost { None } else { near.to_string().parse().ok() }
}
