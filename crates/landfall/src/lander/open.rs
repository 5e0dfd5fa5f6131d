//! Opens a lander: creates the rows of new lanes, takes all lanes over, and checks that log and database belong
//! together. It must not land anything, and it never starts on a doubt.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::plan::Rules;
use super::progress::Progress;
use super::retry::{Backoff, Mark};
use super::settings::LanderSettings;
use super::start::{StartVerdict, start_verdict};
use super::take_over::anchor_of;
use super::{Group, Lander, Lane};
use crate::buffer::log::{Head, LaneName, Log, LogError};
use crate::env::Env;
use crate::error::SinkError;
use crate::model::{Group as ModelGroup, LaneId, Position, Watermark};
use crate::sink::{Database, LandingContext};

/// What a lander works with.
pub struct LanderParts {
    /// The log, with the lanes of all present groups added.
    pub log: Arc<dyn Log>,
    /// Where to land.
    pub database: Arc<dyn Database>,
    /// What sinks have to know of the tables.
    pub context: LandingContext,
    /// The world.
    pub env: Env,
    /// When to land, and how much.
    pub settings: LanderSettings,
    /// The present groups.
    pub groups: Vec<ModelGroup>,
    /// The lanes whose rows in the database were created before.
    pub notes: Vec<LaneNote>,
}

/// What was noted of a lane beside the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneNote {
    /// The lane; its row in the database was created.
    pub lane: LaneId,
    /// A position that is known to have landed; 0 when nothing is known.
    pub landed: Position,
}

/// A lander that is ready to land.
pub struct Opened {
    /// The lander.
    pub lander: Lander,
    /// Where each lane of the log is in the database, sorted by lane. To be noted: all of them exist now.
    pub landed: Vec<(LaneId, Position)>,
}

/// Why a lander cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The database failed; [`SinkError::is_transient`] says whether trying again helps.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Log and database tell different histories.
    #[error(
        "lane {lane}: the database has landed another history up to position {position} than this log holds. Nothing was written. Use the data directory and the database that belong together"
    )]
    Diverged {
        /// The lane.
        lane: LaneId,
        /// Where they disagree.
        position: Position,
    },
    /// The database lost commits, and the log no longer keeps what is missing there.
    #[error(
        "lane {lane}: position {noted} had landed, but the database is back at {found}, and the log no longer keeps the records between. Nothing was written. Restore a newer state of the database"
    )]
    Regressed {
        /// The lane.
        lane: LaneId,
        /// Where the database is.
        found: Position,
        /// Where it was.
        noted: Position,
    },
}

/// The name of the group of lanes that no table uses any more.
const RETIRED: &str = "retired lanes";

impl Lander {
    /// Creates, takes over and checks all lanes of the log.
    ///
    /// # Errors
    /// [`OpenError`]; nothing has landed, and calling it again is safe.
    pub fn open(parts: LanderParts) -> Result<Opened, OpenError> {
        let names = parts.log.lanes();
        let mut ids: Vec<LaneId> = names.iter().map(|(_, id)| *id).collect();
        ids.sort_unstable();
        let noted: HashMap<LaneId, Position> =
            parts.notes.iter().map(|note| (note.lane, note.landed)).collect();
        let (known, fresh): (Vec<LaneId>, Vec<LaneId>) = ids.iter().partition(|id| noted.contains_key(id));
        let lineage = parts.log.lineage();
        let mut sink = parts.database.sink(parts.context.clone())?;
        let mut found: BTreeMap<LaneId, Watermark> = BTreeMap::new();
        // The known lanes first: a database that does not know this log must not get lanes of it.
        for (lanes, are_fresh) in [(known, false), (fresh, true)] {
            if lanes.is_empty() {
                continue;
            }
            if are_fresh {
                sink.create_lanes(&lineage, &lanes)?;
            }
            for (id, watermark) in lanes.iter().zip(sink.take_over(&lineage, &lanes)?) {
                check(&*parts.log, *id, &watermark, noted.get(id).copied().unwrap_or(0))?;
                found.insert(*id, watermark);
            }
        }
        let watermarks: Vec<Watermark> = found.into_values().collect();
        let (groups, retired) = groups_of(&parts.groups, &names);
        let lanes = lanes_of(&groups, ids.iter().copied().zip(watermarks));
        let progress = Progress::new(
            parts.env.clock.clone(),
            groups.iter().map(|group| group.name.clone()),
            lanes.iter().map(|(&id, lane)| (id, lane.group)),
        );
        let landed: Vec<_> = lanes.iter().map(|(&id, lane)| (id, lane.at.position)).collect();
        for (&id, lane) in &lanes {
            progress.set_epoch(id, lane.epoch);
            progress.publish_cut(id, lane.at.position);
        }
        progress.publish_landed(&landed);
        let lander = Lander {
            rules: Rules::new(&parts.context.catalogue),
            log: parts.log,
            database: parts.database,
            context: parts.context,
            env: parts.env,
            settings: parts.settings,
            progress: Arc::new(progress),
            lineage,
            lanes,
            groups,
            retired,
            sink: Some(sink),
            connection: Backoff::default(),
            unsure: false,
            take_overs: 0,
            attempt: None,
            next: 0,
            pending_since: None,
            closing: false,
        };
        Ok(Opened { lander, landed })
    }
}

/// Brings the log to where the database is, or refuses.
fn check(log: &dyn Log, lane: LaneId, watermark: &Watermark, noted: Position) -> Result<(), OpenError> {
    let position = watermark.position;
    let found = Mark { position, anchor: watermark.anchor };
    let anchor = anchor_of(log, lane, position)?;
    match start_verdict(noted, log.head(lane), found, anchor) {
        StartVerdict::Diverged => return Err(OpenError::Diverged { lane, position }),
        StartVerdict::Continue => {}
        StartVerdict::Gap => log.gap(lane, Head { position, anchor: watermark.anchor })?,
        StartVerdict::Replay => match log.rewind(lane, position) {
            Ok(()) => {}
            Err(LogError::Trimmed { .. }) => {
                return Err(OpenError::Regressed { lane, found: position, noted });
            }
            Err(error) => return Err(error.into()),
        },
    }
    log.landed(lane, position);
    Ok(())
}

/// The present groups with their lanes, and one group of all other lanes behind them, if there are any.
fn groups_of(present: &[ModelGroup], names: &[(LaneName, LaneId)]) -> (Vec<Group>, Option<usize>) {
    let mut groups: Vec<Group> =
        present.iter().map(|group| empty_group(group.name.clone(), group.ordered)).collect();
    let mut retired = empty_group(RETIRED.into(), true);
    for (name, id) in names {
        let at = present.iter().position(|group| group.name == name.group && name.index < group.lanes);
        at.map_or(&mut retired, |at| &mut groups[at]).lanes.push(*id);
    }
    groups.iter_mut().for_each(|group| group.lanes.sort_unstable());
    retired.lanes.sort_unstable();
    if retired.lanes.is_empty() {
        return (groups, None);
    }
    groups.push(retired);
    let at = groups.len() - 1;
    (groups, Some(at))
}

fn empty_group(name: String, ordered: bool) -> Group {
    Group {
        name,
        ordered,
        lanes: Vec::new(),
        pass: None,
        due: false,
        joint: BTreeSet::new(),
        backoff: Backoff::default(),
        records_max: None,
        flush_seen: 0,
        stopped: false,
    }
}

fn lanes_of(
    groups: &[Group],
    watermarks: impl Iterator<Item = (LaneId, Watermark)>,
) -> BTreeMap<LaneId, Lane> {
    let mut home = HashMap::new();
    for (at, group) in groups.iter().enumerate() {
        home.extend(group.lanes.iter().map(|&id| (id, (at, group.ordered))));
    }
    watermarks
        .filter_map(|(id, watermark)| {
            let &(group, ordered) = home.get(&id)?;
            let at = Mark { position: watermark.position, anchor: watermark.anchor };
            Some((id, Lane { group, ordered, epoch: watermark.epoch, at, cut: at.position, stolen: 0 }))
        })
        .collect()
}
