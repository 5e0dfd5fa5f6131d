//! The one row of each lane: creating it, taking it over, and moving it by compare-and-set.
//! Nothing else in a landing may run before the compare-and-set of all its lanes.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::errors::classify;
use crate::error::SinkError;
use crate::model::lane::hex;
use crate::model::{Anchor, LaneId, LaneRow, Lineage, Owner, Position, Start, Watermark};
use crate::sink::parts::{check_lineage, taken_over};
use crate::sink::{Adopted, Landing, LaneStep};

const TABLE: &str = "landfall_lane";

fn failed(error: rusqlite::Error) -> SinkError {
    classify(TABLE, &error)
}

/// Inserts the lanes that are missing.
pub(super) fn create(connection: &Connection, owner: &Owner, lanes: &[LaneId]) -> Result<(), SinkError> {
    for &lane in lanes {
        match row(connection, lane)? {
            Some(found) => check_lineage(lane, Some(found.watermark.lineage), &owner.lineage)?,
            None => {
                let anchor = Anchor::START;
                let watermark = Watermark { lineage: owner.lineage, epoch: 0, position: 0, anchor };
                put(connection, lane, &LaneRow { watermark, start: Start::default() })?;
            }
        }
    }
    Ok(())
}

/// Raises the epoch of the lanes. It runs in a transaction that nobody else writes beside.
pub(super) fn take_over(
    connection: &Connection,
    owner: &Owner,
    lanes: &[LaneId],
) -> Result<Vec<Watermark>, SinkError> {
    lanes
        .iter()
        .map(|&lane| {
            let taken = taken_over(lane, row(connection, lane)?.as_ref(), owner)?;
            put(connection, lane, &taken)?;
            Ok(taken.watermark)
        })
        .collect()
}

/// The lanes that have a row.
pub(super) fn ids(connection: &Connection) -> Result<Vec<LaneId>, SinkError> {
    connection
        .prepare_cached("SELECT lane FROM landfall_lane ORDER BY lane")
        .and_then(|mut select| select.query_map([], |row| row.get(0).map(LaneId))?.collect())
        .map_err(failed)
}

/// Gives lanes the rows that a person has decided on.
pub(super) fn adopt(connection: &Connection, lanes: &[Adopted]) -> Result<(), SinkError> {
    for lane in lanes {
        if row(connection, lane.lane)? != lane.found {
            return Err(SinkError::Fenced { lane: lane.lane });
        }
        put(connection, lane.lane, &lane.becomes)?;
    }
    Ok(())
}

fn put(connection: &Connection, lane: LaneId, row: &LaneRow) -> Result<(), SinkError> {
    let LaneRow { watermark, start } = row;
    connection
        .prepare_cached(
            "INSERT INTO landfall_lane (lane, epoch, lineage, position, anchor, batch, boot, owner) \
             VALUES (?1, ?2, ?3, ?4, ?5, zeroblob(16), ?6, ?7) ON CONFLICT (lane) DO UPDATE SET \
             epoch = excluded.epoch, lineage = excluded.lineage, position = excluded.position, \
             anchor = excluded.anchor, boot = excluded.boot, owner = excluded.owner",
        )
        .and_then(|mut upsert| {
            upsert.execute(params![
                lane.0,
                watermark.epoch,
                watermark.lineage.0,
                number(watermark.position),
                watermark.anchor.0,
                number(start.boot),
                hex(&start.run),
            ])
        })
        .map_err(failed)?;
    Ok(())
}

/// Moves a lane, if it is exactly where the landing left it.
pub(super) fn advance(connection: &Connection, landing: &Landing, step: &LaneStep) -> Result<(), SinkError> {
    let changed = connection
        .prepare_cached(
            "UPDATE landfall_lane SET position = ?1, anchor = ?2, batch = ?3 \
             WHERE lane = ?4 AND lineage = ?5 AND epoch = ?6 AND position = ?7 AND anchor = ?8",
        )
        .and_then(|mut update| {
            update.execute(params![
                number(step.to.0),
                step.to.1.0,
                landing.batch,
                step.lane.0,
                landing.lineage.0,
                step.epoch,
                number(step.from.0),
                step.from.1.0,
            ])
        })
        .map_err(failed)?;
    if changed == 1 { Ok(()) } else { Err(SinkError::Fenced { lane: step.lane }) }
}

/// Where a lane is, or none before it was created.
pub(super) fn watermark(connection: &Connection, lane: LaneId) -> Result<Option<Watermark>, SinkError> {
    Ok(row(connection, lane)?.map(|row| row.watermark))
}

/// The row of a lane, or none before it was created.
pub(super) fn row(connection: &Connection, lane: LaneId) -> Result<Option<LaneRow>, SinkError> {
    connection
        .prepare_cached(
            "SELECT lineage, epoch, position, anchor, boot, owner FROM landfall_lane WHERE lane = ?1",
        )
        .and_then(|mut select| select.query_row([lane.0], read).optional())
        .map_err(failed)?
        .transpose()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Result<LaneRow, SinkError>> {
    let (lineage, anchor): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(3)?);
    let (epoch, position, boot): (i64, i64, i64) = (row.get(1)?, row.get(2)?, row.get(4)?);
    let run: String = row.get(5)?;
    let row = || {
        Some(LaneRow {
            watermark: Watermark {
                lineage: Lineage(lineage.try_into().ok()?),
                epoch,
                position: Position::try_from(position).ok()?,
                anchor: Anchor(anchor.try_into().ok()?),
            },
            start: Start { boot: u64::try_from(boot).ok()?, run: run_of(&run)? },
        })
    };
    Ok(row().ok_or_else(|| {
        SinkError::Unusable("a row of landfall_lane was changed by hand; restore it from a backup".into())
    }))
}

/// A run from the column `owner`; a lane of an older version has none.
fn run_of(text: &str) -> Option<[u8; 16]> {
    if text.is_empty() {
        return Some([0; 16]);
    }
    u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(u128::to_be_bytes)
}

/// A position as SQLite's signed number. A lane would need a million writes a second for 292,000 years to
/// leave it; beyond, the compare-and-set finds no row, which is safe.
fn number(position: Position) -> i64 {
    i64::try_from(position).unwrap_or(-1)
}
