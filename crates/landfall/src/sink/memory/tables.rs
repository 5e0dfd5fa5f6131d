//! The rows of the in-memory database, with the checks of a real one: NOT NULL, unique, foreign keys, types.
//! A change that is refused leaves no trace after [`Tables::rollback_to`].

use std::collections::{BTreeMap, HashMap};

use super::Rows;
use crate::error::SinkError;
use crate::model::row::RowName;
use crate::model::{Catalogue, Change, Name, Op, RowKey, Table, Value, types};
use crate::sink::parts::{self, Part, misfit_refusal, no_such_table, refused};

type Row = BTreeMap<Name, Value>;

#[derive(Default)]
pub(super) struct Tables {
    rows: Rows,
    /// Of each key-value key: its place, which it has as long as it is there.
    places: HashMap<RowKey, u64>,
    last_place: u64,
    events: HashMap<String, Vec<Row>>,
    /// What the open transaction replaced, oldest first.
    undo: Vec<Undo>,
}

enum Undo {
    /// The row, and the place that it had.
    Row(RowKey, Option<Row>, Option<u64>),
    Event(String),
}

impl Tables {
    pub(super) fn row(&self, row: &RowKey) -> Option<&Row> {
        self.rows.get(row)
    }

    pub(super) fn events(&self, table: &str) -> &[Row] {
        self.events.get(table).map_or(&[], Vec::as_slice)
    }

    pub(super) fn key_values_are_empty(&self) -> bool {
        !self.rows.keys().any(RowKey::is_key_value)
    }

    pub(super) fn begin(&mut self) {
        self.undo.clear();
    }

    pub(super) fn commit(&mut self) {
        self.undo.clear();
    }

    /// A place in the open transaction to go back to.
    pub(super) fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Undoes what came after `mark`; 0 is the beginning.
    pub(super) fn rollback_to(&mut self, mark: usize) {
        while self.undo.len() > mark {
            let Some(undo) = self.undo.pop() else { return };
            match undo {
                Undo::Row(key, row, place) => {
                    match place {
                        Some(place) => self.places.insert(key.clone(), place),
                        None => self.places.remove(&key),
                    };
                    match row {
                        Some(row) => self.rows.insert(key, row),
                        None => self.rows.remove(&key),
                    };
                }
                Undo::Event(table) => {
                    self.events.get_mut(&table).map(Vec::pop);
                }
            }
        }
    }

    fn set(&mut self, key: &RowKey, row: Option<Row>) {
        let place = self.places.get(key).copied();
        if row.is_none() {
            self.places.remove(key);
        } else if place.is_none() && key.is_key_value() {
            self.last_place += 1;
            self.places.insert(key.clone(), self.last_place);
        }
        let old = match row {
            Some(row) => self.rows.insert(key.clone(), row),
            None => self.rows.remove(key),
        };
        self.undo.push(Undo::Row(key.clone(), old, place));
    }

    /// The key-value keys with their places, by place.
    pub(super) fn keys(&self) -> BTreeMap<u64, &RowKey> {
        self.places.iter().map(|(key, place)| (*place, key)).collect()
    }

    /// The rows of a table behind `after`, in the order of their keys.
    pub(super) fn keys_of(&self, table: &str, after: Option<&[u8]>) -> BTreeMap<&RowKey, Vec<Value>> {
        let is_behind = |row: &&RowKey| after.is_none_or(|after| row.as_bytes() > after);
        let key = |row: &'_ RowKey| match row.decode() {
            Ok(RowName::Table { table: name, key }) if name == table => Some(key),
            _ => None,
        };
        self.rows.keys().filter(is_behind).filter_map(|row| Some((row, key(row)?))).collect()
    }

    /// Removes all key-value keys.
    pub(super) fn clear_keys(&mut self) -> Result<(), SinkError> {
        let keys: Vec<RowKey> = self.rows.keys().filter(|key| key.is_key_value()).cloned().collect();
        keys.iter().for_each(|key| self.set(key, None));
        Ok(())
    }

    /// Changes a key-value key.
    pub(super) fn change_key(&mut self, key: &RowKey, change: &Change) -> Result<(), SinkError> {
        let Change::Upsert(upsert) = change else {
            self.set(key, None);
            return Ok(());
        };
        let old = self.rows.get(key).filter(|_| !upsert.replace);
        let mut row = old.cloned().unwrap_or_default();
        for (name, op) in &upsert.columns {
            let value = match (Part::of(name)?, op) {
                (Part::Expires, Op::Assign(value)) => parts::expiry(value)?.map(Value::Int),
                (Part::Expires, Op::Add(_)) => return Err(parts::refused_key("an add to a time of expiry")),
                (Part::Stream | Part::Entry(_), op) => parts::of_stream(op)?.map(Value::bytes),
                (_, Op::Assign(value)) => parts::stored(value).map(|bytes| Value::bytes(&bytes)),
                (_, Op::Add(delta)) => {
                    let old = match row.get(name) {
                        Some(Value::Bytes(bytes)) => Some(&**bytes),
                        _ => None,
                    };
                    parts::stored(&parts::stored_sum(old, delta)?).map(|bytes| Value::bytes(&bytes))
                }
            };
            match value {
                Some(value) => row.insert(name.clone(), value),
                None => row.remove(name),
            };
        }
        self.set(key, Some(row));
        Ok(())
    }

    /// Changes a row of a mapped table.
    pub(super) fn change_row(
        &mut self,
        catalogue: &Catalogue,
        table: &str,
        key: &[Value],
        row_key: &RowKey,
        change: &Change,
    ) -> Result<(), SinkError> {
        let table = catalogue.table(table).ok_or_else(|| no_such_table(table))?;
        if key.is_empty() || key.len() != table.primary_key.len() {
            return Err(no_such_table(&table.name));
        }
        let Change::Upsert(upsert) = change else { return self.delete(catalogue, table, key, row_key) };
        let old = self.rows.get(row_key).filter(|_| !upsert.replace);
        let mut row = old.cloned().unwrap_or_default();
        for (&at, value) in table.primary_key.iter().zip(key) {
            row.insert(Name::column(&table.columns[at].name), value.clone());
        }
        for (name, op) in &upsert.columns {
            let (at, column) = parts::column(table, name)?;
            let value = match op {
                Op::Assign(value) => value.clone(),
                Op::Add(delta) => types::sum(column, row.get(name).unwrap_or(&Value::Null), delta)
                    .map_err(|misfit| misfit_refusal(table, column, &misfit))?,
            };
            if table.is_key_column(at) && row.get(name) != Some(&value) {
                return Err(refused(&table.name, format!("a change cannot move key column {}", column.name)));
            }
            parts::check(table, column, &value)?;
            if value.is_null() {
                row.remove(name)
            } else {
                row.insert(name.clone(), value)
            };
        }
        self.check_row(catalogue, table, row_key, &row)?;
        self.set(row_key, Some(row));
        Ok(())
    }

    /// Inserts an event.
    pub(super) fn append(
        &mut self,
        catalogue: &Catalogue,
        table: &str,
        columns: &[(Name, Value)],
    ) -> Result<(), SinkError> {
        let table = catalogue.table(table).ok_or_else(|| no_such_table(table))?;
        let mut row = Row::new();
        for (name, value) in columns {
            let (_, column) = parts::column(table, name)?;
            parts::check(table, column, value)?;
            if !value.is_null() {
                row.insert(name.clone(), value.clone());
            }
        }
        if parts::has_request_id(table) && self.has_event(table, &row) {
            return Ok(());
        }
        if table.primary_key.is_empty() {
            check_not_null(table, &row)?;
            self.events.entry(table.name.to_string()).or_default().push(row);
            self.undo.push(Undo::Event(table.name.to_string()));
            return Ok(());
        }
        let key: Vec<Value> = table
            .primary_key
            .iter()
            .map(|&at| match row.get(&Name::column(&table.columns[at].name)) {
                Some(value) => value.clone(),
                None => Value::Int(self.rows_of(&table.name).count() as i64 + 1),
            })
            .collect();
        let row_key = RowKey::of_table(&table.name, &key);
        if self.rows.contains_key(&row_key) {
            return Err(refused(&table.name, "an event's primary key is taken"));
        }
        let columns: Vec<_> = columns.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        self.change_row(catalogue, &table.name, &key, &row_key, &Change::put(columns))
    }

    fn has_event(&self, table: &Table, row: &Row) -> bool {
        let name = Name::column(parts::REQUEST_ID);
        let Some(id) = row.get(&name) else { return false };
        let keyed = self.rows_of(&table.name).map(|(_, row)| row);
        keyed.chain(self.events(&table.name)).any(|row| row.get(&name) == Some(id))
    }

    fn rows_of<'s>(&'s self, table: &'s str) -> impl Iterator<Item = (&'s RowKey, &'s Row)> {
        self.rows.iter().filter(
            move |(key, _)| matches!(key.decode(), Ok(RowName::Table { table: of, .. }) if of == table),
        )
    }

    fn check_row(
        &self,
        catalogue: &Catalogue,
        table: &Table,
        row_key: &RowKey,
        row: &Row,
    ) -> Result<(), SinkError> {
        check_not_null(table, row)?;
        for unique in &table.unique {
            let Some(values) = values_of(table, unique, row) else { continue };
            let taken = self.rows_of(&table.name).any(|(key, other)| {
                key != row_key && values_of(table, unique, other).as_ref() == Some(&values)
            });
            if taken {
                let names: Vec<_> =
                    unique.iter().map(|&at| format!("{}.{}", table.name, table.columns[at].name)).collect();
                return Err(refused(&table.name, format!("UNIQUE constraint failed: {}", names.join(", "))));
            }
        }
        for reference in &table.references {
            let Some(values) = values_of(table, &reference.columns, row) else { continue };
            let parent = RowKey::of_table(&reference.table, &values);
            if catalogue.table(&reference.table).is_some()
                && parent != *row_key
                && !self.rows.contains_key(&parent)
            {
                return Err(refused(&table.name, "FOREIGN KEY constraint failed"));
            }
        }
        Ok(())
    }

    fn delete(
        &mut self,
        catalogue: &Catalogue,
        table: &Table,
        key: &[Value],
        row_key: &RowKey,
    ) -> Result<(), SinkError> {
        if !self.rows.contains_key(row_key) {
            return Ok(());
        }
        self.set(row_key, None);
        for child in catalogue.tables() {
            for reference in child.references.iter().filter(|reference| *reference.table == *table.name) {
                let children: Vec<RowKey> = self
                    .rows_of(&child.name)
                    .filter(|(_, row)| values_of(child, &reference.columns, row).as_deref() == Some(key))
                    .map(|(key, _)| key.clone())
                    .collect();
                if !children.is_empty() && !reference.cascades {
                    return Err(refused(&table.name, "FOREIGN KEY constraint failed"));
                }
                for row in children {
                    if let Ok(RowName::Table { key, .. }) = row.decode() {
                        self.delete(catalogue, child, &key, &row)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn check_not_null(table: &Table, row: &Row) -> Result<(), SinkError> {
    let missing = table.required_columns().find(|column| !row.contains_key(&Name::column(&column.name)));
    missing.map_or(Ok(()), |column| {
        Err(refused(&table.name, format!("NOT NULL constraint failed: {}.{}", table.name, column.name)))
    })
}

/// The values of some columns, or none when one of them is NULL.
fn values_of(table: &Table, columns: &[usize], row: &Row) -> Option<Vec<Value>> {
    columns.iter().map(|&at| row.get(&Name::column(&table.columns[at].name)).cloned()).collect()
}
