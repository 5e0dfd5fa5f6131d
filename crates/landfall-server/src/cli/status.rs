//! `landfall status`: what is pending, for how long, what holds it up, and what can be lost.
//! A member that an older or newer server leaves out is shown as a dash, never as zero.

use std::fmt::Write;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use comfy_table::{Table, presets};
use owo_colors::OwoColorize;
use serde_json::Value as Json;

use super::{Context, print};
use crate::failure::{Failure, OK};
use crate::wrap::wrapped;

/// Say what is pending, for how long, and what holds it up
#[derive(Args)]
#[command(after_help = "Example: landfall status --json")]
pub(super) struct StatusCommand {}

impl StatusCommand {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        let mut client = context.connect()?;
        let (text, status) = client.document(&["LANDFALL.STATUS"]).map_err(Failure::from)?;
        if context.global.json {
            print(&format!("{text}\n"))?;
        } else {
            print(&render(&status, context.global.verbose, context.is_coloured()))?;
        }
        Ok(OK)
    }
}

/// The document for people.
fn render(status: &Json, verbose: bool, coloured: bool) -> String {
    let mut out = String::new();
    for alarm in alarms(status) {
        let alarm = if coloured { alarm.red().bold().to_string() } else { alarm };
        line(&mut out, &alarm);
    }
    let (listen, pid, up) = (text(&status["listen"]), number(&status["pid"]), &status["uptime_s"]);
    line(
        &mut out,
        &format!("Landfall {} on {listen}, process {pid}, up {}", text(&status["version"]), uptime(up)),
    );
    let flush = &status["flush"];
    let mode = match flush["mode"].as_str() {
        Some("time") => format!("every {} ms", number(&flush["interval_ms"])),
        Some("count") => format!("every {} changes", grouped(&flush["count"])),
        _ => format!("after {} ms or {} changes", number(&flush["interval_ms"]), grouped(&flush["count"])),
    };
    let (pending, bounds) = (&status["pending"], &status["bounds"]);
    let (cache, counts) = (&status["cache"], &status["counts"]);
    for (name, value) in [
        ("database", text(&status["database"])),
        ("log", format!("{}, fsync {}", text(&status["data_dir"]), text(&status["fsync"]))),
        ("can be lost", text(&status["loss"])),
        ("flush", mode),
        ("pending", waiting(pending, bounds)),
        ("kept landed", kept(bounds)),
        ("log files", log_files(&status["log"])),
        (
            "cache",
            format!(
                "{} rows, {} of {}; {} wait to land; {} let go",
                grouped(&cache["rows"]),
                bytes(&cache["bytes"]),
                bytes(&bounds["memory_bytes_max"]),
                grouped(&cache["dirty_rows"]),
                grouped(&cache["evicted"])
            ),
        ),
        (
            "landed",
            format!(
                "{} changes since the start; {} were accepted since then",
                grouped(&counts["landed_changes"]),
                grouped(&counts["accepted"])
            ),
        ),
        (
            "written",
            format!(
                "{} rows in {} batches; {} tried again",
                grouped(&counts["landed_rows"]),
                grouped(&counts["batches"]),
                grouped(&counts["retries"])
            ),
        ),
        ("dead letters", dead_letters(&status["dead_letters"])),
        ("loaded", format!("{} times a row from the database", grouped(&counts["loaded"]))),
        ("refused", format!("{} times a write, at a bound", grouped(&counts["refused"]))),
        ("connections", grouped(&status["connections"])),
    ] {
        line(&mut out, &format!("  {name:14}{}", wrapped(&value, 16)));
    }
    tables(&mut out, &status["tables"], verbose);
    groups(&mut out, &status["groups"], verbose);
    out
}

fn log_files(log: &Json) -> String {
    format!(
        "{} of {}, {} of them landed, {} prepared; {} spilled; index {} in memory; slowest sync {} ms",
        grouped(&log["segments"]),
        bytes(&log["disk_bytes"]),
        grouped(&log["landed_segments"]),
        number(&log["spares"]),
        bytes(&log["spilled_bytes"]),
        bytes(&log["index_bytes"]),
        grouped(&log["sync_ms_max"])
    )
}

fn waiting(pending: &Json, bounds: &Json) -> String {
    format!(
        "{} of {} changes, {} of {} of log, oldest {} ms",
        grouped(&pending["changes"]),
        grouped(&bounds["max_pending"]),
        bytes(&pending["log_bytes"]),
        bytes(&bounds["log_bytes_max"]),
        grouped(&pending["oldest_age_ms"])
    )
}

/// What of the log is kept after it has landed.
fn kept(bounds: &Json) -> String {
    format!(
        "{} s and {} at least, {} at most",
        grouped(&bounds["retention_s"]),
        bytes(&bounds["retention_bytes"]),
        bytes(&bounds["retained_bytes_max"])
    )
}

/// What somebody has to look at, most urgent first.
fn alarms(status: &Json) -> Vec<String> {
    let mut alarms = Vec::new();
    if let Some(reason) = status["poisoned"].as_str() {
        alarms.push(format!("THE LOG CANNOT BE WRITTEN, nothing more is accepted: {reason}"));
    }
    match status["incidents_open"].as_u64() {
        None | Some(0) => {}
        Some(open) => {
            alarms.push(format!("{open} INCIDENTS ARE OPEN; see them with: landfall incidents list"))
        }
    }
    let connection = &status["connection"];
    if let Some(error) = connection["error"].as_str() {
        alarms.push(format!("LANDING WAITS, attempt {}: {error}", number(&connection["attempts"])));
    }
    for warning in status["warnings"].as_array().into_iter().flatten() {
        alarms.push(format!("LESS SAFE THAN IT SEEMS: {}", text(warning)));
    }
    for trouble in status["troubles"].as_array().into_iter().flatten() {
        alarms.push(format!("THE LOG NEEDS A LOOK: {}", text(trouble)));
    }
    if status["dead_letters"]["count"].as_u64().is_some_and(|count| count > 0) {
        alarms.push(format!(
            "DEAD LETTERS: {}; see: landfall dead-letters list",
            dead_letters(&status["dead_letters"])
        ));
    }
    for group in status["groups"].as_array().into_iter().flatten() {
        if let Some(error) = group["error"].as_str() {
            alarms.push(format!("GROUP {} DOES NOT LAND: {error}", text(&group["name"])));
        }
    }
    let groups: Vec<&Json> = status["groups"].as_array().into_iter().flatten().collect();
    let paused: Vec<&Json> =
        groups.iter().copied().filter(|group| group["paused"].as_bool() == Some(true)).collect();
    if !paused.is_empty() {
        let which = if paused.len() == groups.len() {
            "all groups".to_owned()
        } else {
            paused.iter().map(|group| text(&group["name"])).collect::<Vec<_>>().join(", ")
        };
        alarms.push(format!("LANDING IS PAUSED ({which}); go on with: landfall resume"));
    }
    alarms
}

fn dead_letters(letters: &Json) -> String {
    match letters["count"].as_u64() {
        Some(0) => "none".to_owned(),
        _ => format!(
            "{} of {}, {} of {}, oldest {} ms",
            grouped(&letters["count"]),
            grouped(&letters["count_max"]),
            bytes(&letters["bytes"]),
            bytes(&letters["bytes_max"]),
            grouped(&letters["oldest_age_ms"])
        ),
    }
}

fn tables(out: &mut String, tables: &Json, verbose: bool) {
    let mapped: Vec<&str> =
        tables["mapped"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let shown = match mapped.len() {
        0 => "none; every key is a key-value key".to_owned(),
        count if count > 8 && !verbose => format!("{}, and {} more (-v)", mapped[..6].join(", "), count - 6),
        _ => mapped.join(", "),
    };
    line(out, &format!("  {:14}{}", "tables", wrapped(&shown, 16)));
    for table in tables["unmapped"].as_array().into_iter().flatten() {
        let why = format!("{}: {}", text(&table["table"]), text(&table["reason"]));
        line(out, &format!("  {:14}{}", "not mapped", wrapped(&why, 16)));
    }
}

fn groups(out: &mut String, groups: &Json, verbose: bool) {
    let Some(groups) = groups.as_array().filter(|groups| !groups.is_empty()) else { return };
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["group", "phase", "lanes", "accepted", "landed", "attempts"]);
    for group in groups {
        let lanes: Vec<&Json> = group["lanes"].as_array().into_iter().flatten().collect();
        let sum = |name: &str| lanes.iter().map(|lane| lane[name].as_u64().unwrap_or(0)).sum::<u64>();
        let name = text(&group["name"]);
        let name = if verbose { name } else { shortened(&name) };
        table.add_row([
            name,
            text(&group["phase"]),
            lanes.len().to_string(),
            grouped(&sum("accepted").into()),
            grouped(&sum("landed").into()),
            number(&group["attempts"]),
        ]);
    }
    line(out, "");
    for row in table.lines() {
        line(out, row.trim_end());
    }
}

/// Foreign keys can join half a database into one group, and its name lists all tables.
pub(super) fn shortened(name: &str) -> String {
    let tables: Vec<&str> = name.split('+').collect();
    match tables.as_slice() {
        [first, second, rest @ ..] if rest.len() > 1 => format!("{first}+{second}+ {} more", rest.len()),
        _ => name.to_owned(),
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

fn number(value: &Json) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), |number| number.to_string())
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(value: &Json) -> String {
    let digits = number(value);
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn bytes(value: &Json) -> String {
    let Some(bytes) = value.as_u64() else { return "-".to_owned() };
    for (unit, factor) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= factor {
            return format!("{:.1} {unit}", bytes as f64 / factor as f64);
        }
    }
    format!("{bytes} B")
}

fn uptime(value: &Json) -> String {
    let Some(seconds) = value.as_u64() else { return "-".to_owned() };
    let time = Duration::from_secs(seconds).as_secs();
    let (days, hours, minutes) = (time / 86_400, time / 3_600 % 24, time / 60 % 60);
    let mut out = String::new();
    for (number, unit) in [(days, "d"), (hours, "h"), (minutes, "m")] {
        if number > 0 {
            // Writing to a string cannot fail.
            let _ = write!(out, "{number}{unit} ");
        }
    }
    format!("{out}{}s", time % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_shows_what_holds_landing_up_first() {
        let status = serde_json::json!({
            "version": "0.1.0", "uptime_s": 3_700, "flush": {"mode": "hybrid", "interval_ms": 200, "count": 500},
            "pending": {"changes": 12_345}, "bounds": {"max_pending": 10_000_000},
            "connection": {"attempts": 3, "error": "database is locked by another process"},
            "tables": {"mapped": ["flight"], "unmapped": [{"table": "x", "reason": "no key"}]},
            "groups": [{"name": "flight", "phase": "backing off", "lanes": [{"lane": 0, "accepted": 9, "landed": 4}]}],
        });
        let shown = render(&status, false, false);
        assert!(shown.starts_with("LANDING WAITS, attempt 3: database is locked"), "{shown}");
        for part in [
            "12,345 of 10,000,000 changes",
            "up 1h 1m 40s",
            "200 ms or 500 changes",
            "x: no key",
            "backing off",
        ] {
            assert!(shown.contains(part), "{part} is missing in\n{shown}");
        }
    }

    #[test]
    fn what_is_not_told_is_a_dash() {
        let shown = render(&serde_json::json!({}), false, false);
        assert!(shown.contains("- of - changes"), "{shown}");
    }
}
