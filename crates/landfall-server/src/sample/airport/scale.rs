//! How large the airport database is; a scale must never be able to ask for more rows than the keys can number.

use std::fmt;
use std::str::FromStr;

/// The size of an airport database. Read from text with [`str::parse`]: `tiny`, `small`, `large` or a number of days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scale {
    /// About 1,000 flights on three days and 20,000 rows in all: for `demo` and tests.
    #[default]
    Tiny,
    /// The full timetable for a week, 11 bookings a flight: about 600,000 rows.
    Small,
    /// The size of FlughafenDB: 93 days, 117 bookings a flight, about 59 million rows.
    Large,
    /// The full timetable for this many days, 11 bookings a flight.
    Days(Days),
}

/// A number of days from 1 to [`Days::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(u16);

impl Days {
    /// Ten years. Their 18 million flights and 200 million bookings still fit the `int` keys.
    pub const MAX: u16 = 3_650;

    /// Refuses 0 and anything above [`Days::MAX`].
    pub fn new(days: u16) -> Result<Days, ScaleError> {
        if (1..=Days::MAX).contains(&days) {
            Ok(Days(days))
        } else {
            Err(ScaleError { given: days.to_string() })
        }
    }

    /// The number itself.
    pub fn get(self) -> u16 {
        self.0
    }
}

/// The text or number names no scale.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no scale of the airport sample: {given:?}; use tiny, small, large, or a number of days from 1 to {max}", max = Days::MAX)]
pub struct ScaleError {
    given: String,
}

impl FromStr for Scale {
    type Err = ScaleError;

    fn from_str(text: &str) -> Result<Scale, ScaleError> {
        match text {
            "tiny" => Ok(Scale::Tiny),
            "small" => Ok(Scale::Small),
            "large" => Ok(Scale::Large),
            _ => {
                let refused = || ScaleError { given: text.to_owned() };
                let days = text.parse().map_err(|_| refused())?;
                Days::new(days).map(Scale::Days).map_err(|_| refused())
            }
        }
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scale::Tiny => f.write_str("tiny"),
            Scale::Small => f.write_str("small"),
            Scale::Large => f.write_str("large"),
            Scale::Days(days) => write!(f, "{}", days.0),
        }
    }
}

/// What a scale means for each table.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) days: u16,
    /// Of the schedules after the one of the fixed flight, every n-th is kept, and only part of the airports.
    pub(super) schedule_step: usize,
    pub(super) bookings: BookingsPerFlight,
    pub(super) airplanes: u32,
    pub(super) airplane_types: u32,
    pub(super) passengers: u32,
    pub(super) employees: u32,
    pub(super) stations: u32,
}

#[derive(Clone, Copy)]
pub(super) enum BookingsPerFlight {
    /// 1 to 21, 11 on average.
    Few,
    /// 17 to 80 percent of the seats, about 117 on average.
    Many,
}

impl Scale {
    pub(super) fn size(self) -> Size {
        let full = Size {
            days: 93,
            schedule_step: 1,
            bookings: BookingsPerFlight::Many,
            airplanes: 5_583,
            airplane_types: 342,
            passengers: 36_095,
            employees: 1_000,
            stations: 2_008,
        };
        let few = Size { bookings: BookingsPerFlight::Few, stations: 200, ..full };
        match self {
            Scale::Large => full,
            Scale::Small => Size { days: 7, ..few },
            Scale::Days(days) => Size { days: days.0, ..few },
            Scale::Tiny => Size {
                days: 3,
                schedule_step: 24,
                airplanes: 678,
                airplane_types: 40,
                passengers: 1_000,
                employees: 100,
                stations: 10,
                ..few
            },
        }
    }
}
