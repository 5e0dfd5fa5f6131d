//! The local log against the shared obligations, on a real disk and on one that keeps no unmade promise.

use std::path::Path;
use std::sync::Arc;

use super::super::conformance::{self, Subject};
use super::super::*;
use super::*;
use crate::env::Disk;
use crate::env::strict_disk::StrictDisk;

mod crash;
mod damage;
mod fixture;
mod group_commit;
#[cfg(feature = "interleavings")]
mod interleavings;
mod mapped;
mod repair;
mod room;
mod spill;

/// Small segments, and nothing landed is retained.
fn small() -> LocalLogSettings {
    LocalLogSettings {
        segment_bytes: 8192,
        log_bytes_max: 1 << 30,
        record_bytes_max: 4096,
        retention_ms: 0,
        retention_bytes: 0,
        retained_bytes_max: 1 << 30,
        zero_fill: true,
        mapped: false,
    }
}

/// The same, with records put into files in memory.
fn mapped() -> LocalLogSettings {
    LocalLogSettings { mapped: true, ..small() }
}

struct OnRealDisk(tempfile::TempDir, LocalLogSettings);

impl OnRealDisk {
    fn new(settings: LocalLogSettings) -> Self {
        Self(tempfile::tempdir().unwrap(), settings)
    }
}

impl Subject for OnRealDisk {
    fn open(&self, log_bytes_max: u64) -> Arc<dyn Log> {
        let settings = LocalLogSettings { log_bytes_max, ..self.1.clone() };
        let (log, recovery) = LocalLog::open(crate::env::real(), self.0.path(), settings).unwrap();
        assert!(recovery.first_start);
        Arc::new(log)
    }

    fn reopen(&self) -> Option<Arc<dyn Log>> {
        let (log, recovery) = LocalLog::open(crate::env::real(), self.0.path(), self.1.clone()).unwrap();
        assert!(!recovery.first_start);
        assert_eq!(recovery.torn_bytes, 0);
        Some(Arc::new(log))
    }
}

mod on_a_real_disk {
    use super::*;
    conformance::tests!(OnRealDisk::new(small()));
}

mod mapped_on_a_real_disk {
    use super::*;
    conformance::tests!(OnRealDisk::new(mapped()));
}

struct OnStrictDisk(StrictDisk, LocalLogSettings);

impl Subject for OnStrictDisk {
    fn open(&self, log_bytes_max: u64) -> Arc<dyn Log> {
        let settings = LocalLogSettings { log_bytes_max, ..self.1.clone() };
        Arc::new(LocalLog::open(self.0.env(1), Path::new("data"), settings).unwrap().0)
    }

    fn reopen(&self) -> Option<Arc<dyn Log>> {
        self.0.crash(crate::env::strict_disk::Keep::Nothing, &mut crate::env::seeded::Dice(1));
        Some(Arc::new(LocalLog::open(self.0.env(2), Path::new("data"), self.1.clone()).unwrap().0))
    }
}

mod on_a_disk_that_loses_everything_unsynced {
    use super::*;
    conformance::tests!(OnStrictDisk(StrictDisk::default(), small()));
}

mod mapped_on_a_disk_that_loses_everything_unsynced {
    use super::*;
    conformance::tests!(OnStrictDisk(StrictDisk::default(), mapped()));
}

#[test]
fn a_second_process_is_refused_and_told_who_has_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let open = || LocalLog::open(crate::env::real(), dir.path(), small());
    let (log, _) = open().unwrap();
    let refused = open().map(drop).unwrap_err();
    let LogError::Locked { owner, .. } = &refused else { panic!("{refused}") };
    assert_eq!(owner, &format!(" (pid {})", std::process::id()));
    drop(log);
    assert_eq!(open().unwrap().1.boot, 2);
}

#[test]
fn settings_that_make_no_sense_are_refused_all_at_once() {
    let settings = LocalLogSettings { segment_bytes: 10, retention_bytes: 1 << 40, ..Default::default() };
    let refused = LocalLog::open(StrictDisk::default().env(1), Path::new("data"), settings).map(drop);
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("segment_bytes") && message.contains("retained_bytes_max"), "{message}");
}

#[test]
fn restarts_without_work_do_not_leave_more_and_more_segments() {
    let disk = StrictDisk::default();
    let open = || LocalLog::open(disk.env(1), Path::new("data"), small()).unwrap();
    let (log, _) = open();
    let lanes = conformance::lanes(&log, 1);
    log.append(&lanes, b"one").unwrap();
    log.close().unwrap();
    drop(log);
    for _ in 0..20 {
        let (log, recovery) = open();
        assert_eq!((recovery.records, recovery.torn_bytes), (1, 0));
        assert_eq!(disk.list(Path::new("data/log")).unwrap().len(), 1);
        drop(log);
    }
}

#[test]
fn a_landed_segment_is_used_again_and_its_old_records_stay_gone() {
    let disk = StrictDisk::default();
    let (log, _) = LocalLog::open(disk.env(1), Path::new("data"), small()).unwrap();
    let lanes = conformance::lanes(&log, 1);
    let mut last = 0;
    for n in 0..200u32 {
        last = log.append(&lanes, &n.to_le_bytes().repeat(60)).unwrap().places[0].position;
        log.commit(log.accepted(), Safety::Durable).unwrap();
        log.landed(lanes[0], last);
        log.upkeep().unwrap();
        let names = disk.list(Path::new("data/log")).unwrap();
        assert!(names.len() <= 3, "{names:?}");
    }
    let old = disk.content(Path::new("data/log").join(disk_spare(&disk)).as_path());
    assert!(old[segment::DATA_START as usize..].iter().any(|&byte| byte != 0), "the spare was used before");
    log.append(&lanes, b"the last").unwrap();
    log.close().unwrap();
    drop(log);
    let (log, recovery) = LocalLog::open(disk.env(2), Path::new("data"), small()).unwrap();
    let records = conformance::read(&log, &[(lanes[0], last)]).unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].body, b"the last");
    assert_eq!(log.head(lanes[0]).position, last + 1);
    assert_eq!(recovery.torn_bytes, 0, "what a file held before is not taken for torn writes");
}

fn disk_spare(disk: &StrictDisk) -> String {
    let names = disk.list(Path::new("data/log")).unwrap();
    names.into_iter().find(|name| name.starts_with(upkeep::SPARE)).unwrap()
}

#[test]
fn the_retention_keeps_landed_segments_by_time_and_by_bytes_and_no_more_than_its_bound() {
    let run = |settings: LocalLogSettings| {
        let disk = StrictDisk::default();
        let (log, _) = LocalLog::open(disk.env(1), Path::new("data"), settings).unwrap();
        let lanes = conformance::lanes(&log, 1);
        for _ in 0..100 {
            log.append(&lanes, &[1; 1000]).unwrap();
        }
        log.commit(log.accepted(), Safety::Durable).unwrap();
        log.landed(lanes[0], 100);
        log.upkeep().unwrap();
        disk.list(Path::new("data/log")).unwrap().iter().filter(|name| name.ends_with(".seg")).count()
    };
    let hour = 3_600_000;
    assert_eq!(run(small()), 1);
    assert_eq!(run(LocalLogSettings { retention_ms: hour, ..small() }), 34);
    assert_eq!(run(LocalLogSettings { retention_bytes: 5 * 8192, ..small() }), 6);
    let bounded = LocalLogSettings { retention_ms: hour, retained_bytes_max: 3 * 8192, ..small() };
    assert_eq!(run(bounded), 4);
}
