//! Checks text against a column's type and gives its canonical value, before a write is acknowledged; renders it back.
//! Nothing is rounded, cut or coerced in silence: a value that does not fit is refused with a hint.

use super::catalogue::Column;
use super::value::Value;

/// Why a text does not fit a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// What the column takes: `smallint -32768..32767`.
    pub expected: String,
    /// What to write instead, in a few words; may be empty.
    pub hint: String,
}

/// The canonical value of `text` for `column`.
///
/// # Errors
/// [`Misfit`] when the column cannot hold it exactly.
pub fn parse(column: &Column, text: &[u8]) -> Result<Value, Misfit> {
    let _ = (column, text);
    Err(Misfit { expected: String::new(), hint: String::new() })
}

/// Appends the text of a value, as clients read it; NULL appends nothing.
pub fn render(value: &Value, out: &mut Vec<u8>) {
    let _ = (value, out);
}
