//! Opens a lander: its groups and lanes, as the log and the notes beside it know them, and then joins the database.
//! It must not land anything, and it never starts on a doubt.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::incidents::Incidents;
use super::notes::begin_start;
use super::plan::Rules;
use super::progress::Progress;
use super::retry::{Backoff, Mark};
use super::settings::LanderSettings;
use super::{Group, Lander, Lane};
use crate::buffer::log::{LaneName, Log, LogError};
use crate::env::Env;
use crate::error::SinkError;
use crate::model::{Anchor, Group as ModelGroup, LaneId, Position};
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
    /// Where each lane of the log is in the database, as far as it is known, sorted by lane.
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
        "lane {lane}: the database has landed another history up to position {position} than this log holds. Nothing was written. Use the data directory and the database that belong together; if one of them is lost, run `landfall adopt`"
    )]
    Diverged {
        /// The lane.
        lane: LaneId,
        /// Where they disagree.
        position: Position,
    },
    /// The database lost commits, and the log no longer keeps what is missing there.
    #[error(
        "lane {lane}: position {noted} had landed, but the database is back at {found}, and the log no longer keeps the records between. Nothing was written. Restore a newer state of the database; if there is none, run `landfall adopt`"
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
pub const RETIRED: &str = "retired lanes";

impl Lander {
    /// Creates, takes over and checks all lanes of the log.
    ///
    /// # Errors
    /// [`OpenError`]; nothing has landed, and calling it again is safe.
    pub fn open(parts: LanderParts) -> Result<Opened, OpenError> {
        let mut lander = Lander::apart(parts)?;
        lander.join()?;
        Ok(Opened { landed: lander.landed(), lander })
    }

    /// Opens a lander while the database is away. It meets it, with all checks of a start, before it lands anything.
    ///
    /// # Errors
    /// [`OpenError::Log`].
    pub fn open_alone(parts: LanderParts) -> Result<Opened, OpenError> {
        let mut lander = Lander::apart(parts)?;
        lander.stand_alone()?;
        Ok(Opened { landed: lander.landed(), lander })
    }

    /// A lander that has not talked to the database yet: it joins it before it lands anything.
    fn apart(parts: LanderParts) -> Result<Lander, OpenError> {
        let owner = begin_start(&*parts.log, &parts.env)?;
        let incidents = Incidents::open(parts.log.clone(), parts.env.clone())?;
        let names = parts.log.lanes();
        let noted: HashMap<LaneId, Position> =
            parts.notes.iter().map(|note| (note.lane, note.landed)).collect();
        let (groups, retired) = groups_of(&parts.groups, &names);
        let relatives = relatives_of(&parts.groups, &names);
        let lanes = lanes_of(&groups, names.iter().map(|(_, id)| *id), &noted);
        let progress = Progress::new(
            parts.env.clock.clone(),
            groups.iter().map(|group| group.name.clone()),
            lanes.iter().map(|(&id, lane)| (id, lane.group)),
        );
        Ok(Lander {
            rules: Rules::new(&parts.context.catalogue),
            lineage: owner.lineage,
            owner,
            incidents: Arc::new(incidents),
            noted,
            looked: parts.env.clock.monotonic(),
            log: parts.log,
            database: parts.database,
            context: parts.context,
            env: parts.env,
            settings: parts.settings,
            progress: Arc::new(progress),
            lanes,
            groups,
            retired,
            relatives,
            sink: None,
            parked: None,
            connection: Backoff::default(),
            unsure: false,
            alone: None,
            attempt: None,
            next: 0,
            pending_since: None,
            closing: false,
        })
    }

    /// Where each lane is in the database, as far as this lander knows.
    pub(super) fn landed(&self) -> Vec<(LaneId, Position)> {
        self.lanes.iter().map(|(&id, lane)| (id, lane.at.position)).collect()
    }
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

/// The groups that rows of the retired lanes may be in now: a group's name is made of its tables' names.
fn relatives_of(present: &[ModelGroup], names: &[(LaneName, LaneId)]) -> BTreeSet<usize> {
    let is_here = |name: &LaneName, group: &ModelGroup| group.name == name.group && name.index < group.lanes;
    let retired = names.iter().filter(|(name, _)| !present.iter().any(|group| is_here(name, group)));
    let tables: BTreeSet<&str> = retired.flat_map(|(name, _)| name.group.split('+')).collect();
    let shares = |group: &ModelGroup| group.name.split('+').any(|table| tables.contains(table));
    (0..present.len()).filter(|&at| shares(&present[at])).collect()
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
        refusals: 0,
        isolates: false,
        records_max: None,
        streak: None,
        held: false,
        parks_anyway: false,
        resumes_seen: 0,
        flush_seen: 0,
        stopped: false,
    }
}

/// The lanes as the notes beside the log know them.
fn lanes_of(
    groups: &[Group],
    ids: impl Iterator<Item = LaneId>,
    noted: &HashMap<LaneId, Position>,
) -> BTreeMap<LaneId, Lane> {
    let mut home = HashMap::new();
    for (at, group) in groups.iter().enumerate() {
        home.extend(group.lanes.iter().map(|&id| (id, (at, group.ordered))));
    }
    ids.filter_map(|id| {
        let &(group, ordered) = home.get(&id)?;
        let position = noted.get(&id).copied().unwrap_or(0);
        let at = Mark { position, anchor: Anchor::START };
        Some((id, Lane { group, ordered, epoch: 0, at, cut: position, highest: position }))
    })
    .collect()
}
