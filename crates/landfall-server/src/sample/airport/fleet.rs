//! Airplanes and their types; every airline must always own at least one airplane, or its flights could not be made.

use super::names;
use super::network::AIRLINES;
use super::rng::{Rng, Stream};
use super::rows::{AirplaneRow, AirplaneTypeRow};

const CAPACITY_MIN: i32 = 50;
const CAPACITY_MAX: i32 = 644;

pub(super) fn airplane_type(seed: u64, number: u32) -> AirplaneTypeRow {
    let mut rng = Rng::new(seed, Stream::AirplaneType, u64::from(number));
    AirplaneTypeRow {
        type_id: number as i32,
        identifier: names::airplane_type(number),
        description: names::airplane_description(&mut rng),
    }
}

pub(super) fn airplane(seed: u64, airplane: u32, types: u32) -> AirplaneRow {
    let mut rng = Rng::new(seed, Stream::Airplane, u64::from(airplane));
    AirplaneRow {
        airplane_id: airplane as i32,
        capacity: capacity(seed, airplane),
        type_id: 1 + rng.below(types) as i32,
        // Airplanes are dealt out to the airlines in turn.
        airline_id: 1 + ((airplane - 1) % AIRLINES as u32) as i16,
    }
}

/// From 50 to 644 with many small ones: the mean is 242. The first two airplanes are the largest and the smallest.
pub(super) fn capacity(seed: u64, airplane: u32) -> i32 {
    match airplane {
        1 => return CAPACITY_MAX,
        2 => return CAPACITY_MIN,
        _ => {}
    }
    let mut rng = Rng::new(seed, Stream::Airplane, u64::from(airplane) | 1 << 32);
    let mut draw = || rng.within(CAPACITY_MIN, CAPACITY_MAX);
    // The smaller of two has a mean of 248, the smallest of three 198; one in eight brings it to 242.
    let two = draw().min(draw());
    let third = draw();
    if draw() % 8 == 0 { two.min(third) } else { two }
}

/// One of the airline's airplanes.
pub(super) fn airplane_of(rng: &mut Rng, airline: i16, airplanes: u32) -> u32 {
    let airlines = AIRLINES as u32;
    let owned = 1 + (airplanes - airline as u32) / airlines;
    airline as u32 + airlines * rng.below(owned)
}
