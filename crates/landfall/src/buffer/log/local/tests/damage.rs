//! Damage of every byte: the log is identical or refused, and never shorter in silence.

use std::path::PathBuf;

use super::*;

type Content = (Vec<(LaneName, LaneId)>, Vec<Head>, Vec<Record>);

fn tiny() -> LocalLogSettings {
    LocalLogSettings { segment_bytes: segment::DATA_START + 1024, record_bytes_max: 700, ..small() }
}

fn open(disk: &StrictDisk) -> Result<(LocalLog, Recovery), LogError> {
    LocalLog::open(disk.env(9), Path::new("data"), tiny())
}

/// Everything a log holds, as positions and bodies: addresses may move when a log is opened.
fn content(log: &LocalLog) -> Content {
    let lanes = log.lanes();
    let heads = lanes.iter().map(|(_, lane)| log.head(*lane)).collect();
    let after: Vec<_> = lanes.iter().map(|(_, lane)| (*lane, 0)).collect();
    let mut records = conformance::read(log, &after).unwrap();
    records.iter_mut().for_each(|record| record.address = 0);
    (lanes, heads, records)
}

fn append(log: &LocalLog, lanes: &[LaneId], numbers: std::ops::Range<u8>) {
    for n in numbers {
        let to = if n % 4 == 0 { lanes } else { &lanes[..1] };
        log.append(to, &vec![n; n as usize * 5 % 90]).unwrap();
    }
}

/// Every file with what is in it.
fn everything(disk: &StrictDisk) -> Vec<(PathBuf, Vec<u8>)> {
    disk.files().into_iter().map(|path| (path.clone(), disk.content(&path))).collect()
}

fn segments(disk: &StrictDisk) -> Vec<PathBuf> {
    let dir = Path::new("data/log");
    let names = disk.list(dir).unwrap();
    names.into_iter().filter(|name| name.ends_with(".seg")).map(|name| dir.join(name)).collect()
}

#[test]
fn a_flipped_bit_anywhere_in_a_closed_log_changes_nothing_or_is_refused() {
    let disk = StrictDisk::default();
    let (log, _) = open(&disk).unwrap();
    let lanes = conformance::lanes(&log, 2);
    append(&log, &lanes, 0..30);
    log.set_note("landed", b"content").unwrap();
    log.close().unwrap();
    let expected = content(&log);
    drop(log);
    let mut files = segments(&disk);
    assert_eq!(files.len(), 3);
    files.push("data/META".into());
    let mut refused = 0;
    for path in &files {
        let bytes = disk.content(path);
        // The zeros of the header page are looked at now and then only.
        let interesting = |at: &usize| !(128..4096).contains(at) || at.is_multiple_of(64) || at % 512 < 24;
        for at in (0..bytes.len()).filter(interesting) {
            let disk = disk.fork();
            disk.change(path, |bytes| bytes[at] ^= 1 << (at % 8));
            let before = everything(&disk);
            match open(&disk) {
                Ok((log, _)) => assert_eq!(content(&log), expected, "{} at {at}", path.display()),
                Err(LogError::Damaged { file, .. }) => {
                    refused += 1;
                    assert_eq!(&file, path);
                    assert!(everything(&disk) == before, "{} at {at}: refused, and changed", path.display());
                }
                Err(other) => panic!("{} at {at}: {other}", path.display()),
            }
        }
    }
    assert!(refused > 2000, "{refused}");
}

#[test]
fn a_missing_segment_or_meta_is_refused() {
    let disk = StrictDisk::default();
    let (log, _) = open(&disk).unwrap();
    let lanes = conformance::lanes(&log, 2);
    append(&log, &lanes, 0..60);
    log.close().unwrap();
    drop(log);
    let files = segments(&disk);
    assert!(files.len() > 4);
    for path in files[1..files.len() - 1].iter().chain([&"data/META".into()]) {
        let disk = disk.fork();
        disk.remove(path).unwrap();
        let refused = open(&disk).map(drop).unwrap_err();
        let LogError::Damaged { file, .. } = &refused else { panic!("{refused}") };
        assert_eq!(file, path);
    }
    files.iter().for_each(|path| disk.remove(path).unwrap());
    assert!(matches!(open(&disk), Err(LogError::Damaged { .. })));
}

#[test]
fn without_its_oldest_segment_a_log_refuses_what_was_in_it() {
    let disk = StrictDisk::default();
    let (log, _) = open(&disk).unwrap();
    let lanes = conformance::lanes(&log, 2);
    append(&log, &lanes, 0..60);
    log.close().unwrap();
    drop(log);
    disk.remove(&segments(&disk)[0]).unwrap();
    let (log, _) = open(&disk).unwrap();
    let refused = conformance::read(&log, &[(lanes[0], 0)]);
    assert!(matches!(refused, Err(LogError::Trimmed { position: 1, .. })), "{refused:?}");
}

#[test]
fn the_last_group_may_be_cut_at_every_byte_and_nothing_before_it() {
    let disk = StrictDisk::default();
    let (log, _) = LocalLog::open(disk.env(1), Path::new("data"), small()).unwrap();
    let lanes = conformance::lanes(&log, 2);
    append(&log, &lanes, 0..8);
    log.commit(log.accepted(), Safety::Durable).unwrap();
    let safe = log.accepted();
    append(&log, &lanes, 8..20);
    log.commit(log.accepted(), Safety::Durable).unwrap();
    let (_, _, expected) = content(&log);
    let [path] = &segments(&disk)[..] else { panic!() };
    let marked = segment::DATA_START + safe;
    let end = segment::DATA_START + log.accepted();
    drop(log);
    for zeroed in [false, true] {
        for at in segment::DATA_START..end + 9 {
            let disk = disk.fork();
            disk.change(path, |bytes| {
                let length = bytes.len();
                bytes.truncate(at as usize);
                bytes.resize(if zeroed { length } else { bytes.len() }, 0);
            });
            let opened = LocalLog::open(disk.env(2), Path::new("data"), small());
            if at < marked {
                assert!(matches!(opened, Err(LogError::Damaged { .. })), "cut at {at}");
                continue;
            }
            let (log, recovery) = opened.unwrap();
            let (_, _, records) = content(&log);
            assert!(records.len() >= 8, "cut at {at}");
            assert_eq!(records[..], expected[..records.len()]);
            assert_eq!(recovery.records, records.len() as u64);
            assert_eq!(recovery.torn_bytes > 0, !recovery.quarantined.is_empty());
            if at >= end {
                assert_eq!((records.len(), recovery.torn_bytes), (20, 0));
            }
            log.append(&lanes, b"more").unwrap();
            log.commit(log.accepted(), Safety::Durable).unwrap();
        }
    }
}

#[test]
fn what_is_cut_is_kept_aside() {
    let disk = StrictDisk::default();
    let (log, _) = LocalLog::open(disk.env(1), Path::new("data"), small()).unwrap();
    let lanes = conformance::lanes(&log, 1);
    log.append(&lanes, b"whole").unwrap();
    log.append(&lanes, b"a body that is torn").unwrap();
    log.commit(log.accepted(), Safety::Durable).unwrap();
    drop(log);
    let [path] = &segments(&disk)[..] else { panic!() };
    let body = disk.content(path).windows(4).position(|bytes| bytes == b"torn").unwrap();
    disk.change(path, |bytes| bytes[body] ^= 1);
    let (log, recovery) = LocalLog::open(disk.env(2), Path::new("data"), small()).unwrap();
    assert_eq!(log.head(lanes[0]).position, 1);
    assert_eq!((recovery.records, recovery.torn_bytes), (1, 16 + 12 + 19));
    let kept = disk.content(&recovery.quarantined[0]);
    assert!(kept.windows(11).any(|bytes| bytes == b"a body that"));
}

#[test]
fn a_segment_of_a_newer_format_is_refused_as_such() {
    let disk = StrictDisk::default();
    drop(open(&disk).unwrap());
    disk.change(&segments(&disk)[0], |bytes| {
        bytes[12] |= 4;
        let crc = crc32c::crc32c(&bytes[..96]);
        bytes[96..100].copy_from_slice(&crc.to_le_bytes());
    });
    let before = everything(&disk);
    assert!(matches!(open(&disk), Err(LogError::Format { .. })));
    assert!(everything(&disk) == before, "an older program cuts nothing of a newer one's");
}

#[test]
fn an_idle_log_marks_what_is_durable_so_that_damage_of_the_last_record_is_refused() {
    let disk = StrictDisk::default();
    let open = |seed| LocalLog::open(disk.env_with_clock(seed, 600), Path::new("data"), small());
    let (log, _) = open(1).unwrap();
    let lanes = conformance::lanes(&log, 1);
    log.append(&lanes, b"the last record").unwrap();
    log.commit(log.accepted(), Safety::Durable).unwrap();
    (0..3).for_each(|_| log.upkeep().unwrap());
    drop(log);
    let [path] = &segments(&disk)[..] else { panic!() };
    let body = disk.content(path).windows(4).position(|bytes| bytes == b"last").unwrap();
    disk.change(path, |bytes| bytes[body] ^= 1);
    assert!(matches!(open(2), Err(LogError::Damaged { .. })));
}
