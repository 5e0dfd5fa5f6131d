//! After the take-over: what the log still owes becomes the view again, before anybody reads.
//! It reads the log once, in order, and never asks the database for a row.

use std::collections::BTreeSet;

use super::core::Core;
use crate::buffer::cache::View;
use crate::buffer::cache::shard::After;
use crate::buffer::cache::view::apply;
use crate::buffer::log::LogError;
use crate::model::codec::decode_body;
use crate::model::row::RowName;
use crate::model::{Change, LaneId, LoggedChange, Position};

/// What recovery brought back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Recovered {
    /// Records that had not landed.
    pub records: u64,
    /// Changes in them.
    pub changes: u64,
}

/// Applies to the cache what has not landed. Nothing lands while this runs, so no cut is published.
pub(super) fn recover(core: &Core) -> Result<Recovered, LogError> {
    let lanes: Vec<(LaneId, Position)> =
        core.log.lanes().into_iter().map(|(_, lane)| (lane, core.progress.landed(lane))).collect();
    let mut recovered = Recovered::default();
    let (mut left, mut to) = (BTreeSet::new(), BTreeSet::new());
    let mut records = core.log.records(&lanes, core.log.accepted())?;
    while let Some(record) = records.next()? {
        recovered.records += 1;
        let changes = decode_body(&record.body).map_err(|error| LogError::Damaged {
            file: core.settings.data_dir.clone(),
            offset: record.address,
            what: error.to_string(),
        })?;
        for (number, change) in changes {
            recovered.changes += 1;
            let Some(&(lane, position)) = record.lanes.get(usize::from(number)) else { continue };
            if let Some(home) = core.home_of(&change).filter(|home| *home != lane) {
                left.insert(lane);
                to.insert(home);
            }
            let (row, change) = match change {
                LoggedChange::Row { row, change } => (row, change),
                LoggedChange::Append { .. } => continue,
                LoggedChange::Clear => {
                    // The first of a record does it for all its lanes, and the others find nothing.
                    if position > core.progress.landed(lane) {
                        core.recover_clear(lane, position);
                    }
                    continue;
                }
                LoggedChange::Letter { key, .. } => {
                    if let Some(row) = key.row().filter(|_| position > core.progress.landed(lane)) {
                        core.let_go_when_landed(row.as_bytes(), lane, position);
                    }
                    continue;
                }
            };
            if let (Change::Delete, Ok(RowName::Table { table, .. })) = (&change, row.decode()) {
                core.cascades.deleted(table, lane, position);
            }
            // A record of several lanes may have landed for some of them only in a database that was taken
            // back; what has landed there is in the database already.
            if position > core.progress.landed(lane) {
                apply_to_cache(core, (row.as_bytes(), lane), position, change);
            }
        }
    }
    drop(records);
    core.rows_have_moved(left, to)?;
    Ok(recovered)
}

impl Core {
    /// The lane that the row of a change has now; none for an event, and for a row of a table that is gone.
    fn home_of(&self, change: &LoggedChange) -> Option<LaneId> {
        let row = match change {
            LoggedChange::Row { row, .. } => row.clone(),
            LoggedChange::Letter { key, .. } => key.row()?,
            LoggedChange::Append { .. } | LoggedChange::Clear => return None,
        };
        let table = match row.decode().ok()? {
            RowName::Table { table, .. } => Some(&**self.catalogue.table(table)?),
            RowName::Key(_) => None,
        };
        Some(self.lanes.of_row(table, row.as_bytes()))
    }
}

fn apply_to_cache(core: &Core, (row, lane): (&[u8], LaneId), position: Position, change: Change) {
    let hash = core.cache.hash(row);
    let mut shard = core.cache.lock(core.cache.shard_of(hash));
    let key_value = row.first() == Some(&0);
    let known_absent = key_value && core.cache.is_complete() && shard.find(hash, row).is_none();
    let starts_anew = matches!(&change, Change::Delete)
        || matches!(&change, Change::Upsert(upsert) if upsert.replace && key_value);
    let until = core.env.clock.unix_ms() + core.settings.ttl.as_millis() as u64;
    let after = if known_absent || starts_anew {
        let columns = apply(None, &change);
        match (key_value, columns) {
            (true, columns) => {
                let (view, expires_ms) = View::of_key_parts(columns.as_deref());
                After::Known(view, expires_ms)
            }
            (false, _) => After::Known(View::Absent, until),
        }
    } else {
        // What the database computes is not in the log: let the row go once it has landed.
        After::Changed { change, until, reload: !key_value }
    };
    shard.write(&core.cache, (hash, row, lane), (position, 0), None, after);
    shard.relieve(&core.cache);
}
