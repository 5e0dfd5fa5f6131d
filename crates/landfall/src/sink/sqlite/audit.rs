//! Writes a table's change log: the old and the new values of a row, in the transaction that changes it.
//! A change that cannot be recorded is refused; it never lands without its record.

use rusqlite::types::{ToSqlOutput, Value as Owned};
use rusqlite::{Connection, params_from_iter};

use super::errors::classify;
use super::rows::Mapped;
use crate::error::SinkError;
use crate::model::{Catalogue, Table, types};
use crate::sink::audit::{self, Recorded, USER};

/// How the change log of one table is written.
pub(super) struct Audit {
    log: String,
    insert: String,
    cells: Vec<Recorded>,
}

impl Audit {
    /// Plans the change log `log` of `table`, if both can be found.
    pub(super) fn plan(catalogue: &Catalogue, table: &Table, log: &str) -> Result<Audit, SinkError> {
        let (found, cells) = audit::plan(catalogue, table, log)?;
        let columns: Vec<_> = cells.iter().map(|(at, _)| *at).collect();
        let names = super::statements::Names {
            table: super::statements::quoted(&found.name),
            columns: found.columns.iter().map(|column| super::statements::quoted(&column.name)).collect(),
            key: Vec::new(),
        };
        let cells = cells.into_iter().map(|(_, cell)| cell).collect();
        Ok(Audit { log: found.name.to_string(), insert: names.insert(&columns, None), cells })
    }

    /// Records what became of a row, if anything did.
    pub(super) fn record(
        &self,
        connection: &Connection,
        mapped: &Mapped,
        key: &[ToSqlOutput<'_>],
        old: Option<&[Owned]>,
        time_ms: u64,
    ) -> Result<(), SinkError> {
        let new = mapped.stored(connection, key)?;
        if old == new.as_deref() {
            return Ok(());
        }
        let time = types::timestamp_of_unix_ms(time_ms).map_or(Owned::Null, Owned::Text);
        let cells = self.cells.iter().map(|cell| {
            cell.of((old, new.as_deref()), (Owned::Null, time.clone(), Owned::Text(USER.into())))
        });
        connection
            .prepare_cached(&self.insert)
            .and_then(|mut insert| insert.execute(params_from_iter(cells)))
            .map(|_| ())
            .map_err(|error| classify(&self.log, &error))
    }
}
