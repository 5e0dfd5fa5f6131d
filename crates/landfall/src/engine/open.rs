//! Opening: the log, the database, the lanes, the take-over, and what is owed, before the first command runs.
//! It refuses rather than guesses: a log and a database that do not belong together are never joined.

use std::sync::{Arc, OnceLock};

use super::Engine;
use super::cascades::Cascades;
use super::commits::Commits;
use super::core::{Core, Counts};
use super::keeper::Threads;
use super::keyspace::Places;
use super::lanes::Lanes;
use super::load::{Loads, landing_context};
use super::recover::recover;
use super::shares::Shares;
use crate::buffer::cache::Cache;
use crate::buffer::log::{LaneName, Log, LogError};
use crate::env::Env;
use crate::env::failpoint::reach;
use crate::lander::notes::{has_database, read_catalogue, read_landed, write_catalogue};
use crate::lander::{self, Lander, LanderParts, LanderSettings, LaneNote, RETIRED};
use crate::model::{Catalogue, LaneId, Position, Unmapped, landing_groups};
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
    /// The database does not answer, and nothing of its tables is kept beside the log.
    #[error(
        "{0}. A start without the database needs its tables as an earlier start has seen them, and none has yet: start again when the database answers"
    )]
    NeverMet(SinkError),
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
    /// The database did not answer: its tables are those that it described last, and nothing lands before it is there.
    pub database_away: bool,
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
        let start = Start { env, settings, log, database };
        let (ground, database_away) = start.ground()?;
        let Start { env, settings, log, database } = start;
        let Ground { catalogue, lanes, lander, landed, is_complete } = ground;
        let mut seed = [0; 32];
        env.random.fill(&mut seed);
        begin_paused(&settings, &lander, &lanes, &*log);
        let cascades = Cascades::new(&catalogue);
        let cache = Cache::new(settings.memory_bytes_max, seed);
        let core = Arc::new(Core {
            env,
            settings,
            database,
            catalogue,
            lanes,
            log,
            progress: lander.progress().clone(),
            incidents: lander.incidents().clone(),
            loads: Loads::default(),
            owed_clear: Mutex::default(),
            cleared: by_lane(&landed).iter().map(|_| AtomicU64::new(0)).collect(),
            cleaned: by_lane(&landed),
            moved: OnceLock::new(),
            closing: AtomicBool::new(false),
            counts: Counts::default(),
            shares: Shares::default(),
            places: Mutex::new(Places::new(cache.hash(b"places"))),
            cascades,
            cleaning: Mutex::default(),
            cache,
            upkeep_trouble: Mutex::default(),
            note_trouble: Mutex::default(),
        });
        core.cache.set_complete(is_complete);
        let recovered = recover(&core)?;
        reach("start.recovered");
        let opened = Opened {
            owed_changes: recovered.changes,
            tables: core.catalogue.tables().iter().map(|table| table.name.to_string()).collect(),
            unmapped: core.catalogue.unmapped().to_vec(),
            database_away,
        };
        Ok(Assembled { core, commits: Arc::default(), lander, opened })
    }
}

/// What an engine is opened with.
struct Start {
    env: Env,
    settings: Settings,
    log: Arc<dyn Log>,
    database: Arc<dyn Database>,
}

/// What an engine stands on: the tables, their lanes, and a lander that knows how far each has landed.
struct Ground {
    catalogue: Arc<Catalogue>,
    lanes: Lanes,
    lander: Lander,
    landed: Vec<(LaneId, Position)>,
    /// Key-value keys that the log does not owe exist nowhere.
    is_complete: bool,
}

impl Start {
    /// From the database, or, while it is away, from what is kept beside the log; and whether it is away.
    fn ground(&self) -> Result<(Ground, bool), OpenError> {
        let away = match self.with_database() {
            Err(OpenError::Database(error) | OpenError::Lander(lander::OpenError::Sink(error)))
                if error.is_transient() =>
            {
                error
            }
            met => return Ok((met?, false)),
        };
        let known = read_catalogue(&*self.log)?.ok_or(OpenError::NeverMet(away))?;
        Ok((self.ground_of(known, read_landed(&*self.log)?, Lander::open_alone)?, true))
    }

    fn with_database(&self) -> Result<Ground, OpenError> {
        let notes = read_landed(&*self.log)?;
        if notes.is_empty() && !has_database(&*self.log)? {
            self.database.set_up()?;
        }
        let ground = self.ground_of(self.database.catalogue()?, notes, Lander::open)?;
        reach("start.joined");
        // Only now: it is the database of this log.
        write_catalogue(&*self.log, &ground.catalogue)?;
        let context = landing_context(&ground.catalogue, &self.settings);
        // Nobody lands yet, so an empty database and what the log owes are all there is.
        let is_complete = self.database.source(context)?.key_values_are_empty()?;
        Ok(Ground { is_complete, ..ground })
    }

    fn ground_of(
        &self,
        catalogue: Catalogue,
        notes: Vec<LaneNote>,
        open: fn(LanderParts) -> Result<lander::Opened, lander::OpenError>,
    ) -> Result<Ground, OpenError> {
        let catalogue = Arc::new(catalogue);
        check_tables(&self.settings, &catalogue)?;
        let groups = landing_groups(&catalogue, self.settings.lanes);
        let numbers = self.log.add_lanes(&Lanes::names(&groups))?;
        reach("start.lanes");
        let lanes = Lanes::new(groups, &numbers);
        let lander::Opened { lander, landed } = open(LanderParts {
            log: self.log.clone(),
            database: self.database.clone(),
            context: landing_context(&catalogue, &self.settings),
            env: self.env.clone(),
            settings: lander_settings(&self.settings),
            groups: lanes.groups().iter().map(|(group, _)| group.clone()).collect(),
            notes,
        })?;
        Ok(Ground { catalogue, lanes, lander, landed, is_complete: false })
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

fn check_tables(settings: &Settings, catalogue: &Catalogue) -> Result<(), OpenError> {
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
        compares_tables: settings.compares_tables,
        refusals_max: settings.refusals_max,
        hold_share_percent: settings.hold_share_percent,
        hold_rows_min: settings.hold_rows_min,
        dead_letters_max: settings.dead_letters_max,
        dead_letters_bytes_max: settings.dead_letters_bytes_max,
        ..LanderSettings::default()
    }
}
