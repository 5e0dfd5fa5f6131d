//! Opens the database that the settings name, whichever kind it is.
//! A password or a key is read from a file that nobody else can read, or not at all.

use std::sync::Arc;

use landfall::error::SinkError;
use landfall::model::{LaneId, Watermark};
use landfall::sink::Database;
#[cfg(feature = "postgres")]
use landfall::sink::postgres::{PostgresDatabase, PostgresLoader, PostgresSettings};
use landfall::sink::sqlite::{SqliteDatabase, SqliteSettings};

use crate::config::DatabaseUrl;

#[cfg(feature = "postgres")]
mod secrets;

/// Opens the database. One that is `known` from before is never made anew, and need not be there now.
///
/// # Errors
/// [`SinkError`] with what to do.
pub fn open(url: &DatabaseUrl, known: bool) -> Result<Arc<dyn Database>, SinkError> {
    Ok(match url {
        DatabaseUrl::Sqlite(path) if known => {
            Arc::new(SqliteDatabase::open_known(path, SqliteSettings::default())?)
        }
        DatabaseUrl::Sqlite(path) => Arc::new(SqliteDatabase::open(path, SqliteSettings::default())?),
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(settings) => Arc::new(postgres(settings)?),
    })
}

/// The SQL that creates Landfall's own tables, for somebody who may run it.
pub fn set_up_script(url: &DatabaseUrl) -> String {
    match url {
        DatabaseUrl::Sqlite(_) => landfall::sink::sqlite::set_up_script(),
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(settings) => landfall::sink::postgres::set_up_script(&settings.user),
    }
}

/// How somebody asks where a lane is.
pub type AskedLane = Box<dyn FnMut(LaneId) -> Result<Option<Watermark>, SinkError>>;

/// Asks the database where lanes are, and changes nothing.
///
/// # Errors
/// [`SinkError`] with what to do.
pub fn lanes(url: &DatabaseUrl) -> Result<AskedLane, SinkError> {
    Ok(match url {
        DatabaseUrl::Sqlite(path) => {
            let database = SqliteDatabase::open(path, SqliteSettings::default())?;
            Box::new(move |lane| database.watermark(lane))
        }
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(settings) => {
            let database = postgres(settings)?;
            Box::new(move |lane| database.watermark(lane))
        }
    })
}

/// A connection to fill a PostgreSQL with rows.
///
/// # Errors
/// [`SinkError`] with what to do.
#[cfg(feature = "postgres")]
pub fn loader(settings: &PostgresSettings) -> Result<PostgresLoader, SinkError> {
    postgres(settings)?.loader()
}

#[cfg(feature = "postgres")]
fn postgres(settings: &PostgresSettings) -> Result<PostgresDatabase, SinkError> {
    let mut settings = settings.clone();
    secrets::read(&mut settings)?;
    Ok(PostgresDatabase::new(settings, landfall::env::real().clock))
}
