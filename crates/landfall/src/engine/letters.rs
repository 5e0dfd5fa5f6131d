//! Dead letters, asked for and acted on: they are read from the database, and what is asked of them is logged.
//! Nothing here changes a letter: only the lander does, in a landing transaction, when it comes to the record.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::commits::Written;
use super::core::Core;
use super::load::{Job, OnLetters};
use super::ops::rows;
use super::refusal::{Refusal, Stop};
use super::unit::Unit;
use crate::buffer::cache::Shard;
use crate::buffer::cache::shard::After;
use crate::env::planted::{Bug, planted};
use crate::lander::ParkedNow;
use crate::model::codec::BodyWriter;
use crate::model::mapping::Target;
use crate::model::row::{RowName, lane_hash};
use crate::model::{Change, Intent, LaneId, Letter, LetterKey, LoggedChange, Name, Position, RowKey, Table};
use crate::sink::Source;

/// What is asked of letters is logged in records of so many at most.
const INTENTS_AT_ONCE: usize = 1000;

impl Core {
    /// Lets what is known of a row go once the record at `position` has landed: its letter may not be there any more.
    pub(super) fn let_go_when_landed(
        &self,
        row: &[u8],
        (lane, position): (LaneId, Position),
        intent: &Intent,
    ) {
        let hash = self.cache.hash(row);
        let mut shard = self.cache.lock(self.cache.shard_of(hash));
        self.mark_stale(&mut shard, row, (lane, position), intent);
    }

    fn mark_stale(
        &self,
        shard: &mut Shard,
        row: &[u8],
        (lane, position): (LaneId, Position),
        intent: &Intent,
    ) {
        // Until then the row is read from the database, if it is not known.
        let identity = (self.cache.hash(row), row, lane);
        if !planted(Bug::DroppedRowStays) {
            shard.write(
                &self.cache,
                identity,
                (position, position),
                None,
                After::Stale { given_up: *intent == Intent::Drop },
            );
        }
        shard.relieve(&self.cache);
    }

    fn table_of(&self, letter: &Letter) -> Option<std::sync::Arc<Table>> {
        match &letter.change {
            LoggedChange::Row { row, .. } => match row.decode() {
                Ok(RowName::Table { table, .. }) => self.catalogue.table(table).cloned(),
                _ => None,
            },
            LoggedChange::Append { table, .. } => self.catalogue.table(table).cloned(),
            LoggedChange::Letter { .. } | LoggedChange::Clear => None,
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

/// Which letters are meant.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// use std::time::Duration;
/// use landfall::{Landfall, Selection, Settings};
///
/// let file = dir.join("app.db");
/// let database = rusqlite::Connection::open(&file)?;
/// database.execute_batch("CREATE TABLE seat (id INTEGER PRIMARY KEY, place TEXT UNIQUE); INSERT INTO seat VALUES (1, '1A')")?;
/// let settings = Settings { refusals_max: 1, ..Settings::in_dir(dir.join("log")) };
/// let (landfall, _) = Landfall::open_sqlite(settings, &file).await?;
///
/// let taken = landfall.put("seat:2", [("place", "1A".into())]).await?;
/// landfall.wait_landed(&taken, Duration::from_secs(5)).await;
/// database.execute_batch("DELETE FROM seat WHERE id = 1")?; // now it fits
/// let (tried, receipt) = landfall.retry_dead_letters(Selection::Table("seat".into())).await?;
/// landfall.wait_landed(&receipt, Duration::from_secs(5)).await;
/// assert_eq!((tried, landfall.parked().count), (1, 0));
/// # landfall.close(Duration::from_secs(5)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// The one with this id.
    Id(u64),
    /// All of a table; `landfall_key` has the key-value keys.
    Table(String),
    /// All.
    All,
}

/// What is to be done with letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Try them again as they are.
    Retry,
    /// Give them up: what they hold is gone for good.
    Drop,
    /// Give columns other values, as text, and try again; none is NULL.
    Edit(Vec<Edit>),
}

/// A column, and its new value as a client writes it.
pub type Edit = (Vec<u8>, Option<Vec<u8>>);

/// What was logged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acted {
    /// How many letters were found.
    pub letters: u64,
    /// Where it was logged. It is done when this has landed.
    pub written: Written,
}

/// Called once with what was logged.
pub type OnActed = Box<dyn FnOnce(Result<Acted, Refusal>) + Send>;

/// Letters are read so many at a time.
const LETTERS_AT_ONCE: usize = 1000;

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

    /// Finds letters, logs what is to be done with them, and calls `done` from another thread once that is as safe as an
    /// acknowledgement promises. The lander does it when it comes to the record.
    pub fn act_on_letters(&self, selection: Selection, act: Act, done: OnActed) {
        self.core.queue(Job::Act(selection, act, done));
    }

    /// Logs that these letters are to be tried again or given up. It is done when the record has landed; what is
    /// known of their rows is let go then.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was logged, or only for some of the letters.
    pub fn ask_of_letters(&self, letters: &[Letter], intent: &Intent) -> Result<Written, Refusal> {
        self.core.ask_of_letters(letters, intent)
    }
}

impl Core {
    /// Does what [`Engine::act_on_letters`] asks for, with letters read from `source`.
    pub(super) fn act(
        &self,
        source: &mut Option<Box<dyn Source>>,
        selection: &Selection,
        act: &Act,
    ) -> Result<Acted, Refusal> {
        let letters = self.selected(source, selection)?;
        if let (Selection::Id(id), true) = (selection, letters.is_empty()) {
            return Err(Refusal::invalid(format!("there is no dead letter {id}; it may have healed")));
        }
        if let (Selection::Table(name), true) = (selection, letters.is_empty())
            && self.catalogue.table(name).is_none()
        {
            return Err(Refusal::invalid(format!("there is no table {name}, and no dead letter of one")));
        }
        let written = match act {
            Act::Retry => self.ask_of_letters(&letters, &Intent::Retry)?,
            Act::Drop => self.ask_of_letters(&letters, &Intent::Drop)?,
            Act::Edit(pairs) => match letters.as_slice() {
                [letter] => self.edit(letter, pairs)?,
                _ => return Err(Refusal::invalid("one letter is edited at a time; name its id")),
            },
        };
        self.commit(written.end).map_err(|error| Refusal::of_commit(&error))?;
        Ok(Acted { letters: letters.len() as u64, written })
    }

    fn selected(
        &self,
        source: &mut Option<Box<dyn Source>>,
        selection: &Selection,
    ) -> Result<Vec<Letter>, Refusal> {
        let mut selected = Vec::new();
        let (mut after, most) = match selection {
            Selection::Id(id) => (id.saturating_sub(1), 1),
            _ => (0, LETTERS_AT_ONCE),
        };
        loop {
            let page = self.open(source).and_then(|open| open.letters(after, most)).map_err(|error| {
                *source = None;
                Refusal::DatabaseDown(error.to_string())
            })?;
            let Some(last) = page.last() else { return Ok(selected) };
            after = last.id;
            let is_last = page.len() < most || matches!(selection, Selection::Id(_));
            selected.extend(page.into_iter().filter(|letter| match selection {
                Selection::Id(id) => letter.id == *id,
                Selection::Table(table) => *letter.reason.table == **table || *letter.table() == **table,
                Selection::All => true,
            }));
            if is_last {
                return Ok(selected);
            }
        }
    }

    /// An edit of a row is a write of the row: it is merged with the letter, and both are tried again.
    fn edit(&self, letter: &Letter, edits: &[Edit]) -> Result<Written, Refusal> {
        let Some(table) = self.table_of(letter) else {
            return Err(Refusal::invalid(match letter.key.row() {
                Some(row) if row.is_key_value() => {
                    "this letter is of a key-value key: write the key itself (SET, HSET), and it is tried again"
                }
                _ => {
                    "the table of this letter is gone; it can only be dropped, or tried again when the table is back"
                }
            }));
        };
        let mut columns = Vec::with_capacity(edits.len());
        for (name, text) in edits {
            let at = rows::column(&table, name)?;
            let value = match text {
                Some(text) => rows::value(&table, at, text)?,
                None => rows::cleared(&table, at)?,
            };
            columns.push((Name::column(&table.columns[at].name), value));
        }
        let Some(row) = letter.key.row() else {
            return self.ask_of_letters(std::slice::from_ref(letter), &Intent::Edit(columns));
        };
        let Ok(RowName::Table { key, .. }) = row.decode() else {
            return Err(Refusal::invalid("the key of this letter cannot be read"));
        };
        for (name, _) in &columns {
            rows::not_key(&table, rows::column(&table, name.as_bytes())?)?;
        }
        let change = Change::put(columns);
        let target = Target::Row(table.clone(), key);
        let mut unit = Unit::new(self, &[(&[], &target)], false);
        match rows::write(&mut unit, 0, &table, change) {
            Ok(()) => unit.commit(),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(Stop::Load) => {
                Err(Refusal::TryAgain("the row has to be read first; read it and try again".into()))
            }
        }
    }

    fn ask_of_letters(&self, letters: &[Letter], intent: &Intent) -> Result<Written, Refusal> {
        let mut by_lane: BTreeMap<LaneId, Vec<&Letter>> = BTreeMap::new();
        for letter in letters {
            by_lane.entry(self.lane_of(letter)).or_default().push(letter);
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
        // What is asked of letters has no share: it may be what lets their group land.
        self.admit(&[])?;
        let shard_of = |row: &RowKey| self.cache.shard_of(self.cache.hash(row.as_bytes()));
        // Whoever writes one of the rows meanwhile must get a later position, here and in the log.
        let shards: BTreeSet<usize> =
            keys.iter().filter_map(|key| key.row()).map(|row| shard_of(&row)).collect();
        let mut guards: BTreeMap<usize, _> =
            shards.into_iter().map(|shard| (shard, self.cache.lock(shard))).collect();
        // A letter that is given up already is gone when its turn comes. Asked for again, what is known of its row would
        // outlive it until that has landed too.
        let given_up = |row: &RowKey| {
            let shard = guards.get(&shard_of(row))?;
            let entry = shard.entry(shard.find(self.cache.hash(row.as_bytes()), row.as_bytes())?)?;
            entry.given_up_at().map(|position| (entry.lane, position))
        };
        let mut wanted = Vec::with_capacity(keys.len());
        for key in keys {
            match key.row().and_then(|row| given_up(&row)) {
                Some((lane, position)) => {
                    written.end = written.end.max(self.log.accepted());
                    match written.places.iter_mut().find(|(of, _)| *of == lane) {
                        Some((_, last)) => *last = position.max(*last),
                        None => written.places.push((lane, position)),
                    }
                }
                None => wanted.push(*key),
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let mut body = Vec::new();
        let mut writer = BodyWriter::new(&mut body, wanted.len());
        wanted.iter().for_each(|key| writer.letter(0, key, intent));
        let rows: Vec<RowKey> = wanted.iter().filter_map(|key| key.row()).collect();
        let appended = self.log.append(&[lane], &body)?;
        self.accepted(lane, wanted.len());
        written.end = appended.end;
        for place in &appended.places {
            written.places.retain(|(have, _)| *have != place.lane);
            written.places.push((place.lane, place.position));
            for row in &rows {
                if let Some(shard) = guards.get_mut(&shard_of(row)) {
                    self.mark_stale(shard, row.as_bytes(), (lane, place.position), intent);
                }
            }
        }
        Ok(())
    }
}
