//! What a log that does not tell the truth is answered with, and what may be read at all.

use std::collections::VecDeque;

use smallvec::smallvec;

use super::*;
use crate::buffer::log::LogError;
use crate::lander::fakes::{KEYS, PAGE, World};
use crate::model::codec::BodyWriter;
use crate::model::{Change, RowKey};

struct Scripted(VecDeque<Record>);

impl Records for Scripted {
    fn next(&mut self) -> Result<Option<Record>, LogError> {
        Ok(self.0.pop_front())
    }
}

fn record(lanes: &[(LaneId, u64)], body: Vec<u8>) -> Record {
    Record { address: 0, time_ms: 0, lanes: lanes.into(), body }
}

fn body(lane: u8) -> Vec<u8> {
    let mut body = Vec::new();
    BodyWriter::new(&mut body, 1).row(lane, RowKey::of_key(b"k").as_bytes(), &Change::Delete);
    body
}

/// Reads the records for the group of `PAGE`; the error that stopped it, if any.
fn read(records: Vec<Record>) -> Option<String> {
    let world = World::new();
    let lander = &world.lander;
    let set = BTreeSet::from([lander.lanes[&PAGE].group]);
    let parked = Parked::default();
    let mut reading = Reading {
        log: &*lander.log,
        lanes: &lander.lanes,
        set: &set,
        lineage: lander.lineage,
        marks: BTreeMap::from([(PAGE, lander.lanes[&PAGE].at)]),
        planner: Planner::new(&lander.rules, &lander.settings, &parked, false),
        counts: BatchCounts::default(),
        changes: BTreeMap::new(),
        sealed: false,
    };
    let mut scripted = Scripted(records.into());
    loop {
        match reading.next(&mut scripted) {
            Ok(None) => {}
            Ok(Some(_)) => return None,
            Err(Failure::Stop { groups, reason, what }) => {
                assert_eq!((groups, reason), (set, StopReason::Diverged));
                return Some(what);
            }
            Err(_) => panic!("only a stop is right here"),
        }
    }
}

#[test]
fn records_without_a_hole_are_read() {
    assert_eq!(read(vec![record(&[(PAGE, 1)], body(0)), record(&[(PAGE, 2)], body(0))]), None);
}

#[test]
fn a_hole_in_the_log_stops_the_group_and_is_never_skipped() {
    let what = read(vec![record(&[(PAGE, 1)], body(0)), record(&[(PAGE, 3)], body(0))]);
    assert!(what.is_some_and(|what| what.contains("position 3") && what.contains("missing")));
}

#[test]
fn a_record_that_comes_twice_stops_the_group() {
    assert!(read(vec![record(&[(PAGE, 1)], body(0)), record(&[(PAGE, 1)], body(0))]).is_some());
}

#[test]
fn a_record_that_has_landed_in_one_of_its_lanes_lands_in_the_others() {
    let world = World::new();
    let lander = &world.lander;
    let set = [PAGE, KEYS[0]].iter().map(|lane| lander.lanes[lane].group).collect();
    let parked = Parked::default();
    let ahead = Mark { position: 5, ..lander.lanes[&KEYS[0]].at };
    let mut reading = Reading {
        log: &*lander.log,
        lanes: &lander.lanes,
        set: &set,
        lineage: lander.lineage,
        marks: BTreeMap::from([(PAGE, lander.lanes[&PAGE].at), (KEYS[0], ahead)]),
        planner: Planner::new(&lander.rules, &lander.settings, &parked, false),
        counts: BatchCounts::default(),
        changes: BTreeMap::new(),
        sealed: false,
    };
    let mut both = Vec::new();
    let mut writer = BodyWriter::new(&mut both, 2);
    writer.row(0, RowKey::of_key(b"k").as_bytes(), &Change::Delete);
    writer.row(1, RowKey::of_key(b"l").as_bytes(), &Change::Delete);
    let mut scripted = Scripted([record(&[(KEYS[0], 3), (PAGE, 1)], both)].into());
    assert!(matches!(reading.next(&mut scripted), Ok(None)));
    let ends: Vec<u64> = [PAGE, KEYS[0]].iter().map(|lane| reading.marks[lane].position).collect();
    assert_eq!(ends, [1, 5]);
    assert_eq!(reading.changes, BTreeMap::from([(PAGE, 1)]));
}

#[test]
fn a_body_that_cannot_be_read_stops_the_group() {
    assert!(read(vec![record(&[(PAGE, 1)], vec![200])]).is_some());
    assert!(read(vec![record(&[(PAGE, 1)], body(1))]).is_some_and(|what| what.contains("names a lane")));
}

#[test]
fn a_record_of_a_lane_outside_the_set_ends_the_batch_before_it() {
    let joint = Record { lanes: smallvec![(KEYS[0], 1), (PAGE, 2)], ..record(&[], body(0)) };
    assert_eq!(read(vec![record(&[(PAGE, 1)], body(0)), joint]), None);
}
