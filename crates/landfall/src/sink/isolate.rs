//! Runs the operations of a landing one by one, for every sink's `isolate`: what is refused is carried on.
//! For sinks to use, those of other crates too. Pure but for the attempt that the sink makes. The lander's parking walks the same way, so both agree on what
//! each attempt held.

use std::collections::HashMap;

use super::{LandingOp, RefusedOp, SinkError};
use crate::model::{Change, Reason, RowKey};

/// Tries each operation with what its row carries. `attempt` gets its number and what to write, and undoes what it
/// refuses; `class_of` gives the class of a refusal from its words ([`Reason::class`]).
///
/// # Errors
/// What `attempt` answers, but for refusals.
pub fn isolate(
    ops: &[LandingOp],
    mut attempt: impl FnMut(usize, &LandingOp) -> Result<(), SinkError>,
    class_of: impl Fn(&str) -> &'static str,
) -> Result<Vec<RefusedOp>, SinkError> {
    let mut carried: HashMap<&RowKey, Change> = HashMap::new();
    let mut refused = Vec::new();
    for (number, op) in ops.iter().enumerate() {
        let merged = match op {
            LandingOp::Row { lane, row, change } => carried.remove(row).map(|mut whole| {
                whole.merge(change.clone());
                LandingOp::Row { lane: *lane, row: row.clone(), change: whole }
            }),
            LandingOp::Append { .. } | LandingOp::Clear => None,
        };
        let tried = merged.as_ref().unwrap_or(op);
        match attempt(number, tried) {
            Ok(()) => {}
            Err(SinkError::Refused { table, reason }) => {
                let class = class_of(&reason).into();
                let reason = Reason { table: table.into(), class, text: reason.into() };
                refused.push(RefusedOp { op: number, reason });
                if let (LandingOp::Row { row, .. }, LandingOp::Row { change, .. }) = (op, tried) {
                    carried.insert(row, change.clone());
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(refused)
}
