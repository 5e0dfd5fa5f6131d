//! INCR, HINCRBY and LANDFALL.ADD: counters of key-value keys, and columns that grow. Fractions are in [`fractions`].
//! A column that grows is logged as `add`, so increments sum up wherever they meet; a float cannot be added to
//! exactly, so its new value is logged.

use std::sync::Arc;

use super::{names_a_table, row_of, rows};
use crate::buffer::cache::FieldEdits;
use crate::engine::refusal::{Refusal, Stop};
use crate::engine::unit::Unit;
use crate::model::mapping::Target;
use crate::model::{Change, ColumnType, Name, Table, Value, types};

pub mod fractions;

const NOT_AN_INTEGER: &str = "value is not an integer or out of range";
const OVERFLOW: &str = "increment or decrement would overflow";

/// INCRBY of a key-value string or of a cell. Answers the new value.
///
/// # Errors
/// [`Stop`].
pub fn increment(unit: &mut Unit<'_>, at: usize, target: &Target, delta: i64) -> Result<i64, Stop> {
    match target {
        Target::Key => {
            let (old, expires_ms) = match unit.string(at)? {
                Some((text, expires_ms)) => (integer(text)?, expires_ms),
                None => (0, 0),
            };
            let new = old.checked_add(delta).ok_or_else(|| Refusal::invalid(OVERFLOW))?;
            unit.set_string(at, itoa::Buffer::new().format(new).as_bytes().into(), expires_ms);
            Ok(new)
        }
        Target::Cell(table, _, column) => grow_whole(unit, at, target, table, (*column, delta)),
        Target::Row(table, _) | Target::Table(table) => Err(names_a_column(table)),
    }
}

/// HINCRBY of a hash field or of a column. Answers the new value.
///
/// # Errors
/// [`Stop`].
pub fn increment_field(
    unit: &mut Unit<'_>,
    at: usize,
    target: &Target,
    field: &[u8],
    delta: i64,
) -> Result<i64, Stop> {
    if let Some((table, _)) = row_of(target) {
        let column = rows::column(table, field)?;
        return grow_whole(unit, at, target, table, (column, delta));
    }
    if let Target::Table(table) = target {
        return Err(names_a_table(table).into());
    }
    let old = match unit.hash(at)?.and_then(|hash| hash.get(field)) {
        Some(text) => integer(text).map_err(|_| Refusal::invalid("hash value is not an integer"))?,
        None => 0,
    };
    let new = old.checked_add(delta).ok_or_else(|| Refusal::invalid(OVERFLOW))?;
    let mut digits = itoa::Buffer::new();
    unit.set_fields(at, FieldEdits::new([(field, Some(digits.format(new).as_bytes()))]));
    Ok(new)
}

/// LANDFALL.ADD: lets a column grow without reading the row.
///
/// # Errors
/// [`Stop`].
pub fn add(unit: &mut Unit<'_>, at: usize, target: &Target, field: &[u8], delta: &[u8]) -> Result<(), Stop> {
    let Target::Row(table, _) = target else {
        return Err(Refusal::invalid(
            "LANDFALL.ADD lets a column of a row grow: LANDFALL.ADD table:pk column delta; for key-value keys use INCRBY or HINCRBY",
        )
        .into());
    };
    let column = rows::column(table, field)?;
    let described = &table.columns[column];
    if !described.kind.is_exact_number() {
        return Err(not_addable(table, column).into());
    }
    let delta =
        types::parse_delta(described, delta).map_err(|misfit| rows::misfit(table, described, &misfit))?;
    add_to_column(unit, at, target, table, (column, &delta), Answer::Nothing)?;
    Ok(())
}

/// Adds a whole number to a column and answers the sum; nothing is written when the sum is no whole number.
fn grow_whole(
    unit: &mut Unit<'_>,
    at: usize,
    target: &Target,
    table: &Arc<Table>,
    (column, delta): (usize, i64),
) -> Result<i64, Stop> {
    let delta = match table.columns[column].kind {
        ColumnType::Decimal { scale, .. } => types::with_scale(Value::Int(delta), scale),
        ColumnType::Float | ColumnType::SmallFloat => {
            return fractions::grow_whole_float(unit, at, target, table, (column, delta));
        }
        _ => Value::Int(delta),
    };
    let sum = add_to_column(unit, at, target, table, (column, &delta), Answer::Whole)?;
    Ok(sum.as_ref().and_then(Value::as_whole).ok_or_else(|| more_than_whole(table, column))?)
}

/// What an addition has to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Nothing: the row need not be known.
    Nothing,
    /// The sum, which has to be a whole number.
    Whole,
    /// The sum.
    Sum,
}

/// Adds to a column and answers the sum when the row is known; it is loaded when the sum has to be answered.
fn add_to_column(
    unit: &mut Unit<'_>,
    at: usize,
    target: &Target,
    table: &Arc<Table>,
    (column, delta): (usize, &Value),
    answer: Answer,
) -> Result<Option<Value>, Stop> {
    let described = &table.columns[column];
    let exact = described.kind.is_exact_number();
    if !exact || table.is_key_column(column) || described.generated {
        return Err(not_addable(table, column).into());
    }
    let key = row_of(target).map_or(&[][..], |(_, key)| key);
    if answer != Answer::Nothing {
        unit.see(at)?;
    }
    let known = unit.peek(at).is_some();
    let old = match known {
        true => unit.row(at)?.and_then(|row| rows::cell(table, key, row, column)).cloned(),
        false => None,
    };
    let name = Name::column(&described.name);
    let sum = old.unwrap_or(Value::Null).plus(delta);
    if known {
        check_sum(table, column, &sum)?;
    }
    // Refused before anything is noted: other commands of the same transaction may go on.
    if answer == Answer::Whole && sum.as_whole().is_none() {
        return Err(more_than_whole(table, column).into());
    }
    rows::write(unit, at, table, Change::add(name, delta.clone()))?;
    Ok(known.then_some(sum))
}

fn check_sum(table: &Table, column: usize, sum: &Value) -> Result<(), Refusal> {
    let mut text = Vec::new();
    types::render(sum, &mut text);
    rows::value(table, column, &text).map(|_| ()).map_err(|refusal| match refusal {
        Refusal::Invalid(why) => Refusal::invalid(format!("{OVERFLOW}: {why}")),
        other => other,
    })
}

fn more_than_whole(table: &Table, column: usize) -> Refusal {
    Refusal::invalid(format!(
        "the sum is no whole number of 64 bits: {}.{} is {}; use INCRBYFLOAT or HINCRBYFLOAT",
        table.name, table.columns[column].name, table.columns[column].declared
    ))
}

/// A whole number as Redis takes it: no sign `+`, no leading zeros, no spaces.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn integer(text: &[u8]) -> Result<i64, Refusal> {
    let refused = || Refusal::invalid(NOT_AN_INTEGER);
    let number: i64 =
        std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(refused)?;
    if itoa::Buffer::new().format(number).as_bytes() == text { Ok(number) } else { Err(refused()) }
}

fn not_addable(table: &Table, column: usize) -> Refusal {
    Refusal::invalid(format!(
        "{}.{} is {} and cannot be added to; columns of numbers outside the key can",
        table.name, table.columns[column].name, table.columns[column].declared
    ))
}

fn names_a_column(table: &Table) -> Stop {
    Refusal::invalid(format!(
        "INCR works on a column of a row; name it as {}:<key>:<column>, or use HINCRBY",
        table.name
    ))
    .into()
}
