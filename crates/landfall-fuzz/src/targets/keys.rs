//! Keys and values from clients: one row has one key, and a value reads back as it was written.
//! A few bytes from a client must never cost more than a few bytes.

use std::sync::LazyLock;

use arbitrary::Unstructured;
use landfall::model::mapping::{Target, resolve};
use landfall::model::{Catalogue, Column, ColumnType, RowKey, Table, Value, types};

/// A rendered value may be longer than its text by this much: the digits that its column has behind the point.
const RENDERED_EXTRA_BYTES_MAX: usize = 64;

static KINDS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    [
        ColumnType::Bool,
        ColumnType::Int { min: -32768, max: 32767 },
        ColumnType::Int { min: i64::MIN, max: i64::MAX },
        ColumnType::Decimal { precision: 10, scale: 2 },
        ColumnType::Decimal { precision: 38, scale: 38 },
        ColumnType::Float,
        ColumnType::Text { chars_max: Some(5) },
        ColumnType::Text { chars_max: None },
        ColumnType::Bytes,
        ColumnType::Date,
        ColumnType::Time { digits_max: 6 },
        ColumnType::Timestamp { digits_max: 6 },
        ColumnType::Json { bare_numbers: true },
        ColumnType::Json { bare_numbers: false },
        ColumnType::Uuid { folded: true },
        ColumnType::Unknown,
    ]
    .into_iter()
    .enumerate()
    .map(|(at, kind)| Column {
        name: format!("c{at}").into(),
        kind,
        declared: "declared".to_owned(),
        nullable: true,
        has_default: false,
        default: None,
        generated: false,
    })
    .collect()
});

/// A table for each kind of key, one with a key of three parts, one without a key.
static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let table = |name: String, primary_key: Vec<usize>, keyless_reason: Option<&str>| Table {
        name: name.into(),
        columns: KINDS.clone(),
        primary_key,
        keyless_reason: keyless_reason.map(str::to_owned),
        unique: Vec::new(),
        references: Vec::new(),
    };
    let mut tables: Vec<Table> = (0..KINDS.len()).map(|at| table(format!("t{at}"), vec![at], None)).collect();
    tables.push(table("a b:%".to_owned(), vec![9, 10, 1], None));
    tables.push(table("e".to_owned(), Vec::new(), Some("it has no primary key")));
    Catalogue::new(tables, Vec::new())
});

pub(crate) fn run(input: &[u8]) {
    let mut choices = Unstructured::new(input);
    let kind = usize::from(choices.arbitrary::<u8>().unwrap_or_default());
    let text = choices.take_rest();
    let column = &KINDS[kind % KINDS.len()];
    if kind < 128 {
        a_value(column, text);
    } else {
        a_key(text);
        // The same bytes as the key of a table that exists.
        a_key(&[b"t", (kind % KINDS.len()).to_string().as_bytes(), b":", text].concat());
        a_key(&[b"a b%3A%25:", text].concat());
    }
}

fn a_value(column: &Column, text: &[u8]) {
    if let Ok(value) = types::parse(column, text) {
        assert_eq!(types::fits(column, &value), Ok(()), "{value:?}");
        let rendered = rendered(&value);
        assert!(rendered.len() <= 4 * text.len() + RENDERED_EXTRA_BYTES_MAX, "{} bytes", rendered.len());
        assert_eq!(
            types::parse(column, &rendered).as_ref(),
            Ok(&value),
            "{:?}",
            String::from_utf8_lossy(&rendered)
        );
    }
    if let Ok(delta) = types::parse_delta(column, text) {
        // A refused sum is an answer; a sum that is taken fits.
        for old in [Value::Null, Value::Int(1), Value::Int(i64::MAX)] {
            if let Ok(sum) = types::sum(column, &old, &delta) {
                assert_eq!(types::fits(column, &sum), Ok(()));
            }
        }
    }
}

fn a_key(key: &[u8]) {
    let (table, values, column) = match resolve(&CATALOGUE, key) {
        Ok(Target::Row(table, values)) => (table, values, None),
        Ok(Target::Cell(table, values, column)) => (table, values, Some(column)),
        Ok(Target::Key | Target::Table(_)) => return,
        Err(sentence) => {
            assert!(sentence.len() <= 64 * 1024 + 4 * key.len(), "{} bytes of advice", sentence.len());
            return;
        }
    };
    let row = RowKey::of_table(&table.name, &values);
    // The identity says table and key again, and the key can be written in one way that leads to the same row.
    let mut written = escaped(table.name.as_bytes());
    for value in &values {
        written.push(b':');
        written.extend(escaped(&rendered(value)));
    }
    match (column, resolve(&CATALOGUE, &written)) {
        (_, Ok(Target::Row(same, again))) => assert_eq!(RowKey::of_table(&same.name, &again), row),
        (_, other) => panic!("{other:?} instead of {row:?}"),
    }
    let decoded = row.decode().expect("an identity of our own");
    assert_eq!(decoded, landfall::model::row::RowName::Table { table: &table.name, key: values.clone() });
}

fn rendered(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    types::render(value, &mut out);
    out
}

fn escaped(bytes: &[u8]) -> Vec<u8> {
    bytes
        .iter()
        .flat_map(|byte| match byte.is_ascii_alphanumeric() {
            true => vec![*byte],
            false => format!("%{byte:02X}").into_bytes(),
        })
        .collect()
}
