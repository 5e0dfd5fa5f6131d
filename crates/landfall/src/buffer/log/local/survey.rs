//! What a log holds, lane by lane, and what is missing: for `landfall log check` and `landfall log dump`.
//! It only reads; damage is told, not mended, and nothing of a record's content is kept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::{Head, LaneName, LogError};
use super::record::{self, Kind, View};
use super::segment::DATA_START;
use super::walk::{Damage, OnProgress, Seen, walk};
use super::{Folders, damaged, read_meta, walk};
use crate::env::Env;
use crate::model::codec::decode_body;
use crate::model::{LaneId, Lineage, LoggedChange, Position};

/// Whether a record with these lanes and positions is asked for.
pub(super) type Wanted<'a> = &'a dyn Fn(&[(LaneId, Position)]) -> bool;

/// A lane in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneFound {
    /// Its number.
    pub lane: LaneId,
    /// Its name; none when no lane map could be read.
    pub name: Option<LaneName>,
    /// The last position before the first one that the log keeps.
    pub before: Position,
    /// The last position.
    pub last: Position,
}

/// Positions of a lane that should be in the log and are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// The lane.
    pub lane: LaneId,
    /// The first of them.
    pub from: Position,
    /// The last of them.
    pub to: Position,
}

/// What a log holds and what is missing.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// Segments that could be read.
    pub segments: u64,
    /// Whole records.
    pub records: u64,
    /// Those of them that only the spill file has.
    pub spilled_records: u64,
    /// The lanes, by number.
    pub lanes: Vec<LaneFound>,
    /// What is not as it was written, oldest first.
    pub damage: Vec<Damage>,
    /// Positions that are gone, as far as what follows them tells.
    pub lost: Vec<Lost>,
    /// Lanes of which nothing is known behind some damage: more positions than `lost` says may be gone.
    pub unsure: BTreeSet<LaneId>,
    /// A lane map was seen.
    mapped: bool,
}

impl Survey {
    /// The bytes behind the end of the log, which a start cuts.
    pub fn torn_bytes(&self) -> u64 {
        self.damage.iter().filter(|damage| damage.torn).map(|damage| damage.bytes).sum()
    }

    /// The lanes whose end is not known, each with the last position that is.
    pub fn unsure_ends(&self) -> impl Iterator<Item = (LaneId, Position)> {
        let unsure = self.lanes.iter().filter(|found| self.unsure.contains(&found.lane));
        unsure.map(|found| (found.lane, found.last))
    }

    /// Damage, in difference to a torn end.
    pub fn real_damage(&self) -> impl Iterator<Item = &Damage> {
        self.damage.iter().filter(|damage| !damage.torn)
    }

    pub(super) fn see(&mut self, seen: &Seen<'_>) {
        match seen {
            Seen::Spilled(parts) => {
                for part in *parts {
                    self.lane(part.lane, part.before.position);
                }
            }
            Seen::Segment(_) => self.segments += 1,
            Seen::Damage(damage) => {
                if !damage.torn {
                    self.unsure = self.lanes.iter().map(|found| found.lane).collect();
                }
                self.damage.push(damage.clone());
            }
            Seen::Record { file, offset, view } | Seen::SpilledRecord { file, offset, view, .. } => {
                self.spilled_records += u64::from(matches!(seen, Seen::SpilledRecord { .. }));
                if let Err(what) = self.record(view) {
                    let bytes = view.length as u64;
                    let (file, what) = (file.to_path_buf(), what.to_owned());
                    self.damage.push(Damage { file, offset: *offset, bytes, what, torn: false });
                }
            }
        }
    }

    fn record(&mut self, view: &View<'_>) -> Result<(), &'static str> {
        match view.kind {
            Kind::Lanes => {
                let lanes = record::decode_lanes(view.body).ok_or("a lane map is malformed")?;
                self.mapped = true;
                for (number, (name, head)) in (0..).zip(lanes) {
                    let found = self.lane(LaneId(number), head.position);
                    found.name.get_or_insert(name);
                    let next = head.position.checked_add(1).ok_or("a lane has no position left")?;
                    self.reach(LaneId(number), next)?;
                    self.unsure.remove(&LaneId(number));
                }
            }
            Kind::Data => {
                self.records += 1;
                for (lane, position) in view.lanes() {
                    self.lane(lane, position.saturating_sub(1));
                    self.reach(lane, position)?;
                    self.lane(lane, 0).last = position;
                    // Whatever was missing before it, its position has told.
                    self.unsure.remove(&lane);
                }
            }
            Kind::Gap => {
                for (lane, position) in view.lanes() {
                    let found = self.lane(lane, position);
                    found.last = found.last.max(position);
                    self.unsure.remove(&lane);
                }
            }
        }
        Ok(())
    }

    /// Notes as lost what lies between a lane's last position and `next`.
    fn reach(&mut self, lane: LaneId, next: Position) -> Result<(), &'static str> {
        let found = self.lane(lane, 0);
        let Some(from) = found.last.checked_add(1).filter(|from| next >= *from) else {
            return Err("a record does not follow the one before it in its lane");
        };
        found.last = next - 1;
        if next > from {
            self.lost.push(Lost { lane, from, to: next - 1 });
        }
        Ok(())
    }

    fn lane(&mut self, lane: LaneId, before: Position) -> &mut LaneFound {
        let at = match self.lanes.binary_search_by_key(&lane, |found| found.lane) {
            Ok(at) => at,
            Err(at) => {
                self.lanes.insert(at, LaneFound { lane, name: None, before, last: before });
                at
            }
        };
        &mut self.lanes[at]
    }
}

/// The lineage and the spill file that META names, or what the files say when META cannot be read.
pub(super) fn named(env: &Env, folders: &Folders) -> Result<(Lineage, u64), LogError> {
    match read_meta(&env.disk, &folders.dir) {
        Ok(Some(meta)) => Ok((meta.lineage, meta.spill)),
        unread => match walk::lineage_of(&env.disk, &folders.log)? {
            Some(lineage) => Ok((lineage, walk::last_spill(&env.disk, &folders.log)?)),
            None => Err(unread
                .err()
                .unwrap_or_else(|| damaged(&folders.dir.join("META"), 0, "there is no log here"))),
        },
    }
}

pub(super) fn survey(env: &Env, folders: &Folders, progress: OnProgress<'_>) -> Result<Survey, LogError> {
    let named = named(env, folders)?;
    let mut survey = Survey::default();
    let mut first = None;
    walk(&env.disk, &folders.log, named, progress, &mut |seen| {
        if let Seen::Segment(path) = &seen {
            first.get_or_insert_with(|| path.to_path_buf());
        }
        survey.see(&seen);
    })?;
    // Without a mark it looks like a log that nobody has written to; but even that one has its lane map.
    if let Some(file) = first.filter(|_| !survey.mapped && survey.real_damage().next().is_none()) {
        let what = "the log begins without a lane map".to_owned();
        survey.damage.push(Damage { file, offset: DATA_START, bytes: 0, what, torn: false });
    }
    Ok(survey)
}

/// One thing in a log, for people.
#[derive(Debug)]
pub struct Dumped<'a> {
    /// The segment's file.
    pub file: &'a Path,
    /// Where in it.
    pub offset: u64,
    /// How many bytes it takes.
    pub bytes: u64,
    /// When it was appended, Unix milliseconds.
    pub time_ms: u64,
    /// Its lanes and its position in each; none for a lane map.
    pub lanes: Vec<(LaneId, Position)>,
    /// What it says.
    pub content: Content,
}

/// What a record says.
#[derive(Debug)]
pub enum Content {
    /// Changes, each with an index into the record's lanes.
    Changes(Vec<(u8, LoggedChange)>),
    /// A body that this version cannot read.
    Unreadable(String),
    /// The lane map: each lane's name and end.
    Lanes(Vec<(LaneName, Head)>),
    /// The lane goes on behind a position that the database had and the log had not.
    Gap,
}

/// What a dump comes across.
#[derive(Debug)]
pub enum DumpEntry<'a> {
    /// A whole record.
    Record(Dumped<'a>),
    /// Something else.
    Damage(Damage),
}

pub(super) fn dump(
    env: &Env,
    folders: &Folders,
    progress: OnProgress<'_>,
    wanted: Wanted<'_>,
    visit: &mut dyn FnMut(DumpEntry<'_>),
) -> Result<(), LogError> {
    let named = named(env, folders)?;
    walk(&env.disk, &folders.log, named, progress, &mut |seen| match seen {
        Seen::Segment(_) | Seen::Spilled(_) => {}
        Seen::Damage(damage) => visit(DumpEntry::Damage(damage)),
        Seen::Record { file, offset, view } | Seen::SpilledRecord { file, offset, view, .. } => {
            let lanes: Vec<_> = view.lanes().collect();
            if wanted(&lanes) {
                let (bytes, time_ms, content) = (view.length as u64, view.time_ms, content(&view));
                visit(DumpEntry::Record(Dumped { file, offset, bytes, time_ms, lanes, content }));
            }
        }
    })
}

fn content(view: &View<'_>) -> Content {
    match view.kind {
        Kind::Gap => Content::Gap,
        Kind::Lanes => record::decode_lanes(view.body)
            .map_or_else(|| Content::Unreadable("a lane map is malformed".to_owned()), Content::Lanes),
        Kind::Data => match decode_body(view.body) {
            Ok(changes) => Content::Changes(changes),
            Err(reason) => Content::Unreadable(reason.to_string()),
        },
    }
}

/// The notes that cannot be read.
pub(super) fn damaged_notes(
    env: &Env,
    folders: &Folders,
    lineage: Lineage,
) -> Result<Vec<PathBuf>, LogError> {
    let names = match env.disk.list(&folders.notes) {
        Err(reason) if reason.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        names => names.map_err(|reason| super::failed("list", &folders.notes, &reason))?,
    };
    let mut bad = Vec::new();
    for name in names.iter().filter(|name| !name.contains('.')) {
        match super::small_file::read_note(&env.disk, &folders.notes, name, lineage) {
            Err(LogError::Damaged { .. } | LogError::Format { .. }) => bad.push(folders.notes.join(name)),
            Err(other) => return Err(other),
            Ok(_) => {}
        }
    }
    Ok(bad)
}
