//! `landfall drain`: waits until everything accepted so far has landed; it never gives anything up that has not.

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::{Context, print};
use crate::client::ClientError;
use crate::config::text::duration;
use crate::failure::{FINDING, Failure, OK};

/// Land everything that is pending, now, and say whether anything is left
///
/// Ends with 0 when everything that was accepted before has landed, with 1 when something is left: what holds it up is
/// said, and it stays in the log.
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
        // The server answers at its own deadline; this is only for one that does not answer at all.
        client.set_timeout(self.timeout + Duration::from_secs(10));
        let timeout_ms = self.timeout.as_millis().to_string();
        let refused = match client.expect_ok(&["LANDFALL.FLUSH", &timeout_ms]) {
            Ok(()) => None,
            Err(ClientError::Refused(reason)) => Some(reason),
            Err(error) => return Err(Failure::from(error).into()),
        };
        let (_, status) = client.document(&["LANDFALL.STATUS"]).map_err(Failure::from)?;
        let left = status["pending"]["changes"].as_u64().unwrap_or(0);
        if context.global.json {
            print(&format!(
                "{}\n",
                serde_json::json!({ "landed": refused.is_none(), "pending": left, "reason": refused })
            ))?;
        } else if let Some(reason) = &refused {
            let are = if left == 1 { "change is" } else { "changes are" };
            eprintln!("landfall: {left} {are} left, in the log: {reason}");
        } else if !context.global.quiet {
            print("everything has landed\n")?;
        }
        Ok(if refused.is_some() { FINDING } else { OK })
    }
}
