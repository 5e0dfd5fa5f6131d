//! Clock and chance for tests: the whole run follows from a seed. Never used by the product.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::{Clock, Random};

/// A number generator whose whole run follows from its seed (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A clock that moves on by a step whenever it is read.
pub(crate) struct TickingClock {
    pub(crate) now_ms: AtomicU64,
    pub(crate) step_ms: u64,
}

impl Clock for TickingClock {
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now_ms.fetch_add(self.step_ms, Ordering::Relaxed))
    }

    fn unix_ms(&self) -> u64 {
        1_800_000_000_000 + self.now_ms.fetch_add(self.step_ms, Ordering::Relaxed)
    }
}

/// Chance that follows from a seed.
pub(crate) struct SeededRandom(pub(crate) Mutex<Dice>);

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let dice = &mut *self.0.lock();
        bytes.fill_with(|| dice.next() as u8);
    }
}
