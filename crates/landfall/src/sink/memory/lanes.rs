//! The lanes' rows of a database in memory, those of simulations too, and its incidents: what a real one keeps in
//! `landfall_lane` and `landfall_incident`. A refused call changes nothing.

use std::collections::BTreeMap;

use crate::env::planted::{Bug, planted};
use crate::error::SinkError;
use crate::model::{Anchor, Incident, LaneId, LaneRow, Lineage, Owner, Start, Watermark};
use crate::sink::parts::{check_lineage, taken_over};
use crate::sink::{Adopted, LaneStep};

/// Every lane's one row.
#[derive(Debug, Clone, Default)]
pub struct Lanes(BTreeMap<(LaneId, Lineage), LaneRow>);

/// Where the row of a lane is kept: whichever log it belongs to, there is one row.
fn place(lane: LaneId, lineage: &Lineage) -> (LaneId, Lineage) {
    (lane, if planted(Bug::RowByLineage) { *lineage } else { Lineage([0; 16]) })
}

impl Lanes {
    /// The row of a lane, or none before it was created.
    pub fn row(&self, lane: LaneId) -> Option<LaneRow> {
        let rows = self.0.range((lane, Lineage([0; 16]))..=(lane, Lineage([u8::MAX; 16])));
        rows.map(|(_, row)| *row).max_by_key(|row| row.watermark.epoch)
    }

    /// The lanes that have a row.
    pub fn ids(&self) -> Vec<LaneId> {
        let mut ids: Vec<LaneId> = self.0.keys().map(|(lane, _)| *lane).collect();
        ids.dedup();
        ids
    }

    /// Inserts the lanes that are missing.
    ///
    /// # Errors
    /// As [`Sink::create_lanes`](crate::sink::Sink::create_lanes).
    pub fn create(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<(), SinkError> {
        for lane in lanes {
            if let Some(found) = self.0.get(&place(*lane, &owner.lineage)) {
                check_lineage(*lane, Some(found.watermark.lineage), &owner.lineage)?;
            }
        }
        let watermark = Watermark { lineage: owner.lineage, epoch: 0, position: 0, anchor: Anchor::START };
        for lane in lanes {
            let row = self.0.entry(place(*lane, &owner.lineage));
            row.or_insert(LaneRow { watermark, start: Start::default() });
        }
        Ok(())
    }

    /// Raises the epoch of all these lanes, or of none.
    ///
    /// # Errors
    /// As [`Sink::take_over`](crate::sink::Sink::take_over).
    pub fn take_over(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<Vec<Watermark>, SinkError> {
        let taken = lanes
            .iter()
            .map(|&lane| {
                let place = place(lane, &owner.lineage);
                Ok((place, taken_over(lane, self.0.get(&place), owner)?))
            })
            .collect::<Result<Vec<_>, SinkError>>()?;
        self.0.extend(taken.iter().copied());
        Ok(taken.into_iter().map(|(_, row)| row.watermark).collect())
    }

    /// Moves a lane, if it is exactly where the landing of this log begins.
    ///
    /// # Errors
    /// [`SinkError::Fenced`] when it is not.
    pub fn advance(&mut self, lineage: &Lineage, step: &LaneStep) -> Result<(), SinkError> {
        let (position, anchor) = step.from;
        let expected = Watermark { lineage: *lineage, epoch: step.epoch, position, anchor };
        match self.0.get_mut(&place(step.lane, lineage)) {
            Some(row) if row.watermark == expected => {
                (row.watermark.position, row.watermark.anchor) = step.to;
                Ok(())
            }
            _ => Err(SinkError::Fenced { lane: step.lane }),
        }
    }

    /// Gives lanes the rows that a person has decided on.
    ///
    /// # Errors
    /// [`SinkError::Fenced`] when a row is not what was found before.
    pub fn adopt(&mut self, lanes: &[Adopted]) -> Result<(), SinkError> {
        if let Some(moved) = lanes.iter().find(|lane| self.row(lane.lane) != lane.found) {
            return Err(SinkError::Fenced { lane: moved.lane });
        }
        let rows = lanes.iter().map(|lane| (place(lane.lane, &lane.becomes.watermark.lineage), lane.becomes));
        self.0.extend(rows);
        Ok(())
    }
}

/// Keeps incidents by their id.
pub(super) fn keep(kept: &mut Vec<Incident>, incidents: &[Incident]) {
    for incident in incidents {
        match kept.iter_mut().find(|have| have.id == incident.id) {
            Some(have) => have.clone_from(incident),
            None => kept.push(incident.clone()),
        }
    }
}
