//! A door for the fuzz targets to the texts of statements; no build for users has it (feature `fuzz`).
//! It only shows what the sink would prepare, and runs nothing.

use super::statements::{Names, quoted};
use crate::model::Table;

/// Every statement for rows of `table`, where a change names the columns `chosen`.
pub fn statement_texts(table: &Table, chosen: &[usize]) -> Vec<String> {
    let names = Names {
        table: quoted(&table.name),
        columns: table.columns.iter().map(|column| quoted(&column.name)).collect(),
        key: table.primary_key.clone(),
    };
    let mut texts = vec![names.insert(chosen, None), names.insert(chosen, chosen.first().copied())];
    if !names.key.is_empty() {
        texts.extend([names.select(0..table.columns.len()), names.exists(), names.delete()]);
        if !chosen.is_empty() {
            texts.push(names.update(chosen.iter().map(|&column| (column, None))));
        }
    }
    texts
}
