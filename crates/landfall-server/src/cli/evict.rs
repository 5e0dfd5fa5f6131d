//! `landfall evict`: lets clean rows go from the cache; what has not landed is never touched.

use anyhow::Result;
use clap::Args;

use super::{Context, print};
use crate::failure::{Failure, OK};

/// Let rows go from the cache, so that the next read takes them from the database
///
/// For rows that another program has changed. A row that waits to land stays.
#[derive(Args)]
#[command(after_help = "Example: landfall evict flight:115")]
pub(super) struct Evict {
    /// The keys [default: everything that is clean]
    keys: Vec<String>,
}

impl Evict {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        let mut args = vec!["LANDFALL.EVICT"];
        args.extend(self.keys.iter().map(String::as_str));
        let rows = context.connect()?.integer(&args).map_err(Failure::from)?;
        if context.global.json {
            print(&format!("{{\"evicted\":{rows}}}\n"))?;
        } else if !context.global.quiet {
            print(&format!("{rows} {} let go\n", if rows == 1 { "row" } else { "rows" }))?;
        }
        Ok(OK)
    }
}
