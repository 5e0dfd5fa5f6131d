//! What the log has of one row behind a watermark: the part of its owed changes that a database lacks which is between two
//! batches. It reads the log and changes nothing.

use std::time::Duration;

use super::core::Core;
use crate::buffer::cache::owed::Rest;
use crate::buffer::log::{LogError, Safety};
use crate::model::codec::decode_body;
use crate::model::{Change, LaneId, LoggedChange, Position, RowKey};

/// After so many records it is looked whether there is still time.
const RECORDS_BETWEEN_LOOKS: usize = 1024;

impl Core {
    /// The changes of the row in the lane behind `after`, up to and with `last`, merged. None when not all of it is
    /// durable yet, when a part of it has landed meanwhile and is no longer kept, and when it cannot be read `until` then.
    ///
    /// It reads every record of the lane in between: at most what may be pending, and only while one cut lands in several
    /// batches.
    ///
    /// # Errors
    /// [`LogError`] when the log cannot be read.
    pub(super) fn rest_of(
        &self,
        row: &RowKey,
        lane: LaneId,
        between: (Position, Position),
        until: Duration,
    ) -> Result<Option<Rest>, LogError> {
        match self.read_rest(row, lane, between, until) {
            Err(LogError::Trimmed { .. }) => Ok(None),
            read => read,
        }
    }

    fn read_rest(
        &self,
        row: &RowKey,
        lane: LaneId,
        (after, last): (Position, Position),
        until: Duration,
    ) -> Result<Option<Rest>, LogError> {
        let mut rest: Option<Change> = None;
        let mut records = self.log.records(&[(lane, after)], self.log.safe(Safety::Durable))?;
        let mut read = 0;
        while let Some(record) = records.next()? {
            read += 1;
            if read % RECORDS_BETWEEN_LOOKS == 0 && self.env.clock.monotonic() >= until {
                return Ok(None);
            }
            let place = record.lanes.iter().position(|&(of, _)| of == lane);
            let Some(at) = place else { continue };
            let position = record.lanes[at].1;
            if position > last {
                break;
            }
            let changes = decode_body(&record.body).map_err(|error| LogError::Damaged {
                file: self.settings.data_dir.clone(),
                offset: record.address,
                what: error.to_string(),
            })?;
            for (_, change) in changes.into_iter().filter(|(number, _)| usize::from(*number) == at) {
                // What is asked of a dead letter shows when it has landed, as for a row that is owed nothing.
                if change == LoggedChange::Clear && row.is_key_value() {
                    rest = Some(Change::Delete);
                }
                let LoggedChange::Row { row: of, change } = change else { continue };
                match &mut rest {
                    _ if of != *row => {}
                    Some(rest) => rest.merge(change),
                    None => rest = Some(change),
                }
            }
            if position == last {
                return Ok(Some(Rest { last, change: rest }));
            }
        }
        Ok(None)
    }
}
