//! How long a row of a table stays in the cache, when a client has said so.
//! It is about the cache alone: it must never be logged, never change a row, and never let a dirty row go.

use super::Shard;
use crate::buffer::cache::entry::Reload;
use crate::buffer::cache::{Cache, View};

/// How many rows one call lets go; the next goes on.
const LEAVING_AT_ONCE: usize = 128;

/// How long a row of a table is to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// As any other: until then it is served without being loaded again, Unix milliseconds.
    AsOthers(u64),
    /// Until then, Unix milliseconds, whatever is loaded or written meanwhile.
    Until(u64),
    /// No longer: it goes now, or as soon as it has landed.
    Over,
}

impl Shard {
    /// Says how long a row stays; nothing happens when it is not here.
    pub fn stay(&mut self, cache: &Cache, hash: u64, row: &[u8], stay: Stay) {
        let Some(at) = self.find(hash, row) else { return };
        match stay {
            // Only its time kept the place.
            Stay::AsOthers(_)
                if self.entry(at).is_some_and(|entry| !entry.is_dirty() && entry.view.is_unknown()) =>
            {
                self.dismiss(cache, hash, at);
            }
            Stay::AsOthers(until_ms) => self.update(cache, at, |entry, _| {
                (entry.kept, entry.expires_ms) = (false, until_ms);
            }),
            Stay::Until(until_ms) => self.update(cache, at, |entry, _| {
                (entry.kept, entry.expires_ms) = (true, until_ms);
            }),
            Stay::Over => self.dismiss(cache, hash, at),
        }
    }

    /// Lets the rows go whose time is over that a client has given them: clean ones now, dirty ones as soon as they
    /// have landed.
    pub fn let_leave(&mut self, cache: &Cache, now_ms: u64) {
        for _ in 0..LEAVING_AT_ONCE {
            let over = self.leaving.first().filter(|(until_ms, _)| *until_ms <= now_ms);
            let Some(&(_, at)) = over else { return };
            let Some(entry) = self.entry(at) else { return };
            self.dismiss(cache, cache.hash(&entry.row), at);
        }
    }

    fn dismiss(&mut self, cache: &Cache, hash: u64, at: u32) {
        if !self.remove_clean(cache, hash, at) {
            self.update(cache, at, |entry, _| {
                entry.kept = false;
                entry.doubt();
            });
        }
    }

    /// Makes a row that has landed one of which nothing is known, so that the next read loads it: what a client has said
    /// of its time outlives that.
    pub(super) fn keep_place(&mut self, cache: &Cache, at: u32) {
        self.update(cache, at, |entry, _| {
            (entry.view, entry.reload) = (View::default(), Reload::No);
        });
        self.sieve.insert(&mut self.entries, at);
    }
}
