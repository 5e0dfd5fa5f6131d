//! `landfall log check|dump|repair`: the tools for a log on disk. All but `repair --apply` only read.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use landfall::buffer::log::local::{Damage, Lost, Survey};
use landfall::error::LogError;
use serde_json::{Value as Json, json};

use super::Context;
use super::flags::{ServeSettings, SettingFlags};
use crate::config::Effective;
use crate::failure::{FINDING, Failure, UNAVAILABLE};
use crate::wrap::{counted, wrapped};

mod check;
mod dump;
mod repair;

/// Work that takes longer than this gets a bar.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);

/// Look at the log on disk: check, dump, repair
#[derive(Args)]
#[command(after_help = "Example: landfall log check landfall-data")]
pub(super) struct LogCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Check(check::Check),
    Dump(dump::Dump),
    Repair(repair::Repair),
}

impl LogCommand {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        match &self.action {
            Action::Check(check) => check.run(context),
            Action::Dump(dump) => dump.run(context),
            Action::Repair(repair) => repair.run(context),
        }
    }
}

/// Which log.
#[derive(Args)]
struct Which {
    /// The data directory [default: that of the settings]
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingFlags<ServeSettings>,
}

impl Which {
    fn resolve(&self, context: &Context) -> Result<Effective> {
        let mut given = self.settings.given().to_vec();
        if let Some(dir) = &self.dir {
            given.push(("data-dir", dir.display().to_string()));
        }
        Ok(context.resolve(&given)?.effective)
    }
}

/// A log that cannot be read is a finding; anything else is out of reach.
fn failure(error: &LogError) -> Failure {
    let code = match error {
        LogError::Damaged { .. } | LogError::Format { .. } => FINDING,
        _ => UNAVAILABLE,
    };
    Failure::new(code, error.to_string())
}

/// The bar, once the work takes long enough to deserve one.
struct Progress {
    bar: Option<ProgressBar>,
    since: Instant,
    visible: bool,
}

impl Progress {
    fn new(context: &Context) -> Progress {
        let visible = !context.global.quiet && std::io::stderr().is_terminal();
        Progress { bar: None, since: Instant::now(), visible }
    }

    fn update(&mut self, done: u64, total: u64) {
        if !self.visible || self.since.elapsed() < PROGRESS_AFTER {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("reading the log {bar:30} {percent} %");
            ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        bar.set_length(total);
        bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

fn damage_json(damage: &Damage) -> Json {
    json!({
        "file": damage.file.display().to_string(),
        "offset": damage.offset,
        "bytes": damage.bytes,
        "what": damage.what,
        "torn": damage.torn,
    })
}

fn damage_line(damage: &Damage) -> String {
    let Damage { file, offset, bytes, what, .. } = damage;
    format!("{} at offset {offset}: {bytes} bytes: {what}", file.display())
}

fn lost_json(lost: &[Lost]) -> Json {
    lost.iter().map(|lost| json!({"lane": lost.lane.0, "from": lost.from, "to": lost.to})).collect()
}

fn lost_line(lost: &Lost) -> String {
    let records = counted(lost.to - lost.from + 1, "record");
    format!("lane {} positions {} to {}: {records}", lost.lane, lost.from, lost.to)
}

fn unsure_json(survey: &Survey) -> Json {
    survey.unsure_ends().map(|(lane, last)| json!({"lane": lane.0, "behind": last})).collect()
}

/// The lanes of which more may be gone, in one sentence, for a place that is `indent` columns from the left.
fn unsure_lines(survey: &Survey, indent: usize) -> Option<String> {
    let ends = survey.unsure_ends().map(|(lane, last)| format!("lane {lane} behind position {last}"));
    let ends: Vec<String> = ends.collect();
    let why = "perhaps: what followed is damaged, and nothing later tells";
    (!ends.is_empty()).then(|| wrapped(&format!("{}; {why}", ends.join(", ")), indent))
}

/// Writes a line; what goes wrong is kept for [`Output::finish`], because the readers of a log take no errors.
struct Output {
    out: std::io::BufWriter<std::io::Stdout>,
    failed: Option<std::io::Error>,
}

impl Output {
    fn new() -> Output {
        Output { out: std::io::BufWriter::new(std::io::stdout()), failed: None }
    }

    fn line(&mut self, line: &str) {
        if self.failed.is_none() {
            self.failed = self.out.write_all(line.as_bytes()).and_then(|()| self.out.write_all(b"\n")).err();
        }
    }

    fn finish(mut self) -> Result<()> {
        match self.failed.take() {
            Some(error) => Err(error.into()),
            None => Ok(self.out.flush()?),
        }
    }
}
