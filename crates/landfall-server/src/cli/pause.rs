//! `landfall pause` and `landfall resume`: landing stops or goes on; neither ever loses or refuses a write by itself.

use anyhow::Result;
use clap::Args;

use super::{Context, print};
use crate::failure::{Failure, OK};

/// Stop landing; writes go on and wait in the log, up to the bounds
///
/// For maintenance of the database. Everything lands after `landfall resume`. A restart of the server ends a pause.
#[derive(Args)]
#[command(after_help = "Example: landfall pause")]
pub(super) struct Pause {
    /// The landing group, as `landfall status` names it [default: all]
    group: Option<String>,
}

/// Land again after a pause, or after a group was held
///
/// A group that is held because most of it is refused tries again at once, and what is still refused then becomes dead
/// letters. Name the group that is meant, or all that are held do so.
#[derive(Args)]
#[command(after_help = "Example: landfall resume")]
pub(super) struct Resume {
    /// The landing group, as `landfall status` names it [default: all]
    group: Option<String>,
}

impl Pause {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        send(
            context,
            "LANDFALL.PAUSE",
            self.group.as_deref(),
            "landing is paused; go on with: landfall resume",
        )
    }
}

impl Resume {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        send(context, "LANDFALL.RESUME", self.group.as_deref(), "landing goes on")
    }
}

fn send(context: &Context, command: &str, group: Option<&str>, done: &str) -> Result<u8> {
    let mut args = vec![command];
    args.extend(group);
    context.connect()?.expect_ok(&args).map_err(Failure::from)?;
    if !context.global.quiet {
        print(&format!("{}: {done}\n", group.unwrap_or("all groups")))?;
    }
    Ok(OK)
}
