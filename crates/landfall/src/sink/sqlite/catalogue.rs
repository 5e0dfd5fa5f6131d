//! Reads the tables, their columns, keys and constraints from the file.
//! What it cannot map safely it leaves out with a reason; it never guesses a key.

use std::collections::HashMap;

use rusqlite::{Connection, Row};

use super::convert::Affinity;
use super::declared;
use super::errors::classify;
use crate::error::SinkError;
use crate::model::{Catalogue, Column, ColumnType, Reference, Table, Unmapped, Value, types};

/// The catalogue of the file.
pub(super) fn read(connection: &Connection) -> Result<Catalogue, SinkError> {
    // One snapshot for all of it; dropping the transaction ends it.
    let transaction = connection.unchecked_transaction().map_err(|error| failed(&error))?;
    let listed = rows(
        &transaction,
        "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' ORDER BY name",
        "",
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?)),
    )?;
    // A foreign key may spell its table in another case.
    let spelling: HashMap<String, String> =
        listed.iter().map(|(name, ..)| (name.to_ascii_lowercase(), name.clone())).collect();
    let mut tables = Vec::new();
    let mut unmapped = Vec::new();
    for (name, kind, without_rowid) in &listed {
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("sqlite_") || lower.starts_with("landfall_") {
            continue;
        }
        match kind.as_str() {
            "table" => tables.push(table(&transaction, name, *without_rowid, &spelling)?),
            "view" => unmapped.push(left_out(name, "it is a view; write to its tables instead")),
            "virtual" => {
                unmapped.push(left_out(name, "it is a virtual table, which has no usual rows and keys"))
            }
            _ => {}
        }
    }
    Ok(Catalogue::new(tables, unmapped))
}

fn failed(error: &rusqlite::Error) -> SinkError {
    classify("the database", error)
}

fn left_out(table: &str, reason: &str) -> Unmapped {
    Unmapped { table: table.into(), reason: reason.into() }
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    of: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, SinkError> {
    let parameters: &[&str] = if of.is_empty() { &[] } else { &[of] };
    connection
        .prepare_cached(sql)
        .and_then(|mut select| {
            select
                .query_map(rusqlite::params_from_iter(parameters), read)?
                .collect::<rusqlite::Result<Vec<T>>>()
        })
        .map_err(|error| failed(&error))
}

/// A column as the file describes it.
struct Described {
    column: Column,
    /// The place in the primary key, from 1; 0: none.
    key: usize,
}

fn describe(row: &Row<'_>) -> rusqlite::Result<Described> {
    let name: String = row.get(0)?;
    let declared: String = row.get(1)?;
    let key = row.get::<_, u32>(4)? as usize;
    let shown = if declared.is_empty() { declared::NONE.to_owned() } else { declared.clone() };
    let default: Option<String> = row.get(3)?;
    let mut column = Column {
        name: name.into(),
        kind: declared::kind(&declared),
        declared: shown,
        // SQLite lets the columns of most primary keys be NULL; a row with such a key has no name here, and
        // the key of a row that Landfall writes is never NULL.
        nullable: !row.get::<_, bool>(2)? && key == 0,
        has_default: default.is_some(),
        default: None,
        generated: row.get::<_, i64>(5)? > 1,
    };
    column.default = default.and_then(|written| constant(&column, &written));
    Ok(Described { column, key })
}

/// The value of a default that is written as a number, a text or a truth value; none for any other expression.
fn constant(column: &Column, written: &str) -> Option<Value> {
    let written = written.trim();
    let text = match written.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        // A quote inside a text is written twice; one alone would end it.
        Some(inside) if inside.replace("''", "").contains('\'') => return None,
        Some(inside) => inside.replace("''", "'"),
        None if written.eq_ignore_ascii_case("true") => "1".to_owned(),
        None if written.eq_ignore_ascii_case("false") => "0".to_owned(),
        None if written.parse::<f64>().is_ok_and(f64::is_finite) => written.to_owned(),
        None => return None,
    };
    types::parse(column, text.as_bytes()).ok()
}

fn table(
    connection: &Connection,
    name: &str,
    without_rowid: bool,
    spelling: &HashMap<String, String>,
) -> Result<Table, SinkError> {
    let described = rows(
        connection,
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1) ORDER BY cid",
        name,
        describe,
    )?;
    let mut key: Vec<usize> = (0..described.len()).filter(|&at| described[at].key > 0).collect();
    key.sort_by_key(|&at| described[at].key);
    let mut columns: Vec<Column> = described.into_iter().map(|described| described.column).collect();
    let indexes = indexes(connection, name)?;
    let key_index = indexes.iter().find(|index| index.is_primary_key);
    if let [at] = key[..]
        && !without_rowid
        && key_index.is_none()
    {
        // An alias of the row's number, which SQLite fills.
        columns[at].has_default = true;
    }
    let keyless_reason = keyless(&columns, &key, key_index);
    if keyless_reason.is_some() {
        key.clear();
    }
    let all: Vec<usize> = (0..columns.len()).collect();
    let unique = indexes
        .iter()
        .filter(|index| index.is_unique && !index.is_primary_key)
        // What a partial index or an expression depends on is not listed; any column may matter.
        .map(|index| if index.is_plain { index.columns.clone() } else { all.clone() })
        .collect();
    let references = references(connection, name, &columns, spelling)?;
    Ok(Table { name: name.into(), columns, primary_key: key, keyless_reason, unique, references })
}

/// Why no key can lead to the rows of a table.
fn keyless(columns: &[Column], key: &[usize], index: Option<&Index>) -> Option<String> {
    if key.is_empty() {
        return Some("it has no primary key, so it takes events only (XADD)".into());
    }
    if let Some(place) = index.and_then(|index| index.collations.iter().position(|name| name != "BINARY")) {
        return Some(format!(
            "column {} of its primary key is compared by the collation {}; two spellings of a key would be one row, so it takes events only",
            key.get(place).map_or("?", |&at| &columns[at].name),
            index.and_then(|index| index.collations.get(place)).map_or("?", String::as_str),
        ));
    }
    key.iter().map(|&at| &columns[at]).find_map(|column| {
        let why = match column.kind {
            ColumnType::Float => "a float, which has no one spelling",
            ColumnType::Json { .. } => "JSON, which has no one spelling",
            ColumnType::Unknown => "of a type that Landfall does not know",
            ColumnType::Text { .. } if is_coerced(column) => {
                "declared with a type whose texts SQLite turns into numbers; declare it as text"
            }
            _ => return None,
        };
        Some(format!("column {} of its primary key is {why}, so it takes events only", column.name))
    })
}

/// Whether SQLite would change some texts of this column.
fn is_coerced(column: &Column) -> bool {
    column.declared != declared::NONE
        && !matches!(Affinity::of(&column.declared), Affinity::Text | Affinity::Blob)
}

struct Index {
    is_unique: bool,
    is_primary_key: bool,
    /// Neither partial nor over an expression.
    is_plain: bool,
    columns: Vec<usize>,
    collations: Vec<String>,
}

fn indexes(connection: &Connection, table: &str) -> Result<Vec<Index>, SinkError> {
    let listed = rows(
        connection,
        "SELECT name, \"unique\", origin, partial FROM pragma_index_list(?1) ORDER BY seq",
        table,
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, bool>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, bool>(3)?,
            ))
        },
    )?;
    listed
        .into_iter()
        .map(|(name, is_unique, origin, is_partial)| {
            let parts = rows(
                connection,
                "SELECT cid, coll FROM pragma_index_xinfo(?1) WHERE key = 1 ORDER BY seqno",
                &name,
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
            )?;
            let columns: Vec<usize> =
                parts.iter().filter_map(|(cid, _)| usize::try_from(*cid).ok()).collect();
            Ok(Index {
                is_unique,
                is_primary_key: origin == "pk",
                is_plain: !is_partial && columns.len() == parts.len(),
                columns,
                collations: parts.into_iter().map(|(_, collation)| collation).collect(),
            })
        })
        .collect()
}

fn references(
    connection: &Connection,
    table: &str,
    columns: &[Column],
    spelling: &HashMap<String, String>,
) -> Result<Vec<Reference>, SinkError> {
    let listed = rows(
        connection,
        "SELECT id, \"table\", \"from\", on_delete FROM pragma_foreign_key_list(?1) ORDER BY id, seq",
        table,
        |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
            ))
        },
    )?;
    let mut references: Vec<(i64, Reference)> = Vec::new();
    for (id, parent, from, on_delete) in listed {
        let column = columns.iter().position(|column| column.name.eq_ignore_ascii_case(&from));
        match references.last_mut().filter(|(last, _)| *last == id) {
            Some((_, reference)) => reference.columns.extend(column),
            None => {
                let parent = spelling.get(&parent.to_ascii_lowercase()).cloned().unwrap_or(parent);
                let cascades = matches!(on_delete.as_str(), "CASCADE" | "SET NULL" | "SET DEFAULT");
                references
                    .push((id, Reference { columns: column.into_iter().collect(), table: parent, cascades }));
            }
        }
    }
    Ok(references.into_iter().map(|(_, reference)| reference).collect())
}
