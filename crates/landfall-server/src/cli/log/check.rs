//! `landfall log check`: says whether the log of a server that is not running is whole, and what is missing if it is not.
//! It changes nothing.

use anyhow::Result;
use clap::Args;
use landfall::buffer::log::local::{Checked, LocalLog, LocalLogSettings, Survey};
use landfall::env;
use landfall::error::LogError;
use landfall::model::Incident;
use serde_json::{Value as Json, json};

use super::{
    Output, Progress, Which, damage_json, damage_line, failure, lost_json, lost_line, unsure_json,
    unsure_lines,
};
use crate::cli::Context;
use crate::failure::{FINDING, OK};
use crate::wrap::counted;

/// Verify every record of the log; ends with 1 when it is damaged
///
/// The server must not be running. Nothing is changed. For a damaged log it lists each damaged place with file and
/// offset, and which positions of which lanes are gone; `landfall log repair` tells which of those had landed.
#[derive(Args)]
#[command(after_help = "Example: landfall log check landfall-data")]
pub(super) struct Check {
    #[command(flatten)]
    which: Which,
}

impl Check {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        let settings = self.which.resolve(context)?.settings;
        let (env, dir) = (env::real(), &settings.data_dir);
        let mut progress = Progress::new(context);
        let log_settings = LocalLogSettings::from(&settings);
        let checked =
            LocalLog::check(&env, dir, &log_settings, &mut |done, total| progress.update(done, total));
        let refused = match &checked {
            Ok(_) => None,
            Err(error @ LogError::Damaged { .. }) => Some(error.to_string()),
            Err(error) => return Err(failure(error).into()),
        };
        let survey = match LocalLog::survey(&env, dir, &mut |done, total| progress.update(done, total)) {
            Ok(survey) => survey,
            // Not even the segments tell which log this is; the refusal says what is the matter.
            Err(error) => match &checked {
                Err(refused) => return Err(failure(refused).into()),
                Ok(_) => return Err(failure(&error).into()),
            },
        };
        drop(progress);
        // A log whose META cannot be read has no incidents that could be told.
        let incidents = LocalLog::incidents(&env, dir).unwrap_or_default();
        let mut out = Output::new();
        let found = Found { dir: dir.display().to_string(), refused, survey, incidents };
        if context.global.json {
            out.line(&found.json(checked.as_ref().ok()).to_string());
        } else {
            found.show(&mut out, checked.as_ref().ok());
        }
        out.finish()?;
        Ok(if found.refused.is_some() { FINDING } else { OK })
    }
}

struct Found {
    dir: String,
    refused: Option<String>,
    survey: Survey,
    incidents: Vec<Incident>,
}

impl Found {
    fn json(&self, checked: Option<&Checked>) -> Json {
        let lanes = self.survey.lanes.iter().map(|found| {
            let name = found.name.as_ref();
            json!({
                "lane": found.lane.0,
                "group": name.map(|name| &name.group),
                "index": name.map(|name| name.index),
                "before": found.before,
                "last": found.last,
            })
        });
        let lanes: Vec<Json> = lanes.collect();
        json!({
            "dir": self.dir,
            "whole": self.refused.is_none(),
            "reason": self.refused,
            "lineage": checked.map(|checked| checked.meta.lineage.to_string()),
            "boot": checked.map(|checked| checked.meta.boot),
            "segments": self.survey.segments,
            "records": self.survey.records,
            "spilled_records": self.survey.spilled_records,
            "torn_bytes": self.survey.torn_bytes(),
            "lanes": lanes,
            "damage": self.survey.damage.iter().map(damage_json).collect::<Vec<_>>(),
            "lost": lost_json(&self.survey.lost),
            "unsure": unsure_json(&self.survey),
            "open_incidents": self.open_incidents().count(),
        })
    }

    fn show(&self, out: &mut Output, checked: Option<&Checked>) {
        let Found { dir, survey, .. } = self;
        match (&self.refused, checked) {
            (None, Some(checked)) => {
                let torn = match survey.torn_bytes() {
                    0 => String::new(),
                    bytes => format!(
                        ", and {bytes} bytes behind the last whole record, which were never acknowledged as durable"
                    ),
                };
                let spilled = match survey.spilled_records {
                    0 => String::new(),
                    records => format!(" ({records} in the spill file)"),
                };
                out.line(&format!(
                    "{dir}: whole; log {}, opened {}, {}, {}{spilled}{torn}",
                    checked.meta.lineage,
                    counted(checked.meta.boot, "time"),
                    counted(survey.segments, "segment"),
                    counted(survey.records, "record")
                ));
            }
            (refused, _) => {
                out.line(&format!("{dir}: DAMAGED"));
                out.line(&format!("  {}", refused.as_deref().unwrap_or_default()));
                survey
                    .real_damage()
                    .for_each(|damage| out.line(&format!("  damage  {}", damage_line(damage))));
                survey.lost.iter().for_each(|lost| out.line(&format!("  gone    {}", lost_line(lost))));
                unsure_lines(survey, 10).iter().for_each(|ends| out.line(&format!("  gone?   {ends}")));
                out.line(&format!(
                    "  {} in {} can be read: landfall log dump {dir}",
                    counted(survey.records, "whole record"),
                    counted(survey.segments, "segment")
                ));
                out.line(&format!(
                    "  what a repair would keep, and what had landed: landfall log repair {dir}"
                ));
            }
        }
        for incident in self.open_incidents() {
            out.line(&format!("  incident  {}: {}", incident.kind.name(), incident.what));
        }
    }

    fn open_incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.iter().filter(|incident| incident.acknowledged_ms.is_none())
    }
}
