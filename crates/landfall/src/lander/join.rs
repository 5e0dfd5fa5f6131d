//! Joins a log and its database: the right database, the rows of new lanes, the take-over, and whether both tell one
//! history. It must not land a row, and it never goes on with a doubt.
//!
//! While the database is away, a lander stands alone: its lanes are where the notes beside the log say, it lands nothing,
//! and new positions begin far above all that the database may have, so that none is used for two records. When the database
//! is there, everything of a start is made good, and what was served meanwhile is compared with what is found.

use std::collections::BTreeMap;

use super::batch::cross;
use super::notes;
use super::pass::Failure;
use super::progress::status::StopReason;
use super::retry::Mark;
use super::start::{StartVerdict, start_verdict};
use super::take_over::anchor_of;
use super::{Lander, OpenError};
use crate::buffer::log::{Gap, Head, LogError};
use crate::env::planted::{Bug, planted};
use crate::error::SinkError;
use crate::model::{Anchor, IncidentKind, LaneId, Position, Watermark, catalogue_note};
use crate::sink::{Landing, LaneStep, Sink};

/// How far above everything that it may have landed the positions of a start without the database begin.
const JUMP: Position = 1 << 32;

/// What has to be compared once a database that was away at the start is there.
#[derive(Debug, Default)]
pub(super) struct Alone {
    /// The log was behind the database: what it served was older than what was acknowledged before.
    behind: bool,
}

impl Lander {
    /// Goes on without the database.
    pub(super) fn stand_alone(&mut self) -> Result<(), OpenError> {
        let mut ends = Vec::with_capacity(self.lanes.len());
        for (&id, lane) in &mut self.lanes {
            let (oldest, head) = (self.log.oldest(id), self.log.head(id));
            // What is no longer kept has landed, noted or not.
            lane.at.position = lane.at.position.max(oldest.position);
            (lane.cut, lane.highest) = (lane.at.position, lane.at.position);
            let position = head.position.max(lane.at.position).saturating_add(JUMP);
            let anchor = head.anchor.next(&self.lineage, id, position, Anchor::body_hash(b"gap"));
            ends.push((id, Head { position, anchor }));
        }
        self.log.gap(&ends)?;
        let landed = self.landed();
        for &(id, position) in &landed {
            self.log.landed(id, position);
            self.progress.publish_cut(id, position);
        }
        self.progress.publish_landed(&landed);
        self.alone = Some(Alone::default());
        Ok(())
    }

    /// Creates, takes over and checks all lanes. Nothing has landed when it fails, and calling it again is safe.
    pub(super) fn join(&mut self) -> Result<(), OpenError> {
        notes::check_database(&*self.log, &*self.database)?;
        let mut sink = self.database.sink(self.context.clone())?;
        let (known, fresh): (Vec<LaneId>, Vec<LaneId>) =
            self.lanes.keys().partition(|id| self.noted.contains_key(id));
        let mut found: BTreeMap<LaneId, Watermark> = BTreeMap::new();
        // The known lanes first: a database that does not know this log must not get lanes of it.
        for (lanes, are_fresh) in [(known, false), (fresh, true)] {
            if lanes.is_empty() {
                continue;
            }
            if are_fresh {
                sink.create_lanes(&self.owner, &lanes)?;
            }
            for (id, watermark) in lanes.iter().zip(sink.take_over(&self.owner, &lanes)?) {
                let is_behind = self.check(*id, &watermark)?;
                if let Some(alone) = &mut self.alone {
                    alone.behind |= is_behind;
                }
                found.insert(*id, watermark);
            }
        }
        self.cross_gaps(&mut *sink, &mut found)?;
        for (id, watermark) in &found {
            let Some(lane) = self.lanes.get_mut(id) else { continue };
            lane.at = Mark { position: watermark.position, anchor: watermark.anchor };
            lane.epoch = watermark.epoch;
            lane.cut = lane.cut.max(watermark.position);
            // What an engine that is opened now needs comes from the log; one that stood alone believes that it had landed.
            let believed = if self.alone.is_some() { lane.highest } else { 0 };
            lane.highest = watermark.position.max(believed);
            self.progress.set_epoch(*id, lane.epoch);
            self.progress.publish_cut(*id, lane.cut);
        }
        let landed = self.landed();
        notes::keep_landed(&*self.log, &landed)?;
        // Now that it is known to be the database of this log, what a newer version needs may be added.
        self.database.set_up()?;
        notes::write_database(&*self.log, &*self.database)?;
        self.noted = landed.iter().copied().collect();
        self.progress.publish_landed(&landed);
        self.tell_what_is_whole();
        self.progress.set_joined();
        (self.sink, self.unsure) = (Some(sink), false);
        Ok(())
    }

    /// Moves the lanes over the gaps that they stand before: nobody owes them, and yet what lands behind them has to follow.
    fn cross_gaps(
        &self,
        sink: &mut dyn Sink,
        found: &mut BTreeMap<LaneId, Watermark>,
    ) -> Result<(), OpenError> {
        let step = |(&lane, at): (&LaneId, &Watermark)| {
            let mark = Mark { position: at.position, anchor: at.anchor };
            let over = cross(&*self.log, lane, mark, self.log.head(lane).position);
            let (from, to) = ((at.position, at.anchor), (over.position, over.anchor));
            (from != to).then_some(LaneStep { lane, epoch: at.epoch, from, to })
        };
        let lanes: Vec<LaneStep> = found.iter().filter_map(step).collect();
        if lanes.is_empty() {
            return Ok(());
        }
        let landing = Landing {
            batch: self.env.random_128(),
            time_ms: self.env.clock.unix_ms(),
            lineage: self.lineage,
            lanes,
            ops: Vec::new(),
            letters: Vec::new(),
            ordered: false,
        };
        sink.land(&landing)?;
        for step in &landing.lanes {
            if let Some(at) = found.get_mut(&step.lane) {
                (at.position, at.anchor) = step.to;
            }
            self.log.landed(step.lane, step.to.0);
        }
        Ok(())
    }

    /// After a start without the database: what was served since must have been of its tables and of all that had landed.
    /// If it was not, the engine has to be opened anew before anything lands.
    pub(super) fn compare(&mut self) -> Result<(), Failure> {
        let Some(alone) = &self.alone else { return Ok(()) };
        let behind = alone.behind;
        let found = self.database.catalogue().map_err(Failure::Connection)?;
        let same = catalogue_note::written(&found) == catalogue_note::written(&self.context.catalogue);
        let all = || (0..self.groups.len()).collect();
        notes::write_catalogue(&*self.log, &found).map_err(|error| Failure::Log { error, groups: all() })?;
        if same && !behind {
            self.alone = None;
            return Ok(());
        }
        let what = match behind {
            true => {
                "the log had lost its end before this start without the database, so what was served since was older than what had landed; an incident tells the positions. Nothing lands before the engine is opened anew"
            }
            false => {
                "the tables changed while the database was away, and are read again before anything lands"
            }
        };
        match self.progress.set_outdated() {
            true => Err(Failure::Connection(SinkError::Unavailable(what.into()))),
            false if behind => {
                Err(Failure::Stop { groups: all(), reason: StopReason::Diverged, what: what.into() })
            }
            // As when tables change under a running engine: what they no longer take is refused and parked.
            false => {
                self.alone = None;
                Ok(())
            }
        }
    }

    /// Brings the log to where the database is, or refuses. Whether the log was behind the database.
    fn check(&self, lane: LaneId, watermark: &Watermark) -> Result<bool, OpenError> {
        let position = watermark.position;
        let noted = self.noted.get(&lane).copied().unwrap_or(0);
        let found = Mark { position, anchor: watermark.anchor };
        let anchor = anchor_of(&*self.log, lane, position)?;
        let head = self.log.head(lane);
        // The database stands within the gap of a start without it: the log had lost its end before that.
        let lost = self.gap_around(lane, position);
        let mut is_behind = lost.is_some();
        if let Some(gap) = lost {
            self.declare_behind(lane, gap.from.position, position)?;
            self.log.landed(lane, position);
            return Ok(is_behind);
        }
        match start_verdict(head, found, anchor) {
            StartVerdict::Diverged => return Err(OpenError::Diverged { lane, position }),
            // A meeting before this one may have told the log of more than the database has now.
            StartVerdict::Continue => match self.log.rewind(lane, position) {
                Ok(()) => {}
                // The note may be older than what had landed, and only what had landed is let go.
                Err(LogError::Trimmed { .. }) => {
                    let noted = noted.max(self.log.oldest(lane).position);
                    return Err(OpenError::Regressed { lane, found: position, noted });
                }
                Err(error) => return Err(error.into()),
            },
            StartVerdict::Gap => {
                is_behind = true;
                self.declare_behind(lane, head.position, position)?;
                if !planted(Bug::GapForgotten) {
                    self.log.gap(&[(lane, Head { position, anchor: watermark.anchor })])?;
                }
            }
        }
        self.log.landed(lane, position);
        Ok(is_behind)
    }

    /// The gap that a position lies in: the log knows of records there no more than that they are not its own.
    pub(super) fn gap_around(&self, lane: LaneId, position: Position) -> Option<Gap> {
        self.log.gap_over(lane, position).filter(|gap| gap.from.position < position)
    }

    pub(super) fn declare_behind(
        &self,
        lane: LaneId,
        end: Position,
        position: Position,
    ) -> Result<(), LogError> {
        let what = format!(
            "the log of lane {lane} ended at position {end}, and the database has landed up to {position}: the log lost its end, or was an older copy of itself. What was acknowledged behind {position} and not landed is gone. New positions begin behind it"
        );
        self.incidents.declare(IncidentKind::LogBehind, Some(lane), (end + 1, position), &what);
        // Behind the gap nothing would tell any more that something is missing.
        match self.incidents.trouble() {
            Some(reason) => Err(LogError::Io { what: "an incident".into(), reason }),
            None => Ok(()),
        }
    }
}
