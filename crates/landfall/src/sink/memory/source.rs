//! What can be read from the in-memory database, each call in one moment.
//! It must never change anything.

use super::{Connection, State};
use crate::error::SinkError;
use crate::model::{LaneId, Letter, LetterKey, RowKey, Table, Watermark};
use crate::sink::{Loaded, RowPlace, Sink, Source, StoredKey, StoredKeys, StoredRow, StoredRows};

impl Source for Connection {
    fn load(&mut self, row: &RowKey, lane: LaneId) -> Result<Loaded, SinkError> {
        let state = self.state.lock();
        state.check_up()?;
        let watermark = state.lanes.row(lane).ok_or(SinkError::LaneMissing { lane })?.watermark;
        let letter = state.letters.get(&LetterKey::of_row(row));
        let letter = letter.and_then(Letter::row_change).map(|(_, change)| change.clone());
        let row = state.tables.row(row).map(|columns| columns.clone().into_iter().collect());
        Ok(Loaded { row, letter, watermark, only_head: false })
    }

    fn load_head(&mut self, row: &RowKey, lane: LaneId) -> Result<Loaded, SinkError> {
        Ok(self.load(row, lane)?.without_entries())
    }

    fn letters(&mut self, after: u64, most: usize) -> Result<Vec<Letter>, SinkError> {
        Sink::letters(self, after, most)
    }

    fn key_values_are_empty(&mut self) -> Result<bool, SinkError> {
        let state = self.state.lock();
        state.check_up()?;
        let is_key = |key: &LetterKey| key.row().is_some_and(|row| row.is_key_value());
        Ok(state.tables.key_values_are_empty() && !state.letters.keys().any(is_key))
    }

    fn keys(&mut self, after: u64, most: usize, lanes: &[LaneId]) -> Result<StoredKeys, SinkError> {
        let state = self.state.lock();
        state.check_up()?;
        let places = state.tables.keys();
        let stored = |(&place, row): (&u64, &&RowKey)| {
            let parts = state.tables.row(row).map(|row| row.clone().into_iter().collect());
            let is_parked = state.letters.contains_key(&LetterKey::of_row(row));
            StoredKey::of_parts(place, row, parts, is_parked)
        };
        let keys = places.range(after.saturating_add(1)..).take(most).map(stored).collect();
        let last = places.last_key_value().map_or(0, |(place, _)| *place);
        Ok(StoredKeys { keys, last, watermarks: state.watermarks(lanes)? })
    }

    fn rows(
        &mut self,
        table: &Table,
        after: Option<&RowPlace>,
        most: usize,
        lanes: &[LaneId],
    ) -> Result<StoredRows, SinkError> {
        let state = self.state.lock();
        state.check_up()?;
        let found: Vec<_> =
            state.tables.keys_of(&table.name, after.map(RowPlace::as_bytes)).into_iter().take(most).collect();
        let last = found.last().map(|(row, _)| RowPlace::from_bytes(row.as_bytes()));
        let is_parked = |row: &RowKey| state.letters.contains_key(&LetterKey::of_row(row));
        let rows = found.into_iter().map(|(row, key)| StoredRow { key, is_parked: is_parked(row) }).collect();
        Ok(StoredRows { rows, last, watermarks: state.watermarks(lanes)? })
    }
}

impl State {
    fn watermarks(&self, lanes: &[LaneId]) -> Result<Vec<Watermark>, SinkError> {
        let watermark =
            |&lane| self.lanes.row(lane).map(|row| row.watermark).ok_or(SinkError::LaneMissing { lane });
        lanes.iter().map(watermark).collect()
    }
}
