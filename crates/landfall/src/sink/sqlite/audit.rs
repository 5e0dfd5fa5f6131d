//! Writes a table's change log: the old and the new values of a row, in the transaction that changes it.
//! A change that cannot be recorded is refused; it never lands without its record.

use rusqlite::types::{ToSqlOutput, Value as Owned};
use rusqlite::{Connection, params_from_iter};

use super::errors::classify;
use super::rows::Mapped;
use crate::error::SinkError;
use crate::model::{Catalogue, Table, types};
use crate::sink::parts::refused;

/// Who the change log says it was.
const USER: &str = "landfall";

/// How the change log of one table is written.
pub(super) struct Audit {
    log: String,
    insert: String,
    cells: Vec<Cell>,
}

/// What one column of the change log gets.
enum Cell {
    Key(usize),
    Old(usize),
    New(usize),
    Time,
    User,
}

impl Audit {
    /// Plans the change log `log` of `table`, if both can be found.
    pub(super) fn plan(catalogue: &Catalogue, table: &Table, log: &str) -> Result<Audit, SinkError> {
        let found = catalogue.table(log).ok_or_else(|| {
            refused(
                &table.name,
                format!("its change-log table {log} does not exist; create it or remove the setting audit"),
            )
        })?;
        let mut cells = Vec::new();
        let mut columns = Vec::new();
        for (at, column) in found.columns.iter().enumerate() {
            if let Some(cell) = cell(table, &column.name).filter(|_| !column.generated) {
                cells.push(cell);
                columns.push(at);
            }
        }
        if !cells.iter().any(|cell| matches!(cell, Cell::Old(_) | Cell::New(_))) {
            return Err(refused(
                &table.name,
                format!(
                    "its change-log table {log} has no column like {}_old or {}_new",
                    any(table),
                    any(table)
                ),
            ));
        }
        let names = super::statements::Names {
            table: super::statements::quoted(&found.name),
            columns: found.columns.iter().map(|column| super::statements::quoted(&column.name)).collect(),
            key: Vec::new(),
        };
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
        let of = |row: Option<&[Owned]>, at: usize| row.map_or(Owned::Null, |row| row[at].clone());
        let cells = self.cells.iter().map(|cell| match cell {
            Cell::Key(at) => of(new.as_deref().or(old), *at),
            Cell::Old(at) => of(old, *at),
            Cell::New(at) => of(new.as_deref(), *at),
            Cell::Time => types::timestamp_of_unix_ms(time_ms).map_or(Owned::Null, Owned::Text),
            Cell::User => Owned::Text(USER.into()),
        });
        connection
            .prepare_cached(&self.insert)
            .and_then(|mut insert| insert.execute(params_from_iter(cells)))
            .map(|_| ())
            .map_err(|error| classify(&self.log, &error))
    }
}

fn cell(table: &Table, name: &str) -> Option<Cell> {
    let of = |suffix: &str| name.strip_suffix(suffix).and_then(|name| table.column_index(name));
    let key = table.column_index(name).filter(|&at| table.is_key_column(at));
    key.map(Cell::Key)
        .or_else(|| of("_old").map(Cell::Old))
        .or_else(|| of("_new").map(Cell::New))
        .or_else(|| (name == "log_date").then_some(Cell::Time))
        .or_else(|| (name == "user").then_some(Cell::User))
}

fn any(table: &Table) -> &str {
    table
        .columns
        .iter()
        .enumerate()
        .find(|(at, _)| !table.is_key_column(*at))
        .map_or("column", |(_, column)| &column.name)
}
