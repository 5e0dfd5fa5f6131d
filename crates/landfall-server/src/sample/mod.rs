//! Sample databases for `demo`, `setup`, the benchmarks and the tests; they must never be written into a database that
//! already has tables of the same names.
//!
//! [`airport`] generates the rows and knows no database. [`sqlite`] loads them into SQLite, [`postgres`] into PostgreSQL.
//! [`borrowed`] looks into a loaded one and puts it back as it was.

use airport::{Airport, Row, WeatherRow};

pub mod airport;
#[cfg(feature = "sqlite")]
pub mod borrowed;
#[cfg(feature = "postgres")]
pub mod postgres;
mod schema;
#[cfg(feature = "sqlite")]
pub mod sqlite;

/// How far one table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The table being loaded.
    pub table: &'static str,
    /// Rows inserted so far, some of which may wait for a commit.
    pub rows_done: u64,
    /// Rows the table will have.
    pub rows_total: u64,
}

/// Told of it every so many rows.
const PROGRESS_EVERY_ROWS: u64 = 5_000;

/// Takes the rows of one table after the other.
trait Filled {
    type Error;

    fn fill<R: Row>(&mut self, rows_total: u64, rows: impl Iterator<Item = R>) -> Result<(), Self::Error>;

    /// A table that has no rows.
    fn pass(&mut self, table: &'static str);
}

/// Fills all tables, in an order in which no foreign key points forward; the name of the last one.
fn fill<F: Filled>(filled: &mut F, airport: &Airport) -> Result<&'static str, F::Error> {
    filled.fill(airport.airports().len() as u64, airport.airports())?;
    filled.fill(airport.airport_geo().len() as u64, airport.airport_geo())?;
    filled.fill(airport.airlines().count() as u64, airport.airlines())?;
    filled.fill(airport.airplane_types().count() as u64, airport.airplane_types())?;
    filled.fill(airport.airplanes().count() as u64, airport.airplanes())?;
    filled.fill(airport.flight_schedules().len() as u64, airport.flight_schedules())?;
    filled.fill(airport.flight_count(), airport.flights())?;
    filled.pass("flight_log");
    filled.fill(airport.passengers().count() as u64, airport.passengers())?;
    filled.fill(airport.passenger_details().count() as u64, airport.passenger_details())?;
    filled.fill(airport.booking_count(), airport.bookings())?;
    filled.fill(airport.employees().count() as u64, airport.employees())?;
    filled.fill(airport.weather_count(), airport.weather())?;
    Ok(WeatherRow::TABLE)
}

fn list(tables: &[&str]) -> String {
    let (noun, names) = (if tables.len() == 1 { "a table" } else { "tables" }, tables.join(", "));
    format!("{noun} named {names}")
}
#[cfg(all(test, feature = "sqlite"))]
mod sqlite_tests;
