//! What every log owes over its life: lanes and notes that stay, closing, restarts, and many threads at once.

use super::*;

pub(in super::super) fn lanes_keep_their_numbers(subject: &dyn Subject) {
    let log = subject.open(ROOMY);
    let (a, b, c) = (lane_name("a", 0), lane_name("a", 1), lane_name("b", 0));
    let first = log.add_lanes(&[a.clone(), b.clone()]).unwrap();
    assert_ne!(first[0], first[1]);
    let second = log.add_lanes(&[c.clone(), b.clone(), c.clone()]).unwrap();
    assert_eq!((second[1], second[0]), (first[1], second[2]));
    assert!(!first.contains(&second[0]));
    let known = [(a, first[0]), (b, first[1]), (c, second[0])];
    assert_eq!(log.lanes(), known);
    let lineage = log.lineage();
    drop(log);
    if let Some(log) = subject.reopen() {
        assert_eq!(log.lanes(), known);
        assert_eq!(log.lineage(), lineage);
        assert_eq!(log.add_lanes(&[known[2].0.clone()]).unwrap(), [second[0]]);
        assert!(log.boot() > 1);
    }
}

pub(in super::super) fn a_note_is_replaced_as_a_whole(subject: &dyn Subject) {
    let log = subject.open(ROOMY);
    assert_eq!(log.note("landed").unwrap(), None);
    log.set_note("landed", b"a long first content").unwrap();
    log.set_note("empty-1", b"").unwrap();
    log.set_note("landed", b"short").unwrap();
    assert_eq!(log.note("landed").unwrap().unwrap(), b"short");
    drop(log);
    if let Some(log) = subject.reopen() {
        assert_eq!(log.note("landed").unwrap().unwrap(), b"short");
        assert_eq!(log.note("empty-1").unwrap().unwrap(), b"");
        assert_eq!(log.note("other").unwrap(), None);
    }
}

pub(in super::super) fn a_closed_log_accepts_nothing(subject: &dyn Subject) {
    let log = subject.open(ROOMY);
    let l = lanes(&*log, 1);
    log.append(&l, b"x").unwrap();
    log.close().unwrap();
    assert_eq!(log.safe(Safety::Durable), log.accepted());
    assert!(matches!(log.append(&l, b"y"), Err(LogError::Closed)));
    assert_eq!(read(&*log, &[(l[0], 0)]).unwrap().len(), 1);
    drop(log);
    if let Some(log) = subject.reopen() {
        assert_eq!(log.append(&l, b"y").unwrap().places[0].position, 2);
    }
}

#[allow(clippy::disallowed_methods, reason = "the test owns its threads and waits for them")]
pub(in super::super) fn many_threads_get_distinct_positions_and_their_own_bodies(subject: &dyn Subject) {
    const THREADS: u32 = 4;
    const EACH: u32 = 200;
    let log = subject.open(ROOMY);
    let l = lanes(&*log, 2);
    let work = |thread: u32| {
        let (log, l) = (log.clone(), l.clone());
        move || {
            (0..EACH).for_each(|n| {
                let body = (thread * EACH + n).to_le_bytes();
                let both = n % 5 == 0;
                let appended = log.append(if both { &l } else { &l[..1] }, &body).unwrap();
                if n % 3 == 0 {
                    log.commit(appended.end, Safety::Durable).unwrap();
                    assert!(log.safe(Safety::Durable) >= appended.end);
                }
                let (address, positions) = log.cut(&l[..1]);
                assert!(address >= appended.end && positions[0] >= appended.places[0].position);
            });
        }
    };
    std::thread::scope(|scope| (0..THREADS).for_each(|thread| drop(scope.spawn(work(thread)))));
    let records = read(&*log, &[(l[0], 0)]).unwrap();
    let positions: Vec<Position> = records.iter().map(|record| record.lanes[0].1).collect();
    assert_eq!(positions, (1..=u64::from(THREADS * EACH)).collect::<Vec<_>>());
    let mut numbers: Vec<u32> =
        records.iter().map(|record| u32::from_le_bytes(record.body[..].try_into().unwrap())).collect();
    assert_eq!(log.head(l[0]), chain(log.lineage(), l[0], records.iter().map(|r| r.body.as_slice())));
    for thread in 0..THREADS {
        let own = thread * EACH..(thread + 1) * EACH;
        let of_thread: Vec<u32> = numbers.iter().copied().filter(|n| own.contains(n)).collect();
        assert_eq!(of_thread, own.collect::<Vec<_>>(), "a thread's records keep their order");
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len() as u32, THREADS * EACH);
    assert_eq!(log.head(l[1]).position, u64::from(THREADS * EACH / 5));
}

pub(in super::super) fn everything_durable_is_there_after_a_restart(subject: &dyn Subject) {
    let log = subject.open(ROOMY);
    let l = lanes(&*log, 2);
    for n in 0..300u32 {
        log.append(&l[..1 + (n % 2) as usize], &n.to_le_bytes()).unwrap();
    }
    log.gap(&[(l[1], Head { position: 1000, anchor: Anchor([3; 16]) })]).unwrap();
    log.append(&l, b"last").unwrap();
    let before = read(&*log, &[(l[0], 0), (l[1], 0)]).unwrap();
    let heads = [log.head(l[0]), log.head(l[1])];
    drop(log);
    let Some(log) = subject.reopen() else { return };
    let after = read(&*log, &[(l[0], 0), (l[1], 0)]).unwrap();
    let without_address = |records: Vec<Record>| -> Vec<_> {
        records.into_iter().map(|record| (record.time_ms, record.lanes, record.body)).collect()
    };
    assert_eq!(without_address(after), without_address(before));
    assert_eq!([log.head(l[0]), log.head(l[1])], heads);
    assert_eq!(log.safe(Safety::Durable), log.accepted());
    assert_eq!(log.owed_records(), 452, "after a restart everything is owed until somebody says landed");
    assert_eq!(log.append(&l, b"next").unwrap().places[1].position, 1002);
}

pub(in super::super) fn one_who_waits_for_upkeep_waits_no_longer_than_asked(subject: &dyn Subject) {
    let log = subject.open(ROOMY);
    log.upkeep().unwrap();
    log.wait_upkeep(Duration::from_millis(1));
}
