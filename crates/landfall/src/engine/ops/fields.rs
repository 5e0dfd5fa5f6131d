//! HSET, HGET and their kin: fields of key-value hashes, columns of rows.
//! Writing columns of a row never waits for a load; fields of a key-value hash are counted, so they do.

use std::sync::Arc;

use super::{names_a_table, row_of, rows};
use crate::buffer::cache::FieldEdits;
use crate::engine::refusal::{Refusal, Stop};
use crate::engine::unit::Unit;
use crate::model::mapping::Target;
use crate::model::{Name, Table, Value, types};

/// HSET: answers how many fields are new (for a row: how many are not known to exist).
///
/// # Errors
/// [`Stop`].
pub fn set(unit: &mut Unit<'_>, at: usize, target: &Target, pairs: &[(&[u8], &[u8])]) -> Result<usize, Stop> {
    let Some((table, key)) = row_only(target)? else {
        let hash = unit.hash(at)?;
        let fields = FieldEdits::new(pairs.iter().map(|(field, value)| (*field, Some(*value))));
        let known = |field: &[u8]| hash.is_some_and(|hash| hash.contains_key(field));
        let new = fields.iter().filter(|(field, _)| !known(field)).count();
        unit.set_fields(at, fields);
        return Ok(new);
    };
    let mut columns = Vec::with_capacity(pairs.len());
    for (name, text) in pairs {
        let column = rows::column(table, name)?;
        if same_key(table, key, column, text)? {
            continue;
        }
        columns.push((column, *text));
    }
    let change = rows::put(table, &columns)?;
    let known = unit.peek(at).and_then(|seen| match seen.view {
        crate::buffer::cache::View::Row(row) => Some(row.clone()),
        _ => None,
    });
    let new = columns
        .iter()
        .filter(|(column, _)| known.as_ref().is_none_or(|row| rows::cell(table, key, row, *column).is_none()))
        .count();
    rows::write(unit, at, table, change)?;
    Ok(new)
}

/// Gives fields or columns typed values; NULL takes a field away, and clears a column.
///
/// # Errors
/// [`Stop`].
pub fn put(unit: &mut Unit<'_>, at: usize, target: &Target, values: &[(&str, Value)]) -> Result<(), Stop> {
    let text = |value: &Value| {
        let mut out = Vec::new();
        types::render(value, &mut out);
        out
    };
    let Some((table, key)) = row_only(target)? else {
        // Seen first: the number of fields that are left decides whether the key stays.
        unit.hash(at)?;
        let texts: Vec<Option<Vec<u8>>> =
            values.iter().map(|(_, value)| (!value.is_null()).then(|| text(value))).collect();
        let names = values.iter().map(|(name, _)| name.as_bytes());
        unit.set_fields(at, FieldEdits::new(names.zip(texts.iter().map(Option::as_deref))));
        return Ok(());
    };
    let mut columns = Vec::with_capacity(values.len());
    for (name, value) in values {
        let column = rows::column(table, name.as_bytes())?;
        let given = match value {
            Value::Null => rows::null(table, column)?,
            value if table.is_key_column(column) && same_key(table, key, column, &text(value))? => continue,
            value => {
                rows::not_key(table, column)?;
                rows::value(table, column, &text(value))?
            }
        };
        columns.push((Name::column(&table.columns[column].name), given));
    }
    rows::write(unit, at, table, crate::model::Change::put(columns))
}

/// Whether a pair names a key column with the value that the key has already.
fn same_key(table: &Table, key: &[Value], column: usize, text: &[u8]) -> Result<bool, Refusal> {
    match table.primary_key.iter().position(|&have| have == column) {
        Some(part) => Ok(key.get(part) == Some(&rows::value(table, column, text)?)),
        None => Ok(false),
    }
}

/// Reads fields, calling `each` once for every name asked for, in that order.
///
/// # Errors
/// [`Stop`].
pub fn get(
    unit: &mut Unit<'_>,
    at: usize,
    target: &Target,
    names: &[&[u8]],
    mut each: impl FnMut(Option<&[u8]>),
) -> Result<(), Stop> {
    let Some((table, key)) = row_only(target)? else {
        let hash = unit.hash(at)?;
        for name in names {
            each(hash.and_then(|hash| hash.get(name)));
        }
        return Ok(());
    };
    let columns = names.iter().map(|name| rows::column(table, name)).collect::<Result<Vec<_>, _>>()?;
    let row = unit.row(at)?;
    let mut text = Vec::new();
    for column in columns {
        text.clear();
        match row.and_then(|row| rows::cell(table, key, row, column)) {
            Some(value) => {
                types::render(value, &mut text);
                each(Some(&text));
            }
            None => each(None),
        }
    }
    Ok(())
}

/// Reads all fields: `count` gets how many there are, and then `each` every name and value.
///
/// # Errors
/// [`Stop`].
pub fn get_all(
    unit: &mut Unit<'_>,
    at: usize,
    target: &Target,
    mut visit: impl FnMut(usize, &mut dyn Iterator<Item = (&[u8], &[u8])>),
) -> Result<(), Stop> {
    let Some((table, key)) = row_only(target)? else {
        match unit.hash(at)? {
            Some(hash) => visit(hash.len(), &mut hash.iter()),
            None => visit(0, &mut std::iter::empty()),
        }
        return Ok(());
    };
    let Some(row) = unit.row(at)? else {
        visit(0, &mut std::iter::empty());
        return Ok(());
    };
    let texts: Vec<(&[u8], Vec<u8>)> = rows::cells(table, key, row)
        .map(|(column, value)| {
            let mut text = Vec::new();
            types::render(value, &mut text);
            (column.name.as_bytes(), text)
        })
        .collect();
    visit(texts.len(), &mut texts.iter().map(|(name, text)| (*name, &text[..])));
    Ok(())
}

/// HDEL: removes fields, or clears columns to NULL or their default. Answers how many were there.
///
/// # Errors
/// [`Stop`].
pub fn delete(unit: &mut Unit<'_>, at: usize, target: &Target, names: &[&[u8]]) -> Result<usize, Stop> {
    let Some((table, key)) = row_only(target)? else {
        let Some(hash) = unit.hash(at)? else { return Ok(0) };
        let there = names.iter().filter(|name| hash.contains_key(name));
        let fields = FieldEdits::new(there.map(|name| (*name, None)));
        let removed = fields.len();
        if removed > 0 {
            unit.set_fields(at, fields);
        }
        return Ok(removed);
    };
    let mut columns: Vec<(Name, Value)> = Vec::new();
    for name in names {
        let column = rows::column(table, name)?;
        let cleared = rows::cleared(table, column)?;
        let there = unit.row(at)?.is_some_and(|row| rows::cell(table, key, row, column).is_some());
        let name = Name::column(&table.columns[column].name);
        if there && !columns.iter().any(|(have, _)| *have == name) {
            columns.push((name, cleared));
        }
    }
    let removed = columns.len();
    if removed > 0 {
        rows::write(unit, at, table, crate::model::Change::put(columns))?;
    }
    Ok(removed)
}

/// A table and the key of one of its rows.
type RowTarget<'t> = (&'t Arc<Table>, &'t [Value]);

/// The row of a target; none for a key-value key.
fn row_only(target: &Target) -> Result<Option<RowTarget<'_>>, Stop> {
    match target {
        Target::Cell(table, _, column) => Err(Refusal::invalid(format!(
            "the key names the column {} of a row of table {}; leave the column out of the key to read or write fields",
            table.columns[*column].name, table.name
        ))
        .into()),
        Target::Table(table) => Err(names_a_table(table).into()),
        target => Ok(row_of(target)),
    }
}
