//! Writes a table's change log: the old and the new values of rows, in the transaction that changes them.
//! A change that cannot be recorded is refused; it never lands without its record.
//!
//! The rows are read and locked in front of the statements that change them, and read again behind them, all in one
//! exchange, so nobody changes them in between; the records of all of them are one insert.

use std::collections::HashMap;
use std::sync::Arc;

use super::mapped::Mapped;
use super::rows::arrays;
use super::text;
use super::wire::{Answer, Cell, Step, Wire};
use crate::error::SinkError;
use crate::model::{Catalogue, Table, Value, types};
use crate::sink::audit::{self, Recorded, USER};

/// How the change log of one table is written.
pub(super) struct Audit {
    log: Mapped,
    cells: Vec<(usize, Recorded)>,
}

impl Audit {
    /// Plans the change log `log` of `table`, if both can be found.
    pub(super) fn plan(
        wire: &mut Wire,
        catalogue: &Catalogue,
        table: &Arc<Table>,
        log: &str,
    ) -> Result<Audit, SinkError> {
        let (found, cells) = audit::plan(catalogue, table, log)?;
        Ok(Audit { log: Mapped::new(wire, &found)?, cells })
    }

    /// Runs statements that change the rows with these keys, each of another row, and records what became of them.
    pub(super) fn record(
        &self,
        wire: &mut Wire,
        mapped: &Mapped,
        keys: &[&[Value]],
        (changes, columns): (&[Step], &[usize]),
        time_ms: u64,
    ) -> Result<(), SinkError> {
        let keys = keys.iter().map(|key| mapped.key_cells(key)).collect::<Result<Vec<_>, _>>()?;
        let bound = arrays(&keys);
        let mut steps = vec![Step::new(asked(mapped, " FOR UPDATE OF t"), bound.clone())];
        steps.extend_from_slice(changes);
        steps.push(Step::new(asked(mapped, ""), bound));
        let answers = wire.run(&steps).map_err(|failure| mapped.failed(failure, columns))?;
        let none = Answer::default();
        let old = rows(answers.first().unwrap_or(&none));
        let new = rows(answers.last().unwrap_or(&none));
        let time = types::timestamp_of_unix_ms(time_ms).map(String::into_bytes);
        let user = Some(USER.as_bytes().to_vec());
        let mut records = Vec::new();
        for number in 1..=keys.len() as i64 {
            let found = (old.get(&number).copied(), new.get(&number).copied());
            if found.0 != found.1 {
                let given = || (None, time.clone(), user.clone());
                records.push(self.cells.iter().map(|(_, cell)| cell.of(found, given())).collect());
            }
        }
        self.insert(wire, &records)
    }

    fn insert(&self, wire: &mut Wire, records: &[Vec<Cell>]) -> Result<(), SinkError> {
        if records.is_empty() {
            return Ok(());
        }
        let columns: Vec<_> = self.cells.iter().map(|(at, _)| *at).collect();
        let given: Vec<_> = columns.iter().map(|&at| (at, false)).collect();
        let sql = format!("{} ORDER BY i.n", self.log.insert(&columns, &self.log.input(&given)));
        let inserted = wire.run(&[Step::new(sql, arrays(records))]);
        inserted.map(|_| ()).map_err(|failure| self.log.failed(failure, &columns))
    }
}

/// What asks for the rows with the keys of the arrays: the number of the key, then all columns.
fn asked(mapped: &Mapped, lock: &str) -> String {
    let key: Vec<_> = mapped.table.primary_key.iter().map(|&at| (at, false)).collect();
    let columns: Vec<_> = mapped.columns.iter().map(|column| format!("t.{}::text", column.quoted)).collect();
    let (columns, table, input, is_same) =
        (columns.join(", "), &mapped.qualified, mapped.input(&key), mapped.is_same("t"));
    format!("SELECT i.n, {columns} FROM {input} JOIN {table} AS t ON {is_same} ORDER BY i.n{lock}")
}

/// Rows by the number of their key.
fn rows(answer: &Answer) -> HashMap<i64, &[Cell]> {
    answer.rows.iter().filter_map(|row| Some((text::whole(row.first())?, row.get(1..)?))).collect()
}
