//! Letting many rows go at once: all clean ones, all key-value keys, or those that something concerns.
//! Of what stays, each row stands in its list as before.

use super::Shard;
use crate::buffer::cache::Cache;
use crate::env::planted::{Bug, planted};
use crate::sync::atomic::Ordering;

impl Shard {
    /// Lets the rows go that `concerns` names: clean ones now, dirty ones as soon as they have landed.
    pub fn forget(&mut self, cache: &Cache, concerns: impl Fn(&[u8]) -> bool) {
        for at in 0..self.entries.len() as u32 {
            let Some(Some(entry)) = self.entries.get_mut(at as usize) else { continue };
            if !concerns(&entry.row) {
                continue;
            }
            entry.doubt();
            let hash = cache.hash(&entry.row);
            cache.watches().changed(hash);
            self.remove_clean(cache, hash, at);
        }
    }

    /// Lets every key-value key go, dirty or not, because all of them are gone now.
    pub fn clear_keys(&mut self, cache: &Cache) {
        for at in 0..self.entries.len() as u32 {
            let Some(entry) = self.entry(at).filter(|entry| entry.is_key_value()) else { continue };
            let (hash, dirty, bytes, lane) =
                (cache.hash(&entry.row), entry.is_dirty(), entry.held_bytes(), entry.lane);
            if dirty && planted(Bug::ClearKeepsPending) {
                continue;
            }
            if dirty {
                self.dirty.resize(lane, bytes, 0);
                cache.bytes.dirty.fetch_sub(bytes, Ordering::Relaxed);
                cache.bytes.dirty_rows.fetch_sub(1, Ordering::Relaxed);
            } else {
                self.sieve.remove(&mut self.entries, at);
            }
            self.remove(cache, hash, at);
        }
        let entries = &self.entries;
        self.dirty.retain(|at| entries[at as usize].is_some());
    }

    /// Lets every clean row go; returns how many.
    pub fn evict_all(&mut self, cache: &Cache) -> u64 {
        let clean: Vec<u32> = (0..self.entries.len() as u32)
            .filter(|at| self.entry(*at).is_some_and(|entry| !entry.is_dirty()))
            .collect();
        let mut gone = 0;
        for at in clean {
            let Some(entry) = self.entry(at) else { continue };
            let hash = cache.hash(&entry.row);
            gone += u64::from(self.remove_clean(cache, hash, at));
        }
        gone
    }
}
