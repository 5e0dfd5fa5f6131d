//! `landfall adopt`: a person decides that a log and a database belong together from now on, although one of them was
//! lost, went back or went another way. It tells first what that costs; it carries it out only as it told, declares an
//! incident for every lane before it changes a row, and lands nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::OpenError;
use super::lanes::Lanes;
use super::load::landing_context;
use crate::buffer::log::{Head, Log, LogError};
use crate::env::Env;
use crate::lander::{Incidents, notes};
use crate::model::{Anchor, IncidentKind, LaneId, LaneRow, Owner, Position, Watermark, landing_groups};
use crate::settings::Settings;
use crate::sink::{Adopted, Database, LandingContext, SinkError};

/// What an adoption would do, and what it costs.
pub struct Survey {
    env: Env,
    log: Arc<dyn Log>,
    database: Arc<dyn Database>,
    context: LandingContext,
    lanes: Vec<Decision>,
    /// The lanes that have a row in the database.
    found: BTreeSet<LaneId>,
    /// Whether the log belongs to another database, by its note.
    other_database: bool,
}

/// What becomes of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// How the row changes.
    pub row: Adopted,
    /// The positions whose rows may be missing in the database from then on; (0, 0): none of this log's.
    pub lost: (Position, Position),
    /// What was found and what follows, for people.
    pub what: String,
}

impl Survey {
    /// Looks at a log and a database, which no server may have open.
    ///
    /// # Errors
    /// [`OpenError`] when one of them cannot be read.
    pub fn new(
        env: Env,
        settings: &Settings,
        log: Arc<dyn Log>,
        database: Arc<dyn Database>,
    ) -> Result<Survey, OpenError> {
        let catalogue = Arc::new(database.catalogue()?);
        log.add_lanes(&Lanes::names(&landing_groups(&catalogue, settings.lanes)))?;
        let context = landing_context(&catalogue, settings);
        let owner = notes::begin_start(&*log, &env)?;
        let rows = rows(&*log, &*database, &context)?;
        let landed: BTreeMap<LaneId, Position> =
            notes::read_landed(&*log)?.iter().map(|note| (note.lane, note.landed)).collect();
        let found = rows.iter().filter(|(_, row)| row.is_some()).map(|(lane, _)| *lane).collect();
        let mut lanes = Vec::new();
        for (lane, found) in rows {
            let decided = decide(&*log, lane, found, landed.get(&lane).copied().unwrap_or(0), &owner)?;
            lanes.extend(decided.filter(|decision| {
                // A lane that has no row and never landed is what every first start finds.
                decision.row.found.is_some() || landed.contains_key(&lane)
            }));
        }
        let other_database = notes::is_other_database(&*log, &*database)?;
        Ok(Survey { env, log, database, context, lanes, found, other_database })
    }

    /// What becomes of the lanes that do not agree; those that do are not in it.
    pub fn decisions(&self) -> &[Decision] {
        &self.lanes
    }

    /// Whether there is anything to adopt.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty() && !self.other_database
    }

    /// Does what was told.
    ///
    /// # Errors
    /// [`OpenError`]; then no lane has changed, and what was declared stays declared.
    pub fn carry_out(self) -> Result<(), OpenError> {
        let incidents = Incidents::open(self.log.clone(), self.env.clone())?;
        for decision in &self.lanes {
            let lane = Some(decision.row.lane);
            incidents.declare(IncidentKind::Adopted, lane, decision.lost, &decision.what);
        }
        if self.lanes.is_empty() {
            let what = format!("the log belongs to {} from now on", self.database.describe());
            incidents.declare(IncidentKind::Adopted, None, (0, 0), &what);
        }
        if let Some(reason) = incidents.trouble() {
            return Err(LogError::Io { what: "adopt".into(), reason }.into());
        }
        self.database.set_up()?;
        let unsent = incidents.unsent();
        let rows: Vec<Adopted> = self.lanes.iter().map(|decision| decision.row).collect();
        self.database.sink(self.context)?.adopt(&rows, &unsent)?;
        incidents.sent(&unsent);
        let mut landed: BTreeMap<LaneId, Position> =
            notes::read_landed(&*self.log)?.iter().map(|note| (note.lane, note.landed)).collect();
        landed.extend(rows.iter().map(|row| (row.lane, row.becomes.watermark.position)));
        // Of lanes that this log has not got yet, those of this database: it goes on behind them when it gets them.
        let mut known: BTreeSet<LaneId> = self.log.lanes().into_iter().map(|(_, lane)| lane).collect();
        known.extend(&self.found);
        let landed: Vec<(LaneId, Position)> =
            landed.into_iter().filter(|(lane, _)| known.contains(lane)).collect();
        notes::write_landed(&*self.log, &landed)?;
        notes::write_database(&*self.log, &*self.database)?;
        Ok(())
    }
}

/// The rows of all lanes that the log or the database knows.
fn rows(
    log: &dyn Log,
    database: &dyn Database,
    context: &LandingContext,
) -> Result<BTreeMap<LaneId, Option<LaneRow>>, OpenError> {
    let mut ids: BTreeSet<LaneId> = log.lanes().into_iter().map(|(_, lane)| lane).collect();
    let mut sink = database.sink(context.clone())?;
    match sink.lane_ids() {
        Ok(found) => ids.extend(found),
        // Landfall's tables are not there yet.
        Err(SinkError::Unusable(_)) if database.identity()?.is_none() => {
            return Ok(ids.into_iter().map(|lane| (lane, None)).collect());
        }
        Err(error) => return Err(error.into()),
    }
    let ids: Vec<LaneId> = ids.into_iter().collect();
    let rows = sink.lanes(&ids)?;
    Ok(ids.into_iter().zip(rows).collect())
}

/// What becomes of a lane; none when log and database agree on it.
fn decide(
    log: &dyn Log,
    lane: LaneId,
    found: Option<LaneRow>,
    noted: Position,
    owner: &Owner,
) -> Result<Option<Decision>, LogError> {
    let is_known = log.lanes().iter().any(|(_, id)| *id == lane);
    let start = Head { position: 0, anchor: Anchor::START };
    let (oldest, head) = if is_known { (log.oldest(lane), log.head(lane)) } else { (start, start) };
    // Behind here nothing of this log has landed, as far as it knows; all of that is kept.
    let ours = noted.clamp(oldest.position, head.position);
    let Some(row) = found else {
        let lost = if noted > 0 { (1, noted) } else { (0, 0) };
        let what = format!(
            "lane {lane} has no row in this database; this log had landed it up to position {noted} elsewhere. It goes on behind {ours} here: the rows before are not brought again"
        );
        return decision(log, lane, (found, ours), owner, (lost, what)).map(Some);
    };
    let Watermark { lineage, position, anchor, .. } = row.watermark;
    if lineage != owner.lineage {
        let what = format!(
            "lane {lane} belonged to the log {lineage}, landed up to position {position}. What that log had acknowledged and not landed is gone with it. This log goes on behind its own position {ours}"
        );
        let lost = if noted > 0 { (1, noted) } else { (0, 0) };
        return decision(log, lane, (found, ours), owner, (lost, what)).map(Some);
    }
    let known = if position > head.position { None } else { crate::lander::anchor_of(log, lane, position)? };
    let (to, lost, what) = match known {
        Some(known) if known != anchor => (
            ours,
            (0, 0),
            format!(
                "lane {lane}: the database has landed another history up to position {position} than this log holds. What the other copy landed stays there; this log lands its own behind {ours} on top"
            ),
        ),
        _ if position < oldest.position => (
            oldest.position,
            (position + 1, oldest.position),
            format!(
                "lane {lane}: the database is back at position {position}, and the log keeps nothing before {}. The changes between are gone; what is behind lands again",
                oldest.position
            ),
        ),
        _ if owner.follows(&row.start) => return Ok(None),
        _ => (
            position,
            (0, 0),
            format!(
                "lane {lane} was taken over by start {} of another copy of this log, which is shut out from now on. What it had acknowledged and not landed is not in this log",
                row.start.boot
            ),
        ),
    };
    decision(log, lane, (found, to), owner, (lost, what)).map(Some)
}

fn decision(
    log: &dyn Log,
    lane: LaneId,
    (found, to): (Option<LaneRow>, Position),
    owner: &Owner,
    (lost, what): ((Position, Position), String),
) -> Result<Decision, LogError> {
    let epoch = found.map_or(0, |row| row.watermark.epoch) + 1;
    // The row's own anchor where the row stays: the log may not keep it.
    let own = found.map(|row| row.watermark).filter(|row| (row.lineage, row.position) == (owner.lineage, to));
    let anchor = match own.map(|row| row.anchor).filter(|_| lost == (0, 0)) {
        _ if to == 0 => Anchor::START,
        Some(anchor) => anchor,
        None => match crate::lander::anchor_of(log, lane, to)? {
            Some(anchor) => anchor,
            None => return Err(LogError::Trimmed { lane, position: to }),
        },
    };
    let watermark = Watermark { lineage: owner.lineage, epoch, position: to, anchor };
    let becomes = LaneRow { watermark, start: owner.start };
    Ok(Decision { row: Adopted { lane, found, becomes }, lost, what })
}
