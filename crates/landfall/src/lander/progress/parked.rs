//! What travels back of dead letters: how many there are, and where the last of them were written.
//! Bounded, and numbers only.

use std::collections::{HashSet, VecDeque};

use crate::model::{LaneId, Position};

/// The dead letters, in numbers. [`Landfall::dead_letters`](crate::Landfall::dead_letters) has an example.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ParkedNow {
    /// Rises whenever the letters change; 0 before they were read.
    pub version: u64,
    /// How many there are.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest was refused for the first time, Unix milliseconds.
    pub oldest_ms: Option<u64>,
}

/// So many parked changes are remembered by their place, for those who wait for them.
const PARKED_PLACES_MAX: usize = 65_536;

/// Where the last parked changes were written: in the order in which they were parked, and to be found.
#[derive(Default)]
pub(super) struct ParkedPlaces {
    order: VecDeque<(LaneId, Position)>,
    found: HashSet<(LaneId, Position)>,
}

impl ParkedPlaces {
    pub(super) fn note(&mut self, places: &[(LaneId, Position)]) {
        for place in places {
            if self.found.insert(*place) {
                self.order.push_back(*place);
            }
            if self.order.len() > PARKED_PLACES_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.found.remove(&oldest);
            }
        }
    }

    pub(super) fn holds(&self, places: &[(LaneId, Position)]) -> bool {
        !self.found.is_empty() && places.iter().any(|place| self.found.contains(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_places_are_remembered() {
        let mut places = ParkedPlaces::default();
        let at = |position| (LaneId(1), position);
        (1..=PARKED_PLACES_MAX as u64 + 10).for_each(|position| places.note(&[at(position), at(position)]));
        assert!(places.holds(&[at(11)]) && !places.holds(&[at(10)]));
        assert_eq!((places.order.len(), places.found.len()), (PARKED_PLACES_MAX, PARKED_PLACES_MAX));
    }
}
