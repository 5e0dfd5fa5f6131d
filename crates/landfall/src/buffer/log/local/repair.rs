//! Makes a damaged log one that a start accepts: everything whole that has not landed goes into one new segment, behind
//! the watermarks of the database. It never gives up a record above a watermark without being told to, and then it
//! leaves a note of what was given up.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use smallvec::SmallVec;

use super::super::{Head, LaneName, LogError};
use super::index::LaneIndex;
use super::record::Kind;
use super::recover::{begin, lock, remove, remove_spills, take_spare};
use super::scan::{Copied, Next, Scan, scan};
use super::segment::file_name;
use super::small_file::{Meta, read_meta, read_note, replace, write_meta, write_note};
use super::survey::{Lost, Survey, damaged_notes};
use super::walk::{Damage, OnProgress, ids, walk};
use super::{Folders, LocalLogSettings, damaged, failed};
use crate::env::Env;
use crate::model::{Anchor, Incident, IncidentKind, LaneId, Lineage, Position, Watermark, incident};

/// The watermark of a lane in the database, or none when it has no row there.
pub type WatermarkOf<'a> = &'a mut dyn FnMut(LaneId) -> Result<Option<Watermark>, String>;

/// What a repair may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Nothing: say what would be done.
    DryRun,
    /// Repair, if no record that has not landed is given up by it.
    LoseNothing,
    /// Repair, and give up what cannot be read.
    DeclareLoss,
}

/// What a repair found, and did.
#[derive(Debug, Clone, Default)]
pub struct Repair {
    /// What the log holds and what is missing.
    pub survey: Survey,
    /// Notes that cannot be read.
    pub notes: Vec<PathBuf>,
    /// Nothing is damaged.
    pub whole: bool,
    /// Why a start refuses the log.
    pub refusal: Option<String>,
    /// Whole records that have not landed; they are kept.
    pub kept_records: u64,
    /// Whole records that have landed; the repaired log does not keep them.
    pub landed_records: u64,
    /// What is missing and has landed: no loss.
    pub landed: Vec<Lost>,
    /// What is missing and has not landed: acknowledged writes that are gone.
    pub lost: Vec<Lost>,
    /// Whether it was done.
    pub done: bool,
    /// Where the bytes are kept that were cut.
    pub quarantined: Vec<PathBuf>,
}

impl Repair {
    /// Whether acknowledged writes are gone, or may be.
    pub fn loses(&self) -> bool {
        !self.lost.is_empty() || !self.survey.unsure.is_empty()
    }
}

/// What the repaired log will hold.
struct Plan {
    /// The lanes in the order of their numbers, where the database has them.
    lanes: Vec<(LaneName, Head)>,
    /// Their ends behind the copied records.
    heads: Vec<Head>,
    copied: Vec<Copied>,
}

/// A record that was read, and not judged yet.
struct Whole {
    lanes: SmallVec<[(LaneId, Position); 1]>,
    time_ms: u64,
    body: Vec<u8>,
}

pub(super) fn repair(
    env: &Env,
    folders: &Folders,
    settings: &LocalLogSettings,
    permission: Permission,
    watermark_of: WatermarkOf<'_>,
    progress: OnProgress<'_>,
) -> Result<Repair, LogError> {
    let meta = read_meta(&env.disk, &folders.dir)?.ok_or_else(|| {
        damaged(
            &folders.dir.join("META"),
            0,
            "META is missing: restore it, nothing else tells which log this is",
        )
    })?;
    let _alone = lock(&env.disk, &folders.dir)?;
    let notes = damaged_notes(env, folders, meta.lineage)?;
    let strict =
        scan(&env.disk, &folders.log, (meta.lineage, meta.spill), settings.segment_bytes, &mut |_, _| {});
    match &strict {
        Ok(found) if notes.is_empty() && (found.is_some() || !meta.begun) => {
            return Ok(Repair { whole: true, ..Repair::default() });
        }
        Ok(_) | Err(LogError::Damaged { .. }) => {}
        Err(other) => return Err(other.clone()),
    }
    let refusal = strict.err().map(|reason| reason.to_string());
    let mut repair = Repair { notes, refusal, ..Repair::default() };
    let mut watermarks = BTreeMap::new();
    let whole = read_unlanded(env, folders, &meta, &mut repair, &mut watermarks, (watermark_of, progress))?;
    judge_losses(&mut repair, &watermarks);
    let plan = plan(folders, &repair.survey, &watermarks, meta.lineage, whole)?;
    if permission == Permission::DryRun || (repair.loses() && permission != Permission::DeclareLoss) {
        return Ok(repair);
    }
    apply(env, folders, settings, meta, &mut repair, &watermarks, plan)?;
    Ok(repair)
}

/// The records above the watermarks, and the survey of all.
fn read_unlanded(
    env: &Env,
    folders: &Folders,
    meta: &Meta,
    repair: &mut Repair,
    watermarks: &mut BTreeMap<LaneId, Head>,
    (watermark_of, progress): (WatermarkOf<'_>, OnProgress<'_>),
) -> Result<Vec<Whole>, LogError> {
    let lineage = meta.lineage;
    let mut whole = Vec::new();
    let mut failure = None;
    let Repair { survey, kept_records, landed_records, .. } = repair;
    walk(&env.disk, &folders.log, (lineage, meta.spill), progress, &mut |seen| {
        let damaged_before = survey.damage.len();
        survey.see(&seen);
        let Some((view, is_whole)) = seen.record() else { return };
        for found in &survey.lanes {
            if !watermarks.contains_key(&found.lane) && failure.is_none() {
                match landed_to(found.lane, found.before, lineage, watermark_of) {
                    Ok(head) => drop(watermarks.insert(found.lane, head)),
                    Err(reason) => failure = Some(reason),
                }
            }
        }
        // What does not follow the records before it was never written like this.
        if view.kind != Kind::Data || failure.is_some() || survey.damage.len() > damaged_before {
            return;
        }
        let owes = |(lane, position): (LaneId, Position)| {
            watermarks.get(&lane).is_none_or(|landed| position > landed.position)
        };
        let owing = view.lanes().filter(|&place| owes(place)).count();
        if owing == 0 {
            *landed_records += 1;
        } else if owing < view.lanes().len() || !is_whole {
            failure = Some("a record of several lanes has landed in some of them only: the database was taken back in part, and this cannot be repaired here".to_owned());
        } else {
            *kept_records += 1;
            whole.push(Whole {
                lanes: view.lanes().collect(),
                time_ms: view.time_ms,
                body: view.body.to_vec(),
            });
        }
    })?;
    match failure {
        Some(reason) => Err(LogError::Io { what: "the log is not repaired".to_owned(), reason }),
        None => Ok(whole),
    }
}

fn landed_to(
    lane: LaneId,
    before: Position,
    lineage: Lineage,
    watermark_of: WatermarkOf<'_>,
) -> Result<Head, String> {
    match watermark_of(lane)? {
        Some(found) if found.lineage != lineage => Err(format!(
            "lane {lane} of this database belongs to log {}: name the database of this log with --database",
            found.lineage
        )),
        Some(found) => Ok(Head { position: found.position, anchor: found.anchor }),
        // A lane that was added and never landed.
        None if before == 0 => Ok(Head { position: 0, anchor: Anchor::START }),
        None => Err(format!(
            "lane {lane} has no row in this database: name the database of this log with --database"
        )),
    }
}

/// Splits what is missing at the watermarks, and adds what should lie between a watermark and the oldest record.
fn judge_losses(repair: &mut Repair, watermarks: &BTreeMap<LaneId, Head>) {
    let landed = |lane: LaneId| watermarks.get(&lane).map_or(0, |head| head.position);
    for found in &repair.survey.lanes {
        if found.before > landed(found.lane) {
            repair.lost.push(Lost { lane: found.lane, from: landed(found.lane) + 1, to: found.before });
        }
    }
    for &Lost { lane, from, to } in &repair.survey.lost {
        let mark = landed(lane);
        if from <= mark {
            repair.landed.push(Lost { lane, from, to: to.min(mark) });
        }
        if to > mark {
            repair.lost.push(Lost { lane, from: from.max(mark + 1), to });
        }
    }
    repair.lost.sort_by_key(|lost| (lost.lane, lost.from));
}

/// Puts the records behind the watermarks. Behind a loss they move up: nobody has landed them, so nobody knows their
/// positions, and a lane has no holes.
fn plan(
    folders: &Folders,
    survey: &Survey,
    watermarks: &BTreeMap<LaneId, Head>,
    lineage: Lineage,
    whole: Vec<Whole>,
) -> Result<Plan, LogError> {
    let mut lanes = Vec::new();
    for (number, found) in (0..).zip(&survey.lanes) {
        let (Some(name), Some(landed), true) =
            (found.name.clone(), watermarks.get(&found.lane), found.lane == LaneId(number))
        else {
            return Err(damaged(
                &folders.log,
                0,
                "no lane map can be read, and it alone tells which lane is which",
            ));
        };
        lanes.push((name, *landed));
    }
    if lanes.is_empty() {
        return Err(damaged(&folders.log, 0, "nothing of this log can be read; restore its files"));
    }
    let mut heads: Vec<Head> = lanes.iter().map(|(_, head)| *head).collect();
    let mut copied = Vec::with_capacity(whole.len());
    for Whole { lanes, time_ms, body } in whole {
        let hash = Anchor::body_hash(&body);
        let places = lanes.iter().map(|&(lane, _)| {
            let head = &mut heads[lane.0 as usize];
            let position = head.position + 1;
            *head = Head { position, anchor: head.anchor.next(&lineage, lane, position, hash) };
            (lane, position)
        });
        copied.push(Copied::Data { lanes: places.collect(), time_ms, body });
    }
    Ok(Plan { lanes, heads, copied })
}

fn apply(
    env: &Env,
    folders: &Folders,
    settings: &LocalLogSettings,
    meta: Meta,
    repair: &mut Repair,
    watermarks: &BTreeMap<LaneId, Head>,
    plan: Plan,
) -> Result<(), LogError> {
    let lineage = meta.lineage;
    let disk = &env.disk;
    for dir in [&folders.notes, &folders.quarantine] {
        disk.create_dir(dir).map_err(|reason| failed("make the folder", dir, &reason))?;
    }
    // First what must not be forgotten, then the change itself.
    for damage in repair.survey.damage.iter().filter(|damage| damage.bytes > 0) {
        repair.quarantined.push(keep(env, folders, damage)?);
    }
    mend_notes(env, folders, lineage, repair, watermarks)?;
    if repair.loses() {
        let losses = losses(env, lineage, &repair.survey, &repair.lost);
        note_incidents(env, folders, lineage, losses)?;
    }
    let ids = ids(disk, &folders.log)?;
    let lanes = plan.lanes.into_iter().map(|(name, head)| (name, head, LaneIndex::new(head)));
    let found = Scan {
        segments: VecDeque::new(),
        ids: ids.clone(),
        lanes: lanes.collect(),
        times: VecDeque::new(),
        copied: plan.copied,
        heads: plan.heads,
        next: Next { base: 0, previous: 0, previous_end: 0, void_from: 1 },
        torn: Vec::new(),
        records: repair.kept_records,
        spilled: None,
    };
    disk.sync_dir(&folders.log).map_err(|reason| failed("sync the folder", &folders.log, &reason))?;
    let spare = take_spare(disk, &folders.log)?;
    begin(env, folders, settings, lineage, found, spare)?;
    // Void since the new segment has its name, and so is the spill file.
    if meta.spill > 0 {
        write_meta(disk, &folders.dir, &Meta { spill: 0, ..meta })?;
    }
    remove(disk, &folders.log, ids.into_iter().map(file_name))?;
    remove_spills(disk, &folders.log, 0)?;
    repair.done = true;
    Ok(())
}

/// Copies damaged bytes aside.
fn keep(env: &Env, folders: &Folders, damage: &Damage) -> Result<PathBuf, LogError> {
    let file = env.disk.open(&damage.file).map_err(|reason| failed("open", &damage.file, &reason))?;
    let mut bytes = vec![0; damage.bytes as usize];
    let got = file.read_at(&mut bytes, damage.offset);
    bytes.truncate(got.map_err(|reason| failed("read", &damage.file, &reason))?);
    let stem = damage.file.file_stem().unwrap_or_default().to_string_lossy();
    let path = folders.quarantine.join(format!("{stem}-{}-repair.bytes", damage.offset));
    replace(&env.disk, &path, &bytes).map_err(|reason| failed("write", &path, &reason))?;
    Ok(path)
}

/// Moves notes aside that cannot be read. The one that says what has landed is written anew from the database.
fn mend_notes(
    env: &Env,
    folders: &Folders,
    lineage: Lineage,
    repair: &mut Repair,
    watermarks: &BTreeMap<LaneId, Head>,
) -> Result<(), LogError> {
    for path in &repair.notes {
        let name = path.file_name().unwrap_or_default();
        let aside = folders.quarantine.join(format!("{}-repair.note", name.to_string_lossy()));
        env.disk.rename(path, &aside).map_err(|reason| failed("move aside", path, &reason))?;
        repair.quarantined.push(aside);
        if name == "landed" {
            let entry = |(lane, head): (&LaneId, &Head)| {
                [&lane.0.to_le_bytes()[..], &head.position.to_le_bytes()[..]].concat()
            };
            let content: Vec<u8> = watermarks.iter().flat_map(entry).collect();
            super::small_file::write_note(&env.disk, &folders.notes, "landed", lineage, &content)?;
        }
    }
    if repair.notes.is_empty() {
        return Ok(());
    }
    let synced = env.disk.sync_dir(&folders.notes).and_then(|()| env.disk.sync_dir(&folders.quarantine));
    synced.map_err(|reason| failed("sync the folder", &folders.notes, &reason))
}

/// One incident for each lane and range that is given up.
fn losses(env: &Env, lineage: Lineage, survey: &Survey, lost: &[Lost]) -> Vec<Incident> {
    let group = |lane: LaneId| {
        let found = survey.lanes.iter().find(|found| found.lane == lane);
        found.and_then(|found| found.name.as_ref()).map_or("?", |name| name.group.as_str())
    };
    let incident = |lane, positions, what| Incident {
        id: env.random_128(),
        time_ms: env.clock.unix_ms(),
        kind: IncidentKind::DeclaredLoss,
        lineage,
        lane: Some(lane),
        positions,
        what,
        acknowledged_ms: None,
    };
    let ranges = lost.iter().map(|&Lost { lane, from, to }| {
        let count = to - from + 1;
        let what = format!(
            "{count} acknowledged records of group {} could not be read and were given up",
            group(lane)
        );
        incident(lane, (from, to), what)
    });
    let ends = survey.unsure_ends().map(|(lane, last)| {
        let what = format!(
            "records of group {} in lane {lane} behind position {last} may have been lost",
            group(lane)
        );
        incident(lane, (last + 1, last + 1), what)
    });
    ranges.chain(ends).collect()
}

/// Adds to the note of incidents.
fn note_incidents(
    env: &Env,
    folders: &Folders,
    lineage: Lineage,
    more: Vec<Incident>,
) -> Result<(), LogError> {
    let mut all = incidents(env, &folders.dir, lineage)?;
    all.extend(more);
    write_note(&env.disk, &folders.notes, incident::NOTE, lineage, &incident::written(&all))
}

/// The incidents that were noted beside a log.
pub(super) fn incidents(env: &Env, dir: &Path, lineage: Lineage) -> Result<Vec<Incident>, LogError> {
    let notes = Folders::new(dir).notes;
    let Some(note) = read_note(&env.disk, &notes, incident::NOTE, lineage)? else { return Ok(Vec::new()) };
    incident::read(&note).ok_or_else(|| LogError::Format {
        file: notes.join(incident::NOTE),
        what: "a note of a newer version".to_owned(),
    })
}
