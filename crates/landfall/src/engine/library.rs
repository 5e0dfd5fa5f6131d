//! [`Landfall`]: the engine for applications, asynchronous and typed.
//! It adds waiting to the engine and nothing else; what is acknowledged here is what a server would acknowledge.

use std::collections::BTreeMap;
#[cfg(feature = "sqlite")]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::commits::Written;
use super::ops::{fields, keys, names_a_table, numbers, rows, strings};
use super::refusal::{Refusal, Stop};
use super::unit::Unit;
use super::{Engine, OpenError, Opened, Remaining};
use crate::buffer::log::local::{LocalLog, LocalLogSettings};
use crate::env::{self, Env};
use crate::error::LogError;
use crate::lander::Waited;
use crate::model::mapping::Target;
use crate::model::{Value, types};
use crate::settings::{Fsync, Settings};
use crate::sink::Database;
use crate::tasks::Tasks;

mod letters;

/// A load that has to be tried more often is given up: the cache lets rows go faster than they come.
const LOAD_ATTEMPTS_MAX: u32 = 16;

/// A row: its columns that are not NULL, by name. For a key-value hash its fields, as [`Value::Bytes`].
///
/// ```
/// use landfall::{Row, Value};
///
/// let row = Row::from([("id".to_owned(), Value::Int(1)), ("views".to_owned(), Value::Int(7))]);
/// assert_eq!(row.get("views"), Some(&Value::Int(7)));
/// assert_eq!(row.get("title"), None); // NULL
/// ```
pub type Row = BTreeMap<String, Value>;

/// A write that was acknowledged. Wait for it to land with [`Landfall::wait_landed`].
///
/// It names the write's place in the log. It is cheap to keep, to clone and to drop: the write lands all the same.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// use std::time::Duration;
/// use landfall::{Landfall, Receipt, Settings, Waited};
///
/// let (landfall, _) = Landfall::open_sqlite(Settings::in_dir(dir.join("log")), &dir.join("app.db")).await?;
/// let receipt: Receipt = landfall.set("greeting", b"hello").await?;
/// assert_eq!(landfall.wait_landed(&receipt, Duration::from_secs(5)).await, Waited::Landed);
/// # landfall.close(Duration::from_secs(5)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a receipt can be waited for with wait_landed"]
pub struct Receipt(Written);

/// A write-behind cache over a SQL database, in this process.
///
/// Writes are acknowledged when they are as safe as [`Settings::fsync`] says, and land in the database a moment
/// later. Reads see the newest value at once. Keys are those of the server: `table:pk` is a row, `table:pk:column` a
/// cell, a table's name takes events, anything else is a key-value key.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// use std::time::Duration;
/// use landfall::{Landfall, Settings, Waited};
///
/// let (landfall, _) = Landfall::open_sqlite(Settings::in_dir(dir.join("log")), &dir.join("app.db")).await?;
/// let receipt = landfall.put("user:1", [("name", "Alice".into())]).await?;
/// assert_eq!(landfall.get("user:1").await?.unwrap()["name"], landfall::Value::bytes(b"Alice"));
/// assert_eq!(landfall.wait_landed(&receipt, Duration::from_secs(5)).await, Waited::Landed);
/// assert_eq!(landfall.close(Duration::from_secs(5)).await?.changes, 0);
/// # Ok(()) }
/// ```
///
/// # What is not promised
///
/// Dropping it without [`Landfall::close`] ends landing at once; what has not landed stays in the log.
pub struct Landfall {
    engine: Arc<Engine>,
    landed: watch::Receiver<u64>,
}

impl Landfall {
    /// Opens a SQLite file, creating it when it is missing, with the log in `settings.data_dir`.
    ///
    /// # Errors
    /// [`OpenError`], each with what to do.
    #[cfg(feature = "sqlite")]
    pub async fn open_sqlite(settings: Settings, file: &Path) -> Result<(Landfall, Opened), OpenError> {
        use crate::lander::notes::has_database;
        use crate::sink::sqlite::{SqliteDatabase, SqliteSettings};
        let file = file.to_owned();
        blocking("landfall-open", move || {
            Landfall::open_blocking(env::real(), settings, |log| {
                let own = SqliteSettings::default();
                // A file that went away must not be made anew, empty.
                let database = match has_database(log)? {
                    true => SqliteDatabase::open_known(file, own)?,
                    false => SqliteDatabase::open(file, own)?,
                };
                Ok(Arc::new(database))
            })
        })
        .await?
    }

    /// Opens any database, with the log in `settings.data_dir`.
    ///
    /// # Errors
    /// [`OpenError`], each with what to do.
    pub async fn open(
        settings: Settings,
        database: Arc<dyn Database>,
    ) -> Result<(Landfall, Opened), OpenError> {
        blocking("landfall-open", move || Landfall::open_blocking(env::real(), settings, |_| Ok(database)))
            .await?
    }

    pub(super) fn open_blocking(
        env: Env,
        settings: Settings,
        database: impl FnOnce(&LocalLog) -> Result<Arc<dyn Database>, OpenError>,
    ) -> Result<(Landfall, Opened), OpenError> {
        // Each put is acknowledged by itself: with `always` by a sync, else it is enough that the system has it.
        let mapped = settings.fsync != Fsync::Always;
        let own = LocalLogSettings { mapped, ..LocalLogSettings::from(&settings) };
        let (log, _) = LocalLog::open(env.clone(), &settings.data_dir, own)?;
        let database = database(&log)?;
        // A thread that panicked leaves the log whole; every later call that needs it answers with an error.
        let (engine, opened) = Engine::open(env, settings, Arc::new(log), database, Arc::new(|_| {}))?;
        let (publish, landed) = watch::channel(0);
        engine.on_landed(Arc::new(move || publish.send_modify(|count| *count += 1)));
        Ok((Landfall { engine: Arc::new(engine), landed }, opened))
    }

    /// The engine behind it, for status, pause and resume.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Gives columns of a row, or fields of a key-value hash, new values; the others stay. [`Value::Null`] clears a
    /// column and takes a field away.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] when a value does not fit its column; then nothing is changed.
    pub async fn put<'a>(
        &self,
        key: &str,
        columns: impl IntoIterator<Item = (&'a str, Value)>,
    ) -> Result<Receipt, Refusal> {
        let columns: Vec<(&str, Value)> = columns.into_iter().collect();
        self.write(key, |unit, target| fields::put(unit, 0, target, &columns)).await
    }

    /// Makes a key-value key a string, or gives a cell (`table:pk:column`) a value.
    ///
    /// # Errors
    /// As [`Landfall::put`].
    pub async fn set(&self, key: &str, value: &[u8]) -> Result<Receipt, Refusal> {
        let always = Default::default();
        self.write(key, |unit, target| strings::set(unit, 0, target, value, always, &[]).map(|_| ())).await
    }

    /// Lets a column of a row grow by an exact number, without reading the row; NULL and absent count as 0.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] when the column is no whole number or decimal.
    pub async fn add(&self, key: &str, column: &str, delta: Value) -> Result<Receipt, Refusal> {
        let delta = text(&delta);
        self.write(key, |unit, target| numbers::add(unit, 0, target, column.as_bytes(), &delta)).await
    }

    /// Deletes a row or a key.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn delete(&self, key: &str) -> Result<Receipt, Refusal> {
        self.write(key, |unit, target| keys::delete(unit, 0, target).map(|_| ())).await
    }

    /// Appends an event to a table; a column that is [`Value::Null`] counts as not given.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] when `table` is no table, or a value does not fit its column.
    pub async fn append<'a>(
        &self,
        table: &str,
        columns: impl IntoIterator<Item = (&'a str, Value)>,
    ) -> Result<Receipt, Refusal> {
        let Target::Table(found) = self.engine.resolve(table.as_bytes())? else {
            return Err(Refusal::Invalid(format!("the database has no table {table} that takes events")));
        };
        let columns: Vec<(&str, Vec<u8>)> = columns
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, text(&value)))
            .collect();
        let pairs: Vec<(&[u8], &[u8])> =
            columns.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect();
        let event = rows::event(&found, &pairs)?;
        self.write(table, |unit, _| {
            unit.append(&found, event.clone(), 0);
            Ok(())
        })
        .await
    }

    /// Reads a row, or a key-value hash. None when it does not exist.
    ///
    /// # Errors
    /// [`Refusal::DatabaseDown`] when it has to be loaded and cannot be.
    pub async fn get(&self, key: &str) -> Result<Option<Row>, Refusal> {
        self.run(key, |unit, target| match target {
            Target::Row(table, own) => Ok(unit.row(0)?.map(|row| {
                let cells = rows::cells(table, own, row);
                cells.map(|(column, value)| (column.name.to_string(), value.clone())).collect()
            })),
            Target::Table(table) => Err(names_a_table(table).into()),
            Target::Cell(table, _, column) => Err(Refusal::invalid(format!(
                "the key names the column {} of a row of table {}; read a cell with get_string, or leave the column out",
                table.columns[*column].name, table.name
            ))
            .into()),
            Target::Key => Ok(unit.hash(0)?.map(|hash| {
                let field = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
                hash.iter().map(|(name, value)| (field(name), Value::bytes(value))).collect()
            })),
        })
        .await
        .map(|(row, _)| row)
    }

    /// Reads a key-value string, a cell as text, or a row as JSON. None when it does not exist.
    ///
    /// # Errors
    /// As [`Landfall::get`].
    pub async fn get_string(&self, key: &str) -> Result<Option<Arc<[u8]>>, Refusal> {
        self.run(key, |unit, target| strings::get(unit, 0, target)).await.map(|(value, _)| value)
    }

    /// Waits until a write has landed in the database, at most so long, and asks for a flush at once.
    pub async fn wait_landed(&self, receipt: &Receipt, timeout: Duration) -> Waited {
        self.engine.flush();
        let mut landed = self.landed.clone();
        let all = async {
            loop {
                match self.engine.core.progress.wait_landed(&receipt.0.places, Duration::ZERO) {
                    Waited::TimedOut => {}
                    ended => return ended,
                }
                if landed.changed().await.is_err() {
                    return Waited::Stopped;
                }
            }
        };
        tokio::time::timeout(timeout, all).await.unwrap_or(Waited::TimedOut)
    }

    /// Lands what is left until the deadline, and says what stays in the log; it lands after the next open.
    ///
    /// # Errors
    /// [`LogError`] when the log cannot be closed in order.
    pub async fn close(self, drain: Duration) -> Result<Remaining, LogError> {
        let engine = self.engine.clone();
        let closed = blocking("landfall-close", move || engine.close(drain)).await;
        closed.map_err(|error| LogError::Io { what: "closing".into(), reason: error.to_string() })?
    }

    async fn write(
        &self,
        key: &str,
        command: impl FnMut(&mut Unit<'_>, &Target) -> Result<(), Stop>,
    ) -> Result<Receipt, Refusal> {
        self.run(key, command).await.map(|((), written)| Receipt(written))
    }

    /// Runs a command, loads what it asks for, and waits until what it wrote or saw is as safe as promised.
    async fn run<T>(
        &self,
        key: &str,
        mut command: impl FnMut(&mut Unit<'_>, &Target) -> Result<T, Stop>,
    ) -> Result<(T, Written), Refusal> {
        let target = self.engine.resolve(key.as_bytes())?;
        for _ in 0..LOAD_ATTEMPTS_MAX {
            let wanted = {
                // The unit holds locks: it must be gone before anything is awaited.
                let keys = match target {
                    Target::Table(_) => Vec::new(),
                    _ => vec![(key.as_bytes(), &target)],
                };
                let mut unit = self.engine.unit(&keys, false);
                match command(&mut unit, &target) {
                    Ok(answer) => {
                        let read_dirty = unit.read_dirty();
                        let written = unit.commit()?;
                        let end = if read_dirty { self.engine.accepted() } else { written.end };
                        Ok((answer, written, end))
                    }
                    Err(Stop::Refused(refusal)) => return Err(refusal),
                    Err(Stop::Load) => Err(unit.wanted()),
                }
            };
            match wanted {
                Ok((answer, written, end)) => {
                    if !self.engine.is_acknowledged(end) {
                        self.engine.commits().wait(end).await?;
                    }
                    return Ok((answer, written));
                }
                Err(rows) => {
                    let (send, receive) = oneshot::channel();
                    // Who no longer waits does not want to know.
                    self.engine.load(rows, Box::new(move |outcome| drop(send.send(outcome))));
                    receive.await.unwrap_or(Err(Refusal::Closing))?;
                }
            }
        }
        Err(Refusal::TryAgain(
            "the row leaves the cache faster than it is loaded; raise memory_bytes_max and try again".into(),
        ))
    }
}

/// A value as a client would write it.
fn text(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    types::render(value, &mut out);
    out
}

/// Runs what blocks on a thread of its own and awaits it.
async fn blocking<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, std::io::Error> {
    let (send, receive) = oneshot::channel();
    let mut tasks = Tasks::new(Arc::new(|_| {}));
    // Who no longer waits does not want to know.
    tasks.spawn(name, move || drop(send.send(work())))?;
    receive.await.map_err(|_| std::io::Error::other("the thread panicked"))
}
