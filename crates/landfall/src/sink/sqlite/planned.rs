//! The operations of a landing with their identities taken apart, in the order in which they run.
//! It must never change the order of an ordered landing, or of two changes of one row.

use crate::error::SinkError;
use crate::model::row::RowName;
use crate::model::{Change, LaneId, Name, Value};
use crate::sink::parts::row_name;
use crate::sink::{Landing, LandingOp};

/// An op with its identity taken apart. The variants' order is the order of an unordered landing.
pub(super) enum Planned<'l> {
    Clear,
    Key { lane: LaneId, key: &'l [u8], change: &'l Change },
    Row { table: &'l str, key: Vec<Value>, change: &'l Change },
    Append { table: &'l str, columns: &'l [(Name, Value)] },
}

/// The ops in the order in which they run: as given, or sorted by row, which touches each page once.
pub(super) fn in_order(landing: &Landing) -> Result<Vec<Planned<'_>>, SinkError> {
    let mut ops = landing.ops.iter().map(planned).collect::<Result<Vec<_>, SinkError>>()?;
    if !landing.ordered {
        // Stable, so that two changes of one row keep their order.
        ops.sort_by(|a, b| match (a, b) {
            (Planned::Key { key: a, .. }, Planned::Key { key: b, .. }) => a.cmp(b),
            (Planned::Row { table, key, .. }, Planned::Row { table: other, key: other_key, .. }) => {
                table.cmp(other).then_with(|| key.cmp(other_key))
            }
            (a, b) => a.rank().cmp(&b.rank()),
        });
    }
    Ok(ops)
}

pub(super) fn planned(op: &LandingOp) -> Result<Planned<'_>, SinkError> {
    Ok(match op {
        LandingOp::Clear => Planned::Clear,
        LandingOp::Append { table, columns } => Planned::Append { table, columns },
        LandingOp::Row { lane, row, change } => match row_name(row)? {
            RowName::Key(key) => Planned::Key { lane: *lane, key, change },
            RowName::Table { table, key } => Planned::Row { table, key, change },
        },
    })
}

impl Planned<'_> {
    fn rank(&self) -> u8 {
        match self {
            Planned::Clear => 0,
            Planned::Key { .. } => 1,
            Planned::Row { .. } => 2,
            Planned::Append { .. } => 3,
        }
    }
}
