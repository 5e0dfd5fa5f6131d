//! `landfall explain`: where a key stands on its way from the cache through the log to the database.
//! It must never change what it looks at.

use std::fmt::Write;

use anyhow::Result;
use clap::Args;
use serde_json::Value as Json;

use super::status::shortened;
use super::{Context, print};
use crate::failure::{Failure, OK};
use crate::wrap::wrapped;

/// Say where a key stands: in the cache, in the log, in the database
#[derive(Args)]
#[command(after_help = "Example: landfall explain flight:115")]
pub(super) struct Explain {
    /// The key
    key: String,
}

impl Explain {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        let mut client = context.connect()?;
        let (text, document) = client.document(&["LANDFALL.EXPLAIN", &self.key]).map_err(Failure::from)?;
        if context.global.json {
            print(&format!("{text}\n"))?;
        } else {
            print(&render(&document))?;
        }
        Ok(OK)
    }
}

/// The document for people.
fn render(document: &Json) -> String {
    let key = document["key"].as_str().unwrap_or("-");
    let table = document["table"].as_str().unwrap_or("-");
    let what = match document["is"].as_str() {
        Some("row") => format!("a row of table {table}"),
        Some("cell") => format!("one column of a row of table {table}"),
        Some("table") => return format!("{key} is a table; name a row of it, as in {table}:KEY\n"),
        _ => "a key-value key".to_owned(),
    };
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{key} is {what}");
    let _ = writeln!(out, "  cache     {}", cache(document));
    let (own, lane) = log(document);
    let _ = writeln!(out, "  log       {own}\n            {}", wrapped(&lane, 12));
    database(&mut out, &document["database"]);
    out
}

fn cache(document: &Json) -> String {
    let cache = &document["cache"];
    let state = match cache["state"].as_str() {
        Some("absent from cache") => "holds nothing; a read takes it from the database",
        Some("changes only") => "holds the newest changes, but not the rest of the row",
        Some("known absent") => "knows that it does not exist",
        Some("known") => "holds the newest value",
        Some(other) => other,
        None => "-",
    };
    let dirty = if cache["dirty"].as_bool() == Some(true) { ", which waits to land" } else { "" };
    let expires = match cache["expires_ms"].as_u64() {
        None | Some(0) => String::new(),
        Some(at) => format!("; expires at {at} (Unix milliseconds)"),
    };
    format!("{state}{dirty}{expires}")
}

/// What the log has of the key, and how far its lane is.
fn log(document: &Json) -> (String, String) {
    let position = |value: &Json| value.as_u64().map_or_else(|| "-".to_owned(), |number| number.to_string());
    let group = shortened(document["group"].as_str().unwrap_or("-"));
    let place = format!("group {group}, lane {}", position(&document["lane"]));
    let own = match (document["pending"].as_bool(), document["position"].as_u64()) {
        (Some(true), Some(at)) => format!("its last write is at position {at}, pending"),
        (Some(false), Some(at)) if at > 0 => format!("its last write was at position {at}, landed"),
        _ => "owes it nothing".to_owned(),
    };
    let durable = match document["durable"].as_bool() {
        Some(true) => ", all on disk",
        Some(false) => ", not all on disk yet",
        None => "",
    };
    let (accepted, landed) = (position(&document["log"]["accepted"]), position(&document["landed"]));
    (own, format!("{place}: accepted up to {accepted}, landed up to {landed}{durable}"))
}

fn database(out: &mut String, database: &Json) {
    let line = if let Some(error) = database["error"].as_str() {
        format!("cannot be read: {error}")
    } else {
        match database["present"].as_bool() {
            Some(true) => "has it:".to_owned(),
            Some(false) => "does not have it".to_owned(),
            None => "-".to_owned(),
        }
    };
    let _ = writeln!(out, "  database  {line}");
    if let Some(columns) = database["columns"].as_object() {
        let width = columns.keys().map(|name| name.chars().count()).max().unwrap_or(0).min(24);
        for (name, value) in columns {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = writeln!(out, "    {name:width$}  {}", value.escape_debug());
        }
    }
    if database["dead_letter"].as_bool() == Some(true) {
        let refused = "has a dead letter: the database refused a change, which reads show all the same; see: landfall dead-letters list";
        let _ = writeln!(out, "  refused   {}", wrapped(refused, 12));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_row_is_told_from_the_cache_to_the_database() {
        let shown = render(&serde_json::json!({
            "key": "flight:115", "is": "row", "table": "flight", "group": "airline", "lane": 2,
            "cache": {"state": "known", "dirty": true, "expires_ms": 0},
            "position": 7, "pending": true, "durable": true, "landed": 6, "log": {"accepted": 7},
            "database": {"present": true, "columns": {"flight_id": "115", "departure": "2025-10-01T11:19:00"}},
        }));
        assert_eq!(
            shown,
            "flight:115 is a row of table flight\n  \
             cache     holds the newest value, which waits to land\n  \
             log       its last write is at position 7, pending\n            \
             group airline, lane 2: accepted up to 7, landed up to 6, all on disk\n  \
             database  has it:\n    flight_id  115\n    departure  2025-10-01T11:19:00\n"
        );
    }

    #[test]
    fn a_database_that_is_down_is_told() {
        let shown = render(&serde_json::json!({"key": "a", "is": "key", "database": {"error": "locked"}}));
        assert!(
            shown.contains("a is a key-value key") && shown.contains("cannot be read: locked"),
            "{shown}"
        );
    }
}
