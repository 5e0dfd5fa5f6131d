//! A full disk: nothing is lost and nothing is poisoned, and work goes on when there is room again.

use super::*;

#[test]
fn a_full_disk_refuses_new_records_and_takes_them_again_when_there_is_room() {
    let disk = StrictDisk::default();
    let (log, _) = LocalLog::open(disk.env(1), Path::new("data"), small()).unwrap();
    let lanes = conformance::lanes(&log, 1);
    disk.limit_room(Some(disk.bytes() + 2 * 8192));
    let mut acknowledged = 0;
    let failed = loop {
        let appended = log.append(&lanes, &[1; 500]).unwrap();
        match log.commit(appended.end, Safety::Durable) {
            Ok(()) => acknowledged += 1,
            Err(reason) => break reason,
        }
        assert!(acknowledged < 100);
    };
    assert!(matches!(failed, LogError::Io { .. }), "{failed}");
    assert!(acknowledged >= 18);
    assert!(log.poisoned().is_none());
    assert!(matches!(log.append(&lanes, b"more"), Err(LogError::Io { .. })));
    assert!(log.upkeep().is_err());
    assert_eq!(conformance_records(&log, lanes[0]), acknowledged, "what is durable can be read and landed");

    disk.limit_room(None);
    log.upkeep().unwrap();
    assert_eq!(log.append(&lanes, b"more").unwrap().places[0].position, acknowledged + 2);
    log.commit(log.accepted(), Safety::Durable).unwrap();
    assert_eq!(conformance_records(&log, lanes[0]), acknowledged + 2);
}

#[test]
fn a_start_on_a_full_disk_succeeds_and_what_was_acknowledged_can_land() {
    let disk = StrictDisk::default();
    let open = |seed| LocalLog::open(disk.env(seed), Path::new("data"), small());
    let (log, _) = open(1).unwrap();
    let lanes = conformance::lanes(&log, 1);
    log.upkeep().unwrap();
    disk.limit_room(Some(disk.bytes() + 8192));
    let mut acknowledged = 0;
    while let Ok(appended) = log.append(&lanes, &[1; 500]) {
        // Upkeep at every step: what it prepares must not use up what a start needs.
        drop(log.upkeep());
        acknowledged += u64::from(log.commit(appended.end, Safety::Durable).is_ok());
    }
    assert!(acknowledged > 20, "{acknowledged}");
    assert!(!log.has_room());
    drop(log);
    disk.kill();
    disk.limit_room(Some(disk.bytes()));
    let (log, recovery) = open(2).unwrap();
    assert_eq!(recovery.records, acknowledged);
    assert_eq!(conformance_records(&log, lanes[0]), acknowledged);
    log.set_note("landed", b"all of it").unwrap();
    log.landed(lanes[0], acknowledged);
    // Landed segments become the next ones, so writes go on although the disk gives nothing.
    drop(log.upkeep());
    log.append(&lanes, &[1; 500]).unwrap();
    log.commit(log.accepted(), Safety::Durable).unwrap();
}

#[test]
fn without_room_the_log_tells_which_positions_are_safe() {
    let disk = StrictDisk::default();
    let (log, _) = LocalLog::open(disk.env(1), Path::new("data"), small()).unwrap();
    let lanes = conformance::lanes(&log, 2);
    disk.limit_room(Some(disk.bytes()));
    let (mut safe, mut last) = ([0, 0], [0, 0]);
    for n in 0.. {
        let lane = n % 2;
        let appended = log.append(&lanes[lane..=lane], &[1; 500]).unwrap();
        last[lane] = appended.places[0].position;
        if log.commit(appended.end, Safety::Written).is_err() {
            break;
        }
        safe = last;
    }
    assert!(!log.has_room() && safe != last);
    for lane in 0..2 {
        assert_eq!(log.safe_position(lanes[lane], Safety::Written), safe[lane]);
        assert!(log.safe_position(lanes[lane], Safety::Durable) < safe[lane]);
    }
    disk.limit_room(None);
    log.upkeep().unwrap();
    assert!(log.has_room());
    for lane in 0..2 {
        assert_eq!(log.safe_position(lanes[lane], Safety::Written), last[lane]);
    }
}

fn conformance_records(log: &LocalLog, lane: LaneId) -> u64 {
    let mut records = log.records(&[(lane, 0)], log.safe(Safety::Durable)).unwrap();
    let mut count = 0;
    while records.next().unwrap().is_some() {
        count += 1;
    }
    count
}

#[test]
fn a_record_larger_than_a_segment_gets_a_segment_of_its_own_size() {
    let disk = StrictDisk::default();
    let settings = LocalLogSettings { record_bytes_max: 100_000, ..small() };
    let (log, _) = LocalLog::open(disk.env(1), Path::new("data"), settings.clone()).unwrap();
    let lanes = conformance::lanes(&log, 1);
    for size in [10, 90_000, 20, 4_000, 60_000] {
        log.append(&lanes, &vec![7; size]).unwrap();
        log.commit(log.accepted(), Safety::Written).unwrap();
    }
    let sizes = |log: &LocalLog| -> Vec<usize> {
        let records = conformance::read(log, &[(lanes[0], 0)]).unwrap();
        records.iter().map(|record| record.body.len()).collect()
    };
    assert_eq!(sizes(&log), [10, 90_000, 20, 4_000, 60_000]);
    drop(log);
    let (log, recovery) = LocalLog::open(disk.env(2), Path::new("data"), settings).unwrap();
    assert_eq!(sizes(&log), [10, 90_000, 20, 4_000, 60_000]);
    assert_eq!(recovery.records, 5);
}

#[test]
fn records_in_many_pieces_and_across_them_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let settings = LocalLogSettings { segment_bytes: 8 << 20, record_bytes_max: 6 << 20, ..small() };
    let (log, _) = LocalLog::open(crate::env::real(), dir.path(), settings).unwrap();
    let lanes = conformance::lanes(&log, 2);
    let body = |n: usize| -> Vec<u8> { (0..n * 7919 % 90_000).map(|at| (at * n) as u8).collect() };
    for n in 0..400 {
        log.append(&lanes[n % 2..=n % 2], &body(n)).unwrap();
    }
    log.append(&lanes, &vec![5; 3 << 20]).unwrap();
    for (nth_lane, lane) in lanes.into_iter().enumerate() {
        let records = conformance::read(&log, &[(lane, 0)]).unwrap();
        assert_eq!(records.len(), 201);
        for (nth, record) in records[..200].iter().enumerate() {
            assert_eq!(record.body, body(nth * 2 + nth_lane));
        }
        assert_eq!(records[200].body.len(), 3 << 20);
        assert!(log.anchor_at(lane, 150).unwrap().is_some());
    }
}

#[test]
fn the_number_of_open_files_is_bounded_whatever_the_settings_say() {
    let disk = StrictDisk::default();
    let settings = LocalLogSettings {
        retention_ms: 3_600_000,
        retention_bytes: 1 << 30,
        retained_bytes_max: 1 << 40,
        zero_fill: false,
        ..small()
    };
    let (log, _) = LocalLog::open(disk.env(1), Path::new("data"), settings).unwrap();
    let lanes = conformance::lanes(&log, 1);
    let fill = || {
        let mut last = 0;
        loop {
            match log.append(&lanes, &[1; 3000]) {
                Ok(appended) => last = appended.places[0].position,
                Err(LogError::Full { bytes_max }) => {
                    assert_eq!(bytes_max, 8192 * settings::SEGMENTS_MAX);
                    log.commit(log.accepted(), Safety::Durable).unwrap();
                    return last;
                }
                Err(other) => panic!("{other}"),
            }
        }
    };
    for _ in 0..3 {
        let last = fill();
        let usage = log.usage();
        assert!(usage.index_bytes > 0 && usage.unwritten_bytes == 0, "{usage:?}");
        log.landed(lanes[0], last);
        log.upkeep().unwrap();
        let usage = log.usage();
        assert!(usage.landed_segments <= settings::SEGMENTS_MAX && usage.spares <= 2, "{usage:?}");
    }
}

#[test]
fn a_log_at_its_bound_takes_the_record_without_a_change_that_a_start_may_need() {
    let disk = StrictDisk::default();
    let settings = LocalLogSettings { log_bytes_max: 1 << 14, ..small() };
    let (log, _) = LocalLog::open(disk.env(1), Path::new("data"), settings).unwrap();
    let lanes = conformance::lanes(&log, 2);
    while log.append(&lanes, &[1; 500]).is_ok() {}
    while log.append(&lanes, &[1; 2]).is_ok() {}
    assert!(matches!(log.append(&lanes, &[1; 2]), Err(LogError::Full { .. })));
    log.append(&lanes, &[0]).unwrap();
    log.commit(log.accepted(), Safety::Durable).unwrap();
}
