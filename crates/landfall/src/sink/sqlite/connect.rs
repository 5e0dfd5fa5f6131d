//! Opens connections to the file, each with the settings that landing relies on.
//! It never creates a file where one is expected, and never changes the journal mode of a file that holds anything.

#![expect(
    clippy::disallowed_methods,
    reason = "SQLite opens its files by itself; a look before makes a better sentence"
)]

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::SqliteSettings;
use super::errors::classify;
use super::place::Place;
use crate::error::SinkError;

/// Makes sure that the file is there, is a database and can be written. A new file gets a write-ahead log.
pub(super) fn prepare_file(path: &Path, settings: &SqliteSettings) -> Result<(), SinkError> {
    check_place(path)?;
    let connection = open(path, OpenFlags::SQLITE_OPEN_CREATE)?;
    wait_at_most(&connection, settings.reader_busy_timeout_ms)?;
    check_writable(&connection, path)?;
    let pages = connection.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0));
    match pages {
        // The answer is the mode: a file system without shared memory stays with a rollback journal, which works.
        Ok(0) => connection
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))
            .map(|_| ())
            .map_err(|error| unusable(path, &error)),
        Ok(_) => Ok(()),
        // Whoever holds the lock has a database there.
        Err(error) if is_locked(&error) => Ok(()),
        Err(error) => Err(unusable(path, &error)),
    }
}

/// A connection that lands.
pub(super) fn writer(path: &Path, settings: &SqliteSettings) -> Result<Connection, SinkError> {
    let connection = connect(path, settings, settings.writer_busy_timeout_ms)?;
    check_writable(&connection, path)?;
    Ok(connection)
}

/// A connection that only reads. The file is opened for writing all the same, because a reader may have to
/// roll back what another process left behind.
pub(super) fn reader(path: &Path, settings: &SqliteSettings) -> Result<Connection, SinkError> {
    let connection = connect(path, settings, settings.reader_busy_timeout_ms)?;
    pragma(&connection, "query_only", "ON")?;
    Ok(connection)
}

fn connect(path: &Path, settings: &SqliteSettings, busy_timeout_ms: u32) -> Result<Connection, SinkError> {
    Place::of(path)?;
    let connection = open(path, OpenFlags::empty())?;
    wait_at_most(&connection, busy_timeout_ms)?;
    connection.set_prepared_statement_cache_capacity(settings.statements_max);
    pragma(&connection, "foreign_keys", "ON")?;
    pragma(&connection, "synchronous", "FULL")?;
    pragma(&connection, "cache_size", &format!("-{}", settings.cache_kib_max))?;
    Ok(connection)
}

fn open(path: &Path, more: OpenFlags) -> Result<Connection, SinkError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    Connection::open_with_flags(path, flags).map_err(|error| unusable(path, &error))
}

fn wait_at_most(connection: &Connection, busy_timeout_ms: u32) -> Result<(), SinkError> {
    connection
        .busy_timeout(Duration::from_millis(busy_timeout_ms.into()))
        .map_err(|error| classify("the database", &error))
}

fn pragma(connection: &Connection, name: &str, value: &str) -> Result<(), SinkError> {
    connection
        .execute_batch(&format!("PRAGMA {name} = {value}"))
        .map_err(|error| classify("the database", &error))
}

/// SQLite opens a file that it may not write for reading only, without a word.
pub(super) fn check_writable(connection: &Connection, path: &Path) -> Result<(), SinkError> {
    match connection.is_readonly(rusqlite::MAIN_DB) {
        Ok(false) => Ok(()),
        Ok(true) => Err(SinkError::Unusable(format!(
            "{} is read-only for this user; give it write access to the file and its folder (chmod u+w), or name another file with --database",
            path.display()
        ))),
        Err(error) => Err(unusable(path, &error)),
    }
}

fn check_place(path: &Path) -> Result<(), SinkError> {
    let shown = path.display();
    let refuse = |words: String| Err(SinkError::Unusable(words));
    if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        return refuse("--database needs the name of a file, like sqlite:app.db".into());
    }
    if path.is_dir() {
        return refuse(format!(
            "{shown} is a folder; name a file in it, like sqlite:{}",
            path.join("app.db").display()
        ));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return refuse(format!(
            "the folder of {shown} does not exist; create it with mkdir -p {}",
            folder.display()
        ));
    }
    check_file_system(folder, path)
}

/// On network file systems SQLite's locks and shared memory do not hold what they promise.
#[cfg(target_os = "linux")]
fn check_file_system(folder: &Path, path: &Path) -> Result<(), SinkError> {
    const NETWORK: [(u64, &str); 4] =
        [(0x6969, "NFS"), (0xff53_4d42, "CIFS"), (0xfe53_4d42, "SMB"), (0x517b, "SMB")];
    let Ok(found) = rustix::fs::statfs(folder) else { return Ok(()) };
    match NETWORK.iter().find(|(magic, _)| found.f_type as u64 & 0xffff_ffff == *magic) {
        None => Ok(()),
        Some((_, name)) => Err(SinkError::Unusable(format!(
            "{} is on a network file system ({name}), where SQLite cannot lock safely; use a local disk",
            path.display()
        ))),
    }
}

#[cfg(not(target_os = "linux"))]
fn check_file_system(_folder: &Path, _path: &Path) -> Result<(), SinkError> {
    Ok(())
}

fn is_locked(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn unusable(path: &Path, error: &rusqlite::Error) -> SinkError {
    let shown = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => SinkError::Unusable(format!(
            "{shown} is not a SQLite database; name another file with --database, nothing in it was changed"
        )),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            SinkError::Unusable(format!(
                "{shown} cannot be opened for writing; check that it exists and that this user may write to it and to its folder"
            ))
        }
        _ => match classify("the database", error) {
            SinkError::Refused { reason, .. } => {
                SinkError::Unusable(format!("{shown} cannot be used: {reason}"))
            }
            other => other,
        },
    }
}
