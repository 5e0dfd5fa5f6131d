//! Pages through the rows of a table by its primary key, which has an index.
//! It never writes, and reads no column but the key.

use super::mapped::Mapped;
use super::text;
use super::wire::{Answer, Cell, Step};
use crate::error::SinkError;
use crate::model::codec::{Reader, put_bytes};
use crate::model::{RowKey, Value};
use crate::sink::parts::no_such_table;
use crate::sink::{RowPlace, StoredRow};

/// What asks for the keys of rows behind a place, in their order; [`read`] understands the answer.
pub(super) fn asked(mapped: &Mapped, after: Option<&RowPlace>, most: usize) -> Result<Step, SinkError> {
    let key: Vec<_> = mapped.table.primary_key.iter().map(|&at| &mapped.columns[at]).collect();
    if key.is_empty() {
        return Err(no_such_table(&mapped.table.name));
    }
    let names: Vec<_> = key.iter().map(|column| format!("t.{}", column.quoted)).collect();
    let shown: Vec<_> = names.iter().map(|name| format!("{name}::text")).collect();
    let mut bound = Vec::new();
    let mut behind = String::new();
    if let Some(place) = after {
        bound = cells(place, key.len()).ok_or_else(|| no_such_table(&mapped.table.name))?;
        let places = key.iter().enumerate().map(|(at, column)| format!("${}::{}", at + 1, column.base));
        behind = format!(" WHERE ({}) > ({})", names.join(", "), places.collect::<Vec<_>>().join(", "));
    }
    bound.push(text::number(i64::try_from(most).unwrap_or(i64::MAX)));
    let (shown, table, order, limit) = (shown.join(", "), &mapped.qualified, names.join(", "), bound.len());
    let sql = format!("SELECT {shown} FROM {table} AS t{behind} ORDER BY {order} LIMIT ${limit}::bigint");
    Ok(Step::new(sql, bound))
}

/// The rows, and the place of the last one.
pub(super) fn read(mapped: &Mapped, answer: &Answer) -> (Vec<StoredRow>, Option<RowPlace>) {
    let row = |row: &Vec<Cell>| {
        let columns = mapped.table.primary_key.iter().map(|&at| &mapped.table.columns[at]);
        let key: Vec<Value> =
            columns.zip(row).map(|(column, cell)| text::value(column, cell.clone())).collect();
        StoredRow { key, is_parked: false }
    };
    let last = answer.rows.last().map(|row| {
        let mut place = Vec::new();
        row.iter().for_each(|cell| put_bytes(&mut place, cell.as_deref().unwrap_or_default()));
        RowPlace::from_bytes(place)
    });
    (answer.rows.iter().map(row).collect(), last)
}

/// What asks which of these rows have a letter; [`mark`] understands the answer.
pub(super) fn asked_for_letters(mapped: &Mapped, rows: &[StoredRow]) -> Step {
    let identity = |row: &StoredRow| RowKey::of_table(&mapped.table.name, &row.key);
    let keys: Vec<Cell> = rows.iter().map(|row| Some(text::hex(identity(row).as_bytes()))).collect();
    let sql = "SELECT key FROM landfall.landfall_dead_letter WHERE landfall.indexed(key) \
         IN (SELECT landfall.indexed(k) FROM unnest($1::bytea[]) AS k)";
    Step::new(sql, vec![text::array(&keys)])
}

/// Marks the rows that have a letter.
pub(super) fn mark(mapped: &Mapped, rows: &mut [StoredRow], answer: &Answer) {
    let parked: Vec<Vec<u8>> = answer.rows.iter().filter_map(|row| text::bytes(row.first())).collect();
    if parked.is_empty() {
        return;
    }
    for row in rows {
        let identity = RowKey::of_table(&mapped.table.name, &row.key);
        row.is_parked = parked.iter().any(|key| key == identity.as_bytes());
    }
}

/// The key's cells, as PostgreSQL wrote them.
fn cells(place: &RowPlace, count: usize) -> Option<Vec<Cell>> {
    let mut reader = Reader::new(place.as_bytes());
    let cells =
        (0..count).map(|_| reader.bytes().ok().map(|cell| Some(cell.to_vec()))).collect::<Option<_>>()?;
    reader.is_empty().then_some(cells)
}
