//! Who lands: one start of Landfall on a log, and the earlier starts that it follows. And what a lane's row says of it.
//! A number alone is not enough: a copy of a data directory counts on from the same number.

use super::{Lineage, Watermark};

/// One start of Landfall on a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Start {
    /// How often the log had been opened; 0: a lane that was never taken over.
    pub boot: u64,
    /// Random, drawn at this start.
    pub run: [u8; 16],
}

/// Who takes lanes over: a log, this start of it, and the earlier starts that its data directory remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The log.
    pub lineage: Lineage,
    /// This start.
    pub start: Start,
    /// The starts before it, oldest first; the oldest may be forgotten.
    pub earlier: Vec<Start>,
}

/// The database's row of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneRow {
    /// Where the lane is.
    pub watermark: Watermark,
    /// The start that took it over last.
    pub start: Start,
}

impl Owner {
    /// An owner without a past.
    pub fn new(lineage: Lineage, start: Start) -> Owner {
        Owner { lineage, start, earlier: Vec::new() }
    }

    /// Whether this owner may follow a start that the database names. A start that the data directory does not remember was
    /// one of a copy of it, unless it is older than everything that is remembered.
    pub fn follows(&self, found: &Start) -> bool {
        let oldest = self.earlier.first().unwrap_or(&self.start);
        found.boot < oldest.boot || *found == self.start || self.earlier.contains(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_follows_its_own_starts_and_forgotten_ones_only() {
        let start = |boot, run| Start { boot, run: [run; 16] };
        let mut owner = Owner::new(Lineage([1; 16]), start(7, 7));
        owner.earlier = vec![start(5, 5), start(6, 6)];
        for ours in [Start::default(), start(4, 99), start(5, 5), start(6, 6), start(7, 7)] {
            assert!(owner.follows(&ours), "{ours:?}");
        }
        for theirs in [start(5, 9), start(6, 9), start(7, 9), start(8, 8)] {
            assert!(!owner.follows(&theirs), "{theirs:?}");
        }
    }
}
