//! Dates, times and timestamps in ISO 8601, to their canonical text: UTC, no zone, no zeros at a fraction's end.
//! A date that no calendar has is refused; a fraction finer than a microsecond is refused, never rounded.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time};

const DATE: &str = "write a date as YYYY-MM-DD";
const TIME: &str = "write a time as HH:MM:SS";
const STAMP: &str =
    "write a timestamp as YYYY-MM-DDTHH:MM:SS, with Z or an offset like +02:00 if it is not UTC";
/// The digits that a fraction of a second can have.
pub(super) const DIGITS_MAX: u32 = 6;

/// The canonical text of a date.
pub(super) fn date(text: &str) -> Result<String, String> {
    parse_date(text).map(|date| date.to_string())
}

/// The canonical text of a time of day.
pub(super) fn time(text: &str, digits_max: u32) -> Result<String, String> {
    parse_time(text, digits_max).map(time_text)
}

/// The canonical text of a date and time, moved to UTC.
pub(super) fn timestamp(text: &str, digits_max: u32) -> Result<String, String> {
    let (date, rest) = text.split_at_checked(10).ok_or(STAMP)?;
    let rest = rest.strip_prefix(['T', 't', ' ']).ok_or(STAMP)?;
    let zone = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(zone);
    let local = DateTime::from_parts(parse_date(date)?, parse_time(time, digits_max)?);
    let utc = local.checked_sub(offset_minutes(zone)?.minutes()).map_err(|_| STAMP)?;
    if utc.year() < 1 {
        return Err("the year must be from 0001 to 9999".into());
    }
    Ok(format!("{}T{}", utc.date(), time_text(utc.time())))
}

/// The canonical text of Unix milliseconds in UTC.
pub(super) fn of_unix_ms(ms: u64) -> Option<String> {
    let instant = jiff::Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
    let utc = jiff::tz::Offset::UTC.to_datetime(instant);
    Some(format!("{}T{}", utc.date(), time_text(utc.time())))
}

fn parse_date(text: &str) -> Result<Date, String> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return Err(DATE.into());
    }
    let part = |from: usize, to: usize| digits(&bytes[from..to]).ok_or(DATE);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    if year < 1 {
        return Err("the year must be from 0001 to 9999".into());
    }
    Date::new(year as i16, month as i8, day as i8).map_err(|_| "the calendar has no such day".into())
}

fn parse_time(text: &str, digits_max: u32) -> Result<Time, String> {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || bytes[2] != b':' || bytes[5] != b':' {
        return Err(TIME.into());
    }
    let part = |from: usize, to: usize| digits(&bytes[from..to]).ok_or(TIME);
    let (hour, minute, second) = (part(0, 2)?, part(3, 5)?, part(6, 8)?);
    let nanosecond = match bytes[8..].split_first() {
        None => 0,
        Some((&b'.', fraction)) if is_finer(fraction, digits_max) => return Err(fine(digits_max)),
        Some((&b'.', fraction)) => digits(fraction).ok_or(TIME)? * 10_i32.pow(9 - fraction.len() as u32),
        Some(_) => return Err(TIME.into()),
    };
    Time::new(hour as i8, minute as i8, second as i8, nanosecond)
        .map_err(|_| "a day has no such time; hours go to 23, minutes and seconds to 59".into())
}

/// Whether a fraction has more digits than a column keeps.
pub(super) fn is_finer(fraction: &[u8], digits_max: u32) -> bool {
    fraction.len() > digits_max.min(DIGITS_MAX) as usize
}

/// What to write instead of a fraction with too many digits.
pub(super) fn fine(digits_max: u32) -> String {
    match digits_max {
        0 => "write whole seconds".into(),
        1 => "write at most 1 digit behind the seconds".into(),
        _ => format!("write at most {digits_max} digits behind the seconds"),
    }
}

/// How many minutes a zone is ahead of UTC.
fn offset_minutes(zone: &str) -> Result<i32, String> {
    let bytes = zone.as_bytes();
    match bytes {
        // PostgreSQL writes the last one.
        [] | [b'Z' | b'z'] | b"+00" => Ok(0),
        [sign @ (b'+' | b'-'), hours @ .., b':', tens, ones] if hours.len() == 2 => {
            let hours = digits(hours).filter(|hours| *hours <= 15).ok_or(STAMP)?;
            let minutes = digits(&[*tens, *ones]).filter(|minutes| *minutes < 60).ok_or(STAMP)?;
            let ahead = hours * 60 + minutes;
            Ok(if *sign == b'-' { -ahead } else { ahead })
        }
        _ => Err(STAMP.into()),
    }
}

/// The number that one to nine digits write.
fn digits(bytes: &[u8]) -> Option<i32> {
    if bytes.is_empty() || bytes.len() > 9 {
        return None;
    }
    bytes.iter().try_fold(0, |n, byte| byte.is_ascii_digit().then(|| n * 10 + i32::from(byte - b'0')))
}

fn time_text(time: Time) -> String {
    let whole = format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    match time.subsec_nanosecond() / 1000 {
        0 => whole,
        micros => format!("{whole}.{micros:06}").trim_end_matches('0').into(),
    }
}
