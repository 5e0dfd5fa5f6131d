//! Dead letters, asked for and acted on: they are read from the database, and what is asked of them is logged.
//! Nothing here changes a letter: only the lander does, in a landing transaction, when it comes to the record.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::commits::Written;
use super::core::Core;
use super::load::OnLetters;
use super::refusal::Refusal;
use crate::buffer::cache::Shard;
use crate::buffer::cache::shard::After;
use crate::lander::ParkedNow;
use crate::model::codec::BodyWriter;
use crate::model::row::{RowName, lane_hash};
use crate::model::{Intent, LaneId, Letter, LetterKey, LoggedChange, Position, RowKey, Table};

/// What is asked of letters is logged in records of so many at most.
const INTENTS_AT_ONCE: usize = 1000;

impl Core {
    /// Lets what is known of a row go once the record at `position` has landed: its letter may not be there any more.
    pub(super) fn let_go_when_landed(&self, row: &[u8], lane: LaneId, position: Position) {
        let hash = self.cache.hash(row);
        let mut shard = self.cache.lock(self.cache.shard_of(hash));
        self.mark_stale(&mut shard, row, lane, position);
    }

    fn mark_stale(&self, shard: &mut Shard, row: &[u8], lane: LaneId, position: Position) {
        // Until then the row is read from the database, if it is not known.
        let identity = (self.cache.hash(row), row, lane);
        shard.write(&self.cache, identity, (position, position), None, After::Stale);
        shard.relieve(&self.cache);
    }

    fn table_of(&self, letter: &Letter) -> Option<std::sync::Arc<Table>> {
        match &letter.change {
            LoggedChange::Row { row, .. } => match row.decode() {
                Ok(RowName::Table { table, .. }) => self.catalogue.table(table).cloned(),
                _ => None,
            },
            LoggedChange::Append { table, .. } => self.catalogue.table(table).cloned(),
            LoggedChange::Letter { .. } => None,
        }
    }

    /// The lane in which the letter's row is written now. Where its table is gone any lane will do.
    fn lane_of(&self, letter: &Letter) -> LaneId {
        let table = self.table_of(letter);
        match (letter.key.row(), &table) {
            (Some(row), Some(_)) => self.lanes.of_row(table.as_deref(), row.as_bytes()),
            (None, Some(table)) => self.lanes.of_event(table, lane_hash(letter.key.as_bytes())),
            _ => self.lanes.of_row(None, letter.key.as_bytes()),
        }
    }
}

impl Engine {
    /// The dead letters in numbers.
    pub fn parked(&self) -> ParkedNow {
        self.core.progress.parked()
    }

    /// Whether one of these writes, which have landed, was refused by the database and parked.
    pub fn was_parked(&self, places: &[(LaneId, Position)]) -> bool {
        self.core.progress.was_parked(places)
    }

    /// Reads at most `most` dead letters with an id above `after`, by id, and calls `done` from another thread.
    pub fn letters(&self, after: u64, most: usize, done: OnLetters) {
        self.core.look_at_letters(after, most, done);
    }

    /// Logs that these letters are to be tried again or given up. It is done when the record has landed; what is
    /// known of their rows is let go then.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was logged, or only for some of the letters.
    pub fn ask_of_letters(&self, letters: &[Letter], intent: &Intent) -> Result<Written, Refusal> {
        let core = &self.core;
        let mut by_lane: BTreeMap<LaneId, Vec<&Letter>> = BTreeMap::new();
        for letter in letters {
            by_lane.entry(core.lane_of(letter)).or_default().push(letter);
        }
        let mut written = Written::default();
        for (lane, mut letters) in by_lane {
            // A parent was refused before its child: so they are tried again in that order.
            letters.sort_by_key(|letter| (letter.first_ms, letter.lane, letter.first, letter.id));
            for some in letters.chunks(INTENTS_AT_ONCE) {
                let keys: Vec<&LetterKey> = some.iter().map(|letter| &letter.key).collect();
                self.log_intent(lane, &keys, intent, &mut written)?;
            }
        }
        Ok(written)
    }

    fn log_intent(
        &self,
        lane: LaneId,
        keys: &[&LetterKey],
        intent: &Intent,
        written: &mut Written,
    ) -> Result<(), Refusal> {
        let core = &self.core;
        core.admit()?;
        let mut body = Vec::new();
        let mut writer = BodyWriter::new(&mut body, keys.len());
        keys.iter().for_each(|key| writer.letter(0, key, intent));
        let rows: Vec<RowKey> = keys.iter().filter_map(|key| key.row()).collect();
        let shard_of = |row: &RowKey| core.cache.shard_of(core.cache.hash(row.as_bytes()));
        // Whoever writes one of the rows meanwhile must get a later position, here and in the log.
        let shards: BTreeSet<usize> = rows.iter().map(shard_of).collect();
        let mut guards: BTreeMap<usize, _> =
            shards.into_iter().map(|shard| (shard, core.cache.lock(shard))).collect();
        let appended = core.log.append(&[lane], &body)?;
        core.accepted(lane, keys.len());
        written.end = appended.end;
        for place in &appended.places {
            written.places.retain(|(have, _)| *have != place.lane);
            written.places.push((place.lane, place.position));
            for row in &rows {
                if let Some(shard) = guards.get_mut(&shard_of(row)) {
                    core.mark_stale(shard, row.as_bytes(), lane, place.position);
                }
            }
        }
        Ok(())
    }
}
