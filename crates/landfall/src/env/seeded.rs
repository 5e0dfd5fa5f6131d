//! Clock and chance for tests and simulations: the whole run follows from a seed. Never used by the product.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::{Clock, Random};

/// A number generator whose whole run follows from its seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(
    /// The state; any number is a seed.
    pub u64,
);

impl Dice {
    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "dice never end, so they are no iterator")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A clock that moves on by a step whenever it is read.
pub struct TickingClock {
    /// The time now, in milliseconds since the start.
    pub now_ms: AtomicU64,
    /// How far each reading moves it.
    pub step_ms: u64,
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
pub struct SeededRandom(
    /// Where the numbers come from.
    pub Mutex<Dice>,
);

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let dice = &mut *self.0.lock();
        bytes.fill_with(|| dice.next() as u8);
    }
}
