//! One shard: a hash table of rows, a queue of dirty rows a lane, and the eviction list of the clean ones.
//! Every change of an entry goes through here, so that sizes and lists agree with it.

use std::collections::BTreeSet;

use crate::buffer::cache::Cache;
use crate::buffer::cache::dirty::Dirty;
use crate::buffer::cache::edits::FieldEdits;
use crate::buffer::cache::entry::{Entry, Loads, RowBytes};
use crate::buffer::cache::index::Index;
use crate::buffer::cache::prefetch;
use crate::buffer::cache::sieve::{NONE, Sieve};
use crate::buffer::cache::stream::StreamEdits;
use crate::buffer::cache::view::View;
use crate::env::planted::{Bug, planted};
use crate::model::{Change, LaneId, Position};
use crate::sync::atomic::Ordering;

mod stay;
mod sweep;
mod walk;

pub use stay::Stay;

/// How many rows a lock is held for while a publication makes rows clean.
const CLEANED_AT_ONCE: usize = 256;
/// How many clean rows one insert may let go; the next insert goes on.
const EVICTED_AT_ONCE: usize = 16;

/// The rows of one part of the hash space.
pub struct Shard {
    index: Index,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    sieve: Sieve,
    dirty: Dirty,
    /// Key-value keys that expire.
    expiring: BTreeSet<(u64, u32)>,
    /// Rows of tables that a client wants to stay until a time.
    leaving: BTreeSet<(u64, u32)>,
    /// Key-value keys that are known to be there.
    keys: u64,
    bytes: u64,
    bytes_max: u64,
    loads: Loads,
}

/// What a write leaves behind in an entry.
pub enum After {
    /// The view is known: this, expiring then (0: never).
    Known(View, u64),
    /// Fields of a key-value hash, set or removed; with `true` the key was absent before.
    Fields(Box<FieldEdits>, bool),
    /// Entries of a key-value stream, added or removed; with a time of expiry (0: never) nothing of the key was left before.
    Stream(Box<StreamEdits>, Option<u64>),
    /// The key-value key expires then (0: never).
    Expires(u64),
    /// What is known of it is let go as soon as this write has landed: its dead letter was dropped or tried again.
    Stale {
        /// It was dropped.
        given_up: bool,
    },
    /// A row of a table changed; it is known again, or it is owed this change on top.
    Changed {
        /// What happened to it.
        change: Change,
        /// How long it is served without being loaded again, Unix milliseconds.
        until: u64,
        /// The database computes columns of it: once landed, it is let go and loaded again.
        reload: bool,
    },
}

impl Shard {
    pub(super) fn new(bytes_max: u64) -> Shard {
        Shard {
            index: Index::default(),
            entries: Vec::new(),
            free: Vec::new(),
            sieve: Sieve::new(),
            dirty: Dirty::default(),
            expiring: BTreeSet::new(),
            leaving: BTreeSet::new(),
            keys: 0,
            bytes: 0,
            bytes_max,
            loads: Loads::default(),
        }
    }

    /// The place of a row, for [`Shard::entry`].
    pub fn find(&self, hash: u64, row: &[u8]) -> Option<u32> {
        let entries = &self.entries;
        self.index.find(hash, |at| entries[at as usize].as_ref().is_some_and(|entry| *entry.row == *row))
    }

    /// The same for whoever will read or write the row in a moment: its value is on the way from memory.
    pub fn find_to_use(&self, hash: u64, row: &[u8]) -> Option<u32> {
        self.find(hash, row).inspect(|&at| self.fetch_value(at))
    }

    /// Has the memory fetched that tells where a row of this hash is.
    pub(super) fn fetch_index(&self, hash: u64) {
        self.index.prefetch(hash);
    }

    /// Has the entry fetched that a row of this hash has, most likely, and answers its place.
    pub(super) fn fetch_entry(&self, hash: u64) -> Option<u32> {
        // Another row of this hash only costs what the hint would have gained.
        let at = self.index.find(hash, |_| true)?;
        self.entries.get(at as usize).inspect(|entry| prefetch::lines(*entry));
        Some(at)
    }

    /// Has the value fetched that lies behind the entry.
    pub(super) fn fetch_value(&self, at: u32) {
        if let Some(entry) = self.entry(at) {
            entry.view.prefetch();
        }
    }

    /// The row at a place.
    pub fn entry(&self, at: u32) -> Option<&Entry> {
        self.entries.get(at as usize)?.as_ref()
    }

    /// Notes that a row was read, for the eviction list.
    pub fn visit(&mut self, at: u32) {
        if let Some(Some(entry)) = self.entries.get_mut(at as usize) {
            entry.visit();
        }
    }

    /// Applies a write that the log has taken at `position`, when the lane's last cut was at `cut`. Returns the
    /// row's place. `hint` is where the row was found before; it may have been let go since.
    ///
    /// It lets no row go: others of the same unit were seen and must stay until it is done ([`Shard::relieve`]).
    pub fn write(
        &mut self,
        cache: &Cache,
        (hash, row, lane): (u64, &[u8], LaneId),
        (position, cut): (Position, Position),
        hint: Option<u32>,
        after: After,
    ) -> u32 {
        let hinted = hint.filter(|at| self.entry(*at).is_some_and(|entry| *entry.row == *row));
        let at = match hinted.or_else(|| self.find(hash, row)) {
            Some(at) => at,
            None => self.insert(cache, hash, row, lane),
        };
        self.change_lane(cache, at, lane, position);
        self.soil(cache, at, position);
        self.update(cache, at, |entry, _| entry.take(position, cut, after));
        cache.watches().changed(hash);
        at
    }

    /// Lets clean rows go while the shard holds too much. To be called when a unit is done with its rows.
    pub fn relieve(&mut self, cache: &Cache) {
        self.evict(cache);
    }

    /// Makes a row's view known, from a load at `now_ms`. The row stays dirty if it was.
    pub fn settle(
        &mut self,
        cache: &Cache,
        (hash, row, lane): (u64, &[u8], LaneId),
        view: View,
        (expires_ms, now_ms): (u64, u64),
    ) -> u32 {
        let at = match self.find(hash, row) {
            Some(at) => at,
            None => {
                let at = self.insert(cache, hash, row, lane);
                self.sieve.insert(&mut self.entries, at);
                at
            }
        };
        self.loads.count();
        self.update(cache, at, |entry, loads| {
            entry.view = view;
            entry.kept &= entry.expires_ms > now_ms;
            if !entry.kept {
                entry.expires_ms = expires_ms;
            }
            entry.brought_by(loads);
        });
        self.evict(cache);
        at
    }

    /// Lets a clean row go; a dirty one stays, and the answer is no.
    pub fn remove_clean(&mut self, cache: &Cache, hash: u64, at: u32) -> bool {
        let Some(entry) = self.entry(at) else { return false };
        if entry.is_dirty() {
            return false;
        }
        self.sieve.remove(&mut self.entries, at);
        self.remove(cache, hash, at);
        true
    }

    /// Makes rows of `lane` clean that have landed, looking at `left` rows at most, and returns how many are
    /// still to be looked at.
    pub(super) fn clean(&mut self, lane: LaneId, landed: Position, left: usize, cache: &Cache) -> usize {
        let left = left.min(self.dirty.len(lane));
        for _ in 0..left.min(CLEANED_AT_ONCE) {
            let Some(at) = self.dirty.take(lane) else { break };
            let Some(Some(entry)) = self.entries.get_mut(at as usize) else { continue };
            if entry.position() > landed && !planted(Bug::CleanedTooEarly) {
                self.dirty.put_back(lane, at);
                continue;
            }
            entry.clean();
            let bytes = entry.held_bytes();
            self.dirty.resize(lane, bytes, 0);
            // Nothing is owed any more. What was never read, or what the database has completed, is loaded
            // again by the next read.
            let let_go = entry.view.is_unknown() || entry.is_doubtful();
            cache.bytes.dirty.fetch_sub(bytes, Ordering::Relaxed);
            cache.bytes.dirty_rows.fetch_sub(1, Ordering::Relaxed);
            if let_go {
                if entry.is_key_value() {
                    cache.set_complete(false);
                }
                let hash = cache.hash(&entry.row);
                // Read again, it may be another than the one that was read before.
                cache.watches().changed(hash);
                if entry.kept {
                    self.keep_place(cache, at);
                } else {
                    self.remove(cache, hash, at);
                }
            } else {
                self.sieve.insert(&mut self.entries, at);
            }
        }
        left.saturating_sub(CLEANED_AT_ONCE)
    }

    /// The key-value keys that expired at or before `now_ms`, at most `most`. Not those whose letter may be given up: what
    /// they are without it nobody knows here, and it may have no such time.
    pub fn expired(&self, now_ms: u64, most: usize) -> Vec<RowBytes> {
        self.expiring
            .iter()
            .take_while(|(when, _)| *when <= now_ms)
            .filter_map(|(_, at)| self.entry(*at).filter(|entry| !entry.is_doubtful()))
            .take(most)
            .map(|entry| entry.row.clone())
            .collect()
    }

    /// Each clean row is in the eviction list once, each dirty one in its lane's queue once, each key that
    /// expires in the order of expiry, and none of them anywhere else.
    #[cfg(test)]
    pub(super) fn check_lists(&self) {
        let numbered = || {
            let rows = self.entries.iter().enumerate();
            rows.filter_map(|(at, entry)| entry.as_ref().map(|entry| (at as u32, entry)))
        };
        let mut clean: Vec<u32> =
            numbered().filter(|(_, entry)| !entry.is_dirty()).map(|(at, _)| at).collect();
        let mut listed = self.sieve.all(&self.entries);
        clean.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, clean, "the eviction list");
        for (lane, mut queued, bytes) in self.dirty.all() {
            let of_lane = || numbered().filter(|(_, entry)| entry.is_dirty() && entry.lane == lane);
            let held: u64 = of_lane().map(|(_, entry)| entry.held_bytes()).sum();
            assert_eq!(bytes, held, "the bytes of lane {lane}");
            let mut dirty: Vec<u32> = of_lane().map(|(at, _)| at).collect();
            dirty.sort_unstable();
            queued.sort_unstable();
            assert_eq!(queued, dirty, "the queue of lane {lane}");
        }
        let expiring: BTreeSet<(u64, u32)> = numbered()
            .filter(|(_, entry)| entry.is_key_value() && entry.expires_ms > 0)
            .map(|(at, entry)| (entry.expires_ms, at))
            .collect();
        assert_eq!(self.expiring, expiring, "the order of expiry");
        let leaving: BTreeSet<(u64, u32)> =
            numbered().filter(|(_, entry)| entry.kept).map(|(at, entry)| (entry.expires_ms, at)).collect();
        assert_eq!(self.leaving, leaving, "the order of leaving");
        assert_eq!(self.keys, self.iter().filter(|entry| entry.is_key()).count() as u64, "the keys");
        assert_eq!(self.bytes, self.iter().map(Entry::held_bytes).sum::<u64>(), "the bytes");
        assert_eq!(self.index.len() + self.free.len(), self.entries.len(), "the places");
    }

    fn insert(&mut self, cache: &Cache, hash: u64, row: &[u8], lane: LaneId) -> u32 {
        let entry = Entry::new(row, lane);
        let bytes = entry.held_bytes();
        self.bytes += bytes;
        cache.bytes.all.fetch_add(bytes, Ordering::Relaxed);
        let at = match self.free.pop() {
            Some(at) => {
                self.entries[at as usize] = Some(entry);
                at
            }
            None => {
                self.entries.push(Some(entry));
                (self.entries.len() - 1) as u32
            }
        };
        self.index.insert(hash, at);
        cache.bytes.rows.fetch_add(1, Ordering::Relaxed);
        at
    }

    fn remove(&mut self, cache: &Cache, hash: u64, at: u32) {
        self.index.remove(hash, at);
        if let Some(entry) = self.entries[at as usize].take() {
            self.expiring.remove(&(entry.expires_ms, at));
            if entry.kept {
                self.leaving.remove(&(entry.expires_ms, at));
            }
            self.keys -= u64::from(entry.is_key());
            let bytes = entry.held_bytes();
            self.bytes -= bytes;
            cache.bytes.all.fetch_sub(bytes, Ordering::Relaxed);
            cache.bytes.rows.fetch_sub(1, Ordering::Relaxed);
            self.free.push(at);
        }
    }

    /// Changes an entry and keeps sizes and the expiry order in step.
    fn update(&mut self, cache: &Cache, at: u32, change: impl FnOnce(&mut Entry, &Loads)) {
        let Some(Some(entry)) = self.entries.get_mut(at as usize) else { return };
        let (expired_before, bytes_before, key_before) =
            (entry.expires_ms, entry.held_bytes(), entry.is_key());
        let kept_before = entry.kept;
        change(entry, &self.loads);
        self.keys = self.keys + u64::from(entry.is_key()) - u64::from(key_before);
        let (expires_ms, bytes, key_value) = (entry.expires_ms, entry.held_bytes(), entry.is_key_value());
        let kept = entry.kept;
        if bytes != bytes_before {
            if entry.is_dirty() {
                add(&cache.bytes.dirty, bytes_before, bytes);
                self.dirty.resize(entry.lane, bytes_before, bytes);
            }
            add(&cache.bytes.all, bytes_before, bytes);
            self.bytes = self.bytes + bytes - bytes_before;
        }
        if expired_before != expires_ms && key_value {
            self.expiring.remove(&(expired_before, at));
            if expires_ms > 0 {
                self.expiring.insert((expires_ms, at));
            }
        }
        if kept_before {
            self.leaving.remove(&(expired_before, at));
        }
        if kept {
            self.leaving.insert((expires_ms, at));
        }
    }

    /// Notes in which lane the row is written from now on. What it owes in the one before lands first: that lane is
    /// retired, or lands together with this one in the order of the log.
    fn change_lane(&mut self, cache: &Cache, at: u32, lane: LaneId, position: Position) {
        let Some(Some(entry)) = self.entries.get_mut(at as usize) else { return };
        let before = std::mem::replace(&mut entry.lane, lane);
        if before == lane || !entry.is_dirty() {
            return;
        }
        // What is owed in both lanes may take other memory than before.
        let bytes_before = entry.held_bytes();
        if let View::Unknown(Some(owed)) = &mut entry.view {
            owed.change_lane(position);
        }
        let bytes = entry.held_bytes();
        add(&cache.bytes.dirty, bytes_before, bytes);
        add(&cache.bytes.all, bytes_before, bytes);
        self.bytes = self.bytes + bytes - bytes_before;
        self.dirty.change_lane(at, (before, bytes_before), (lane, bytes));
    }

    /// What the dirty rows of a lane hold, in bytes.
    pub(super) fn dirty_bytes(&self, lane: LaneId) -> u64 {
        self.dirty.bytes(lane)
    }

    /// Puts a row that is written at `position` into the queue of its lane.
    fn soil(&mut self, cache: &Cache, at: u32, position: Position) {
        let Some(Some(entry)) = self.entries.get_mut(at as usize) else { return };
        if entry.is_dirty() {
            return entry.soil(position);
        }
        let (lane, bytes) = (entry.lane, entry.held_bytes());
        if entry.neighbours() != [NONE; 2] || self.sieve.holds_only(at) {
            self.sieve.remove(&mut self.entries, at);
        }
        if let Some(Some(entry)) = self.entries.get_mut(at as usize) {
            entry.soil(position);
        }
        cache.bytes.dirty.fetch_add(bytes, Ordering::Relaxed);
        cache.bytes.dirty_rows.fetch_add(1, Ordering::Relaxed);
        self.dirty.push(lane, at, bytes);
    }

    /// Lets clean rows go while the shard holds too much.
    fn evict(&mut self, cache: &Cache) {
        for _ in 0..EVICTED_AT_ONCE {
            if self.bytes <= self.bytes_max {
                return;
            }
            let Some(at) = self.sieve.victim(&mut self.entries, &self.loads) else { return };
            let Some(entry) = self.entry(at) else { return };
            if entry.is_key_value() && !planted(Bug::EvictionForgotten) {
                cache.set_complete(false);
            }
            let hash = cache.hash(&entry.row);
            self.sieve.remove(&mut self.entries, at);
            self.remove(cache, hash, at);
            cache.bytes.evicted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn add(counter: &crate::sync::atomic::AtomicU64, before: u64, after: u64) {
    // It wraps, as the counter does: less is added as the number that leads there.
    counter.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
}
