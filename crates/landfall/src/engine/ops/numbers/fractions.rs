//! INCRBYFLOAT and HINCRBYFLOAT: numbers with a point. Decimals are added exactly, and so are the texts of key-value
//! keys, to 17 digits behind the point as Redis shows them; only a float column is added to as a float.
//! It must never compute with the exponent that a client wrote before it knows that it is small.

use std::sync::Arc;

use bigdecimal::{BigDecimal, RoundingMode};

use super::{Answer, add_to_column, more_than_whole, not_addable};
use crate::buffer::cache::FieldEdits;
use crate::engine::ops::{names_a_table, row_of, rows};
use crate::engine::refusal::{Refusal, Stop};
use crate::engine::unit::Unit;
use crate::model::mapping::Target;
use crate::model::{Change, Name, Table, Value, types};

const NOT_A_FLOAT: &str = "value is not a valid float";
/// What Redis shows of a number.
const DIGITS_BEHIND_POINT_MAX: i64 = 17;
/// Nothing of a smaller number is left in so many digits.
const SMALLEST: f64 = 1e-20;
/// The longest text of a number that is read; the largest one has 309 digits before the point.
const TEXT_BYTES_MAX: usize = 512;
/// Up to here, every whole number has a float of its own.
const WHOLE_FLOAT_MAX: f64 = (1_i64 << 53) as f64;

/// INCRBYFLOAT of a key-value string or of a cell. Answers the new value as text.
///
/// # Errors
/// [`Stop`].
pub fn increment(unit: &mut Unit<'_>, at: usize, target: &Target, delta: &[u8]) -> Result<Vec<u8>, Stop> {
    match target {
        Target::Key => {
            // As in Redis the type of the key is looked at before the number.
            let (old, expires_ms) = match unit.string(at)? {
                Some((text, expires_ms)) => (number(text, NOT_A_FLOAT)?, expires_ms),
                None => (BigDecimal::from(0), 0),
            };
            let sum = shown(&(old + number(delta, NOT_A_FLOAT)?))?;
            unit.set_string(at, sum.as_bytes().into(), expires_ms);
            Ok(sum.into_bytes())
        }
        Target::Cell(table, _, column) => grow(unit, at, target, table, (*column, delta)),
        Target::Row(table, _) | Target::Table(table) => Err(super::names_a_column(table)),
    }
}

/// HINCRBYFLOAT of a hash field or of a column. Answers the new value as text.
///
/// # Errors
/// [`Stop`].
pub fn increment_field(
    unit: &mut Unit<'_>,
    at: usize,
    target: &Target,
    field: &[u8],
    delta: &[u8],
) -> Result<Vec<u8>, Stop> {
    if let Some((table, _)) = row_of(target) {
        let column = rows::column(table, field)?;
        return grow(unit, at, target, table, (column, delta));
    }
    if let Target::Table(table) = target {
        return Err(names_a_table(table).into());
    }
    let delta = number(delta, NOT_A_FLOAT)?;
    let old = match unit.hash(at)?.and_then(|hash| hash.get(field)) {
        Some(text) => number(text, "hash value is not a float")?,
        None => BigDecimal::from(0),
    };
    let sum = shown(&(old + delta))?;
    unit.set_fields(at, FieldEdits::new([(field, Some(sum.as_bytes()))]));
    Ok(sum.into_bytes())
}

/// Lets a column grow and answers the new value as it reads.
fn grow(
    unit: &mut Unit<'_>,
    at: usize,
    target: &Target,
    table: &Arc<Table>,
    (column, delta): (usize, &[u8]),
) -> Result<Vec<u8>, Stop> {
    let described = &table.columns[column];
    let sum = match &described.kind {
        kind if kind.is_float() => {
            let delta = rows::value(table, column, delta)?;
            Some(grow_float(unit, at, target, table, (column, &delta), false)?)
        }
        kind if kind.is_exact_number() => {
            let delta = types::parse_delta(described, delta)
                .map_err(|misfit| rows::misfit(table, described, &misfit))?;
            add_to_column(unit, at, target, table, (column, &delta), Answer::Sum)?
        }
        _ => return Err(not_addable(table, column).into()),
    };
    let mut text = Vec::new();
    types::render(&sum.unwrap_or(Value::Null), &mut text);
    Ok(text)
}

/// HINCRBY of a float column: the sum has to be a whole number.
pub(super) fn grow_whole_float(
    unit: &mut Unit<'_>,
    at: usize,
    target: &Target,
    table: &Arc<Table>,
    (column, delta): (usize, i64),
) -> Result<i64, Stop> {
    match grow_float(unit, at, target, table, (column, &Value::Float(delta as f64)), true)? {
        Value::Float(sum) => Ok(sum as i64),
        _ => Err(not_addable(table, column).into()),
    }
}

/// Writes the sum into a float column: a float that is added to elsewhere would not give the same bits.
fn grow_float(
    unit: &mut Unit<'_>,
    at: usize,
    target: &Target,
    table: &Arc<Table>,
    (column, delta): (usize, &Value),
    whole: bool,
) -> Result<Value, Stop> {
    super::rows::not_key(table, column)?;
    let key = row_of(target).map_or(&[][..], |(_, key)| key);
    let old = match unit.row(at)?.and_then(|row| rows::cell(table, key, row, column)) {
        None => 0.0,
        Some(Value::Float(old)) => *old,
        // Another program stored what is no float.
        Some(_) => return Err(Refusal::invalid("the stored value is no float and cannot be added to").into()),
    };
    let Value::Float(delta) = delta else { return Err(not_addable(table, column).into()) };
    let sum = old + delta;
    if !sum.is_finite() {
        return Err(Refusal::invalid("increment would produce NaN or Infinity").into());
    }
    if whole && (sum.fract() != 0.0 || sum.abs() > WHOLE_FLOAT_MAX) {
        return Err(more_than_whole(table, column).into());
    }
    let sum = types::float_for(&table.columns[column], sum)
        .ok_or_else(|| Refusal::invalid("increment would produce a number beyond the range of the column"))?;
    let sum = Value::Float(sum);
    let name = Name::column(&table.columns[column].name);
    rows::write(unit, at, table, Change::put([(name, sum.clone())]))?;
    Ok(sum)
}

/// The number that a text says, as Redis reads it: with a point or an exponent.
fn number(text: &[u8], otherwise: &str) -> Result<BigDecimal, Refusal> {
    let refused = || Refusal::invalid(otherwise);
    let text =
        std::str::from_utf8(text).ok().filter(|text| text.len() <= TEXT_BYTES_MAX).ok_or_else(refused)?;
    let near: f64 = text.parse().map_err(|_| refused())?;
    if !near.is_finite() {
        return Err(refused());
    }
    if near.abs() < SMALLEST {
        return Ok(BigDecimal::from(0));
    }
    text.parse().map_err(|_| refused())
}

/// A sum as Redis shows it: in plain digits, without zeros at the end.
fn shown(sum: &BigDecimal) -> Result<String, Refusal> {
    let rounded = sum.with_scale_round(DIGITS_BEHIND_POINT_MAX, RoundingMode::HalfEven).normalized();
    let text = rounded.to_plain_string();
    match text.parse::<f64>() {
        Ok(near) if near.is_finite() => Ok(text),
        _ => Err(Refusal::invalid("increment would produce NaN or Infinity")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_added_as_redis_adds_them() {
        let sum = |a: &str, b: &str| {
            let number = |text: &str| number(text.as_bytes(), NOT_A_FLOAT);
            shown(&(number(a).ok()? + number(b).ok()?)).ok()
        };
        let cases = [
            ("10.50", "0.1", Some("10.6")),
            ("5.0e3", "2.0e2", Some("5200")),
            ("0.1", "0.2", Some("0.3")),
            ("3", "-3.0", Some("0")),
            ("+1", ".5", Some("1.5")),
            ("0.000000000000000005", "0", Some("0")),
            ("1e-400000000", "2", Some("2")),
            ("1e400000000", "2", None),
            ("inf", "2", None),
            ("1e308", "1e308", None),
            (" 1", "2", None),
            ("", "2", None),
        ];
        for (a, b, expected) in cases {
            assert_eq!(sum(a, b).as_deref(), expected, "{a} + {b}");
        }
    }
}
