//! The steps of the demo. Each asks the server, shows what it said, and checks it.
//! A step must never take for granted what an earlier one has shown.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use landfall_resp::Value;
use serde_json::Value as Json;

use super::flight::{Flight, Names, Times, key};
use super::screen::{Screen, millis, ratio};
use super::stage::Stage;
use super::{Options, crash, measure, poison, summary};
use crate::client::Client;
use crate::failure::{FINDING, Failure};

/// How many steps there are.
pub(super) const STEPS: usize = 10;

pub(super) const FLUSH: [&str; 2] = ["LANDFALL.FLUSH", "10000"];

/// What was measured on the way, for the summary.
#[derive(Default)]
pub(super) struct Figures {
    pub(super) hit: Duration,
    pub(super) miss: Duration,
    pub(super) write_behind: Duration,
    pub(super) write_through: Duration,
    pub(super) window: Duration,
    pub(super) flush_interval_ms: u64,
}

/// The demo under way.
pub(super) struct Walk<'w> {
    pub(super) stage: &'w Stage,
    pub(super) screen: &'w mut Screen,
    pub(super) client: Client,
    pub(super) figures: Figures,
    pub(super) flight: i64,
    /// Another flight, for measurements.
    other: i64,
}

/// Runs all steps and the summary.
pub(super) fn run(options: &Options, stage: &Stage, screen: &mut Screen) -> Result<()> {
    let (address, started) = stage.start()?;
    let client = stage.connect(&address)?;
    screen
        .styled("Landfall: writes at cache speed, rows in the database", owo_colors::Style::new().bold())?;
    screen.field("Server", &format!("{address}, process {}", stage.pid().unwrap_or_default()))?;
    screen.field("Started", &format!("in {}, log and database in place", millis(started)))?;
    let database = if stage.is_borrowed {
        format!("{} (put back at the end)", stage.database.display())
    } else {
        "SQLite, an airport with 1,000 flights made for this demo".to_owned()
    };
    screen.field("Database", &database)?;
    let figures = Figures::default();
    let (flight, other) = (options.flight(), options.flight());
    let mut walk = Walk { stage, screen, client, figures, flight, other };
    walk.say_what_can_be_lost()?;
    if options.flush {
        walk.start_empty()?;
    }
    walk.choose_flight(options)?;
    walk.read_cold()?;
    walk.read_warm()?;
    let (old, new) = walk.delay()?;
    walk.compare_while_pending(&old, &new)?;
    walk.land(&old, &new)?;
    walk.compare_landed(&new)?;
    walk.read_updated(&old, &new)?;
    walk.restore(&old)?;
    crash::run(&mut walk)?;
    poison::run(&mut walk)?;
    summary::show(&walk)
}

impl Walk<'_> {
    pub(super) fn heading(&mut self, step: usize, text: &str) -> Result<()> {
        Ok(self.screen.heading(&format!("Step {step} of {STEPS} · {text}"))?)
    }

    /// Sends a command, and shows it to who wants to see it.
    pub(super) fn call<A: AsRef<str>>(&mut self, args: &[A]) -> Result<Value> {
        let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        self.screen.detail("cache", &args.join(" "))?;
        Ok(self.client.value(&args).map_err(Failure::from)?)
    }

    pub(super) fn status(&mut self) -> Result<Json> {
        Ok(self.client.document(&["LANDFALL.STATUS"]).map_err(Failure::from)?.1)
    }

    pub(super) fn explain(&mut self, key: &str) -> Result<Json> {
        Ok(self.client.document(&["LANDFALL.EXPLAIN", key]).map_err(Failure::from)?.1)
    }

    /// What a column of a row holds in the database.
    pub(super) fn in_database(&mut self, key: &str, column: &str) -> Result<Option<String>> {
        let explained = self.explain(key)?;
        if let Some(error) = explained["database"]["error"].as_str() {
            return Err(Failure::new(FINDING, format!("the database cannot be read: {error}")).into());
        }
        Ok(explained["database"]["columns"][column].as_str().map(str::to_owned))
    }

    fn say_what_can_be_lost(&mut self) -> Result<()> {
        let status = self.status()?;
        let interval = status["flush"]["interval_ms"].as_u64().unwrap_or_default();
        self.figures.flush_interval_ms = interval;
        let count = status["flush"]["count"].as_u64().unwrap_or_default();
        let fsync = status["fsync"].as_str().unwrap_or("-");
        self.screen.field("Durability", &format!("fsync {fsync}: a write is in the log before its reply"))?;
        self.screen
            .field("Flush", &format!("after {interval} ms or {count} changes, whichever comes first"))?;
        Ok(())
    }

    /// Lands first and lets go afterwards: nothing is discarded.
    fn start_empty(&mut self) -> Result<()> {
        let pending = self.status()?["pending"]["changes"].as_u64().unwrap_or_default();
        self.call(&FLUSH)?;
        let evicted = self.call(&["LANDFALL.EVICT"])?.as_integer().unwrap_or_default();
        self.screen.field("Flushed", &format!("{pending} change(s) landed, then {evicted} row(s) let go"))?;
        let after = self.status()?;
        let is_empty = after["pending"]["changes"] == 0 && after["cache"]["rows"] == 0;
        Ok(self.screen.check(is_empty, "nothing is pending and the cache is empty")?)
    }

    fn choose_flight(&mut self, options: &Options) -> Result<()> {
        let flights = self.stage.sample(|sample| Ok(sample.flights(200)?))?;
        while self.screen.interactive {
            let some: Vec<String> =
                flights.iter().take(6).map(|(id, number)| format!("{id} {number}")).collect();
            self.screen.line(&format!("  Flights: {}, ..", some.join(", ")))?;
            let Some(answer) = self.screen.ask(&format!("Which flight? [{}] ", options.flight()))? else {
                break;
            };
            if answer.is_empty() {
                break;
            }
            let chosen = answer.parse::<i64>().ok();
            match chosen {
                // Looking past the server leaves the cache as cold as step 1 wants it.
                Some(id) if self.stage.sample(|sample| Ok(sample.has_flight(id)?))? => {
                    self.flight = id;
                    break;
                }
                _ => self.screen.line("  There is no such flight.")?,
            }
        }
        let id = self.flight;
        let other = flights.iter().map(|(other, _)| *other).find(|other| *other != id);
        self.other = other.context("the demo needs a second flight to measure with")?;
        let other = self.other;
        self.stage.sample(|sample| {
            sample.remember_flight(id)?;
            Ok(sample.remember_flight(other)?)
        })
    }

    fn read_cold(&mut self) -> Result<()> {
        self.heading(1, "Read a flight that is not in the cache")?;
        let key = key(self.flight);
        let before = self.explain(&key)?;
        let loaded = self.loaded()?;
        let begun = Instant::now();
        let flight = Flight::read(&mut self.client, self.flight)?;
        let latency = begun.elapsed();
        self.screen.detail("cache", &format!("HGETALL {key}"))?;
        self.screen.detail("sql", &select(&flight))?;
        let is_miss = before["cache"]["state"] == "absent from cache";
        self.screen.field("Cache status:", if is_miss { "✗ CACHE_MISS" } else { "✓ CACHE_HIT" })?;
        self.screen.field("Latency:", &format!("{} (the database was asked)", millis(latency)))?;
        self.show_flight(&flight, None)?;
        let after = self.explain(&key)?;
        let is_cached = after["cache"]["state"] == "known";
        let loads = self.loaded()?;
        self.screen
            .check(is_miss && is_cached && loads > loaded, "the row was loaded and is in the cache now")?;
        Ok(())
    }

    fn read_warm(&mut self) -> Result<()> {
        self.heading(2, "Read it again")?;
        let before = self.explain(&key(self.flight))?;
        let loaded = self.loaded()?;
        let id = self.flight;
        self.screen.detail("cache", &format!("HGETALL {}", key(id)))?;
        let hit = measure::hit(&mut self.client, id)?;
        let loads = self.loaded()? - loaded;
        let miss = measure::miss(&mut self.client, id)?;
        (self.figures.hit, self.figures.miss) = (hit, miss);
        let is_hit = before["cache"]["state"] == "known";
        self.screen.field("Cache status:", if is_hit { "✓ CACHE_HIT" } else { "✗ CACHE_MISS" })?;
        self.screen.field("Latency:", &format!("{} (median of 200 reads)", millis(hit)))?;
        self.screen
            .field("A miss takes:", &format!("{} (median of 20, evicted before each)", millis(miss)))?;
        self.screen.field("Speed-up:", &ratio(miss, hit))?;
        self.screen.check(is_hit && loads == 0, "200 reads, and the database was not asked once")?;
        Ok(())
    }

    /// Pauses landing, so that the state between cache and database can be looked at for as long as one likes.
    fn delay(&mut self) -> Result<(Times, Times)> {
        self.heading(3, "The flight is delayed by two hours")?;
        let other = Flight::read(&mut self.client, self.other)?;
        let writes = measure::writes(&mut self.client, other.id, &other.times()?)?;
        self.call(&["LANDFALL.PAUSE"])?;
        let old = Flight::read(&mut self.client, self.flight)?.times()?;
        let new = old.delayed()?;
        let command = new.command(self.flight);
        self.screen.detail("cache", &command.join(" "))?;
        let begun = Instant::now();
        self.client.value(&command).map_err(Failure::from)?;
        let latency = begun.elapsed();
        let rows = [("departure", &old.departure, &new.departure), ("arrival", &old.arrival, &new.arrival)];
        let rows = rows.map(|(name, old, new)| [name.to_owned(), old.clone(), new.clone()]);
        self.screen.table(["Field", "Old", "New"], &rows)?;
        self.screen.field("Acknowledged:", &format!("after {}, safe in the log", millis(latency)))?;
        let pending = self.status()?["pending"].clone();
        let changes = pending["changes"].as_u64().unwrap_or_default();
        self.screen.field("Queue status:", &format!("{changes} pending update(s)"))?;
        let bytes = pending["log_bytes"].as_u64().unwrap_or_default();
        self.screen.detail(
            "queue",
            &format!("{changes} change(s), {bytes} bytes: put {} departure, arrival", key(self.flight)),
        )?;
        let (behind, through) = (writes.behind, writes.through);
        self.screen.field(
            "Write-behind:",
            &format!("{} (median of 20 writes to flight {})", millis(behind), other.id),
        )?;
        self.screen.field(
            "Write-through:",
            &format!("{} (the same, each waiting for the commit)", millis(through)),
        )?;
        self.screen.field("Ratio:", &format!("write-behind is {} as fast", ratio(through, behind)))?;
        self.figures.write_behind = behind;
        self.figures.write_through = through;
        self.figures.window = writes.window;
        let shown = Flight::read(&mut self.client, self.flight)?.times()?;
        self.screen
            .check(changes == 1 && shown == new, "one update is pending, and a read already sees it")?;
        Ok((old, new))
    }

    fn land(&mut self, old: &Times, new: &Times) -> Result<()> {
        self.heading(5, "The queue is processed")?;
        let before = self.status()?;
        let pending = before["pending"]["changes"].as_u64().unwrap_or_default();
        let bar = self.screen.queue_bar(pending);
        self.call(&["LANDFALL.RESUME"])?;
        let begun = Instant::now();
        self.call(&FLUSH)?;
        let latency = begun.elapsed();
        let after = self.status()?;
        let grown = |name: &str| {
            let count = |status: &Json| status["counts"][name].as_u64().unwrap_or_default();
            count(&after) - count(&before)
        };
        let (landed, batches) = (grown("landed_changes"), grown("batches"));
        self.screen.end_bar(&bar, landed)?;
        self.screen.field("Processed:", &format!("{landed} update(s) in {}", millis(latency)))?;
        self.screen.line("  In one transaction:")?;
        for statement in [
            "BEGIN IMMEDIATE",
            "UPDATE landfall_lane SET position = .. WHERE .. (the watermark)",
            "SELECT .. FROM \"flight\" WHERE \"flight_id\" = ? (the old row)",
            "UPDATE \"flight\" SET \"arrival\" = ?, \"departure\" = ? WHERE ..",
            "INSERT INTO \"flight_log\" (\"departure_old\", \"departure_new\", ..)",
            "COMMIT",
        ] {
            self.screen.line(&format!("    {statement}"))?;
        }
        let id = self.flight;
        let logged = self.stage.sample(|sample| Ok(sample.newest_log_row(id)?))?;
        if let Some(row) = &logged {
            self.screen.field(
                "flight_log has:",
                &format!("departure {} → {}", row.departure_old, row.departure_new),
            )?;
            self.screen.field("", &format!("arrival   {} → {}", row.arrival_old, row.arrival_new))?;
        }
        let is_logged = logged.is_some_and(|row| {
            let old_row =
                (row.departure_old, row.arrival_old) == (old.departure.clone(), old.arrival.clone());
            old_row && (row.departure_new, row.arrival_new) == (new.departure.clone(), new.arrival.clone())
        });
        let is_one = landed == 1 && pending == 1 && batches == 1;
        self.screen
            .check(is_one && is_logged, "one update in one batch, its old and new times in flight_log")?;
        Ok(())
    }

    fn read_updated(&mut self, old: &Times, new: &Times) -> Result<()> {
        self.heading(7, "Read it once more")?;
        let before = self.explain(&key(self.flight))?;
        let begun = Instant::now();
        let flight = Flight::read(&mut self.client, self.flight)?;
        let latency = begun.elapsed();
        let is_hit = before["cache"]["state"] == "known";
        self.screen.field("Cache status:", if is_hit { "✓ CACHE_HIT" } else { "✗ CACHE_MISS" })?;
        self.screen.field("Latency:", &millis(latency))?;
        self.show_flight(&flight, Some(old))?;
        self.screen.check(is_hit && flight.times()? == *new, "a hit, with the new times")?;
        Ok(())
    }

    fn restore(&mut self, old: &Times) -> Result<()> {
        self.heading(8, "The original times are put back and landed at once")?;
        self.call(&old.command(self.flight))?;
        let begun = Instant::now();
        self.call(&FLUSH)?;
        self.screen
            .field("Landed:", &format!("in {} (LANDFALL.FLUSH does not wait)", millis(begun.elapsed())))?;
        let key = key(self.flight);
        let departure = self.in_database(&key, "departure")?;
        let arrival = self.in_database(&key, "arrival")?;
        let is_back = departure.as_ref() == Some(&old.departure) && arrival.as_ref() == Some(&old.arrival);
        let pending = self.status()?["pending"]["changes"].clone();
        self.screen
            .check(is_back && pending == 0, "the database has the original times, nothing is pending")?;
        Ok(())
    }

    fn loaded(&mut self) -> Result<u64> {
        Ok(self.status()?["counts"]["loaded"].as_u64().unwrap_or_default())
    }

    fn show_flight(&mut self, flight: &Flight, old: Option<&Times>) -> Result<()> {
        let names = Names::read(&mut self.client, flight)?;
        let times = flight.times()?;
        let mark = |old: Option<&String>, now: &String| match old {
            Some(old) if old != now => format!("{now} ← Updated"),
            _ => now.clone(),
        };
        self.screen.field("Flight ID:", &flight.id.to_string())?;
        self.screen.field("Flight No:", flight.column("flightno")?)?;
        self.screen.field("Route:", &format!("{} → {}", names.from, names.to))?;
        self.screen.field("Airline:", &names.airline)?;
        self.screen.field("Departure:", &mark(old.map(|old| &old.departure), &times.departure))?;
        self.screen.field("Arrival:", &mark(old.map(|old| &old.arrival), &times.arrival))?;
        Ok(())
    }

    /// The airplane of the flight.
    pub(super) fn airplane(&mut self) -> Result<i64> {
        let flight = Flight::read(&mut self.client, self.flight)?;
        flight.column("airplane_id")?.parse().context("the airplane of the flight is no number")
    }
}

fn select(flight: &Flight) -> String {
    format!("SELECT .. FROM \"flight\" WHERE \"flight_id\" = {}; and the lane's watermark", flight.id)
}
