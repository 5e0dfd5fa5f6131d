//! Table and property tests of the types: what is accepted, what is refused and with which hint.

use proptest::prelude::*;

use super::*;

fn column(declared: &str, kind: ColumnType) -> Column {
    Column {
        name: "c".into(),
        kind,
        declared: declared.into(),
        nullable: true,
        has_default: false,
        default: None,
        generated: false,
    }
}

fn smallint() -> Column {
    column("smallint", ColumnType::Int { min: -32768, max: 32767 })
}

fn price() -> Column {
    column("decimal(10,2)", ColumnType::Decimal { precision: 10, scale: 2 })
}

fn text_of(value: &Value) -> String {
    let mut out = Vec::new();
    render(value, &mut out);
    String::from_utf8(out).unwrap()
}

/// The canonical text, or `!` and the hint.
fn outcome(column: &Column, text: &str) -> String {
    match parse(column, text.as_bytes()) {
        Ok(value) => text_of(&value),
        Err(misfit) => format!("! {}", misfit.hint),
    }
}

fn assert_outcomes(column: &Column, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let outcome = outcome(column, text);
        match expected.strip_prefix('!') {
            Some(part) => {
                assert!(outcome.starts_with('!') && outcome.contains(part), "{text:?} gave {outcome}")
            }
            None => assert_eq!(outcome, *expected, "{text:?}"),
        }
    }
}

#[test]
fn whole_numbers_are_canonical_and_in_range() {
    assert_outcomes(
        &smallint(),
        &[
            ("115", "115"),
            ("-32768", "-32768"),
            ("32767", "32767"),
            ("32768", "!-32768 to 32767"),
            ("99999999999999999999", "!from"),
            ("01", "!leading zeros"),
            ("-0", "!write 0"),
            ("+1", "!plus sign"),
            ("1.0", "!whole number"),
            (" 1", "!spaces"),
            ("", "!empty"),
            ("-", "!plain digits"),
            ("1e3", "!plain digits"),
            ("١", "!plain digits"),
        ],
    );
    assert_eq!(parse(&smallint(), b"x").unwrap_err().expected, "smallint -32768..32767");
}

#[test]
fn decimals_are_exact_and_never_rounded() {
    assert_outcomes(
        &price(),
        &[
            ("5", "5.00"),
            ("5.1", "5.10"),
            ("-0.00", "0.00"),
            ("99999999.99", "99999999.99"),
            ("100000000", "!8 digits before"),
            ("5.001", "!2 digits behind"),
            ("5.000", "!2 digits behind"),
            ("1e2", "!plain digits"),
            (".5", "!plain digits"),
            ("5.", "!plain digits"),
            ("007", "!leading zeros"),
            ("NaN", "!plain digits"),
        ],
    );
    let whole = column("decimal(20)", ColumnType::Decimal { precision: 20, scale: 0 });
    assert_outcomes(
        &whole,
        &[("18446744073709551616", "18446744073709551616"), ("7", "7"), ("7.0", "!point")],
    );
    let fraction = column("decimal(3,3)", ColumnType::Decimal { precision: 3, scale: 3 });
    assert_outcomes(&fraction, &[("0.5", "0.500"), ("1", "!below 1")]);
}

#[test]
fn booleans_read_as_one_or_zero() {
    let flag = column("boolean", ColumnType::Bool);
    assert_outcomes(
        &flag,
        &[("1", "1"), ("0", "0"), ("TRUE", "1"), ("f", "0"), ("yes", "!1 or 0"), ("2", "!1 or 0")],
    );
}

#[test]
fn floats_are_finite_and_shortest() {
    let real = column("real", ColumnType::Float);
    assert_outcomes(
        &real,
        &[
            ("0.1", "0.1"),
            ("5.0", "5"),
            ("1e300", "1e300"),
            ("-0", "0"),
            ("1e-9", "1e-9"),
            ("1e400", "!finite"),
            ("1e-400", "!too close"),
            ("nan", "!finite"),
            ("inf", "!finite"),
            ("one", "!number"),
        ],
    );
}

#[test]
fn text_is_counted_in_characters() {
    let seat = column("char(4)", ColumnType::Text { chars_max: Some(4) });
    assert_outcomes(
        &seat,
        &[("12A", "12A"), ("äöüß", "äöüß"), ("12345", "!at most 4"), ("a\0b", "!NUL"), ("", "")],
    );
    assert!(parse(&seat, &[0xff]).unwrap_err().hint.contains("UTF-8"));
    let raw = column("blob", ColumnType::Bytes);
    assert_eq!(parse(&raw, &[0xff, 0]).unwrap(), Value::bytes(&[0xff, 0]));
}

#[test]
fn moments_come_to_utc_without_a_zone() {
    assert_outcomes(
        &column("timestamp", ColumnType::Timestamp { digits_max: 6 }),
        &[
            ("2025-10-01T11:19:00", "2025-10-01T11:19:00"),
            ("2025-10-01 11:19:00", "2025-10-01T11:19:00"),
            ("2025-10-01T11:19:00Z", "2025-10-01T11:19:00"),
            ("2025-10-01T01:19:00+02:00", "2025-09-30T23:19:00"),
            ("2025-10-01T11:19:00.250000-00:30", "2025-10-01T11:49:00.25"),
            ("2025-10-01T11:19:00.123456", "2025-10-01T11:19:00.123456"),
            ("2025-10-01T11:19:00.1234567", "!6 digits"),
            ("2025-02-29T00:00:00", "!no such day"),
            ("2024-02-29T00:00:00", "2024-02-29T00:00:00"),
            ("0001-01-01T00:00:00+01:00", "!year"),
            ("9999-12-31T23:59:59-01:00", "!timestamp"),
            ("2025-10-01", "!timestamp"),
            ("2025-10-01T24:00:00", "!no such time"),
            ("2025-10-01T23:59:60", "!no such time"),
            ("2025-10-01T11:19:00+0200", "!offset"),
            ("2025-10-01T11:19:00.", "!time"),
            ("ä025-10-01T11:19:00", "!"),
        ],
    );
    assert_outcomes(
        &column("date", ColumnType::Date),
        &[
            ("2025-10-01", "2025-10-01"),
            ("2025-1-1", "!YYYY-MM-DD"),
            ("0000-01-01", "!year"),
            ("2025-10-32", "!day"),
        ],
    );
    assert_outcomes(
        &column("time", ColumnType::Time { digits_max: 6 }),
        &[("11:19:00.500", "11:19:00.5"), ("11:19", "!HH:MM:SS"), ("25:00:00", "!no such time")],
    );
}

#[test]
fn json_is_checked_and_kept_as_written() {
    let json = column("json", ColumnType::Json { bare_numbers: true });
    assert_outcomes(
        &json,
        &[
            ("{\"b\": 1,  \"a\": 1.0}", "{\"b\": 1,  \"a\": 1.0}"),
            ("{", "!not valid JSON"),
            ("1 2", "!not valid"),
        ],
    );
}

#[test]
fn a_type_that_nobody_knows_is_not_written() {
    assert_outcomes(&column("geometry", ColumnType::Unknown), &[("x", "!only be read")]);
}

#[test]
fn a_key_has_one_spelling() {
    let key = |column: &Column, text: &str| parse_key(column, text.as_bytes()).map_err(|misfit| misfit.hint);
    let id = column("int", ColumnType::Int { min: i64::MIN, max: i64::MAX });
    assert_eq!(key(&id, "115"), Ok(Value::Int(115)));
    assert_eq!(key(&id, "0115"), Err("write 115".into()));
    assert_eq!(key(&id, "+115"), Err("write 115".into()));
    assert_eq!(key(&id, "-0"), Err("write 0".into()));
    assert_eq!(key(&price(), "5"), Err("write 5.00".into()));
    let stamp = column("timestamp", ColumnType::Timestamp { digits_max: 6 });
    assert_eq!(key(&stamp, "2025-10-01 11:19:00Z"), Err("write 2025-10-01T11:19:00".into()));
    assert_eq!(key(&column("boolean", ColumnType::Bool), "true"), Err("write 1".into()));
}

#[test]
fn a_sum_stays_in_its_column() {
    let max = Value::Int(32767);
    assert_eq!(sum(&smallint(), &max, &Value::Int(-1)), Ok(Value::Int(32766)));
    assert!(sum(&smallint(), &max, &Value::Int(1)).is_err());
    let big = column("bigint", ColumnType::Int { min: i64::MIN, max: i64::MAX });
    assert!(sum(&big, &Value::Int(i64::MAX), &Value::Int(1)).is_err());
    assert_eq!(sum(&big, &Value::Null, &Value::Int(1)), Ok(Value::Int(1)));
    assert!(sum(&big, &Value::from("abc"), &Value::Int(1)).is_err());
    let cents = |text: &str| parse_delta(&price(), text.as_bytes()).unwrap();
    assert_eq!(text_of(&sum(&price(), &Value::Null, &cents("0.5")).unwrap()), "0.50");
    assert_eq!(text_of(&sum(&price(), &cents("1.50"), &cents("-1.5")).unwrap()), "0.00");
    assert!(sum(&price(), &cents("99999999.99"), &cents("0.01")).is_err());
    assert_eq!(parse_delta(&smallint(), b"40000").unwrap(), Value::Int(40000));
    assert!(parse_delta(&column("real", ColumnType::Float), b"1").is_err());
}

#[test]
fn a_value_of_another_type_does_not_fit() {
    assert!(fits(&smallint(), &Value::from("1")).is_err());
    assert!(fits(&smallint(), &Value::Int(40000)).is_err());
    assert!(fits(&price(), &Value::decimal("1.001".parse().unwrap())).is_err());
    assert!(fits(&smallint(), &Value::Null).is_ok());
    assert!(fits(&Column { nullable: false, ..smallint() }, &Value::Null).is_err());
}

fn any_column() -> impl Strategy<Value = Column> {
    prop_oneof![
        Just(column("boolean", ColumnType::Bool)),
        (any::<i64>(), any::<i64>())
            .prop_map(|(a, b)| column("int", ColumnType::Int { min: a.min(b), max: a.max(b) })),
        (1u32..40, 0u32..40).prop_map(|(precision, scale)| {
            column("decimal", ColumnType::Decimal { precision, scale: scale.min(precision) })
        }),
        Just(column("real", ColumnType::Float)),
        prop::option::of(0u32..20).prop_map(|chars_max| column("text", ColumnType::Text { chars_max })),
        Just(column("blob", ColumnType::Bytes)),
        Just(column("date", ColumnType::Date)),
        Just(column("time", ColumnType::Time { digits_max: 6 })),
        Just(column("timestamp", ColumnType::Timestamp { digits_max: 6 })),
        Just(column("json", ColumnType::Json { bare_numbers: true })),
    ]
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "-?[0-9]{1,20}",
        "-?[0-9]{1,12}\\.[0-9]{1,6}",
        "[0-9]{4}-[01][0-9]-[0-3][0-9]",
        "[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?",
        "[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,7})?(Z|[+-][01][0-9]:[0-5][0-9])?",
        ".{0,12}",
        any::<f64>().prop_map(|n| n.to_string()),
    ]
    .prop_map(String::into_bytes)
    .boxed()
    .prop_union(prop::collection::vec(any::<u8>(), 0..12).boxed())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_was_read_back_parses_to_the_same_value(column in any_column(), text in any_text()) {
        let Ok(value) = parse(&column, &text) else { return Ok(()) };
        prop_assert!(fits(&column, &value).is_ok());
        let mut canonical = Vec::new();
        render(&value, &mut canonical);
        prop_assert_eq!(parse(&column, &canonical), Ok(value.clone()));
        prop_assert_eq!(parse_key(&column, &canonical), Ok(value));
    }

    #[test]
    fn any_float_survives_its_text(n in any::<f64>()) {
        prop_assume!(n.is_finite() && n != 0.0);
        let column = column("real", ColumnType::Float);
        prop_assert_eq!(parse(&column, text_of(&Value::Float(n)).as_bytes()), Ok(Value::Float(n)));
    }

    #[test]
    fn sums_of_decimals_equal_sums_of_cents(cents in prop::collection::vec(-99_999i64..99_999, 1..20)) {
        let price = price();
        let text = |n: i64| format!("{}{}.{:02}", if n < 0 { "-" } else { "" }, n.abs() / 100, n.abs() % 100);
        let mut total = Value::Null;
        for n in &cents {
            total = sum(&price, &total, &parse_delta(&price, text(*n).as_bytes()).unwrap()).unwrap();
        }
        prop_assert_eq!(text_of(&total), text(cents.iter().sum()));
    }
}
