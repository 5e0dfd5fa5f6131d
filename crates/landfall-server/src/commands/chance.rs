//! Chance for commands that choose: which field HRANDFIELD answers.
//! It is for choices only, never for secrets.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
static DRAWN: AtomicU64 = AtomicU64::new(0);

/// A number below `limit`, which is not 0.
pub fn below(limit: usize) -> usize {
    // A limit is tiny beside 2^64: no number is likelier in a way that anybody would see.
    (SEED.hash_one(DRAWN.fetch_add(1, Ordering::Relaxed)) % limit.max(1) as u64) as usize
}

/// `count` different numbers below `limit`, all of them when there are no more.
pub fn some_of(limit: usize, count: usize) -> Vec<usize> {
    if count >= limit {
        return (0..limit).collect();
    }
    // Floyd: for each of the last `count` numbers, one below it or itself.
    let mut seen = HashSet::with_capacity(count);
    let mut chosen = Vec::with_capacity(count);
    for last in limit - count..limit {
        let drawn = below(last + 1);
        let number = if seen.insert(drawn) { drawn } else { last };
        seen.insert(number);
        chosen.push(number);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_is_different_and_every_number_has_its_turn() {
        let mut times = [0; 10];
        for _ in 0..1000 {
            let mut chosen = some_of(10, 3);
            chosen.iter().for_each(|at| times[*at] += 1);
            chosen.sort_unstable();
            chosen.dedup();
            assert_eq!(chosen.len(), 3);
        }
        assert!(times.iter().all(|times| (200..400).contains(times)), "{times:?}");
        assert_eq!(some_of(3, 9), [0, 1, 2]);
        assert_eq!(some_of(3, 0), [] as [usize; 0]);
    }
}
