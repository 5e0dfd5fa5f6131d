//! Hourly weather; temperatures follow station and hour, and what falls must never contradict the temperature.

use jiff::civil::Date;

use super::cell::Decimal;
use super::rng::{Rng, Stream};
use super::rows::WeatherRow;
use super::timetable::time_of_day;

/// The values of `weatherdata.weather`; most hours have none of them.
pub const WEATHER: [&str; 9] = [
    "fog",
    "rain",
    "snow",
    "hail",
    "thunderstorm",
    "fog and rain",
    "fog and snow",
    "rain and snow",
    "rain and thunderstorm",
];
const WHEN_WARM: [&str; 6] = ["fog", "rain", "hail", "thunderstorm", "fog and rain", "rain and thunderstorm"];
const WHEN_COLD: [&str; 4] = ["fog", "snow", "fog and snow", "rain and snow"];

pub(super) const HOURS: u32 = 24;
const WARMEST_HOUR: i32 = 14;

/// The weather of one hour; `day` counts from the first day.
pub(super) fn weather(seed: u64, date: Date, day: u16, hour: u32, station: u32) -> WeatherRow {
    let mut climate = Rng::new(seed, Stream::Station, u64::from(station));
    let hours = u64::from(day) * u64::from(HOURS) + u64::from(hour);
    let mut rng = Rng::new(seed, Stream::Weather, (u64::from(station) << 32) | hours);
    let apart = (hour as i32 - WARMEST_HOUR).abs();
    let from_warmest = apart.min(HOURS as i32 - apart);
    let tenths = climate.within(-200, 330) + 50 - 8 * from_warmest + rng.within(-15, 15);
    let weather = if rng.below(100) < 72 {
        None
    } else if tenths > 20 {
        Some(rng.pick(&WHEN_WARM))
    } else {
        Some(rng.pick(&WHEN_COLD))
    };
    let decimal = |units: i32, scale| Decimal::new(i64::from(units), scale);
    WeatherRow {
        log_date: date,
        time: time_of_day(hour as u16 * 60),
        station: station as i32,
        temp: decimal(tenths, 1),
        humidity: decimal(rng.within(220, 1_000), 1),
        airpressure: decimal(climate.within(99_500, 102_500) + rng.within(-1_500, 1_500), 2),
        wind: decimal(rng.within(0, 9_000).min(rng.within(0, 9_000)), 2),
        weather,
        winddirection: rng.within(0, 359) as i16,
    }
}
