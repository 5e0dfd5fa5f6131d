//! Loads the airport database into SQLite; it must never touch a database that already has one of the tables.
//!
//! SQLite has no decimals: a column declared `decimal(10,2)` turns the text `123.40` into the number 123.4. Up to 15
//! digits nothing is lost by that but the closing zeros.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ToSql, Transaction, TransactionBehavior};

use super::airport::{Airport, Cell, Row};
use super::schema::TABLES;
use super::{Filled, PROGRESS_EVERY_ROWS, Progress, list};

/// Small enough for the log of a transaction, large enough that the commits cost nothing beside the rows. A `tiny`
/// database is one transaction, all or nothing.
const TRANSACTION_ROWS_MAX: u64 = 50_000;
/// How long another process may hold the file before loading gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the sample could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Nothing was changed.
    #[error(
        "the database already has {}: the airport sample is only loaded where none of its tables exists; \
         name another database file, or drop or rename what is there",
        list(tables)
    )]
    TablesExist {
        /// The names, as the sample spells them.
        tables: Vec<&'static str>,
    },
    /// SQLite refused. What was committed before stays, so the sample may be incomplete.
    #[error(
        "could not load table {table} of the airport sample, and its tables may be incomplete: remove the cause, then drop \
         those tables and load again, or load into a new database file"
    )]
    Database {
        /// The table at work.
        table: &'static str,
        /// The cause.
        source: rusqlite::Error,
    },
}

/// Why a file could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be opened or made.
    #[error("the database file cannot be opened")]
    Open(#[source] rusqlite::Error),
    /// The sample could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Opens or creates the file and loads the sample into it, as [`load_sqlite`] does.
///
/// # Errors
/// [`FileError`]; when the tables exist, nothing was changed.
pub fn load_file(
    path: &Path,
    airport: &Airport,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), FileError> {
    let mut connection = Connection::open(path).map_err(FileError::Open)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(FileError::Open)?;
    Ok(load_sqlite(&mut connection, airport, progress)?)
}

/// Creates the 13 tables and fills them. `progress` is called at the start and the end of each table, and every few
/// thousand rows between.
///
/// It begins its own transactions, so none may be open. It changes no setting of the connection.
pub fn load_sqlite(
    connection: &mut Connection,
    airport: &Airport,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), LoadError> {
    let mut loader = Loader { connection, transaction: None, transaction_rows: 0, progress };
    loader.create_tables()?;
    let table = super::fill(&mut loader, airport)?;
    loader.commit().map_err(|source| LoadError::Database { table, source })
}

struct Loader<'c> {
    connection: &'c Connection,
    /// Dropped without a commit, it rolls back.
    transaction: Option<Transaction<'c>>,
    transaction_rows: u64,
    progress: &'c mut dyn FnMut(Progress),
}

impl Filled for Loader<'_> {
    type Error = LoadError;

    fn fill<R: Row>(&mut self, rows_total: u64, rows: impl Iterator<Item = R>) -> Result<(), LoadError> {
        self.fill_table(rows_total, rows).map_err(|source| LoadError::Database { table: R::TABLE, source })
    }

    fn pass(&mut self, table: &'static str) {
        (self.progress)(Progress { table, rows_done: 0, rows_total: 0 });
    }
}

impl Loader<'_> {
    /// Looks for the tables and creates them in one transaction, so that nobody creates one in between.
    fn create_tables(&mut self) -> Result<(), LoadError> {
        let database = |source| LoadError::Database { table: TABLES[0].0, source };
        self.begin().map_err(database)?;
        let mut tables = Vec::new();
        for (table, _) in TABLES {
            if self.exists(table).map_err(database)? {
                tables.push(table);
            }
        }
        if !tables.is_empty() {
            return Err(LoadError::TablesExist { tables });
        }
        for (table, definition) in TABLES {
            self.connection
                .execute_batch(definition)
                .map_err(|source| LoadError::Database { table, source })?;
        }
        Ok(())
    }

    /// Table names are the same in upper and lower case, and share their space with views.
    fn exists(&self, table: &str) -> rusqlite::Result<bool> {
        let query = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND lower(name) = ?1)";
        self.connection.query_row(query, [table], |row| row.get(0))
    }

    fn fill_table<R: Row>(&mut self, rows_total: u64, rows: impl Iterator<Item = R>) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(&insert_statement::<R>())?;
        let mut rows_done = 0;
        (self.progress)(Progress { table: R::TABLE, rows_done, rows_total });
        for row in rows {
            if self.transaction_rows == TRANSACTION_ROWS_MAX {
                self.commit()?;
                self.begin()?;
            }
            for (place, cell) in row.cells().as_ref().iter().enumerate() {
                statement.raw_bind_parameter(place + 1, cell)?;
            }
            statement.raw_execute()?;
            self.transaction_rows += 1;
            rows_done += 1;
            if rows_done % PROGRESS_EVERY_ROWS == 0 && rows_done < rows_total {
                (self.progress)(Progress { table: R::TABLE, rows_done, rows_total });
            }
        }
        (self.progress)(Progress { table: R::TABLE, rows_done, rows_total });
        Ok(())
    }

    fn begin(&mut self) -> rusqlite::Result<()> {
        self.transaction_rows = 0;
        self.transaction = Some(Transaction::new_unchecked(self.connection, TransactionBehavior::Immediate)?);
        Ok(())
    }

    fn commit(&mut self) -> rusqlite::Result<()> {
        self.transaction.take().map_or(Ok(()), Transaction::commit)
    }
}

fn insert_statement<R: Row>() -> String {
    let columns: Vec<String> = R::COLUMNS.iter().map(|column| format!("\"{column}\"")).collect();
    let places = vec!["?"; columns.len()].join(", ");
    format!("INSERT INTO \"{}\" ({}) VALUES ({places})", R::TABLE, columns.join(", "))
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Cell::Null => ToSqlOutput::Owned(Value::Null),
            Cell::Integer(value) => ToSqlOutput::Owned(Value::Integer(*value)),
            Cell::Boolean(value) => ToSqlOutput::Owned(Value::Integer(i64::from(*value))),
            Cell::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Cell::Decimal(_) | Cell::Date(_) | Cell::Time(_) | Cell::Timestamp(_) => {
                ToSqlOutput::Owned(Value::Text(self.to_string()))
            }
        })
    }
}
