//! Loads a row and its lane's watermark in one snapshot.
//! It never writes, and never waits for a landing longer than the reader's timeout.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::errors::classify;
use super::place::Place;
use super::rows::Mapped;
use super::streams::Entries;
use super::{SqliteDatabase, connect, convert, key_value, lanes, letters, pages};
use crate::error::SinkError;
use crate::model::row::RowName;
use crate::model::{LaneId, Letter, Name, RowKey, Table, Value, Watermark};
use crate::sink::parts::{no_such_table, row_name};
use crate::sink::{LandingContext, Loaded, RowPlace, Source, StoredKeys, StoredRows};

/// A reading connection.
pub(super) struct SqliteSource {
    database: SqliteDatabase,
    context: LandingContext,
    /// None after an error; the next call opens another.
    reader: Option<Reader>,
}

struct Reader {
    connection: Connection,
    place: Place,
    tables: HashMap<String, Mapped>,
}

impl Reader {
    fn open(database: &SqliteDatabase) -> Result<Reader, SinkError> {
        let place = Place::of(&database.path)?;
        let connection = connect::reader(&database.path, &database.settings)?;
        place.check()?;
        Ok(Reader { connection, place, tables: HashMap::new() })
    }

    fn run(&self, sql: &str) -> Result<(), SinkError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map(|_| ())
            .map_err(|error| classify("the database", &error))
    }
}

impl Reader {
    fn watermarks(&self, lanes: &[LaneId]) -> Result<Vec<Watermark>, SinkError> {
        let watermark =
            |&lane| lanes::watermark(&self.connection, lane)?.ok_or(SinkError::LaneMissing { lane });
        lanes.iter().map(watermark).collect()
    }
}

impl SqliteSource {
    pub(super) fn open(database: SqliteDatabase, context: LandingContext) -> Result<SqliteSource, SinkError> {
        let reader = Reader::open(&database)?;
        Ok(SqliteSource { database, context, reader: Some(reader) })
    }

    /// Runs `work` in a transaction, so that all it reads is of one moment.
    fn snapshot<T>(
        &mut self,
        work: impl FnOnce(&mut Reader, &LandingContext) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => Reader::open(&self.database)?,
        };
        reader.place.check()?;
        reader.run("BEGIN")?;
        let outcome = work(&mut reader, &self.context)?;
        reader.run("COMMIT")?;
        // Only a connection whose transaction is surely over is used again.
        self.reader = Some(reader);
        Ok(outcome)
    }
}

impl SqliteSource {
    fn load_some(&mut self, row: &RowKey, lane: LaneId, entries: Entries) -> Result<Loaded, SinkError> {
        self.snapshot(|reader, context| {
            let watermark =
                lanes::watermark(&reader.connection, lane)?.ok_or(SinkError::LaneMissing { lane })?;
            let letter = letters::owed(&reader.connection, row)?;
            let entries = if letter.is_some() { Entries::All } else { entries };
            let (row, only_head) = match row_name(row)? {
                RowName::Key(key) => key_value::load(&reader.connection, key, entries)?,
                RowName::Table { table, key } => (load_row(reader, context, table, &key)?, false),
            };
            Ok(Loaded { row, letter, watermark, only_head })
        })
    }
}

impl Source for SqliteSource {
    fn load(&mut self, row: &RowKey, lane: LaneId) -> Result<Loaded, SinkError> {
        self.load_some(row, lane, Entries::All)
    }

    fn load_head(&mut self, row: &RowKey, lane: LaneId) -> Result<Loaded, SinkError> {
        self.load_some(row, lane, Entries::Last)
    }

    fn key_values_are_empty(&mut self) -> Result<bool, SinkError> {
        self.snapshot(|reader, _| {
            Ok(key_value::is_empty(&reader.connection)? && !letters::holds_keys(&reader.connection)?)
        })
    }

    fn letters(&mut self, after: u64, most: usize) -> Result<Vec<Letter>, SinkError> {
        self.snapshot(|reader, _| letters::page(&reader.connection, after, most))
    }

    fn keys(&mut self, after: u64, most: usize, lanes: &[LaneId]) -> Result<StoredKeys, SinkError> {
        self.snapshot(|reader, _| {
            let connection = &reader.connection;
            let watermarks = reader.watermarks(lanes)?;
            let mut keys = key_value::page(connection, after, most)?;
            if letters::holds_keys(connection)? {
                for key in &mut keys {
                    key.is_parked = letters::owed(connection, &RowKey::of_key(&key.key))?.is_some();
                }
            }
            Ok(StoredKeys { keys, last: key_value::last_place(connection)?, watermarks })
        })
    }

    fn rows(
        &mut self,
        table: &Table,
        after: Option<&RowPlace>,
        most: usize,
        lanes: &[LaneId],
    ) -> Result<StoredRows, SinkError> {
        self.snapshot(|reader, context| {
            let watermarks = reader.watermarks(lanes)?;
            let Reader { connection, tables, .. } = reader;
            let mapped = mapped(tables, connection, context, &table.name)?;
            let (mut rows, last) = pages::page(connection, mapped, after, most)?;
            if letters::holds_rows(connection)? {
                for found in &mut rows {
                    let row = RowKey::of_table(&table.name, &found.key);
                    found.is_parked = letters::owed(connection, &row)?.is_some();
                }
            }
            Ok(StoredRows { rows, last, watermarks })
        })
    }
}

fn mapped<'t>(
    tables: &'t mut HashMap<String, Mapped>,
    connection: &Connection,
    context: &LandingContext,
    table: &str,
) -> Result<&'t Mapped, SinkError> {
    let table = context.catalogue.table(table).ok_or_else(|| no_such_table(table))?;
    Ok(match tables.entry(table.name.to_string()) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(unknown) => unknown.insert(Mapped::new(connection, table)?),
    })
}

fn load_row(
    reader: &mut Reader,
    context: &LandingContext,
    table: &str,
    key: &[Value],
) -> Result<Option<Vec<(Name, Value)>>, SinkError> {
    let Reader { connection, tables, .. } = reader;
    let mapped = mapped(tables, connection, context, table)?;
    let table = &mapped.table;
    let bound = mapped.bind_key(key)?;
    connection
        .prepare_cached(&mapped.names.select(0..table.columns.len()))
        .and_then(|mut select| {
            select
                .query_row(params_from_iter(&bound), |row| {
                    let mut columns = Vec::with_capacity(table.columns.len());
                    for (at, column) in table.columns.iter().enumerate() {
                        let value = convert::value(column, row.get_ref(at)?);
                        if !value.is_null() {
                            columns.push((Name::column(&column.name), value));
                        }
                    }
                    columns.sort();
                    Ok(columns)
                })
                .optional()
        })
        .map_err(|error| classify(&table.name, &error))
}
