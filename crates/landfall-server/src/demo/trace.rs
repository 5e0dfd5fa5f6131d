//! `landfall demo --trace`: one key's way through cache, queue and database, a line for each thing that happens.
//! What stands in a line is what the server answered, never what it should have answered.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use landfall_resp::Value;
use owo_colors::Style;

use super::screen::Screen;
use super::stage::Stage;
use crate::client::Client;
use crate::failure::Failure;

const KEY: &str = "user:1:name";
/// How long the cache may take to notice what has landed.
const CLEAN_TIMEOUT: Duration = Duration::from_secs(5);

/// One line: what is done, and what must be so afterwards.
struct Line {
    action: &'static [&'static str],
    shown: &'static str,
    cache: &'static str,
    queue: u64,
    database: &'static str,
    output: &'static str,
}

const LINES: [Line; 7] = [
    Line {
        action: &["GET", KEY],
        shown: "GET user:1:name",
        cache: "nothing",
        queue: 0,
        database: "-",
        output: "(nil)",
    },
    Line {
        action: &["SET", KEY, "Alice"],
        shown: "SET user:1:name \"Alice\"",
        cache: "newest, dirty",
        queue: 1,
        database: "-",
        output: "OK",
    },
    Line {
        action: &["GET", KEY],
        shown: "GET user:1:name",
        cache: "newest, dirty",
        queue: 1,
        database: "-",
        output: "\"Alice\"",
    },
    Line {
        action: &["LANDFALL.FLUSH", "10000"],
        shown: "(the lander lands it)",
        cache: "newest, clean",
        queue: 0,
        database: "Alice",
        output: "OK",
    },
    Line {
        action: &["GET", KEY],
        shown: "GET user:1:name",
        cache: "newest, clean",
        queue: 0,
        database: "Alice",
        output: "\"Alice\"",
    },
    Line {
        action: &["LANDFALL.EVICT", KEY],
        shown: "(the cache lets it go)",
        cache: "nothing",
        queue: 0,
        database: "Alice",
        output: "1",
    },
    Line {
        action: &["GET", KEY],
        shown: "GET user:1:name",
        cache: "newest, clean",
        queue: 0,
        database: "Alice",
        output: "\"Alice\"",
    },
];

pub(super) fn run(stage: &Stage, screen: &mut Screen) -> Result<()> {
    let (address, _) = stage.start()?;
    let mut client = stage.connect(&address)?;
    // Landing waits for its line; everything else is as always.
    client.expect_ok(&["LANDFALL.PAUSE"]).map_err(Failure::from)?;
    screen.styled("One key on its way: cache, queue, database", Style::new().bold())?;
    screen.blank()?;
    screen.line(&format!(
        "{:<5}{:<25}{:<15}{:<11}{:<10}Output",
        "Step", "Action", "Cache", "Queue", "Database"
    ))?;
    let mut failed = Vec::new();
    for (index, line) in LINES.iter().enumerate() {
        if line.action[0] == "LANDFALL.FLUSH" {
            client.expect_ok(&["LANDFALL.RESUME"]).map_err(Failure::from)?;
        }
        let reply = client.value(line.action).map_err(Failure::from)?;
        if line.action[0] == "LANDFALL.FLUSH" {
            wait_until_clean(&mut client)?;
        }
        let (cache, queue, database) = state(&mut client)?;
        let output = show(&reply);
        screen.line(&format!(
            "{:<5}{:<25}{cache:<15}{:<11}{database:<10}{output}",
            index + 1,
            line.shown,
            format!("{queue} pending")
        ))?;
        let is_so = (cache.as_str(), queue, database.as_str(), output.as_str());
        if is_so != (line.cache, line.queue, line.database, line.output) {
            failed.push(index + 1);
        }
    }
    screen.blank()?;
    screen.check(failed.is_empty(), "every step left cache, queue and database as it should")?;
    for step in failed {
        let line = &LINES[step - 1];
        screen.line(&format!(
            "    step {step}: expected {}, {}, {}, {}",
            line.cache, line.queue, line.database, line.output
        ))?;
    }
    Ok(())
}

/// FLUSH answers when the database has committed; the cache unpins the rows a moment later, and only then lets them go.
fn wait_until_clean(client: &mut Client) -> Result<()> {
    let begun = Instant::now();
    loop {
        let (_, status) = client.document(&["LANDFALL.STATUS"]).map_err(Failure::from)?;
        if status["cache"]["dirty_rows"] == 0 {
            return Ok(());
        }
        ensure!(begun.elapsed() < CLEAN_TIMEOUT, "the cache still calls a row dirty that has landed");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The cache's state, the number of pending changes, and what the database has.
fn state(client: &mut Client) -> Result<(String, u64, String)> {
    let (_, explained) = client.document(&["LANDFALL.EXPLAIN", KEY]).map_err(Failure::from)?;
    let (_, status) = client.document(&["LANDFALL.STATUS"]).map_err(Failure::from)?;
    let cache = &explained["cache"];
    let dirty = if cache["dirty"] == true { "dirty" } else { "clean" };
    let cache = match cache["state"].as_str() {
        Some("known") => format!("newest, {dirty}"),
        Some("known absent") => "absent".to_owned(),
        Some("absent from cache") => "nothing".to_owned(),
        other => other.unwrap_or("-").to_owned(),
    };
    let value = explained["database"]["columns"]["value"].as_str().unwrap_or("-");
    Ok((cache, status["pending"]["changes"].as_u64().unwrap_or_default(), value.to_owned()))
}

fn show(reply: &Value) -> String {
    match reply {
        Value::Null => "(nil)".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Bulk(bytes) => format!("\"{}\"", String::from_utf8_lossy(bytes)),
        other => other.as_str().unwrap_or("?").to_owned(),
    }
}
