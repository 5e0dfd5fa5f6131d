//! After the take-over: what the log still owes becomes the view again, before anybody reads.
//! It reads the log once, in order, and never asks the database for a row.

use std::collections::BTreeSet;

use super::core::Core;
use crate::buffer::cache::shard::After;
use crate::buffer::cache::{FORESEEN_MAX, View};
use crate::buffer::log::LogError;
use crate::env::planted::{Bug, planted};
use crate::model::codec::decode_body;
use crate::model::row::RowName;
use crate::model::{Change, LaneId, LoggedChange, Position, RowKey};

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
    let mut replay = Replay::new(core);
    let mut records = core.log.records(&lanes, core.log.accepted())?;
    while let Some(record) = records.next()? {
        let changes = decode_body(&record.body).map_err(|error| LogError::Damaged {
            file: core.settings.data_dir.clone(),
            offset: record.address,
            what: error.to_string(),
        })?;
        replay.recovered.records += 1;
        for (number, change) in changes {
            replay.recovered.changes += 1;
            let Some(&(lane, position)) = record.lanes.get(usize::from(number)) else { continue };
            if change == LoggedChange::Clear {
                replay.clears(&record.lanes);
            }
            replay.change(lane, position, change);
        }
    }
    drop(records);
    replay.apply();
    core.rows_have_moved(replay.left, replay.to)?;
    Ok(replay.recovered)
}

/// A change of a row, read and not applied yet.
struct Waiting {
    row: RowKey,
    lane: LaneId,
    position: Position,
    change: Change,
}

/// Applies changes in their order, a few at a time: the rows of all of them are fetched together, where one after the
/// other each would wait for its memory.
struct Replay<'c> {
    core: &'c Core,
    waiting: Vec<Waiting>,
    hashes: Vec<u64>,
    recovered: Recovered,
    /// The lanes that rows have left since, and those they are in now.
    left: BTreeSet<LaneId>,
    to: BTreeSet<LaneId>,
}

impl<'c> Replay<'c> {
    fn new(core: &'c Core) -> Self {
        Replay {
            core,
            waiting: Vec::with_capacity(FORESEEN_MAX),
            hashes: Vec::with_capacity(FORESEEN_MAX),
            recovered: Recovered::default(),
            left: BTreeSet::new(),
            to: BTreeSet::new(),
        }
    }

    /// To lanes that a clear is not in every key has moved.
    fn clears(&mut self, lanes: &[(LaneId, Position)]) {
        let now = self.core.lanes.key_value();
        if !now.iter().all(|of| lanes.iter().any(|(lane, _)| lane == of)) {
            self.left.extend(lanes.iter().map(|(lane, _)| *lane));
            self.to.extend(now);
        }
    }

    fn change(&mut self, lane: LaneId, position: Position, change: LoggedChange) {
        let core = self.core;
        if let Some(home) = core.home_of(&change).filter(|home| *home != lane) {
            self.left.insert(lane);
            self.to.insert(home);
        }
        let landed = position <= core.progress.landed(lane);
        match change {
            LoggedChange::Append { .. } => {}
            LoggedChange::Row { row, change } => {
                if let (Change::Delete, Ok(RowName::Table { table, .. })) = (&change, row.decode()) {
                    core.cascades.deleted(table, lane, position);
                }
                // A record of several lanes may have landed for some of them only in a database that was taken
                // back; what has landed there is in the database already.
                if !landed {
                    self.hashes.push(core.cache.hash(row.as_bytes()));
                    self.waiting.push(Waiting { row, lane, position, change });
                }
                if self.waiting.len() == FORESEEN_MAX {
                    self.apply();
                }
            }
            // The first of a record does it for all its lanes, and the others find nothing.
            LoggedChange::Clear if !landed && !planted(Bug::ClearNotRecovered) => {
                self.apply();
                core.recover_clear(lane, position);
            }
            LoggedChange::Letter { key, intent } if !landed => {
                self.apply();
                if let Some(row) = key.row() {
                    core.let_go_when_landed(row.as_bytes(), (lane, position), &intent);
                }
            }
            LoggedChange::Clear | LoggedChange::Letter { .. } => {}
        }
    }

    /// Applies what waits.
    fn apply(&mut self) {
        self.core.cache.foresee(&self.hashes);
        for (waiting, hash) in self.waiting.drain(..).zip(self.hashes.drain(..)) {
            apply_to_cache(self.core, hash, waiting);
        }
    }
}

impl Core {
    /// The lane that the row of a change has now; none for an event, and for a row of a table that is gone.
    fn home_of(&self, change: &LoggedChange) -> Option<LaneId> {
        let of_letter;
        let row = match change {
            LoggedChange::Row { row, .. } => row,
            LoggedChange::Letter { key, .. } => {
                of_letter = key.row()?;
                &of_letter
            }
            LoggedChange::Append { .. } | LoggedChange::Clear => return None,
        };
        let table = match row.decode().ok()? {
            RowName::Table { table, .. } => Some(&**self.catalogue.table(table)?),
            RowName::Key(_) => None,
        };
        Some(self.lanes.of_row(table, row.as_bytes()))
    }
}

fn apply_to_cache(core: &Core, hash: u64, Waiting { row, lane, position, change }: Waiting) {
    let row = row.as_bytes();
    let mut shard = core.cache.lock(core.cache.shard_of(hash));
    let key_value = row.first() == Some(&0);
    let place = shard.find(hash, row);
    let known_absent = key_value && core.cache.is_complete() && place.is_none();
    let starts_anew = matches!(&change, Change::Delete)
        || matches!(&change, Change::Upsert(upsert) if upsert.replace && key_value);
    let until = core.env.clock.unix_ms() + core.settings.ttl.as_millis() as u64;
    let after = match (known_absent || starts_anew, key_value) {
        (true, true) => {
            let mut view = View::Absent;
            let expires_ms = view.change_key(0, change);
            After::Known(view, expires_ms)
        }
        (true, false) => After::Known(View::Absent, until),
        // What the database computes is not in the log: let the row go once it has landed.
        (false, _) => After::Changed { change, until, reload: !key_value },
    };
    shard.write(&core.cache, (hash, row, lane), (position, 0), place, after);
    shard.relieve(&core.cache);
}
