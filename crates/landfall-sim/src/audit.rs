//! Compares what the server answers with what the SQLite file holds, once everything has landed.
//! It must never write to the file, and never explain a difference away.

mod copy;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use landfall_resp::Value;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

pub use copy::file_of;

use crate::client::{Client, Request, request};

/// Requests are sent so many at once.
const READS_AT_ONCE: usize = 200;

/// What one key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    Nothing,
    Text(Vec<u8>),
    /// Fields, or columns that are not NULL.
    Fields(BTreeMap<Vec<u8>, Vec<u8>>),
    /// The ids of the entries of a stream, in their order.
    Entries(Vec<String>),
}

/// Every difference, as a sentence. `tables` are mapped tables with the column of their key; `keys` are keys that the
/// server may know, so that one that the file lacks must be absent there too.
///
/// # Errors
/// The file cannot be read, or the server does not answer.
pub fn differences(
    database: &Path,
    client: &mut Client,
    tables: &[(&str, &str)],
    keys: &[String],
) -> Result<Vec<String>> {
    let file = open(database)?;
    let mut expected: BTreeMap<Vec<u8>, Held> = BTreeMap::new();
    for key in keys {
        expected.insert(key.as_bytes().to_vec(), Held::Nothing);
    }
    key_values(&file, &mut expected).context("reading Landfall's own tables")?;
    for (table, key) in tables {
        rows(&file, table, key, &mut expected).with_context(|| format!("reading table {table}"))?;
    }
    let expected: Vec<(Vec<u8>, Held)> = expected.into_iter().collect();
    let mut found = Vec::new();
    for chunk in expected.chunks(READS_AT_ONCE) {
        let requests: Vec<Request> = chunk.iter().map(|(key, held)| read_request(key, held)).collect();
        for ((key, in_file), answer) in chunk.iter().zip(client.pipeline(&requests)) {
            let shown = String::from_utf8_lossy(key);
            let answered = answer.value().with_context(|| format!("no answer for {shown}"))?;
            match held(answered) {
                Some(answered) if answered == *in_file => {}
                Some(answered) => found.push(format!(
                    "`{shown}`: the file holds {}, and the server answers {}",
                    told(in_file),
                    told(&answered)
                )),
                None => found.push(format!("`{shown}`: the server answers {answered:?}")),
            }
        }
    }
    Ok(found)
}

/// The values of one column of a table, in the order of the rows.
///
/// # Errors
/// The file cannot be read.
pub fn column(database: &Path, table: &str, column: &str) -> Result<Vec<String>> {
    let file = open(database)?;
    let mut statement = file.prepare(&format!("SELECT {} FROM {}", quoted(column), quoted(table)))?;
    let values = statement.query_map([], |row| row.get(0))?;
    values.collect::<Result<_, _>>().with_context(|| format!("reading {table}.{column}"))
}

fn open(database: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(database, flags)
        .with_context(|| format!("cannot open {}", database.display()))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn key_values(file: &Connection, expected: &mut BTreeMap<Vec<u8>, Held>) -> Result<()> {
    let mut statement = file.prepare("SELECT key, kind, value FROM landfall_key WHERE expires_ms IS NULL")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (key, kind, value): (Vec<u8>, String, Option<Vec<u8>>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let held = match (kind.as_str(), value) {
            ("string", Some(value)) => Held::Text(value),
            ("hash", None) => Held::Fields(BTreeMap::new()),
            ("stream", None) => Held::Entries(Vec::new()),
            (kind, _) => bail!("`{}` is of kind {kind}", String::from_utf8_lossy(&key)),
        };
        expected.insert(key, held);
    }
    let mut statement = file.prepare("SELECT key, field, value FROM landfall_hash_field")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (key, field, value): (Vec<u8>, Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        match expected.get_mut(&key) {
            Some(Held::Fields(fields)) => fields.insert(field, value),
            _ => bail!("`{}` has a field, and is no hash", String::from_utf8_lossy(&key)),
        };
    }
    let mut statement =
        file.prepare("SELECT key, ms, seq FROM landfall_stream_entry ORDER BY key, ms, seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (key, ms, seq): (Vec<u8>, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        match expected.get_mut(&key) {
            Some(Held::Entries(entries)) => entries.push(format!("{ms}-{seq}")),
            _ => bail!("`{}` has an entry, and is no stream", String::from_utf8_lossy(&key)),
        }
    }
    Ok(())
}

fn rows(file: &Connection, table: &str, key: &str, expected: &mut BTreeMap<Vec<u8>, Held>) -> Result<()> {
    let mut statement = file.prepare(&format!("SELECT * FROM {}", quoted(table)))?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut fields = BTreeMap::new();
        let mut name = format!("{table}:").into_bytes();
        for (at, column) in columns.iter().enumerate() {
            let Some(text) = text(row.get_ref(at)?)? else { continue };
            if column == key {
                name.extend_from_slice(&text);
            }
            fields.insert(column.as_bytes().to_vec(), text);
        }
        expected.insert(name, Held::Fields(fields));
    }
    Ok(())
}

fn text(value: ValueRef<'_>) -> Result<Option<Vec<u8>>> {
    match value {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(number) => Ok(Some(number.to_string().into_bytes())),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(Some(bytes.to_vec())),
        ValueRef::Real(_) => bail!("a float, which these comparisons do not know"),
    }
}

/// A key that the file lacks is asked for whatever it may be.
fn read_request(key: &[u8], held: &Held) -> Request {
    let words: &[&[u8]] = match held {
        Held::Nothing => &[b"EXISTS", key],
        Held::Text(_) => &[b"GET", key],
        Held::Fields(_) => &[b"HGETALL", key],
        Held::Entries(_) => &[b"XRANGE", key, b"-", b"+"],
    };
    words.iter().map(|word| word.to_vec()).collect()
}

fn held(value: &Value) -> Option<Held> {
    match value {
        Value::Null | Value::Integer(0) => Some(Held::Nothing),
        Value::Bulk(bytes) => Some(Held::Text(bytes.clone())),
        Value::Array(entries) if matches!(entries.first(), Some(Value::Array(_))) => {
            let id = |entry: &Value| match entry {
                Value::Array(parts) => Some(parts.first()?.as_str()?.to_owned()),
                _ => None,
            };
            Some(Held::Entries(entries.iter().map(id).collect::<Option<_>>()?))
        }
        Value::Array(_) | Value::Map(_) => {
            let pairs = value.clone().into_pairs().ok()?;
            let pair =
                |(name, value): (Value, Value)| Some((name.as_bytes()?.to_vec(), value.as_bytes()?.to_vec()));
            let fields: BTreeMap<Vec<u8>, Vec<u8>> = pairs.into_iter().map(pair).collect::<Option<_>>()?;
            Some(if fields.is_empty() { Held::Nothing } else { Held::Fields(fields) })
        }
        _ => None,
    }
}

fn told(held: &Held) -> String {
    match held {
        Held::Nothing => "nothing".to_owned(),
        Held::Text(bytes) => format!("`{}`", String::from_utf8_lossy(bytes)),
        Held::Fields(fields) => {
            let field = |(name, value): (&Vec<u8>, &Vec<u8>)| {
                format!("{}=`{}`", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
            };
            fields.iter().map(field).collect::<Vec<_>>().join(" ")
        }
        Held::Entries(ids) => format!("the entries {}", ids.join(" ")),
    }
}

/// Asks the server to land everything, and waits for that.
///
/// # Errors
/// It does not land within `within_ms`; the error holds the server's words.
pub fn flush(client: &mut Client, within_ms: u64) -> Result<()> {
    let answers = client.pipeline(&[request(&["LANDFALL.FLUSH", &within_ms.to_string()])]);
    match answers.first().and_then(|answer| answer.value()) {
        Some(Value::Simple(ok)) if ok == b"OK" => Ok(()),
        other => bail!("LANDFALL.FLUSH answered {other:?}"),
    }
}
