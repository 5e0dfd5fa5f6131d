//! What the commands of a unit did, as the body of one record.
//! It decides nothing: the order is that of the commands, and the bytes are those of each effect.

use smallvec::SmallVec;

use super::{EVENT, Unit};
use crate::env::planted::{Bug, planted};
use crate::model::LaneId;
use crate::model::codec::BodyWriter;

impl Unit<'_> {
    /// Appends the body of the record that tells what the commands did.
    pub(super) fn encode(&self, body: &mut Vec<u8>, lanes: &[LaneId], changes: usize) {
        let number = |lane: LaneId| lanes.iter().position(|have| *have == lane).unwrap_or(0) as u8;
        let mut writer = BodyWriter::new(body, changes);
        let mut events = self.events.iter();
        let order = if planted(Bug::TransactionByRow) { &[][..] } else { &self.order[..] };
        if order.is_empty() {
            for row in &self.rows {
                for effect in &row.effects {
                    effect.encode(&mut writer, number(row.lane), &row.row);
                }
            }
        }
        // In the order of the commands: a row may be valid only because of what another one became before it.
        let mut done: SmallVec<[usize; 4]> = smallvec::smallvec![0; self.rows.len()];
        for &at in order {
            if at == EVENT {
                let next = events.next();
                next.into_iter().for_each(|(lane, table, columns)| {
                    writer.append(number(*lane), table, columns);
                });
                continue;
            }
            let row = &self.rows[at];
            row.effects[done[at]].encode(&mut writer, number(row.lane), &row.row);
            done[at] += 1;
        }
        // Those of a single command.
        for (lane, table, columns) in events {
            writer.append(number(*lane), table, columns);
        }
    }
}
