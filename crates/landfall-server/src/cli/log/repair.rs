//! `landfall log repair`: says what a repair of a damaged log would keep and lose, and does it with --apply.
//! It never gives up a write that has not landed without --declare-loss.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use landfall::buffer::log::local::{LocalLog, LocalLogSettings, Permission, Repair as Repaired};
use landfall::env;
use landfall::model::LaneId;
use serde_json::json;

use super::{
    Output, Progress, Which, damage_json, damage_line, failure, lost_json, lost_line, unsure_json,
    unsure_lines,
};
use crate::cli::Context;
use crate::cli::serve::check_database_exists;
use crate::config::DatabaseUrl;
use crate::database;
use crate::failure::{FINDING, Failure, OK, UNAVAILABLE};
use crate::wrap::counted;

/// Make a damaged log one that the server accepts again
///
/// Without --apply nothing is changed: it says what would be kept and what would be lost. The server must not be running,
/// and the database is needed: its watermarks tell what has landed, and of that nothing can be lost. What is whole and has
/// not landed goes into a new segment; the bytes that are cut are kept in the folder quarantine. When acknowledged writes
/// are gone that had not landed, they are listed, and --declare-loss is needed as well; the loss is noted beside the log,
/// and the next start reports it. Ends with 0 when there is nothing to do or it was done, else with 1.
#[derive(Args)]
#[command(after_help = "Example: landfall log repair landfall-data --database sqlite:app.db --apply")]
pub(super) struct Repair {
    #[command(flatten)]
    which: Which,
    /// Do it
    #[arg(long)]
    apply: bool,
    /// Give up the writes that are listed as lost
    #[arg(long, requires = "apply")]
    declare_loss: bool,
}

impl Repair {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        let effective = self.which.resolve(context)?;
        let (settings, url) = (effective.settings, effective.database);
        check_database_exists(&url, &settings.data_dir, "")?;
        let mut lanes =
            database::lanes(&url).map_err(|error| Failure::new(UNAVAILABLE, error.to_string()))?;
        let permission = match (self.apply, self.declare_loss) {
            (false, _) => Permission::DryRun,
            (true, false) => Permission::LoseNothing,
            (true, true) => Permission::DeclareLoss,
        };
        let mut progress = Progress::new(context);
        let repaired = LocalLog::repair(
            &env::real(),
            &settings.data_dir,
            &LocalLogSettings::from(&settings),
            permission,
            &mut |lane: LaneId| lanes(lane).map_err(|error| error.to_string()),
            &mut |done, total| progress.update(done, total),
        );
        drop(progress);
        let repaired = repaired.map_err(|error| failure(&error))?;
        let mut out = Output::new();
        if context.global.json {
            out.line(&document(&repaired).to_string());
        } else {
            self.show(&mut out, &settings.data_dir, &url, &repaired);
        }
        out.finish()?;
        Ok(if repaired.whole || repaired.done { OK } else { FINDING })
    }

    fn show(&self, out: &mut Output, data_dir: &Path, database: &DatabaseUrl, repaired: &Repaired) {
        let dir = data_dir.display();
        if repaired.whole {
            return out.line(&format!("{dir}: the log is whole, there is nothing to repair"));
        }
        let (would, is) = if repaired.done { ("", "is") } else { ("would be ", "would be") };
        if let Some(refusal) = &repaired.refusal {
            out.line(&format!("  refused   {refusal}"));
        }
        repaired
            .survey
            .damage
            .iter()
            .for_each(|damage| out.line(&format!("  cut       {}", damage_line(damage))));
        repaired
            .notes
            .iter()
            .for_each(|note| out.line(&format!("  note      {}: cannot be read", note.display())));
        for lost in &repaired.landed {
            out.line(&format!("  landed    {}; they are in the database, nothing is lost", lost_line(lost)));
        }
        repaired.lost.iter().for_each(|lost| out.line(&format!("  LOST      {}", lost_line(lost))));
        unsure_lines(&repaired.survey, 12).iter().for_each(|ends| out.line(&format!("  LOST?     {ends}")));
        let (owed, landed) = (repaired.kept_records, repaired.landed_records);
        out.line(&format!("  {} not landed: {would}kept", counted(owed, "record")));
        out.line(&format!(
            "  {} landed: {would}left out; the log {is} short of what a database needs that goes back",
            counted(landed, "record")
        ));
        repaired.quarantined.iter().for_each(|path| out.line(&format!("  kept      {}", path.display())));
        // The same command again has to find the same database.
        let of = if database.file().is_some_and(|file| file.parent() == Some(data_dir)) {
            String::new()
        } else {
            format!(" --database {database}")
        };
        let again = format!("landfall log repair {dir}{of}");
        out.line(&match (repaired.done, repaired.loses(), self.apply) {
            (true, false, _) => format!("{dir}: repaired, and no write that was acknowledged is lost"),
            (true, true, _) => format!("{dir}: repaired; the loss is noted beside the log, and the next start reports it"),
            (false, true, true) => format!(
                "{dir}: NOT repaired: the writes listed as LOST (or LOST?, perhaps) were acknowledged and never landed. Restore the file from a copy of the disk; or give them up: {again} --apply --declare-loss"
            ),
            (false, true, false) => format!(
                "{dir}: nothing was changed. Restore the file from a copy of the disk; or give the writes listed as LOST (or LOST?, perhaps) up: {again} --apply --declare-loss"
            ),
            (false, false, _) => {
                format!("{dir}: nothing was changed. To do it: {again} --apply")
            }
        });
    }
}

fn document(repaired: &Repaired) -> serde_json::Value {
    json!({
        "whole": repaired.whole,
        "done": repaired.done,
        "reason": repaired.refusal,
        "damage": repaired.survey.damage.iter().map(damage_json).collect::<Vec<_>>(),
        "notes": repaired.notes,
        "kept_records": repaired.kept_records,
        "landed_records": repaired.landed_records,
        "landed": lost_json(&repaired.landed),
        "lost": lost_json(&repaired.lost),
        "unsure": unsure_json(&repaired.survey),
        "quarantined": repaired.quarantined,
    })
}
