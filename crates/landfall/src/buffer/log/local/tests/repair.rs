//! Repair: a damaged log becomes one that opens, with every whole record that has not landed, in its order; and what is
//! lost is said before, confirmed, and noted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::model::Watermark;

fn tiny() -> LocalLogSettings {
    LocalLogSettings { segment_bytes: segment::DATA_START + 1024, record_bytes_max: 700, ..small() }
}

fn open(disk: &StrictDisk) -> Result<(LocalLog, Recovery), LogError> {
    LocalLog::open(disk.env(9), Path::new("data"), tiny())
}

/// A closed log of 30 records in two lanes over three segments; each record's body is its number, repeated.
struct Made {
    disk: StrictDisk,
    segments: Vec<PathBuf>,
    lineage: Lineage,
    heads: Vec<(LaneId, Head)>,
    /// The anchors of each lane, by position.
    anchors: BTreeMap<(LaneId, Position), Anchor>,
}

fn make() -> Made {
    let disk = StrictDisk::default();
    let (log, _) = open(&disk).unwrap();
    let lanes = conformance::lanes(&log, 2);
    let mut anchors = BTreeMap::new();
    for n in 0..30u8 {
        let to = if n % 4 == 0 { &lanes[..] } else { &lanes[..1] };
        log.append(to, &vec![n; 1 + n as usize * 5 % 90]).unwrap();
        for &lane in &lanes {
            let head = log.head(lane);
            anchors.insert((lane, head.position), head.anchor);
        }
    }
    log.set_note("landed", &[1; 24]).unwrap();
    log.close().unwrap();
    let (lineage, heads) = (log.lineage(), lanes.iter().map(|&lane| (lane, log.head(lane))).collect());
    drop(log);
    let names = disk.list(Path::new("data/log")).unwrap();
    let segments: Vec<PathBuf> = names
        .into_iter()
        .filter(|name| name.ends_with(".seg"))
        .map(|name| Path::new("data/log").join(name))
        .collect();
    assert_eq!(segments.len(), 3);
    Made { disk, segments, lineage, heads, anchors }
}

impl Made {
    /// Repairs with a database that has landed every lane up to these positions.
    fn repair(
        &self,
        disk: &StrictDisk,
        permission: Permission,
        landed: &[Position],
    ) -> Result<Repair, LogError> {
        let mut watermark_of = |lane: LaneId| {
            let position = landed.get(lane.0 as usize).copied().unwrap_or(0);
            let anchor = self.anchors.get(&(lane, position)).copied().unwrap_or(Anchor::START);
            Ok(Some(Watermark { lineage: self.lineage, epoch: 1, position, anchor }))
        };
        let env = disk.env(3);
        LocalLog::repair(&env, Path::new("data"), &tiny(), permission, &mut watermark_of, &mut |_, _| {})
    }

    fn landed(&self) -> Vec<Position> {
        self.heads.iter().map(|(_, head)| head.position).collect()
    }
}

/// The numbers of a log's records, in their order.
fn numbers(log: &LocalLog) -> Vec<u8> {
    let after: Vec<_> = (log.lanes().into_iter())
        .map(|(_, lane)| (lane, log.tail.lock().lane(lane).index.oldest().position))
        .collect();
    conformance::read(log, &after).unwrap().iter().map(|record| record.body[0]).collect()
}

fn bytes_to_flip(bytes: usize) -> impl Iterator<Item = usize> {
    (0..bytes).filter(|at| !(100..4096).contains(at) && (*at < 4096 || at % 3 == 0))
}

#[test]
fn with_everything_landed_a_flipped_byte_anywhere_is_repaired_without_any_loss() {
    let made = make();
    let mut repaired = 0;
    for path in &made.segments {
        for at in bytes_to_flip(made.disk.content(path).len()) {
            let disk = made.disk.fork();
            disk.change(path, |bytes| bytes[at] ^= 1 << (at % 8));
            if open(&disk.fork()).is_ok() {
                continue;
            }
            let repair = made.repair(&disk, Permission::LoseNothing, &made.landed()).unwrap();
            let context = format!("{} at {at}: {repair:?}", path.display());
            if !repair.done {
                // The last segment itself cannot be read: nothing in the log tells where it ended.
                assert!(!repair.survey.unsure.is_empty() && repair.lost.is_empty(), "{context}");
                continue;
            }
            repaired += 1;
            let (log, _) = open(&disk).unwrap_or_else(|reason| panic!("{context}: {reason}"));
            for &(lane, head) in &made.heads {
                assert_eq!(log.head(lane), head, "{context}");
            }
            assert_eq!(numbers(&log), [0u8; 0], "{context}");
            assert!(LocalLog::incidents(&disk.env(1), Path::new("data")).unwrap().is_empty());
        }
    }
    assert!(repaired > 500, "{repaired}");
}

#[test]
fn with_nothing_landed_a_loss_is_listed_and_confirmed_and_all_other_records_stay_in_order() {
    let made = make();
    let mut repaired = 0;
    for path in &made.segments {
        for at in bytes_to_flip(made.disk.content(path).len()) {
            let disk = made.disk.fork();
            disk.change(path, |bytes| bytes[at] ^= 1 << (at % 8));
            if open(&disk.fork()).is_ok() {
                continue;
            }
            let before = disk.content(path);
            for permission in [Permission::DryRun, Permission::LoseNothing] {
                let repair = made.repair(&disk, permission, &[0, 0]).unwrap();
                let loses = repair.loses();
                if permission == Permission::DryRun || loses {
                    assert!(!repair.done);
                    assert_eq!(disk.content(path), before);
                }
            }
            let repair = made.repair(&disk, Permission::DeclareLoss, &[0, 0]).unwrap();
            let context = format!("{} at {at}: {repair:?}", path.display());
            // The attempt before may have done it, when nothing was lost.
            assert!(repair.done || repair.whole, "{context}");
            repaired += 1;
            let (log, _) = open(&disk).unwrap_or_else(|reason| panic!("{context}: {reason}"));
            let left = numbers(&log);
            assert!(left.windows(2).all(|pair| pair[0] < pair[1]), "{context}: {left:?}");
            let missing: Vec<u8> = (0..30).filter(|n| !left.contains(n)).collect();
            let listed: u64 =
                repair.lost.iter().filter(|lost| lost.lane.0 == 0).map(|lost| lost.to - lost.from + 1).sum();
            if repair.survey.unsure.is_empty() {
                assert_eq!(missing.len() as u64, listed, "{context}: {missing:?}");
            }
            let noted = LocalLog::incidents(&disk.env(1), Path::new("data")).unwrap();
            assert!(missing.is_empty() || repair.loses(), "{context}: a loss that nobody was told of");
            assert_eq!(noted.is_empty(), !repair.loses(), "{context}");
            assert_eq!(log.head(made.heads[0].0).position, left.len() as u64, "a lane has no holes");
        }
    }
    assert!(repaired > 500, "{repaired}");
}

#[test]
fn what_lies_above_the_watermark_keeps_its_positions_when_only_landed_records_are_damaged() {
    let made = make();
    let disk = made.disk.clone();
    let body = disk.content(&made.segments[0]).windows(6).position(|bytes| bytes == [3; 6]).unwrap();
    disk.change(&made.segments[0], |bytes| bytes[body] ^= 1);
    let repair = made.repair(&disk, Permission::LoseNothing, &[20, 5]).unwrap();
    assert!(repair.done, "{repair:?}");
    assert_eq!(repair.landed, [Lost { lane: LaneId(0), from: 4, to: 4 }]);
    assert_eq!((repair.kept_records, repair.landed_records), (10, 19));
    let kept = disk.content(&repair.quarantined[0]);
    assert!(kept.windows(5).any(|bytes| bytes == [3; 5]), "the cut bytes are kept");
    let (log, _) = open(&disk).unwrap();
    for &(lane, head) in &made.heads {
        assert_eq!(log.head(lane), head, "the very anchors of before");
    }
    assert_eq!(numbers(&log), (20..30).collect::<Vec<u8>>());
}

#[test]
fn a_missing_segment_and_a_spoiled_note_are_repaired_too() {
    let made = make();
    let disk = made.disk.clone();
    disk.remove(&made.segments[1]).unwrap();
    disk.change(Path::new("data/notes/landed"), |bytes| bytes[40] ^= 1);
    let dry = made.repair(&disk, Permission::DryRun, &[0, 0]).unwrap();
    assert_eq!(dry.survey.real_damage().count(), 1);
    assert!(!dry.lost.is_empty() && dry.survey.unsure.is_empty() && dry.notes.len() == 1, "{dry:?}");
    let repair = made.repair(&disk, Permission::DeclareLoss, &[0, 0]).unwrap();
    assert!(repair.done);
    let (log, _) = open(&disk).unwrap();
    let left = numbers(&log);
    assert!(left.contains(&0) && left.contains(&29) && left.len() < 30, "{left:?}");
    assert_eq!(log.note("landed").unwrap().unwrap().len(), 24, "the database's positions");
}

#[test]
fn a_repair_that_is_interrupted_at_any_step_can_be_done_again() {
    let made = make();
    for stop in 1.. {
        let disk = made.disk.fork();
        let body = disk.content(&made.segments[1]).windows(6).position(|bytes| bytes == [15; 6]).unwrap();
        disk.change(&made.segments[1], |bytes| bytes[body] ^= 1);
        disk.stop_at(disk.steps() + stop);
        let finished = made.repair(&disk, Permission::DeclareLoss, &[5, 2]).is_ok();
        disk.crash(crate::env::strict_disk::Keep::Some, &mut crate::env::seeded::Dice(stop));
        let again = made.repair(&disk, Permission::DeclareLoss, &[5, 2]).unwrap();
        assert!(again.done || again.whole, "{again:?}");
        let (log, _) = open(&disk).unwrap();
        let expected: Vec<u8> = (5..30).filter(|n| *n != 15).collect();
        let all = numbers(&log);
        assert_eq!(
            all.iter().copied().filter(|n| *n >= 5).collect::<Vec<_>>(),
            expected,
            "stopped at {stop}"
        );
        if finished {
            break;
        }
    }
}

#[test]
fn another_log_s_database_repairs_nothing() {
    let made = make();
    let disk = made.disk.clone();
    disk.change(&made.segments[0], |bytes| bytes[5000] ^= 1);
    let mut foreign =
        |_| Ok(Some(Watermark { lineage: Lineage([7; 16]), epoch: 1, position: 9, anchor: Anchor::START }));
    let refused = LocalLog::repair(
        &disk.env(3),
        Path::new("data"),
        &tiny(),
        Permission::DeclareLoss,
        &mut foreign,
        &mut |_, _| {},
    );
    let reason = refused.unwrap_err().to_string();
    assert!(reason.contains("--database"), "{reason}");
    assert!(open(&disk).is_err(), "nothing was changed");
}

#[test]
fn a_dump_shows_every_whole_record_around_the_damage() {
    let made = make();
    let disk = made.disk.clone();
    let body = disk.content(&made.segments[1]).windows(6).position(|bytes| bytes == [15; 6]).unwrap();
    disk.change(&made.segments[1], |bytes| bytes[body] ^= 1);
    let (mut records, mut damage) = (0, 0);
    let wanted = |lanes: &[(LaneId, Position)]| !lanes.is_empty();
    LocalLog::dump(&disk.env(3), Path::new("data"), &mut |_, _| {}, &wanted, &mut |entry| match entry {
        DumpEntry::Record(_) => records += 1,
        DumpEntry::Damage(found) => damage += usize::from(!found.torn),
    })
    .unwrap();
    assert_eq!((records, damage), (29, 1));
}

#[test]
fn damage_of_a_lane_s_last_record_is_a_possible_loss_even_when_other_lanes_go_on() {
    let disk = StrictDisk::default();
    let (log, _) = open(&disk).unwrap();
    let lanes = conformance::lanes(&log, 2);
    log.append(&lanes[..1], b"the only record of its lane").unwrap();
    log.append(&lanes[1..], b"another").unwrap();
    log.close().unwrap();
    let lineage = log.lineage();
    drop(log);
    let path = Path::new("data/log/000001.seg");
    let body = disk.content(path).windows(8).position(|bytes| bytes == b"the only").unwrap();
    disk.change(path, |bytes| bytes[body] ^= 1);
    let mut watermark_of = |_| Ok(Some(Watermark { lineage, epoch: 1, position: 0, anchor: Anchor::START }));
    let (env, permission) = (disk.env(3), Permission::LoseNothing);
    let repair =
        LocalLog::repair(&env, Path::new("data"), &tiny(), permission, &mut watermark_of, &mut |_, _| {});
    let repair = repair.unwrap();
    assert!(!repair.done && repair.loses());
    assert_eq!(repair.survey.unsure_ends().collect::<Vec<_>>(), [(lanes[0], 0)]);
}

#[test]
fn a_youngest_segment_that_is_shorter_than_its_mark_says_is_damage_to_the_survey_too() {
    let made = make();
    let youngest = made.segments.last().unwrap();
    for length in [segment::DATA_START as usize, segment::DATA_START as usize + 40] {
        let disk = made.disk.fork();
        disk.change(youngest, |content| content.truncate(length));
        assert!(open(&disk).is_err(), "the start refuses it");
        let survey = LocalLog::survey(&disk.env(2), Path::new("data"), &mut |_, _| {}).unwrap();
        assert!(survey.real_damage().next().is_some(), "cut to {length}: {survey:?}");
    }
}

#[test]
fn a_log_whose_first_bytes_are_gone_is_damage_to_the_survey_too() {
    let disk = StrictDisk::default();
    drop(open(&disk).unwrap());
    // Without a mark what is gone looks like a write that never was; but a log begins with its lane map.
    disk.change(Path::new("data/log/000001.seg"), |content| content[512..].fill(0));
    assert!(open(&disk).is_err(), "the start refuses it");
    let survey = LocalLog::survey(&disk.env(2), Path::new("data"), &mut |_, _| {}).unwrap();
    let damage: Vec<_> = survey.real_damage().map(|damage| damage.what.clone()).collect();
    assert_eq!(damage, ["the log begins without a lane map"]);
}
