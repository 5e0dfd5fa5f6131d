//! Where the rows of a shard are: from the hash of a row's identity to the place of its entry.
//! It must never hold a row: who asks compares. Its slots lie in one piece, so that one line of memory answers.
//!
//! Open addressing with linear probing: a slot is eight bytes, and a search that hits reads one cache line nearly
//! always. Whoever will ask soon can have that line fetched ([`Index::prefetch`]).

use super::prefetch;

/// No row. No place has this number: a shard holds fewer rows.
const EMPTY: u64 = u64::MAX;

/// The least number of slots.
const SLOTS_MIN: usize = 8;

/// The places of a shard's rows, in the order of their hashes but for those that stand in each other's way. At least a fifth
/// of the slots is empty, and hardly ever more than a third: they grow by a quarter.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Each is the low half of a hash, and a place.
    slots: Vec<u64>,
    rows: usize,
}

impl Index {
    /// How many rows there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// The first place of this hash that `is` the one.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash as u32);
        loop {
            let slot = *self.slots.get(at)?;
            if slot == EMPTY {
                return None;
            }
            if tag(slot) == hash as u32 && is(place(slot)) {
                return Some(place(slot));
            }
            at = self.next(at);
        }
    }

    /// Has the memory fetched that [`Index::find`] of this hash will read.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        if let Some(slot) = self.slots.get(self.home(hash as u32)) {
            prefetch::line(slot);
        }
    }

    /// Adds a place that is not here yet.
    pub(super) fn insert(&mut self, hash: u64, place: u32) {
        debug_assert_ne!(place, u32::MAX, "a shard holds fewer rows");
        if (self.rows + 1) * 5 > self.slots.len() * 4 {
            self.grow();
        }
        self.rows += 1;
        self.put(u64::from(hash as u32) << 32 | u64::from(place));
    }

    /// Takes a place away; nothing happens when it is not here.
    pub(super) fn remove(&mut self, hash: u64, gone: u32) {
        let mut hole = self.home(hash as u32);
        loop {
            match self.slots.get(hole) {
                None | Some(&EMPTY) => return,
                Some(&slot) if place(slot) == gone => break,
                Some(_) => hole = self.next(hole),
            }
        }
        // Those behind move up, or a search would end at the hole before it reaches them.
        let mut at = self.next(hole);
        while self.slots[at] != EMPTY {
            if self.distance(self.home(tag(self.slots[at])), at) >= self.distance(hole, at) {
                self.slots[hole] = self.slots[at];
                hole = at;
            }
            at = self.next(at);
        }
        self.slots[hole] = EMPTY;
        self.rows -= 1;
    }

    /// Calls `each` with the places of one part of the hashes, that in which `from` lies, and answers where the next part
    /// begins; none behind the last.
    ///
    /// Parts come in the order of the hashes: who goes on from where this ended meets each place that stays, however the
    /// index has grown since.
    pub(super) fn part(&self, from: u32, mut each: impl FnMut(u32)) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let home = self.home(from);
        let mut at = home;
        while self.slots[at] != EMPTY {
            if self.home(tag(self.slots[at])) == home {
                each(place(self.slots[at]));
            }
            at = self.next(at);
        }
        // The least tag of the next home.
        let next = ((home as u64 + 1) << u32::BITS).div_ceil(self.slots.len() as u64);
        u32::try_from(next).ok()
    }

    fn grow(&mut self) {
        let slots = (self.slots.len() + self.slots.len() / 4).max(SLOTS_MIN);
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; slots]);
        old.into_iter().filter(|slot| *slot != EMPTY).for_each(|slot| self.put(slot));
    }

    fn put(&mut self, slot: u64) {
        let mut at = self.home(tag(slot));
        while self.slots[at] != EMPTY {
            at = self.next(at);
        }
        self.slots[at] = slot;
    }

    /// Where a search begins. Without slots it begins and ends nowhere.
    #[inline]
    fn home(&self, tag: u32) -> usize {
        // The tag as a fraction of all tags: it takes no division, and any number of slots.
        ((u64::from(tag) * self.slots.len() as u64) >> u32::BITS) as usize
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        if at + 1 < self.slots.len() { at + 1 } else { 0 }
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.slots.len() - from }
    }
}

fn tag(slot: u64) -> u32 {
    (slot >> 32) as u32
}

fn place(slot: u64) -> u32 {
    slot as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Few hashes, so that rows collide, stand in each other's way and wrap around the end.
        #[test]
        fn an_index_finds_what_was_added_and_not_taken_away(
            steps in prop::collection::vec((any::<bool>(), 0u64..12, 0u32..40), 0..200),
            low in prop::sample::select(vec![0u64, 5, 14, 0xffff_fff8])
        ) {
            let mut index = Index::default();
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            for (add, hash, place) in steps {
                let hash = (hash << 40) | low.wrapping_add(hash);
                match (add, model.get(&place).copied()) {
                    (true, None) => {
                        index.insert(hash, place);
                        model.insert(place, hash);
                    }
                    (false, Some(hash)) => {
                        index.remove(hash, place);
                        model.remove(&place);
                    }
                    (false, None) => index.remove(hash, place),
                    (true, Some(_)) => {}
                }
                prop_assert_eq!(index.len(), model.len());
                for (place, hash) in &model {
                    prop_assert_eq!(index.find(*hash, |have| have == *place), Some(*place));
                }
                let mut walked = Vec::new();
                let mut from = Some(0);
                while let Some(part) = from {
                    from = index.part(part, |place| walked.push(place));
                }
                walked.sort_unstable();
                prop_assert_eq!(walked, model.keys().copied().collect::<Vec<_>>());
                for place in 0..40 {
                    if !model.contains_key(&place) {
                        prop_assert_eq!(index.find(hash, |have| have == place), None);
                    }
                }
            }
        }
    }
    proptest! {
        #[test]
        fn a_walk_meets_each_place_that_stays_however_the_index_grows_meanwhile(
            stay in prop::collection::btree_map(0u32..60, any::<u32>(), 1..60),
            between in prop::collection::vec(prop::collection::vec((100u32..400, any::<u32>(), any::<bool>()), 0..30), 1..40),
        ) {
            let mut index = Index::default();
            let mut others = BTreeMap::new();
            stay.iter().for_each(|(&place, &hash)| index.insert(hash.into(), place));
            let (mut met, mut from, mut steps) = (std::collections::BTreeSet::new(), Some(0), between.into_iter());
            while let Some(part) = from {
                from = index.part(part, |place| { met.insert(place); });
                for (place, hash, add) in steps.next().into_iter().flatten() {
                    match (add, others.remove(&place)) {
                        (true, None) => {
                            index.insert(hash.into(), place);
                            others.insert(place, hash);
                        }
                        (_, Some(hash)) => index.remove(hash.into(), place),
                        (false, None) => {}
                    }
                }
            }
            for place in stay.keys() {
                prop_assert!(met.contains(place), "{place} stayed and was not met");
            }
        }
    }
}
