//! The timetable: 9,881 flight numbers with route, times and weekdays; flight 115 must be AM5136 with every seed and scale.
//!
//! A flight's id is its place among the day's schedules sorted by flight number, so AM5136 gets 115 on the first day when
//! exactly 114 schedules before it run on that weekday. Two airlines and 40 flight numbers come before it, 216 schedules in
//! all, half of which run on any given day: a few weekdays are moved to hit the number exactly. In the same way the
//! first two weekdays are brought to the 10,010 departures that make the 93 days of the full size 462,553 flights.

use jiff::civil::Time;

use super::network::{AIRLINES, FIXED_FROM, FIXED_TO, Network};
use super::rng::{Rng, Stream};
use super::rows::FlightScheduleRow;

pub(super) const SCHEDULES: usize = 9_881;

const FIXED_AIRLINE: i16 = 3;
const FIXED_NUMBER: i32 = 5_136;
const FIXED_DEPARTURE: u16 = 11 * 60 + 19;
const FIXED_ARRIVAL: u16 = 15 * 60 + 3;
const FLIGHTS_BEFORE_FIXED: usize = 114;

/// How many schedules run once, twice, .. seven times a week.
const SCHEDULES_BY_FREQUENCY: [usize; 7] = [541, 1_651, 2_728, 2_742, 1_597, 523, 99];
/// The first day is a Wednesday.
const WEDNESDAY: u8 = 2;
const THURSDAY: u8 = 3;
const FLIGHTS_ON_FIRST_TWO_WEEKDAYS: usize = 10_010;

const MINUTES_A_DAY: u16 = 24 * 60;
const DURATION_MINUTES_MIN: i32 = 17;
const DURATION_MINUTES_MEDIAN: i32 = 663;
const DURATION_MINUTES_MAX: i32 = 1_315;

/// Flight numbers of one airline are drawn from this many equal ranges of 1000 to 9999, one from each.
const NUMBER_RANGES: i32 = 88;

#[derive(Clone)]
pub(super) struct Schedule {
    pub(super) flightno: String,
    pub(super) from: i16,
    pub(super) to: i16,
    pub(super) departure_minute: u16,
    pub(super) arrival_minute: u16,
    pub(super) airline: i16,
    /// Bit 0 is Monday.
    days: u8,
}

impl Schedule {
    pub(super) fn runs_on(&self, weekday: u8) -> bool {
        self.days & (1 << weekday) != 0
    }

    pub(super) fn arrives_next_day(&self) -> bool {
        self.arrival_minute < self.departure_minute
    }

    pub(super) fn duration_minutes(&self) -> u32 {
        u32::from((self.arrival_minute + MINUTES_A_DAY - self.departure_minute) % MINUTES_A_DAY)
    }

    pub(super) fn row(&self) -> FlightScheduleRow {
        FlightScheduleRow {
            flightno: self.flightno.clone(),
            from: self.from,
            to: self.to,
            departure: time_of_day(self.departure_minute),
            arrival: time_of_day(self.arrival_minute),
            airline_id: self.airline,
            monday: self.runs_on(0),
            tuesday: self.runs_on(1),
            wednesday: self.runs_on(WEDNESDAY),
            thursday: self.runs_on(THURSDAY),
            friday: self.runs_on(4),
            saturday: self.runs_on(5),
            sunday: self.runs_on(6),
        }
    }
}

pub(super) fn time_of_day(minute: u16) -> Time {
    Time::constant((minute / 60) as i8, (minute % 60) as i8, 0, 0)
}

/// The timetable sorted by flight number, thinned out after the fixed flight to every `step`-th schedule.
pub(super) fn timetable(seed: u64, network: &Network, step: usize) -> Vec<Schedule> {
    let mut schedules = routes(seed, network);
    schedules.sort_by(|a, b| a.flightno.cmp(&b.flightno));
    let fixed = schedules.iter().take_while(|schedule| !is_fixed(schedule)).count();
    assign_days(seed, &mut schedules, fixed);
    let mut place = 0;
    schedules.retain(|_| {
        let keep = place <= fixed || (place - fixed).is_multiple_of(step);
        place += 1;
        keep
    });
    schedules
}

fn is_fixed(schedule: &Schedule) -> bool {
    schedule.airline == FIXED_AIRLINE && schedule.flightno.ends_with("5136")
}

fn routes(seed: u64, network: &Network) -> Vec<Schedule> {
    let with_one_more = SCHEDULES - (NUMBER_RANGES as usize - 1) * AIRLINES as usize;
    let mut schedules = Vec::with_capacity(SCHEDULES);
    for airline in 1..=AIRLINES {
        let count = if airline as usize <= with_one_more { NUMBER_RANGES } else { NUMBER_RANGES - 1 };
        for range in 0..count {
            let mut rng = Rng::new(seed, Stream::Schedule, schedules.len() as u64);
            let low = 1_000 + range * 9_000 / NUMBER_RANGES;
            let high = 1_000 + (range + 1) * 9_000 / NUMBER_RANGES - 1;
            if airline == FIXED_AIRLINE && (low..=high).contains(&FIXED_NUMBER) {
                schedules.push(fixed_route(network));
            } else {
                let number = rng.within(low, high);
                schedules.push(route(&mut rng, network, airline, number));
            }
        }
    }
    schedules
}

fn fixed_route(network: &Network) -> Schedule {
    Schedule {
        flightno: format!("{}{FIXED_NUMBER}", network.airline_code(FIXED_AIRLINE)),
        from: FIXED_FROM,
        to: FIXED_TO,
        departure_minute: FIXED_DEPARTURE,
        arrival_minute: FIXED_ARRIVAL,
        airline: FIXED_AIRLINE,
        days: 0,
    }
}

fn route(rng: &mut Rng, network: &Network, airline: i16, number: i32) -> Schedule {
    // Every third route touches the airline's base.
    let mut ends = [rng.pick(network.connected()), rng.pick(network.connected())];
    if rng.one_in(3) {
        ends[rng.below(2) as usize] = network.base(airline);
    }
    while ends[0] == ends[1] {
        ends[1] = rng.pick(network.connected());
    }
    // 15 in 100 leave before noon: with evenly spread departures 46 percent instead of 42 would arrive the next day.
    let departs_before = if rng.below(100) < 15 { MINUTES_A_DAY / 2 } else { MINUTES_A_DAY };
    let departure = rng.below(u32::from(departs_before)) as u16;
    let duration = if rng.one_in(2) {
        rng.within(DURATION_MINUTES_MIN, DURATION_MINUTES_MEDIAN)
    } else {
        rng.within(DURATION_MINUTES_MEDIAN, DURATION_MINUTES_MAX)
    };
    Schedule {
        flightno: format!("{}{number}", network.airline_code(airline)),
        from: ends[0],
        to: ends[1],
        departure_minute: departure,
        arrival_minute: (departure + duration as u16) % MINUTES_A_DAY,
        airline,
        days: 0,
    }
}

fn assign_days(seed: u64, schedules: &mut [Schedule], fixed: usize) {
    let mut rng = Rng::new(seed, Stream::ScheduleDays, 0);
    let mut frequencies: Vec<usize> = (1..=7)
        .zip(SCHEDULES_BY_FREQUENCY)
        .flat_map(|(frequency, count)| std::iter::repeat_n(frequency, count))
        .collect();
    rng.shuffle(&mut frequencies);
    for (schedule, frequency) in schedules.iter_mut().zip(frequencies) {
        let mut weekdays: [u8; 7] = [0, 1, 2, 3, 4, 5, 6];
        rng.shuffle(&mut weekdays);
        schedule.days = weekdays.iter().take(frequency).fold(0, |days, weekday| days | (1 << weekday));
    }
    let (before, after) = schedules.split_at_mut(fixed);
    settle(&mut rng, &mut after[..1], WEDNESDAY, 1);
    settle(&mut rng, before, WEDNESDAY, FLIGHTS_BEFORE_FIXED);
    let wednesdays = running_on(schedules, WEDNESDAY);
    let thursdays_before = running_on(&schedules[..=fixed], THURSDAY);
    let thursdays = (FLIGHTS_ON_FIRST_TWO_WEEKDAYS - wednesdays).saturating_sub(thursdays_before);
    // Never moves a flight off or onto a Wednesday, which is already settled.
    settle_keeping(&mut rng, &mut schedules[fixed + 1..], THURSDAY, thursdays, Some(WEDNESDAY));
}

fn running_on(schedules: &[Schedule], weekday: u8) -> usize {
    schedules.iter().filter(|schedule| schedule.runs_on(weekday)).count()
}

fn settle(rng: &mut Rng, schedules: &mut [Schedule], weekday: u8, wanted: usize) {
    settle_keeping(rng, schedules, weekday, wanted, None);
}

/// Moves single days of randomly chosen schedules until `wanted` of them run on `weekday`; how often a schedule runs stays.
fn settle_keeping(rng: &mut Rng, schedules: &mut [Schedule], weekday: u8, wanted: usize, keep: Option<u8>) {
    let mut order: Vec<usize> = (0..schedules.len()).collect();
    rng.shuffle(&mut order);
    let mut running = running_on(schedules, weekday);
    for place in order {
        let schedule = &mut schedules[place];
        let is_surplus = schedule.runs_on(weekday);
        if running == wanted || is_surplus != (running > wanted) {
            continue;
        }
        // The other day of the exchange: one it does not run on if this one is to be dropped, else one it runs on.
        let others: Vec<u8> = (0..7)
            .filter(|other| {
                *other != weekday && Some(*other) != keep && schedule.runs_on(*other) != is_surplus
            })
            .collect();
        if !others.is_empty() {
            schedule.days ^= (1 << weekday) | (1 << rng.pick(&others));
            running = if is_surplus { running - 1 } else { running + 1 };
        }
    }
}
