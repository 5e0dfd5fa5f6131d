//! The one row of each lane: creating it, taking it over, and moving it by compare-and-set.
//! Nothing else in a landing may run before the compare-and-set of all its lanes.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::errors::classify;
use crate::error::SinkError;
use crate::model::{Anchor, LaneId, Lineage, Position, Watermark};
use crate::sink::parts::check_lineage;
use crate::sink::{Landing, LaneStep};

const TABLE: &str = "landfall_lane";

fn failed(error: rusqlite::Error) -> SinkError {
    classify(TABLE, &error)
}

/// Inserts the lanes that are missing.
pub(super) fn create(connection: &Connection, lineage: &Lineage, lanes: &[LaneId]) -> Result<(), SinkError> {
    for &lane in lanes {
        match watermark(connection, lane)? {
            Some(found) => check_lineage(lane, Some(found.lineage), lineage)?,
            None => {
                connection
                    .prepare_cached(
                        "INSERT INTO landfall_lane (lane, epoch, lineage, position, anchor, batch) \
                         VALUES (?1, 0, ?2, 0, ?3, zeroblob(16))",
                    )
                    .and_then(|mut insert| insert.execute(params![lane.0, lineage.0, Anchor::START.0]))
                    .map_err(failed)?;
            }
        }
    }
    Ok(())
}

/// Raises the epoch of the lanes.
pub(super) fn take_over(
    connection: &Connection,
    lineage: &Lineage,
    lanes: &[LaneId],
) -> Result<Vec<Watermark>, SinkError> {
    lanes
        .iter()
        .map(|&lane| {
            let taken = connection
                .prepare_cached(
                    "UPDATE landfall_lane SET epoch = epoch + 1 WHERE lane = ?1 AND lineage = ?2 \
                     RETURNING lineage, epoch, position, anchor",
                )
                .and_then(|mut update| update.query_row(params![lane.0, lineage.0], read).optional())
                .map_err(failed)?;
            match taken {
                Some(taken) => taken,
                None => {
                    check_lineage(lane, watermark(connection, lane)?.map(|found| found.lineage), lineage)?;
                    Err(damaged(lane))
                }
            }
        })
        .collect()
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
    connection
        .prepare_cached("SELECT lineage, epoch, position, anchor FROM landfall_lane WHERE lane = ?1")
        .and_then(|mut select| select.query_row([lane.0], read).optional())
        .map_err(failed)?
        .transpose()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Result<Watermark, SinkError>> {
    let (lineage, anchor): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(3)?);
    let (epoch, position): (i64, i64) = (row.get(1)?, row.get(2)?);
    let watermark = || {
        Some(Watermark {
            lineage: Lineage(lineage.try_into().ok()?),
            epoch,
            position: Position::try_from(position).ok()?,
            anchor: Anchor(anchor.try_into().ok()?),
        })
    };
    Ok(watermark().ok_or_else(|| {
        SinkError::Unusable("a row of landfall_lane was changed by hand; restore it from a backup".into())
    }))
}

fn damaged(lane: LaneId) -> SinkError {
    SinkError::Unusable(format!("the row of lane {lane} in landfall_lane does not match itself"))
}

/// A position as SQLite's signed number. A lane would need a million writes a second for 292,000 years to
/// leave it; beyond, the compare-and-set finds no row, which is safe.
fn number(position: Position) -> i64 {
    i64::try_from(position).unwrap_or(-1)
}
