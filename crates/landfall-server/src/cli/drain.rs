//! `landfall drain`: waits until everything accepted so far has landed; it never gives anything up that has not.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::Value as Json;

use super::{Context, print};
use crate::client::ClientError;
use crate::config::text::duration;
use crate::failure::{FINDING, Failure, OK};
use crate::wrap::all_landed;

/// Land everything that is pending, now, and say whether anything is left
///
/// Ends with 0 when everything that was accepted before has landed, with 1 when something is left: what holds it up is
/// said, and it stays in the log. While landing is paused it does not wait: it says so at once. Rows that the database
/// refused are no longer in the log and not among the other rows: they are kept in the database as dead letters, and it
/// says how many there are.
#[derive(Args)]
#[command(after_help = "Example: landfall drain --timeout 10s")]
pub(super) struct Drain {
    /// How long to wait
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
    timeout: Duration,
}

impl Drain {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        let mut client = context.connect()?;
        let (_, before) = client.document(&["LANDFALL.STATUS"]).map_err(Failure::from)?;
        if let Some(reason) = paused(&before) {
            return tell(context, &before, Some(reason));
        }
        // The server answers at its own deadline; this is only for one that does not answer at all.
        client.set_timeout(self.timeout + Duration::from_secs(10));
        let timeout_ms = self.timeout.as_millis().to_string();
        let refused = match client.expect_ok(&["LANDFALL.FLUSH", &timeout_ms]) {
            Ok(()) => None,
            Err(ClientError::Refused(reason)) => Some(reason),
            Err(error) => return Err(Failure::from(error).into()),
        };
        let (_, status) = client.document(&["LANDFALL.STATUS"]).map_err(Failure::from)?;
        tell(context, &status, refused)
    }
}

/// Why waiting is of no use: what is pending belongs to groups of which one is paused.
fn paused(status: &Json) -> Option<String> {
    let owes = |group: &Json| {
        let lanes = group["lanes"].as_array().into_iter().flatten();
        lanes.into_iter().any(|lane| lane["accepted"].as_u64() > lane["landed"].as_u64())
    };
    let groups = status["groups"].as_array().into_iter().flatten();
    let held: Vec<&str> = groups
        .filter(|group| group["paused"].as_bool() == Some(true) && owes(group))
        .filter_map(|group| group["name"].as_str())
        .collect();
    (!held.is_empty())
        .then(|| format!("landing is paused ({}); go on with `landfall resume`, then drain", held.join(", ")))
}

/// Says how it ended; the exit code.
fn tell(context: &Context, status: &Json, held_up: Option<String>) -> Result<u8> {
    let left = status["pending"]["changes"].as_u64().unwrap_or(0);
    let letters = status["dead_letters"]["count"].as_u64().unwrap_or(0);
    if context.global.json {
        print(&format!(
            "{}\n",
            serde_json::json!({ "landed": held_up.is_none(), "pending": left, "dead_letters": letters, "reason": held_up })
        ))?;
    } else if let Some(reason) = &held_up {
        let are = if left == 1 { "change is" } else { "changes are" };
        eprintln!("landfall: {left} {are} left, in the log: {reason}");
    } else if !context.global.quiet {
        print(&format!("{}\n", all_landed(letters)))?;
    }
    Ok(if held_up.is_some() { FINDING } else { OK })
}
