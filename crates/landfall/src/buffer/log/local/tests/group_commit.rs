//! Group commit: what a sync covers, who waits for it, and what a failed one does.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::env::seeded::Dice;
use crate::env::strict_disk::Keep;

fn open(disk: &StrictDisk) -> (Arc<LocalLog>, Vec<LaneId>) {
    let log = LocalLog::open(disk.env(1), Path::new("data"), small()).unwrap().0;
    let lanes = conformance::lanes(&log, 1);
    (Arc::new(log), lanes)
}

#[test]
fn a_record_written_while_a_sync_runs_is_not_covered_by_it() {
    let disk = StrictDisk::default();
    let (log, lanes) = open(&disk);
    let first = log.append(&lanes, b"first").unwrap().end;
    let (other, lane) = (log.clone(), lanes.clone());
    disk.on_next_sync(move || {
        let end = other.append(&lane, b"second").unwrap().end;
        other.commit(end, Safety::Written).unwrap();
        assert_eq!(other.safe(Safety::Written), end);
    });
    log.commit(first, Safety::Durable).unwrap();
    assert_eq!(log.safe(Safety::Durable), first);
    assert!(log.accepted() > first);
    drop(log);
    disk.crash(Keep::Nothing, &mut Dice(1));
    let (log, lanes) = open(&disk);
    assert_eq!(conformance::read(&*log, &[(lanes[0], 0)]).unwrap().len(), 1);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the test owns its threads and waits for them")]
fn many_waiters_share_one_sync() {
    const THREADS: u64 = 8;
    let disk = StrictDisk::default();
    let (log, lanes) = open(&disk);
    let before = disk.syncs();
    // The first sync lasts until everybody has written: all but the first wait for the second.
    let other = log.clone();
    let head = log.accepted();
    disk.on_next_sync(move || {
        while other.safe(Safety::Written) < head + THREADS * 32 {
            std::thread::yield_now();
        }
    });
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let end = log.append(&lanes, b"body").unwrap().end;
                log.commit(end, Safety::Durable).unwrap();
                assert!(log.safe(Safety::Durable) >= end);
            });
        }
    });
    assert_eq!(disk.syncs() - before, 2);
    assert_eq!(log.safe(Safety::Durable), head + THREADS * 32);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the test owns its threads and waits for them")]
fn a_sync_in_the_background_does_not_hold_up_a_writer() {
    let disk = StrictDisk::default();
    let (log, lanes) = open(&disk);
    let end = log.append(&lanes, b"first").unwrap().end;
    let (other, done) = (log.clone(), Arc::new(AtomicBool::new(false)));
    let written = done.clone();
    disk.on_next_sync(move || {
        while !written.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
    });
    std::thread::scope(|scope| {
        scope.spawn(|| log.commit(end, Safety::Durable).unwrap());
        let end = other.append(&lanes, b"second").unwrap().end;
        other.commit(end, Safety::Written).unwrap();
        done.store(true, Ordering::Release);
    });
    assert!(log.safe(Safety::Durable) >= end);
}

#[test]
fn while_a_sync_lasts_nothing_more_is_durable_and_what_waits_is_bounded() {
    let disk = StrictDisk::default();
    let settings = LocalLogSettings { log_bytes_max: 4 * 8192, ..small() };
    let log = Arc::new(LocalLog::open(disk.env(1), Path::new("data"), settings).unwrap().0);
    let lanes = conformance::lanes(&*log, 1);
    let first = log.append(&lanes, b"first").unwrap().end;
    let (other, lane) = (log.clone(), lanes.clone());
    disk.on_next_sync(move || {
        let durable = other.safe(Safety::Durable);
        let append = || match other.append(&lane, &[1; 500]) {
            Ok(appended) => {
                other.commit(appended.end, Safety::Written).unwrap();
                assert_eq!(other.usage().unwritten_bytes, 0, "what is written does not wait in memory");
                None
            }
            Err(reason) => Some(reason),
        };
        let refused = (0..200).find_map(|_| append());
        assert!(matches!(refused, Some(LogError::Full { .. })), "{refused:?}");
        assert_eq!(other.safe(Safety::Durable), durable);
    });
    log.commit(first, Safety::Durable).unwrap();
    assert_eq!(log.safe(Safety::Durable), first);
    log.commit(log.accepted(), Safety::Durable).unwrap();
    let last = log.head(lanes[0]).position;
    assert!(last > 40, "{last}");
    drop(log);
    disk.crash(Keep::Nothing, &mut Dice(1));
    let (log, lanes) = open(&disk);
    assert_eq!(log.head(lanes[0]).position, last);
}

/// Appends and commits, landing as it goes, until something fails; returns the last acknowledged position.
fn work(log: &LocalLog, lanes: &[LaneId]) -> (Position, Option<LogError>) {
    let mut acknowledged = 0;
    for n in 0..60u32 {
        let result = log.append(lanes, &n.to_le_bytes().repeat(50)).and_then(|appended| {
            log.commit(appended.end, Safety::Durable)?;
            Ok(appended.places[0].position)
        });
        match result {
            Ok(position) => acknowledged = position,
            Err(reason) => return (acknowledged, Some(reason)),
        }
        if n % 10 == 9
            && let Err(reason @ LogError::Poisoned { .. }) = log.upkeep()
        {
            return (acknowledged, Some(reason));
        }
    }
    (acknowledged, None)
}

#[test]
fn after_any_failed_sync_the_log_is_poisoned_or_whole_and_no_acknowledged_record_is_missing() {
    let mut poisoned = 0;
    for number in 1.. {
        let disk = StrictDisk::default();
        let (log, lanes) = open(&disk);
        let start = disk.syncs();
        disk.fail_sync(start + number);
        let (acknowledged, failed) = work(&log, &lanes);
        let reached = disk.syncs() >= start + number;
        match &failed {
            None => {}
            Some(LogError::Poisoned { .. }) => {
                poisoned += 1;
                assert!(log.poisoned().is_some());
                let refused = log.append(&lanes, b"more");
                assert!(matches!(refused, Err(LogError::Poisoned { .. })), "{refused:?}");
                let refused = log.commit(log.accepted(), Safety::Durable);
                assert!(matches!(refused, Err(LogError::Poisoned { .. })));
                log.commit(log.safe(Safety::Durable), Safety::Durable).unwrap();
            }
            // Only room could not be made: the same work goes on.
            Some(LogError::Io { .. }) => {
                log.upkeep().unwrap();
                log.append(&lanes, b"more").unwrap();
                log.commit(log.accepted(), Safety::Durable).unwrap();
            }
            Some(other) => panic!("sync {number}: {other}"),
        }
        for keep in [Keep::Nothing, Keep::Some, Keep::Everything] {
            let disk = disk.fork();
            disk.crash(keep, &mut Dice(number));
            let (log, lanes) = open(&disk);
            assert!(log.head(lanes[0]).position >= acknowledged, "sync {number}, {keep:?}");
            let records = conformance::read(&*log, &[(lanes[0], 0)]).unwrap();
            assert_eq!(records.len() as u64, log.head(lanes[0]).position);
        }
        if !reached {
            break;
        }
    }
    assert!(poisoned > 50, "{poisoned}");
}
