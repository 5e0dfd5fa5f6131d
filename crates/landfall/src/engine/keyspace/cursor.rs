//! The cursor of a walk: one number, for clients that keep it as one, some of them in a float of 53 bits.
//! It says where the walk is and needs no memory here, but for a place in a table ([`super::Places`]); a number that is none
//! begins the walk anew.

/// Where a walk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leg {
    /// In the cache, at a place of [`crate::buffer::cache::Cache::walk`].
    Cache(u64),
    /// Behind the dead letter of this number.
    Letters(u64),
    /// Behind the stored key at this place; of a walk over rows, behind the place of this number, and 0 is the beginning.
    Stored(u64),
    /// At a random stored key.
    Somewhere(u64),
}

/// Where a page begins: 0 for the first, and behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor(pub u64);

const LEG_BITS: u32 = 2;
const TAG_BITS: u32 = 12;

impl Cursor {
    pub(super) fn new(leg: Leg, tag: u64) -> Cursor {
        let (number, at) = match leg {
            Leg::Cache(at) => (1, at),
            Leg::Letters(at) => (2, at),
            Leg::Stored(at) => (3, at),
            Leg::Somewhere(_) => (0, 0),
        };
        Cursor(at << (LEG_BITS + TAG_BITS) | tag_of(tag) << LEG_BITS | number)
    }

    pub(super) fn leg(self, tag: u64) -> Leg {
        let at = self.0 >> (LEG_BITS + TAG_BITS);
        if self.0 >> LEG_BITS & ((1 << TAG_BITS) - 1) != tag_of(tag) {
            return Leg::Cache(0);
        }
        match self.0 & ((1 << LEG_BITS) - 1) {
            1 => Leg::Cache(at),
            2 => Leg::Letters(at),
            3 => Leg::Stored(at),
            _ => Leg::Cache(0),
        }
    }
}

fn tag_of(tag: u64) -> u64 {
    tag & ((1 << TAG_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_fits_into_53_bits_and_leads_back_to_its_leg() {
        for leg in [Leg::Cache(0), Leg::Cache((1 << 38) - 1), Leg::Letters(7), Leg::Stored((1 << 39) - 1)] {
            let cursor = Cursor::new(leg, u64::MAX);
            assert!(cursor.0 < 1 << 53 && cursor.0 > 0, "{leg:?}");
            assert_eq!(cursor.leg(u64::MAX), leg);
            assert_eq!(cursor.leg(3), Leg::Cache(0), "of another run");
        }
        assert_eq!(Cursor(0).leg(0), Leg::Cache(0));
        assert_eq!(Cursor(u64::MAX << 2).leg(u64::MAX), Leg::Cache(0), "nothing that was given out");
    }
}
