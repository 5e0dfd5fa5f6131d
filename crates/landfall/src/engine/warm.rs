//! Warms the cache: loads the rows of a table before somebody asks for them, a page at a time.
//! It never makes room for itself: it stops before rows that were read would have to go.

use std::collections::BTreeSet;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::Engine;
use super::core::Core;
use super::keyspace::{Cursor, Found};
use super::load::ToLoad;
use super::refusal::Refusal;
use crate::buffer::cache::View;
use crate::model::mapping::{self, Target};
use crate::model::{LaneId, RowKey, Table};

/// The most rows that one page looks at. Their loads wait in one queue with everybody's reads.
const PAGE_ROWS_MAX: usize = 1_000;
/// The share of the cache's memory, in percent, that a table is warmed up to; the rest is for who reads and writes.
const MEMORY_SHARE_PERCENT: u64 = 75;

/// How long a database that could not be asked is left alone.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What became of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warmed {
    /// Where the next page begins; 0: this was the last.
    pub cursor: Cursor,
    /// How many rows were loaded; those that were known already do not count.
    pub loaded: u64,
    /// The cache has no more room to give away; the next page would load nothing.
    pub is_full: bool,
}

/// Called once, from another thread or from within the call.
pub type OnWarmed = Box<dyn FnOnce(Result<Warmed, Refusal>) + Send>;

impl Engine {
    /// Loads about `count` rows of a table, by their keys from the cursor on, that the cache does not know.
    ///
    /// A row that is loaded is as fresh as one that a reader loads, and stays for the same time to live.
    pub fn warm(&self, table: &Arc<Table>, from: (Cursor, usize), done: OnWarmed) {
        warm(&self.core, table, from, done);
    }
}

/// As [`Engine::warm`].
fn warm(core: &Arc<Core>, table: &Arc<Table>, (cursor, count): (Cursor, usize), done: OnWarmed) {
    if core.is_warm() {
        return done(Ok(Warmed { cursor, loaded: 0, is_full: true }));
    }
    let own = Arc::clone(core);
    let (later, told) = one_of_two(done);
    let met = Box::new(move |found: Result<Found, Refusal>| own.warm_found(found, later));
    let count = count.clamp(1, PAGE_ROWS_MAX.min(core.settings.loads_waiting_max / 2).max(1));
    if let Some(found) = core.walk_rows(table, (cursor, count), Box::new(|_, _| true), met) {
        core.warm_found(found, told);
    }
}

/// Warms the tables that the settings name, one after the other, until all are, the cache is, or the engine closes. A
/// database that is down is asked again.
pub(super) fn warm_tables(core: &Arc<Core>, go_on_after: impl Fn(Duration) -> bool) {
    let wanted = core.settings.tables.iter().filter(|(_, settings)| settings.warm);
    for table in wanted.filter_map(|(name, _)| core.catalogue.table(name)) {
        let mut cursor = Cursor::default();
        while table.keyless_reason.is_none() {
            let (send, receive) = mpsc::channel();
            // Whoever listens is there until it is told: a closing engine refuses what waits.
            warm(core, table, (cursor, PAGE_ROWS_MAX), Box::new(move |warmed| drop(send.send(warmed))));
            match receive.recv() {
                Ok(Ok(page)) if page.is_full => return,
                Ok(Ok(page)) if page.cursor == Cursor::default() => break,
                Ok(Ok(page)) => cursor = page.cursor,
                Ok(Err(Refusal::Closing)) | Err(_) => return,
                Ok(Err(_)) if !go_on_after(AGAIN_AFTER) => return,
                Ok(Err(_)) => {}
            }
        }
    }
}

/// The same callback for two places, of which only one will call it.
fn one_of_two(done: OnWarmed) -> (OnWarmed, OnWarmed) {
    let shared = Arc::new(crate::sync::Mutex::new(Some(done)));
    let one = |shared: Arc<crate::sync::Mutex<Option<OnWarmed>>>| -> OnWarmed {
        Box::new(move |warmed| {
            let done = shared.lock().take();
            if let Some(done) = done {
                done(warmed);
            }
        })
    };
    (one(Arc::clone(&shared)), one(shared))
}

impl Core {
    fn is_warm(&self) -> bool {
        self.cache.bytes().all_bytes() >= self.settings.memory_bytes_max / 100 * MEMORY_SHARE_PERCENT
    }

    /// Loads the rows that a walk has met.
    fn warm_found(&self, found: Result<Found, Refusal>, done: OnWarmed) {
        let found = match found {
            Ok(found) => found,
            Err(refusal) => return done(Err(refusal)),
        };
        // A row that has not landed is met twice, as the cache and as the database have it.
        let rows: BTreeSet<_> = found.keys.iter().filter_map(|key| self.unknown_row(key)).collect();
        let warmed = Warmed { cursor: found.cursor, loaded: rows.len() as u64, is_full: false };
        self.load(
            rows.into_iter().map(ToLoad::from).collect(),
            Box::new(move |outcome| done(outcome.map(|()| warmed))),
        );
    }

    /// The row of a key, if the cache would have to ask the database for it.
    fn unknown_row(&self, key: &[u8]) -> Option<(RowKey, LaneId)> {
        let Ok(Target::Row(table, values)) = mapping::resolve(&self.catalogue, key) else { return None };
        let row = RowKey::of_table(&table.name, &values);
        let hash = self.cache.hash(row.as_bytes());
        let shard = self.cache.lock(self.cache.shard_of(hash));
        let now_ms = self.env.clock.unix_ms();
        let is_known = shard.find(hash, row.as_bytes()).and_then(|at| shard.entry(at)).is_some_and(|entry| {
            !matches!(entry.view, View::Unknown(_)) && (entry.is_dirty() || entry.expires_ms > now_ms)
        });
        drop(shard);
        let lane = self.lanes.of_row(Some(&table), row.as_bytes());
        (!is_known).then_some((row, lane))
    }
}
