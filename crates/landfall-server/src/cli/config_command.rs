//! `landfall config`: checks, prints and explains the settings; it starts nothing and never shows a secret.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::flags::{ServeSettings, SettingFlags};
use super::{Context, print};
use crate::config::{self, Origin, Resolved};
use crate::failure::OK;

/// Check, print or explain the settings
#[derive(Args)]
#[command(after_help = "Example: landfall config example > landfall.toml")]
pub(super) struct ConfigCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Say everything that is wrong with the settings; ends with 78 if anything is
    #[command(after_help = "Example: landfall config check --config landfall.toml")]
    Check {
        #[command(flatten)]
        settings: SettingFlags<ServeSettings>,
    },
    /// Print the settings in effect, and where each comes from
    #[command(after_help = "Example: landfall config print --fsync everysec")]
    Print {
        #[command(flatten)]
        settings: SettingFlags<ServeSettings>,
    },
    /// Print a file with every setting, its default and the reason for it
    #[command(after_help = "Example: landfall config example > landfall.toml")]
    Example,
}

impl ConfigCommand {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        match &self.action {
            Action::Check { settings } => {
                let resolved = context.resolve(settings.given())?;
                let file = resolved.effective.config_file.as_ref();
                let place = file.map_or_else(
                    || "no settings file; flags and variables".to_owned(),
                    |path| path.display().to_string(),
                );
                if !context.global.quiet {
                    print(&format!("{place}: no problem found\n"))?;
                }
            }
            Action::Print { settings } => {
                let resolved = context.resolve(settings.given())?;
                print(&if context.global.json { json(&resolved) } else { config::print(&resolved) })?;
            }
            Action::Example => print(&config::example())?,
        }
        Ok(OK)
    }
}

fn json(resolved: &Resolved) -> String {
    let rows = resolved.rows.iter().map(|row| {
        let (origin, line) = match &row.origin {
            Origin::Default => ("default", None),
            Origin::File(line) => ("file", Some(*line)),
            Origin::Variable => ("variable", None),
            Origin::Flag => ("flag", None),
            Origin::Derived(_) => ("derived", None),
        };
        let row_json = serde_json::json!({ "value": row.value, "origin": origin, "line": line });
        (row.setting.name.to_owned(), row_json)
    });
    let tables = resolved.effective.settings.tables.iter().map(|(name, table)| {
        (name.clone(), serde_json::json!({ "audit": table.audit, "ignore": table.ignore }))
    });
    let settings: serde_json::Map<_, _> = rows.collect();
    let tables: serde_json::Map<_, _> = tables.collect();
    let file = resolved.effective.config_file.as_ref().map(|path| path.display().to_string());
    format!("{}\n", serde_json::json!({ "file": file, "settings": settings, "tables": tables }))
}
