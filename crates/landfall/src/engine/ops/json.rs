//! A row as a JSON object, and back: what GET and SET of `table:pk` read and write.
//! Decimals are written with all their digits, never through a float.

use serde_json::Value as Json;

use super::rows;
use crate::engine::refusal::Refusal;
use crate::model::{Change, Name, Table, Value, types};

/// A row as a JSON object, in the table's order of columns; NULL columns are left out.
pub fn of_row(table: &Table, key: &[Value], row: &[(Name, Value)]) -> Vec<u8> {
    let mut out = vec![b'{'];
    for (column, value) in rows::cells(table, key, row) {
        if out.len() > 1 {
            out.push(b',');
        }
        push_string(&mut out, &column.name);
        out.push(b':');
        push_value(&mut out, value);
    }
    out.push(b'}');
    out
}

fn push_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(_) | Value::Float(_) | Value::Decimal(_) => types::render(value, out),
        Value::Text(text) => push_string(out, text),
        Value::Bytes(bytes) => push_string(out, &String::from_utf8_lossy(bytes)),
    }
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(Json::from(text).to_string().as_bytes());
}

/// The partial put that a JSON object means. Names that are no columns are refused unless `ignore` lists them.
///
/// # Errors
/// [`Refusal::Invalid`] when it is no JSON object, or a member does not fit its column or differs from the key.
pub fn to_put(table: &Table, key: &[Value], document: &[u8], ignore: &[String]) -> Result<Change, Refusal> {
    let object: serde_json::Map<String, Json> = serde_json::from_slice(document).map_err(|error| {
        Refusal::invalid(format!(
            "a row of table {} is written as a JSON object, and this is none (line {} column {}); or write columns with HSET",
            table.name,
            error.line(),
            error.column()
        ))
    })?;
    let mut columns = Vec::with_capacity(object.len());
    for (name, member) in &object {
        let at = match table.column_index(name) {
            Some(at) => at,
            None if ignore.iter().any(|ignored| ignored == name) => continue,
            None => return Err(rows::column(table, name.as_bytes()).err().unwrap_or(Refusal::WrongType)),
        };
        let value = match member {
            Json::Null => rows::null(table, at)?,
            member => rows::value(table, at, text_of(member).as_bytes())?,
        };
        match table.primary_key.iter().position(|&have| have == at) {
            Some(part) if key.get(part) == Some(&value) => {}
            Some(_) => {
                return Err(Refusal::invalid(format!(
                    "{}.{name} differs from the key; write another key for another row",
                    table.name
                )));
            }
            None => columns.push((Name::column(name), value)),
        }
    }
    Ok(Change::put(columns))
}

/// A member as the text that a client would write with HSET.
fn text_of(member: &Json) -> String {
    match member {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
