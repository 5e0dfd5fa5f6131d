//! What a change log holds of a landed change: which of its columns get which values. Pure.
//! A change that cannot be recorded is refused; it never lands without its record.

use std::sync::Arc;

use super::parts::refused;
use crate::error::SinkError;
use crate::model::{Catalogue, Table};

/// Who a change log says it was.
pub(crate) const USER: &str = "landfall";

/// What one column of a change log gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// A part of the row's key.
    Key(usize),
    /// What a column held before; NULL for a row that was not there.
    Old(usize),
    /// What a column holds now; NULL for a row that is gone.
    New(usize),
    /// When the batch landed.
    Time,
    /// Who it was.
    User,
}

impl Recorded {
    /// The value, of rows that may be absent.
    pub(crate) fn of<T: Clone>(
        self,
        (old, new): (Option<&[T]>, Option<&[T]>),
        (null, time, user): (T, T, T),
    ) -> T {
        let cell = |row: Option<&[T]>, at: usize| row.and_then(|row| row.get(at).cloned()).unwrap_or(null);
        match self {
            Recorded::Key(at) => cell(new.or(old), at),
            Recorded::Old(at) => cell(old, at),
            Recorded::New(at) => cell(new, at),
            Recorded::Time => time,
            Recorded::User => user,
        }
    }
}

/// The table of a change log, and what each of the columns that it fills gets.
pub(crate) type Plan = (Arc<Table>, Vec<(usize, Recorded)>);

/// The change log of a table.
pub(crate) fn plan(catalogue: &Catalogue, table: &Table, log: &str) -> Result<Plan, SinkError> {
    let found = catalogue.table(log).ok_or_else(|| {
        refused(
            &table.name,
            format!("its change-log table {log} does not exist; create it or remove the setting audit"),
        )
    })?;
    let columns = found.columns.iter().enumerate().filter(|(_, column)| !column.generated);
    let cells: Vec<_> =
        columns.filter_map(|(at, column)| Some((at, recorded(table, &column.name)?))).collect();
    if !cells.iter().any(|(_, cell)| matches!(cell, Recorded::Old(_) | Recorded::New(_))) {
        let any = any(table);
        return Err(refused(
            &table.name,
            format!("its change-log table {log} has no column like {any}_old or {any}_new"),
        ));
    }
    Ok((Arc::clone(found), cells))
}

fn recorded(table: &Table, name: &str) -> Option<Recorded> {
    let of = |suffix: &str| name.strip_suffix(suffix).and_then(|name| table.column_index(name));
    let key = table.column_index(name).filter(|&at| table.is_key_column(at));
    key.map(Recorded::Key)
        .or_else(|| of("_old").map(Recorded::Old))
        .or_else(|| of("_new").map(Recorded::New))
        .or_else(|| (name == "log_date").then_some(Recorded::Time))
        .or_else(|| (name == "user").then_some(Recorded::User))
}

fn any(table: &Table) -> &str {
    let columns = table.columns.iter().enumerate();
    let mut others = columns.filter(|(at, _)| !table.is_key_column(*at));
    others.next().map_or("column", |(_, column)| &column.name)
}
