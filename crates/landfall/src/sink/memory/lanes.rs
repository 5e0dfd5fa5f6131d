//! The lanes' rows of a database in memory, those of simulations too, and its incidents: what a real one keeps in
//! `landfall_lane` and `landfall_incident`. A refused call changes nothing.

use std::collections::BTreeMap;

use crate::error::SinkError;
use crate::model::{Anchor, Incident, LaneId, LaneRow, Lineage, Owner, Start, Watermark};
use crate::sink::parts::{check_lineage, taken_over};
use crate::sink::{Adopted, LaneStep};

/// Every lane's one row.
#[derive(Debug, Clone, Default)]
pub struct Lanes(BTreeMap<LaneId, LaneRow>);

impl Lanes {
    /// The row of a lane, or none before it was created.
    pub fn row(&self, lane: LaneId) -> Option<LaneRow> {
        self.0.get(&lane).copied()
    }

    /// The lanes that have a row.
    pub fn ids(&self) -> Vec<LaneId> {
        self.0.keys().copied().collect()
    }

    /// Inserts the lanes that are missing.
    ///
    /// # Errors
    /// As [`Sink::create_lanes`](crate::sink::Sink::create_lanes).
    pub fn create(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<(), SinkError> {
        for lane in lanes {
            if let Some(found) = self.0.get(lane) {
                check_lineage(*lane, Some(found.watermark.lineage), &owner.lineage)?;
            }
        }
        let watermark = Watermark { lineage: owner.lineage, epoch: 0, position: 0, anchor: Anchor::START };
        for lane in lanes {
            self.0.entry(*lane).or_insert(LaneRow { watermark, start: Start::default() });
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
            .map(|&lane| Ok((lane, taken_over(lane, self.0.get(&lane), owner)?)))
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
        match self.0.get_mut(&step.lane) {
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
        self.0.extend(lanes.iter().map(|lane| (lane.lane, lane.becomes)));
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
