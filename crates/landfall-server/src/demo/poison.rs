//! Step 10: a row that the database refuses. It alone becomes a dead letter, its neighbours land, and writing it anew heals it.
//! The seat is really taken and SQLite really refuses it; the bookings are taken away again at the end.

use anyhow::{Result, ensure};
use serde_json::Value as Json;

use super::screen::millis;
use super::walk::{FLUSH, Walk};
use crate::failure::Failure;
use crate::sample::borrowed::SpareBookings;

pub(super) fn run(walk: &mut Walk<'_>) -> Result<()> {
    walk.heading(10, "A poison row: a seat that is taken")?;
    let flight = walk.flight;
    let spare = walk.stage.sample(|sample| Ok(sample.spare_bookings(flight)?))?;
    let [first, poison, neighbour] = [0, 1, 2].map(|more| format!("booking:{}", spare.first_id + more));
    let [seat, next, other] = &spare.seats;
    book(walk, &first, seat, &spare)?;
    walk.call(&FLUSH)?;
    walk.screen.field("Landed:", &format!("{first}, seat {seat} of flight {flight}"))?;

    book(walk, &poison, seat, &spare)?;
    book(walk, &neighbour, next, &spare)?;
    let begun = std::time::Instant::now();
    walk.call(&FLUSH)?;
    let letters = letters(walk)?;
    let reason = letters.first().and_then(|letter| letter["reason"].as_str()).unwrap_or("nothing");
    walk.screen
        .field("Refused:", &format!("{poison}, the same seat, tried for {}", millis(begun.elapsed())))?;
    walk.screen.field("The reason:", reason)?;
    let is_alone = letters.len() == 1 && letters[0]["key"] == *poison;
    let landed = walk.in_database(&neighbour, "seat")?.as_ref() == Some(next);
    walk.screen.check(is_alone && landed, &format!("it alone is a dead letter, {neighbour} has landed"))?;
    let seen = walk.client.text(&["HGET", &poison, "seat"]).map_err(Failure::from)?;
    let stored = walk.in_database(&poison, "seat")?;
    let is_kept = seen.as_ref() == Some(seat) && stored.is_none();
    walk.screen.check(is_kept, "nothing of it is lost: readers still see it, the database has not got it")?;

    walk.call(&["HSET", &poison, "seat", other])?;
    walk.call(&FLUSH)?;
    walk.screen.field("Healed:", &format!("HSET {poison} seat {other}, and no dead letter is left"))?;
    let stored = walk.in_database(&poison, "seat")?;
    let is_healed = self::letters(walk)?.is_empty() && stored.as_ref() == Some(other);
    walk.screen.check(is_healed, "written anew it landed, with all that it was owed before")?;
    tidy(walk, &[first, poison, neighbour])
}

fn book(walk: &mut Walk<'_>, key: &str, seat: &str, spare: &SpareBookings) -> Result<()> {
    let (flight, passenger) = (walk.flight.to_string(), spare.passenger.to_string());
    walk.call(&[
        "HSET",
        key,
        "flight_id",
        &flight,
        "seat",
        seat,
        "passenger_id",
        &passenger,
        "price",
        "99.00",
    ])?;
    Ok(())
}

fn letters(walk: &mut Walk<'_>) -> Result<Vec<Json>> {
    let page = walk.client.document(&["LANDFALL.DEADLETTERS", "LIST"]).map_err(Failure::from)?.1;
    Ok(page["letters"].as_array().cloned().unwrap_or_default())
}

fn tidy(walk: &mut Walk<'_>, keys: &[String; 3]) -> Result<()> {
    let [a, b, c] = keys;
    walk.call(&["DEL", a, b, c])?;
    walk.call(&FLUSH)?;
    for key in keys {
        ensure!(walk.in_database(key, "seat")?.is_none(), "{key} was not taken away again");
    }
    Ok(())
}
