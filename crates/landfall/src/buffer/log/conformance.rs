//! What every log owes (see [`super`]), as tests that run on each implementation.
//! It must never know an implementation: whatever is asked here goes through the trait.

use std::sync::Arc;
use std::time::Duration;

use super::*;

mod life_tests;

pub(super) use life_tests::*;

/// One log that can be opened and, when it survives that, opened again. A new subject has a new, empty log.
pub(super) trait Subject {
    /// Opens the log for the first time. Records are limited to 4096 bytes; nothing landed is retained.
    fn open(&self, log_bytes_max: u64) -> Arc<dyn Log>;

    /// Opens it again after the first handle was dropped; none when nothing survives that.
    fn reopen(&self) -> Option<Arc<dyn Log>>;
}

macro_rules! tests {
    ($subject:expr) => {
        conformance::tests!($subject;
            positions_are_dense_from_one_and_follow_the_total_order
            records_come_once_in_total_order_with_all_their_lanes
            a_reader_gets_its_lanes_only_and_only_behind_its_positions
            anchors_are_the_chained_hash_of_the_lane
            a_cut_is_below_everything_that_is_appended_later
            owed_falls_as_lanes_land_and_rises_when_one_is_taken_back
            landed_never_goes_back_by_itself
            an_append_beyond_the_bound_is_refused_until_something_lands
            a_record_beyond_its_limit_is_refused
            what_every_lane_has_landed_is_let_go_and_asking_for_it_is_refused
            a_gap_moves_the_end_of_a_lane_and_nothing_else
            a_gap_is_kept_until_its_lane_has_passed_it
            lanes_keep_their_numbers
            a_note_is_replaced_as_a_whole
            a_closed_log_accepts_nothing
            many_threads_get_distinct_positions_and_their_own_bodies
            everything_durable_is_there_after_a_restart
            one_who_waits_for_upkeep_waits_no_longer_than_asked
        );
    };
    ($subject:expr; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                conformance::$name(&$subject);
            }
        )*
    };
}
pub(super) use tests;

const ROOMY: u64 = 1 << 30;

pub(super) fn lane_name(group: &str, index: u32) -> LaneName {
    LaneName { group: group.to_owned(), index }
}

pub(super) fn lanes(log: &dyn Log, count: u32) -> Vec<LaneId> {
    let names: Vec<_> = (0..count).map(|index| lane_name("flight", index)).collect();
    log.add_lanes(&names).unwrap()
}

/// All records of these lanes behind these positions, made durable first.
pub(super) fn read(log: &dyn Log, after: &[(LaneId, Position)]) -> Result<Vec<Record>, LogError> {
    let end = log.accepted();
    log.commit(end, Safety::Durable)?;
    let mut records = log.records(after, end)?;
    let mut all = Vec::new();
    while let Some(record) = records.next()? {
        all.push(record);
    }
    Ok(all)
}

fn bodies(records: &[Record]) -> Vec<&[u8]> {
    records.iter().map(|record| record.body.as_slice()).collect()
}

/// The head that a lane must have after these bodies in a row.
pub(super) fn chain<'a>(lineage: Lineage, lane: LaneId, bodies: impl IntoIterator<Item = &'a [u8]>) -> Head {
    bodies.into_iter().fold(Head { position: 0, anchor: Anchor::START }, |head, body| {
        let position = head.position + 1;
        Head { position, anchor: head.anchor.next(&lineage, lane, position, Anchor::body_hash(body)) }
    })
}

pub(super) fn positions_are_dense_from_one_and_follow_the_total_order(subject: &dyn Subject) {
    let log = subject.open(ROOMY);
    let lanes = lanes(&*log, 2);
    let mut end = log.accepted();
    for n in 1..=50 {
        let appended = log.append(&[lanes[1]], b"x").unwrap();
        assert_eq!(appended.places.len(), 1);
        assert_eq!((appended.places[0].lane, appended.places[0].position), (lanes[1], n));
        assert!(appended.end > end);
        end = appended.end;
        assert_eq!(log.accepted(), end);
    }
    assert_eq!(log.append(&[lanes[0]], b"x").unwrap().places[0].position, 1);
    assert_eq!(log.head(lanes[1]).position, 50);
    log.commit(log.accepted(), Safety::Written).unwrap();
    assert_eq!(log.safe(Safety::Written), log.accepted());
    log.commit(log.accepted(), Safety::Durable).unwrap();
    assert_eq!(log.safe(Safety::Durable), log.accepted());
    assert!(log.poisoned().is_none());
}

pub(super) fn records_come_once_in_total_order_with_all_their_lanes(subject: &dyn Subject) {
    let log = subject.open(ROOMY);
    let l = lanes(&*log, 3);
    log.append(&[l[2]], b"one").unwrap();
    log.append(&[l[1], l[0]], b"two").unwrap();
    log.append(&[l[0]], b"").unwrap();
    log.append(&[l[0], l[1], l[2]], b"four").unwrap();
    let records = read(&*log, &[(l[0], 0), (l[1], 0), (l[2], 0)]).unwrap();
    assert_eq!(bodies(&records), [b"one" as &[u8], b"two", b"", b"four"]);
    assert_eq!(records[1].lanes.as_slice(), [(l[1], 1), (l[0], 1)]);
    assert_eq!(records[3].lanes.as_slice(), [(l[0], 3), (l[1], 2), (l[2], 2)]);
    assert!(records.windows(2).all(|pair| pair[0].address < pair[1].address));
    assert!(records.iter().all(|record| record.time_ms > 0));
}

pub(super) fn a_reader_gets_its_lanes_only_and_only_behind_its_positions(subject: &dyn Subject) {
    let log = subject.open(ROOMY);
    let l = lanes(&*log, 4);
    let mut third = 0;
    for n in 0..2000u32 {
        let body = n.to_le_bytes();
        let to = [l[(n % 4) as usize], l[((n + 1) % 4) as usize]];
        let end = log.append(if n % 7 == 0 { &to } else { &to[..1] }, &body).unwrap().end;
        if n == 1500 {
            third = end;
        }
    }
    let records = read(&*log, &[(l[1], 100), (l[3], 200)]).unwrap();
    let all = read(&*log, &[(l[0], 0), (l[1], 0), (l[2], 0), (l[3], 0)]).unwrap();
    let wanted = |record: &&Record| {
        record.lanes.iter().any(|&(lane, at)| (lane == l[1] && at > 100) || (lane == l[3] && at > 200))
    };
    assert_eq!(all.len(), 2000);
    assert_eq!(records, all.iter().filter(wanted).cloned().collect::<Vec<_>>());
    let mut some = log.records(&[(l[0], 0), (l[1], 0), (l[2], 0), (l[3], 0)], third).unwrap();
    let mut count = 0;
    while let Some(record) = some.next().unwrap() {
        assert!(record.address < third);
        count += 1;
    }
    assert_eq!(count, 1501);
    assert_eq!(read(&*log, &[(l[2], log.head(l[2]).position)]).unwrap(), []);
    assert_eq!(read(&*log, &[]).unwrap(), []);
}

pub(super) fn anchors_are_the_chained_hash_of_the_lane(subject: &dyn Subject) {
    let log = subject.open(ROOMY);
    let l = lanes(&*log, 2);
    assert_eq!(log.anchor_at(l[0], 0).unwrap(), Some(Anchor::START));
    let bodies: Vec<Vec<u8>> = (0..300u32).map(|n| n.to_le_bytes().repeat(n as usize % 40)).collect();
    for body in &bodies {
        log.append(&[l[0]], body).unwrap();
        log.append(&[l[1]], b"other").unwrap();
    }
    let chain_to = |n: usize| chain(log.lineage(), l[0], bodies[..n].iter().map(Vec::as_slice));
    // What is not written may be told or not, but never wrongly.
    let unwritten = log.anchor_at(l[0], 17).unwrap();
    assert!(unwritten.is_none_or(|anchor| anchor == chain_to(17).anchor));
    log.commit(log.accepted(), Safety::Written).unwrap();
    for n in [0, 1, 2, 17, 150, 299, 300] {
        assert_eq!(log.anchor_at(l[0], n as Position).unwrap(), Some(chain_to(n).anchor), "position {n}");
    }
    assert_eq!(log.head(l[0]), chain_to(300));
    assert_eq!(log.anchor_at(l[0], 301).unwrap(), None);
}

pub(super) fn a_cut_is_below_everything_that_is_appended_later(subject: &dyn Subject) {
    let log = subject.open(ROOMY);
    let l = lanes(&*log, 2);
    assert_eq!(log.append(&[l[0]], b"a").unwrap().places[0].cut, 0);
    log.append(&[l[0]], b"b").unwrap();
    let (address, positions) = log.cut(&[l[1], l[0]]);
    assert_eq!((address, positions), (log.accepted(), vec![0, 2]));
    let appended = log.append(&[l[0], l[1]], b"c").unwrap();
    assert!(appended.end > address);
    assert_eq!(appended.places[0], Place { lane: l[0], position: 3, cut: 2 });
    assert_eq!(appended.places[1], Place { lane: l[1], position: 1, cut: 0 });
}

pub(super) fn owed_falls_as_lanes_land_and_rises_when_one_is_taken_back(subject: &dyn Subject) {
    let log = subject.open(ROOMY);
    let l = lanes(&*log, 2);
    assert_eq!(log.owed(), Owed::default());
    for _ in 0..10 {
        log.append(&[l[0]], b"x").unwrap();
    }
    log.append(&[l[0], l[1]], b"y").unwrap();
    let owed = log.owed();
    assert_eq!((owed.records, log.owed_records()), (12, 12));
    assert!(owed.bytes > 0 && owed.oldest_ms > 0);
    assert_eq!(log.owed_by(l[1]).records, 1);
    log.landed(l[0], 10);
    assert_eq!((log.owed().records, log.owed_records(), log.owed_by(l[0]).records), (2, 2, 1));
    assert!(log.owed().bytes < owed.bytes);
    log.landed(l[0], 11);
    assert_eq!((log.owed_records(), log.owed_by(l[0])), (1, Owed::default()));
    log.rewind(l[0], 4).unwrap();
    assert_eq!((log.owed_records(), log.owed_by(l[0]).records), (8, 7));
    log.landed(l[0], 11);
    log.landed(l[1], 1);
    assert_eq!((log.owed(), log.owed_records()), (Owed::default(), 0));
}

pub(super) fn landed_never_goes_back_by_itself(subject: &dyn Subject) {
    let log = subject.open(ROOMY);
    let l = lanes(&*log, 1);
    for _ in 0..5 {
        log.append(&l, b"x").unwrap();
    }
    log.landed(l[0], 4);
    log.landed(l[0], 2);
    assert_eq!(log.owed_records(), 1);
    log.landed(l[0], 99);
    log.append(&l, b"x").unwrap();
    assert_eq!(log.owed_records(), 1, "a position that the lane has not reached is not landed in advance");
}

pub(super) fn an_append_beyond_the_bound_is_refused_until_something_lands(subject: &dyn Subject) {
    let log = subject.open(10_000);
    let l = lanes(&*log, 1);
    let mut accepted = 0;
    let refusal = loop {
        match log.append(&l, &[7; 100]) {
            Ok(_) => accepted += 1,
            Err(reason) => break reason,
        }
        assert!(accepted < 100);
    };
    assert!(matches!(refusal, LogError::Full { bytes_max: 10_000 }), "{refusal}");
    assert!(accepted > 50);
    assert_eq!(log.head(l[0]).position, accepted);
    assert!(log.owed().bytes <= 10_000);
    log.commit(log.accepted(), Safety::Durable).unwrap();
    assert_eq!(read(&*log, &[(l[0], 0)]).unwrap().len() as u64, accepted);
    log.landed(l[0], accepted / 2);
    assert_eq!(log.append(&l, &[8; 100]).unwrap().places[0].position, accepted + 1);
}

pub(super) fn a_record_beyond_its_limit_is_refused(subject: &dyn Subject) {
    let log = subject.open(ROOMY);
    let l = lanes(&*log, 1);
    assert!(matches!(log.append(&l, &[0; 4096]), Err(LogError::TooLarge { bytes_max: 4096, .. })));
    log.append(&l, &[1; 4000]).unwrap();
    assert_eq!(read(&*log, &[(l[0], 0)]).unwrap()[0].body, [1; 4000]);
    assert_eq!(log.head(l[0]).position, 1);
}

pub(super) fn what_every_lane_has_landed_is_let_go_and_asking_for_it_is_refused(subject: &dyn Subject) {
    let log = subject.open(ROOMY);
    let l = lanes(&*log, 2);
    let mut bodies = Vec::new();
    for n in 0..200u32 {
        bodies.push(n.to_le_bytes().repeat(100));
        log.append(&l[..1], &bodies[n as usize]).unwrap();
        log.commit(log.accepted(), Safety::Durable).unwrap();
    }
    log.append(&l, b"both").unwrap();
    log.commit(log.accepted(), Safety::Durable).unwrap();
    log.landed(l[0], 150);
    log.upkeep().unwrap();
    let refused = read(&*log, &[(l[0], 0)]).unwrap_err();
    assert!(matches!(refused, LogError::Trimmed { position: 1, .. }), "{refused}");
    assert!(matches!(log.rewind(l[0], 0), Err(LogError::Trimmed { .. })));
    assert_eq!(log.anchor_at(l[0], 0).unwrap(), None);
    assert_eq!(read(&*log, &[(l[0], 150)]).unwrap().len(), 51);
    let at = chain(log.lineage(), l[0], bodies[..150].iter().map(Vec::as_slice));
    assert_eq!(log.anchor_at(l[0], 150).unwrap(), Some(at.anchor));
    assert_eq!(log.owed_records(), 52);
    assert_eq!(read(&*log, &[(l[1], 0)]).unwrap().len(), 1, "a lane that has not landed keeps its records");
    log.landed(l[0], 201);
    log.landed(l[1], 1);
    log.upkeep().unwrap();
    assert_eq!(read(&*log, &[(l[0], 201), (l[1], 1)]).unwrap(), []);
}

pub(super) fn a_gap_moves_the_end_of_a_lane_and_nothing_else(subject: &dyn Subject) {
    let log = subject.open(ROOMY);
    let l = lanes(&*log, 2);
    log.append(&l[..1], b"before").unwrap();
    log.append(&l[1..], b"other").unwrap();
    let to = Head { position: 10, anchor: Anchor([9; 16]) };
    let from = log.head(l[0]);
    let other = Head { position: 12, anchor: Anchor([8; 16]) };
    log.gap(&[(l[0], to)]).unwrap();
    log.gap(&[(l[0], to)]).unwrap();
    assert_eq!(log.head(l[0]), to);
    let back = Head { position: 9, anchor: Anchor::START };
    assert!(log.gap(&[(l[1], other), (l[0], back)]).is_err());
    assert_eq!(log.head(l[1]).position, 1, "all of them or none");
    let over = |position| log.gap_over(l[0], position);
    assert_eq!(
        [0, 1, 5, 9, 10].map(over),
        [None, Some(Gap { from, to }), Some(Gap { from, to }), Some(Gap { from, to }), None]
    );
    assert_eq!(log.gap_over(l[1], 1), None);
    assert_eq!(log.append(&l, b"after").unwrap().places[0].position, 11);
    let next = to.anchor.next(&log.lineage(), l[0], 11, Anchor::body_hash(b"after"));
    for position in [1, 10, 11] {
        assert!(log.anchor_at(l[0], position).unwrap().is_some(), "{position}");
    }
    assert_eq!(log.anchor_at(l[0], 5).unwrap(), None);
    assert_eq!(log.anchor_at(l[0], 10).unwrap(), Some(to.anchor));
    assert_eq!(log.head(l[0]).anchor, next);
    assert_eq!(bodies(&read(&*log, &[(l[0], 0)]).unwrap()), [b"before" as &[u8], b"after"]);
    assert_eq!(bodies(&read(&*log, &[(l[0], 10)]).unwrap()), [b"after" as &[u8]]);
    assert_eq!(log.owed_records(), 4, "a gap is not owed");
    log.landed(l[0], 10);
    assert_eq!((log.owed_records(), log.owed_by(l[0]).records), (3, 1));
}

pub(super) fn a_gap_is_kept_until_its_lane_has_passed_it(subject: &dyn Subject) {
    let log = subject.open(ROOMY);
    let l = lanes(&*log, 2);
    let body = [7; 4000];
    log.append(&l, &body).unwrap();
    let from = log.head(l[0]);
    let gap = Gap { from, to: Head { position: 1 << 40, anchor: Anchor([9; 16]) } };
    log.gap(&[(l[0], gap.to)]).unwrap();
    log.landed(l[0], 1);
    for _ in 0..200 {
        let appended = log.append(&l[1..], &body).unwrap();
        log.commit(appended.end, Safety::Durable).unwrap();
        log.landed(l[1], appended.places[0].position);
    }
    log.upkeep().unwrap();
    assert_eq!((log.owed().records, log.owed().oldest_ms), (0, 0), "a gap is not owed");
    assert!(log.oldest(l[1]).position > 0, "what lies before the gap goes");
    assert_eq!((log.gap_over(l[0], 1), log.gap_over(l[0], 9)), (Some(gap), Some(gap)));
    assert_eq!(log.anchor_at(l[0], 1).unwrap(), Some(from.anchor));
    assert_eq!(read(&*log, &[(l[0], 1)]).unwrap(), []);
    log.landed(l[0], gap.to.position);
    assert_eq!(log.gap_over(l[0], gap.to.position), None);
}
