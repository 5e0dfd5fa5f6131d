//! A log whose checksums all fit and whose content is arbitrary: it is refused, or read as the format says.
//! What has a valid checksum and does not fit must never be cut as if it were a torn write.

use std::path::Path;

use arbitrary::{Result, Unstructured};
use landfall::buffer::log::Log;
use landfall::buffer::log::local::LocalLog;
use landfall::model::{LaneId, Position};

use super::logs::{DIR, PAGE, SEGMENT_BYTES, crc, read, seed, settings};
use super::notes::note;
use crate::disk::{Image, MemoryDisk};

const LINEAGE: [u8; 16] = [9; 16];
const SALT: u64 = 0x5a17;
const RECORDS_MAX: usize = 12;
const LANES_MAX: u32 = 4;
const DATA: u8 = 1;
const LANES: u8 = 2;
const GAP: u8 = 3;

/// A record as it is written into the segment.
#[derive(Debug)]
struct Crafted {
    kind: u8,
    lanes: Vec<(LaneId, Position)>,
    body: Vec<u8>,
}

/// What the format says of a segment.
#[derive(Debug)]
enum Verdict<'r> {
    /// It fits, and these are the records of the engine in it.
    Fits(Vec<&'r Crafted>),
    /// It does not fit, and a start must say so.
    Refused,
    /// Only the library's own hash could tell.
    Open,
}

pub(crate) fn run(input: &[u8]) {
    let Ok((records, mark)) = case(&mut Unstructured::new(input)) else { return };
    let disk = MemoryDisk::of(&image(&records, mark));
    // It judges bytes and not their order; it may say anything, and must come back.
    let _words = LocalLog::survey(&disk.env(), Path::new(DIR), &mut |_, _| {});
    let checked = LocalLog::check(&disk.env(), Path::new(DIR), &settings(), &mut |_, _| {});
    let opened = LocalLog::open(disk.env(), Path::new(DIR), settings());
    assert_eq!(checked.is_ok(), opened.is_ok(), "check: {checked:?}, start: {:?}", opened.err());
    match (verdict(&records), opened) {
        (Verdict::Fits(expected), Ok((log, recovery))) => {
            assert_eq!(recovery.torn_bytes, 0, "whole records were cut: {records:?}");
            let from = heads(&records[0].body);
            let from: Vec<(LaneId, Position)> =
                log.lanes().iter().map(|(_, lane)| (*lane, from[lane.0 as usize])).collect();
            let found = read(&log, &from).expect("what a start accepted can be read");
            let found: Vec<_> = found.iter().map(|record| (&record.lanes[..], &record.body[..])).collect();
            let expected: Vec<_> =
                expected.iter().map(|record| (&record.lanes[..], &record.body[..])).collect();
            assert_eq!(found, expected);
        }
        (Verdict::Fits(_), Err(error)) => panic!("a log that fits is refused: {error}: {records:?}"),
        (Verdict::Refused, Ok((_, recovery))) => panic!("accepted, with {recovery:?}: {records:?}"),
        (Verdict::Refused, Err(_)) | (Verdict::Open, _) => {}
    }
}

fn verdict(records: &[Crafted]) -> Verdict<'_> {
    let mut at = heads(&records[0].body);
    let mut data = Vec::new();
    for record in &records[1..] {
        let known = record.lanes.iter().all(|(lane, _)| (lane.0 as usize) < at.len());
        match record.kind {
            DATA => {
                let mut lanes: Vec<LaneId> = record.lanes.iter().map(|(lane, _)| *lane).collect();
                lanes.sort_unstable();
                lanes.dedup();
                let distinct = !lanes.is_empty() && lanes.len() == record.lanes.len();
                let next = |(lane, position): &(LaneId, Position)| {
                    at[lane.0 as usize].checked_add(1) == Some(*position)
                };
                if !known || !distinct || !record.lanes.iter().all(next) {
                    return Verdict::Refused;
                }
                record.lanes.iter().for_each(|(lane, position)| at[lane.0 as usize] = *position);
                data.push(record);
            }
            GAP => match &record.lanes[..] {
                [(lane, position)] if known && record.body.len() == 16 && *position > at[lane.0 as usize] => {
                    at[lane.0 as usize] = *position;
                }
                _ => return Verdict::Refused,
            },
            LANES => return Verdict::Open,
            _ => return Verdict::Refused,
        }
    }
    Verdict::Fits(data)
}

/// The positions in a lane map that this target made.
fn heads(map: &[u8]) -> Vec<Position> {
    map.chunks_exact(34).map(|lane| super::logs::u64_at(lane, 4)).collect()
}

fn case(choices: &mut Unstructured<'_>) -> Result<(Vec<Crafted>, Option<u8>)> {
    let lanes = choices.int_in_range(0..=LANES_MAX)?;
    let mut at = Vec::new();
    for _ in 0..lanes {
        at.push(*choices.choose(&[0, 1, 7, u64::MAX - 1])?);
    }
    let mark = choices.arbitrary()?;
    let mut records = vec![Crafted { kind: LANES, lanes: Vec::new(), body: map(&at) }];
    let count = choices.int_in_range(0..=RECORDS_MAX)?;
    for _ in 0..count {
        let kind = *choices.choose(&[DATA, DATA, DATA, GAP, LANES, 0, 4])?;
        let own = choices.int_in_range(0..=2u8)?;
        let mut own_lanes = Vec::new();
        for _ in 0..own {
            let lane = choices.int_in_range(0..=LANES_MAX)?;
            let next = at.get(lane as usize).map_or(1, |at: &u64| at.wrapping_add(1));
            let position = if choices.ratio(7, 8)? { next } else { choices.arbitrary()? };
            own_lanes.push((LaneId(lane), position));
        }
        for (lane, position) in &own_lanes {
            if let Some(at) = at.get_mut(lane.0 as usize) {
                *at = *position;
            }
        }
        let length = choices.int_in_range(0..=40usize)?;
        let body = match kind {
            GAP if choices.ratio(7, 8)? => vec![length as u8; 16],
            LANES if choices.arbitrary()? => map(&at),
            _ => choices.bytes(length.min(choices.len()))?.to_vec(),
        };
        records.push(Crafted { kind, lanes: own_lanes, body });
    }
    Ok((records, mark))
}

/// The body of a lane map: the lanes `g0`, `g1` and so on, at these positions.
fn map(at: &[u64]) -> Vec<u8> {
    let mut body = Vec::new();
    for (lane, position) in at.iter().enumerate() {
        body.extend_from_slice(&0u32.to_le_bytes());
        body.extend_from_slice(&position.to_le_bytes());
        body.extend_from_slice(&[0; 16]);
        body.extend_from_slice(&2u32.to_le_bytes());
        body.extend_from_slice(&[b'g', b'0' + lane as u8]);
    }
    body
}

/// One segment with these records, marked at a part of it, and its META.
fn image(records: &[Crafted], mark: Option<u8>) -> Image {
    let mut segment = header();
    let seed = seed(&LINEAGE, 1, SALT);
    let mut ends = vec![PAGE];
    for record in records {
        push(&mut segment, seed, record);
        ends.push(segment.len());
    }
    segment.resize(SEGMENT_BYTES as usize, 0);
    if let Some(part) = mark {
        let offset = ends[usize::from(part) % ends.len()] as u64;
        segment[520..528].copy_from_slice(&offset.to_le_bytes());
        segment[512..520].copy_from_slice(&2u64.to_le_bytes());
        let sum = crc(seed, &segment[512..528]);
        segment[528..532].copy_from_slice(&sum.to_le_bytes());
    }
    let mut meta = 1u64.to_le_bytes().to_vec();
    meta.extend_from_slice(&5u64.to_le_bytes());
    meta.push(1);
    Image::from([
        (Path::new(DIR).join("META"), note("META", LINEAGE, &meta)),
        (Path::new(DIR).join("log/000001.seg"), segment),
    ])
}

fn header() -> Vec<u8> {
    let mut page = b"LANDFLOG\x01\0\0\0\0\0\0\0".to_vec();
    page.extend_from_slice(&LINEAGE);
    // Id, capacity, base, previous, previous end, void from, salt, made.
    for number in [1, SEGMENT_BYTES, 0, 0, 0, 1, SALT, 5] {
        page.extend_from_slice(&number.to_le_bytes());
    }
    let sum = crc(0, &page);
    page.extend_from_slice(&sum.to_le_bytes());
    page.resize(PAGE, 0);
    page
}

fn push(segment: &mut Vec<u8>, seed: u32, record: &Crafted) {
    let mut rest = Vec::new();
    rest.extend_from_slice(&((16 + 12 * record.lanes.len() + record.body.len()) as u32).to_le_bytes());
    rest.extend_from_slice(&[record.kind, record.lanes.len() as u8, 5, 0, 0, 0, 0, 0]);
    for (lane, position) in &record.lanes {
        rest.extend_from_slice(&lane.0.to_le_bytes());
        rest.extend_from_slice(&position.to_le_bytes());
    }
    rest.extend_from_slice(&record.body);
    segment.extend_from_slice(&crc(seed, &rest).to_le_bytes());
    segment.extend_from_slice(&rest);
}
