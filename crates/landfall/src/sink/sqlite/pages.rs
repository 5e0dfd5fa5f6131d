//! Pages through the keys of a table, by key.
//! Where a page ends is told in the values as they are stored, so that nothing that another program has put into a key makes
//! a walk go back or skip rows.

use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
use rusqlite::{Connection, Row, params_from_iter};

use super::convert;
use super::errors::classify;
use super::rows::Mapped;
use crate::error::SinkError;
use crate::sink::{RowPlace, StoredRow};

/// At most `most` rows behind `after`, and the place of the last of them; of dead letters nothing is known here.
pub(super) fn page(
    connection: &Connection,
    mapped: &Mapped,
    after: Option<&RowPlace>,
    most: usize,
) -> Result<(Vec<StoredRow>, Option<RowPlace>), SinkError> {
    let failed = |error| classify(&mapped.table.name, &error);
    let foreign = || SinkError::Unusable("a place in a table that this database has not given".into());
    let mut bound = match after {
        Some(place) => read(place.as_bytes(), mapped.names.key.len()).ok_or_else(foreign)?,
        None => Vec::new(),
    };
    bound.push(ToSqlOutput::Owned(Owned::Integer(i64::try_from(most).unwrap_or(i64::MAX))));
    let mut page = connection.prepare_cached(&mapped.names.page(after.is_some())).map_err(failed)?;
    let mut found = page.query(params_from_iter(&bound)).map_err(failed)?;
    let (mut rows, mut last) = (Vec::new(), Vec::new());
    while let Some(row) = found.next().map_err(failed)? {
        last.clear();
        rows.push(stored(mapped, row, &mut last).map_err(failed)?);
    }
    Ok((rows, (!last.is_empty()).then(|| RowPlace::from_bytes(last))))
}

fn stored(mapped: &Mapped, row: &Row<'_>, place: &mut Vec<u8>) -> rusqlite::Result<StoredRow> {
    let mut key = Vec::with_capacity(mapped.names.key.len());
    for (at, &column) in mapped.names.key.iter().enumerate() {
        let cell = row.get_ref(at)?;
        write(place, cell);
        key.push(convert::value(&mapped.table.columns[column], cell));
    }
    Ok(StoredRow { key, is_parked: false })
}

/// Appends a stored value: one byte for its class, four for its length, and its bytes.
fn write(out: &mut Vec<u8>, cell: ValueRef<'_>) {
    let (class, bytes) = match cell {
        ValueRef::Null => (0, Vec::new()),
        ValueRef::Integer(n) => (1, n.to_le_bytes().to_vec()),
        ValueRef::Real(n) => (2, n.to_bits().to_le_bytes().to_vec()),
        ValueRef::Text(bytes) => (3, bytes.to_vec()),
        ValueRef::Blob(bytes) => (4, bytes.to_vec()),
    };
    out.push(class);
    // No value of SQLite is as long as 4 GiB.
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

/// The values of a place, so many; none when these bytes were not written here.
fn read(mut place: &[u8], values: usize) -> Option<Vec<ToSqlOutput<'_>>> {
    let mut read = Vec::with_capacity(values + 1);
    while let Some((&class, rest)) = place.split_first() {
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let value = match class {
            0 => ValueRef::Null,
            1 => ValueRef::Integer(i64::from_le_bytes(bytes.try_into().ok()?)),
            2 => ValueRef::Real(f64::from_bits(u64::from_le_bytes(bytes.try_into().ok()?))),
            3 => ValueRef::Text(bytes),
            4 => ValueRef::Blob(bytes),
            _ => return None,
        };
        read.push(ToSqlOutput::Borrowed(value));
        place = rest;
    }
    (read.len() == values).then_some(read)
}
