//! Joins a log and its database: the right database, the rows of new lanes, the take-over, and whether both tell one
//! history. It must not land anything, and it never goes on with a doubt.

use std::collections::BTreeMap;

use super::notes;
use super::retry::Mark;
use super::start::{StartVerdict, start_verdict};
use super::take_over::anchor_of;
use super::{Lander, OpenError};
use crate::buffer::log::{Head, LogError};
use crate::env::planted::{Bug, planted};
use crate::model::{IncidentKind, LaneId, Watermark};

impl Lander {
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
                self.check(*id, &watermark)?;
                found.insert(*id, watermark);
            }
        }
        for (id, watermark) in &found {
            let Some(lane) = self.lanes.get_mut(id) else { continue };
            lane.at = Mark { position: watermark.position, anchor: watermark.anchor };
            lane.epoch = watermark.epoch;
            lane.cut = lane.cut.max(watermark.position);
            self.progress.set_epoch(*id, lane.epoch);
            self.progress.publish_cut(*id, lane.cut);
        }
        let landed = self.landed();
        notes::write_landed(&*self.log, &landed)?;
        // Now that it is known to be the database of this log, what a newer version needs may be added.
        self.database.set_up()?;
        notes::write_database(&*self.log, &*self.database)?;
        self.noted = landed.iter().copied().collect();
        self.progress.publish_landed(&landed);
        self.progress.set_joined();
        (self.sink, self.unsure) = (Some(sink), false);
        Ok(())
    }

    /// Brings the log to where the database is, or refuses.
    fn check(&self, lane: LaneId, watermark: &Watermark) -> Result<(), OpenError> {
        let position = watermark.position;
        let noted = self.noted.get(&lane).copied().unwrap_or(0);
        let found = Mark { position, anchor: watermark.anchor };
        let anchor = anchor_of(&*self.log, lane, position)?;
        let head = self.log.head(lane);
        match start_verdict(noted, head, found, anchor) {
            StartVerdict::Diverged => return Err(OpenError::Diverged { lane, position }),
            StartVerdict::Continue => {}
            StartVerdict::Gap => {
                let what = format!(
                    "the log of lane {lane} ends at position {}, and the database has landed up to {position}: the log lost its end, or is an older copy of itself. What was acknowledged behind {position} and not landed is gone. New positions begin behind it",
                    head.position
                );
                self.incidents.declare(
                    IncidentKind::LogBehind,
                    Some(lane),
                    (head.position + 1, position),
                    &what,
                );
                // Behind the gap nothing would tell any more that something is missing.
                if let Some(reason) = self.incidents.trouble() {
                    return Err(LogError::Io { what: "the start".into(), reason }.into());
                }
                if !planted(Bug::GapForgotten) {
                    self.log.gap(lane, Head { position, anchor: watermark.anchor })?;
                }
            }
            StartVerdict::Replay => match self.log.rewind(lane, position) {
                Ok(()) => {}
                Err(LogError::Trimmed { .. }) => {
                    return Err(OpenError::Regressed { lane, found: position, noted });
                }
                Err(error) => return Err(error.into()),
            },
        }
        self.log.landed(lane, position);
        Ok(())
    }
}
