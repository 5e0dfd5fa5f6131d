//! Many rows in the shape that PostgreSQL takes fastest: arrays for a statement, or lines of COPY.
//! It must never let a value through that the statements for single rows would refuse, or one that ends its line early.

use super::mapped::Mapped;
use super::rows::check_delta;
use super::text;
use super::wire::{Cell, Step};
use crate::error::SinkError;
use crate::model::{Name, Op, Upsert, Value};
use crate::sink::parts::{self, no_such_table, refused};

/// From so many rows on a COPY is faster than arrays; measured, see docs/benchmarks/postgres.md. Below, the table that it
/// goes through costs more than it saves.
const COPIED_ROWS_MIN: usize = 4_000;
/// As above, for events, which need no such table.
const COPIED_EVENTS_MIN: usize = 50;
/// What a value takes, about.
const VALUE_BYTES: usize = 16;

/// One array for each column.
pub(super) struct Arrays(Vec<Vec<u8>>);

impl Arrays {
    pub(super) fn new(columns: usize) -> Arrays {
        Arrays(vec![vec![b'{']; columns])
    }

    pub(super) fn push(&mut self, place: usize, value: &Value) {
        text::push_element(&mut self.0[place], value);
    }

    pub(super) fn bound(self) -> Vec<Cell> {
        let closed = self.0.into_iter().map(|mut array| {
            array.push(b'}');
            Some(array)
        });
        closed.collect()
    }
}

impl Mapped {
    /// The rows as arrays: the key, then what is set.
    pub(super) fn arrays(
        &self,
        set: &[(usize, bool)],
        first: &Upsert,
        rows: &[(Vec<Value>, &Upsert)],
    ) -> Result<Vec<Cell>, SinkError> {
        let mut arrays = Arrays::new(self.table.primary_key.len() + set.len());
        self.each_row(set, first, rows, |place, value| arrays.push(place, value))?;
        Ok(arrays.bound())
    }

    /// Statements that insert what is not there and update what is.
    pub(super) fn direct_steps(
        &self,
        first: &Upsert,
        set: &[(usize, bool)],
        rows: &[(Vec<Value>, &Upsert)],
    ) -> Result<Vec<Step>, SinkError> {
        let given = self.given(set);
        if rows.len() < COPIED_ROWS_MIN {
            let sql = self.direct(first.replace, set, &self.input(&given));
            return Ok(vec![Step::new(sql, self.arrays(set, first, rows)?)]);
        }
        let mut lines = Vec::with_capacity(rows.len() * given.len() * VALUE_BYTES);
        self.each_row(set, first, rows, |place, value| {
            if place > 0 {
                lines.push(b'\t');
            }
            text::push_copied(&mut lines, value);
            if place + 1 == given.len() {
                lines.push(b'\n');
            }
        })?;
        let columns = given.iter().enumerate();
        let columns: Vec<String> =
            columns.map(|(number, (at, _))| format!("a{} {}", number + 1, self.columns[*at].base)).collect();
        // It is gone with the transaction, whoever gets the session from a pooler next.
        Ok(vec![
            Step::bare(format!(
                "CREATE TEMPORARY TABLE landfall_rows ({}) ON COMMIT DROP",
                columns.join(", ")
            )),
            Step::copy("COPY pg_temp.landfall_rows FROM STDIN", lines),
            Step::bare(self.direct(first.replace, set, "pg_temp.landfall_rows AS i")),
            Step::bare("DROP TABLE pg_temp.landfall_rows"),
        ])
    }

    /// Gives each value of the rows with its place: the key, then what is set, in the order of the first row's columns.
    fn each_row(
        &self,
        set: &[(usize, bool)],
        first: &Upsert,
        rows: &[(Vec<Value>, &Upsert)],
        mut give: impl FnMut(usize, &Value),
    ) -> Result<(), SinkError> {
        let keys = self.table.primary_key.len();
        // Of which part of the key a column is, for each column that the rows name.
        let places = first.columns.iter().map(|(name, _)| {
            let (at, _) = parts::column(&self.table, name)?;
            Ok((at, self.table.primary_key.iter().position(|&key_column| key_column == at)))
        });
        let places = places.collect::<Result<Vec<_>, SinkError>>()?;
        debug_assert_eq!(places.iter().filter(|(_, part)| part.is_none()).count(), set.len());
        for (key, upsert) in rows {
            for (place, (at, value)) in self.key(key)?.enumerate() {
                self.keeps(at, value)?;
                give(place, value);
            }
            let mut place = keys;
            for ((_, op), &(at, part)) in upsert.columns.iter().zip(&places) {
                let column = &self.table.columns[at];
                match (part, op) {
                    (Some(part), Op::Assign(value)) if *value == key[part] => continue,
                    (Some(_), _) => {
                        let reason = format!("a change cannot move key column {}", column.name);
                        return Err(refused(&self.table.name, reason));
                    }
                    (None, Op::Assign(value)) => {
                        parts::check(&self.table, column, value)?;
                        self.keeps(at, value)?;
                    }
                    (None, Op::Add(delta)) => check_delta(&self.table, column, delta)?,
                }
                give(place, op.value());
                place += 1;
            }
        }
        Ok(())
    }

    /// The columns of events, each value of which is checked, and a COPY of them where that is of use.
    pub(super) fn copy(&self, rows: &[&[(Name, Value)]]) -> Result<(Vec<usize>, Option<Step>), SinkError> {
        let table = &*self.table;
        let Some(first) = rows.first() else { return Err(no_such_table(&table.name)) };
        let columns = first.iter().map(|(name, _)| parts::column(table, name).map(|(at, _)| at));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let copies = rows.len() >= COPIED_EVENTS_MIN && !columns.is_empty();
        let mut lines = Vec::with_capacity(if copies { rows.len() * columns.len() * VALUE_BYTES } else { 0 });
        for row in rows {
            for (place, (&at, (_, value))) in columns.iter().zip(row.iter()).enumerate() {
                parts::check(table, &table.columns[at], value)?;
                self.keeps(at, value)?;
                if copies {
                    if place > 0 {
                        lines.push(b'\t');
                    }
                    text::push_copied(&mut lines, value);
                }
            }
            if copies {
                lines.push(b'\n');
            }
        }
        let names: Vec<_> = columns.iter().map(|&at| &*self.columns[at].quoted).collect();
        let sql = format!("COPY {} ({}) FROM STDIN", self.qualified, names.join(", "));
        Ok((columns, copies.then(|| Step::copy(sql, lines))))
    }
}
