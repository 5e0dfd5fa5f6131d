//! Loads a row, its dead letter and its lane's watermark in one snapshot and one exchange.
//! It never writes.

use std::collections::HashMap;
use std::sync::Arc;

use super::frame::{self, Purpose};
use super::mapped::Mapped;
use super::wire::{Answer, Step, Wire};
use super::{PostgresDatabase, errors, key_value, lanes, letters, pages, text};
use crate::error::SinkError;
use crate::model::row::RowName;
use crate::model::{LaneId, Letter, Name, RowKey, Table, Value, Watermark};
use crate::sink::parts::{no_such_table, row_name};
use crate::sink::{LandingContext, Loaded, RowPlace, Source, StoredKeys, StoredRows};

/// A reading connection.
pub(super) struct PostgresSource {
    database: PostgresDatabase,
    context: LandingContext,
    identity: Option<[u8; 16]>,
    /// None after an error; the next call opens another.
    reader: Option<Reader>,
}

struct Reader {
    wire: Wire,
    tables: HashMap<String, Arc<Mapped>>,
}

impl PostgresSource {
    pub(super) fn open(
        database: PostgresDatabase,
        context: LandingContext,
    ) -> Result<PostgresSource, SinkError> {
        let mut wire = database.connect()?;
        let identity = super::schema::identity(&mut wire)?;
        Ok(PostgresSource {
            database,
            context,
            identity,
            reader: Some(Reader { wire, tables: HashMap::new() }),
        })
    }

    /// Runs `work` with the reader; one that failed is not used again.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Reader, &PostgresDatabase, &LandingContext) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => Reader { wire: self.database.connect_again(self.identity)?, tables: HashMap::new() },
        };
        let done = work(&mut reader, &self.database, &self.context)?;
        self.reader = Some(reader);
        Ok(done)
    }
}

impl Reader {
    /// Asks in one snapshot; the answers to what was asked, without those of the frame.
    fn ask(
        &mut self,
        database: &PostgresDatabase,
        asked: Vec<Step>,
        table: &str,
        mapped: Option<&Mapped>,
    ) -> Result<Vec<Answer>, SinkError> {
        let mut steps = match mapped {
            Some(mapped) => frame::begin_reading(&mapped.qualified, &database.settings),
            None => frame::begin(Purpose::Reading, &database.settings),
        };
        let before = steps.len();
        steps.extend(asked);
        steps.push(Step::bare("ROLLBACK"));
        let mut answers = self.wire.run(&steps).map_err(|failure| errors::plain(table, failure))?;
        answers.pop();
        Ok(answers.split_off(before))
    }

    fn mapped(&mut self, context: &LandingContext, name: &str) -> Result<Arc<Mapped>, SinkError> {
        if let Some(known) = self.tables.get(name) {
            return Ok(Arc::clone(known));
        }
        let table = context.catalogue.table(name).ok_or_else(|| no_such_table(name))?;
        let mapped = Arc::new(Mapped::new(&mut self.wire, table)?);
        self.tables.insert(name.to_owned(), Arc::clone(&mapped));
        Ok(mapped)
    }
}

impl PostgresSource {
    fn load_some(&mut self, row: &RowKey, lane: LaneId, all_entries: bool) -> Result<Loaded, SinkError> {
        self.with(|reader, database, context| {
            let mut asked = vec![lanes::asked(lane), letters::asked(row)];
            let (mapped, table) = match row_name(row)? {
                RowName::Key(key) => {
                    let [own, fields, entries] = key_value::asked(key);
                    let entries = if all_entries { entries } else { key_value::asked_for_last_entry(key) };
                    asked.extend([own, fields, entries]);
                    (None, "landfall_key")
                }
                RowName::Table { table, key } => {
                    let mapped = reader.mapped(context, table)?;
                    asked.push(mapped.select(&key)?);
                    (Some(mapped), table)
                }
            };
            let answers = reader.ask(database, asked, table, mapped.as_deref())?;
            let found = lanes::read(&answers[0])?.ok_or(SinkError::LaneMissing { lane })?;
            let row = match &mapped {
                None => key_value::loaded(&answers[2], &answers[3], &answers[4]),
                Some(mapped) => row_of(mapped, &answers[2]),
            };
            let is_entry = |(name, _): &(Name, Value)| name.as_entry().is_some();
            let has_entry = mapped.is_none() && row.iter().flatten().any(is_entry);
            let only_head = !all_entries && has_entry;
            Ok(Loaded { row, letter: letters::owed(&answers[1])?, watermark: found.watermark, only_head })
        })
    }
}

impl Source for PostgresSource {
    fn load(&mut self, row: &RowKey, lane: LaneId) -> Result<Loaded, SinkError> {
        self.load_some(row, lane, true)
    }

    fn load_head(&mut self, row: &RowKey, lane: LaneId) -> Result<Loaded, SinkError> {
        let loaded = self.load_some(row, lane, false)?;
        let has_head = loaded.row.iter().flatten().any(|(name, _)| name.as_bytes() == Name::STREAM);
        // Without a head only all entries tell it, and a letter may say what becomes of them.
        let is_enough = !loaded.only_head || has_head && loaded.letter.is_none();
        if is_enough { Ok(loaded) } else { self.load(row, lane) }
    }

    fn key_values_are_empty(&mut self) -> Result<bool, SinkError> {
        self.with(|reader, database, _| {
            let asked = vec![key_value::asked_for_any(), letters::asked_for_keys()];
            let answers = reader.ask(database, asked, "landfall_key", None)?;
            Ok(answers.iter().all(|answer| answer.rows.is_empty()))
        })
    }

    fn letters(&mut self, after: u64, most: usize) -> Result<Vec<Letter>, SinkError> {
        self.with(|reader, database, _| {
            frame::open(&mut reader.wire, Purpose::Reading, &database.settings)?;
            let letters = letters::page(&mut reader.wire, after, most)?;
            match frame::roll_back(&mut reader.wire) {
                true => Ok(letters),
                false => Err(SinkError::Unavailable("PostgreSQL did not end a transaction".into())),
            }
        })
    }

    fn keys(&mut self, after: u64, most: usize, lanes: &[LaneId]) -> Result<StoredKeys, SinkError> {
        self.with(|reader, database, _| {
            let mut asked: Vec<Step> = key_value::asked_for_page(after, most).into();
            asked.extend(lanes.iter().map(|&lane| lanes::asked(lane)));
            let answers = reader.ask(database, asked, "landfall_key", None)?;
            let (keys, last) = key_value::page(&answers[0], &answers[1]);
            let watermarks = watermarks(lanes, &answers[2..])?;
            Ok(StoredKeys { keys, last, watermarks })
        })
    }

    fn rows(
        &mut self,
        table: &Table,
        after: Option<&RowPlace>,
        most: usize,
        lanes: &[LaneId],
    ) -> Result<StoredRows, SinkError> {
        self.with(|reader, database, context| {
            let failed = |failure| errors::plain(&table.name, failure);
            let mapped = reader.mapped(context, &table.name)?;
            let mut asked = frame::begin_reading(&mapped.qualified, &database.settings);
            let before = asked.len();
            asked.push(pages::asked(&mapped, after, most)?);
            asked.extend(lanes.iter().map(|&lane| lanes::asked(lane)));
            let answers = reader.wire.run(&asked).map_err(failed)?;
            let (mut rows, last) = pages::read(&mapped, &answers[before]);
            let watermarks = watermarks(lanes, &answers[before + 1..])?;
            // Still in the snapshot: which of them have letters is known only now.
            let letters = [pages::asked_for_letters(&mapped, &rows), Step::bare("ROLLBACK")];
            let answers = reader.wire.run(&letters).map_err(failed)?;
            pages::mark(&mapped, &mut rows, &answers[0]);
            Ok(StoredRows { rows, last, watermarks })
        })
    }
}

/// The watermarks in the answers about lanes.
fn watermarks(lanes: &[LaneId], answers: &[Answer]) -> Result<Vec<Watermark>, SinkError> {
    let watermark = |(&lane, answer): (&LaneId, &Answer)| {
        Ok(lanes::read(answer)?.ok_or(SinkError::LaneMissing { lane })?.watermark)
    };
    lanes.iter().zip(answers).map(watermark).collect()
}

fn row_of(mapped: &Mapped, answer: &Answer) -> Option<Vec<(Name, Value)>> {
    let row = answer.rows.first()?;
    let mut columns = Vec::with_capacity(row.len());
    for (column, cell) in mapped.table.columns.iter().zip(row) {
        let value = text::value(column, cell.clone());
        if !value.is_null() {
            columns.push((Name::column(&column.name), value));
        }
    }
    columns.sort();
    Some(columns)
}
