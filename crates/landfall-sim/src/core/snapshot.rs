//! A committed state of the simulated database: rows, dead letters, incidents, and the lanes' rows as the library keeps
//! them in memory. It decides nothing about them.

use std::collections::BTreeMap;

use landfall::error::SinkError;
use landfall::model::{Anchor, Incident, LaneId, LaneRow, Owner, Position, Start, Watermark};
use landfall::sink::Adopted;
use landfall::sink::memory::lanes::Lanes;
use landfall::sink::memory::letters::Letters;

use super::history::Rows;

/// A committed state.
#[derive(Clone, Default)]
pub(super) struct Snapshot {
    pub(super) rows: Rows,
    pub(super) lanes: Lanes,
    pub(super) letters: Letters,
    pub(super) incidents: BTreeMap<[u8; 16], Incident>,
    pub(super) own: OwnTables,
}

/// Which of Landfall's own tables are there; all of them, unless it was said otherwise.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OwnTables {
    /// By how many versions they are behind: 1 has no numbers of letters, 2 no letters, 3 no identity and no
    /// incidents, and 4 nothing at all.
    behind: u8,
}

impl OwnTables {
    pub(super) fn behind(versions: u8) -> OwnTables {
        OwnTables { behind: versions }
    }

    pub(super) fn is_complete(self) -> bool {
        self.behind == 0
    }

    pub(super) fn complete(&mut self) {
        self.behind = 0;
    }

    pub(super) fn has_lanes(self) -> Result<(), SinkError> {
        self.has(4, "landfall_lane")
    }

    pub(super) fn has_identity(self) -> bool {
        self.behind < 3
    }

    pub(super) fn has_incidents(self) -> Result<(), SinkError> {
        self.has(3, "landfall_incident")
    }

    pub(super) fn has_letters(self) -> Result<(), SinkError> {
        self.has(2, "landfall_dead_letter")
    }

    fn has(self, since: u8, table: &str) -> Result<(), SinkError> {
        if self.behind < since { Ok(()) } else { Err(SinkError::Unusable(format!("no such table: {table}"))) }
    }
}

impl Snapshot {
    /// What readers have to see: the rows with what their dead letters owe them.
    pub(super) fn view(&self) -> Rows {
        let mut view = self.rows.clone();
        self.letters.values().for_each(|letter| view.apply(&letter.change));
        view
    }

    /// How far each lane is.
    pub(super) fn marks(&self) -> BTreeMap<LaneId, (Position, Anchor)> {
        let mark = |lane| self.lanes.row(lane).map(|row| (row.watermark.position, row.watermark.anchor));
        self.lanes.ids().into_iter().filter_map(|lane| Some((lane, mark(lane)?))).collect()
    }

    /// The same without the anchors.
    pub(super) fn positions(&self) -> BTreeMap<LaneId, Position> {
        self.marks().into_iter().map(|(lane, (position, _))| (lane, position)).collect()
    }

    pub(super) fn declare(&mut self, incidents: &[Incident]) -> Result<(), SinkError> {
        if !incidents.is_empty() {
            self.own.has_incidents()?;
        }
        self.incidents.extend(incidents.iter().map(|incident| (incident.id, incident.clone())));
        Ok(())
    }

    pub(super) fn create_lanes(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<(), SinkError> {
        self.own.has_lanes()?;
        self.lanes.create(owner, lanes)
    }

    pub(super) fn take_over(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<Vec<Watermark>, SinkError> {
        self.own.has_lanes()?;
        self.lanes.take_over(owner, lanes)
    }

    /// A start of a copy takes all lanes over. It counts on from the same number, so its number is that of a start here.
    pub(super) fn take_away(&mut self) -> Result<(), SinkError> {
        let taken = |lane| {
            let row = self.lanes.row(lane)?;
            let watermark = Watermark { epoch: row.watermark.epoch + 1, ..row.watermark };
            let start = Start { boot: row.start.boot.max(1), run: [0xc0; 16] };
            Some(Adopted { lane, found: Some(row), becomes: LaneRow { watermark, start } })
        };
        let taken: Vec<Adopted> = self.lanes.ids().into_iter().filter_map(taken).collect();
        self.lanes.adopt(&taken)
    }
}
