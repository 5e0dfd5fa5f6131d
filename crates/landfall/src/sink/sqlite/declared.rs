//! What a column's declared type means: the usual SQL names, and SQLite's affinity rules for the rest.
//! A declared type that promises nothing is Unknown: readable, and never written by guess.

use super::convert::{Affinity, DECIMAL_DIGITS_MAX};
use crate::model::ColumnType;

/// How a column without a declared type is shown.
pub(super) const NONE: &str = "(no type)";

/// The kind of values that a column of this declared type takes.
pub(super) fn kind(declared: &str) -> ColumnType {
    let declared = declared.trim().to_ascii_lowercase();
    let (name, arguments) = split(&declared);
    let unsigned = name.split(' ').any(|word| word == "unsigned");
    let name = name.replace("unsigned", "");
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let int = |bits: u32| {
        let half = 1i64 << (bits - 1);
        if unsigned { range(0, half - 1 + half) } else { range(-half, half - 1) }
    };
    match (name.as_str(), arguments.as_slice()) {
        ("tinyint", [1]) | ("boolean" | "bool", _) => ColumnType::Bool,
        ("tinyint", _) => int(8),
        ("smallint" | "int2", _) => int(16),
        ("mediumint", _) => int(24),
        ("int" | "integer" | "bigint" | "big int" | "int8" | "int4", _) => {
            range(if unsigned { 0 } else { i64::MIN }, i64::MAX)
        }
        ("decimal" | "numeric", [precision]) => decimal(*precision, 0),
        ("decimal" | "numeric", [precision, scale]) => decimal(*precision, *scale),
        // Without digits SQLite keeps whatever number comes, as a float.
        ("decimal" | "numeric", []) => ColumnType::Float,
        ("char" | "character" | "varchar" | "nchar" | "nvarchar" | "character varying" | "text", [chars]) => {
            ColumnType::Text { chars_max: Some(*chars) }
        }
        ("real" | "double" | "double precision" | "float", _) => ColumnType::Float,
        ("date", _) => ColumnType::Date,
        ("time", _) => ColumnType::Time { digits_max: 6 },
        ("timestamp" | "datetime", _) => ColumnType::Timestamp { digits_max: 6 },
        // Both have numeric affinity: a text that looks like a number would become one.
        ("json", _) => ColumnType::Json { bare_numbers: false },
        ("uuid", _) => ColumnType::Uuid { folded: false },
        // A column without a type keeps what it gets.
        ("", _) => ColumnType::Text { chars_max: None },
        _ => by_affinity(&declared),
    }
}

fn by_affinity(declared: &str) -> ColumnType {
    match Affinity::of(declared) {
        Affinity::Text => ColumnType::Text { chars_max: None },
        Affinity::Integer => range(i64::MIN, i64::MAX),
        Affinity::Real => ColumnType::Float,
        Affinity::Blob => ColumnType::Bytes,
        // Such a column turns texts into numbers: `string`, of all names, is one.
        Affinity::Numeric => ColumnType::Unknown,
    }
}

fn range(min: i64, max: i64) -> ColumnType {
    ColumnType::Int { min, max }
}

fn decimal(precision: u32, scale: u32) -> ColumnType {
    let precision = precision.clamp(1, DECIMAL_DIGITS_MAX);
    ColumnType::Decimal { precision, scale: scale.min(precision) }
}

/// `decimal(10, 2)` as its name and its numbers. What is no number between the brackets counts as not there.
fn split(declared: &str) -> (String, Vec<u32>) {
    let Some((name, rest)) = declared.split_once('(') else { return (declared.to_owned(), Vec::new()) };
    let (inside, behind) = rest.split_once(')').unwrap_or((rest, ""));
    let numbers = inside.split(',').map_while(|number| number.trim().parse().ok()).collect();
    (format!("{} {}", name.trim(), behind.trim()).trim().to_owned(), numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_mean_what_people_expect() {
        let text = |chars_max| ColumnType::Text { chars_max };
        let cases = [
            ("BOOLEAN", ColumnType::Bool),
            ("tinyint(1)", ColumnType::Bool),
            ("TINYINT", range(-128, 127)),
            ("tinyint unsigned", range(0, 255)),
            ("smallint(6)", range(-32768, 32767)),
            ("MEDIUMINT", range(-8_388_608, 8_388_607)),
            ("INTEGER", range(i64::MIN, i64::MAX)),
            ("bigint(20) unsigned", range(0, i64::MAX)),
            ("UNSIGNED BIG INT", range(0, i64::MAX)),
            ("decimal(10, 2)", ColumnType::Decimal { precision: 10, scale: 2 }),
            ("NUMERIC(38,6)", ColumnType::Decimal { precision: 15, scale: 6 }),
            ("decimal(5)", ColumnType::Decimal { precision: 5, scale: 0 }),
            ("numeric", ColumnType::Float),
            ("char(4)", text(Some(4))),
            ("CHARACTER VARYING(7)", text(Some(7))),
            ("text", text(None)),
            ("CLOB", text(None)),
            ("", text(None)),
            ("blob", ColumnType::Bytes),
            ("DOUBLE PRECISION", ColumnType::Float),
            ("date", ColumnType::Date),
            ("time", ColumnType::Time { digits_max: 6 }),
            ("DATETIME", ColumnType::Timestamp { digits_max: 6 }),
            ("json", ColumnType::Json { bare_numbers: false }),
            ("uuid", ColumnType::Uuid { folded: false }),
            ("STRING", ColumnType::Unknown),
            ("geometry", ColumnType::Unknown),
            ("ANY", ColumnType::Unknown),
            ("varbinary(8)", ColumnType::Unknown),
            ("native character(70)", text(None)),
        ];
        for (declared, expected) in cases {
            assert_eq!(kind(declared), expected, "{declared}");
        }
    }
}
