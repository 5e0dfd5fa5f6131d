//! Generates the airport database, a sample with every unkindness of real schemas; it must never depend on a database,
//! on the time, or on anything but its scale and its seed.
//!
//! The shape is that of [FlughafenDB](https://github.com/stefanproell/flughafendb) (Stefan Proell, Eva Zangerle, Wolfgang Gassler; CC BY 4.0);
//! the rows are our own. [`Airport`] hands them out as iterators, table by table. The same seed gives the same bytes
//! for ever, on every platform. These hold for every seed and scale: flight 115 is AM5136 of airline 3 (American Samoa
//! Airlines) from airport 9358 (YPC) to airport 5904 (XGR) on 2025-10-01 from 11:19 to 15:03.
//!
//! The smaller scales are cut out of the full size: `tiny` keeps part of the timetable, the airports in use, and
//! as many without an IATA code as keep their share.

mod cell;
mod countries;
mod fleet;
mod names;
mod network;
mod people;
mod rng;
mod rows;
mod scale;
mod timetable;
mod weather;

#[cfg(test)]
mod tests;

use jiff::ToSpan;
use jiff::civil::{Date, DateTime};

pub use cell::{Cell, Decimal};
pub use people::DEPARTMENTS;
pub use rows::{
    AirlineRow, AirplaneRow, AirplaneTypeRow, AirportGeoRow, AirportRow, BookingRow, EmployeeRow, FlightRow,
    FlightScheduleRow, PassengerDetailsRow, PassengerRow, Row, WeatherRow,
};
pub use scale::{Days, Scale, ScaleError};
pub use weather::WEATHER;

use network::{AIRLINES, AIRPORTS, Network};
use rng::{Rng, Scatter, Stream};
use scale::{BookingsPerFlight, Size};
use timetable::Schedule;

/// The first day of flights, a Wednesday.
pub const DAY_ONE: Date = Date::constant(2025, 10, 1);
/// The seed of the databases that documentation and tests show.
pub const DEFAULT_SEED: u64 = 115;
/// Weather is known for a few days more than there are flights.
const WEATHER_DAYS_MORE: u16 = 3;
const SEATS_ABREAST: u32 = 6;

/// The airport database of one scale and seed. The timetable is held in memory; everything else is made row by row.
pub struct Airport {
    scale: Scale,
    seed: u64,
    size: Size,
    network: Network,
    schedules: Vec<Schedule>,
    airports: Vec<i16>,
}

impl Airport {
    /// Builds the timetable, which takes a few milliseconds.
    ///
    /// ```
    /// use landfall_server::sample::airport::{Airport, DEFAULT_SEED, Scale};
    ///
    /// let airport = Airport::new(Scale::Tiny, DEFAULT_SEED);
    /// let flight = airport.flights().nth(114).unwrap();
    /// assert_eq!((flight.flight_id, flight.flightno.as_str()), (115, "AM5136"));
    /// ```
    pub fn new(scale: Scale, seed: u64) -> Airport {
        let size = scale.size();
        let network = Network::new(seed);
        let schedules = timetable::timetable(seed, &network, size.schedule_step);
        let airports = if size.schedule_step == 1 {
            (1..=AIRPORTS).collect()
        } else {
            let bases = (1..=AIRLINES).map(|airline| network.base(airline));
            let ends = schedules.iter().flat_map(|schedule| [schedule.from, schedule.to]);
            let mut used: Vec<i16> = ends.chain(bases).chain(network.unconnected().step_by(5)).collect();
            used.sort_unstable();
            used.dedup();
            used
        };
        Airport { scale, seed, size, network, schedules, airports }
    }

    /// The scale it was made for.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// The seed it was made for.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Table `airport`.
    pub fn airports(&self) -> impl ExactSizeIterator<Item = AirportRow> + '_ {
        self.airports.iter().map(|airport| self.network.airport(*airport))
    }

    /// Table `airport_geo`, one row for each airport.
    pub fn airport_geo(&self) -> impl ExactSizeIterator<Item = AirportGeoRow> + '_ {
        self.airports.iter().map(|airport| self.network.airport_geo(*airport))
    }

    /// Table `airline`.
    pub fn airlines(&self) -> impl Iterator<Item = AirlineRow> + '_ {
        (1..=AIRLINES).map(|airline| self.network.airline(airline))
    }

    /// Table `airplane_type`.
    pub fn airplane_types(&self) -> impl Iterator<Item = AirplaneTypeRow> + '_ {
        (1..=self.size.airplane_types).map(|number| fleet::airplane_type(self.seed, number))
    }

    /// Table `airplane`.
    pub fn airplanes(&self) -> impl Iterator<Item = AirplaneRow> + '_ {
        (1..=self.size.airplanes)
            .map(|airplane| fleet::airplane(self.seed, airplane, self.size.airplane_types))
    }

    /// Table `flightschedule`, sorted by flight number.
    pub fn flight_schedules(&self) -> impl ExactSizeIterator<Item = FlightScheduleRow> + '_ {
        self.schedules.iter().map(Schedule::row)
    }

    /// Table `flight`: for each day the schedules of its weekday, sorted by flight number, get the next ids.
    pub fn flights(&self) -> impl Iterator<Item = FlightRow> + '_ {
        self.departures().map(|(flight_id, date, schedule)| {
            let arrival_date = if schedule.arrives_next_day() { date.saturating_add(1.day()) } else { date };
            FlightRow {
                flight_id,
                flightno: schedule.flightno.clone(),
                from: schedule.from,
                to: schedule.to,
                departure: at(date, schedule.departure_minute),
                arrival: at(arrival_date, schedule.arrival_minute),
                airline_id: schedule.airline,
                airplane_id: self.airplane_of(flight_id, schedule) as i32,
            }
        })
    }

    /// How many rows [`Airport::flights`] gives.
    pub fn flight_count(&self) -> u64 {
        self.departures().count() as u64
    }

    /// Table `passenger`.
    pub fn passengers(&self) -> impl Iterator<Item = PassengerRow> + '_ {
        (1..=self.size.passengers).map(|passenger| people::passenger(self.seed, passenger))
    }

    /// Table `passengerdetails`, one row for each passenger.
    pub fn passenger_details(&self) -> impl Iterator<Item = PassengerDetailsRow> + '_ {
        (1..=self.size.passengers).map(|passenger| people::passenger_details(self.seed, passenger))
    }

    /// Table `booking`, sorted by flight.
    pub fn bookings(&self) -> impl Iterator<Item = BookingRow> + '_ {
        let of_flights =
            self.departures().flat_map(|(flight_id, _, schedule)| self.bookings_of(flight_id, schedule));
        of_flights.zip(1..).map(|(booking, booking_id)| BookingRow { booking_id, ..booking })
    }

    /// How many rows [`Airport::bookings`] gives; counted flight by flight, a fraction of a second at full size.
    pub fn booking_count(&self) -> u64 {
        self.departures()
            .map(|(flight_id, _, schedule)| u64::from(self.bookings_on(flight_id, schedule)))
            .sum()
    }

    /// Table `employee`.
    pub fn employees(&self) -> impl Iterator<Item = EmployeeRow> + '_ {
        (1..=self.size.employees).map(|employee| people::employee(self.seed, employee))
    }

    /// Table `weatherdata`, in the order of its key.
    pub fn weather(&self) -> impl Iterator<Item = WeatherRow> + '_ {
        (0..self.weather_days()).flat_map(move |day| {
            let date = date_of(day);
            (0..weather::HOURS).flat_map(move |hour| {
                (1..=self.size.stations)
                    .map(move |station| weather::weather(self.seed, date, day, hour, station))
            })
        })
    }

    /// How many rows [`Airport::weather`] gives.
    pub fn weather_count(&self) -> u64 {
        u64::from(self.weather_days()) * u64::from(weather::HOURS) * u64::from(self.size.stations)
    }

    fn weather_days(&self) -> u16 {
        self.size.days + WEATHER_DAYS_MORE
    }

    /// Every flight: its id, its date and its schedule.
    fn departures(&self) -> impl Iterator<Item = (i32, Date, &Schedule)> + '_ {
        let by_day = (0..self.size.days).flat_map(move |day| {
            let date = date_of(day);
            let weekday = date.weekday().to_monday_zero_offset() as u8;
            self.schedules
                .iter()
                .filter(move |schedule| schedule.runs_on(weekday))
                .map(move |schedule| (date, schedule))
        });
        by_day.zip(1..).map(|((date, schedule), flight_id)| (flight_id, date, schedule))
    }

    fn airplane_of(&self, flight_id: i32, schedule: &Schedule) -> u32 {
        let mut rng = Rng::new(self.seed, Stream::Flight, flight_id as u64);
        fleet::airplane_of(&mut rng, schedule.airline, self.size.airplanes)
    }

    fn seats(&self, flight_id: i32, schedule: &Schedule) -> u32 {
        fleet::capacity(self.seed, self.airplane_of(flight_id, schedule)) as u32
    }

    fn bookings_on(&self, flight_id: i32, schedule: &Schedule) -> u32 {
        let mut rng = Rng::new(self.seed, Stream::BookingCount, flight_id as u64);
        match self.size.bookings {
            BookingsPerFlight::Few => 1 + rng.below(21),
            BookingsPerFlight::Many => self.seats(flight_id, schedule) * (17 + rng.below(64)) / 100,
        }
    }

    /// The bookings of one flight, still without their own numbers.
    fn bookings_of(&self, flight_id: i32, schedule: &Schedule) -> impl Iterator<Item = BookingRow> + use<> {
        let mut rng = Rng::new(self.seed, Stream::Booking, flight_id as u64);
        let seats = Scatter::new(&mut rng, self.seats(flight_id, schedule));
        let passengers = Scatter::new(&mut rng, self.size.passengers);
        let fare_cents = 3_000 + 25 * schedule.duration_minutes();
        (0..self.bookings_on(flight_id, schedule)).map(move |place| BookingRow {
            booking_id: 0,
            flight_id,
            seat: (!rng.one_in(50)).then(|| seat(seats.at(place))),
            passenger_id: 1 + passengers.at(place) as i32,
            price: Decimal::new(i64::from(fare_cents + rng.below(15_000)), 2),
        })
    }
}

fn date_of(day: u16) -> Date {
    DAY_ONE.saturating_add(i64::from(day).days())
}

fn at(date: Date, minute: u16) -> DateTime {
    date.to_datetime(timetable::time_of_day(minute))
}

/// `1A` to `108F`.
fn seat(number: u32) -> String {
    let letter = char::from(b'A' + (number % SEATS_ABREAST) as u8);
    format!("{}{letter}", 1 + number / SEATS_ABREAST)
}
