//! Spans of time in ISO 8601, to the text that PostgreSQL gives them: months, days and seconds, each with its own sign.
//! A day is never taken for 24 hours, nor a month for 30 days.

use std::fmt::Write;

use super::moment;

const FORM: &str = "write a span of time like P1Y2M3DT4H5M6.5S, without fractions but of seconds";
const RANGE: &str = "the span is longer than the column can hold";
const SECOND: i64 = 1_000_000;

/// The canonical text of a span of time.
pub(super) fn canonical(text: &str, digits_max: u32) -> Result<String, String> {
    let body = text.strip_prefix('P').ok_or(FORM)?;
    let (date, time) = body.split_once('T').map_or((body, None), |(date, time)| (date, Some(time)));
    if date.is_empty() && time.is_none() || time.is_some_and(str::is_empty) {
        return Err(FORM.into());
    }
    let (mut months, mut days, mut micros) = (0i64, 0i64, 0i64);
    let add = |sum: &mut i64, number: i64, each: i64| -> Result<(), String> {
        let more = number.checked_mul(each).and_then(|more| sum.checked_add(more));
        *sum = more.ok_or(RANGE)?;
        Ok(())
    };
    for (number, unit) in fields(date, "YMWD")? {
        let whole = whole(number)?;
        match unit {
            'Y' => add(&mut months, whole, 12)?,
            'M' => add(&mut months, whole, 1)?,
            'W' => add(&mut days, whole, 7)?,
            _ => add(&mut days, whole, 1)?,
        }
    }
    for (number, unit) in fields(time.unwrap_or_default(), "HMS")? {
        match unit {
            'H' => add(&mut micros, whole(number)?, 3600 * SECOND)?,
            'M' => add(&mut micros, whole(number)?, 60 * SECOND)?,
            _ => add(&mut micros, seconds(number, digits_max)?, 1)?,
        }
    }
    if i32::try_from(months).is_err() || i32::try_from(days).is_err() {
        return Err(RANGE.into());
    }
    Ok(written(months, days, micros))
}

/// The numbers and their units, which come in the order of `units` and once each.
fn fields<'t>(mut text: &'t str, mut units: &str) -> Result<Vec<(&'t str, char)>, String> {
    let mut fields = Vec::new();
    while let Some(at) = text.find(|letter: char| letter.is_ascii_alphabetic()) {
        let unit = char::from(text.as_bytes()[at]);
        units = units.split_once(unit).ok_or(FORM)?.1;
        fields.push((&text[..at], unit));
        text = &text[at + 1..];
    }
    if text.is_empty() { Ok(fields) } else { Err(FORM.into()) }
}

fn whole(number: &str) -> Result<i64, String> {
    let digits = number.strip_prefix('-').unwrap_or(number);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FORM.into());
    }
    number.parse().map_err(|_| RANGE.into())
}

/// Seconds in microseconds.
fn seconds(number: &str, digits_max: u32) -> Result<i64, String> {
    let (before, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FORM.into());
    }
    if number.contains('.') && moment::is_finer(fraction.as_bytes(), digits_max) {
        return Err(moment::fine(digits_max));
    }
    let micros: i64 = format!("{fraction:0<6}").parse().map_err(|_| FORM)?;
    let whole = whole(before)?.checked_mul(SECOND).ok_or(RANGE)?;
    let sum = if before.starts_with('-') { whole.checked_sub(micros) } else { whole.checked_add(micros) };
    sum.ok_or_else(|| RANGE.into())
}

fn written(months: i64, days: i64, micros: i64) -> String {
    if (months, days, micros) == (0, 0, 0) {
        return "PT0S".into();
    }
    let mut out = String::from("P");
    let part = |out: &mut String, number: i64, unit: char| {
        if number != 0 {
            // Writing to a string cannot fail.
            let _ = write!(out, "{number}{unit}");
        }
    };
    part(&mut out, months / 12, 'Y');
    part(&mut out, months % 12, 'M');
    part(&mut out, days, 'D');
    if micros == 0 {
        return out;
    }
    out.push('T');
    part(&mut out, micros / (3600 * SECOND), 'H');
    part(&mut out, micros / (60 * SECOND) % 60, 'M');
    let rest = micros % (60 * SECOND);
    if rest != 0 {
        let sign = if rest < 0 { "-" } else { "" };
        let (whole, fraction) = (rest.abs() / SECOND, rest.abs() % SECOND);
        let text = format!("{sign}{whole}.{fraction:06}");
        out.push_str(text.trim_end_matches('0').trim_end_matches('.'));
        out.push('S');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_time_has_one_spelling() {
        for (text, expected) in [
            ("P1Y2M3DT4H5M6.5S", "P1Y2M3DT4H5M6.5S"),
            ("P14M", "P1Y2M"),
            ("P1W", "P7D"),
            ("PT0S", "PT0S"),
            ("P0D", "PT0S"),
            ("PT90M", "PT1H30M"),
            ("PT3600S", "PT1H"),
            ("P-1Y1M", "P-11M"),
            ("P1DT-1H", "P1DT-1H"),
            ("PT-0.5S", "PT-0.5S"),
            ("PT1.000001S", "PT1.000001S"),
            ("P36D", "P36D"),
        ] {
            assert_eq!(canonical(text, 6).as_deref(), Ok(expected), "{text}");
        }
        for text in
            ["", "P", "PT", "P1", "1D", "P1D1M", "P1H", "PT1.5H", "PT1.0000001S", "P3000000000D", "P+1D"]
        {
            assert!(canonical(text, 6).is_err(), "{text}");
        }
        assert!(canonical("PT1.25S", 1).unwrap_err().contains("1 digit"));
    }
}
