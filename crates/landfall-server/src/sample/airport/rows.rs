//! The rows of the airport database, one type for each table that has any; field names are the column names and must never
//! differ from them.

use jiff::civil::{Date, DateTime, Time};

use super::cell::{Cell, Decimal, ToCell};

/// A row of one table.
pub trait Row {
    /// The table's name.
    const TABLE: &'static str;
    /// The table's columns in the order of [`Row::cells`].
    const COLUMNS: &'static [&'static str];
    /// An array with one cell for each column.
    type Cells<'a>: AsRef<[Cell<'a>]>
    where
        Self: 'a;

    /// The row's values in the order of [`Row::COLUMNS`].
    fn cells(&self) -> Self::Cells<'_>;
}

macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident in $table:literal { $($field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "the fields are the columns of the table")]
        pub struct $name { $(pub $field: $type,)* }

        impl Row for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),*];
            type Cells<'a> = [Cell<'a>; [$(stringify!($field)),*].len()];

            fn cells(&self) -> Self::Cells<'_> {
                [$(self.$field.cell()),*]
            }
        }
    )*};
}

rows! {
    /// An airline and the airport that is its base.
    AirlineRow in "airline" {
        airline_id: i16,
        iata: String,
        airlinename: String,
        base_airport: i16,
    }
    /// An airport; more than half of them have an IATA code.
    AirportRow in "airport" {
        airport_id: i16,
        iata: Option<String>,
        icao: String,
        name: String,
    }
    /// Where an airport lies. The table has no key.
    AirportGeoRow in "airport_geo" {
        airport_id: i16,
        name: String,
        city: String,
        country: &'static str,
        latitude: Decimal,
        longitude: Decimal,
    }
    /// A model of airplane.
    AirplaneTypeRow in "airplane_type" {
        type_id: i32,
        identifier: String,
        description: String,
    }
    /// An airplane of an airline.
    AirplaneRow in "airplane" {
        airplane_id: i32,
        capacity: i32,
        type_id: i32,
        airline_id: i16,
    }
    /// A line of the timetable. Its key is text, and two of its columns are reserved words.
    FlightScheduleRow in "flightschedule" {
        flightno: String,
        from: i16,
        to: i16,
        departure: Time,
        arrival: Time,
        airline_id: i16,
        monday: bool,
        tuesday: bool,
        wednesday: bool,
        thursday: bool,
        friday: bool,
        saturday: bool,
        sunday: bool,
    }
    /// One departure on one day.
    FlightRow in "flight" {
        flight_id: i32,
        flightno: String,
        from: i16,
        to: i16,
        departure: DateTime,
        arrival: DateTime,
        airline_id: i16,
        airplane_id: i32,
    }
    /// Somebody who books.
    PassengerRow in "passenger" {
        passenger_id: i32,
        passportno: String,
        firstname: String,
        lastname: String,
    }
    /// The rest about a passenger; deleted with them.
    PassengerDetailsRow in "passengerdetails" {
        passenger_id: i32,
        birthdate: Date,
        sex: &'static str,
        street: String,
        city: String,
        zip: i16,
        country: &'static str,
        emailaddress: String,
        telephoneno: String,
    }
    /// A seat on a flight. Seats of a flight are unique; one booking in fifty has none yet.
    BookingRow in "booking" {
        booking_id: i32,
        flight_id: i32,
        seat: Option<String>,
        passenger_id: i32,
        price: Decimal,
    }
    /// Somebody who works at an airport.
    EmployeeRow in "employee" {
        employee_id: i32,
        firstname: String,
        lastname: String,
        street: String,
        city: String,
        zip: i16,
        country: &'static str,
        salary: Decimal,
        department: &'static str,
        username: String,
        password: String,
    }
    /// One hour at one weather station. The key's values hold colons.
    WeatherRow in "weatherdata" {
        log_date: Date,
        time: Time,
        station: i32,
        temp: Decimal,
        humidity: Decimal,
        airpressure: Decimal,
        wind: Decimal,
        weather: Option<&'static str>,
        winddirection: i16,
    }
}
