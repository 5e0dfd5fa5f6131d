//! From the key that an application writes to the row that it means: `table:pk`, `table:pk:column`, or a key-value key.
//! One row has one spelling: a key segment that is not canonical is refused, or two cache entries would own one row.

use std::borrow::Cow;
use std::sync::Arc;

use super::catalogue::{Catalogue, Table};
use super::types;
use super::value::Value;

/// What a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A key of Landfall's own key-value tables.
    Key,
    /// A row of a mapped table.
    Row(Arc<Table>, Vec<Value>),
    /// One column of a row; the number of the column.
    Cell(Arc<Table>, Vec<Value>, usize),
    /// A table itself, as `XADD` names it.
    Table(Arc<Table>),
}

/// Finds what `key` stands for.
///
/// `table:pk1:pk2` is a row, with one more segment that is a column's name a cell, the table's name alone the table.
/// Segments may be percent-escaped, and one `{tag}` around a segment is stripped. A key whose first segment is no
/// table is a key-value key, taken byte by byte.
///
/// # Errors
/// A sentence for the client: what is wrong with the key, and what to write instead.
pub fn resolve(catalogue: &Catalogue, key: &[u8]) -> Result<Target, String> {
    if catalogue.is_empty() {
        return Ok(Target::Key);
    }
    let first = key.split(|&byte| byte == b':').next().unwrap_or_default();
    let Some(table) = table_of(catalogue, first) else { return Ok(Target::Key) };
    let segments: Vec<&[u8]> = key.split(|&byte| byte == b':').skip(1).collect();
    if segments.is_empty() {
        return Ok(Target::Table(table.clone()));
    }
    let name = &table.name;
    if let Some(reason) = &table.keyless_reason {
        return Err(format!(
            "no key leads to a row of table {name}: {reason}, as in XADD {name} * column value .."
        ));
    }
    let keys = table.primary_key.len();
    if segments.len() != keys && segments.len() != keys + 1 {
        let form: Vec<&str> = table.primary_key.iter().map(|&at| &*table.columns[at].name).collect();
        return Err(format!(
            "table {name} has the key {name}:<{}>, and this key has {} behind the table; escape ':' in a value as %3A",
            form.join(">:<"),
            segments.len()
        ));
    }
    let mut values = Vec::with_capacity(keys);
    for (segment, &at) in segments.iter().zip(&table.primary_key) {
        let column = &table.columns[at];
        let text = unescape(segment)?;
        let value = types::parse_key(column, &text).map_err(|misfit| {
            format!("{name}.{}: the key takes {}; {}", column.name, misfit.expected, misfit.hint)
        })?;
        values.push(value);
    }
    match segments.get(keys) {
        None => Ok(Target::Row(table.clone(), values)),
        Some(segment) => {
            let column = unescape(segment)?;
            let found = std::str::from_utf8(&column).ok().and_then(|column| table.column_index(column));
            match found {
                Some(at) => Ok(Target::Cell(table.clone(), values, at)),
                // Mostly it is no column that was meant, but the rest of a value with a ':' in it.
                None => Err(format!(
                    "{}; escape ':' in a value as %3A",
                    unknown_column(table, &String::from_utf8_lossy(&column))
                )),
            }
        }
    }
}

/// The key of a row in the one spelling that [`resolve`] takes; none when no key leads to it, because another program
/// has stored something else in its primary key than the columns say.
///
/// ```
/// use landfall::model::mapping::key_of;
/// # use landfall::model::{Column, ColumnType, Table};
/// # let column = Column { name: "place".into(), declared: "text".into(), kind: ColumnType::Text { chars_max: None },
/// #     nullable: false, has_default: false, default: None, generated: false };
/// # let seat = Table { name: "seat".into(), columns: vec![column], primary_key: vec![0], keyless_reason: None,
/// #     unique: vec![], references: vec![] };
/// assert_eq!(key_of(&seat, &["12:A".into()]).unwrap(), b"seat:12%3AA");
/// ```
pub fn key_of(table: &Table, key: &[Value]) -> Option<Vec<u8>> {
    if key.len() != table.primary_key.len() {
        return None;
    }
    let mut text = escaped(table.name.as_bytes());
    for (value, &at) in key.iter().zip(&table.primary_key) {
        let mut segment = Vec::new();
        types::render(value, &mut segment);
        types::parse_key(&table.columns[at], &segment).ok().filter(|parsed| parsed == value)?;
        text.push(b':');
        text.extend(escaped(&segment));
    }
    Some(text)
}

/// The table whose rows' keys begin with `segment` and a colon, in the spelling of [`key_of`].
pub fn table_named<'a>(catalogue: &'a Catalogue, segment: &[u8]) -> Option<&'a Arc<Table>> {
    table_of(catalogue, segment).filter(|table| escaped(table.name.as_bytes()) == segment)
}

/// A segment in which nothing has a meaning of its own.
fn escaped(segment: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(segment.len());
    for &byte in segment {
        match byte {
            b':' | b'%' | b'{' | b'}' => out.extend(format!("%{byte:02X}").into_bytes()),
            byte => out.push(byte),
        }
    }
    out
}

/// The sentence for a column that a table does not have.
pub fn unknown_column(table: &Table, column: &str) -> String {
    let names: Vec<&str> = table.columns.iter().map(|column| &*column.name).collect();
    let column: String = column.chars().take(64).collect();
    format!("table {} has no column '{column}'; it has {}", table.name, names.join(", "))
}

fn table_of<'a>(catalogue: &'a Catalogue, segment: &[u8]) -> Option<&'a Arc<Table>> {
    let plain = std::str::from_utf8(strip_tag(segment)).ok()?;
    if let Some(table) = catalogue.table(plain) {
        return Some(table);
    }
    if !plain.contains('%') {
        return None;
    }
    let unescaped = unescape(segment).ok()?;
    catalogue.table(std::str::from_utf8(&unescaped).ok()?)
}

fn strip_tag(segment: &[u8]) -> &[u8] {
    segment.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")).unwrap_or(segment)
}

fn unescape(segment: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let segment = strip_tag(segment);
    if !segment.contains(&b'%') {
        return Ok(Cow::Borrowed(segment));
    }
    let mut out = Vec::with_capacity(segment.len());
    let mut rest = segment;
    while let Some((&byte, behind)) = rest.split_first() {
        if byte != b'%' {
            out.push(byte);
            rest = behind;
            continue;
        }
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) => out.push(escaped),
            None => return Err(
                "a '%' in the key of a row starts an escape of two hex digits; write %25 for a percent sign"
                    .into(),
            ),
        }
        rest = &behind[2..];
    }
    Ok(Cow::Owned(out))
}
