//! Lands changes of rows of mapped tables: update first, insert only what is not there.
//! It never inserts over a row, because NOT NULL is checked on the proposed row before the conflict is seen, and
//! never deletes and inserts again, because that would fire foreign keys.

use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, Value as Owned};
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::convert::{self, Affinity};
use super::errors::classify;
use super::statements::{Names, quoted};
use crate::error::SinkError;
use crate::model::{Change, Name, Op, Table, Upsert, Value, types};
use crate::sink::parts::{self, misfit_refusal, no_such_table, refused};

/// A table with what its statements are made of.
pub(super) struct Mapped {
    pub(super) table: Arc<Table>,
    pub(super) names: Names,
    affinities: Vec<Affinity>,
    /// The expressions of the columns' defaults, as the schema has them.
    defaults: Vec<Option<String>>,
}

impl Mapped {
    pub(super) fn new(connection: &Connection, table: &Arc<Table>) -> Result<Mapped, SinkError> {
        let failed = |error| classify(&table.name, &error);
        let mut defaults = vec![None; table.columns.len()];
        let mut select = connection
            .prepare_cached("SELECT name, dflt_value FROM pragma_table_xinfo(?1)")
            .map_err(failed)?;
        let mut found = select.query([&*table.name]).map_err(failed)?;
        while let Some(row) = found.next().map_err(failed)? {
            let name: String = row.get(0).map_err(failed)?;
            if let Some(at) = table.column_index(&name) {
                defaults[at] = row.get(1).map_err(failed)?;
            }
        }
        Ok(Mapped {
            table: Arc::clone(table),
            names: Names {
                table: quoted(&table.name),
                columns: table.columns.iter().map(|column| quoted(&column.name)).collect(),
                key: table.primary_key.clone(),
            },
            affinities: table.columns.iter().map(|column| Affinity::of(affine(&column.declared))).collect(),
            defaults,
        })
    }

    fn failed(&self, error: &rusqlite::Error) -> SinkError {
        classify(&self.table.name, error)
    }

    /// What to bind for a column's value.
    pub(super) fn bind<'v>(&self, column: usize, value: &'v Value) -> Result<ToSqlOutput<'v>, SinkError> {
        convert::bind(self.affinities[column], value).map_err(|reason| {
            refused(&self.table.name, format!("column {}: {reason}", self.table.columns[column].name))
        })
    }

    /// What to bind for a primary key.
    pub(super) fn bind_key<'v>(&self, key: &'v [Value]) -> Result<Vec<ToSqlOutput<'v>>, SinkError> {
        if key.is_empty() || key.len() != self.table.primary_key.len() {
            return Err(no_such_table(&self.table.name));
        }
        self.table.primary_key.iter().zip(key).map(|(&column, value)| self.bind(column, value)).collect()
    }

    fn execute(
        &self,
        connection: &Connection,
        sql: &str,
        bound: &[ToSqlOutput<'_>],
    ) -> Result<usize, SinkError> {
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params_from_iter(bound)))
            .map_err(|error| self.failed(&error))
    }

    /// All columns as they are stored, or none for an absent row.
    pub(super) fn stored(
        &self,
        connection: &Connection,
        key: &[ToSqlOutput<'_>],
    ) -> Result<Option<Vec<Owned>>, SinkError> {
        let count = self.table.columns.len();
        connection
            .prepare_cached(&self.names.select(0..count))
            .and_then(|mut select| {
                select
                    .query_row(params_from_iter(key), |row| (0..count).map(|at| row.get(at)).collect())
                    .optional()
            })
            .map_err(|error| self.failed(&error))
    }

    /// Lands a change of the row with this key.
    pub(super) fn change(
        &self,
        connection: &Connection,
        key: &[Value],
        change: &Change,
    ) -> Result<(), SinkError> {
        let bound_key = self.bind_key(key)?;
        match change {
            Change::Delete => self.execute(connection, &self.names.delete(), &bound_key).map(|_| ()),
            Change::Upsert(upsert) => {
                let columns = self.resolve(connection, key, &bound_key, upsert)?;
                self.upsert(connection, &bound_key, upsert.replace, &columns)
            }
        }
    }

    /// The columns that an upsert sets, by number, without the key, and with sums done.
    fn resolve(
        &self,
        connection: &Connection,
        key: &[Value],
        bound_key: &[ToSqlOutput<'_>],
        upsert: &Upsert,
    ) -> Result<Vec<(usize, Value)>, SinkError> {
        let table = &*self.table;
        let mut columns = Vec::with_capacity(upsert.columns.len());
        let mut adds = Vec::new();
        for (name, op) in &upsert.columns {
            let (at, column) = parts::column(table, name)?;
            if let Some(part) = table.primary_key.iter().position(|&key_column| key_column == at) {
                if matches!(op, Op::Assign(value) if *value == key[part]) {
                    continue;
                }
                return Err(refused(&table.name, format!("a change cannot move key column {}", column.name)));
            }
            if let Op::Assign(value) = op {
                parts::check(table, column, value)?;
            } else {
                adds.push(columns.len());
            }
            columns.push((at, op.value().clone()));
        }
        if !adds.is_empty() {
            self.add_up(connection, bound_key, upsert.replace, &adds, &mut columns)?;
        }
        Ok(columns)
    }

    /// Turns the deltas at `adds` into sums. Reading first is safe: the transaction holds the only write lock.
    fn add_up(
        &self,
        connection: &Connection,
        bound_key: &[ToSqlOutput<'_>],
        replace: bool,
        adds: &[usize],
        columns: &mut [(usize, Value)],
    ) -> Result<(), SinkError> {
        let table = &*self.table;
        let mut old = vec![Value::Null; adds.len()];
        if !replace {
            let sql = self.names.select(adds.iter().map(|&add| columns[add].0));
            connection
                .prepare_cached(&sql)
                .and_then(|mut select| {
                    select
                        .query_row(params_from_iter(bound_key), |row| {
                            for (at, &add) in adds.iter().enumerate() {
                                old[at] = convert::value(&table.columns[columns[add].0], row.get_ref(at)?);
                            }
                            Ok(())
                        })
                        .optional()
                })
                .map_err(|error| self.failed(&error))?;
        }
        for (old, &add) in old.iter().zip(adds) {
            let (at, value) = &mut columns[add];
            let column = &table.columns[*at];
            *value =
                types::sum(column, old, value).map_err(|misfit| misfit_refusal(table, column, &misfit))?;
        }
        Ok(())
    }

    fn upsert(
        &self,
        connection: &Connection,
        bound_key: &[ToSqlOutput<'_>],
        replace: bool,
        columns: &[(usize, Value)],
    ) -> Result<(), SinkError> {
        let mut bound = Vec::with_capacity(columns.len() + bound_key.len());
        for (at, value) in columns {
            bound.push(self.bind(*at, value)?);
        }
        let is_there = match self.update_statement(replace, columns) {
            Some(sql) => {
                bound.extend_from_slice(bound_key);
                let changed = self.execute(connection, &sql, &bound)?;
                bound.truncate(columns.len());
                changed > 0
            }
            None => connection
                .prepare_cached(&self.names.exists())
                .and_then(|mut select| select.exists(params_from_iter(bound_key)))
                .map_err(|error| self.failed(&error))?,
        };
        if is_there {
            return Ok(());
        }
        let all: Vec<usize> =
            self.names.key.iter().copied().chain(columns.iter().map(|(at, _)| *at)).collect();
        let bound: Vec<_> = bound_key.iter().cloned().chain(bound).collect();
        self.execute(connection, &self.names.insert(&all, None), &bound).map(|_| ())
    }

    /// The statement that changes the row if it is there; none when there is nothing to set.
    fn update_statement(&self, replace: bool, columns: &[(usize, Value)]) -> Option<String> {
        let named = columns.iter().map(|(at, _)| (*at, None));
        if !replace {
            return (!columns.is_empty()).then(|| self.names.update(named));
        }
        let is_unnamed = |at: &usize| {
            !self.table.is_key_column(*at)
                && !self.table.columns[*at].generated
                && columns.iter().all(|(named, _)| named != at)
        };
        let unnamed = (0..self.table.columns.len())
            .filter(is_unnamed)
            .map(|at| (at, Some(self.defaults[at].as_deref().unwrap_or("NULL"))));
        let set: Vec<_> = named.chain(unnamed).collect();
        (!set.is_empty()).then(|| self.names.update(set))
    }

    /// Lands an event.
    pub(super) fn append(&self, connection: &Connection, columns: &[(Name, Value)]) -> Result<(), SinkError> {
        let table = &*self.table;
        let mut numbers = Vec::with_capacity(columns.len());
        let mut bound = Vec::with_capacity(columns.len());
        for (name, value) in columns {
            let (at, column) = parts::column(table, name)?;
            parts::check(table, column, value)?;
            numbers.push(at);
            bound.push(self.bind(at, value)?);
        }
        let unless_taken = table
            .column_index(parts::REQUEST_ID)
            .filter(|at| parts::has_request_id(table) && numbers.contains(at));
        self.execute(connection, &self.names.insert(&numbers, unless_taken), &bound).map(|_| ())
    }
}

/// The declared type as SQLite has it: the catalogue shows a column without one as [`super::declared::NONE`].
fn affine(declared: &str) -> &str {
    if declared == super::declared::NONE { "" } else { declared }
}
