//! Opens the database that the settings name, whichever kind it is.
//! A password is read from a file that nobody else can read, or not at all.

use std::sync::Arc;

use landfall::error::SinkError;
use landfall::model::{LaneId, Watermark};
use landfall::sink::Database;
#[cfg(feature = "postgres")]
use landfall::sink::postgres::{PostgresDatabase, PostgresSettings};
use landfall::sink::sqlite::{SqliteDatabase, SqliteSettings};

use crate::config::DatabaseUrl;

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

#[cfg(feature = "postgres")]
fn postgres(settings: &PostgresSettings) -> Result<PostgresDatabase, SinkError> {
    let mut settings = settings.clone();
    if settings.password.is_none() {
        password_from_file(&mut settings)?;
    }
    Ok(PostgresDatabase::new(settings, landfall::env::real().clock))
}

/// From the file that the URL names, else from that of the variable PGPASSFILE, else from ~/.pgpass.
#[cfg(feature = "postgres")]
fn password_from_file(settings: &mut PostgresSettings) -> Result<(), SinkError> {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    let named = settings.password_file.clone().or_else(|| std::env::var_os("PGPASSFILE").map(PathBuf::from));
    let is_named = named.is_some();
    let usual = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".pgpass"));
    let Some(path) = named.or_else(usual) else { return Ok(()) };
    let unusable = |why: String| SinkError::Unusable(format!("the password file {} {why}", path.display()));
    let mode = match std::fs::metadata(&path) {
        Ok(found) => found.permissions().mode(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named => return Ok(()),
        Err(error) => return Err(unusable(format!("cannot be read: {error}"))),
    };
    if mode & 0o077 != 0 {
        return Err(unusable("can be read by other users; chmod 600 it".into()));
    }
    let text =
        std::fs::read_to_string(&path).map_err(|error| unusable(format!("cannot be read: {error}")))?;
    settings.take_password(&text);
    Ok(())
}
