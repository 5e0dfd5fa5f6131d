//! XADD on a table: an event.
//! Streams over key-value keys are another matter ([`super::streams`]).

use landfall::engine::ops::rows;
use landfall::engine::{Refusal, Stop};
use landfall::model::mapping::Target;

use super::Call;

/// `XADD table * column value [column value ..]`
///
/// The reply is a bulk string `<position>-<lane>`; the front writes it, because the log gives the position.
pub fn xadd(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let table = match &call.targets[0] {
        Target::Table(table) => table.clone(),
        Target::Row(table, _) | Target::Cell(table, _, _) => {
            return Err(Refusal::invalid(format!(
                "XADD appends to a table, and the key names a row; write XADD {} * column value ..",
                table.name
            ))
            .into());
        }
        Target::Key => {
            return Err(Refusal::invalid("no table has this name").into());
        }
    };
    if call.arg(2) != b"*" {
        return Err(Refusal::invalid(
            "the id of an event is its place in the log; write * for it, and no options",
        )
        .into());
    }
    if call.request.arg_count().is_multiple_of(2) {
        return Err(Refusal::invalid("wrong number of arguments for 'xadd' command").into());
    }
    let args: Vec<&[u8]> = call.request.args().skip(3).collect();
    let columns: Vec<(&[u8], &[u8])> = args.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let event = rows::event(&table, &columns)?;
    call.event = Some(call.unit.append(&table, event, call.origin));
    Ok(())
}
