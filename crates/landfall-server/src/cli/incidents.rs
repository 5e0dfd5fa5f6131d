//! `landfall incidents`: what a person has to know of, and saying that it is known; acknowledging never changes a row.

use std::fmt::Write;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::Value as Json;

use super::{Context, print};
use crate::failure::{FINDING, Failure, OK};
use crate::wrap::wrapped;

/// List what a person has to know of, and acknowledge it
///
/// An incident is declared when data may be gone or when Landfall cannot put something right. Until it is acknowledged
/// the server counts as not healthy. Listing ends with 1 while one is open.
#[derive(Args)]
#[command(after_help = "Example: landfall incidents list\n         landfall incidents acknowledge 3fa9")]
pub(super) struct IncidentsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// All that are kept, oldest first
    #[command(after_help = "Example: landfall incidents list --json")]
    List,
    /// Say that incidents are known
    #[command(after_help = "Example: landfall incidents acknowledge 3fa9")]
    Acknowledge {
        /// The beginning of its id, or `all`
        id: String,
    },
}

impl IncidentsCommand {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        let mut client = context.connect()?;
        match &self.action {
            Action::List => {
                let (text, all) = client.document(&["LANDFALL.INCIDENTS"]).map_err(Failure::from)?;
                print(&if context.global.json { format!("{text}\n") } else { render(&all) })?;
                let open = all.as_array().is_some_and(|all| all.iter().any(is_open));
                Ok(if open { FINDING } else { OK })
            }
            Action::Acknowledge { id } => {
                let args = ["LANDFALL.INCIDENTS", "ACKNOWLEDGE", id];
                let count = client.integer(&args).map_err(Failure::from)?;
                if count == 0 {
                    let message = format!(
                        "no open incident has an id that begins with {id}; see: landfall incidents list"
                    );
                    return Err(Failure::new(FINDING, message).into());
                }
                if !context.global.quiet {
                    print(&format!("{count} acknowledged\n"))?;
                }
                Ok(OK)
            }
        }
    }
}

fn is_open(incident: &Json) -> bool {
    incident["acknowledged_ms"].is_null()
}

fn render(all: &Json) -> String {
    let all = all.as_array().map_or(&[][..], Vec::as_slice);
    if all.is_empty() {
        return "no incidents\n".to_owned();
    }
    let mut out = String::new();
    for incident in all {
        let text = |name: &str| incident[name].as_str().unwrap_or("-");
        let id = text("id").get(..8).unwrap_or("-");
        let state = if is_open(incident) { "OPEN" } else { "known" };
        // Writing to a string cannot fail.
        let what = wrapped(text("what"), 4);
        let _ = writeln!(out, "{id}  {state}  {}  {}\n    {what}", text("time"), text("kind"));
    }
    if all.iter().any(is_open) {
        out.push_str("Once you know what it means: landfall incidents acknowledge ID, or all\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_incident_is_shown_with_what_is_needed_to_acknowledge_it() {
        let shown = render(&serde_json::json!([
            {"id": "3fa9c0de11", "time": "2026-01-02T03:04:05Z", "kind": "diverged", "what": "lane 1: w", "acknowledged_ms": null},
            {"id": "77777777aa", "time": "t", "kind": "adopted", "what": "x", "acknowledged_ms": 5},
        ]));
        assert!(
            shown.starts_with("3fa9c0de  OPEN  2026-01-02T03:04:05Z  diverged\n    lane 1: w\n"),
            "{shown}"
        );
        assert!(shown.contains("77777777  known"), "{shown}");
        assert!(shown.ends_with("landfall incidents acknowledge ID, or all\n"), "{shown}");
        assert_eq!(render(&serde_json::json!([])), "no incidents\n");
    }
}
