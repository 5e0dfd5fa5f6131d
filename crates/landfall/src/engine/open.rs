//! Opening: the log, the database, the lanes, the take-over, and what is owed, before the first command runs.
//! It refuses rather than guesses: a log and a database that do not belong together are never joined.

use std::sync::{Arc, OnceLock};

use super::Engine;
use super::cascades::Cascades;
use super::commits::Commits;
use super::core::{Core, Counts};
use super::keeper::Threads;
use super::lanes::Lanes;
use super::load::{Loads, landing_context};
use super::recover::recover;
use crate::buffer::cache::Cache;
use crate::buffer::log::{LaneName, Log, LogError};
use crate::env::Env;
use crate::env::failpoint::reach;
use crate::lander::notes::{has_database, read_landed};
use crate::lander::{self, Lander, LanderParts, LanderSettings, RETIRED};
use crate::model::{LaneId, Position, Unmapped, landing_groups};
use crate::settings::Settings;
use crate::sink::{Database, SinkError};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64};
use crate::tasks::OnFailure;

/// Why an engine did not open. The message says what to do.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path();
/// use landfall::{Landfall, OpenError, Settings};
///
/// let settings = Settings { max_pending: 0, ..Settings::in_dir(dir.join("log")) };
/// match Landfall::open_sqlite(settings, &dir.join("app.db")).await {
///     Err(OpenError::Settings(problems)) => assert!(problems[0].starts_with("max-pending is 0")),
///     _ => panic!("no write would ever be accepted"),
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings contradict each other.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] SinkError),
    /// A table that the settings name is not there.
    #[error("{0}")]
    Table(String),
    /// Log and database do not belong together, or cannot be brought together.
    #[error(transparent)]
    Lander(#[from] lander::OpenError),
    /// The system has no thread to give.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// What was found at the start.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// use landfall::{Landfall, Opened, Settings};
/// # use std::time::Duration;
///
/// let (landfall, opened) = Landfall::open_sqlite(Settings::in_dir(dir.join("log")), &dir.join("app.db")).await?;
/// let Opened { owed_changes, tables, .. } = opened;
/// assert_eq!((owed_changes, tables.len()), (0, 0)); // a new log, and a database without tables
/// # landfall.close(Duration::from_secs(5)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Opened {
    /// Changes that the log still owed; they are in the view and land next.
    pub owed_changes: u64,
    /// The mapped tables, by name.
    pub tables: Vec<String>,
    /// The tables that no key leads to.
    pub unmapped: Vec<Unmapped>,
}

impl Engine {
    /// Opens an engine over a log and a database. `on_failure` is called when one of its threads panics: end the
    /// process then; the next start recovers.
    ///
    /// # Errors
    /// [`OpenError`], each with what to do.
    pub fn open(
        env: Env,
        settings: Settings,
        log: Arc<dyn Log>,
        database: Arc<dyn Database>,
        on_failure: OnFailure,
    ) -> Result<(Engine, Opened), OpenError> {
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(OpenError::Settings(problems));
        }
        let Assembled { core, commits, lander, opened } = Assembled::new(env, settings, log, database)?;
        let threads = Threads::start(&core, &commits, lander, on_failure)?;
        Ok((Engine { core, commits, threads: Mutex::new(Some(threads)) }, opened))
    }
}

/// An engine that is ready and of which nothing runs yet.
pub(super) struct Assembled {
    pub(super) core: Arc<Core>,
    pub(super) commits: Arc<Commits>,
    pub(super) lander: Lander,
    pub(super) opened: Opened,
}

impl Assembled {
    /// Takes the lanes over and brings back what the log owes; the settings are as they should be.
    pub(super) fn new(
        env: Env,
        settings: Settings,
        log: Arc<dyn Log>,
        database: Arc<dyn Database>,
    ) -> Result<Assembled, OpenError> {
        reach("start.log");
        let notes = read_landed(&*log)?;
        if notes.is_empty() && !has_database(&*log)? {
            database.set_up()?;
        }
        let catalogue = Arc::new(database.catalogue()?);
        check_tables(&settings, &catalogue)?;
        let groups = landing_groups(&catalogue, settings.lanes);
        let numbers = log.add_lanes(&Lanes::names(&groups))?;
        reach("start.lanes");
        let lanes = Lanes::new(groups, &numbers);
        let context = landing_context(&catalogue, &settings);
        let lander::Opened { lander, landed, .. } = Lander::open(LanderParts {
            log: log.clone(),
            database: database.clone(),
            context: context.clone(),
            env: env.clone(),
            settings: lander_settings(&settings),
            groups: lanes.groups().iter().map(|(group, _)| group.clone()).collect(),
            notes,
        })?;
        reach("start.joined");
        let mut seed = [0; 32];
        env.random.fill(&mut seed);
        begin_paused(&settings, &lander, &lanes, &*log);
        let cascades = Cascades::new(&catalogue);
        let core = Arc::new(Core {
            cache: Cache::new(settings.memory_bytes_max, seed),
            env,
            settings,
            database,
            catalogue,
            lanes,
            log,
            progress: lander.progress().clone(),
            incidents: lander.incidents().clone(),
            loads: Loads::default(),
            cleaned: by_lane(&landed),
            moved: OnceLock::new(),
            closing: AtomicBool::new(false),
            counts: Counts::default(),
            cascades,
            cleaning: Mutex::default(),
            upkeep_trouble: Mutex::default(),
            note_trouble: Mutex::default(),
        });
        // Nobody lands yet, so an empty database and what the log owes are all there is.
        let empty = core.database.source(context)?.key_values_are_empty()?;
        core.cache.set_complete(empty);
        let recovered = recover(&core)?;
        reach("start.recovered");
        let opened = Opened {
            owed_changes: recovered.changes,
            tables: core.catalogue.tables().iter().map(|table| table.name.to_string()).collect(),
            unmapped: core.catalogue.unmapped().to_vec(),
        };
        Ok(Assembled { core, commits: Arc::default(), lander, opened })
    }
}

/// How far each lane has landed, at the place of the lane's number. What has landed is not brought back into the cache: a
/// load that is older, from a database that lost commits since, is as wrong as if the row had been let go.
fn by_lane(landed: &[(LaneId, Position)]) -> Vec<AtomicU64> {
    let places = landed.iter().map(|(lane, _)| lane.0 as usize + 1).max().unwrap_or(0);
    let mut numbers = vec![0; places];
    landed.iter().for_each(|(lane, position)| numbers[lane.0 as usize] = *position);
    numbers.into_iter().map(AtomicU64::new).collect()
}

/// Nobody may land what somebody wanted to wait.
fn begin_paused(settings: &Settings, lander: &Lander, lanes: &Lanes, log: &dyn Log) {
    let pause = |group| lander.progress().pause(group).unwrap_or_default();
    for group in &settings.paused {
        if lander.progress().pause(Some(group)).is_err() {
            // Regrouped since, so all wait.
            pause(None);
        }
    }
    let has_left = |name: &LaneName| {
        let mut present = lanes.groups().iter();
        settings.paused.contains(&name.group)
            && !present.any(|(group, _)| group.name == name.group && name.index < group.lanes)
    };
    if log.lanes().iter().any(|(name, lane)| has_left(name) && log.owed_by(*lane).records > 0) {
        pause(Some(RETIRED));
    }
}

fn check_tables(settings: &Settings, catalogue: &crate::model::Catalogue) -> Result<(), OpenError> {
    for (name, table) in &settings.tables {
        if catalogue.table(name).is_none() {
            return Err(OpenError::Table(format!(
                "the settings name a table {name}, and the database has no such table; correct the name in [table.{name}]"
            )));
        }
        if let Some(audit) = &table.audit
            && catalogue.table(audit).is_none()
        {
            return Err(OpenError::Table(format!(
                "the change log of table {name} is to go to {audit}, and the database has no such table; create it, or correct [table.{name}] audit"
            )));
        }
    }
    Ok(())
}

fn lander_settings(settings: &Settings) -> LanderSettings {
    LanderSettings {
        flush_mode: settings.flush,
        flush_interval_ms: settings.flush_interval.as_millis() as u64,
        flush_count_changes: settings.flush_count,
        throttle_at_changes: settings.throttle_at,
        check_ms: settings.database_check.as_millis() as u64,
        refusals_max: settings.refusals_max,
        hold_share_percent: settings.hold_share_percent,
        hold_rows_min: settings.hold_rows_min,
        dead_letters_max: settings.dead_letters_max,
        dead_letters_bytes_max: settings.dead_letters_bytes_max,
        ..LanderSettings::default()
    }
}
