//! SQL for tables of any names: one statement of a known form, names quoted, values bound.
//! Nothing that a schema or a client names may become a word of the statement.

use arbitrary::{Result, Unstructured};
use landfall::model::{Column, ColumnType, Table};
use landfall::sink::sqlite::doors::statement_texts;
use rusqlite::Connection;

/// Every word that a statement may hold outside of quotes.
const WORDS: &[&str] = &[
    "SELECT", "FROM", "WHERE", "AND", "UPDATE", "SET", "INSERT", "INTO", "VALUES", "DELETE", "DEFAULT", "ON",
    "CONFLICT", "DO", "NOTHING", "1", "?",
];
const COLUMNS_MAX: usize = 5;
/// However many columns there are, the statements have so many forms at most.
const FORMS_MAX: usize = 12;

pub(crate) fn run(input: &[u8]) {
    let Ok((table, chosen)) = case(&mut Unstructured::new(input)) else { return };
    let texts = statement_texts(&table, &chosen);
    let mut forms: Vec<String> = Vec::new();
    for text in &texts {
        let (form, names) = form(text);
        for name in names {
            let known = name == *table.name || table.columns.iter().any(|column| *column.name == name);
            assert!(known, "{name:?} is no name of the table: {text}");
        }
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    assert!(forms.len() <= FORMS_MAX, "{forms:?}");

    // The database itself reads each as one statement about exactly this table.
    let database = Connection::open_in_memory().expect("memory");
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let columns: Vec<String> =
        table.columns.iter().map(|column| format!("{} TEXT UNIQUE", quoted(&column.name))).collect();
    let create = format!("CREATE TABLE {} ({})", quoted(&table.name), columns.join(", "));
    // SQLite keeps some names for itself.
    if database.execute_batch(&create).is_ok() {
        for text in &texts {
            database.prepare(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        }
    }
}

/// A statement with `N` for each quoted name, lists of them as one, and the names.
fn form(text: &str) -> (String, Vec<String>) {
    let (mut form, mut names) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match first {
            '"' => {
                let (name, behind) = unquote(&rest[1..]);
                names.push(name);
                form.push("N".to_owned());
                rest = behind;
            }
            ' ' => rest = &rest[1..],
            ',' | '(' | ')' | '.' | '=' => {
                form.push(first.to_string());
                rest = &rest[1..];
            }
            _ => {
                let end = rest.find([' ', ',', '(', ')', '.', '=', '"']).unwrap_or(rest.len());
                let word =
                    rest[..end].trim_end_matches(|c: char| c.is_ascii_digit() && rest.starts_with('?'));
                assert!(WORDS.contains(&word), "{word:?} is no word of ours: {text}");
                form.push(word.to_owned());
                rest = &rest[end..];
            }
        }
    }
    let mut joined = form.join(" ");
    for (list, one) in
        [("N . N , ", ""), ("N = ? , ", ""), ("N , ", ""), ("? , ", ""), (" AND N . N = ?", "")]
    {
        joined = joined.replace(list, one);
    }
    (joined, names)
}

/// The name up to its closing quote, and what is behind it.
fn unquote(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"').unwrap_or_else(|| panic!("a name without an end: {text}"));
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        let Some(behind) = rest.strip_prefix('"') else { return (name, rest) };
        name.push('"');
        rest = behind;
    }
}

fn case(choices: &mut Unstructured<'_>) -> Result<(Table, Vec<usize>)> {
    let count = choices.int_in_range(1..=COLUMNS_MAX)?;
    let key = choices.int_in_range(0..=count)?;
    let chosen: u8 = choices.arbitrary()?;
    let table = name(choices)?;
    let mut columns: Vec<Column> = Vec::new();
    for at in 0..count {
        // SQLite takes `a` and `A` for one column.
        let mut name = name(choices)?;
        if columns.iter().any(|column| column.name.eq_ignore_ascii_case(&name)) {
            name.push_str(&format!(" {at}"));
        }
        columns.push(Column {
            name: name.into(),
            kind: ColumnType::Text { chars_max: None },
            declared: "TEXT".to_owned(),
            nullable: true,
            has_default: false,
            default: None,
            generated: false,
        });
    }
    let table = Table {
        name: table.into(),
        columns,
        primary_key: (0..key).collect(),
        keyless_reason: None,
        unique: Vec::new(),
        references: Vec::new(),
    };
    Ok((table, (0..count).filter(|at| chosen >> at & 1 == 1).collect()))
}

/// A name as a database could have it: any text without NUL.
fn name(choices: &mut Unstructured<'_>) -> Result<String> {
    let length = choices.int_in_range(0..=12usize)?;
    let bytes = choices.bytes(length.min(choices.len()))?;
    Ok(String::from_utf8_lossy(bytes).replace('\0', "0"))
}
