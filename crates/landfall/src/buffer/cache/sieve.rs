//! The eviction list of a shard: SIEVE (Zhang et al., NSDI 2024), a queue with one bit a row and a moving hand.
//! Dirty rows are never in it, so they cost eviction nothing.

use crate::buffer::cache::entry::{Entry, Loads};

/// No entry.
pub(super) const NONE: u32 = u32::MAX;

/// The ends of the list and the hand. The links are in the entries.
#[derive(Debug)]
pub(super) struct Sieve {
    newest: u32,
    oldest: u32,
    hand: u32,
    rows: u32,
}

impl Sieve {
    pub(super) fn new() -> Sieve {
        Sieve { newest: NONE, oldest: NONE, hand: NONE, rows: 0 }
    }

    pub(super) fn insert(&mut self, entries: &mut [Option<Entry>], at: u32) {
        let newest = self.newest;
        if let Some(entry) = entry(entries, at) {
            entry.stand_between(NONE, newest);
            entry.forget_reads();
        }
        match entry(entries, newest) {
            Some(before) => before.stand_between(at, before.neighbours()[1]),
            None => self.oldest = at,
        }
        self.newest = at;
        self.rows += 1;
    }

    pub(super) fn remove(&mut self, entries: &mut [Option<Entry>], at: u32) {
        let Some(gone) = entry(entries, at) else { return };
        let [newer, older] = gone.neighbours();
        gone.stand_between(NONE, NONE);
        self.rows -= 1;
        if self.hand == at {
            self.hand = newer;
        }
        match entry(entries, newer) {
            Some(next) => next.stand_between(next.neighbours()[0], older),
            None => self.newest = older,
        }
        match entry(entries, older) {
            Some(next) => next.stand_between(newer, next.neighbours()[1]),
            None => self.oldest = newer,
        }
    }

    /// Whether the list holds this row and nothing else (a row alone in the list has no links).
    pub(super) fn holds_only(&self, at: u32) -> bool {
        self.newest == at && self.oldest == at
    }

    /// All rows of the list, oldest first, checked in both directions.
    #[cfg(test)]
    pub(super) fn all(&self, entries: &[Option<Entry>]) -> Vec<u32> {
        let links = |at: u32| entries.get(at as usize).and_then(|entry| entry.as_ref());
        let mut listed = Vec::new();
        let (mut at, mut before) = (self.oldest, NONE);
        while let Some(entry) = links(at) {
            let [newer, older] = entry.neighbours();
            assert_eq!(older, before, "the link back");
            listed.push(at);
            (before, at) = (at, newer);
        }
        assert_eq!(self.newest, before, "the end of the list");
        assert_eq!(self.rows as usize, listed.len(), "the length of the list");
        assert!(self.hand == NONE || listed.contains(&self.hand), "the hand points into the list");
        listed
    }

    /// The row to let go: the first from the hand on that was not read since the hand passed it, and that nobody
    /// waits for. `loads` counts the shard's loads.
    pub(super) fn victim(&mut self, entries: &mut [Option<Entry>], loads: &Loads) -> Option<u32> {
        let mut at = if self.hand == NONE { self.oldest } else { self.hand };
        // Two rounds suffice: the first clears every bit.
        for _ in 0..=2 * self.rows {
            let candidate = entry(entries, at)?;
            let [newer, _] = candidate.neighbours();
            if !candidate.was_read() && !candidate.is_awaited(loads) {
                self.hand = newer;
                return Some(at);
            }
            at = if newer == NONE { self.oldest } else { newer };
        }
        None
    }
}

fn entry(entries: &mut [Option<Entry>], at: u32) -> Option<&mut Entry> {
    entries.get_mut(at as usize)?.as_mut()
}
