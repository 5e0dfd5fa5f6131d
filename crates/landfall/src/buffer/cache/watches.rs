//! Who wants to know whether rows change: WATCH and what is like it.
//! It must never miss a change that a read could see; it may report one that was none.
//!
//! # The invariant
//!
//! A watch that was added to a row before a change of what reads see of that row has been told of it when the next lock of
//! the row's shard is got.
//!
//! - A watch is added while the row's shard is locked, and every change of a view goes through [`Shard::write`], which
//!   tells under that same lock. So of an adding and a change one comes first, and if it is the adding, the change tells.
//! - The number here is the row's hash and not its entry: the row may be evicted, loaded again and written again, and
//!   whoever watches it is still told. Two rows of one hash tell each other's watchers, which is a change too many.
//! - What is known of a row may also give way to what the database has without a write of its own: when it is loaded again
//!   after a write whose outcome only the database knows (a column that it computes, a dead letter that is dropped), and
//!   when a delete cascades. Whoever lets it go for that tells as well (`Shard::clean`, `Shard::forget`), and so does a
//!   load that is ahead of the landings that were told ([`fill`](super::fill())).
//!
//! A row that another program changes in the database behind Landfall's back is no change here, as it is none for reads
//! until the row is loaded again.
//!
//! [`Shard::write`]: super::Shard::write

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

type Flag = Arc<AtomicBool>;

/// The watched rows of a cache.
#[derive(Debug, Default)]
pub struct Watches {
    /// How many rows are watched: a write looks no further while it is 0. It is only raised under the lock of a row's
    /// shard, so that a write of that row sees it.
    rows: AtomicUsize,
    by_hash: Mutex<HashMap<u64, SmallVec<[Flag; 1]>>>,
}

impl Watches {
    /// Says that what reads see of a row has changed. Under the lock of its shard.
    #[inline]
    pub(super) fn changed(&self, hash: u64) {
        if self.rows.load(Ordering::Relaxed) > 0 {
            self.tell(hash);
        }
    }

    #[cold]
    fn tell(&self, hash: u64) {
        for flag in self.by_hash.lock().get(&hash).into_iter().flatten() {
            flag.store(true, Ordering::Release);
        }
    }

    /// Whether nobody watches, and nothing is left of those who did.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.load(Ordering::Relaxed) == 0 && self.by_hash.lock().is_empty()
    }

    /// Says that any row may have changed.
    pub(crate) fn all_changed(&self) {
        for flag in self.by_hash.lock().values().flatten() {
            flag.store(true, Ordering::Release);
        }
    }
}

/// Somebody who watches rows; it stops when it is dropped.
#[derive(Debug)]
pub struct Watch {
    watches: Arc<Watches>,
    changed: Flag,
    hashes: Vec<u64>,
    /// When the first of the watched keys expires, Unix milliseconds; 0: none does.
    expires_ms: u64,
}

impl Watch {
    /// Watches nothing yet.
    pub(crate) fn new(watches: &Arc<Watches>) -> Watch {
        let changed = Flag::default();
        Watch { watches: watches.clone(), changed, hashes: Vec::new(), expires_ms: 0 }
    }

    /// Watches the row of this hash as well, whose shard is locked. The key is gone at `expires_ms` (0: never) even if
    /// nobody has written that down by then.
    pub(crate) fn add(&mut self, hash: u64, expires_ms: u64) {
        if expires_ms > 0 && (self.expires_ms == 0 || expires_ms < self.expires_ms) {
            self.expires_ms = expires_ms;
        }
        let mut by_hash = self.watches.by_hash.lock();
        let flags = by_hash.entry(hash).or_default();
        if flags.iter().any(|flag| Arc::ptr_eq(flag, &self.changed)) {
            return;
        }
        flags.push(self.changed.clone());
        self.hashes.push(hash);
        self.watches.rows.fetch_add(1, Ordering::Relaxed);
    }

    /// The hashes of the rows that are watched.
    pub(crate) fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// How many rows are watched.
    pub fn rows(&self) -> usize {
        self.hashes.len()
    }

    /// Whether nothing that is watched, in the cache of these watches, has changed by `now_ms`.
    pub(crate) fn holds(&self, watches: &Arc<Watches>, now_ms: u64) -> bool {
        // Another cache: the engine was opened anew, and nobody tells of what happened in between.
        Arc::ptr_eq(&self.watches, watches)
            && !self.changed.load(Ordering::Acquire)
            && (self.expires_ms == 0 || now_ms < self.expires_ms)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut by_hash = self.watches.by_hash.lock();
        for hash in &self.hashes {
            if let Some(flags) = by_hash.get_mut(hash) {
                flags.retain(|flag| !Arc::ptr_eq(flag, &self.changed));
                if flags.is_empty() {
                    by_hash.remove(hash);
                }
            }
        }
        self.watches.rows.fetch_sub(self.hashes.len(), Ordering::Relaxed);
    }
}
