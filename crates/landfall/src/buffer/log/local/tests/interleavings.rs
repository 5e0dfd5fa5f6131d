//! The group commit in every order that a scheduler comes to: writers, the sync of `everysec` and upkeep at once, with
//! others going on in the middle of each step of the disk. What was acknowledged as durable is on the disk at that moment.

use std::path::PathBuf;

use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use super::*;
use crate::env::seeded::Dice;
use crate::env::strict_disk::{Keep, Verdict};
use crate::sync::explore::{explore, others_go_on};

const WRITERS: u8 = 3;
const WRITES: u8 = 2;

/// A segment takes a few records, so that some writes begin the next one.
fn open(disk: &StrictDisk, seed: u64) -> LocalLog {
    let segment_bytes = segment::DATA_START + 1024;
    let settings = LocalLogSettings { segment_bytes, record_bytes_max: 700, zero_fill: false, ..small() };
    LocalLog::open(disk.env_with_clock(seed, 600), Path::new("data"), settings).unwrap().0
}

fn body(writer: u8, n: u8) -> Vec<u8> {
    [writer, n, 0xa5, 0x5a].repeat(60)
}

/// Whether the power could go now without taking this record.
fn is_on_the_disk(disk: &StrictDisk, body: &[u8]) -> bool {
    let disk = disk.fork();
    disk.crash(Keep::Nothing, &mut Dice(1));
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|end| end == "seg");
    let holds = |path: PathBuf| disk.content(&path).windows(body.len()).any(|bytes| bytes == body);
    disk.files().into_iter().filter(is_segment).any(holds)
}

/// Writes, and checks each acknowledgement; returns the last position that was acknowledged.
fn write(log: &LocalLog, disk: &StrictDisk, lane: LaneId, writer: u8) -> Position {
    let mut acknowledged = 0;
    for n in 0..WRITES {
        let Ok(appended) = log.append(&[lane], &body(writer, n)) else { break };
        match log.commit(appended.end, Safety::Durable) {
            Ok(()) => {
                assert!(is_on_the_disk(disk, &body(writer, n)), "acknowledged, and not on the disk");
                acknowledged = appended.places[0].position;
            }
            // The sync that failed was one of the log, or one that makes room.
            Err(LogError::Poisoned { .. } | LogError::Io { .. }) => break,
            Err(other) => panic!("{other}"),
        }
    }
    acknowledged
}

fn everybody_commits() {
    let disk = StrictDisk::default();
    let log = Arc::new(open(&disk, 1));
    let lane = conformance::lanes(&*log, 1)[0];
    let sound = thread_rng().gen_bool(0.7);
    if !sound {
        disk.fail_sync(disk.syncs() + thread_rng().gen_range(1..8));
    }
    disk.set_hook(Arc::new(|_, _| {
        others_go_on();
        Verdict::Done
    }));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (log, disk) = (log.clone(), disk.clone());
            thread::spawn(move || write(&log, &disk, lane, writer))
        })
        .collect();
    let background = {
        let log = log.clone();
        thread::spawn(move || {
            for _ in 0..2 {
                // What fails here fails for the writers too.
                let _ = log.commit(log.accepted(), Safety::Durable);
                let _ = log.upkeep();
            }
        })
    };
    let acknowledged = writers.into_iter().map(|writer| writer.join().unwrap()).max().unwrap();
    background.join().unwrap();
    let head = log.head(lane).position;
    assert!(
        !sound || acknowledged == head && head == u64::from(WRITERS * WRITES),
        "{acknowledged} of {head}"
    );
    drop(log);
    disk.set_hook(Arc::new(|_, _| Verdict::Done));
    disk.crash(Keep::Nothing, &mut Dice(2));
    let log = open(&disk, 2);
    let there = log.head(lane).position;
    assert!(there >= acknowledged, "{there} of {acknowledged}");
    assert_eq!(conformance::read(&log, &[(lane, 0)]).unwrap().len() as u64, there);
}

#[test]
fn whatever_is_acknowledged_is_on_the_disk_in_every_order_of_writers_and_syncs() {
    explore(everybody_commits);
}
