//! The generator's own random numbers; they must never change, because a seed stands for the same bytes for ever.
//!
//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). Every row has a generator
//! of its own, made of the seed, the [`Stream`] and the row's number, so any row can be made without those before it.
//! Integers only: floating point functions differ between platforms.

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// What the numbers are for. Two streams never share numbers; the discriminants are part of the format.
#[derive(Clone, Copy)]
#[repr(u64)]
pub(super) enum Stream {
    Codes = 1,
    Airport,
    Geo,
    Country,
    Airline,
    AirplaneType,
    Airplane,
    ScheduleDays,
    Schedule,
    Flight,
    BookingCount,
    Booking,
    Passenger,
    PassengerDetails,
    Employee,
    Station,
    Weather,
}

#[derive(Clone)]
pub(super) struct Rng {
    state: u64,
}

impl Rng {
    pub(super) fn new(seed: u64, stream: Stream, row: u64) -> Rng {
        let stream = mix(seed ^ (stream as u64).wrapping_mul(GOLDEN_GAMMA));
        Rng { state: mix(stream.wrapping_add(row)) }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }

    /// A number from 0 up to, but without, `bound`; 0 for a bound of 0.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        // The upper half of the product of two numbers below 2^32 is below `bound`.
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn within(&mut self, low: i32, high: i32) -> i32 {
        low + self.below((high - low + 1) as u32) as i32
    }

    /// True once in `n` times.
    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize]
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u32 + 1) as usize);
        }
    }
}

/// Visits the numbers below `n` in a scattered order without repeating one and without a table.
#[derive(Clone)]
pub(super) struct Scatter {
    offset: u64,
    step: u64,
    n: u64,
}

impl Scatter {
    pub(super) fn new(rng: &mut Rng, n: u32) -> Scatter {
        let offset = u64::from(rng.below(n));
        // Only a step without a common factor reaches every number.
        let step = loop {
            let step = 1 + rng.below(n);
            if greatest_common_divisor(step, n) == 1 {
                break step;
            }
        };
        Scatter { offset, step: u64::from(step), n: u64::from(n) }
    }

    /// The `k`-th number; the numbers repeat after `n` steps.
    pub(super) fn at(&self, k: u32) -> u32 {
        ((self.offset + u64::from(k) * self.step) % self.n) as u32
    }
}

fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mixing_function_gives_the_published_splitmix64_numbers() {
        // First outputs of SplitMix64 for the seed 1234567, as in the test vectors of other implementations.
        let mut rng = Rng { state: 1_234_567 };
        assert_eq!(rng.next(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_scatter_visits_every_number_once() {
        for n in [1, 2, 50, 644, 1_000] {
            let scatter = Scatter::new(&mut Rng::new(7, Stream::Booking, u64::from(n)), n);
            let mut seen: Vec<u32> = (0..n).map(|k| scatter.at(k)).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..n).collect::<Vec<_>>());
        }
    }
}
