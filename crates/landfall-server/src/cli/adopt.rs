//! `landfall adopt`: tells what it would cost to join a log and a database that do not belong together, and joins them
//! only when it is told that this is known. The server must not be running.

use std::fmt::Write;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use landfall::buffer::log::Log;
use landfall::buffer::log::local::{LocalLog, LocalLogSettings};
use landfall::engine::adopt::Survey;
use landfall::env;

use super::flags::{ServeSettings, SettingFlags};
use super::serve::check_database_exists;
use super::{Context, print};
use crate::database;
use crate::failure::{FINDING, Failure, OK, UNAVAILABLE};

/// Join a log and a database that a start refuses to join
///
/// For a data directory that was lost or restored from a copy, a database that was restored from a backup, and another
/// database, which has to be there. Without --i-know it only tells what would change and what is lost, and ends with 1 when there is something.
/// With it, every change is declared as an incident first. Stop the server before, and keep a copy of both.
#[derive(Args)]
#[command(
    after_help = "Example: landfall adopt --data-dir app-data --database sqlite:app.db\n         landfall adopt --data-dir app-data --database sqlite:app.db --i-know"
)]
pub(super) struct Adopt {
    /// Do it; what is told to be lost is lost
    #[arg(long)]
    i_know: bool,
    #[command(flatten)]
    settings: SettingFlags<ServeSettings>,
}

impl Adopt {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        let effective = context.resolve(self.settings.given())?.effective;
        let (settings, url) = (&effective.settings, &effective.database);
        let or_else =
            format!(". If it is lost for good, make an empty one first: landfall setup --database {url}");
        check_database_exists(url, &settings.data_dir, &or_else)?;
        let failed = |reason: String| Failure::new(UNAVAILABLE, reason);
        let (log, _) = LocalLog::open(env::real(), &settings.data_dir, LocalLogSettings::from(settings))
            .map_err(|error| failed(error.to_string()))?;
        let log: Arc<dyn Log> = Arc::new(log);
        let database = database::open(url, false).map_err(|error| failed(error.to_string()))?;
        let survey = Survey::new(env::real(), settings, log.clone(), database)
            .map_err(|error| failed(error.to_string()))?;
        let (is_empty, told) = (survey.is_empty(), tell(&survey));
        if self.i_know && !is_empty {
            survey.carry_out().map_err(|error| failed(error.to_string()))?;
        }
        log.close().map_err(|error| failed(error.to_string()))?;
        let end = match (is_empty, self.i_know) {
            (true, _) => "log and database belong together; there is nothing to adopt\n",
            (false, true) => {
                "adopted; start the server, and acknowledge the incidents with: landfall incidents acknowledge all\n"
            }
            (false, false) => "nothing was changed; to do this, run the same command with --i-know\n",
        };
        print(&format!("{told}{end}"))?;
        Ok(if is_empty || self.i_know { OK } else { FINDING })
    }
}

fn tell(survey: &Survey) -> String {
    let mut out = String::new();
    for decision in survey.decisions() {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", decision.what);
        if let (1.., last) = decision.lost {
            let _ = writeln!(out, "    LOST HERE: positions {} to {last}", decision.lost.0);
        }
    }
    out
}
