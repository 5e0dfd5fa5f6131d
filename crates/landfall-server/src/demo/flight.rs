//! Flights as the demo reads them through the server; names of airports and airlines are joined here.
//! It must never know a value that it has not read.

use anyhow::{Context, Result};
use jiff::ToSpan;
use jiff::civil::DateTime;

use crate::client::Client;
use crate::failure::{FINDING, Failure};

/// A row of table `flight`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flight {
    pub(super) id: i64,
    columns: Vec<(String, String)>,
}

/// The times of a flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) departure: String,
    pub(super) arrival: String,
}

pub(super) fn key(id: i64) -> String {
    format!("flight:{id}")
}

/// The refusal for a flight that is not there.
pub(super) fn unknown(id: i64) -> anyhow::Error {
    Failure::new(FINDING, format!("flight {id} is not in the database; choose another with --flight-id"))
        .into()
}

impl Flight {
    /// Reads a flight; one that is not there is the user's slip.
    pub(super) fn read(client: &mut Client, id: i64) -> Result<Flight> {
        let columns = client.pairs(&["HGETALL", &key(id)]).map_err(Failure::from)?;
        if columns.is_empty() {
            return Err(unknown(id));
        }
        Ok(Flight { id, columns })
    }

    pub(super) fn column(&self, name: &str) -> Result<&str> {
        let found = self.columns.iter().find(|(column, _)| column == name);
        found.map(|(_, value)| value.as_str()).with_context(|| format!("flight {} has no {name}", self.id))
    }

    pub(super) fn times(&self) -> Result<Times> {
        Ok(Times {
            departure: self.column("departure")?.to_owned(),
            arrival: self.column("arrival")?.to_owned(),
        })
    }
}

impl Times {
    /// The same times, two hours later.
    pub(super) fn delayed(&self) -> Result<Times> {
        let later = |text: &str| -> Result<String> {
            let time: DateTime = text.parse().with_context(|| format!("{text} is no time"))?;
            Ok(time.checked_add(2.hours())?.to_string())
        };
        Ok(Times { departure: later(&self.departure)?, arrival: later(&self.arrival)? })
    }

    /// The command that gives a flight these times.
    pub(super) fn command(&self, id: i64) -> [String; 6] {
        ["HSET", &key(id), "departure", &self.departure, "arrival", &self.arrival].map(str::to_owned)
    }
}

/// What a flight is called by people: codes of the airports, name of the airline.
pub(super) struct Names {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) airline: String,
}

impl Names {
    /// Reads the rows that a flight refers to.
    pub(super) fn read(client: &mut Client, flight: &Flight) -> Result<Names> {
        let mut look = |table: &str, column: &str, wanted: &str| -> Result<Option<String>> {
            let key = format!("{table}:{}", flight.column(column)?);
            Ok(client.text(&["HGET", &key, wanted]).map_err(Failure::from)?)
        };
        // Many airports have no IATA code.
        let unknown = || "(no IATA code)".to_owned();
        Ok(Names {
            from: look("airport", "from", "iata")?.unwrap_or_else(unknown),
            to: look("airport", "to", "iata")?.unwrap_or_else(unknown),
            airline: look("airline", "airline_id", "airlinename")?.unwrap_or_else(|| "-".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hours_may_pass_midnight() {
        let times = Times { departure: "2025-10-31T23:19:00".into(), arrival: "2025-10-31T09:03:00".into() };
        let delayed = times.delayed().unwrap();
        assert_eq!(delayed.departure, "2025-11-01T01:19:00");
        assert_eq!(delayed.arrival, "2025-10-31T11:03:00");
        assert!(Times { departure: "soon".into(), arrival: "later".into() }.delayed().is_err());
    }
}
