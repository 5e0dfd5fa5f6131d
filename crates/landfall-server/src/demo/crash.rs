//! Step 9: the server is killed in the middle of a load, and every acknowledged write is looked for.
//! Counting is by sums: a write that is applied twice shows just as one that is lost.

use anyhow::{Context, Result, ensure};

use super::screen::millis;
use super::walk::Walk;
use crate::failure::Failure;

/// Keys written before the kill.
const KEYS: usize = 200;
/// Increments of one column before the kill, between the keys.
const INCREMENTS: i64 = 50;

pub(super) fn run(walk: &mut Walk<'_>) -> Result<()> {
    walk.heading(9, "What others lose: kill -9 in the middle of a load")?;
    let airplane = walk.airplane()?;
    walk.stage.sample(|sample| Ok(sample.remember_airplane(airplane)?))?;
    let row = format!("airplane:{airplane}");
    let seats = seats(walk, &row)?.context("the airplane has no capacity")?;
    let before = walk.status()?["counts"]["landed_changes"].as_u64().unwrap_or_default();
    let acknowledged = write(walk, &row)?;
    let status = walk.status()?;
    let waiting = status["pending"]["changes"].as_u64().unwrap_or_default();
    let landed = status["counts"]["landed_changes"].as_u64().unwrap_or_default() - before;
    walk.stage.kill()?;
    walk.screen.field(
        "Acknowledged:",
        &format!("{acknowledged} writes, {landed} landed, {waiting} only in the log"),
    )?;
    walk.screen.field("Killed:", "the server, with signal 9")?;
    walk.screen.line(&format!(
        "  A cache with its queue in memory would have lost {waiting} acknowledged writes."
    ))?;

    let (address, started) = walk.stage.start()?;
    walk.client = walk.stage.connect(&address)?;
    walk.screen.field("Restarted:", &format!("in {}", millis(started)))?;
    let shown = keys_shown(walk)?;
    let seen: i64 =
        walk.client.text(&["HGET", &row, "capacity"]).map_err(Failure::from)?.unwrap_or_default().parse()?;
    walk.screen.field("Cache:", &format!("{shown} of {KEYS} keys; seats {seats} + {}", seen - seats))?;
    walk.screen.check(shown == KEYS, &format!("nothing lost: all {KEYS} keys are back"))?;
    walk.screen.check(
        seen == seats + INCREMENTS,
        &format!("nothing twice: {INCREMENTS} increments count once each"),
    )?;

    walk.call(&["LANDFALL.FLUSH", "10000"])?;
    let stored = keys_stored(walk)?;
    let written = self::seats(walk, &row)?.unwrap_or_default();
    walk.screen
        .field("Database:", &format!("{stored} of {KEYS} keys; seats {seats} + {}", written - seats))?;
    let is_whole = stored == KEYS && written == seats + INCREMENTS;
    walk.screen.check(is_whole, "the database has the same, each write once")?;
    tidy(walk, &row, seats)
}

/// Writes keys, with an increment after every few of them; returns how many writes were acknowledged.
fn write(walk: &mut Walk<'_>, row: &str) -> Result<usize> {
    let every = KEYS / INCREMENTS as usize;
    let mut acknowledged = 0;
    for number in 0..KEYS {
        walk.client.expect_ok(&["SET", &key(number), &value(number)]).map_err(Failure::from)?;
        acknowledged += 1;
        if number % every == 0 {
            walk.client.integer(&["HINCRBY", row, "capacity", "1"]).map_err(Failure::from)?;
            acknowledged += 1;
        }
    }
    walk.screen.detail(
        "cache",
        &format!("SET demo:seat:0 .. demo:seat:{}, and HINCRBY {row} capacity 1", KEYS - 1),
    )?;
    Ok(acknowledged)
}

fn key(number: usize) -> String {
    format!("demo:seat:{number}")
}

fn value(number: usize) -> String {
    format!("held by passenger {}", number * 7 + 1)
}

fn keys_shown(walk: &mut Walk<'_>) -> Result<usize> {
    let mut shown = 0;
    for number in 0..KEYS {
        let found = walk.client.text(&["GET", &key(number)]).map_err(Failure::from)?;
        shown += usize::from(found == Some(value(number)));
    }
    Ok(shown)
}

fn keys_stored(walk: &mut Walk<'_>) -> Result<usize> {
    let mut stored = 0;
    for number in 0..KEYS {
        let found = walk.in_database(&key(number), "value")?;
        stored += usize::from(found == Some(value(number)));
    }
    Ok(stored)
}

/// The seats of an airplane, as the database has them.
fn seats(walk: &mut Walk<'_>, row: &str) -> Result<Option<i64>> {
    let text = walk.in_database(row, "capacity")?;
    text.map(|text| text.parse().context("the capacity is no number")).transpose()
}

/// Takes the keys away again and gives the airplane its seats back.
fn tidy(walk: &mut Walk<'_>, row: &str, seats: i64) -> Result<()> {
    let mut delete = vec!["DEL".to_owned()];
    delete.extend((0..KEYS).map(key));
    walk.client.value(&delete).map_err(Failure::from)?;
    walk.call(&["HSET", row, "capacity", &seats.to_string()])?;
    walk.call(&["LANDFALL.FLUSH", "10000"])?;
    let left = self::seats(walk, row)?;
    ensure!(left == Some(seats), "the airplane did not get its seats back");
    Ok(())
}
