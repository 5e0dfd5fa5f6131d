//! `landfall demo`: its flags; the walk-through itself is in [`crate::demo`].

use std::path::Path;

use anyhow::Result;
use clap::Args;

use super::Context;
use crate::config::{DatabaseUrl, check_buffer};
use crate::demo::{self, Options};
use crate::failure::{FINDING, Failure, USAGE, is_closed_pipe};

/// Show write-behind caching step by step, on a server of its own, with figures measured on the spot
///
/// With no flag it needs nothing installed, ends within a few seconds and leaves nothing behind. With --database
/// sqlite:FILE it uses an airport database of yours (landfall setup --sample airport) and puts it back as it was.
/// Settings from the file and from variables are for your server and do not matter here. -v shows cache commands, the
/// queue and SQL. Ends with 0 only if every check held.
#[derive(Args)]
#[command(after_help = "Example: landfall demo --flight-id 115")]
pub(super) struct DemoCommand {
    /// The flight that is delayed [default: 115]
    #[arg(long, short, value_name = "N")]
    flight_id: Option<i64>,
    /// Wait for Enter before each step, and ask which flight
    #[arg(long, short)]
    interactive: bool,
    /// Land everything that is pending and then empty the cache first; nothing is discarded
    #[arg(long)]
    flush: bool,
    /// Show what one SET and GET do to cache, queue and database, as a table
    #[arg(long, conflicts_with_all = ["interactive", "flush", "flight_id"])]
    trace: bool,
    /// No colours, as with --color never
    #[arg(long)]
    no_color: bool,
}

impl DemoCommand {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        let global = &context.global;
        for (name, given) in
            [("json", global.json), ("quiet", global.quiet), ("config", global.config.is_some())]
        {
            if given {
                let hint = "the demo is a walk for people on a server of its own, and takes no such flag";
                return Err(Failure::new(USAGE, format!("flag --{name}: {hint}")).into());
            }
        }
        let mut database = None;
        for (name, text) in global.settings.given() {
            let refused = match *name {
                "database" => match DatabaseUrl::parse(text).map(|url| url.file().map(Path::to_owned)) {
                    Ok(None) => {
                        Some("the demo walks over a SQLite file; name one, or leave it out".to_owned())
                    }
                    Ok(path) => {
                        database = path;
                        None
                    }
                    Err(error) => Some(error),
                },
                "buffer" => check_buffer(text).err(),
                _ => Some("the demo starts a server of its own, and takes no such flag".to_owned()),
            };
            if let Some(hint) = refused {
                return Err(Failure::new(USAGE, format!("flag --{name}: {hint}")).into());
            }
        }
        let ended = demo::run(&Options {
            flight: self.flight_id,
            interactive: self.interactive,
            verbose: global.verbose,
            flush: self.flush,
            database,
            trace: self.trace,
            coloured: context.is_coloured() && !self.no_color,
        });
        match ended {
            // The checks that came after what was read were not made.
            Err(error) if is_closed_pipe(&error) => Ok(FINDING),
            ended => ended,
        }
    }
}
