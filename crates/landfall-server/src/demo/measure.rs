//! The latencies that one write or read shows by chance are measured many times here, on a flight of their own.
//! It must leave that flight with the times that it had.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::flight::{Times, key};
use super::screen::median;
use crate::client::Client;
use crate::failure::Failure;

/// How often a write is measured; even, as every second one puts the old times back.
const WRITES: usize = 20;
/// How often a hit is measured.
const HITS: usize = 200;
/// How often a miss is measured: the row is evicted before each.
const MISSES: usize = 20;
/// How long a write-through may take.
const LAND_TIMEOUT_MS: u64 = 5_000;
/// How long a change may take to land by itself.
const WINDOW_MAX: Duration = Duration::from_secs(10);

/// How long a write takes, each way.
pub(super) struct Writes {
    /// Acknowledged when it is in the log.
    pub(super) behind: Duration,
    /// Acknowledged when the database has committed it.
    pub(super) through: Duration,
    /// From the acknowledgement to the commit, with nobody asking for it.
    pub(super) window: Duration,
}

/// Measures writes with landing running.
pub(super) fn writes(client: &mut Client, flight: i64, times: &Times) -> Result<Writes> {
    let sets = [times.delayed()?.command(flight), times.command(flight)];
    let mut behind = Vec::new();
    for round in 0..WRITES {
        behind.push(timed(client, &sets[round % 2])?);
    }
    let window = window(client, flight)?;
    let mut through = Vec::new();
    for round in 0..WRITES {
        let begun = Instant::now();
        client.value(&sets[round % 2]).map_err(Failure::from)?;
        let timeout = LAND_TIMEOUT_MS.to_string();
        let landed = client.integer(&["WAIT", "1", &timeout]).map_err(Failure::from)?;
        through.push(begun.elapsed());
        ensure!(landed == 1, "a write-through did not land within {LAND_TIMEOUT_MS} ms");
    }
    Ok(Writes { behind: median(&mut behind), through: median(&mut through), window })
}

/// Waits until the last write has landed by itself. Looking does not hurry it.
fn window(client: &mut Client, flight: i64) -> Result<Duration> {
    let begun = Instant::now();
    loop {
        let (_, status) = client.document(&["LANDFALL.EXPLAIN", &key(flight)]).map_err(Failure::from)?;
        if status["pending"].as_bool() == Some(false) {
            return Ok(begun.elapsed());
        }
        ensure!(begun.elapsed() < WINDOW_MAX, "nothing lands within {} s", WINDOW_MAX.as_secs());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How long a read takes when the cache has the row.
pub(super) fn hit(client: &mut Client, flight: i64) -> Result<Duration> {
    let command = ["HGETALL".to_owned(), key(flight)];
    let mut times = Vec::new();
    for _ in 0..HITS {
        times.push(timed(client, &command)?);
    }
    Ok(median(&mut times))
}

/// How long a read takes when the database has to be asked.
pub(super) fn miss(client: &mut Client, flight: i64) -> Result<Duration> {
    let command = ["HGETALL".to_owned(), key(flight)];
    let mut times = Vec::new();
    for _ in 0..MISSES {
        client.integer(&["LANDFALL.EVICT", &key(flight)]).map_err(Failure::from)?;
        times.push(timed(client, &command)?);
    }
    Ok(median(&mut times))
}

fn timed(client: &mut Client, command: &[String]) -> Result<Duration> {
    let begun = Instant::now();
    client.value(command).map_err(Failure::from)?;
    Ok(begun.elapsed())
}
