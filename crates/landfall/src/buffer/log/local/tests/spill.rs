//! The spill file: a lane that does not land keeps its records and nobody else's, through crashes, damage and repairs.

use super::*;
use crate::env::seeded::Dice;
use crate::env::strict_disk::{Keep, Step, Verdict};

const DIR: &str = "data";

/// A log whose bound is eight segments.
fn narrow() -> LocalLogSettings {
    LocalLogSettings { log_bytes_max: 1 << 16, ..small() }
}

fn open(disk: &StrictDisk, seed: u64) -> LocalLog {
    LocalLog::open(disk.env(seed), Path::new(DIR), narrow()).unwrap().0
}

fn spill_files(disk: &StrictDisk) -> Vec<String> {
    let names = disk.list(&Path::new(DIR).join("log")).unwrap();
    names.into_iter().filter(|name| name.ends_with(".spill")).collect()
}

/// Two lanes, of which the first does not land.
struct Stuck {
    log: LocalLog,
    /// One record in so many is the first lane's, and each is so many times as long.
    every: u32,
    times: u32,
    lanes: Vec<LaneId>,
    written: u32,
    /// What the first lane owes: its bodies.
    owed: Vec<Vec<u8>>,
}

impl Stuck {
    fn new(disk: &StrictDisk) -> Self {
        let log = open(disk, 1);
        let lanes = conformance::lanes(&log, 2);
        Self { log, every: 40, times: 1, lanes, written: 0, owed: Vec::new() }
    }

    fn body(&self, n: u32) -> Vec<u8> {
        n.to_le_bytes().repeat((20 + n % 60) as usize * self.times as usize)
    }

    /// Writes so many records, and lands those of the second lane.
    fn write(&mut self, count: u32) -> Result<(), LogError> {
        for _ in 0..count {
            let body = self.body(self.written);
            let first = self.written.is_multiple_of(self.every);
            let to = if first { &self.lanes[..1] } else { &self.lanes[1..] };
            let appended = self.log.append(to, &body)?;
            self.written += 1;
            if first {
                self.owed.push(body);
            }
            self.log.commit(appended.end, Safety::Durable)?;
            if !first {
                self.log.landed(self.lanes[1], appended.places[0].position);
            }
            // A spill takes some of them.
            (0..4).try_for_each(|_| self.log.upkeep())?;
        }
        Ok(())
    }

    fn check(&self) {
        self.check_in(&self.log);
    }

    fn check_in(&self, log: &LocalLog) {
        let records = conformance::read(log, &[(self.lanes[0], 0)]).unwrap();
        let found: Vec<_> = records.iter().map(|record| record.body.clone()).collect();
        assert!(found == self.owed, "{} of {} records", found.len(), self.owed.len());
        let positions: Vec<_> = records.iter().map(|record| record.lanes[0].1).collect();
        assert_eq!(positions, (1..=self.owed.len() as u64).collect::<Vec<_>>());
        assert_eq!(log.owed_by(self.lanes[0]).records, self.owed.len() as u64);
    }
}

#[test]
fn a_lane_that_does_not_land_does_not_stop_the_others() {
    let disk = StrictDisk::default();
    let mut stuck = Stuck::new(&disk);
    // Twenty times the bound.
    for _ in 0..60 {
        stuck.write(100).unwrap();
        stuck.check();
        let usage = stuck.log.usage();
        assert!(usage.segments <= 8, "{usage:?}");
    }
    let usage = stuck.log.usage();
    assert!(usage.spilled_bytes > 20_000, "{usage:?}");
    assert_eq!(spill_files(&disk).len(), 1);
    assert!(stuck.log.owed().bytes < 1 << 16);
    assert_eq!(stuck.log.oldest(stuck.lanes[0]).position, 0);
    let anchor = stuck.log.anchor_at(stuck.lanes[0], 70).unwrap();
    assert!(anchor.is_some());
    let oldest = stuck.log.owed().oldest_ms;

    disk.crash(Keep::Nothing, &mut Dice(1));
    let again = open(&disk, 2);
    again.landed(stuck.lanes[1], again.head(stuck.lanes[1]).position);
    stuck.check_in(&again);
    assert_eq!(again.anchor_at(stuck.lanes[0], 70).unwrap(), anchor);
    assert_eq!(again.usage().spilled_bytes, usage.spilled_bytes);
    assert!(again.owed().bytes < 1 << 16 && again.owed().oldest_ms.abs_diff(oldest) <= 250);
    assert!(again.owed_by(stuck.lanes[0]).bytes >= usage.spilled_bytes);

    // It lands, and the file goes.
    stuck.log = again;
    stuck.log.landed(stuck.lanes[0], 70);
    stuck.log.upkeep().unwrap();
    let rest = conformance::read(&stuck.log, &[(stuck.lanes[0], 70)]).unwrap();
    assert_eq!(rest.len(), stuck.owed.len() - 70);
    stuck.log.landed(stuck.lanes[0], stuck.owed.len() as u64);
    stuck.log.upkeep().unwrap();
    assert_eq!((spill_files(&disk).len(), stuck.log.usage().spilled_bytes), (0, 0));
    assert!(matches!(stuck.log.rewind(stuck.lanes[0], 70), Err(LogError::Trimmed { .. })));
    assert_eq!(stuck.log.owed().records, 0);
    drop(stuck.log);
    disk.kill();
    assert_eq!(open(&disk, 3).head(stuck.lanes[0]).position, stuck.owed.len() as u64);
}

#[test]
fn nothing_is_spilled_while_no_lane_lands() {
    let disk = StrictDisk::default();
    let log = open(&disk, 1);
    let lanes = conformance::lanes(&log, 3);
    let full = (0..).find_map(|n| {
        let appended = log.append(&lanes[n % 2..=n % 2], &[1; 500]);
        log.commit(log.accepted(), Safety::Durable).unwrap();
        log.upkeep().unwrap();
        appended.err()
    });
    assert!(matches!(full, Some(LogError::Full { .. })));
    assert_eq!((spill_files(&disk), log.usage().spilled_bytes), (vec![], 0));
}

#[test]
fn a_crash_at_every_step_of_a_spill_leaves_every_record_where_it_is_found_once() {
    // The steps of some spills, each of which takes the place of the one before.
    let mut reached = std::collections::BTreeMap::<String, u32>::new();
    let keeps =
        [(Keep::Nothing, 1), (Keep::Some, 3), (Keep::Everything, 7), (Keep::Names, 5), (Keep::Newest, 5)];
    for (keep, stride) in keeps {
        let mut step = 0;
        loop {
            step += stride;
            let disk = StrictDisk::default();
            let mut stuck = Stuck::new(&disk);
            (stuck.every, stuck.times) = (7, 8);
            stuck.write(20).unwrap();
            disk.stop_at(disk.steps() + step);
            let mut acknowledged = (stuck.written, stuck.owed.len());
            let mut failed = None;
            while stuck.written < 60 && failed.is_none() {
                failed = stuck.write(1).err();
                if failed.is_none() {
                    acknowledged = (stuck.written, stuck.owed.len());
                }
            }
            let finished = failed.is_none();
            *reached.entry(format!("{:?}", spill_files(&disk))).or_default() += 1;
            disk.crash(keep, &mut Dice(step));
            for again in 0..2 {
                let log = LocalLog::open(disk.env(2), Path::new(DIR), narrow());
                let (log, _) =
                    log.unwrap_or_else(|reason| panic!("step {step}, {keep:?}, {again}: {reason}"));
                let head = log.head(stuck.lanes[0]).position as usize;
                assert!((acknowledged.1..=stuck.owed.len()).contains(&head), "step {step}, {keep:?}");
                stuck.owed.truncate(head);
                stuck.check_in(&log);
                assert!(spill_files(&disk).len() <= 1);
                // A survey finds nothing wrong either.
                drop(log);
                let survey = LocalLog::survey(&disk.env(3), Path::new(DIR), &mut |_, _| {}).unwrap();
                assert!(survey.real_damage().next().is_none() && survey.lost.is_empty(), "{survey:?}");
                disk.crash(Keep::Nothing, &mut Dice(step));
            }
            // And it goes on.
            let log = open(&disk, 4);
            log.landed(stuck.lanes[1], log.head(stuck.lanes[1]).position);
            stuck.log = log;
            stuck.write(if step % 10 == 0 { 40 } else { 3 }).unwrap();
            stuck.check();
            if finished {
                break;
            }
        }
        assert!(step > 80, "{step}");
    }
    assert!(reached.len() > 3, "{reached:?}");
}

#[test]
fn a_disk_without_room_for_a_spill_file_changes_nothing() {
    let disk = StrictDisk::default();
    let mut stuck = Stuck::new(&disk);
    stuck.write(40).unwrap();
    let creates = Arc::new(AtomicU64::new(0));
    let seen = creates.clone();
    // Neither a new file nor a longer one: the segments' own files are long enough.
    disk.set_hook(Arc::new(move |disk, step| {
        let drafts = disk.files().iter().any(|path| path.to_string_lossy().contains("log/spill-"));
        match step {
            Step::Write | Step::Sync if drafts => {
                seen.fetch_add(1, Ordering::SeqCst);
                Verdict::Full
            }
            _ => Verdict::Done,
        }
    }));
    let failed = (0..400).find_map(|_| stuck.write(1).err());
    assert!(matches!(failed, Some(LogError::Io { .. } | LogError::Poisoned { .. })), "{failed:?}");
    assert!(creates.load(Ordering::SeqCst) > 0);
    disk.set_hook(Arc::new(|_, _| Verdict::Done));
    assert!(spill_files(&disk).is_empty());
    disk.kill();
    let log = open(&disk, 2);
    stuck.check_in(&log);
    assert!(disk.files().iter().all(|path| !path.to_string_lossy().contains("log/spill-")));
}

#[test]
fn a_spill_file_with_any_byte_changed_or_missing_is_refused_and_the_survey_says_where() {
    let disk = StrictDisk::default();
    let mut stuck = Stuck::new(&disk);
    stuck.write(900).unwrap();
    stuck.log.close().unwrap();
    disk.crash(Keep::Nothing, &mut Dice(1));
    let [name] = &spill_files(&disk)[..] else { panic!("no spill file") };
    let path = Path::new(DIR).join("log").join(name);
    let whole = disk.content(&path);
    let look = |disk: &StrictDisk, refused: bool, context: &str| {
        let disk = disk.fork();
        let before = disk.files();
        let survey = LocalLog::survey(&disk.env(7), Path::new(DIR), &mut |_, _| {}).unwrap();
        assert_eq!(survey.real_damage().next().is_some(), refused, "{context}: {survey:?}");
        let opened = LocalLog::open(disk.env(8), Path::new(DIR), narrow());
        match opened {
            Ok((log, _)) => {
                assert!(!refused, "{context}");
                stuck.check_in(&log);
            }
            Err(LogError::Damaged { file, .. } | LogError::Format { file, .. }) => {
                assert!(refused && file == path, "{context}");
                assert_eq!(disk.files(), before, "{context}: a refusal changes nothing");
            }
            Err(other) => panic!("{context}: {other}"),
        }
    };
    look(&disk, false, "whole");
    for at in 0..whole.len() {
        // Of the page only the header is looked at.
        let matters = !(100..4096).contains(&at);
        if at % 7 == 0 || at < 100 {
            let changed = disk.fork();
            changed.change(&path, |bytes| bytes[at] ^= 0x20);
            look(&changed, matters, &format!("byte {at}"));
        }
        if at % 97 == 0 {
            let cut = disk.fork();
            cut.change(&path, |bytes| bytes.truncate(at));
            look(&cut, true, &format!("length {at}"));
        }
    }
    let lost = disk.fork();
    lost.remove(&path).unwrap();
    look(&lost, true, "lost");
}

#[test]
fn a_repair_takes_what_the_spill_file_holds_into_its_segment() {
    for damage_segment in [false, true] {
        let disk = StrictDisk::default();
        let mut stuck = Stuck::new(&disk);
        stuck.write(900).unwrap();
        stuck.log.close().unwrap();
        let (heads, lineage) = ([0, 1].map(|lane| stuck.log.head(stuck.lanes[lane])), stuck.log.lineage());
        let third = stuck.log.anchor_at(stuck.lanes[0], 3).unwrap().unwrap();
        disk.crash(Keep::Nothing, &mut Dice(1));
        let [name] = &spill_files(&disk)[..] else { panic!("no spill file") };
        let spill = Path::new(DIR).join("log").join(name);
        let segments = || {
            let names = disk.list(&Path::new(DIR).join("log")).unwrap();
            names.into_iter().filter(|name| name.ends_with(".seg")).collect::<Vec<_>>()
        };
        // Either in a segment, in a record of the lane that has landed; or in the spill file, the fifth record.
        let wanted = if damage_segment { stuck.body(stuck.written - 30) } else { stuck.owed[4].clone() };
        let place = |path: &Path| disk.content(path).windows(wanted.len()).position(|bytes| bytes == wanted);
        let broken = match damage_segment {
            false => spill.clone(),
            true => {
                let paths = segments().into_iter().map(|name| Path::new(DIR).join("log").join(name));
                paths.into_iter().find(|path| place(path).is_some()).expect("it is in a segment")
            }
        };
        let at = place(&broken).unwrap();
        disk.change(&broken, |bytes| bytes[at] ^= 1);
        let mut watermark = |lane: LaneId| {
            let head = if lane == stuck.lanes[1] { heads[1] } else { Head { position: 3, anchor: third } };
            Ok(Some(crate::model::Watermark {
                lineage,
                epoch: 1,
                position: head.position,
                anchor: head.anchor,
            }))
        };
        let mut repair = |permission| {
            let env = disk.env(5);
            LocalLog::repair(&env, Path::new(DIR), &narrow(), permission, &mut watermark, &mut |_, _| {})
        };
        let found = repair(Permission::LoseNothing).unwrap();
        let owed = stuck.owed.len() as u64 - 3;
        if damage_segment {
            assert!(found.done && found.lost.is_empty(), "{found:?}");
            assert_eq!(found.kept_records, owed);
        } else {
            assert!(
                !found.done && found.lost == [Lost { lane: stuck.lanes[0], from: 5, to: 5 }],
                "{found:?}"
            );
            assert!(repair(Permission::DeclareLoss).unwrap().done);
        }
        assert!(spill_files(&disk).is_empty());
        let log = open(&disk, 6);
        let records = conformance::read(&log, &[(stuck.lanes[0], 3)]).unwrap();
        let found: Vec<_> = records.into_iter().map(|record| record.body).collect();
        let mut expected = stuck.owed[3..].to_vec();
        if !damage_segment {
            expected.remove(1);
        }
        assert!(found == expected);
    }
}

#[test]
fn what_a_start_has_copied_to_new_addresses_is_not_taken_for_spilled() {
    let disk = StrictDisk::default();
    let open = |seed, settings| LocalLog::open(disk.env(seed), Path::new(DIR), settings).unwrap().0;
    let log = open(1, narrow());
    let lanes = conformance::lanes(&log, 2);
    for _ in 0..40 {
        let appended = log.append(&lanes[1..], &[1; 1000]).unwrap();
        log.commit(appended.end, Safety::Durable).unwrap();
        log.landed(lanes[1], appended.places[0].position);
        log.upkeep().unwrap();
    }
    drop(log);
    // One sync for many segments: all of it is durable, and no mark says so. It is spilled, and every segment is kept.
    let log = open(2, LocalLogSettings { retention_bytes: 1 << 20, ..narrow() });
    log.landed(lanes[1], 40);
    for n in 0..90 {
        log.append(&lanes[n % 2..=n % 2], &[n as u8; 500]).unwrap();
    }
    log.commit(log.accepted(), Safety::Durable).unwrap();
    log.landed(lanes[1], log.head(lanes[1]).position);
    (0..20).for_each(|_| log.upkeep().unwrap());
    assert!(log.usage().spilled_bytes > 0);
    drop(log);
    disk.kill();
    // So a start copies them, which moves every record to another address.
    let check = |log: &LocalLog| {
        let found = conformance::read(log, &[(lanes[0], 0)]).unwrap();
        let expected = (0..90).step_by(2);
        assert!(found.iter().map(|record| record.body[0]).eq(expected), "{} records", found.len());
    };
    for seed in 3..6 {
        let log = open(seed, narrow());
        log.landed(lanes[1], log.head(lanes[1]).position);
        check(&log);
        for _ in 0..25 {
            let appended = log.append(&lanes[1..], &[1; 1000]).unwrap();
            log.commit(appended.end, Safety::Durable).unwrap();
            log.landed(lanes[1], appended.places[0].position);
            (0..4).for_each(|_| log.upkeep().unwrap());
            check(&log);
        }
        drop(log);
        disk.kill();
    }
}

#[test]
fn a_lane_that_is_taken_back_while_it_is_left_behind_keeps_what_it_owes() {
    let disk = StrictDisk::default();
    let log = open(&disk, 1);
    let lanes = conformance::lanes(&log, 3);
    let write = |lane: usize, count: u32, land: bool| {
        for n in 0..count {
            let appended = log.append(&lanes[lane..=lane], &n.to_le_bytes().repeat(125)).unwrap();
            log.commit(appended.end, Safety::Durable).unwrap();
            if land {
                log.landed(lanes[lane], appended.places[0].position);
            }
        }
    };
    // Two lanes are spilled, and one of them lands.
    write(0, 5, false);
    write(1, 5, false);
    write(2, 70, true);
    (0..20).for_each(|_| log.upkeep().unwrap());
    assert_eq!(log.spilled.read().as_ref().map(|spill| spill.parts.len()), Some(2));
    log.landed(lanes[1], 5);
    write(0, 3, false);
    write(2, 70, true);
    // The next spill leaves it behind; while it is made, the database goes back.
    let is_made = || disk.files().iter().any(|path| path.to_string_lossy().contains("log/spill-"));
    assert!((0..20).any(|_| {
        log.upkeep().unwrap();
        is_made()
    }));
    log.rewind(lanes[1], 2).unwrap();
    (0..40).for_each(|_| log.upkeep().unwrap());
    let read = |lane: usize, after| conformance::read(&log, &[(lanes[lane], after)]).unwrap().len();
    assert_eq!((read(0, 0), read(1, 2)), (8, 3));
    assert_eq!(log.owed_by(lanes[1]).records, 3);
}

#[test]
fn a_repair_that_is_stopped_at_any_step_leaves_a_log_that_can_be_repaired_or_opened() {
    let disk = StrictDisk::default();
    let mut stuck = Stuck::new(&disk);
    stuck.write(900).unwrap();
    stuck.log.close().unwrap();
    let (heads, lineage) = ([0, 1].map(|lane| stuck.log.head(stuck.lanes[lane])), stuck.log.lineage());
    disk.crash(Keep::Nothing, &mut Dice(1));
    let [name] = &spill_files(&disk)[..] else { panic!("no spill file") };
    // The fifth record of the lane is gone: a loss, behind which positions move up.
    let path = Path::new(DIR).join("log").join(name);
    let at = disk.content(&path).windows(stuck.owed[4].len()).position(|bytes| bytes == stuck.owed[4]);
    disk.change(&path, |bytes| bytes[at.unwrap()] ^= 1);
    let mut watermark = |lane: LaneId| {
        let start = Head { position: 0, anchor: Anchor::START };
        let head = if lane == stuck.lanes[1] { heads[1] } else { start };
        Ok(Some(crate::model::Watermark { lineage, epoch: 1, position: head.position, anchor: head.anchor }))
    };
    let mut repair = |disk: &StrictDisk| {
        let (env, loss) = (disk.env(5), Permission::DeclareLoss);
        LocalLog::repair(&env, Path::new(DIR), &narrow(), loss, &mut watermark, &mut |_, _| {})
    };
    let mut half_done = 0;
    for (step, keep) in (1..).flat_map(|step| [(step, Keep::Nothing), (step, Keep::Everything)]) {
        let disk = disk.fork();
        disk.stop_at(disk.steps() + step);
        let done = repair(&disk).is_ok_and(|repair| repair.done);
        disk.crash(keep, &mut Dice(step));
        let mut opened = LocalLog::open(disk.env(6), Path::new(DIR), narrow());
        if opened.is_err() {
            assert!(!done && repair(&disk).unwrap().done, "step {step}, {keep:?}");
            opened = LocalLog::open(disk.env(7), Path::new(DIR), narrow());
        } else {
            half_done += u64::from(!done);
        }
        let (log, _) = opened.unwrap_or_else(|reason| panic!("step {step}, {keep:?}: {reason}"));
        let found = conformance::read(&log, &[(stuck.lanes[0], 0)]).unwrap();
        assert_eq!(found.len(), stuck.owed.len() - 1, "step {step}, {keep:?}");
        assert!(spill_files(&disk).is_empty(), "step {step}, {keep:?}");
        if done {
            break;
        }
    }
    assert!(
        half_done > 0,
        "stopped behind the name of the new segment, and before META forgets the spill file"
    );
}

#[test]
fn segments_that_end_before_what_was_spilled_of_them_are_refused() {
    let disk = StrictDisk::default();
    let mut stuck = Stuck::new(&disk);
    stuck.write(400).unwrap();
    assert!(stuck.log.usage().spilled_bytes > 0);
    drop(stuck.log);
    // Started anew so that what is spilled next is kept as segments too.
    let settings = LocalLogSettings { retention_bytes: 1 << 20, ..narrow() };
    stuck.log = LocalLog::open(disk.env(2), Path::new(DIR), settings).unwrap().0;
    stuck.log.landed(stuck.lanes[1], stuck.log.head(stuck.lanes[1]).position);
    let before = stuck.log.usage().spilled_bytes;
    while stuck.log.usage().spilled_bytes == before {
        stuck.write(1).unwrap();
    }
    let through = stuck.log.spilled.read().as_ref().map_or(0, |spill| spill.header.through);
    let segments: Vec<_> =
        stuck.log.segments.read().iter().map(|segment| (segment.header.base, segment.path.clone())).collect();
    drop(stuck.log);
    disk.kill();
    let kept = segments.iter().filter(|(base, _)| *base < through).count();
    assert!(kept > 2, "{segments:?}");
    // Without its youngest segments it looks like a whole log that is shorter.
    for (_, path) in &segments[2..] {
        disk.remove(path).unwrap();
    }
    let refused = LocalLog::open(disk.env(3), Path::new(DIR), narrow()).map(drop);
    assert!(matches!(refused, Err(LogError::Damaged { .. })), "{refused:?}");
}
