//! What commands mean: Redis semantics for key-value keys, SQL semantics for mapped rows, on a locked unit.
//! Nothing here locks, logs or loads; it reads what the unit sees and says what shall change.

pub mod copies;
pub mod fields;
pub mod json;
pub mod keys;
pub mod numbers;
pub mod rows;
pub mod streams;
pub mod strings;

use std::sync::Arc;

use super::refusal::Refusal;
use crate::model::mapping::Target;
use crate::model::{Table, Value};

/// The table and key of a row target.
pub(super) fn row_of(target: &Target) -> Option<(&Arc<Table>, &[Value])> {
    match target {
        Target::Row(table, key) | Target::Cell(table, key, _) => Some((table, key)),
        _ => None,
    }
}

/// The refusal for a key that names a table where a row is wanted.
pub fn names_a_table(table: &Table) -> Refusal {
    let form: Vec<&str> = table.primary_key.iter().map(|&at| &*table.columns[at].name).collect();
    let hint = match form.is_empty() {
        true => format!("append an event with XADD {} * column value ..", table.name),
        false => format!("name a row as {}:<{}>", table.name, form.join(">:<")),
    };
    Refusal::invalid(format!("{} is a table; {hint}", table.name))
}
