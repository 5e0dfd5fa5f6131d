//! Looks at the database now and then, also while nothing is owed: a failover, a restore, another owner or a file that was
//! replaced is noticed before the next write needs to land. A look changes nothing.

use std::time::Duration;

use super::Lander;
use super::pass::Failure;
use super::retry::Mark;
use crate::env::planted::{Bug, planted};
use crate::error::SinkError;
use crate::model::{LaneId, catalogue_note};
use crate::sink::is_of_schema;

impl Lander {
    /// When the next look is due; never, when they are switched off.
    pub(super) fn look_at(&self) -> Option<Duration> {
        let every = Duration::from_millis(self.settings.check_ms);
        let next = (!every.is_zero() && !self.closing).then_some(self.looked + every);
        // A database that does not answer is asked when its backoff is over.
        next.map(|next| self.connection.until.map_or(next, |until| next.max(until)))
    }

    /// Looks, when it is time; whether it did.
    pub(super) fn watch(&mut self, now: Duration) -> bool {
        if planted(Bug::NeverLooks)
            || self.look_at().is_none_or(|at| at > now)
            || self.groups.iter().all(|group| group.stopped)
        {
            return false;
        }
        self.looked = now;
        if let Err(failure) = self.look_closer() {
            self.fail(failure);
        }
        true
    }

    fn look_closer(&mut self) -> Result<(), Failure> {
        let trusted = self.sink.is_some() && !self.unsure;
        self.connect()?;
        if trusted {
            let ids: Vec<LaneId> =
                self.lanes.iter().filter(|(_, l)| !self.groups[l.group].stopped).map(|(&id, _)| id).collect();
            let Some(sink) = &mut self.sink else { return Ok(()) };
            let rows = sink.lanes(&ids).map_err(Failure::Connection)?;
            let is_ours = |(id, row): (&LaneId, &Option<crate::model::LaneRow>)| {
                let Some((lane, row)) = self.lanes.get(id).zip(row.as_ref()) else { return false };
                let at = Mark { position: row.watermark.position, anchor: row.watermark.anchor };
                (at, row.watermark.epoch, row.watermark.lineage) == (lane.at, lane.epoch, self.lineage)
            };
            if !ids.iter().zip(&rows).all(is_ours) {
                // The take-over judges what happened, and refuses a lane that is gone or somebody else's.
                self.unsure = true;
                self.connect()?;
            }
        }
        self.send_incidents();
        self.compare_tables()
    }

    /// Asks whether the tables are still those that changes were checked against. If they are not, the engine is opened anew
    /// and this one need not land any more.
    fn compare_tables(&self) -> Result<(), Failure> {
        if !self.settings.compares_tables {
            return Ok(());
        }
        let found = self.database.catalogue().map_err(Failure::Connection)?;
        let is_same = catalogue_note::written(&found) == catalogue_note::written(&self.context.catalogue);
        if is_same || !self.progress.set_outdated() {
            return Ok(());
        }
        Err(Failure::Connection(SinkError::Unavailable(
            "the tables have changed and are read again before anything more lands".into(),
        )))
    }

    /// After a landing was refused for want of a table or a column: whether the tables have changed. If they have not, the
    /// refusal stands, and nobody reads them again and again.
    pub(super) fn met_changed_tables(&self, error: &SinkError) -> Result<(), Failure> {
        match error {
            SinkError::Refused { reason, .. } if is_of_schema(reason) => self.compare_tables(),
            _ => Ok(()),
        }
    }

    /// Tells the database of incidents that it does not have yet. They are kept beside the log until it took them.
    pub(super) fn send_incidents(&mut self) {
        let unsent = self.incidents.unsent();
        if unsent.is_empty() {
            return;
        }
        if let Some(sink) = &mut self.sink
            && sink.declare(&unsent).is_ok()
        {
            self.incidents.sent(&unsent);
        }
    }
}
