//! The tables as the database described them last, as a note beside the log: a start serves with it while the database is
//! away. It never carries a row, and it is not trusted once the database answers.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::codec::{Reader, put_value};
use super::{Catalogue, Column, ColumnType, Reference, Table, Unmapped, Value};

/// The note's name.
pub const NOTE: &str = "catalogue";
const VERSION: u64 = 1;

/// The content of the note: JSON, `{"version": 1, "tables": [..], "unmapped": [..]}` (docs/format.md). Equal catalogues have
/// equal notes.
pub fn written(catalogue: &Catalogue) -> Vec<u8> {
    let tables: Vec<Json> = catalogue.tables().into_iter().map(|table| of_table(table)).collect();
    let unmapped: Vec<Json> =
        catalogue.unmapped().iter().map(|one| json!({"table": one.table, "reason": one.reason})).collect();
    json!({"version": VERSION, "tables": tables, "unmapped": unmapped}).to_string().into_bytes()
}

/// The catalogue in the note; none when it is of another version.
pub fn read(note: &[u8]) -> Option<Catalogue> {
    let note: Json = serde_json::from_slice(note).ok()?;
    if note["version"].as_u64() != Some(VERSION) {
        return None;
    }
    let tables = all(&note["tables"], table)?;
    let unmapped = all(&note["unmapped"], |one| {
        Some(Unmapped { table: one["table"].as_str()?.into(), reason: one["reason"].as_str()?.into() })
    })?;
    Some(Catalogue::new(tables, unmapped))
}

fn of_table(table: &Table) -> Json {
    let columns: Vec<Json> = table.columns.iter().map(of_column).collect();
    let references: Vec<Json> = table
        .references
        .iter()
        .map(|one| json!({"columns": one.columns, "table": one.table, "cascades": one.cascades}))
        .collect();
    json!({
        "name": &*table.name,
        "columns": columns,
        "primary_key": table.primary_key,
        "keyless_reason": table.keyless_reason,
        "unique": table.unique,
        "references": references,
    })
}

fn of_column(column: &Column) -> Json {
    let default = column.default.as_ref().map(|value| {
        let mut bytes = Vec::new();
        put_value(&mut bytes, value);
        bytes
    });
    json!({
        "name": &*column.name,
        "kind": of_kind(&column.kind),
        "declared": column.declared,
        "nullable": column.nullable,
        "has_default": column.has_default,
        "default": default,
        "generated": column.generated,
    })
}

fn of_kind(kind: &ColumnType) -> Json {
    match kind {
        ColumnType::Bool => json!({"is": "bool"}),
        ColumnType::Int { min, max } => json!({"is": "int", "min": min, "max": max}),
        ColumnType::Decimal { precision, scale } => {
            json!({"is": "decimal", "precision": precision, "scale": scale})
        }
        ColumnType::Number => json!({"is": "number"}),
        ColumnType::Float => json!({"is": "float"}),
        ColumnType::SmallFloat => json!({"is": "small_float"}),
        ColumnType::Text { chars_max } => json!({"is": "text", "chars_max": chars_max}),
        ColumnType::Padded { chars_max } => json!({"is": "padded", "chars_max": chars_max}),
        ColumnType::Bytes => json!({"is": "bytes"}),
        ColumnType::Date => json!({"is": "date"}),
        ColumnType::Time { digits_max } => json!({"is": "time", "digits_max": digits_max}),
        ColumnType::Timestamp { digits_max } => json!({"is": "timestamp", "digits_max": digits_max}),
        ColumnType::Interval { digits_max } => json!({"is": "interval", "digits_max": digits_max}),
        ColumnType::Json { bare_numbers } => json!({"is": "json", "bare_numbers": bare_numbers}),
        ColumnType::Jsonb => json!({"is": "jsonb"}),
        ColumnType::Enum { labels } => {
            json!({"is": "enum", "labels": labels.iter().map(|label| &**label).collect::<Vec<_>>()})
        }
        ColumnType::Address { is_network } => json!({"is": "address", "is_network": is_network}),
        ColumnType::Mac => json!({"is": "mac"}),
        ColumnType::Array { of } => json!({"is": "array", "of": of_kind(of)}),
        ColumnType::Uuid { folded } => json!({"is": "uuid", "folded": folded}),
        ColumnType::Unknown => json!({"is": "unknown"}),
    }
}

fn all<T>(list: &Json, one: impl FnMut(&Json) -> Option<T>) -> Option<Vec<T>> {
    list.as_array()?.iter().map(one).collect()
}

fn table(note: &Json) -> Option<Table> {
    let columns = all(&note["columns"], column)?;
    let within = columns.len();
    let numbers = |list: &Json| {
        let number = |one: &Json| usize::try_from(one.as_u64()?).ok().filter(|at| *at < within);
        all(list, number)
    };
    Some(Table {
        name: note["name"].as_str()?.into(),
        primary_key: numbers(&note["primary_key"])?,
        keyless_reason: note["keyless_reason"].as_str().map(Into::into),
        unique: all(&note["unique"], numbers)?,
        references: all(&note["references"], |one| {
            Some(Reference {
                columns: numbers(&one["columns"])?,
                table: one["table"].as_str()?.into(),
                cascades: one["cascades"].as_bool()?,
            })
        })?,
        columns,
    })
}

fn column(note: &Json) -> Option<Column> {
    let default = match &note["default"] {
        Json::Null => None,
        bytes => Some(value(&all(bytes, |byte| u8::try_from(byte.as_u64()?).ok())?)?),
    };
    Some(Column {
        name: Arc::from(note["name"].as_str()?),
        kind: kind(&note["kind"])?,
        declared: note["declared"].as_str()?.into(),
        nullable: note["nullable"].as_bool()?,
        has_default: note["has_default"].as_bool()?,
        default,
        generated: note["generated"].as_bool()?,
    })
}

fn value(bytes: &[u8]) -> Option<Value> {
    Reader::new(bytes).value().ok()
}

fn kind(note: &Json) -> Option<ColumnType> {
    let small = |name: &str| u32::try_from(note[name].as_u64()?).ok();
    Some(match note["is"].as_str()? {
        "bool" => ColumnType::Bool,
        "int" => ColumnType::Int { min: note["min"].as_i64()?, max: note["max"].as_i64()? },
        "decimal" => ColumnType::Decimal { precision: small("precision")?, scale: small("scale")? },
        "number" => ColumnType::Number,
        "float" => ColumnType::Float,
        "small_float" => ColumnType::SmallFloat,
        "text" => ColumnType::Text { chars_max: small("chars_max") },
        "padded" => ColumnType::Padded { chars_max: small("chars_max") },
        "bytes" => ColumnType::Bytes,
        "date" => ColumnType::Date,
        // A note of a version that knew SQLite only does not say it.
        "time" => ColumnType::Time { digits_max: small("digits_max").unwrap_or(6) },
        "timestamp" => ColumnType::Timestamp { digits_max: small("digits_max").unwrap_or(6) },
        "interval" => ColumnType::Interval { digits_max: small("digits_max")? },
        "json" => ColumnType::Json { bare_numbers: note["bare_numbers"].as_bool()? },
        // A note of a version that knew SQLite only does not say it.
        "uuid" => ColumnType::Uuid { folded: note["folded"].as_bool().unwrap_or(false) },
        "jsonb" => ColumnType::Jsonb,
        "enum" => ColumnType::Enum {
            labels: all(&note["labels"], |label| Some(Arc::from(label.as_str()?)))?.into(),
        },
        "address" => ColumnType::Address { is_network: note["is_network"].as_bool()? },
        "mac" => ColumnType::Mac,
        "array" => ColumnType::Array { of: Box::new(kind(&note["of"])?) },
        "unknown" => ColumnType::Unknown,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalogue_is_read_back_as_it_was() {
        let kinds = [
            ColumnType::Bool,
            ColumnType::Int { min: i64::MIN, max: 7 },
            ColumnType::Decimal { precision: 9, scale: 2 },
            ColumnType::Float,
            ColumnType::Number,
            ColumnType::SmallFloat,
            ColumnType::Padded { chars_max: Some(3) },
            ColumnType::Interval { digits_max: 3 },
            ColumnType::Jsonb,
            ColumnType::Enum { labels: ["a\"".into(), "b".into()].into() },
            ColumnType::Address { is_network: true },
            ColumnType::Mac,
            ColumnType::Array { of: Box::new(ColumnType::Text { chars_max: Some(3) }) },
            ColumnType::Text { chars_max: Some(3) },
            ColumnType::Text { chars_max: None },
            ColumnType::Bytes,
            ColumnType::Date,
            ColumnType::Time { digits_max: 0 },
            ColumnType::Timestamp { digits_max: 6 },
            ColumnType::Json { bare_numbers: true },
            ColumnType::Uuid { folded: true },
            ColumnType::Unknown,
        ];
        let column = |(at, kind): (usize, ColumnType)| Column {
            name: format!("c\"{at}").into(),
            declared: format!("{kind:?}"),
            kind,
            nullable: at % 2 == 0,
            has_default: at % 3 == 0,
            default: (at % 3 == 0).then(|| Value::decimal("1.50".parse().unwrap())),
            generated: at == 5,
        };
        let table = Table {
            name: "t".into(),
            columns: kinds.into_iter().enumerate().map(column).collect(),
            primary_key: vec![1, 0],
            keyless_reason: Some("why".into()),
            unique: vec![vec![2, 3], vec![4]],
            references: vec![Reference { columns: vec![1], table: "u".into(), cascades: true }],
        };
        let unmapped = vec![Unmapped { table: "v".into(), reason: "a view".into() }];
        let catalogue = Catalogue::new([table.clone()], unmapped.clone());
        let note = written(&catalogue);
        let back = read(&note).unwrap();
        assert_eq!(**back.table("t").unwrap(), table);
        assert_eq!(back.unmapped(), unmapped);
        assert_eq!(written(&back), note);
    }

    #[test]
    fn a_note_of_another_version_or_with_a_column_that_is_not_there_tells_nothing() {
        assert!(read(b"").is_none());
        assert!(read(br#"{"version": 2, "tables": [], "unmapped": []}"#).is_none());
        let table = |key: &str| {
            format!(
                r#"{{"version": 1, "unmapped": [], "tables": [{{"name": "t", "columns": [], "primary_key": [{key}], "keyless_reason": null, "unique": [], "references": []}}]}}"#
            )
        };
        assert!(read(table("").as_bytes()).is_some());
        assert!(read(table("0").as_bytes()).is_none());
    }
}
