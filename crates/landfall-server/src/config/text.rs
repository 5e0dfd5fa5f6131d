//! How durations, sizes, counts and shares are written, in flags, variables and files alike; it must never guess a unit.

use std::time::Duration;

/// A number of things, or a share of what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amount {
    /// So many.
    Exactly(u64),
    /// So many percent of a whole that is known later.
    Percent(u8),
}

impl Amount {
    /// The number, given the whole.
    pub(super) fn of(self, whole: u64) -> u64 {
        match self {
            Amount::Exactly(number) => number,
            Amount::Percent(percent) => {
                u64::try_from(u128::from(whole) * u128::from(percent) / 100).unwrap_or(u64::MAX)
            }
        }
    }
}

const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZE_UNITS: [(&str, u64); 9] = [
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// Reads `200ms`, `1s`, `5m`, `1h`, `2d`, also with a point: `1.5s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let hint = "write a number with its unit, as in 200ms, 1s, 5m, 1h or 2d";
    let (number, unit) = split(text);
    let factor = DURATION_UNITS.iter().find(|(name, _)| *name == unit);
    let Some((_, factor)) = factor else { return Err(hint.to_owned()) };
    scaled(number, *factor).map(Duration::from_millis).ok_or_else(|| hint.to_owned())
}

/// Reads `64MB` (millions of bytes), `1GiB` (2^30 bytes), or plain bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let hint = "write a number with its unit, as in 64MB, 512MiB or 1GiB";
    let (number, unit) = split(text);
    let unit = unit.to_ascii_lowercase();
    let unit = if unit.is_empty() { "b" } else { &unit };
    let factor = SIZE_UNITS.iter().find(|(name, _)| *name == unit);
    let Some((_, factor)) = factor else { return Err(hint.to_owned()) };
    scaled(number, *factor).ok_or_else(|| hint.to_owned())
}

/// Reads a whole number; `_` may group the digits.
pub(super) fn count(text: &str) -> Result<u64, String> {
    let digits = text.replace('_', "");
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = if plain { digits.parse().ok() } else { None };
    number.ok_or_else(|| "write a whole number, as in 500 or 10_000".to_owned())
}

/// Reads a share such as `50%`, or else what `exactly` reads.
pub(super) fn amount(text: &str, exactly: fn(&str) -> Result<u64, String>) -> Result<Amount, String> {
    let Some(percent) = text.strip_suffix('%') else { return exactly(text).map(Amount::Exactly) };
    match percent.trim_end().parse() {
        Ok(percent @ 1..=100) => Ok(Amount::Percent(percent)),
        _ => Err("write a share between 1% and 100%".to_owned()),
    }
}

/// Writes a duration in the largest unit that divides it.
pub(crate) fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show(millis, DURATION_UNITS.iter().rev())
}

/// Writes a size in the largest unit that divides it.
pub(crate) fn show_size(bytes: u64) -> String {
    let names = [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
    show(bytes, names.iter())
}

fn show<'u>(number: u64, mut units: impl Iterator<Item = &'u (&'static str, u64)>) -> String {
    let fits = |factor: u64| number != 0 && number.is_multiple_of(factor);
    let found = units.find(|(_, factor)| fits(*factor));
    found.map_or_else(|| "0".to_owned(), |(name, factor)| format!("{}{name}", number / factor))
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

/// `number` times `factor`, exact: a fraction that is no whole number afterwards is refused.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.len() > 9 {
        return None;
    }
    let whole = count(whole).ok()?.checked_mul(factor)?;
    let parts = count(fraction).ok()?.checked_mul(factor)?;
    let ten = 10u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    if !parts.is_multiple_of(ten) {
        return None;
    }
    whole.checked_add(parts / ten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_may_have_a_point() {
        for (text, millis) in
            [("200ms", 200), ("1s", 1000), ("1.5s", 1500), ("5m", 300_000), ("1 h", 3_600_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["200", "", "ms", "1 fortnight", "-1s", "1.2345ms", "99999999999999999999s", "1.s", ".5s", "1S"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_know_both_kinds_of_units() {
        for (text, bytes) in [
            ("1GiB", 1 << 30),
            ("64MB", 64_000_000),
            ("64mb", 64_000_000),
            ("0.5KiB", 512),
            ("7", 7),
            ("3 MiB", 3 << 20),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "GiB", "1XB", "-1MB", "0.3B", "99999999999TiB", "1e9"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_taken_of_a_whole() {
        assert_eq!(amount("50%", count).map(|amount| amount.of(10_000_000)), Ok(5_000_000));
        assert_eq!(amount("12_000", count).map(|amount| amount.of(1)), Ok(12_000));
        for text in ["0%", "101%", "%", "-1%", "50 percent"] {
            assert!(amount(text, count).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for millis in [1, 200, 1000, 90_000, 3_600_000, 86_400_000] {
            let shown = show_duration(Duration::from_millis(millis));
            assert_eq!(duration(&shown), Ok(Duration::from_millis(millis)), "{shown}");
        }
        for bytes in [0, 1, 1000, 1 << 20, 3 << 29, u64::MAX] {
            assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }
    }
}
