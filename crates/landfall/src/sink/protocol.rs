//! The order of a landing inside its transaction, for every sink: the lanes first, then the operations, then the letters.
//! It must never run anything behind the first error; who calls it rolls back then. For sinks of other crates too.

use super::{Landing, LaneStep, LetterStep, SinkError};
use crate::env::failpoint::reach;
use crate::env::planted::{Bug, planted};

/// The statements of one landing, in a transaction that is open. An operation comes in the form that the sink prepared.
pub trait Statements<Op> {
    /// Moves a lane, if it is exactly where the landing begins.
    ///
    /// # Errors
    /// [`SinkError::Fenced`] when it is not.
    fn advance(&mut self, step: &LaneStep) -> Result<(), SinkError>;

    /// Writes one operation.
    ///
    /// # Errors
    /// [`SinkError`].
    fn write(&mut self, op: Op) -> Result<(), SinkError>;

    /// Writes or removes one dead letter.
    ///
    /// # Errors
    /// [`SinkError`].
    fn letter(&mut self, step: &LetterStep) -> Result<(), SinkError>;
}

/// Runs the statements of a landing up to its COMMIT; `ops` are the operations of it in the order in which they run.
///
/// # Errors
/// The first that a statement answers. Nothing ran behind it.
pub fn land<Op>(
    landing: &Landing,
    ops: impl IntoIterator<Item = Op>,
    statements: &mut impl Statements<Op>,
) -> Result<(), SinkError> {
    reach("landing.begin");
    for step in &landing.lanes {
        match statements.advance(step) {
            Err(SinkError::Fenced { .. }) if planted(Bug::NoFence) => {}
            moved => moved?,
        }
    }
    reach("landing.watermark");
    for op in ops {
        match statements.write(op) {
            Err(SinkError::Busy(_)) if planted(Bug::CarriesOn) => {}
            written => written?,
        }
        reach("landing.row");
    }
    landing.letters.iter().try_for_each(|step| statements.letter(step))?;
    reach("landing.commit");
    Ok(())
}
