//! Reads the tables, their columns, keys and constraints from the database.
//! What it cannot map safely it leaves out with a reason; it never guesses a key.

use std::collections::HashMap;

use super::errors::plain;
use super::frame::{self, Purpose};
use super::settings::PostgresSettings;
use super::text::{string, whole};
use super::wire::{Cell, Step, Wire};
use crate::error::SinkError;
use crate::model::{Catalogue, Column, ColumnType, Reference, Table, Unmapped, Value, types};

const TABLES: &str = "SELECT c.oid, c.relname, c.relkind, c.relpersistence \
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND pg_table_is_visible(c.oid) \
 AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'landfall') AND n.nspname NOT LIKE 'pg\\_%' \
 ORDER BY c.relname";
const COLUMNS: &str = "SELECT a.attrelid, a.attname, a.attnum, format_type(a.atttypid, a.atttypmod), \
 coalesce(b.typname, t.typname), CASE WHEN b.oid IS NULL THEN a.atttypmod ELSE t.typtypmod END, \
 a.attnotnull OR t.typnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated <> '', \
 coalesce(NOT o.collisdeterministic, false), coalesce(b.typtype, t.typtype) = 'e' \
 FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = t.typbasetype \
 LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum LEFT JOIN pg_collation o ON o.oid = a.attcollation \
 WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ANY ($1::oid[]) ORDER BY a.attrelid, a.attnum";
const INDEXES: &str = "SELECT i.indrelid, i.indisprimary, i.indpred IS NULL AND i.indexprs IS NULL AND NOT i.indisexclusion, \
 array_to_string((i.indkey::int2[])[0:i.indnkeyatts - 1], ',') FROM pg_index i \
 WHERE (i.indisunique OR i.indisexclusion) AND i.indrelid = ANY ($1::oid[]) ORDER BY i.indrelid, i.indexrelid";
const REFERENCES: &str = "SELECT k.conrelid, array_to_string(k.conkey, ','), p.relname, k.confdeltype IN ('c', 'n', 'd') \
 FROM pg_constraint k JOIN pg_class p ON p.oid = k.confrelid \
 WHERE k.contype = 'f' AND k.conrelid = ANY ($1::oid[]) ORDER BY k.conrelid, k.oid";

/// The catalogue of the database, in one snapshot.
pub(super) fn read(wire: &mut Wire, settings: &PostgresSettings) -> Result<Catalogue, SinkError> {
    let failed = |failure| plain("the database", failure);
    frame::open(wire, Purpose::Reading, settings)?;
    let listed = wire.run(&[Step::bare(TABLES)]).map_err(failed)?.into_iter().next().unwrap_or_default().rows;
    let (mut mapped, mut unmapped) = (Vec::new(), Vec::new());
    for row in &listed {
        let (Some(id), Some(name)) = (whole(row.first()), string(row.get(1))) else { continue };
        match left_out(row[2].as_deref(), row[3].as_deref()) {
            Some(reason) => unmapped.push(Unmapped { table: name, reason: reason.into() }),
            None => mapped.push((id, name)),
        }
    }
    let ids: Vec<Cell> = mapped.iter().map(|(id, _)| super::text::number(*id)).collect();
    let asked = [COLUMNS, INDEXES, REFERENCES].map(|sql| Step::new(sql, vec![super::text::array(&ids)]));
    let answers = wire.run(&asked).map_err(failed)?;
    frame::roll_back(wire);
    let of = |at: usize| {
        let mut rows: HashMap<i64, Vec<&Vec<Cell>>> = HashMap::new();
        for row in &answers[at].rows {
            rows.entry(whole(row.first()).unwrap_or(0)).or_default().push(row);
        }
        rows
    };
    let (columns, indexes, references) = (of(0), of(1), of(2));
    let none = Vec::new();
    let tables = mapped.iter().map(|(id, name)| {
        let of = |rows: &HashMap<i64, Vec<&Vec<Cell>>>| {
            rows.get(id).unwrap_or(&none).iter().map(|row| (*row).clone()).collect::<Vec<_>>()
        };
        table(name, &of(&columns), &of(&indexes), &of(&references))
    });
    Ok(Catalogue::new(tables.collect::<Vec<_>>(), unmapped))
}

fn left_out(kind: Option<&[u8]>, persistence: Option<&[u8]>) -> Option<&'static str> {
    match (kind, persistence) {
        (Some(b"v" | b"m"), _) => Some("it is a view; write to its tables instead"),
        (Some(b"f"), _) => {
            Some("it is a foreign table, which no transaction of this database holds together")
        }
        (_, Some(b"u")) => {
            Some("it is unlogged: PostgreSQL empties it after a crash, and what has landed would be gone")
        }
        _ => None,
    }
}

fn is_true(cell: Option<&Cell>) -> bool {
    matches!(cell, Some(Some(text)) if text == b"t")
}

fn table(name: &str, columns: &[Vec<Cell>], indexes: &[Vec<Cell>], references: &[Vec<Cell>]) -> Table {
    let numbers: Vec<i64> = columns.iter().map(|row| whole(row.get(2)).unwrap_or(0)).collect();
    let places = |list: Option<&Cell>| -> Vec<usize> {
        let list = string(list).unwrap_or_default();
        let place = |number: &str| numbers.iter().position(|known| number.parse() == Ok(*known));
        list.split(',').filter_map(place).collect()
    };
    let primary_key = indexes.iter().find(|row| is_true(row.get(1))).map(|row| places(row.get(3)));
    let mut primary_key = primary_key.unwrap_or_default();
    let folded: Vec<bool> = columns.iter().map(|row| is_true(row.get(10))).collect();
    let columns: Vec<Column> =
        columns.iter().enumerate().map(|(at, row)| column(row, primary_key.contains(&at))).collect();
    let keyless_reason = keyless(&columns, &primary_key, &folded);
    if keyless_reason.is_some() {
        primary_key.clear();
    }
    let all: Vec<usize> = (0..columns.len()).collect();
    let secondary = indexes.iter().filter(|row| !is_true(row.get(1)));
    // What a partial index or an expression depends on is not listed; any column may matter.
    let unique =
        secondary.map(|row| if is_true(row.get(2)) { places(row.get(3)) } else { all.clone() }).collect();
    let references = references.iter().map(|row| Reference {
        columns: places(row.get(1)),
        table: string(row.get(2)).unwrap_or_default(),
        cascades: is_true(row.get(3)),
    });
    let references = references.collect();
    Table { name: name.into(), columns, primary_key, keyless_reason, unique, references }
}

fn column(row: &[Cell], is_key: bool) -> Column {
    let identity = string(row.get(8)).unwrap_or_default();
    let default = string(row.get(7));
    let generated = is_true(row.get(9));
    let kind = string(row.get(4)).unwrap_or_default();
    let mut column = Column {
        name: string(row.get(1)).unwrap_or_default().into(),
        kind: kind_of(&kind, whole(row.get(5)).unwrap_or(-1), is_true(row.get(11))),
        declared: string(row.get(3)).unwrap_or_default(),
        nullable: !is_true(row.get(6)),
        has_default: (default.is_some() && !generated) || !identity.is_empty(),
        default: None,
        // Only the key of a row is known before the database numbers it.
        generated: generated || (identity == "a" && !is_key),
    };
    column.default = default.filter(|_| !generated).and_then(|written| constant(&column, &written));
    column
}

/// What a type takes. `modifier` is its length, precision and scale, as PostgreSQL packs them.
fn kind_of(name: &str, modifier: i64, is_enum: bool) -> ColumnType {
    let int = |bits: u32| {
        let half = 1i64 << (bits - 1);
        ColumnType::Int { min: -half, max: half - 1 }
    };
    let chars = || u32::try_from(modifier - 4).ok();
    match name {
        _ if is_enum => ColumnType::Text { chars_max: None },
        "bool" => ColumnType::Bool,
        "int2" => int(16),
        "int4" => int(32),
        "int8" => ColumnType::Int { min: i64::MIN, max: i64::MAX },
        "numeric" if modifier >= 4 => decimal(modifier - 4),
        "float4" | "float8" => ColumnType::Float,
        "text" => ColumnType::Text { chars_max: None },
        "varchar" | "bpchar" => ColumnType::Text { chars_max: chars() },
        "bytea" => ColumnType::Bytes,
        "date" => ColumnType::Date,
        "time" => ColumnType::Time,
        "timestamp" | "timestamptz" => ColumnType::Timestamp,
        "json" | "jsonb" => ColumnType::Json { bare_numbers: true },
        "uuid" => ColumnType::Uuid { folded: true },
        _ => ColumnType::Unknown,
    }
}

/// The scale has eleven bits and a sign; with one, or beyond the precision, digits before the point would be cut.
fn decimal(packed: i64) -> ColumnType {
    let (precision, scale) = ((packed >> 16) & 0xffff, packed & 0x7ff);
    match (u32::try_from(precision), u32::try_from(scale)) {
        (Ok(precision), Ok(scale)) if scale <= precision => ColumnType::Decimal { precision, scale },
        _ => ColumnType::Unknown,
    }
}

/// Why no key can lead to the rows of a table.
fn keyless(columns: &[Column], key: &[usize], folded: &[bool]) -> Option<String> {
    if key.is_empty() {
        return Some("it has no primary key, so it takes events only (XADD)".into());
    }
    key.iter().find_map(|&at| {
        let column = &columns[at];
        let why = match column.kind {
            _ if folded[at] => "compared by a collation that takes two spellings for one",
            ColumnType::Float => "a float, which has no one spelling",
            ColumnType::Json { .. } => "JSON, which has no one spelling",
            ColumnType::Unknown => "of a type that Landfall cannot write",
            _ if column.generated => "computed by the database",
            _ => return None,
        };
        Some(format!("column {} of its primary key is {why}, so it takes events only", column.name))
    })
}

/// The value of a default that is written as a constant; none for any other expression.
fn constant(column: &Column, written: &str) -> Option<Value> {
    let text = match written.strip_prefix('\'') {
        Some(rest) => {
            let (inside, behind) = rest.rsplit_once('\'')?;
            // A quote inside a text is written twice; one alone would end it. Behind it only the type is named.
            let is_cast = behind.is_empty() || behind.starts_with("::");
            (is_cast && !inside.replace("''", "").contains('\'')).then(|| inside.replace("''", "'"))?
        }
        None => {
            let bare = written.split("::").next().unwrap_or(written).trim_matches(['(', ')']);
            let is_plain = bare == "true" || bare == "false" || bare.parse::<f64>().is_ok_and(f64::is_finite);
            is_plain.then(|| bare.to_owned())?
        }
    };
    types::parse(column, text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_constants_are_taken_for_defaults() {
        let of = |kind: &str, modifier, written: &str| {
            let column = Column {
                name: "c".into(),
                kind: kind_of(kind, modifier, false),
                declared: String::new(),
                nullable: true,
                has_default: true,
                default: None,
                generated: false,
            };
            constant(&column, written)
        };
        assert_eq!(of("int4", -1, "5"), Some(Value::Int(5)));
        assert_eq!(of("int4", -1, "'-5'::integer"), Some(Value::Int(-5)));
        assert_eq!(of("bool", -1, "true"), Some(Value::Bool(true)));
        assert_eq!(of("text", -1, "'it''s'::text"), Some(Value::from("it's")));
        for written in
            ["now()", "nextval('s'::regclass)", "('a'::text || 'b'::text)", "'a'::text || 'b'::text"]
        {
            assert_eq!(of("text", -1, written), None, "{written}");
        }
    }

    #[test]
    fn a_decimal_that_would_cut_digits_is_not_written() {
        assert_eq!(decimal((10 << 16) | 2), ColumnType::Decimal { precision: 10, scale: 2 });
        assert_eq!(decimal((2 << 16) | 2046), ColumnType::Unknown);
    }
}
