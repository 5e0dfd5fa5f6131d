//! Looking at many rows of a shard: part by part, all at once, or only how many keys there are.
//! It changes nothing.

use super::{Entry, Shard};

impl Shard {
    /// Calls `each` with the rows of one part of the hashes, that in which `from` lies, and answers where the next part begins;
    /// none behind the last. Who goes on from there meets every row that stays.
    pub fn part(&self, from: u32, mut each: impl FnMut(&Entry)) -> Option<u32> {
        self.index.part(from, |at| {
            if let Some(entry) = self.entry(at) {
                each(entry);
            }
        })
    }

    /// How many key-value keys are known to be there at this time.
    pub fn keys(&self, now_ms: u64) -> u64 {
        let over = self.expiring.iter().take_while(|(when, _)| *when <= now_ms);
        let over = over.filter(|(_, at)| self.entry(*at).is_some_and(Entry::is_key));
        self.keys - over.count() as u64
    }

    /// All rows, for reports and tests.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().flatten()
    }
}
