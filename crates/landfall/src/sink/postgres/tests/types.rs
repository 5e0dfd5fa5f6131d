//! Each type of PostgreSQL: what a column takes, what it makes of it, and that both the server and a load agree.
//! A value that is taken must come back byte for byte; what would not is refused before it is written.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::model::{Column, Name, types};
use crate::sink::conformance::{Owner, put, row};

/// A type, and what is written into it: the canonical text, or `!` and a part of the hint.
type Case = (&'static str, &'static [(&'static str, &'static str)]);

const BEFORE: &str = "CREATE TYPE mood AS ENUM ('good', 'so so', 'it''s bad');
    CREATE DOMAIN cents AS numeric(8,2) CHECK (VALUE >= 0); CREATE DOMAIN small_cents AS cents NOT NULL DEFAULT 0;
    CREATE DOMAIN code AS varchar(3);";

const CASES: &[Case] = &[
    ("smallint", &[("-32768", "-32768"), ("32768", "!32767"), ("07", "!zeros"), ("1.0", "!whole")]),
    ("integer", &[("2147483647", "2147483647"), ("2147483648", "!2147483647")]),
    (
        "bigint",
        &[("-9223372036854775808", "-9223372036854775808"), ("9223372036854775808", "!9223372036854775807")],
    ),
    ("boolean", &[("true", "1"), ("f", "0"), ("2", "!1 or 0")]),
    (
        "text",
        &[
            ("", ""),
            ("NULL", "NULL"),
            ("a\"b\\c,{}'\u{1}ü", "a\"b\\c,{}'\u{1}ü"),
            ("a\0", "!NUL"),
            (" ", " "),
        ],
    ),
    ("varchar(3)", &[("äöü", "äöü"), ("abcd", "!at most 3"), ("ab ", "ab "), ("abc ", "!at most 3")]),
    (
        "char(3)",
        &[("ab", "ab"), ("abc", "abc"), ("ab ", "!spaces at the end"), ("abcd", "!at most 3"), ("", "")],
    ),
    ("code", &[("abc", "abc"), ("abcd", "!at most 3")]),
    (
        "numeric(6,2)",
        &[
            ("5", "5.00"),
            ("-1234.50", "-1234.50"),
            ("12345", "!4 digits"),
            ("0.001", "!2 digits"),
            ("NaN", "!plain"),
        ],
    ),
    ("numeric(3)", &[("999", "999"), ("1000", "!3 digits"), ("1.0", "!point")]),
    (
        "numeric",
        &[
            ("5", "5"),
            ("1.50", "1.50"),
            ("-0.00", "0.00"),
            ("123456789012345678901234567890.123456789", "123456789012345678901234567890.123456789"),
            ("1e5", "!plain"),
            ("Infinity", "!plain"),
        ],
    ),
    ("numeric(2,-3)", &[("1000", "!only be read")]),
    (
        "real",
        &[
            ("0.1", "0.1"),
            ("16777217", "!16777216"),
            ("1e39", "!range"),
            ("1e-46", "!range"),
            ("3.4028235e38", "3.4028235e38"),
        ],
    ),
    (
        "double precision",
        &[
            ("0.1", "0.1"),
            ("5e-324", "5e-324"),
            ("1e400", "!finite"),
            ("-0", "0"),
            ("inf", "!finite"),
            ("1.7976931348623157e308", "1.7976931348623157e308"),
        ],
    ),
    ("bytea", &[("", ""), ("\\x00'\"{}", "\\x00'\"{}"), ("a\0b", "a\0b")]),
    (
        "date",
        &[
            ("2024-02-29", "2024-02-29"),
            ("2025-02-29", "!no such day"),
            ("infinity", "!YYYY"),
            ("0001-01-01", "0001-01-01"),
        ],
    ),
    (
        "time",
        &[("11:19:00.500", "11:19:00.5"), ("24:00:00", "!no such time"), ("11:19:00.0000001", "!6 digits")],
    ),
    ("time(0)", &[("11:19:00", "11:19:00"), ("11:19:00.5", "!whole seconds")]),
    (
        "timestamp",
        &[
            ("2025-10-01T11:19:00+02:00", "2025-10-01T09:19:00"),
            ("2025-10-01 11:19:00", "2025-10-01T11:19:00"),
            ("9999-12-31T23:59:59.999999", "9999-12-31T23:59:59.999999"),
        ],
    ),
    (
        "timestamp(3)",
        &[("2025-10-01T11:19:00.123", "2025-10-01T11:19:00.123"), ("2025-10-01T11:19:00.1234", "!3 digits")],
    ),
    (
        "timestamptz",
        &[
            ("2025-10-01T11:19:00+02:00", "2025-10-01T09:19:00"),
            ("0001-01-01T00:00:00", "0001-01-01T00:00:00"),
            ("now", "!YYYY"),
        ],
    ),
    (
        "timestamptz(1)",
        &[("2025-10-01T11:19:00.5Z", "2025-10-01T11:19:00.5"), ("2025-10-01T11:19:00.55Z", "!1 digit")],
    ),
    ("timetz", &[("11:19:00+02", "!only be read")]),
    (
        "interval",
        &[
            ("P1Y2M3DT4H5M6.5S", "P1Y2M3DT4H5M6.5S"),
            ("P14M", "P1Y2M"),
            ("PT-0.5S", "PT-0.5S"),
            ("P-1Y1MT5S", "P-11MT5S"),
            ("P1D", "P1D"),
            ("PT24H", "PT24H"),
            ("PT0S", "PT0S"),
            ("1 day", "!P1Y2M"),
            ("P178956970Y", "P178956970Y"),
            ("P178956971Y", "!longer"),
        ],
    ),
    ("interval(1)", &[("PT1.5S", "PT1.5S"), ("PT1.55S", "!1 digit")]),
    ("interval day to hour", &[("P1D", "!only be read")]),
    (
        "uuid",
        &[
            ("123E4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
            ("123e4567e89b12d3a456426614174000", "!write it like"),
        ],
    ),
    ("json", &[("{\"b\": 1,  \"a\": 1.0}", "{\"b\": 1,  \"a\": 1.0}"), ("7", "7"), ("{", "!not valid JSON")]),
    (
        "jsonb",
        &[
            ("{\"bb\":1,  \"a\":1.50, \"a\":[true,null]}", "{\"a\": [true, null], \"bb\": 1}"),
            (
                "[1e2,1.5e1,1E-3,-0,-0.0,1.50,12345678901234567890]",
                "[100, 15, 0.001, 0, 0.0, 1.50, 12345678901234567890]",
            ),
            ("\"\\u00e4\\/\\n\\u0001\\u007f\\\"\\\\\"", "\"ä/\\n\\u0001\u{7f}\\\"\\\\\""),
            ("{}", "{}"),
            ("[]", "[]"),
            ("\"a\\u0000\"", "!NUL"),
            ("1e2000", "!digits"),
            ("\"\\ud800\"", "!not valid"),
        ],
    ),
    (
        "mood",
        &[("good", "good"), ("it's bad", "it's bad"), ("Good", "!labels"), ("great", "!LANDFALL.RELOAD")],
    ),
    ("cents", &[("5", "5.00"), ("5.001", "!2 digits")]),
    ("small_cents", &[("7.5", "7.50")]),
    (
        "inet",
        &[
            ("192.0.2.7/32", "192.0.2.7"),
            ("10.1.2.3/8", "10.1.2.3/8"),
            ("2001:DB8::0:7", "2001:db8::7"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            ("::102:304", "::1.2.3.4"),
            ("1:0:2:0:0:3:0:0", "1:0:2::3:0:0"),
            ("1.2.3", "!address"),
        ],
    ),
    (
        "cidr",
        &[
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.1", "10.0.0.1/32"),
            ("10.0.0.1/8", "!bits"),
            ("::/0", "::/0"),
        ],
    ),
    ("macaddr", &[("08:00:2B:01:02:03", "08:00:2b:01:02:03"), ("08-00-2b-01-02-03", "!like")]),
    (
        "integer[]",
        &[
            ("[1, null, -3]", "{1,NULL,-3}"),
            ("{}", "{}"),
            ("{1,2147483648}", "!element 2"),
            ("{{1}}", "!list of lists"),
        ],
    ),
    (
        "text[]",
        &[
            (
                "[\"a b\", \"NULL\", \"\", \"x\\\"y\\\\z\", \"ä,{}\"]",
                "{\"a b\",\"NULL\",\"\",\"x\\\"y\\\\z\",\"ä,{}\"}",
            ),
            ("{\"tab\there\",null}", "{\"tab\there\",NULL}"),
        ],
    ),
    ("varchar(2)[]", &[("{ab}", "{ab}"), ("{abc}", "!at most 2")]),
    ("numeric(4,1)[]", &[("[1, 2.5]", "{1.0,2.5}"), ("[2.55]", "!1 digit")]),
    ("numeric[]", &[("{1.50,2}", "{1.50,2}")]),
    ("boolean[]", &[("[true, false]", "{1,0}")]),
    ("double precision[]", &[("[0.1, 1e300]", "{0.1,1e300}")]),
    ("timestamptz[]", &[("[\"2025-10-01T11:19:00+02:00\"]", "{2025-10-01T09:19:00}")]),
    ("date[]", &[("{2025-10-01}", "{2025-10-01}")]),
    ("uuid[]", &[("{123E4567-e89b-12d3-a456-426614174000}", "{123e4567-e89b-12d3-a456-426614174000}")]),
    ("mood[]", &[("[\"so so\", \"good\"]", "{\"so so\",good}"), ("{bad}", "!element 1")]),
    ("inet[]", &[("{10.0.0.1}", "{10.0.0.1}")]),
    ("interval[]", &[("{P14M}", "{P1Y2M}")]),
    ("bytea[]", &[("{}", "!only be read")]),
    ("jsonb[]", &[("{}", "!only be read")]),
    ("char(2)[]", &[("{}", "!only be read")]),
    ("money", &[("1", "!only be read")]),
    ("point", &[("(1,2)", "!only be read")]),
    ("int4range", &[("[1,2)", "!only be read")]),
    ("xml", &[("<a/>", "!only be read")]),
    ("bit(3)", &[("101", "!only be read")]),
];

/// A table with one column for each case: `c0`, `c1` and so on, and a key `id`.
fn table_of(kinds: &[&str]) -> String {
    let columns: Vec<_> = kinds.iter().enumerate().map(|(at, kind)| format!("c{at} {kind}")).collect();
    format!("{BEFORE} CREATE TABLE t (id int PRIMARY KEY, {})", columns.join(", "))
}

fn columns_of(fixture: &Fixture) -> Vec<Column> {
    fixture.catalogue().unwrap().table("t").unwrap().columns[1..].to_vec()
}

fn rendered(value: &Value) -> String {
    let mut text = Vec::new();
    types::render(value, &mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn every_type_takes_what_comes_back_byte_for_byte_and_refuses_the_rest() {
    let kinds: Vec<&str> = CASES.iter().map(|(kind, _)| *kind).collect();
    let test = "every_type_takes_what_comes_back_byte_for_byte_and_refuses_the_rest";
    let Some(fixture) = with(test, &table_of(&kinds)) else { return };
    let columns = columns_of(&fixture);
    let mut owner = Owner::new(&fixture);
    // The domain that is NOT NULL has a default, so a row is there without it.
    let mut id = 0;
    for (column, (kind, cases)) in columns.iter().zip(CASES) {
        for (written, expected) in *cases {
            let parsed = types::parse(column, written.as_bytes());
            if let Some(part) = expected.strip_prefix('!') {
                let misfit = parsed.expect_err(&format!("{kind} takes {written}"));
                let words = format!("{} {}", misfit.expected, misfit.hint);
                assert!(words.contains(part), "{kind}: {written}: {words}");
                continue;
            }
            let value = parsed.unwrap_or_else(|misfit| panic!("{kind} refuses {written}: {}", misfit.hint));
            assert_eq!(rendered(&value), *expected, "{kind}: {written}");
            // Its own spelling is taken as well, and is the same.
            assert_eq!(types::parse(column, expected.as_bytes()), Ok(value.clone()), "{kind}: {expected}");
            id += 1;
            // Inserted, then updated: the two ways in which a value gets there.
            for _ in 0..2 {
                owner.change(&row("t", id), put(&[(&column.name, value.clone())])).unwrap();
                let loaded = owner.load(&row("t", id)).unwrap();
                let loaded = loaded.get(&Name::column(&column.name)).unwrap();
                assert_eq!(loaded, &value, "{kind}: {written}");
            }
        }
    }
}

#[test]
fn what_another_program_stored_is_read_and_never_refused() {
    let kinds = [
        "numeric",
        "real",
        "timestamp",
        "time",
        "integer[]",
        "interval",
        "mood",
        "date",
        "bytea[]",
        "integer[]",
    ];
    let Some(fixture) = with("what_another_program_stored_is_read_and_never_refused", &table_of(&kinds))
    else {
        return;
    };
    fixture.psql(
        "INSERT INTO t VALUES (1, 'NaN', 'Infinity', '-infinity', '24:00', '[0:1]={7,8}', '1 year ago', 'good', \
         '4713-01-01 BC', ARRAY['\\x00'::bytea], '{{1,2},{3,4}}')",
    );
    let mut owner = Owner::new(&fixture);
    let found: Vec<String> = (0..kinds.len()).map(|at| owner.cell(&row("t", 1), &format!("c{at}"))).collect();
    let expected = [
        "NaN",
        "Infinity",
        "-infinity",
        "24:00:00",
        "[0:1]={7,8}",
        "P-1Y",
        "good",
        "4713-01-01 BC",
        "{\"\\\\x00\"}",
        "{{1,2},{3,4}}",
    ];
    assert_eq!(found, expected);
}

#[test]
fn sums_in_the_database_are_those_that_were_promised() {
    let Some(fixture) = with(
        "sums_in_the_database_are_those_that_were_promised",
        &table_of(&["numeric", "numeric(6,2)", "smallint"]),
    ) else {
        return;
    };
    let columns = columns_of(&fixture);
    let mut owner = Owner::new(&fixture);
    for (column, deltas) in columns.iter().zip([["1.25", "0.250"], ["1.25", "3"], ["7", "-9"]]) {
        let mut sum = Value::Null;
        for delta in deltas {
            let delta = types::parse_delta(column, delta.as_bytes()).unwrap();
            sum = types::sum(column, &sum, &delta).unwrap();
            owner.change(&row("t", 1), crate::sink::conformance::add(&column.name, delta)).unwrap();
            assert_eq!(owner.cell(&row("t", 1), &column.name), rendered(&sum), "{}", column.declared);
        }
    }
}

/// Texts of which many fit some column.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,22}",
        "-?[0-9]{1,8}\\.[0-9]{1,9}",
        "-?[0-9]\\.[0-9]{1,9}e-?[0-9]{1,2}",
        "[0-9]{4}-[01][0-9]-[0-3][0-9]",
        "[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?",
        "[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-][01][0-9]:[0-5][0-9])?",
        "P(-?[0-9]{1,3}Y)?(-?[0-9]{1,4}M)?(-?[0-9]{1,4}D)?T(-?[0-9]{1,4}H)?(-?[0-9]{1,4}M)?-?[0-9]{1,4}(\\.[0-9]{1,6})?S",
        "[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}(/[0-9]{1,2})?",
        "([0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(/[0-9]{1,3})?",
        "\\{(-?[0-9]{1,4}(,|, ))*[0-9]{1,4}\\}",
        any_json(),
        "\\PC{0,8}",
        "(good|so so|true|f|NULL)",
    ]
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,10})?([eE][+-]?[0-9]{1,2})?",
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
            prop::collection::vec(("[a-cä\\PC]{0,3}", inner), 0..4).prop_map(|members| {
                let members: Vec<_> = members
                    .into_iter()
                    .map(|(name, member)| format!("{}:{member}", serde_json::to_string(&name).unwrap()))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// How many random cases run: few in the test command, more when LANDFALL_CASES says so.
pub(super) fn cases(usual: u32) -> u32 {
    std::env::var("LANDFALL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

#[test]
fn whatever_a_column_takes_comes_back_as_it_was_acknowledged() {
    let kinds: Vec<&str> = CASES.iter().map(|(kind, _)| *kind).collect();
    let test = "whatever_a_column_takes_comes_back_as_it_was_acknowledged";
    let Some(fixture) = with(test, &table_of(&kinds)) else { return };
    let columns = columns_of(&fixture);
    let owner = std::cell::RefCell::new((Owner::new(&fixture), 0i64));
    let config = Config { cases: cases(8), failure_persistence: None, ..Config::default() };
    let texts = prop::collection::vec(any_text(), 24);
    let outcome = TestRunner::new(config).run(&texts, |texts| {
        let (owner, id) = &mut *owner.borrow_mut();
        // One row for each text, with all columns that take it.
        for text in &texts {
            let fits = |column: &Column| {
                Some((column.name.to_string(), types::parse(column, text.as_bytes()).ok()?))
            };
            // A domain's check is the database's.
            let taken: Vec<(String, Value)> = columns
                .iter()
                .filter(|column| !column.declared.ends_with("cents"))
                .filter_map(fits)
                .collect();
            *id += 1;
            let named: Vec<(&str, Value)> =
                taken.iter().map(|(name, value)| (&**name, value.clone())).collect();
            let landed = owner.change(&row("t", *id), put(&named));
            prop_assert!(landed.is_ok(), "{text:?}: {landed:?}");
            let Some(loaded) = owner.load(&row("t", *id)) else { return Err(TestCaseError::fail("no row")) };
            for (name, value) in &taken {
                let found = loaded.get(&Name::column(name));
                let kind =
                    columns.iter().find(|column| *column.name == **name).map(|column| &column.declared);
                prop_assert_eq!(found, Some(value), "{:?}: {:?}", kind, text);
            }
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
