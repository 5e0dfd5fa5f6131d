//! The statements for rows of mapped tables: many rows in one, from arrays of texts with the columns' own types.
//! A row that is there is updated and never inserted over with columns missing, because NOT NULL and CHECK are asked of
//! the proposed row before the conflict is seen. Names are always quoted, values always bound.

use std::fmt::Write;

use super::bulk::Arrays;
use super::errors::classify;
use super::mapped::{Mapped, Physical};
use super::text;
use super::wire::{Cell, Failure, Step};
use crate::error::SinkError;
use crate::model::{Column, ColumnType, Name, Op, Table, Upsert, Value};
use crate::sink::parts::{self, no_such_table, refused};

impl Mapped {
    /// The meaning of a failure of a statement that set these columns.
    pub(super) fn failed(&self, failure: Failure, columns: &[usize]) -> SinkError {
        let index =
            |name: &str| self.indexes.iter().find(|(known, _)| known == name).map(|(_, of)| of.clone());
        let is_value = matches!(&failure, Failure::Refused(refusal) if refusal.code.starts_with("22"));
        match classify(&self.table.name, failure, index) {
            SinkError::Refused { table, reason } if is_value && !columns.is_empty() => {
                let names: Vec<_> = columns.iter().map(|&at| &*self.table.columns[at].name).collect();
                SinkError::Refused {
                    table,
                    reason: format!("{reason}; the columns are {}", names.join(", ")),
                }
            }
            other => other,
        }
    }

    /// The texts of a key, if there can be such a row.
    pub(super) fn key_cells(&self, key: &[Value]) -> Result<Vec<Cell>, SinkError> {
        let cells = self.key(key)?.map(|(at, value)| self.keeps(at, value).map(|()| text::of(value)));
        cells.collect()
    }

    /// Asks whether PostgreSQL keeps a value as it is.
    pub(super) fn keeps(&self, at: usize, value: &Value) -> Result<(), SinkError> {
        let (column, physical) = (&self.table.columns[at], &self.columns[at]);
        let reason = match value {
            Value::Text(text) if text.contains('\0') => "text cannot hold a NUL byte",
            Value::Text(text) if physical.base == "bpchar" && text.ends_with(' ') => {
                "a char column forgets spaces at the end"
            }
            Value::Text(text) if is_finer(&column.kind, text, physical.modifier) => {
                "the fraction of the seconds has more digits than the column keeps"
            }
            Value::Float(n) if physical.base == "real" && !is_exact_in_32_bits(*n) => {
                "a float of 32 bits would change this number"
            }
            _ => return Ok(()),
        };
        Err(refused(&self.table.name, format!("column {}: {reason}", column.name)))
    }

    /// One row by its key.
    pub(super) fn select(&self, key: &[Value]) -> Result<Step, SinkError> {
        let bound = self.key_cells(key)?;
        let columns: Vec<_> =
            self.columns.iter().map(|column| format!("t.{}::text", column.quoted)).collect();
        let mut sql = format!("SELECT {} FROM {} AS t WHERE ", columns.join(", "), self.qualified);
        for (at, &column) in self.table.primary_key.iter().enumerate() {
            let and = if at == 0 { "" } else { " AND " };
            let Physical { quoted, base, .. } = &self.columns[column];
            let _ = write!(sql, "{and}t.{quoted} = ${}::{base}", at + 1);
        }
        Ok(Step::new(sql, bound))
    }

    /// The columns of a key with its values, if there can be such a row.
    pub(super) fn key<'v>(
        &self,
        key: &'v [Value],
    ) -> Result<impl Iterator<Item = (usize, &'v Value)>, SinkError> {
        if key.is_empty() || key.len() != self.table.primary_key.len() {
            return Err(no_such_table(&self.table.name));
        }
        Ok(self.table.primary_key.iter().copied().zip(key))
    }

    /// Deletes the rows with these keys.
    pub(super) fn delete(&self, keys: &[Vec<Value>]) -> Result<Step, SinkError> {
        let mut arrays = Arrays::new(self.table.primary_key.len());
        for key in keys {
            for (place, (at, value)) in self.key(key)?.enumerate() {
                self.keeps(at, value)?;
                arrays.push(place, value);
            }
        }
        let input = self.input(&self.table.primary_key.iter().map(|&at| (at, false)).collect::<Vec<_>>());
        let sql = format!("DELETE FROM {} AS t USING {input} WHERE {}", self.qualified, self.is_same("t"));
        Ok(Step::new(sql, arrays.bound()))
    }

    /// Upserts of one shape, each of another row, and the columns that they set.
    pub(super) fn upsert(
        &self,
        rows: &[(Vec<Value>, &Upsert)],
        ordered: bool,
    ) -> Result<(Vec<Step>, Vec<usize>), SinkError> {
        let Some((_, first)) = rows.first() else { return Ok(Default::default()) };
        let set = self.set_of(first)?;
        let columns: Vec<usize> = set.iter().map(|(at, _)| *at).collect();
        let is_constrained = columns.iter().any(|&at| self.table.is_constrained_column(at));
        if self.is_direct(&set) {
            return Ok((self.direct_steps(first, &set, rows)?, columns));
        }
        let update = self.update(first.replace, &set);
        let insert = self.insert_missing(&set);
        // An update of many rows goes in an order of its own, which a constraint may see.
        let one_by_one = ordered && (is_constrained || first.replace);
        let mut steps = Vec::new();
        for chunk in rows.chunks(if one_by_one { 1 } else { rows.len() }) {
            let bound = self.arrays(&set, first, chunk)?;
            steps.extend(update.clone().map(|sql| Step::new(sql, bound.clone())));
            steps.push(Step::new(insert.clone(), bound));
        }
        Ok((steps, columns))
    }

    /// Events with these columns, by a statement that leaves out those that are there.
    pub(super) fn append(&self, columns: &[usize], rows: &[&[(Name, Value)]]) -> Result<Step, SinkError> {
        let table = &*self.table;
        if columns.is_empty() {
            // Nothing to make an array of; and nobody sends many of these.
            let values = "(DEFAULT)";
            let Some(any) = self.columns.first() else { return Err(no_such_table(&table.name)) };
            let all = vec![values; rows.len()].join(", ");
            return Ok(Step::bare(format!("INSERT INTO {} ({}) VALUES {all}", self.qualified, any.quoted)));
        }
        let mut arrays = Arrays::new(columns.len());
        for row in rows {
            row.iter().enumerate().for_each(|(place, (_, value))| arrays.push(place, value));
        }
        let given: Vec<_> = columns.iter().map(|&at| (at, false)).collect();
        let mut sql = self.insert(columns, &self.input(&given));
        let unless = table.column_index(parts::REQUEST_ID).filter(|_| parts::has_request_id(table));
        let unless = unless.and_then(|at| Some((at, columns.iter().position(|&column| column == at)? + 1)));
        match unless {
            Some((at, _)) if self.request_id_decides => {
                let _ = write!(sql, " ORDER BY i.n ON CONFLICT ({}) DO NOTHING", self.columns[at].quoted);
            }
            Some((at, number)) => {
                // A deferrable index decides no conflict: what is there already is left out, and of two here the later one.
                let (input, quoted) = (self.input(&given), &self.columns[at].quoted);
                let _ = write!(
                    sql,
                    " WHERE NOT EXISTS (SELECT FROM {} AS o WHERE o.{quoted} = i.a{number}) AND NOT EXISTS (SELECT FROM {} \
                     WHERE j.n < i.n AND j.a{number} = i.a{number}) ORDER BY i.n",
                    self.qualified,
                    input.replace(" AS i(", " AS j("),
                );
            }
            None => sql.push_str(" ORDER BY i.n"),
        }
        Ok(Step::new(sql, arrays.bound()))
    }

    /// The columns that an upsert sets, without the key, and which of them it adds to.
    fn set_of(&self, upsert: &Upsert) -> Result<Vec<(usize, bool)>, SinkError> {
        let mut set = Vec::with_capacity(upsert.columns.len());
        for (name, op) in &upsert.columns {
            let (at, _) = parts::column(&self.table, name)?;
            if !self.table.is_key_column(at) {
                set.push((at, matches!(op, Op::Add(_))));
            }
        }
        Ok(set)
    }

    /// Whether one statement can insert what is not there and update what is.
    fn is_direct(&self, set: &[(usize, bool)]) -> bool {
        let is_set = |at: usize| self.table.is_key_column(at) || set.iter().any(|(named, _)| *named == at);
        let is_required = |column: &Column| !column.nullable && !column.has_default && !column.generated;
        self.is_plain
            && set.iter().all(|(_, is_add)| !is_add)
            && self.table.columns.iter().enumerate().all(|(at, column)| !is_required(column) || is_set(at))
    }

    /// Inserts what is not there and updates what is; the rows come from `input`.
    pub(super) fn direct(&self, replace: bool, set: &[(usize, bool)], input: &str) -> String {
        let given: Vec<_> = self.given(set).iter().map(|(at, _)| *at).collect();
        let mut sql = self.insert(&given, input);
        let key: Vec<_> = self.table.primary_key.iter().map(|&at| &*self.columns[at].quoted).collect();
        let _ = write!(sql, " ON CONFLICT ({}) DO ", key.join(", "));
        let named = set.iter().map(|(at, _)| {
            let name = &self.columns[*at].quoted;
            format!("{name} = excluded.{name}")
        });
        let all: Vec<_> = named.chain(self.defaults(replace, set)).collect();
        match all.is_empty() {
            true => sql.push_str("NOTHING"),
            false => {
                let _ = write!(sql, "UPDATE SET {}", all.join(", "));
            }
        }
        sql
    }

    /// The statement that changes the rows that are there; none when there is nothing to set.
    fn update(&self, replace: bool, set: &[(usize, bool)]) -> Option<String> {
        let first = self.table.primary_key.len() + 1;
        let named = set.iter().enumerate().map(|(number, (at, is_add))| {
            let name = &self.columns[*at].quoted;
            let new = number + first;
            match *is_add && !replace {
                // In exact numbers, so that a sum is refused by its own size and not by that of what is added.
                true => format!("{name} = coalesce(t.{name}, 0)::numeric + i.a{new}"),
                false => format!("{name} = {}", self.arrived(*at, new)),
            }
        });
        let all: Vec<_> = named.chain(self.defaults(replace, set)).collect();
        let input = self.input(&self.given(set));
        let (table, is_same) = (&self.qualified, self.is_same("t"));
        (!all.is_empty())
            .then(|| format!("UPDATE {table} AS t SET {} FROM {input} WHERE {is_same}", all.join(", ")))
    }

    fn insert_missing(&self, set: &[(usize, bool)]) -> String {
        let (table, is_same) = (&self.qualified, self.is_same("o"));
        let given = self.given(set);
        let columns: Vec<_> = given.iter().map(|(at, _)| *at).collect();
        let insert = self.insert(&columns, &self.input(&given));
        format!("{insert} WHERE NOT EXISTS (SELECT FROM {table} AS o WHERE {is_same}) ORDER BY i.n")
    }

    /// An insert of these columns from the columns of `input`, `i.a1` and so on.
    pub(super) fn insert(&self, columns: &[usize], input: &str) -> String {
        let names: Vec<_> = columns.iter().map(|&at| &*self.columns[at].quoted).collect();
        let values: Vec<_> =
            columns.iter().enumerate().map(|(number, at)| self.arrived(*at, number + 1)).collect();
        let is_always = columns.iter().any(|&at| self.columns[at].is_always);
        let overriding = if is_always { " OVERRIDING SYSTEM VALUE" } else { "" };
        let (names, values) = (names.join(", "), values.join(", "));
        format!("INSERT INTO {} AS t ({names}){overriding} SELECT {values} FROM {input}", self.qualified)
    }

    /// What a replace gives to the columns that it does not name.
    fn defaults<'s>(&'s self, replace: bool, set: &'s [(usize, bool)]) -> impl Iterator<Item = String> + 's {
        let is_unnamed = move |at: &usize| {
            replace
                && !self.table.is_key_column(*at)
                && !self.table.columns[*at].generated
                && set.iter().all(|(named, _)| named != at)
        };
        (0..self.columns.len()).filter(is_unnamed).map(|at| format!("{} = DEFAULT", self.columns[at].quoted))
    }

    pub(super) fn given(&self, set: &[(usize, bool)]) -> Vec<(usize, bool)> {
        self.table.primary_key.iter().map(|&at| (at, false)).chain(set.iter().copied()).collect()
    }

    /// The arrays as rows: `i.a1`, `i.a2`, and the number `i.n`. What is added comes as exact numbers.
    pub(super) fn input(&self, given: &[(usize, bool)]) -> String {
        let (mut arrays, mut names) = (String::new(), String::new());
        for (number, (at, is_add)) in given.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            let base = match &self.columns[*at] {
                _ if *is_add => "numeric",
                column if column.is_list => "text",
                column => &*column.base,
            };
            let _ = write!(arrays, "{comma}${}::{base}[]", number + 1);
            let _ = write!(names, "a{}, ", number + 1);
        }
        format!("unnest({arrays}) WITH ORDINALITY AS i({names}n)")
    }

    /// The value of a column that came in the array of this number.
    fn arrived(&self, at: usize, number: usize) -> String {
        let Physical { base, is_list, .. } = &self.columns[at];
        if *is_list { format!("i.a{number}::{base}") } else { format!("i.a{number}") }
    }

    /// The key of `table` is that of the arrays.
    pub(super) fn is_same(&self, table: &str) -> String {
        let parts = self.table.primary_key.iter().enumerate();
        let parts: Vec<_> = parts
            .map(|(at, &column)| format!("{table}.{} = i.a{}", self.columns[column].quoted, at + 1))
            .collect();
        parts.join(" AND ")
    }
}

/// Rows of cells as one array for each column.
pub(super) fn arrays(rows: &[Vec<Cell>]) -> Vec<Cell> {
    let columns = rows.first().map_or(0, Vec::len);
    (0..columns).map(|at| text::array(rows.iter().map(|row| &row[at]))).collect()
}

/// PostgreSQL would round what is finer than the column; the size of the sum it refuses by itself.
pub(super) fn check_delta(table: &Table, column: &Column, delta: &Value) -> Result<(), SinkError> {
    let refuse = |reason: &str| Err(refused(&table.name, format!("column {}: {reason}", column.name)));
    let scale = match &column.kind {
        ColumnType::Int { .. } => 0,
        ColumnType::Decimal { scale, .. } => i64::from(*scale),
        ColumnType::Number => i64::MAX,
        _ => return refuse("only whole numbers and decimals can be added to"),
    };
    match delta {
        Value::Int(_) => Ok(()),
        Value::Decimal(n) if n.normalized().fractional_digit_count() <= scale => Ok(()),
        Value::Decimal(_) => refuse("what is added has more digits behind the point than the column"),
        _ => refuse("what is added is no exact number"),
    }
}

/// Whether a time has more digits behind its seconds than the column was declared with.
fn is_finer(kind: &ColumnType, text: &str, modifier: i64) -> bool {
    let digits = text.rsplit_once('.').map_or(0, |(_, digits)| digits.len() as i64);
    matches!(kind, ColumnType::Time { .. } | ColumnType::Timestamp { .. })
        && modifier >= 0
        && digits > modifier
}

#[expect(clippy::cast_possible_truncation, reason = "that is the question")]
fn is_exact_in_32_bits(n: f64) -> bool {
    // As PostgreSQL writes it: the shortest text of the small float, read again.
    (n as f32).to_string().parse::<f64>() == Ok(n)
}
