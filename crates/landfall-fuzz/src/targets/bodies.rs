//! The body of a record: any bytes are refused, or decode to changes that encode to themselves.
//! A number of a few bytes must never become a text of millions.

use landfall::model::LoggedChange;
use landfall::model::codec::{BodyWriter, decode_body};

pub(crate) fn run(input: &[u8]) {
    let Ok(changes) = decode_body(input) else { return };
    let mut again = Vec::new();
    let mut writer = BodyWriter::new(&mut again, changes.len());
    for (lane, logged) in &changes {
        match logged {
            LoggedChange::Row { row, change } => {
                // An identity from a body is decoded later, and answered then.
                let _ = row.decode();
                writer.row(*lane, row.as_bytes(), change);
            }
            LoggedChange::Append { table, columns } => writer.append(*lane, table, columns),
            LoggedChange::Letter { key, intent } => writer.letter(*lane, key, intent),
            LoggedChange::Clear => writer.clear(*lane),
        }
    }
    // Numbers have one spelling when written, and may have had another.
    assert!(again.len() <= 64 * input.len() + 64, "{} bytes became {}", input.len(), again.len());
    assert_eq!(decode_body(&again).as_ref(), Ok(&changes));
}
