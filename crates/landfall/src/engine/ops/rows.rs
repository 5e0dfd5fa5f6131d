//! Rows of mapped tables: values checked against their columns before anything is logged.
//! A value that its column cannot hold is refused with table, column, type and a hint.

use std::sync::Arc;

use super::row_of;
use crate::buffer::cache::View;
use crate::engine::refusal::{Refusal, Stop};
use crate::engine::unit::Unit;
use crate::model::mapping::{Target, unknown_column};
use crate::model::{Change, Column, Name, Op, Table, Value, types};

/// The value of a column of a row: from the key for key columns, else from the columns that are not NULL.
pub fn cell<'r>(
    table: &Table,
    key: &'r [Value],
    row: &'r [(Name, Value)],
    column: usize,
) -> Option<&'r Value> {
    if let Some(at) = table.primary_key.iter().position(|&have| have == column) {
        return key.get(at);
    }
    let name = table.columns[column].name.as_bytes();
    row.binary_search_by(|(have, _)| have.as_bytes().cmp(name)).ok().map(|at| &row[at].1)
}

/// All columns of a row that are not NULL, in the table's order.
pub fn cells<'r>(
    table: &'r Table,
    key: &'r [Value],
    row: &'r [(Name, Value)],
) -> impl Iterator<Item = (&'r Column, &'r Value)> {
    table.columns.iter().enumerate().filter_map(|(at, column)| Some((column, cell(table, key, row, at)?)))
}

/// The number of a column.
///
/// # Errors
/// [`Refusal::Invalid`] that names the columns there are.
pub fn column(table: &Table, name: &[u8]) -> Result<usize, Refusal> {
    std::str::from_utf8(name)
        .ok()
        .and_then(|name| table.column_index(name))
        .ok_or_else(|| Refusal::invalid(unknown_column(table, &String::from_utf8_lossy(name))))
}

/// The canonical value of `text` for a column.
///
/// # Errors
/// [`Refusal::Invalid`] with table, column, type and a hint.
pub fn value(table: &Table, column: usize, text: &[u8]) -> Result<Value, Refusal> {
    let column = &table.columns[column];
    writable(table, column)?;
    types::parse(column, text).map_err(|why| misfit(table, column, &why))
}

/// The refusal for a text that a column does not take.
pub(super) fn misfit(table: &Table, column: &Column, misfit: &types::Misfit) -> Refusal {
    Refusal::invalid(format!(
        "{}.{} takes {}{}{}",
        table.name,
        column.name,
        misfit.expected,
        if misfit.hint.is_empty() { "" } else { "; " },
        misfit.hint
    ))
}

fn writable(table: &Table, column: &Column) -> Result<(), Refusal> {
    match column.generated {
        true => Err(Refusal::invalid(format!(
            "{}.{} is computed by the database and cannot be written",
            table.name, column.name
        ))),
        false => Ok(()),
    }
}

/// A put of these columns.
///
/// # Errors
/// [`Refusal::Invalid`] when a value does not fit or the column belongs to the key.
pub fn put(table: &Table, columns: &[(usize, &[u8])]) -> Result<Change, Refusal> {
    let mut put = Vec::with_capacity(columns.len());
    for &(column, text) in columns {
        not_key(table, column)?;
        put.push((Name::column(&table.columns[column].name), value(table, column, text)?));
    }
    Ok(Change::put(put))
}

/// Refuses to write a column that the key gives.
pub(in crate::engine) fn not_key(table: &Table, column: usize) -> Result<(), Refusal> {
    match table.is_key_column(column) {
        true => Err(Refusal::invalid(format!(
            "{}.{} belongs to the primary key, which the key already gives; write another key for another row",
            table.name, table.columns[column].name
        ))),
        false => Ok(()),
    }
}

/// Writes a change of a row, unless the row is known to be absent and the change lacks columns that it needs.
///
/// # Errors
/// [`Refusal::Invalid`] that names the missing columns.
pub fn write(unit: &mut Unit<'_>, at: usize, table: &Arc<Table>, change: Change) -> Result<(), Stop> {
    if let Change::Upsert(upsert) = &change {
        let absent = matches!(unit.peek(at), Some(seen) if matches!(seen.view, View::Absent));
        let named = |column: &Column| match upsert.op(&Name::column(&column.name)) {
            Some(Op::Assign(value)) => !value.is_null(),
            Some(Op::Add(_)) => true,
            None => false,
        };
        if absent || upsert.replace {
            let missing: Vec<&str> = table
                .required_columns()
                .filter(|column| {
                    let at = table.column_index(&column.name);
                    !at.is_some_and(|at| table.is_key_column(at)) && !named(column)
                })
                .map(|column| &*column.name)
                .collect();
            if !missing.is_empty() {
                return Err(Refusal::invalid(format!(
                    "the row does not exist in table {}, and a new row needs {}; write them in the same command",
                    table.name,
                    missing.join(", ")
                ))
                .into());
            }
        }
        for (name, op) in &upsert.columns {
            let column = table.column(&name.to_text());
            if let (Some(column), Op::Assign(Value::Null)) = (column, op)
                && !column.nullable
            {
                return Err(Refusal::invalid(format!(
                    "{}.{} is {} NOT NULL and takes a value",
                    table.name, column.name, column.declared
                ))
                .into());
            }
        }
    }
    unit.change_row(at, change);
    Ok(())
}

/// The value that `HDEL` leaves in a column: NULL, or the default where the column is NOT NULL.
///
/// # Errors
/// [`Refusal::Invalid`] when the column takes neither.
pub fn cleared(table: &Table, column: usize) -> Result<Value, Refusal> {
    not_key(table, column)?;
    let column = &table.columns[column];
    writable(table, column)?;
    match (column.nullable, &column.default) {
        (true, _) => Ok(Value::Null),
        (false, Some(default)) => Ok(default.clone()),
        (false, None) => Err(Refusal::invalid(format!(
            "{}.{} is NOT NULL {} and cannot be cleared; write a value, or DEL the row",
            table.name,
            column.name,
            if column.has_default {
                "with a default that the database computes"
            } else {
                "without a default"
            }
        ))),
    }
}

/// NULL for a column, where somebody wrote it: unlike [`cleared`], it never means the default.
///
/// # Errors
/// [`Refusal::Invalid`] when the column is NOT NULL, generated, or of the key.
pub fn null(table: &Table, column: usize) -> Result<Value, Refusal> {
    not_key(table, column)?;
    let column = &table.columns[column];
    writable(table, column)?;
    match column.nullable {
        true => Ok(Value::Null),
        false => Err(Refusal::invalid(format!(
            "{}.{} is {} NOT NULL and takes a value",
            table.name, column.name, column.declared
        ))),
    }
}

/// An event for a table.
///
/// # Errors
/// [`Refusal::Invalid`] when a value does not fit, or a needed column is missing.
pub fn event(table: &Table, columns: &[(&[u8], &[u8])]) -> Result<Vec<(Name, Value)>, Refusal> {
    let mut event: Vec<(Name, Value)> = Vec::with_capacity(columns.len());
    for (name, text) in columns {
        let at = column(table, name)?;
        let name = Name::column(&table.columns[at].name);
        if event.iter().any(|(have, _)| *have == name) {
            return Err(Refusal::invalid(format!("column {} is named twice", table.columns[at].name)));
        }
        event.push((name, value(table, at, text)?));
    }
    let missing: Vec<&str> = table
        .required_columns()
        .filter(|column| !event.iter().any(|(have, _)| have.as_bytes() == column.name.as_bytes()))
        .map(|column| &*column.name)
        .collect();
    match missing.is_empty() {
        true => Ok(event),
        false => Err(Refusal::invalid(format!(
            "an event of table {} needs {}; write them in the same command",
            table.name,
            missing.join(", ")
        ))),
    }
}

/// Whether a target is present.
///
/// # Errors
/// [`Stop`].
pub fn exists(unit: &mut Unit<'_>, at: usize, target: &Target) -> Result<bool, Stop> {
    if let Target::Table(table) = target {
        return Err(super::names_a_table(table).into());
    }
    if let (Target::Cell(_, _, column), Some((table, key))) = (target, row_of(target)) {
        let Some(row) = unit.row(at)? else { return Ok(false) };
        return Ok(cell(table, key, row, *column).is_some());
    }
    Ok(!matches!(unit.see(at)?.view, View::Absent))
}
