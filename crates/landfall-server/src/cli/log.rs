//! `landfall log check`: reads the log of a server that is not running and says whether it is whole; it changes nothing.

use anyhow::Result;
use clap::{Args, Subcommand};
use landfall::buffer::log::local::{LocalLog, LocalLogSettings};
use landfall::env;
use landfall::error::LogError;

use super::flags::{ServeSettings, SettingFlags};
use super::{Context, print};
use crate::failure::{FINDING, Failure, OK, UNAVAILABLE};

/// Look at the log on disk
#[derive(Args)]
#[command(after_help = "Example: landfall log check --data-dir landfall-data")]
pub(super) struct LogCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Verify every record of the log; ends with 1 when it is damaged
    ///
    /// The server must not be running. Nothing is changed: a damaged log stays as it is, for whoever repairs it.
    #[command(after_help = "Example: landfall log check --data-dir landfall-data")]
    Check {
        #[command(flatten)]
        settings: SettingFlags<ServeSettings>,
    },
}

impl LogCommand {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        let Action::Check { settings } = &self.action;
        let settings = context.resolve(settings.given())?.effective.settings;
        let dir = settings.data_dir.display().to_string();
        match LocalLog::check(&env::real(), &settings.data_dir, &LocalLogSettings::from(&settings)) {
            Ok(found) => {
                let torn = match found.torn_bytes {
                    0 => String::new(),
                    bytes => format!(
                        ", and {bytes} bytes behind the last whole record, which were never acknowledged as durable"
                    ),
                };
                print(&format!(
                    "{dir}: whole; log {}, opened {} times, {} segments, {} records{torn}\n",
                    found.meta.lineage, found.meta.boot, found.segments, found.records
                ))?;
                Ok(OK)
            }
            Err(error @ (LogError::Damaged { .. } | LogError::Format { .. })) => {
                print(&format!("{error}\n"))?;
                Ok(FINDING)
            }
            Err(error) => Err(Failure::new(UNAVAILABLE, error.to_string()).into()),
        }
    }
}
