//! The values that rows are made of, independent of any database; a decimal must never pass through floating point.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};

/// One value of a row. Its text form is what every database gets: exact decimals, ISO 8601 dates and times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// Any of the integer types.
    Integer(i64),
    /// Stored as 0 or 1 where a database has no booleans.
    Boolean(bool),
    /// Characters.
    Text(&'a str),
    /// An exact decimal.
    Decimal(Decimal),
    /// `2025-10-01`
    Date(Date),
    /// `11:19:00`
    Time(Time),
    /// `2025-10-01T11:19:00`
    Timestamp(DateTime),
}

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Null => f.write_str("NULL"),
            Cell::Integer(value) => value.fmt(f),
            Cell::Boolean(value) => u8::from(*value).fmt(f),
            Cell::Text(value) => f.write_str(value),
            Cell::Decimal(value) => value.fmt(f),
            Cell::Date(value) => value.fmt(f),
            Cell::Time(value) => value.fmt(f),
            Cell::Timestamp(value) => value.fmt(f),
        }
    }
}

/// A decimal with a fixed number of digits behind the point, as in `decimal(10,2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    units: i64,
    scale: u8,
}

impl Decimal {
    /// `units` in steps of the last digit: `Decimal::new(1234, 2)` is 12.34.
    pub fn new(units: i64, scale: u8) -> Decimal {
        Decimal { units, scale }
    }

    /// The value in steps of its last digit.
    pub fn units(self) -> i64 {
        self.units
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.units < 0 { "-" } else { "" };
        let one = 10u64.pow(u32::from(self.scale));
        let units = self.units.unsigned_abs();
        if self.scale == 0 {
            return write!(f, "{sign}{units}");
        }
        write!(f, "{sign}{}.{:0width$}", units / one, units % one, width = usize::from(self.scale))
    }
}

/// A field of a row that can be read as a [`Cell`].
pub(super) trait ToCell {
    fn cell(&self) -> Cell<'_>;
}

macro_rules! to_cell {
    ($($type:ty => |$value:ident| $cell:expr;)*) => {$(
        impl ToCell for $type {
            fn cell(&self) -> Cell<'_> {
                let $value = self;
                $cell
            }
        }
    )*};
}

to_cell! {
    i16 => |value| Cell::Integer(i64::from(*value));
    i32 => |value| Cell::Integer(i64::from(*value));
    bool => |value| Cell::Boolean(*value);
    String => |value| Cell::Text(value);
    &'static str => |value| Cell::Text(value);
    Decimal => |value| Cell::Decimal(*value);
    Date => |value| Cell::Date(*value);
    Time => |value| Cell::Time(*value);
    DateTime => |value| Cell::Timestamp(*value);
}

impl<T: ToCell> ToCell for Option<T> {
    fn cell(&self) -> Cell<'_> {
        self.as_ref().map_or(Cell::Null, T::cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_with_every_digit() {
        let text = |units, scale| Decimal::new(units, scale).to_string();
        assert_eq!(text(12_340, 2), "123.40");
        assert_eq!(text(-3, 1), "-0.3");
        assert_eq!(text(0, 1), "0.0");
        assert_eq!(text(-4_700_000_001, 8), "-47.00000001");
        assert_eq!(text(7, 0), "7");
    }
}
