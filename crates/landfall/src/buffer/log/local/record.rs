//! The bytes of one record, and of the two kinds that only the log itself reads (docs/format.md, "Records").
//! Decoding answers any bytes with a record or a reason; it never panics and never trusts a length.

use super::super::{Head, LaneName};
use crate::model::{Anchor, LaneId, Position};

/// Checksum, length, kind, number of lanes, time.
pub(super) const HEAD_BYTES: usize = 16;
/// Lane number and position.
pub(super) const LANE_BYTES: usize = 12;
/// Eight zero bytes behind the last record: the clean end of a segment.
pub(super) const END: [u8; 8] = [0; 8];

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A record of the engine.
    Data = 1,
    /// The lane map: every lane's number, name and end. The first record of each segment.
    Lanes = 2,
    /// The end of one lane is set to a position that the database has and the log does not.
    Gap = 3,
}

/// A record in the bytes of a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) kind: Kind,
    pub(super) time_ms: u64,
    /// All bytes of the record.
    pub(super) length: usize,
    pub(super) body: &'a [u8],
    lanes: &'a [u8],
}

impl View<'_> {
    pub(super) fn lanes(&self) -> impl ExactSizeIterator<Item = (LaneId, Position)> + '_ {
        self.lanes.chunks_exact(LANE_BYTES).map(|lane| (LaneId(u32_at(lane, 0)), u64_at(lane, 4)))
    }

    /// The lanes that `keep` wants, as bytes for [`Self::with`].
    pub(super) fn some_lanes(&self, mut keep: impl FnMut(LaneId, Position) -> bool) -> Vec<u8> {
        let lanes = self.lanes.chunks_exact(LANE_BYTES);
        lanes.filter(|lane| keep(LaneId(u32_at(lane, 0)), u64_at(lane, 4))).flatten().copied().collect()
    }
}

impl<'a> View<'a> {
    /// The same record with other lanes.
    pub(super) fn with(self, lanes: &'a [u8]) -> Self {
        Self { lanes, ..self }
    }
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRecord {
    /// The clean end.
    End,
    /// Something else.
    Bad(&'static str),
    /// Bytes with the right checksum that are no record of this format: written like this, and never torn.
    Foreign(&'static str),
}

/// The checksum that every record of one segment starts from, so that no other segment's record is valid in it.
pub(super) fn seed(lineage: &[u8; 16], segment: u64, salt: u64) -> u32 {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(lineage);
    bytes[16..24].copy_from_slice(&segment.to_le_bytes());
    bytes[24..].copy_from_slice(&salt.to_le_bytes());
    crc32c::crc32c(&bytes)
}

/// Appends a record. There are at most 255 lanes, and the whole is shorter than 4 GiB.
#[inline]
pub(super) fn encode(
    out: &mut Vec<u8>,
    seed: u32,
    kind: Kind,
    time_ms: u64,
    lanes: impl ExactSizeIterator<Item = (LaneId, Position)>,
    body: &[u8],
) {
    let start = out.len();
    let length = HEAD_BYTES + LANE_BYTES * lanes.len() + body.len();
    out.reserve(length);
    let mut head = [0; HEAD_BYTES];
    head[4..8].copy_from_slice(&(length as u32).to_le_bytes());
    head[8] = kind as u8;
    head[9] = lanes.len() as u8;
    head[10..].copy_from_slice(&time_ms.to_le_bytes()[..6]);
    out.extend_from_slice(&head);
    for (lane, position) in lanes {
        out.extend_from_slice(&lane.0.to_le_bytes());
        out.extend_from_slice(&position.to_le_bytes());
    }
    out.extend_from_slice(body);
    let crc = crc32c::crc32c_append(seed, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The length that a record's first bytes claim, once it can be a record's length.
pub(super) fn claimed_length(bytes: &[u8]) -> Result<usize, NoRecord> {
    match bytes.get(..8) {
        None => Err(NoRecord::Bad("the segment ends in the middle of a record")),
        Some(start) if start == END => Err(NoRecord::End),
        Some(start) if (u32_at(start, 4) as usize) < HEAD_BYTES => {
            Err(NoRecord::Bad("a record's length is shorter than any record"))
        }
        Some(start) => Ok(u32_at(start, 4) as usize),
    }
}

/// The record that these bytes begin with.
pub(super) fn decode(bytes: &[u8], seed: u32) -> Result<View<'_>, NoRecord> {
    let length = claimed_length(bytes)?;
    let Some(record) = bytes.get(..length) else {
        return Err(NoRecord::Bad("a record reaches beyond the end of its segment"));
    };
    if crc32c::crc32c_append(seed, &record[4..]) != u32_at(record, 0) {
        return Err(NoRecord::Bad("a record's checksum does not fit"));
    }
    let kind = match record[8] {
        1 => Kind::Data,
        2 => Kind::Lanes,
        3 => Kind::Gap,
        _ => return Err(NoRecord::Foreign("a record has an unknown kind")),
    };
    let body = HEAD_BYTES + LANE_BYTES * usize::from(record[9]);
    if body > length {
        return Err(NoRecord::Foreign("a record is too short for its lanes"));
    }
    let mut time = [0; 8];
    time[..6].copy_from_slice(&record[10..16]);
    Ok(View {
        kind,
        time_ms: u64::from_le_bytes(time),
        length,
        body: &record[body..],
        lanes: &record[HEAD_BYTES..body],
    })
}

/// Appends the body of a [`Kind::Lanes`] record: all lanes in the order of their numbers.
pub(super) fn encode_lanes<'a>(out: &mut Vec<u8>, lanes: impl Iterator<Item = (&'a LaneName, Head)>) {
    for (name, head) in lanes {
        out.extend_from_slice(&name.index.to_le_bytes());
        out.extend_from_slice(&head.position.to_le_bytes());
        out.extend_from_slice(&head.anchor.0);
        out.extend_from_slice(&(name.group.len() as u32).to_le_bytes());
        out.extend_from_slice(name.group.as_bytes());
    }
}

/// The lanes of a [`Kind::Lanes`] record; none when the body is malformed.
pub(super) fn decode_lanes(mut body: &[u8]) -> Option<Vec<(LaneName, Head)>> {
    let mut lanes = Vec::new();
    while !body.is_empty() {
        let (fixed, rest) = body.split_at_checked(32)?;
        let (group, rest) = rest.split_at_checked(u32_at(fixed, 28) as usize)?;
        let name = LaneName { group: str::from_utf8(group).ok()?.to_owned(), index: u32_at(fixed, 0) };
        lanes.push((name, Head { position: u64_at(fixed, 4), anchor: anchor_at(fixed, 12) }));
        body = rest;
    }
    Some(lanes)
}

/// The anchor in the body of a [`Kind::Gap`] record; none when the body is malformed.
pub(super) fn decode_gap(body: &[u8]) -> Option<Anchor> {
    (body.len() == 16).then(|| anchor_at(body, 0))
}

/// A little-endian number at an offset that the caller has checked.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(number)
}

/// A little-endian number at an offset that the caller has checked.
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(number)
}

pub(super) fn anchor_at(bytes: &[u8], offset: usize) -> Anchor {
    let mut anchor = [0; 16];
    anchor.copy_from_slice(&bytes[offset..offset + 16]);
    Anchor(anchor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seed: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let lanes = [(LaneId(3), 7), (LaneId(9), 1 << 40)];
        encode(&mut out, seed, Kind::Data, 0x0102_0304_0506, lanes.into_iter(), b"the body");
        out
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let bytes = sample(5);
        let view = decode(&bytes, 5).unwrap();
        assert_eq!((view.kind, view.time_ms, view.length), (Kind::Data, 0x0102_0304_0506, bytes.len()));
        assert_eq!(view.body, b"the body");
        assert_eq!(view.lanes().collect::<Vec<_>>(), [(LaneId(3), 7), (LaneId(9), 1 << 40)]);
    }

    #[test]
    fn a_record_of_another_segment_or_salt_is_not_valid() {
        let seeds = [seed(&[1; 16], 2, 3), seed(&[1; 16], 2, 4), seed(&[1; 16], 3, 3), seed(&[2; 16], 2, 3)];
        let bytes = sample(seeds[0]);
        assert!(decode(&bytes, seeds[0]).is_ok());
        assert!(seeds[1..].iter().all(|&other| decode(&bytes, other).is_err()));
    }

    #[test]
    fn every_changed_bit_and_every_missing_byte_is_noticed() {
        let bytes = sample(5);
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length], 5).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&changed, 5).is_err(), "bit {bit}");
        }
        assert_eq!(decode(&[0; 64], 5).unwrap_err(), NoRecord::End);
    }

    #[test]
    fn a_whole_record_of_an_unknown_form_is_not_taken_for_a_torn_one() {
        for (at, byte) in [(8, 4), (8, 0), (9, 200)] {
            let mut bytes = sample(5);
            bytes[at] = byte;
            let sum = crc32c::crc32c_append(5, &bytes[4..]);
            bytes[..4].copy_from_slice(&sum.to_le_bytes());
            assert!(matches!(decode(&bytes, 5), Err(NoRecord::Foreign(_))), "byte {at}");
        }
    }

    #[test]
    fn a_lane_map_reads_back_and_a_cut_one_is_refused() {
        let name = |group: &str, index| LaneName { group: group.to_owned(), index };
        let head = |n: u8| Head { position: n.into(), anchor: Anchor([n; 16]) };
        let lanes = vec![(name("flight", 0), head(4)), (name("", 7), head(0))];
        let mut body = Vec::new();
        encode_lanes(&mut body, lanes.iter().map(|(name, head)| (name, *head)));
        assert_eq!(decode_lanes(&body).unwrap(), lanes);
        assert!(decode_lanes(&body[..body.len() - 1]).is_none());
    }
}
