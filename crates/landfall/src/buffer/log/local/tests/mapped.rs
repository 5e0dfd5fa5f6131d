//! The mapped log: what is appended is written, a kill leaves all of it, and only the beginning of a segment is the writer's.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::env::seeded::Dice;
use crate::env::strict_disk::{Keep, Step, Verdict};

fn open(disk: &StrictDisk, settings: LocalLogSettings) -> (LocalLog, Vec<LaneId>) {
    let log = LocalLog::open(disk.env(1), Path::new("data"), settings).unwrap().0;
    let lanes = conformance::lanes(&log, 2);
    (log, lanes)
}

#[test]
fn what_is_appended_to_a_mapped_log_is_written_and_the_writer_only_begins_segments() {
    let disk = StrictDisk::default();
    let (log, lanes) = open(&disk, mapped());
    let writes = Arc::new(AtomicU64::new(0));
    let counted = writes.clone();
    disk.set_hook(Arc::new(move |_, step| {
        counted.fetch_add(u64::from(step == Step::Write), Ordering::Relaxed);
        Verdict::Done
    }));
    let (mut rolls, mut appends) = (0, 0);
    while rolls < 5 {
        let before = writes.load(Ordering::Relaxed);
        let end = log.append(&lanes[..1], &[1; 100]).unwrap().end;
        appends += 1;
        if log.safe(Safety::Written) < end {
            rolls += 1;
            log.commit(end, Safety::Written).unwrap();
        } else {
            assert_eq!(writes.load(Ordering::Relaxed), before, "a mapped append writes");
        }
        assert_eq!(log.safe(Safety::Written), log.accepted());
        assert_eq!(log.usage().unwritten_bytes, 0);
    }
    assert!(appends > 100, "{appends}");
    let records = {
        log.commit(log.accepted(), Safety::Durable).unwrap();
        conformance::read(&log, &[(lanes[0], 0)]).unwrap()
    };
    assert_eq!(records.len(), appends);
}

#[test]
fn a_kill_at_any_step_leaves_every_append_of_before_and_cuts_the_one_under_way() {
    let mut torn = 0;
    for stop in 1.. {
        let disk = StrictDisk::default();
        let (log, lanes) = open(&disk, mapped());
        let stop_at = disk.steps() + stop;
        disk.stop_at(stop_at);
        let mut acknowledged = 0;
        for n in 0..150_u8 {
            let Ok(appended) = log.append(&lanes, &[n; 50]) else { break };
            if log.commit(appended.end, Safety::Written).is_err() || disk.steps() >= stop_at {
                break;
            }
            acknowledged = appended.places[0].position;
        }
        let stopped = disk.steps() >= stop_at;
        drop(log);
        disk.kill();
        let (log, recovery) = LocalLog::open(disk.env(2), Path::new("data"), mapped()).unwrap();
        let last = log.head(lanes[0]).position;
        assert!((acknowledged..=acknowledged + 1).contains(&last), "step {stop}: {acknowledged} and {last}");
        let records = conformance::read(&log, &[(lanes[0], 0), (lanes[1], 0)]).unwrap();
        assert_eq!(records.len() as u64, last, "a record is there for both lanes or for none");
        let whole = |(n, record): (usize, &Record)| record.body == [n as u8; 50];
        assert!(records.iter().enumerate().all(whole), "step {stop}");
        torn += u64::from(recovery.torn_bytes > 0);
        if !stopped {
            break;
        }
    }
    assert!(torn > 100, "{torn} records were cut in two");
}

#[test]
fn a_mapped_log_whose_sync_failed_takes_nothing_more() {
    let disk = StrictDisk::default();
    let (log, lanes) = open(&disk, mapped());
    let durable = log.append(&lanes, b"durable").unwrap().end;
    log.commit(durable, Safety::Durable).unwrap();
    disk.fail_sync(disk.syncs() + 1);
    let end = log.append(&lanes, b"in doubt").unwrap().end;
    assert!(matches!(log.commit(end, Safety::Durable), Err(LogError::Poisoned { .. })));
    assert!(matches!(log.append(&lanes, b"more"), Err(LogError::Poisoned { .. })));
    assert_eq!((log.safe(Safety::Durable), log.safe(Safety::Written)), (durable, end));
    drop(log);
    disk.crash(Keep::Everything, &mut Dice(1));
    let (log, _) = LocalLog::open(disk.env(2), Path::new("data"), mapped()).unwrap();
    assert_eq!(log.head(lanes[0]).position, 1, "what a failed sync covered never reached the disk");
}

#[test]
fn a_mapped_log_without_room_for_its_next_segment_keeps_its_promises_and_goes_on_later() {
    let disk = StrictDisk::default();
    let (log, lanes) = open(&disk, mapped());
    log.upkeep().unwrap();
    disk.limit_room(Some(disk.bytes()));
    let mut written = 0;
    let refused = loop {
        match log.append(&lanes, &[7; 500]) {
            Ok(appended) => match log.commit(appended.end, Safety::Written) {
                Ok(()) => written = appended.places[0].position,
                Err(reason) => break reason,
            },
            Err(reason) => break reason,
        }
    };
    assert!(matches!(refused, LogError::Io { .. }), "{refused}");
    disk.limit_room(None);
    log.upkeep().unwrap();
    let later = log.append(&lanes, b"later").unwrap();
    log.commit(later.end, Safety::Written).unwrap();
    assert!(later.places[0].position > written);
    let more = log.append(&lanes, b"mapped again").unwrap();
    assert_eq!(log.safe(Safety::Written), more.end);
    drop(log);
    disk.kill();
    let (log, _) = LocalLog::open(disk.env(2), Path::new("data"), mapped()).unwrap();
    assert_eq!(log.head(lanes[0]).position, more.places[0].position);
}
