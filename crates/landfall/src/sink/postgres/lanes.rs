//! The one row of each lane: creating it, taking it over, and moving it by compare-and-set.
//! Nothing else in a landing may run before the compare-and-set of all its lanes.

use super::errors::plain;
use super::text;
use super::wire::{Answer, Cell, Failure, Step, Wire};
use crate::error::SinkError;
use crate::model::lane::hex;
use crate::model::{Anchor, LaneId, LaneRow, Lineage, Owner, Position, Start, Watermark};
use crate::sink::parts::{check_lineage, taken_over};
use crate::sink::{Adopted, Landing, LaneStep};

const TABLE: &str = "landfall_lane";
/// What the server says of the share of nothing.
const DIVIDED_BY_ZERO: &str = "22012";
const ROW: &str = "SELECT lineage, epoch, position, anchor, boot, owner FROM landfall.landfall_lane WHERE lane = $1::bigint";

fn run(wire: &mut Wire, step: Step) -> Result<Answer, SinkError> {
    let answers = wire.run(&[step]).map_err(|failure| plain(TABLE, failure))?;
    Ok(answers.into_iter().next().unwrap_or_default())
}

/// Inserts the lanes that are missing.
pub(super) fn create(wire: &mut Wire, owner: &Owner, lanes: &[LaneId]) -> Result<(), SinkError> {
    for &lane in lanes {
        match locked(wire, lane)? {
            Some(found) => check_lineage(lane, Some(found.watermark.lineage), &owner.lineage)?,
            None => {
                let anchor = Anchor::START;
                let watermark = Watermark { lineage: owner.lineage, epoch: 0, position: 0, anchor };
                put(wire, lane, &LaneRow { watermark, start: Start::default() })?;
            }
        }
    }
    Ok(())
}

/// Raises the epoch of the lanes. It waits for whoever is moving one of them.
pub(super) fn take_over(
    wire: &mut Wire,
    owner: &Owner,
    lanes: &[LaneId],
) -> Result<Vec<Watermark>, SinkError> {
    // In the order of the lanes, as landings lock them: no two wait for each other.
    let mut sorted = lanes.to_vec();
    sorted.sort_unstable();
    let found =
        sorted.iter().map(|&lane| Ok((lane, locked(wire, lane)?))).collect::<Result<Vec<_>, SinkError>>()?;
    lanes
        .iter()
        .map(|&lane| {
            let row = found.iter().find(|(known, _)| *known == lane).and_then(|(_, row)| row.as_ref());
            let taken = taken_over(lane, row, owner)?;
            put(wire, lane, &taken)?;
            Ok(taken.watermark)
        })
        .collect()
}

/// The lanes that have a row.
pub(super) fn ids(wire: &mut Wire) -> Result<Vec<LaneId>, SinkError> {
    let answer = run(wire, Step::bare("SELECT lane FROM landfall.landfall_lane ORDER BY lane"))?;
    let id = |row: &Vec<Cell>| Some(LaneId(u32::try_from(text::whole(row.first())?).ok()?));
    answer.rows.iter().map(|row| id(row).ok_or_else(changed_by_hand)).collect()
}

/// Gives lanes the rows that a person has decided on.
pub(super) fn adopt(wire: &mut Wire, lanes: &[Adopted]) -> Result<(), SinkError> {
    for lane in lanes {
        if locked(wire, lane.lane)? != lane.found {
            return Err(SinkError::Fenced { lane: lane.lane });
        }
        put(wire, lane.lane, &lane.becomes)?;
    }
    Ok(())
}

fn put(wire: &mut Wire, lane: LaneId, row: &LaneRow) -> Result<(), SinkError> {
    let LaneRow { watermark, start } = row;
    let sql = "INSERT INTO landfall.landfall_lane (lane, epoch, lineage, position, anchor, batch, boot, owner) \
         VALUES ($1::bigint, $2::bigint, $3::bytea, $4::bigint, $5::bytea, decode(repeat('00', 16), 'hex'), $6::bigint, $7::text) \
         ON CONFLICT (lane) DO UPDATE SET epoch = excluded.epoch, lineage = excluded.lineage, \
         position = excluded.position, anchor = excluded.anchor, boot = excluded.boot, owner = excluded.owner";
    let bound = vec![
        text::number(lane.0.into()),
        text::number(watermark.epoch),
        Some(text::hex(&watermark.lineage.0)),
        text::number(number(watermark.position)),
        Some(text::hex(&watermark.anchor.0)),
        text::number(number(start.boot)),
        Some(hex(&start.run).into()),
    ];
    run(wire, Step::new(sql, bound)).map(|_| ())
}

/// What moves a lane, if it is exactly where the landing left it; [`has_moved`] understands the answer. The count of the
/// UPDATE decides, and one of none is an error for the server too: nothing that is sent behind it runs.
pub(super) fn advance(landing: &Landing, step: &LaneStep) -> Step {
    let sql = "WITH moved AS (UPDATE landfall.landfall_lane SET position = $1::bigint, anchor = $2::bytea, batch = $3::bytea \
         WHERE lane = $4::bigint AND lineage = $5::bytea AND epoch = $6::bigint AND position = $7::bigint AND anchor = $8::bytea \
         RETURNING lane) SELECT 1 / count(*) FROM moved";
    let bound = vec![
        text::number(number(step.to.0)),
        Some(text::hex(&step.to.1.0)),
        Some(text::hex(&landing.batch)),
        text::number(step.lane.0.into()),
        Some(text::hex(&landing.lineage.0)),
        text::number(step.epoch),
        text::number(number(step.from.0)),
        Some(text::hex(&step.from.1.0)),
    ];
    Step::new(sql, bound)
}

/// Whether the lane has moved.
pub(super) fn has_moved(lane: LaneId, answer: &Answer) -> Result<(), SinkError> {
    match answer.rows.first().and_then(|row| text::whole(row.first())) {
        Some(1) => Ok(()),
        _ => Err(SinkError::Fenced { lane }),
    }
}

/// The meaning of a failure of [`advance`].
pub(super) fn not_moved(lane: LaneId, failure: Failure) -> SinkError {
    match failure {
        Failure::Refused(refusal) if refusal.code == DIVIDED_BY_ZERO => SinkError::Fenced { lane },
        other => plain(TABLE, other),
    }
}

/// What asks for the row of a lane; [`read`] understands the answer.
pub(super) fn asked(lane: LaneId) -> Step {
    Step::new(ROW, vec![text::number(lane.0.into())])
}

/// The row of a lane, or none before it was created.
pub(super) fn row(wire: &mut Wire, lane: LaneId) -> Result<Option<LaneRow>, SinkError> {
    read(&run(wire, asked(lane))?)
}

/// The row of a lane as it is when nobody else moves it, and nobody does until the transaction ends.
fn locked(wire: &mut Wire, lane: LaneId) -> Result<Option<LaneRow>, SinkError> {
    let step = Step::new(format!("{ROW} FOR UPDATE"), vec![text::number(lane.0.into())]);
    read(&run(wire, step)?)
}

/// The row of a lane from the answer to [`asked`].
pub(super) fn read(answer: &Answer) -> Result<Option<LaneRow>, SinkError> {
    let Some(row) = answer.rows.first() else { return Ok(None) };
    let array = |at: usize| text::bytes(row.get(at)).and_then(|bytes| bytes.try_into().ok());
    let number = |at: usize| text::whole(row.get(at));
    let read = || {
        Some(LaneRow {
            watermark: Watermark {
                lineage: Lineage(array(0)?),
                epoch: number(1)?,
                position: Position::try_from(number(2)?).ok()?,
                anchor: Anchor(array(3)?),
            },
            start: Start { boot: u64::try_from(number(4)?).ok()?, run: run_of(&text::string(row.get(5))?)? },
        })
    };
    read().map(Some).ok_or_else(changed_by_hand)
}

fn changed_by_hand() -> SinkError {
    SinkError::Unusable("a row of landfall_lane was changed by hand; restore it from a backup".into())
}

/// A run from the column `owner`; a lane that nobody has taken has none.
fn run_of(text: &str) -> Option<[u8; 16]> {
    if text.is_empty() {
        return Some([0; 16]);
    }
    u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(u128::to_be_bytes)
}

/// A position as a signed number. Beyond its range the compare-and-set finds no row, which is safe.
fn number(position: Position) -> i64 {
    i64::try_from(position).unwrap_or(-1)
}
