//! A log with one thing broken, a spill file among them: it is refused, or opens with everything that was marked as durable.
//! A start must never panic, never invent a record, and never come back with less in silence.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use landfall::buffer::log::local::{LocalLog, LocalLogSettings};
use landfall::buffer::log::{LaneName, Log, Record, Safety};
use landfall::model::{LaneId, Position};

use super::logs::{DIR, PAGE, new_log, newest_mark, read, seed, settings, u64_at};
use crate::disk::{Image, MemoryDisk};

/// A log as a killed process left it.
struct History {
    image: Image,
    /// What is owed, in its order, and how many of it are below the newest mark.
    records: Vec<Record>,
    marked: usize,
    from: Vec<(LaneId, Position)>,
}

static HISTORIES: LazyLock<Vec<History>> = LazyLock::new(|| {
    [(1, 0, false), (5, 0, false), (40, 0, false), (40, 25, true), (12, 9, true), (3, 3, true)]
        .map(history)
        .into()
});

/// Those of which a lane does not land, so that its records are in a spill file: of one, and of the second one.
static SPILLED: LazyLock<Vec<History>> = LazyLock::new(|| [1, 2].map(spilled).into());

/// An input that begins like this is about one of them.
const SPILLED_FROM: u8 = 0xe0;

/// A log that spills after some dozen of records.
fn narrow() -> LocalLogSettings {
    LocalLogSettings { log_bytes_max: 1 << 16, ..settings() }
}

/// Has two lanes write, the second of which lands, until so many spill files were made, with a start between them.
fn spilled(files: u32) -> History {
    let disk = MemoryDisk::of(&Default::default());
    let open = || LocalLog::open(disk.env(), Path::new(DIR), narrow()).expect("a whole log opens").0;
    let mut log = open();
    let name = |index| LaneName { group: "g".to_owned(), index };
    let lanes = log.add_lanes(&[name(0), name(1)]).expect("two lanes");
    for number in 0..files {
        if number > 0 {
            drop(log);
            log = open();
            log.landed(lanes[1], log.head(lanes[1]).position);
        }
        write_until_spilled(&log, &lanes);
    }
    let from = vec![(lanes[0], 0), (lanes[1], log.oldest(lanes[1]).position)];
    drop(log);
    as_killed(&disk, from)
}

/// Writes until the spill file is another one, and what lies before it is gone.
fn write_until_spilled(log: &LocalLog, lanes: &[LaneId]) {
    let before = log.usage().spilled_bytes;
    for n in 0u32.. {
        let own = match n % 16 {
            0 => &lanes[..1],
            7 => lanes,
            _ => &lanes[1..],
        };
        log.append(own, &n.to_le_bytes().repeat(100 + n as usize % 90)).expect("room");
        log.commit(log.accepted(), Safety::Durable).expect("room");
        log.landed(lanes[1], log.head(lanes[1]).position);
        (0..6).for_each(|_| log.upkeep().expect("room"));
        if log.usage().spilled_bytes != before {
            break;
        }
    }
    (0..6).for_each(|_| log.upkeep().expect("room"));
}

/// Writes so many records, lands some, and maybe starts once more and goes on.
fn history((count, landed, restarted): (u32, u64, bool)) -> History {
    let (disk, log) = new_log();
    let name = |index| LaneName { group: "g".to_owned(), index };
    let lanes = log.add_lanes(&[name(0), name(1), name(2)]).expect("three lanes");
    let mut log = log;
    write(&log, &lanes, count);
    for lane in &lanes[..1] {
        let position = landed.min(log.head(*lane).position);
        log.landed(*lane, position);
    }
    if restarted {
        log.upkeep().expect("room for a spare");
        drop(log);
        let (again, _) = LocalLog::open(disk.env(), Path::new(DIR), settings()).expect("a whole log opens");
        log = again;
        write(&log, &lanes, 7);
    }
    // Behind the last sync: what only the system has.
    log.append(&lanes[1..2], b"written and not synced").expect("room");
    log.commit(log.accepted(), Safety::Written).expect("room");
    let from = lanes.iter().map(|lane| (*lane, 0)).collect();
    drop(log);
    as_killed(&disk, from)
}

/// The process was killed: the files are what it wrote.
fn as_killed(disk: &MemoryDisk, from: Vec<(LaneId, Position)>) -> History {
    let image = disk.image();
    let (log, _) =
        LocalLog::open(MemoryDisk::of(&image).env(), Path::new(DIR), settings()).expect("a whole log opens");
    let records = read(&log, &from).expect("a whole log can be read");
    let marked = marked(&image, &records);
    History { image, records, marked, from }
}

fn write(log: &LocalLog, lanes: &[LaneId], count: u32) {
    for n in 0..count {
        let own = match n % 4 {
            0 => &lanes[..1],
            1 => &lanes[1..2],
            2 => &lanes[2..],
            _ => lanes,
        };
        log.append(own, &n.to_le_bytes().repeat(3 + n as usize % 90)).expect("room");
        if n % 3 == 0 {
            log.commit(log.accepted(), Safety::Durable).expect("room");
        }
    }
    log.commit(log.accepted(), Safety::Durable).expect("room");
}

/// How many of the records lie before the newest mark, as the bytes say.
fn marked(image: &Image, records: &[Record]) -> usize {
    let mut limit = 0;
    for page in segments(image).map(|path| &image[path]) {
        let mut lineage = [0; 16];
        lineage.copy_from_slice(&page[16..32]);
        let (id, base, salt) = (u64_at(page, 32), u64_at(page, 48), u64_at(page, 80));
        if let Some((_, offset)) = newest_mark(page, seed(&lineage, id, salt)) {
            limit = base + (offset - PAGE as u64);
        }
    }
    // A record ends where the next begins, at the latest.
    let mut marked = 0;
    for (at, record) in records.iter().enumerate() {
        let end = record.address + (16 + 12 * record.lanes.len() + record.body.len()) as u64;
        if end <= limit {
            marked = at + 1;
        }
    }
    marked
}

/// The segments' files, oldest first.
fn segments(image: &Image) -> impl Iterator<Item = &PathBuf> {
    image.keys().filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
}

pub(crate) fn run(input: &[u8]) {
    let (histories, input) = match input {
        [first, rest @ ..] if *first >= SPILLED_FROM => (&SPILLED, rest),
        _ => (&HISTORIES, input),
    };
    let mut choices = Unstructured::new(input);
    let Ok(history) = choices.choose(&histories[..]) else { return };
    let mut image = history.image.clone();
    let damages: u8 = choices.int_in_range(0..=3).unwrap_or_default();
    let mut erased = false;
    for _ in 0..damages {
        match damage(&mut choices, &mut image) {
            Ok(erases) => erased |= erases,
            Err(_) => return,
        }
    }
    let disk = MemoryDisk::of(&image);
    let survey = LocalLog::survey(&disk.env(), Path::new(DIR), &mut |_, _| {});
    let checked = LocalLog::check(&disk.env(), Path::new(DIR), &settings(), &mut |_, _| {});
    let opened = LocalLog::open(disk.env(), Path::new(DIR), settings());
    assert_eq!(checked.is_ok(), opened.is_ok(), "check: {checked:?}, start: {:?}", opened.err());
    // The survey is about records; a damaged META is the start's to find.
    let meta = Path::new(DIR).join("META");
    if let Ok(survey) = survey
        && image.get(&meta) == history.image.get(&meta)
    {
        let damaged = survey.real_damage().next().is_some();
        assert_eq!(damaged, checked.is_err(), "survey: {survey:?}, check: {checked:?}");
    }
    let Ok((log, recovery)) = opened else {
        assert_eq!(disk.image().get(&meta), image.get(&meta), "a refusal changes nothing");
        assert!(damages > 0, "an undamaged log is refused");
        return;
    };
    let lanes: Vec<LaneId> = log.lanes().into_iter().map(|(_, lane)| lane).collect();
    let from: Vec<_> = history.from.iter().filter(|(lane, _)| lanes.contains(lane)).copied().collect();
    let found = read(&log, &from).expect("what a start accepted can be read");
    // Two broken places may hide each other; one may not.
    if damages <= 1 {
        let kept = same(&found, &history.records);
        assert_eq!(kept, found.len(), "a record is not what was written");
        assert!(
            kept >= history.marked,
            "{kept} of {} durable records are left: {recovery:?}",
            history.marked
        );
        // Behind the mark, zeros and a shorter file look like a write that never was.
        let told = erased || recovery.torn_bytes > 0;
        assert!(kept == history.records.len() || told, "less came back in silence: {recovery:?}");
    }
    goes_on(&disk, log, &found, &from);
}

/// How many records at the beginning are the same; addresses may differ, because a start copies.
fn same(found: &[Record], written: &[Record]) -> usize {
    let equal =
        |(a, b): &(&Record, &Record)| (&a.lanes, &a.body, a.time_ms) == (&b.lanes, &b.body, b.time_ms);
    found.iter().zip(written).take_while(equal).count()
}

/// After a start the log takes a record, and the next start finds the same and that record.
fn goes_on(disk: &std::sync::Arc<MemoryDisk>, log: LocalLog, found: &[Record], from: &[(LaneId, Position)]) {
    let Some((lane, _)) = from.first() else { return };
    if log.append(&[*lane], b"after").is_err() {
        return; // A damaged map may leave a lane at the end of its numbers.
    }
    log.commit(log.accepted(), Safety::Durable).expect("room");
    drop(log);
    let (log, recovery) =
        LocalLog::open(disk.env(), Path::new(DIR), settings()).expect("a start leaves a whole log");
    let again = read(&log, from).expect("a start leaves a whole log");
    assert_eq!((same(&again, found), again.len(), recovery.torn_bytes), (found.len(), found.len() + 1, 0));
}

/// Breaks one thing: a few neighbouring bits, a sector, or the end of a file. Whether bytes are erased by it.
fn damage(choices: &mut Unstructured<'_>, image: &mut Image) -> Result<bool> {
    let names: Vec<PathBuf> = image.keys().filter(|path| !path.ends_with("LOCK")).cloned().collect();
    let path = choices.choose(&names)?;
    let Some(content) = image.get_mut(path) else { return Ok(false) };
    let at = usize::from(choices.arbitrary::<u16>()?) % content.len().max(1);
    let kind = choices.int_in_range(0..=7u8)?;
    match kind {
        // What a checksum always notices: up to 32 neighbouring bits.
        0..=4 => {
            let change = choices.arbitrary::<[u8; 4]>()?;
            content.iter_mut().skip(at).zip(change).for_each(|(byte, change)| *byte ^= change);
        }
        5 => content[at..].iter_mut().take(512).for_each(|byte| *byte = 0),
        6 => content.truncate(at),
        _ => content.extend(std::iter::repeat_n(0, at)),
    }
    Ok(matches!(kind, 5 | 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_histories_with_a_spill_file_have_one_and_need_it() {
        for history in SPILLED.iter() {
            let is_spill = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "spill");
            let mut image = history.image.clone();
            let path = image.keys().find(|path| is_spill(path)).expect("a spill file").clone();
            image.remove(&path);
            let opened = LocalLog::open(MemoryDisk::of(&image).env(), Path::new(DIR), settings());
            assert!(opened.is_err() && history.marked > 10, "{}", history.marked);
        }
    }
}
