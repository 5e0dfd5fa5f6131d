//! Identities of the log and of its lanes: lineage, lane, position, anchor, epoch and watermark.
//! A lane number is never reused, and a position is never taken from a clock.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

/// The number of a lane: an ordered part of the log that lands by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId(pub u32);

/// The place of a record in its lane, counted from 1 without holes. 0 means "before the first record".
pub type Position = u64;

/// The owner's number of a lane, raised in the database at every take-over.
pub type Epoch = i64;

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The random 128-bit identity of one incarnation of a log.
///
/// Two logs that were started apart never share a lineage, so a watermark written for one log cannot be
/// mistaken for a watermark of another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lineage(pub [u8; 16]);

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Bytes as people see them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lineage({self})")
    }
}

/// The chained hash of a lane at one position.
///
/// `anchor(n) = xxh3_128(anchor(n-1) || lineage || lane || position || xxh3_128(body))`, integers little-endian,
/// hashes as little-endian `u128`. Equal anchors at a position mean equal histories up to it. XXH3 is not
/// cryptographic: it finds divergence by accident, it does not stop a forger.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Anchor(pub [u8; 16]);

impl Anchor {
    /// The anchor of a lane that has no record yet (position 0).
    pub const START: Anchor = Anchor([0; 16]);

    /// The anchor behind the record `position` of `lane`, whose body hashes to `body_hash`.
    pub fn next(self, lineage: &Lineage, lane: LaneId, position: Position, body_hash: u128) -> Anchor {
        let mut link = [0u8; 60];
        link[..16].copy_from_slice(&self.0);
        link[16..32].copy_from_slice(&lineage.0);
        link[32..36].copy_from_slice(&lane.0.to_le_bytes());
        link[36..44].copy_from_slice(&position.to_le_bytes());
        link[44..60].copy_from_slice(&body_hash.to_le_bytes());
        Anchor(xxh3_128(&link).to_le_bytes())
    }

    /// The hash of a record's body that [`Anchor::next`] takes.
    pub fn body_hash(body: &[u8]) -> u128 {
        xxh3_128(body)
    }
}

impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Anchor(")?;
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "..)")
    }
}

/// What the database says of a lane: which log, which owner, and how far it has landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// The log whose records landed.
    pub lineage: Lineage,
    /// The owner; raised by every take-over.
    pub epoch: Epoch,
    /// The last landed position.
    pub position: Position,
    /// The chained hash at that position.
    pub anchor: Anchor,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chained_hash_is_pinned_for_ever() {
        let anchor = Anchor::START.next(&Lineage([7; 16]), LaneId(3), 9, Anchor::body_hash(b"body"));
        let hex: String = anchor.0.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "a351e733ff38af80f2c544547cf0e56f");
    }

    #[test]
    fn every_part_of_a_link_changes_the_anchor() {
        let of = |lineage: u8, lane, position, body: &[u8]| {
            Anchor::START.next(&Lineage([lineage; 16]), LaneId(lane), position, Anchor::body_hash(body))
        };
        let one = of(1, 1, 1, b"a");
        for other in [of(2, 1, 1, b"a"), of(1, 2, 1, b"a"), of(1, 1, 2, b"a"), of(1, 1, 1, b"b")] {
            assert_ne!(one, other);
        }
    }
}
