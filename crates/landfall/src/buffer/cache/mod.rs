//! The cache: what reads see. Sharded, bounded in bytes, dirty rows pinned; it holds the view = database + what is owed.
//! It must never lose a dirty row, never cache a load older than a landed write, and never do I/O.
//!
//! # How a row lives here
//!
//! - A row whose view is *known* (a value, or known to be absent) keeps only that view and the position of its last
//!   write. It is dirty while that position is above its lane's landed position; then it cannot be evicted, so
//!   nothing has to be folded again.
//! - A row that was written without being read keeps the merged changes that it is owed ([`owed::Owed`]) until a load
//!   brings the rest.
//! - Dirty rows stand in a queue of their lane, clean rows in the shard's eviction list (SIEVE): eviction never sees a
//!   dirty row, and a publication of lane A never looks at rows of lane B.
//!
//! Writers hold the shard's lock while they append to the log, so the order of a row's positions is the order of
//! its values here. No lock is held over I/O: appending is not I/O.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::model::{LaneId, Position};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};

mod compact;
mod dirty;
pub mod edits;
pub mod entry;
pub mod fill;
pub mod hash;
mod index;
pub mod owed;
mod prefetch;
pub mod shard;
mod sieve;
pub mod stream;
pub mod view;
pub mod watches;

#[cfg(test)]
mod tests;

pub use compact::Compact;
pub use edits::FieldEdits;
pub use entry::Entry;
pub use fill::{FillOutcome, fill};
pub use hash::Hash;
pub use shard::Shard;
pub use stream::{Stream, StreamEdits};
pub use view::View;
pub use watches::Watch;

use watches::Watches;

/// A unit remembers which ones it has locked in one number.
const SHARDS: usize = u64::BITS as usize;

/// So many empty parts of an index cost a walk as much as a row.
const ROW_COST: usize = 10;

/// As many rows as are worth being foreseen at once: more, and the first are pushed out before they are asked for.
pub const FORESEEN_MAX: usize = 32;

/// All shards of the cache.
pub struct Cache {
    shards: Box<[Mutex<Shard>]>,
    hasher: ahash::RandomState,
    bytes: Bytes,
    complete: AtomicBool,
    watches: Arc<Watches>,
}

/// Sizes that admission and metrics read. Estimates: what the rows hold and what an entry costs.
#[derive(Debug, Default)]
pub struct Bytes {
    /// Everything.
    pub all: AtomicU64,
    /// Dirty rows.
    pub dirty: AtomicU64,
    /// Rows.
    pub rows: AtomicU64,
    /// Dirty rows, counted.
    pub dirty_rows: AtomicU64,
    /// Clean rows let go for want of memory.
    pub evicted: AtomicU64,
}

impl Bytes {
    /// Everything that the cache holds, in bytes.
    pub fn all_bytes(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    /// What dirty rows hold, in bytes.
    pub fn dirty_bytes(&self) -> u64 {
        self.dirty.load(Ordering::Relaxed)
    }
}

impl Cache {
    /// An empty cache of at most `bytes_max` bytes of clean rows; dirty rows count and are never evicted.
    pub fn new(bytes_max: u64, hash_seed: [u8; 32]) -> Cache {
        let seed = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&hash_seed[at * 8..at * 8 + 8]);
            u64::from_le_bytes(word)
        };
        let shard_bytes_max = bytes_max / SHARDS as u64;
        Cache {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::new(shard_bytes_max))).collect(),
            // Clients choose keys: a random seed keeps them from choosing collisions.
            hasher: ahash::RandomState::with_seeds(seed(0), seed(1), seed(2), seed(3)),
            bytes: Bytes::default(),
            complete: AtomicBool::new(false),
            watches: Arc::default(),
        }
    }

    /// The hash of a row's identity.
    pub fn hash(&self, row: &[u8]) -> u64 {
        match row {
            [0, key @ ..] => self.hash_of_key(key),
            row => self.hasher.hash_one(row),
        }
    }

    /// The hash of the identity of a key-value key.
    #[inline]
    pub fn hash_of_key(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The number of the shard that a hash belongs to.
    pub fn shard_of(&self, hash: u64) -> usize {
        // The low bits place the row inside the shard's table.
        (hash >> 48) as usize % SHARDS
    }

    /// Locks one shard. Whoever locks several does so by rising number.
    pub fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.shards[shard].lock()
    }

    /// Has the memory fetched that the rows of these hashes lie in, all of them at once: whoever asks for them one after
    /// the other would wait for each. A hint: what is here, and what is not, stays as it is.
    pub fn foresee(&self, hashes: &[u64]) {
        const UNSEEN: u8 = u8::MAX;
        const HELD: u8 = u8::MAX - 1;
        let hashes = &hashes[..hashes.len().min(FORESEEN_MAX)];
        // By shard: the number of its guard. A shard that somebody holds is left out: a hint is not worth a wait.
        let mut numbers = [UNSEEN; SHARDS];
        let mut guards: SmallVec<[MutexGuard<'_, Shard>; FORESEEN_MAX]> = SmallVec::new();
        for &hash in hashes {
            let number = &mut numbers[self.shard_of(hash)];
            if *number == UNSEEN {
                *number = HELD;
                if let Some(guard) = self.shards[self.shard_of(hash)].try_lock() {
                    *number = guards.len() as u8;
                    guards.push(guard);
                }
            }
            if let Some(shard) = guards.get(usize::from(*number)) {
                shard.fetch_index(hash);
            }
        }
        let shard = |hash: u64| guards.get(usize::from(numbers[self.shard_of(hash)]));
        let places: SmallVec<[Option<u32>; FORESEEN_MAX]> =
            hashes.iter().map(|&hash| shard(hash)?.fetch_entry(hash)).collect();
        for (&hash, place) in hashes.iter().zip(places) {
            if let (Some(shard), Some(place)) = (shard(hash), place) {
                shard.fetch_value(place);
            }
        }
    }

    /// Who watches rows.
    pub fn watches(&self) -> &Arc<Watches> {
        &self.watches
    }

    /// What the dirty rows of a lane hold, in bytes. It locks one shard after the other: not for the path of a write.
    pub fn dirty_bytes(&self, lane: LaneId) -> u64 {
        self.shards.iter().map(|shard| shard.lock().dirty_bytes(lane)).sum()
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The sizes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Calls `each` with rows from the place `from` of a walk on, part by part, until it has looked at `most` of them; answers
    /// the place to go on from, or none at the end. 0 is the beginning, and no place is 2^38 or more.
    ///
    /// Who goes on until the end meets every row that is here all the time, whatever else comes and goes; some twice.
    pub fn walk(&self, from: u64, most: usize, mut each: impl FnMut(&Entry)) -> Option<u64> {
        let (first, mut part) = ((from >> 32) as usize, Some(from as u32));
        // An empty part costs little, and not nothing: a cache that once was large is not walked to its end for want of rows.
        let (mut cost, most) = (0, most.saturating_mul(ROW_COST));
        for shard in first..self.shards.len() {
            let locked = self.lock(shard);
            let mut next = Some(part.take().unwrap_or(0));
            while let Some(at) = next {
                if cost >= most {
                    return Some((shard as u64) << 32 | u64::from(at));
                }
                cost += 1;
                next = locked.part(at, |entry| {
                    cost += ROW_COST;
                    each(entry);
                });
            }
        }
        None
    }

    /// How many key-value keys are known to be there at this time.
    pub fn keys(&self, now_ms: u64) -> u64 {
        self.shards.iter().map(|shard| shard.lock().keys(now_ms)).sum()
    }

    /// Whether a key-value key that is not here is known to exist nowhere.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// Says that the key-value tables were seen empty, or that all of them are here. The first eviction of a
    /// key-value key takes it back.
    pub fn set_complete(&self, complete: bool) {
        self.complete.store(complete, Ordering::Release);
    }

    /// Locks everything, in the order of the shards.
    pub fn lock_all(&self) -> Vec<MutexGuard<'_, Shard>> {
        (0..self.shards.len()).map(|shard| self.lock(shard)).collect()
    }

    /// Makes rows of `lane` whose last write is at or below `landed` clean. Locks one shard at a time, for at
    /// most a few hundred rows.
    pub fn landed(&self, lane: LaneId, landed: Position) {
        for shard in &self.shards {
            let mut left = usize::MAX;
            while left > 0 {
                left = shard.lock().clean(lane, landed, left, self);
            }
        }
    }
}
