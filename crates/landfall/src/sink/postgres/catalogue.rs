//! Reads the tables, their columns, keys and constraints from the database.
//! What it cannot map safely it leaves out with a reason; it never guesses a key.

use std::collections::HashMap;
use std::sync::Arc;

use super::errors::plain;
use super::frame::{self, Purpose};
use super::settings::PostgresSettings;
use super::text::{string, whole};
use super::wire::{Cell, Step, Wire};
use crate::error::SinkError;
use crate::model::{Catalogue, Column, ColumnType, Reference, Table, Unmapped, Value, types};

/// The name by which keys know a table: with its schema where the search path does not lead to it.
/// For a table `c` in the namespace `n`.
macro_rules! known_name {
    () => {
        "CASE WHEN pg_table_is_visible(c.oid) THEN c.relname::text ELSE n.nspname || '.' || c.relname END"
    };
}
pub(super) use known_name;

const TABLES: &str = concat!(
    "SELECT c.oid, ",
    known_name!(),
    ", c.relkind, c.relpersistence, has_table_privilege(c.oid, 'SELECT'), \
     c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid), n.nspname = 'landfall' \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND has_schema_privilege(n.oid, 'USAGE') \
     AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' \
     AND NOT (n.nspname = 'landfall' AND c.relname LIKE 'landfall\\_%') ORDER BY pg_table_is_visible(c.oid) DESC, 2"
);
const COLUMNS: &str = "SELECT a.attrelid, a.attname, a.attnum, format_type(a.atttypid, a.atttypmod), \
 CASE WHEN y.nspname = 'pg_catalog' THEN t.typname::text ELSE '.' || t.typname END, d.modifier, \
 a.attnotnull OR d.required, pg_get_expr(f.adbin, f.adrelid), a.attidentity, a.attgenerated <> '', \
 coalesce(NOT o.collisdeterministic, false), l.is_list, \
 (SELECT json_agg(v.enumlabel ORDER BY v.enumsortorder) FROM pg_enum v WHERE v.enumtypid = t.oid), d.filled \
 FROM pg_attribute a \
 CROSS JOIN LATERAL (WITH RECURSIVE base(type, modifier, required, filled, depth) AS ( \
   SELECT a.atttypid, a.atttypmod, false, false, 0 \
   UNION ALL SELECT t.typbasetype, t.typtypmod, base.required OR t.typnotnull, \
     base.filled OR t.typdefault IS NOT NULL, base.depth + 1 \
   FROM base JOIN pg_type t ON t.oid = base.type AND t.typtype = 'd') \
   SELECT * FROM base ORDER BY depth DESC LIMIT 1) AS d \
 JOIN pg_type u ON u.oid = d.type \
 CROSS JOIN LATERAL (SELECT u.typelem <> 0 AND u.typlen = -1 AND u.typcategory = 'A' AS is_list) AS l \
 JOIN pg_type t ON t.oid = CASE WHEN l.is_list THEN u.typelem ELSE u.oid END \
 JOIN pg_namespace y ON y.oid = t.typnamespace \
 LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum LEFT JOIN pg_collation o ON o.oid = a.attcollation \
 WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ANY ($1::oid[]) ORDER BY a.attrelid, a.attnum";
const INDEXES: &str = "SELECT i.indrelid, i.indisprimary, i.indpred IS NULL AND i.indexprs IS NULL AND NOT i.indisexclusion, \
 array_to_string((i.indkey::int2[])[0:i.indnkeyatts - 1], ',') FROM pg_index i \
 WHERE (i.indisunique OR i.indisexclusion) AND i.indrelid = ANY ($1::oid[]) ORDER BY i.indrelid, i.indexrelid";
const REFERENCES: &str = concat!(
    "SELECT k.conrelid, array_to_string(k.conkey, ','), ",
    known_name!(),
    ", k.confdeltype IN ('c', 'n', 'd') FROM pg_constraint k \
     JOIN pg_class c ON c.oid = k.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE k.contype = 'f' AND k.conrelid = ANY ($1::oid[]) ORDER BY k.conrelid, k.oid"
);

/// The catalogue of the database, in one snapshot.
pub(super) fn read(wire: &mut Wire, settings: &PostgresSettings) -> Result<Catalogue, SinkError> {
    let failed = |failure| plain("the database", failure);
    frame::open(wire, Purpose::Reading, settings)?;
    let listed = wire.run(&[Step::bare(TABLES)]).map_err(failed)?.into_iter().next().unwrap_or_default().rows;
    let (mut mapped, mut unmapped) = (Vec::new(), Vec::new());
    for row in &listed {
        let (Some(id), Some(name)) = (whole(row.first()), string(row.get(1))) else { continue };
        // Those that the search path leads to come first.
        let is_taken = mapped.iter().any(|listed: &Listed| listed.name == name);
        match left_out(row, is_taken) {
            Some(reason) => unmapped.push(Unmapped { table: name, reason: reason.into() }),
            None => mapped.push(Listed { id, name, has_heirs: is_true(row.get(5)) }),
        }
    }
    let ids: Vec<Cell> = mapped.iter().map(|listed| super::text::number(listed.id)).collect();
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
    let tables = mapped.iter().map(|listed| {
        let of = |rows: &HashMap<i64, Vec<&Vec<Cell>>>| {
            rows.get(&listed.id).unwrap_or(&none).iter().map(|row| (*row).clone()).collect::<Vec<_>>()
        };
        table(listed, &of(&columns), &of(&indexes), &of(&references))
    });
    Ok(Catalogue::new(tables.collect::<Vec<_>>(), unmapped))
}

/// A table that is mapped.
struct Listed {
    id: i64,
    name: String,
    /// Its queries see rows of other tables too.
    has_heirs: bool,
}

fn left_out(row: &[Cell], is_taken: bool) -> Option<&'static str> {
    match (row[2].as_deref(), row[3].as_deref()) {
        _ if is_true(row.get(6)) => Some(
            "it is in Landfall's own schema, where a user of that name makes tables unless told otherwise; ALTER TABLE .. SET SCHEMA public",
        ),
        (Some(b"v" | b"m"), _) => Some("it is a view; write to its tables instead"),
        (Some(b"f"), _) => {
            Some("it is a foreign table, which no transaction of this database holds together")
        }
        (_, Some(b"u")) => {
            Some("it is unlogged: PostgreSQL empties it after a crash, and what has landed would be gone")
        }
        _ if !is_true(row.get(4)) => {
            Some("the user may not read it; GRANT SELECT, INSERT, UPDATE, DELETE on it")
        }
        _ if is_taken => {
            Some("a table of the search path has the name that its schema and its own name make")
        }
        _ => None,
    }
}

fn is_true(cell: Option<&Cell>) -> bool {
    matches!(cell, Some(Some(text)) if text == b"t")
}

fn table(listed: &Listed, columns: &[Vec<Cell>], indexes: &[Vec<Cell>], references: &[Vec<Cell>]) -> Table {
    let numbers: Vec<i64> = columns.iter().map(|row| whole(row.get(2)).unwrap_or(0)).collect();
    let places = |list: Option<&Cell>| -> Vec<usize> {
        let list = string(list).unwrap_or_default();
        let place = |number: &str| numbers.iter().position(|known| number.parse() == Ok(*known));
        list.split(',').filter_map(place).collect()
    };
    let primary_key = indexes.iter().find(|row| is_true(row.get(1))).map(|row| places(row.get(3)));
    let mut primary_key = primary_key.unwrap_or_default();
    let is_folded =
        |row: &Vec<Cell>| is_true(row.get(10)) || string(row.get(4)).is_some_and(|kind| kind == CITEXT);
    let folded: Vec<bool> = columns.iter().map(is_folded).collect();
    let columns: Vec<Column> =
        columns.iter().enumerate().map(|(at, row)| column(row, primary_key.contains(&at))).collect();
    let heirs = listed.has_heirs.then(|| {
        "other tables inherit from it, and its primary key tells nothing of their rows, so it takes events only".to_owned()
    });
    let keyless_reason = heirs.or_else(|| keyless(&columns, &primary_key, &folded));
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
    Table { name: listed.name.as_str().into(), columns, primary_key, keyless_reason, unique, references }
}

fn column(row: &[Cell], is_key: bool) -> Column {
    let identity = string(row.get(8)).unwrap_or_default();
    let default = string(row.get(7));
    let generated = is_true(row.get(9));
    let kind = string(row.get(4)).unwrap_or_default();
    let mut column = Column {
        name: string(row.get(1)).unwrap_or_default().into(),
        kind: kind_of(&kind, whole(row.get(5)).unwrap_or(-1), is_true(row.get(11)), labels(row.get(12))),
        declared: string(row.get(3)).unwrap_or_default(),
        nullable: !is_true(row.get(6)),
        has_default: (default.is_some() && !generated) || !identity.is_empty() || is_true(row.get(13)),
        default: None,
        // Only the key of a row is known before the database numbers it.
        generated: generated || (identity == "a" && !is_key),
    };
    column.default = default.filter(|_| !generated).and_then(|written| constant(&column, &written));
    column
}

/// Text that compares without regard to case, of the extension of that name.
const CITEXT: &str = ".citext";

/// The labels of an enum.
fn labels(cell: Option<&Cell>) -> Option<Arc<[Arc<str>]>> {
    let labels: Vec<String> = serde_json::from_str(&string(cell)?).ok()?;
    Some(labels.into_iter().map(Arc::from).collect())
}

/// What a type takes. `modifier` is its length, precision and scale, as PostgreSQL packs them.
fn kind_of(name: &str, modifier: i64, is_list: bool, labels: Option<Arc<[Arc<str>]>>) -> ColumnType {
    let simple = match labels {
        Some(labels) => ColumnType::Enum { labels },
        None => simple(name, modifier),
    };
    match simple {
        // These have other spellings inside a list than alone.
        ColumnType::Bytes
        | ColumnType::Json { .. }
        | ColumnType::Jsonb
        | ColumnType::Padded { .. }
        | ColumnType::SmallFloat
            if is_list =>
        {
            ColumnType::Unknown
        }
        ColumnType::Unknown => ColumnType::Unknown,
        of if is_list => ColumnType::Array { of: Box::new(of) },
        simple => simple,
    }
}

fn simple(name: &str, modifier: i64) -> ColumnType {
    let int = |bits: u32| {
        let half = 1i64 << (bits - 1);
        ColumnType::Int { min: -half, max: half - 1 }
    };
    let chars_max = u32::try_from(modifier - 4).ok();
    let digits_max = u32::try_from(modifier).map_or(MICROSECONDS, |digits| digits.min(MICROSECONDS));
    match name {
        "bool" => ColumnType::Bool,
        "int2" => int(16),
        "int4" => int(32),
        "int8" => ColumnType::Int { min: i64::MIN, max: i64::MAX },
        "numeric" if modifier >= 4 => decimal(modifier - 4),
        "numeric" => ColumnType::Number,
        "float4" => ColumnType::SmallFloat,
        "float8" => ColumnType::Float,
        "text" | CITEXT => ColumnType::Text { chars_max: None },
        "varchar" => ColumnType::Text { chars_max },
        "bpchar" => ColumnType::Padded { chars_max },
        "bytea" => ColumnType::Bytes,
        "date" => ColumnType::Date,
        "time" => ColumnType::Time { digits_max },
        "timestamp" | "timestamptz" => ColumnType::Timestamp { digits_max },
        "interval" => interval(modifier),
        "json" => ColumnType::Json { bare_numbers: true },
        "jsonb" => ColumnType::Jsonb,
        "uuid" => ColumnType::Uuid { folded: true },
        "inet" => ColumnType::Address { is_network: false },
        "cidr" => ColumnType::Address { is_network: true },
        "macaddr" => ColumnType::Mac,
        _ => ColumnType::Unknown,
    }
}

/// The digits of a fraction of a second that PostgreSQL keeps.
const MICROSECONDS: u32 = 6;

/// An interval of some fields only would cut the others off.
fn interval(modifier: i64) -> ColumnType {
    let Ok(packed) = u32::try_from(modifier) else {
        return ColumnType::Interval { digits_max: MICROSECONDS };
    };
    match (packed >> 16, packed & 0xffff) {
        (0x7fff, digits) => ColumnType::Interval { digits_max: digits.min(MICROSECONDS) },
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
            _ if folded[at] => {
                "compared so that two spellings are one (a collation that is not deterministic, or citext)"
            }
            ColumnType::Float | ColumnType::SmallFloat => "a float, which has no one spelling",
            ColumnType::Number => "numeric without declared digits, which has no one spelling",
            ColumnType::Interval { .. } => "an interval, which has no one spelling",
            ColumnType::Array { .. } => "a list, which has no one spelling",
            ColumnType::Json { .. } | ColumnType::Jsonb => "JSON, which has no one spelling",
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
    match &column.kind {
        ColumnType::Bytes => super::text::unhex(text.as_bytes()).map(|bytes| Value::bytes(&bytes)),
        _ => types::parse(column, text.as_bytes()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_constants_are_taken_for_defaults() {
        let of = |kind: &str, modifier, written: &str| {
            let column = Column {
                name: "c".into(),
                kind: kind_of(kind, modifier, false, None),
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
        assert_eq!(of("bytea", -1, "'\\xff00'::bytea"), Some(Value::bytes(&[0xff, 0])));
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
