//! `landfall setup`: creates Landfall's own tables, or loads a sample; it never touches a table that is there already,
//! and prints SQL without looking at any database.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
#[cfg(feature = "postgres")]
use landfall::sink::postgres::PostgresSettings;

use super::serve::make_folder_for_default;
use super::{Context, print};
use crate::config::{DatabaseUrl, Effective};
use crate::database;
use crate::failure::{FINDING, Failure, OK, UNAVAILABLE};
use crate::sample::Progress;
use crate::sample::airport::{Airport, DEFAULT_SEED, Scale};
#[cfg(feature = "postgres")]
use crate::sample::postgres::{self, load_postgres};
use crate::sample::sqlite::{FileError, LoadError, load_file};

/// Whoever waits longer than this wants to see how far it is.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);

/// Create Landfall's own tables in the database, or load a sample database
///
/// `serve` creates its tables by itself where it may; this command is for databases where somebody else has to do it.
#[derive(Args)]
#[command(after_help = "Example: landfall setup --sample airport --database sqlite:airport.db")]
pub(super) struct Setup {
    /// Print the SQL instead, for somebody who may run it
    #[arg(long, conflicts_with = "sample")]
    print: bool,
    /// Load this sample instead
    #[arg(long, value_name = "NAME")]
    sample: Option<Sample>,
    /// How large the sample is: tiny, small, large, or a number of days
    #[arg(long, default_value = "tiny", requires = "sample", value_name = "SCALE")]
    scale: Scale,
}

#[derive(Clone, Copy, ValueEnum)]
enum Sample {
    /// An airport: flights, bookings, weather
    Airport,
}

impl Setup {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        let settings = context.settings()?;
        if self.print {
            print(&database::set_up_script(&settings.database))?;
            return Ok(OK);
        }
        make_folder_for_default(&settings.database, &settings.settings.data_dir)?;
        match (self.sample, &settings.database) {
            (Some(Sample::Airport), DatabaseUrl::Sqlite(path)) => self.load(context, &settings, path),
            #[cfg(feature = "postgres")]
            (Some(Sample::Airport), DatabaseUrl::Postgres(place)) => self.load_postgres(context, place),
            (None, url) => set_up(context, url),
        }
    }

    fn load(&self, context: &Context, settings: &Effective, path: &Path) -> Result<u8> {
        let shown = self.shown(context, |airport, progress| {
            load_file(path, airport, progress).map_err(|error| failure(path, &error))
        })?;
        let place = path.display();
        // The usual data directory may belong to another database already.
        let serve = match path.parent() == Some(&*settings.settings.data_dir) {
            true => format!("landfall serve --data-dir {}", settings.settings.data_dir.display()),
            false => {
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                let data_dir = path.with_file_name(format!("{name}-data"));
                format!("landfall serve --database sqlite:{place} --data-dir {}", data_dir.display())
            }
        };
        shown.tell(context, &serve)
    }

    #[cfg(feature = "postgres")]
    fn load_postgres(&self, context: &Context, place: &PostgresSettings) -> Result<u8> {
        let mut loader =
            database::loader(place).map_err(|error| Failure::new(UNAVAILABLE, error.to_string()))?;
        let shown = self.shown(context, |airport, progress| {
            load_postgres(&mut loader, airport, progress).map_err(|error| {
                let code = match &error {
                    postgres::LoadError::TablesExist { .. } => FINDING,
                    postgres::LoadError::Database { .. } => UNAVAILABLE,
                };
                Failure::new(code, format!("{place}: {error}{}", causes(&error)))
            })
        })?;
        // Without the parameters of the URL, which may name where a password is.
        shown.tell(context, &format!("landfall serve --database '{place}' (and the parameters of its URL)"))
    }

    /// Loads the sample, with a bar if it takes long.
    fn shown(
        &self,
        context: &Context,
        load: impl FnOnce(&Airport, &mut dyn FnMut(Progress)) -> Result<(), Failure>,
    ) -> Result<Shown> {
        let airport = Airport::new(self.scale, DEFAULT_SEED);
        let mut shown = Shown { bar: None, since: Instant::now(), rows: 0, table: "" };
        let visible = std::io::stderr().is_terminal() && !context.global.quiet;
        let loaded = load(&airport, &mut |progress| shown.update(progress, visible));
        if let Some(bar) = shown.bar.take() {
            bar.finish_and_clear();
        }
        loaded?;
        Ok(shown)
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(error.source(), |error| error.source());
    chain.map(|cause| format!(": {cause}")).collect()
}

fn failure(path: &Path, error: &FileError) -> Failure {
    let code = match error {
        FileError::Load(LoadError::TablesExist { .. }) => FINDING,
        _ => UNAVAILABLE,
    };
    Failure::new(code, format!("sqlite:{}: {error}{}", path.display(), causes(error)))
}

fn set_up(context: &Context, url: &DatabaseUrl) -> Result<u8> {
    let database = database::open(url, false);
    let done = database.and_then(|database| database.set_up().map(|()| database.describe()));
    let place = done.map_err(|error| Failure::new(UNAVAILABLE, error.to_string()))?;
    if !context.global.quiet {
        print(&format!("{place} has Landfall's own tables\n"))?;
    }
    Ok(OK)
}

/// The bar, once the work takes long enough to deserve one.
struct Shown {
    bar: Option<ProgressBar>,
    since: Instant,
    rows: u64,
    table: &'static str,
}

impl Shown {
    /// Says what there is now, and how to serve it.
    fn tell(&self, context: &Context, serve: &str) -> Result<u8> {
        if !context.global.quiet {
            let (rows, seconds) = (self.rows, self.since.elapsed().as_secs_f64());
            print(&format!("{rows} rows in 13 tables, in {seconds:.1} s\nServe them with: {serve}\n"))?;
        }
        Ok(OK)
    }

    fn update(&mut self, progress: Progress, visible: bool) {
        if progress.rows_done == progress.rows_total && self.table != progress.table {
            self.rows += progress.rows_total;
            self.table = progress.table;
        }
        if !visible || self.since.elapsed() < PROGRESS_AFTER {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{msg:18} {bar:30} {human_pos} of {human_len} rows");
            ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        bar.set_length(progress.rows_total);
        bar.set_position(progress.rows_done);
        bar.set_message(progress.table);
    }
}
