//! Walks over the key-value keys, for SCAN, KEYS, DBSIZE and RANDOMKEY: cached, pending and stored ones; and over the rows
//! of one table (`keyspace/rows.rs`), for SCAN.
//! A walk never waits in the caller's thread, never changes a row, and tells nothing that is less safe than promised.
//!
//! # What a walk promises
//!
//! A key that is there all the time, from the first call to the last, is met at least once, whatever lands, is evicted,
//! expires, comes or goes meanwhile, and also when the database fails over. A key that comes or goes meanwhile may be met
//! or not; a key may be met twice. A whole walk ([`Wish::All`], [`Wish::Count`]) meets none twice, and with nobody writing it is exact.
//!
//! # Why it holds
//!
//! A walk has three legs: the cache, the dead letters, the stored keys by place.
//!
//! - On the first leg every dirty key is told as the cache shows it, and while the cache is complete every clean one too.
//! - A key that is not dirty when its turn in the cache comes is in the database: in its table, or only in a dead letter. It
//!   leaves the letter for the table alone, and has one place there ([`crate::sink::Source::keys`]). So letters come before places.
//! - A page from the database, of letters too, is taken as a load is: not older than what was made clean before, and what the cache knows of a
//!   key at that moment is what counts.
//! - A database that lost commits may give a key that lands again another place: the lanes count that, and the walk begins
//!   anew when the count has changed. So it does after a restart, because the order of the cache is another one then.
//! - The cache becomes complete again only when all keys are cleared, so a walk may end as soon as it is complete.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::core::Core;
use super::load::Job;
use super::refusal::Refusal;
use crate::model::{LaneId, Letter, RowKey, Table, Watermark};
use crate::sink::{KeyKind, RowPlace, SinkError, StoredKeys, StoredRows};

mod cursor;
mod places;
mod rows;
mod steps;

pub use cursor::Cursor;
use cursor::Leg;
pub(super) use places::Places;

/// So many rows are looked at in one step of a whole walk.
const STEP_ROWS: usize = 1024;
/// The most rows that one page looks at, whatever was asked for.
const PAGE_ROWS_MAX: usize = 10_000;
/// So many letters are looked at in one step: each key has to be loaded, and all of them stay in the cache together.
const STEP_LETTERS: usize = 16;
/// So many steps a walk takes in the thread of its caller, at most; then it goes on in that of a loader.
const STEPS_AT_ONCE: usize = 64;
/// The most bytes of keys that one walk answers, in bytes.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// So often the rows of one step are loaded before it is given up: the cache lets them go faster than they come.
const LOADS_MAX: u32 = 16;

/// What is asked of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// About so many keys, from the cursor on.
    Page(Cursor, usize),
    /// All keys.
    All,
    /// How many keys there are.
    Count,
    /// Any key.
    One,
}

/// What a walk has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The keys; of a count none.
    pub keys: Vec<Vec<u8>>,
    /// How many keys were met that were wanted.
    pub count: u64,
    /// Where the next page begins; 0: this was the last.
    pub cursor: Cursor,
    /// It tells of something that may be less safe than the policy promises.
    pub read_dirty: bool,
}

/// Whether a key is wanted. It may be called from any thread.
pub type Wanted = Box<dyn Fn(&[u8], KeyKind) -> bool + Send>;

/// Called once with what a walk has found, from another thread; it is as safe as promised then.
pub type OnFound = Box<dyn FnOnce(Result<Found, Refusal>) + Send>;

/// A walk under way.
pub(super) struct Walk {
    wish: Wish,
    /// The table whose rows it is over; none: it is over the key-value keys.
    table: Option<Arc<Table>>,
    /// In the table: behind which row it is, and the number of the place that it has begun at.
    place: Option<RowPlace>,
    begun: u64,
    /// How many steps a page over rows has taken.
    steps: usize,
    wanted: Wanted,
    done: Option<OnFound>,
    found: Found,
    bytes: usize,
    leg: Leg,
    /// The count of lost commits that the walk has begun with.
    tag: u64,
    /// Of a whole walk: the hashes of keys that were told, or are known not to be there.
    decided: HashSet<u64>,
    /// Where [`Wish::One`] has begun, and whether it has come to the end of the stored keys once.
    wrapped: bool,
    loads: u32,
    deadline: Option<Duration>,
    /// Whether a clear from before this start had landed when it was read.
    clear_landed: bool,
    /// The take-overs before it was read ([`crate::lander::Progress::take_overs`]).
    take_overs: u64,
    /// What was read and not taken in yet.
    read: Option<Result<Read, SinkError>>,
    refusal: Option<Refusal>,
}

/// What a leg reads from the database.
enum Read {
    /// Nothing: it is in the cache.
    Nothing,
    /// Letters, and the watermarks of a moment before.
    Letters(Vec<Letter>, Vec<Watermark>),
    Keys(StoredKeys),
    Rows(StoredRows),
}

/// What has to follow a step of a walk.
pub(super) enum Next {
    /// Another step.
    Step,
    /// Another step, when this lane has landed more or a moment has passed.
    Wait(LaneId),
    /// Another step, when these rows are known.
    Load(Vec<(RowKey, LaneId)>),
    /// Nothing: it is over.
    End,
}

/// What the cache makes of a key.
enum Told {
    There(KeyKind),
    Gone,
    /// The row has to be loaded.
    Unknown,
    /// The cache knows nothing of it.
    Nothing,
}

impl Engine {
    /// Walks over the key-value keys. Answers at once when the cache alone can tell, and quickly; else calls `done` later.
    pub fn walk(&self, wish: Wish, wanted: Wanted, done: OnFound) -> Option<Result<Found, Refusal>> {
        let core = &self.core;
        if let (Wish::Count, true) = (wish, core.cache.is_complete()) {
            let count = core.cache.keys(core.env.clock.unix_ms());
            // What it counts may be less safe than it should be, and asking each row would be a walk.
            return Some(Ok(Found { count, read_dirty: true, ..Found::default() }));
        }
        core.begin_walk(Walk::new(core, wish, None, wanted, done))
    }

    /// About `count` rows of a table, by their keys, from the cursor on: those that have not landed, those with dead letters,
    /// and those that the database has. Answers as [`Engine::walk`] does.
    pub fn walk_rows(
        &self,
        table: &Arc<Table>,
        (cursor, count): (Cursor, usize),
        wanted: Wanted,
        done: OnFound,
    ) -> Option<Result<Found, Refusal>> {
        self.core.walk_rows(table, (cursor, count), wanted, done)
    }
}

impl Core {
    /// As [`Engine::walk_rows`].
    pub(super) fn walk_rows(
        &self,
        table: &Arc<Table>,
        (cursor, count): (Cursor, usize),
        wanted: Wanted,
        done: OnFound,
    ) -> Option<Result<Found, Refusal>> {
        self.begin_walk(Walk::new(self, Wish::Page(cursor, count), Some(table.clone()), wanted, done))
    }

    /// Takes the steps that the cache alone can take, and leaves the others to a loader.
    fn begin_walk(&self, mut walk: Walk) -> Option<Result<Found, Refusal>> {
        for _ in 0..STEPS_AT_ONCE {
            if !matches!(walk.leg, Leg::Cache(_)) && (walk.table.is_some() || !self.cache.is_complete()) {
                break;
            }
            match self.step_in_cache(&mut walk) {
                Next::Step => {}
                Next::End => return Some(walk.outcome()),
                Next::Wait(_) | Next::Load(_) => break,
            }
        }
        self.queue(Job::Walk(Box::new(walk)));
        None
    }
}

impl Walk {
    fn new(core: &Core, wish: Wish, table: Option<Arc<Table>>, wanted: Wanted, done: OnFound) -> Walk {
        let tag = core.walk_tag();
        let mut leg = match wish {
            Wish::Page(cursor, _) => cursor.leg(tag),
            Wish::One => core.random_leg(),
            Wish::All | Wish::Count => Leg::Cache(0),
        };
        let (mut place, mut begun) = (None, 0);
        if let (Some(table), Leg::Stored(number @ 1..)) = (&table, leg) {
            (place, begun) = (core.places.lock().find(number, &table.name), number);
            if place.is_none() {
                // Forgotten, or the cursor of another table.
                (leg, begun) = (Leg::Cache(0), 0);
            }
        }
        Walk {
            wish,
            table,
            place,
            begun,
            steps: 0,
            wanted,
            done: Some(done),
            found: Found::default(),
            bytes: 0,
            leg,
            tag,
            decided: HashSet::new(),
            wrapped: false,
            loads: 0,
            deadline: None,
            clear_landed: true,
            take_overs: 0,
            read: None,
            refusal: None,
        }
    }

    /// Whether what a read needs was read.
    #[cfg(feature = "simulation")]
    pub(super) fn has_read(&self) -> bool {
        self.read.is_some()
    }

    fn is_whole(&self) -> bool {
        matches!(self.wish, Wish::All | Wish::Count)
    }

    fn step_rows(&self) -> usize {
        match self.wish {
            Wish::Page(_, rows) => rows.clamp(1, PAGE_ROWS_MAX),
            _ => STEP_ROWS,
        }
    }

    /// Takes in what became of a load that was asked for.
    pub(super) fn loaded(&mut self, outcome: Result<(), Refusal>) {
        self.refusal = outcome.err();
    }

    pub(super) fn refuse(mut self, refusal: Refusal) {
        if let Some(done) = self.done.take() {
            done(Err(refusal));
        }
    }

    fn outcome(&mut self) -> Result<Found, Refusal> {
        match self.refusal.take() {
            Some(refusal) => Err(refusal),
            None => Ok(std::mem::take(&mut self.found)),
        }
    }

    /// A key is there, unless it was told already.
    fn tell(&mut self, key: &[u8], kind: KeyKind) {
        if !(self.wanted)(key, kind) {
            return;
        }
        self.found.count += 1;
        if self.wish == Wish::Count {
            return;
        }
        self.bytes += key.len();
        if self.bytes > ANSWER_BYTES_MAX {
            self.refusal.get_or_insert_with(|| {
                Refusal::invalid(format!("the keys are more than {ANSWER_BYTES_MAX} bytes; use SCAN"))
            });
            return;
        }
        self.found.keys.push(key.to_vec());
    }

    /// Goes on with another leg, and says whether the walk is over with that.
    fn go_on(&mut self, core: &Core, leg: Option<Leg>) -> Next {
        (self.loads, self.deadline) = (0, None);
        self.steps += 1;
        let leg = leg.filter(|_| self.refusal.is_none());
        let enough = match self.wish {
            Wish::Page(_, rows) if self.table.is_some() => {
                self.found.keys.len() >= rows || self.steps >= self.steps_max()
            }
            Wish::Page(..) => true,
            Wish::One => self.pick(core),
            Wish::All | Wish::Count => false,
        };
        // Where a random walk ends it has begun in the middle.
        let leg = match (leg, self.wish) {
            (None, Wish::One) if !enough && !self.wrapped => {
                self.wrapped = true;
                Some(Leg::Cache(0))
            }
            (leg, _) => leg,
        };
        self.leg = leg.unwrap_or(Leg::Cache(0));
        if !enough && leg.is_some() {
            return Next::Step;
        }
        let leg = leg.map(|leg| self.numbered(core, leg));
        self.found.cursor = leg.map_or(Cursor::default(), |leg| Cursor::new(leg, self.tag));
        Next::End
    }

    /// A leg that fits into a cursor: of a place in a table, its number.
    fn numbered(&self, core: &Core, leg: Leg) -> Leg {
        match (leg, &self.table, &self.place) {
            (Leg::Stored(_), Some(table), Some(place)) => {
                Leg::Stored(core.places.lock().keep(self.begun, &table.name, place.clone()))
            }
            _ => leg,
        }
    }

    /// So many steps a page over rows takes for want of rows that are wanted: most of the cache may be of others.
    fn steps_max(&self) -> usize {
        (PAGE_ROWS_MAX / self.step_rows()).clamp(1, STEPS_AT_ONCE)
    }

    /// Chooses one of the keys that were found; whether there is one.
    fn pick(&mut self, core: &Core) -> bool {
        let keys = &mut self.found.keys;
        if keys.is_empty() {
            return false;
        }
        let chosen = core.env.random_128()[0] as usize % keys.len();
        keys.swap(0, chosen);
        keys.truncate(1);
        true
    }

    /// Begins anew: what it has met may be at another place now.
    fn begin_anew(&mut self, tag: u64) {
        (self.tag, self.leg, self.bytes) = (tag, Leg::Cache(0), 0);
        (self.place, self.begun) = (None, 0);
        self.found = Found { read_dirty: self.found.read_dirty, ..Found::default() };
        self.decided.clear();
    }
}
