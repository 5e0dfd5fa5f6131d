//! Where walks over the rows of tables are: a primary key does not fit into a cursor, so the cursor has a number of it.
//! Bounded, and forgotten at any time: a walk whose place is not known any more begins anew, and misses nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::sink::RowPlace;

/// So many places are kept; a walk has two of them, because its client may ask for a page again.
const PLACES_MAX: usize = 2048;
/// What all places may hold, in bytes.
const PLACES_BYTES_MAX: usize = 4 << 20;
/// No number is as large: it has to fit into a cursor.
const NUMBERS: u64 = 1 << 39;

/// The places, by number: the walk that has not moved for longest comes first.
pub(in crate::engine) struct Places {
    kept: BTreeMap<u64, Kept>,
    next: u64,
    bytes: usize,
}

struct Kept {
    table: Arc<str>,
    place: RowPlace,
    /// The number that the walk had before.
    before: u64,
}

impl Places {
    /// None yet. `random`, so that a cursor of another run leads nowhere.
    pub(in crate::engine) fn new(random: u64) -> Places {
        Places { kept: BTreeMap::new(), next: random % (NUMBERS / 2) + 1, bytes: 0 }
    }

    /// The place of this number, if it is one in this table.
    pub(super) fn find(&self, number: u64, table: &str) -> Option<RowPlace> {
        self.kept.get(&number).filter(|kept| &*kept.table == table).map(|kept| kept.place.clone())
    }

    /// A number for the place that a walk has come to from the place `before`.
    pub(super) fn keep(&mut self, before: u64, table: &Arc<str>, place: RowPlace) -> u64 {
        // Whoever has got this far asks for no page before the last one again.
        let earlier = self.kept.get(&before).map(|kept| kept.before);
        if let Some(earlier) = earlier {
            self.forget(earlier);
        }
        let number = self.next;
        self.next = if number + 1 < NUMBERS { number + 1 } else { 1 };
        self.bytes += place.as_bytes().len();
        self.kept.insert(number, Kept { table: table.clone(), place, before });
        while self.kept.len() > PLACES_MAX || self.bytes > PLACES_BYTES_MAX && self.kept.len() > 1 {
            let Some(&first) = self.kept.keys().next() else { break };
            self.forget(first);
        }
        number
    }

    fn forget(&mut self, number: u64) {
        if let Some(gone) = self.kept.remove(&number) {
            self.bytes -= gone.place.as_bytes().len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(bytes: usize) -> RowPlace {
        RowPlace::from_bytes(vec![7; bytes])
    }

    #[test]
    fn a_walk_holds_two_places_however_far_it_goes_and_the_page_before_may_be_asked_for_again() {
        let (mut places, page) = (Places::new(u64::MAX), Arc::<str>::from("page"));
        let mut numbers = vec![0];
        for at in 1..50 {
            numbers.push(places.keep(numbers[at - 1], &page, place(at)));
            assert_eq!(places.find(numbers[at], "page"), Some(place(at)));
            assert_eq!(places.find(numbers[at], "shop"), None, "a cursor of another table");
            assert!(at < 2 || places.find(numbers[at - 1], "page") == Some(place(at - 1)));
            assert!(at < 3 || places.find(numbers[at - 2], "page").is_none());
        }
        assert_eq!(places.kept.len(), 2);
    }

    #[test]
    fn places_are_bounded_in_number_and_bytes_and_the_walk_that_stood_longest_goes_first() {
        let (mut places, page) = (Places::new(NUMBERS), Arc::<str>::from("page"));
        let first = places.keep(0, &page, place(1));
        let mut last = first;
        for _ in 0..PLACES_MAX {
            last = places.keep(0, &page, place(1));
        }
        assert_eq!((places.kept.len(), places.bytes), (PLACES_MAX, PLACES_MAX));
        assert!(places.find(first, "page").is_none() && places.find(last, "page").is_some());
        let large = places.keep(0, &page, place(PLACES_BYTES_MAX + 1));
        assert_eq!(places.kept.len(), 1, "one that is too large alone is kept alone");
        assert!(places.find(large, "page").is_some());
    }
}
