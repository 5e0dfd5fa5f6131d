//! Crashes at every step and by the dice, many in a row: after each one the log holds a prefix of what was
//! appended, and all that was acknowledged as durable.

use super::*;
use crate::env::seeded::Dice;
use crate::env::strict_disk::Keep;

/// One thing that was asked of the log, in the order of the log.
enum Entry {
    Lane(LaneName),
    Record(Vec<usize>, Vec<u8>),
    Gap(usize, Head),
}

/// What the log must hold.
#[derive(Default)]
struct Model {
    entries: Vec<Entry>,
    /// How many of the entries were acknowledged as durable.
    acknowledged: usize,
    landed: Vec<Position>,
    note: Option<Vec<u8>>,
    /// A note whose outcome is not known.
    maybe_note: Option<Vec<u8>>,
}

/// A record's lanes and positions, and its body.
type Found = (Vec<(LaneId, Position)>, Vec<u8>);

/// The lanes after some entries, and the records behind what has landed.
struct Expected {
    lanes: Vec<LaneName>,
    heads: Vec<Head>,
    records: Vec<Found>,
}

impl Model {
    fn after(&self, count: usize, lineage: Lineage) -> Expected {
        let mut expected = Expected { lanes: Vec::new(), heads: Vec::new(), records: Vec::new() };
        for entry in &self.entries[..count] {
            match entry {
                Entry::Lane(name) => {
                    expected.lanes.push(name.clone());
                    expected.heads.push(Head { position: 0, anchor: Anchor::START });
                }
                Entry::Gap(lane, to) => expected.heads[*lane] = *to,
                Entry::Record(lanes, body) => {
                    let hash = Anchor::body_hash(body);
                    let mut places = Vec::new();
                    for &lane in lanes {
                        let (id, head) = (LaneId(lane as u32), &mut expected.heads[lane]);
                        let position = head.position + 1;
                        *head = Head { position, anchor: head.anchor.next(&lineage, id, position, hash) };
                        places.push((id, position));
                    }
                    if places.iter().any(|&(lane, position)| position > self.landed[lane.0 as usize]) {
                        expected.records.push((places, body.clone()));
                    }
                }
            }
        }
        expected
    }

    /// Compares the log with the model, and the model forgets what the log does not have.
    fn check(&mut self, log: &LocalLog, context: &str) {
        let names: Vec<LaneName> = log.lanes().into_iter().map(|(name, _)| name).collect();
        let heads: Vec<Head> = (0..names.len()).map(|lane| log.head(LaneId(lane as u32))).collect();
        // The anchors tell which prefix it is. The longest: a lost lane has no record.
        let prefix = (self.acknowledged..=self.entries.len()).rev().find(|&count| {
            let expected = self.after(count, log.lineage());
            expected.lanes == names && expected.heads == heads
        });
        let Some(count) = prefix else {
            panic!("{context}: the log is no prefix with what was acknowledged: {heads:?}");
        };
        self.landed.truncate(names.len());
        let expected = self.after(count, log.lineage());
        for (lane, landed) in self.landed.iter().enumerate() {
            log.landed(LaneId(lane as u32), *landed);
        }
        let after: Vec<_> = (0..).map(LaneId).zip(self.landed.iter().copied()).collect();
        let records = conformance::read(log, &after)
            .unwrap_or_else(|reason| panic!("{context}: {reason}, landed {:?}", self.landed));
        let found: Vec<Found> =
            records.into_iter().map(|record| (record.lanes.to_vec(), record.body)).collect();
        assert!(found == expected.records, "{context}: other records");
        let owed = expected.records.iter().flat_map(|(places, _)| places);
        let owed = owed.filter(|(lane, position)| *position > self.landed[lane.0 as usize]).count();
        assert_eq!(log.owed_records(), owed as u64, "{context}");
        let note = log.note("note").unwrap();
        assert!(note == self.note || note == self.maybe_note, "{context}: the note");
        (self.note, self.maybe_note) = (note.clone(), note);
        self.entries.truncate(count);
        self.acknowledged = count;
    }
}

/// What kind of work a run does.
#[derive(Clone)]
struct Shape {
    settings: LocalLogSettings,
    /// How many steps it does at most between two ends.
    steps: u64,
    /// The first lanes hardly ever land, the others always do so as a whole.
    stuck_lanes: usize,
}

impl Shape {
    fn plain() -> Self {
        Self { settings: small(), steps: 150, stuck_lanes: 0 }
    }

    /// The log puts its records into files in memory.
    fn mapped() -> Self {
        Self { settings: mapped(), ..Shape::plain() }
    }

    /// Some lanes do not land, and the log is too small for what the others write meanwhile.
    fn stuck() -> Self {
        Self { settings: LocalLogSettings { log_bytes_max: 1 << 16, ..small() }, steps: 700, stuck_lanes: 2 }
    }

    fn landed(&self, lane: usize, (from, head): (Position, Position), dice: &mut Dice) -> Position {
        match lane < self.stuck_lanes {
            _ if self.stuck_lanes == 0 => from + dice.below(head - from + 1),
            true if dice.one_in(25) => from + dice.below(head - from + 1),
            true => from,
            false => head,
        }
    }
}

/// One step of a client by the dice. An error means that the process must end.
fn step(log: &LocalLog, model: &mut Model, dice: &mut Dice, shape: &Shape) -> Result<(), LogError> {
    let lanes = model.landed.len();
    match dice.below(20) {
        0 if lanes < 5 => {
            let name = conformance::lane_name("flight", lanes as u32);
            model.entries.push(Entry::Lane(name.clone()));
            model.landed.push(0);
            let added = log.add_lanes(&[name])?;
            assert_eq!(added, [LaneId(lanes as u32)]);
            model.acknowledged = model.entries.len();
        }
        1 if dice.one_in(3) => {
            let lane = dice.below(lanes as u64) as usize;
            let position = log.head(LaneId(lane as u32)).position + 1 + dice.below(10);
            let to = Head { position, anchor: Anchor([dice.next() as u8; 16]) };
            model.entries.push(Entry::Gap(lane, to));
            log.gap(&[(LaneId(lane as u32), to)])?;
            model.acknowledged = model.entries.len();
            // The database is there already.
            log.landed(LaneId(lane as u32), position);
            model.landed[lane] = position;
        }
        2 => log.commit(log.accepted(), Safety::Written)?,
        3..=5 => {
            log.commit(log.accepted(), Safety::Durable)?;
            model.acknowledged = model.entries.len();
        }
        6 => {
            log.commit(log.accepted(), Safety::Durable)?;
            model.acknowledged = model.entries.len();
            for lane in 0..lanes {
                let head = log.head(LaneId(lane as u32)).position;
                let landed = shape.landed(lane, (model.landed[lane], head), dice);
                log.landed(LaneId(lane as u32), landed);
                model.landed[lane] = landed;
            }
        }
        7 => log.upkeep()?,
        8 => {
            let note = vec![dice.next() as u8; dice.below(2000) as usize];
            model.maybe_note = Some(note.clone());
            log.set_note("note", &note)?;
            model.note = Some(note);
        }
        _ => {
            let mut to: Vec<usize> = (0..lanes).filter(|_| dice.one_in(3)).collect();
            if to.is_empty() {
                to.push(dice.below(lanes as u64) as usize);
            }
            let size = if dice.one_in(10) { dice.below(3500) } else { dice.below(200) };
            let body: Vec<u8> = (0..size).map(|_| dice.next() as u8).collect();
            let ids: Vec<LaneId> = to.iter().map(|&lane| LaneId(lane as u32)).collect();
            match log.append(&ids, &body) {
                Err(LogError::Full { .. }) if shape.stuck_lanes > 0 => return Ok(()),
                appended => appended?,
            };
            model.entries.push(Entry::Record(to, body));
        }
    }
    Ok(())
}

/// Opens, checks, works until the power goes, and all of it again, five deep. How many starts found a spill file.
fn run(seed: u64, shape: &Shape) -> u64 {
    let mut spilled = 0;
    let mut dice = Dice(seed);
    let disk = StrictDisk::default();
    let mut model = Model::default();
    for depth in 0..6 {
        let context = format!("seed {seed}, depth {depth}");
        // Now and then the power goes while the log is opened.
        if dice.one_in(3) {
            disk.stop_at(disk.steps() + 1 + dice.below(25));
            drop(LocalLog::open(disk.env(dice.next()), Path::new("data"), shape.settings.clone()));
            end(&disk, &mut dice);
        }
        let (log, _) = LocalLog::open(disk.env(dice.next()), Path::new("data"), shape.settings.clone())
            .unwrap_or_else(|reason| panic!("{context}: {reason}"));
        spilled += u64::from(log.usage().spilled_bytes > 0);
        model.check(&log, &context);
        if depth == 5 {
            break;
        }
        if model.landed.is_empty() {
            model.landed.push(0);
            model.entries.push(Entry::Lane(conformance::lane_name("flight", 0)));
            log.add_lanes(&[conformance::lane_name("flight", 0)]).unwrap();
            model.acknowledged = 1;
        }
        match dice.below(3) {
            0 => disk.stop_at(disk.steps() + 1 + dice.below(shape.steps)),
            1 => disk.fail_sync(disk.syncs() + 1 + dice.below(20)),
            _ => {}
        }
        for _ in 0..dice.below(shape.steps) {
            if step(&log, &mut model, &mut dice, shape).is_err() {
                break;
            }
        }
        if dice.one_in(6) && log.close().is_ok() {
            model.acknowledged = model.entries.len();
        }
        drop(log);
        end(&disk, &mut dice);
    }
    spilled
}

/// The end of a process, or of its machine.
fn end(disk: &StrictDisk, dice: &mut Dice) {
    match dice.below(6) {
        0 => disk.crash(Keep::Nothing, dice),
        1 => disk.crash(Keep::Everything, dice),
        2 => disk.kill(),
        _ => disk.crash(Keep::Some, dice),
    }
}

#[test]
fn after_crashes_five_deep_the_log_holds_a_prefix_with_all_that_was_acknowledged() {
    let spilled: u64 = (0..400).map(|seed| run(seed, &Shape::plain())).sum();
    assert_eq!(spilled, 0);
}

#[test]
fn after_crashes_five_deep_a_mapped_log_holds_the_same() {
    let spilled: u64 = (0..400).map(|seed| run(seed, &Shape::mapped())).sum();
    assert_eq!(spilled, 0);
}

#[test]
fn after_crashes_five_deep_the_log_holds_the_same_when_some_lanes_do_not_land() {
    let spilled: u64 = (0..120).map(|seed| run(seed, &Shape::stuck())).sum();
    assert!(spilled > 100, "{spilled}");
}

#[test]
fn a_crash_at_every_single_step_loses_nothing_that_was_acknowledged() {
    crash_at_every_single_step(&Shape::plain());
}

#[test]
fn a_crash_at_every_single_step_of_a_mapped_log_loses_nothing_that_was_acknowledged() {
    crash_at_every_single_step(&Shape::mapped());
}

fn crash_at_every_single_step(shape: &Shape) {
    for keep in [Keep::Nothing, Keep::Everything, Keep::Some] {
        for stop in 1.. {
            let context = format!("step {stop}, {keep:?}");
            let disk = StrictDisk::default();
            disk.stop_at(stop);
            let mut model = Model::default();
            let mut dice = Dice(7);
            let mut work = || {
                let (log, _) = LocalLog::open(disk.env(1), Path::new("data"), shape.settings.clone())?;
                model.landed.push(0);
                model.entries.push(Entry::Lane(conformance::lane_name("flight", 0)));
                log.add_lanes(&[conformance::lane_name("flight", 0)])?;
                model.acknowledged = 1;
                (0..120).try_for_each(|_| step(&log, &mut model, &mut dice, shape))?;
                log.close()?;
                model.acknowledged = model.entries.len();
                Ok::<_, LogError>(())
            };
            let finished = work().is_ok();
            disk.crash(keep, &mut Dice(stop));
            for again in 0..2 {
                let (log, _) = LocalLog::open(disk.env(2), Path::new("data"), shape.settings.clone())
                    .unwrap_or_else(|reason| panic!("{context}, {again}: {reason}"));
                model.check(&log, &context);
                drop(log);
                disk.crash(Keep::Nothing, &mut Dice(stop));
            }
            if finished {
                break;
            }
        }
    }
}

#[test]
fn what_an_interrupted_recovery_has_copied_is_not_brought_back_by_the_next() {
    for stop in 1.. {
        let disk = StrictDisk::default();
        let open = |seed| LocalLog::open(disk.env(seed), Path::new("data"), small());
        let (log, _) = open(1).unwrap();
        let lanes = conformance::lanes(&log, 1);
        log.upkeep().unwrap();
        log.append(&lanes, b"durable").unwrap();
        log.commit(log.accepted(), Safety::Durable).unwrap();
        (0..5).for_each(|_| drop(log.append(&lanes, &[7; 600]).unwrap()));
        log.commit(log.accepted(), Safety::Written).unwrap();
        drop(log);
        disk.kill();
        // The first attempt still sees all six, and copies them; the second sees one, unless the first had made
        // its copy a segment.
        disk.stop_at(disk.steps() + stop);
        let finished = open(2).is_ok();
        disk.crash(Keep::Nothing, &mut Dice(stop));
        if finished {
            break;
        }
        let (log, recovery) = open(3).unwrap();
        let found = recovery.records;
        assert!(found == 1 || found == 6, "stopped at {stop}: {found}");
        drop(log);
        for more in 0..3 {
            disk.crash(Keep::Nothing, &mut Dice(stop));
            let (log, recovery) = open(4 + more).unwrap();
            assert_eq!((recovery.records, recovery.torn_bytes), (found + more, 0), "stopped at {stop}");
            assert_eq!(log.append(&lanes, &[8; 600]).unwrap().places[0].position, found + more + 1);
            log.commit(log.accepted(), Safety::Durable).unwrap();
        }
    }
}

#[test]
fn a_segment_that_a_killed_start_has_named_is_there_for_good_before_the_next_start_names_another() {
    for first in 1.. {
        let disk = StrictDisk::default();
        let open = |disk: &StrictDisk, seed| LocalLog::open(disk.env(seed), Path::new("data"), small());
        let (log, _) = open(&disk, 1).unwrap();
        let lanes = conformance::lanes(&log, 1);
        log.upkeep().unwrap();
        (0..5).for_each(|_| drop(log.append(&lanes, &[7; 600]).unwrap()));
        log.commit(log.accepted(), Safety::Durable).unwrap();
        drop(log);
        disk.kill();
        // Killed, a start leaves what it has named; what of it is durable is another matter.
        disk.stop_at(disk.steps() + first);
        let finished = open(&disk, 2).is_ok();
        disk.kill();
        for second in 1.. {
            let disk = disk.fork();
            disk.stop_at(disk.steps() + second);
            let done = open(&disk, 3).is_ok();
            disk.crash(Keep::Newest, &mut Dice(second));
            let opened = open(&disk, 4);
            let (_, recovery) = opened.unwrap_or_else(|why| panic!("stopped at {first}, {second}: {why}"));
            assert_eq!(recovery.records, 5, "stopped at {first}, {second}");
            if done {
                break;
            }
        }
        if finished {
            break;
        }
    }
}

#[test]
fn a_record_of_several_lanes_is_there_for_all_of_them_or_for_none() {
    for seed in 0..200 {
        let disk = StrictDisk::default();
        let open = || LocalLog::open(disk.env(seed), Path::new("data"), small()).unwrap().0;
        let log = open();
        let lanes = conformance::lanes(&log, 3);
        for n in 0..20 {
            log.append(&lanes, &[n; 700]).unwrap();
        }
        log.commit(log.accepted(), Safety::Written).unwrap();
        drop(log);
        disk.crash(Keep::Some, &mut Dice(seed));
        let log = open();
        let lanes: Vec<LaneId> = log.lanes().into_iter().map(|(_, lane)| lane).collect();
        let heads: Vec<Position> = lanes.iter().map(|&lane| log.head(lane).position).collect();
        assert!(heads.windows(2).all(|pair| pair[0] == pair[1]), "seed {seed}: {heads:?}");
    }
}

#[test]
fn starts_that_cannot_remove_what_is_void_do_not_spoil_the_log() {
    let disk = StrictDisk::default();
    let dir = Path::new("data");
    let (log, _) = LocalLog::open(disk.env(1), dir, small()).unwrap();
    let lanes = log.add_lanes(&[conformance::lane_name("flight", 0)]).unwrap();
    let end = log.append(&lanes, b"kept").unwrap().end;
    log.commit(end, Safety::Durable).unwrap();
    drop(log);
    // Each start copies the nearly empty segment before and makes it void (its second rename); none gets to remove it.
    use crate::env::strict_disk::{Step, Verdict};
    let renames = Arc::new(AtomicU64::new(0));
    let counted = renames.clone();
    disk.set_hook(Arc::new(move |_, step| match step {
        Step::Rename => {
            counted.fetch_add(1, Ordering::SeqCst);
            Verdict::Done
        }
        Step::Remove if counted.load(Ordering::SeqCst) == 2 => Verdict::Failed,
        _ => Verdict::Done,
    }));
    for seed in 2..6 {
        disk.kill();
        renames.store(0, Ordering::SeqCst);
        let refused = LocalLog::open(disk.env(seed), dir, small()).err();
        assert!(matches!(refused, Some(LogError::Io { .. })), "{refused:?}");
    }
    disk.set_hook(Arc::new(|_, _| Verdict::Done));
    disk.kill();
    let (log, recovery) = LocalLog::open(disk.env(9), dir, small()).unwrap();
    assert_eq!((recovery.records, log.head(lanes[0]).position), (1, 1));
}

#[test]
fn a_spare_whose_name_a_killed_process_did_not_sync_is_not_written_under_its_old_name() {
    use crate::env::strict_disk::{Step, Verdict};
    let disk = StrictDisk::default();
    let dir = Path::new("data");
    let (log, _) = LocalLog::open(disk.env(1), dir, small()).unwrap();
    let lanes = conformance::lanes(&log, 1);
    for n in 0..20 {
        log.append(&lanes, &[n; 700]).unwrap();
        log.commit(log.accepted(), Safety::Durable).unwrap();
    }
    log.landed(lanes[0], 20);
    // Killed when the oldest segment's file has just become a spare, and the folder is not synced.
    let killed = std::sync::atomic::AtomicBool::new(false);
    disk.set_hook(Arc::new(move |_, step| {
        match step == Step::SyncDir || killed.load(Ordering::SeqCst) {
            true => killed.store(true, Ordering::SeqCst),
            false => return Verdict::Done,
        }
        Verdict::PowerGone
    }));
    assert!(log.upkeep().is_err());
    assert!(disk.list(&dir.join("log")).unwrap().iter().any(|name| name.starts_with(upkeep::SPARE)));
    drop(log);
    disk.kill();
    // The next start makes the spare its new segment, and the power goes before that has its name for good.
    let renamed = Arc::new(AtomicU64::new(0));
    let counted = renamed.clone();
    disk.set_hook(Arc::new(move |_, step| match step {
        // META is renamed first.
        Step::Rename => {
            counted.fetch_add(1, Ordering::SeqCst);
            Verdict::Done
        }
        Step::SyncDir if counted.load(Ordering::SeqCst) == 2 => Verdict::PowerGone,
        _ => Verdict::Done,
    }));
    assert!(LocalLog::open(disk.env(2), dir, small()).is_err());
    assert_eq!(renamed.load(Ordering::SeqCst), 2);
    disk.crash(Keep::Nothing, &mut Dice(1));
    disk.set_hook(Arc::new(|_, _| Verdict::Done));
    let (log, _) = LocalLog::open(disk.env(3), dir, small()).unwrap();
    assert_eq!(log.head(lanes[0]).position, 20);
}

#[test]
fn a_segment_is_kept_until_the_lane_map_of_the_next_one_is_durable() {
    let disk = StrictDisk::default();
    let dir = Path::new("data");
    let (log, _) = LocalLog::open(disk.env(1), dir, small()).unwrap();
    let lanes = log.add_lanes(&[conformance::lane_name("flight", 0)]).unwrap();
    let mut landed = 0;
    while log.usage().segments < 2 {
        landed = log.head(lanes[0]).position;
        log.commit(log.accepted(), Safety::Durable).unwrap();
        // As under `everysec`: the record that begins the next segment is written, and not synced yet.
        let end = log.append(&lanes, &[1; 500]).unwrap().end;
        log.commit(end, Safety::Written).unwrap();
    }
    log.landed(lanes[0], landed);
    log.upkeep().unwrap();
    drop(log);
    disk.crash(Keep::Nothing, &mut Dice(1));
    let (log, _) = LocalLog::open(disk.env(2), dir, small()).unwrap();
    assert_eq!(log.head(lanes[0]).position, landed);
}
