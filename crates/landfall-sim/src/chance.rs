//! Random numbers that a seed repeats, for loads and for the moments of kills.
//! It must never be used where an attacker could guess: it is fast and plain.

/// A generator (SplitMix64, Steele, Lea and Flood 2014): every seed gives its own full-period sequence.
#[derive(Debug, Clone)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The sequence of a seed.
    pub fn from_seed(seed: u64) -> Chance {
        Chance { state: seed }
    }

    /// A seed from the operating system, or the number in the variable `LANDFALL_SEED` to repeat a run.
    ///
    /// # Errors
    /// The variable holds no number, or the system has no randomness.
    pub fn fresh_seed() -> anyhow::Result<u64> {
        match std::env::var("LANDFALL_SEED") {
            Ok(text) => text.parse().map_err(|_| anyhow::anyhow!("LANDFALL_SEED is no number: {text}")),
            Err(_) => {
                getrandom::u64().map_err(|error| anyhow::anyhow!("the system has no randomness: {error}"))
            }
        }
    }

    /// Another generator, so that parts of a run do not disturb each other.
    pub fn fork(&mut self) -> Chance {
        Chance::from_seed(self.bits())
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is at least 1. (The bias of the remainder does not matter here.)
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound.max(1)
    }

    /// Whether an event of `percent` in a hundred happens.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
