//! What holds for every airport database, checked on the rows alone; nothing here may load a database.

use std::collections::HashSet;

use super::network::{FIXED_FROM, FIXED_TO};
use super::*;

fn scales() -> [Scale; 5] {
    let days = |n| Scale::Days(Days::new(n).unwrap());
    [Scale::Tiny, Scale::Small, Scale::Large, days(1), days(30)]
}

fn about(value: f64, wanted: f64, tolerance: f64) -> bool {
    (value - wanted).abs() <= tolerance
}

/// FNV-1a over the rows' text, each value closed by a zero byte.
fn hash<R: Row>(mut hash: u64, rows: impl Iterator<Item = R>) -> u64 {
    for row in rows {
        for cell in row.cells().as_ref() {
            for byte in format!("{cell}\0").bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    hash
}

const EMPTY_HASH: u64 = 0xcbf2_9ce4_8422_2325;

fn hash_of_all(airport: &Airport) -> u64 {
    let mut sum = EMPTY_HASH;
    sum = hash(sum, airport.airports());
    sum = hash(sum, airport.airport_geo());
    sum = hash(sum, airport.airlines());
    sum = hash(sum, airport.airplane_types());
    sum = hash(sum, airport.airplanes());
    sum = hash(sum, airport.flight_schedules());
    sum = hash(sum, airport.flights());
    sum = hash(sum, airport.passengers());
    sum = hash(sum, airport.passenger_details());
    sum = hash(sum, airport.bookings());
    sum = hash(sum, airport.employees());
    hash(sum, airport.weather())
}

#[test]
fn flight_115_is_the_same_with_every_scale_and_seed() {
    let some_seeds = scales().map(|scale| (scale, DEFAULT_SEED)).into_iter();
    for (scale, seed) in some_seeds.chain((0..25).map(|seed| (Scale::Tiny, seed))) {
        let airport = Airport::new(scale, seed);
        let flight = airport.flights().nth(114).unwrap();
        assert_eq!(flight.flight_id, 115, "{scale} {seed}");
        assert_eq!(flight.flightno, "AM5136", "{scale} {seed}");
        assert_eq!((flight.from, flight.to, flight.airline_id), (FIXED_FROM, FIXED_TO, 3), "{scale} {seed}");
        assert_eq!(Cell::Timestamp(flight.departure).to_string(), "2025-10-01T11:19:00");
        assert_eq!(Cell::Timestamp(flight.arrival).to_string(), "2025-10-01T15:03:00");
        let iata =
            |id| airport.airports().find(|airport| airport.airport_id == id).and_then(|airport| airport.iata);
        assert_eq!(iata(9_358).as_deref(), Some("YPC"), "{scale} {seed}");
        assert_eq!(iata(5_904).as_deref(), Some("XGR"), "{scale} {seed}");
        assert_eq!(airport.airlines().nth(2).unwrap().airlinename, "American Samoa Airlines");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_ever() {
    assert_eq!(hash_of_all(&Airport::new(Scale::Tiny, DEFAULT_SEED)), 0x8dc0_689e_d56e_a132);
    assert_eq!(hash_of_all(&Airport::new(Scale::Tiny, DEFAULT_SEED + 1)), 0x5c48_8feb_da42_cac6);
    let large = Airport::new(Scale::Large, DEFAULT_SEED);
    let sum = hash(hash(EMPTY_HASH, large.flight_schedules()), large.airports());
    let sum = hash(hash(sum, large.flights().take(5_000)), large.bookings().take(20_000));
    assert_eq!(sum, 0xa064_5130_c77e_fe88);
}

#[test]
fn the_full_size_has_the_original_numbers_of_rows() {
    let large = Airport::new(Scale::Large, DEFAULT_SEED);
    assert_eq!(large.airlines().count(), 113);
    assert_eq!(large.airports().len(), 9_854);
    assert_eq!(large.airport_geo().len(), 9_854);
    assert_eq!(large.airplanes().count(), 5_583);
    assert_eq!(large.airplane_types().count(), 342);
    assert_eq!(large.flight_schedules().len(), 9_881);
    assert_eq!(large.flight_count(), 462_553);
    assert_eq!(large.weather_count(), 4_626_432);
    let bookings_per_flight = large.booking_count() as f64 / 462_553.0;
    assert!(about(bookings_per_flight, 117.4, 1.5), "{bookings_per_flight}");
}

#[test]
fn the_smaller_scales_have_the_sizes_they_promise() {
    let tiny = Airport::new(Scale::Tiny, DEFAULT_SEED);
    assert!(about(tiny.flight_count() as f64, 1_000.0, 50.0), "{}", tiny.flight_count());
    let small = Airport::new(Scale::Small, DEFAULT_SEED);
    assert_eq!(small.flight_count(), 34_811);
    for airport in [tiny, small] {
        let bookings_per_flight = airport.booking_count() as f64 / airport.flight_count() as f64;
        assert!(about(bookings_per_flight, 11.0, 0.5), "{bookings_per_flight}");
        assert_eq!(airport.booking_count(), airport.bookings().count() as u64);
    }
}

#[test]
fn the_timetable_has_the_original_frequencies_durations_and_overnight_flights() {
    let large = Airport::new(Scale::Large, DEFAULT_SEED);
    let mut by_frequency = [0; 7];
    let mut overnight = 0;
    let mut minutes = Vec::new();
    for row in large.flight_schedules() {
        let days =
            [row.monday, row.tuesday, row.wednesday, row.thursday, row.friday, row.saturday, row.sunday];
        by_frequency[days.iter().filter(|runs| **runs).count() - 1] += 1;
        overnight += usize::from(row.arrival < row.departure);
        let minute = |time: jiff::civil::Time| i32::from(time.hour()) * 60 + i32::from(time.minute());
        minutes.push((minute(row.arrival) - minute(row.departure)).rem_euclid(1_440));
        assert_ne!(row.from, row.to);
        assert_eq!(row.flightno.len(), 6);
    }
    assert_eq!(by_frequency, [541, 1_651, 2_728, 2_742, 1_597, 523, 99]);
    let overnight = overnight as f64 / minutes.len() as f64;
    assert!(about(overnight, 0.42, 0.015), "{overnight}");
    minutes.sort_unstable();
    assert_eq!((minutes[0], minutes[minutes.len() - 1]), (17, 1_315));
    assert!(about(f64::from(minutes[minutes.len() / 2]), 663.0, 20.0), "{}", minutes[minutes.len() / 2]);
}

#[test]
fn airports_and_airplanes_have_the_original_shares() {
    for (scale, tolerance) in [(Scale::Large, 0.01), (Scale::Tiny, 0.04)] {
        let airport = Airport::new(scale, DEFAULT_SEED);
        let with_code = airport.airports().filter(|airport| airport.iata.is_some()).count() as f64;
        let share = with_code / airport.airports().len() as f64;
        assert!(about(share, 0.57, tolerance), "{scale} {share}");
    }
    let large = Airport::new(Scale::Large, DEFAULT_SEED);
    let countries: HashSet<_> = large.airport_geo().map(|geo| geo.country).collect();
    assert_eq!(countries.len(), 236);
    let capacities: Vec<i32> = large.airplanes().map(|airplane| airplane.capacity).collect();
    assert_eq!((capacities.iter().min(), capacities.iter().max()), (Some(&50), Some(&644)));
    let mean = f64::from(capacities.iter().sum::<i32>()) / capacities.len() as f64;
    assert!(about(mean, 242.0, 5.0), "{mean}");
}

#[test]
fn codes_and_numbers_that_must_be_unique_are_unique() {
    fn unique(mut texts: Vec<String>) -> bool {
        let all = texts.len();
        texts.sort_unstable();
        texts.dedup();
        texts.len() == all
    }
    for seed in [DEFAULT_SEED, 1, 2, 3] {
        let large = Airport::new(Scale::Large, seed);
        assert!(unique(large.airports().filter_map(|airport| airport.iata).collect()));
        assert!(unique(large.airports().map(|airport| airport.icao).collect()));
        assert!(unique(large.airlines().map(|airline| airline.iata).collect()));
        assert!(unique(large.airlines().map(|airline| airline.airlinename).collect()));
        assert!(unique(large.flight_schedules().map(|schedule| schedule.flightno).collect()));
        assert!(unique(large.airplane_types().map(|kind| kind.identifier).collect()));
        assert!(unique(large.passengers().map(|passenger| passenger.passportno).collect()));
        assert!(unique(large.employees().map(|employee| employee.username).collect()));
        let seats = large
            .bookings()
            .take(50_000)
            .filter_map(|b| b.seat.map(|seat| format!("{} {seat}", b.flight_id)));
        assert!(unique(seats.collect()));
    }
}

#[test]
fn a_flight_arrives_after_it_departed_and_ids_follow_day_and_flight_number() {
    let small = Airport::new(Scale::Small, DEFAULT_SEED);
    let flights: Vec<FlightRow> = small.flights().collect();
    assert!(flights.iter().all(|flight| flight.arrival > flight.departure));
    assert!(flights.iter().zip(1..).all(|(flight, id)| flight.flight_id == id));
    let place = |flight: &FlightRow| (flight.departure.date(), flight.flightno.clone());
    assert!(flights.windows(2).all(|pair| place(&pair[0]) < place(&pair[1])));
}

#[test]
fn a_flight_is_flown_by_an_airplane_of_its_airline() {
    let tiny = Airport::new(Scale::Tiny, DEFAULT_SEED);
    let owners: Vec<i16> = tiny.airplanes().map(|airplane| airplane.airline_id).collect();
    assert!(tiny.flights().all(|flight| owners[flight.airplane_id as usize - 1] == flight.airline_id));
}

#[test]
fn it_snows_only_in_the_cold_and_most_hours_have_no_weather() {
    let tiny = Airport::new(Scale::Tiny, DEFAULT_SEED);
    let snows = |row: &WeatherRow| row.weather.is_some_and(|weather| weather.contains("snow"));
    assert!(tiny.weather().filter(snows).all(|row| row.temp.units() <= 20));
    let kinds: HashSet<_> = tiny.weather().filter_map(|row| row.weather).collect();
    assert_eq!(kinds.len(), WEATHER.len());
    let none =
        tiny.weather().filter(|row| row.weather.is_none()).count() as f64 / tiny.weather_count() as f64;
    assert!(about(none, 0.72, 0.05), "{none}");
}

#[test]
fn a_scale_is_read_from_text_and_anything_else_is_refused_with_the_choices() {
    for scale in scales() {
        assert_eq!(scale.to_string().parse(), Ok(scale));
    }
    for text in ["0", "3651", "-1", "70000", "huge", "", " 3"] {
        let refused = text.parse::<Scale>().unwrap_err().to_string();
        assert!(refused.contains("tiny, small, large, or a number of days from 1 to 3650"), "{refused}");
    }
}
