//! What SQLite's errors mean to the lander: try again, refused, or ask a person.
//! No message carries a value: SQLite's words are passed on only where they name nothing but the schema.

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::error::SinkError;
use crate::sink::parts::refused;

const FULL: &str = "the disk of the SQLite file is full";

/// The meaning of an error of a statement that touches `table`.
pub(super) fn classify(table: &str, error: &rusqlite::Error) -> SinkError {
    use ErrorCode as E;
    let Some(code) = code(error) else {
        return refused(
            table,
            "an answer of the database has another form than expected; its schema changed",
        );
    };
    match code.code {
        E::DatabaseBusy | E::DatabaseLocked | E::FileLockingProtocolFailed => {
            SinkError::Busy("another process or connection holds the lock of the SQLite file".into())
        }
        E::DiskFull => SinkError::Unavailable(FULL.into()),
        E::SystemIoFailure => SinkError::Unavailable(format!("the disk failed: {}", name(code))),
        E::CannotOpen => SinkError::Unavailable(
            "the SQLite file or its journal cannot be opened; is its folder there and writable?".into(),
        ),
        E::ReadOnly => SinkError::Unavailable(format!(
            "the SQLite file cannot be written ({}); give this user write access to it and to its folder",
            name(code)
        )),
        E::OutOfMemory | E::OperationInterrupted | E::OperationAborted | E::SchemaChanged => {
            SinkError::Unavailable(name(code))
        }
        E::NotADatabase => SinkError::Unusable("the file is not a SQLite database".into()),
        E::DatabaseCorrupt => SinkError::Unusable(format!(
            "the SQLite file is damaged ({}); check it with `PRAGMA integrity_check` and restore a backup",
            name(code)
        )),
        E::PermissionDenied | E::AuthorizationForStatementDenied => {
            SinkError::Unusable(format!("the SQLite file refuses access ({})", name(code)))
        }
        E::ConstraintViolation => refused(table, constraint(code, error)),
        E::TypeMismatch | E::TooBig => refused(table, name(code)),
        _ => statement(table, code, error),
    }
}

/// The meaning of an error of COMMIT. Only what surely rolled back is called so.
pub(super) fn classify_commit(tables: &str, error: &rusqlite::Error) -> SinkError {
    let code = code(error);
    match code.map(|code| code.code) {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::ConstraintViolation) => {
            classify(tables, error)
        }
        Some(ErrorCode::DiskFull) => SinkError::Unknown(FULL.into()),
        _ => SinkError::Unknown(code.map_or_else(|| "no code".into(), name)),
    }
}

/// SQLite's code, of statements that fail when they are prepared as well.
fn code(error: &rusqlite::Error) -> Option<&ffi::Error> {
    match error {
        rusqlite::Error::SqlInputError { error, .. } => Some(error),
        other => other.sqlite_error(),
    }
}

fn constraint(code: &ffi::Error, error: &rusqlite::Error) -> String {
    // A trigger may put values into its words.
    if code.extended_code == ffi::SQLITE_CONSTRAINT_TRIGGER {
        return "a trigger of the table refused it".into();
    }
    match error {
        rusqlite::Error::SqliteFailure(_, Some(words)) => words.clone(),
        _ => name(code),
    }
}

fn statement(table: &str, code: &ffi::Error, error: &rusqlite::Error) -> SinkError {
    use rusqlite::Error as E;
    let (E::SqlInputError { msg: words, .. } | E::SqliteFailure(_, Some(words))) = error else {
        return refused(table, name(code));
    };
    // Other words, of a function or an expression, could quote a value.
    if !(words.starts_with("no such ") || words.contains(" has no column named ")) {
        return refused(table, name(code));
    }
    if table.starts_with("landfall_") {
        return SinkError::Unusable(format!(
            "Landfall's own tables are missing or changed ({words}); run `landfall setup` for this database"
        ));
    }
    refused(
        table,
        format!("{words}; the table changed since the catalogue was read, reload it with LANDFALL.RELOAD"),
    )
}

/// SQLite's words for a code, which never hold a value.
fn name(code: &ffi::Error) -> String {
    format!("{} ({})", ffi::code_to_str(code.extended_code), code.extended_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether trying again helps, whether a row is guilty, or a person has to act.
    #[derive(Debug, PartialEq)]
    enum Meaning {
        Busy,
        Unavailable,
        Refused,
        Unusable,
        Unknown,
    }

    fn meaning(error: &SinkError) -> Meaning {
        match error {
            SinkError::Busy(_) => Meaning::Busy,
            SinkError::Unavailable(_) => Meaning::Unavailable,
            SinkError::Refused { .. } => Meaning::Refused,
            SinkError::Unusable(_) => Meaning::Unusable,
            SinkError::Unknown(_) => Meaning::Unknown,
            other => panic!("{other:?}"),
        }
    }

    fn failure(code: std::os::raw::c_int) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn every_code_of_sqlite_has_its_meaning_and_no_passing_one_blames_a_row() {
        use Meaning::{Busy, Refused, Unavailable, Unknown, Unusable};
        // The code, what it means of a statement, and of a COMMIT: there only what surely rolled back is called so.
        let table = [
            (ffi::SQLITE_BUSY, Busy, Busy),
            (ffi::SQLITE_BUSY_SNAPSHOT, Busy, Busy),
            (ffi::SQLITE_LOCKED, Busy, Busy),
            (ffi::SQLITE_PROTOCOL, Busy, Unknown),
            (ffi::SQLITE_FULL, Unavailable, Unknown),
            (ffi::SQLITE_IOERR, Unavailable, Unknown),
            (ffi::SQLITE_IOERR_FSYNC, Unavailable, Unknown),
            (ffi::SQLITE_CANTOPEN, Unavailable, Unknown),
            (ffi::SQLITE_READONLY, Unavailable, Unknown),
            (ffi::SQLITE_READONLY_DBMOVED, Unavailable, Unknown),
            (ffi::SQLITE_NOMEM, Unavailable, Unknown),
            (ffi::SQLITE_INTERRUPT, Unavailable, Unknown),
            (ffi::SQLITE_ABORT, Unavailable, Unknown),
            (ffi::SQLITE_SCHEMA, Unavailable, Unknown),
            (ffi::SQLITE_NOTADB, Unusable, Unknown),
            (ffi::SQLITE_CORRUPT, Unusable, Unknown),
            (ffi::SQLITE_PERM, Unusable, Unknown),
            (ffi::SQLITE_AUTH, Unusable, Unknown),
            (ffi::SQLITE_CONSTRAINT_UNIQUE, Refused, Refused),
            (ffi::SQLITE_CONSTRAINT_NOTNULL, Refused, Refused),
            (ffi::SQLITE_CONSTRAINT_CHECK, Refused, Refused),
            (ffi::SQLITE_CONSTRAINT_FOREIGNKEY, Refused, Refused),
            (ffi::SQLITE_CONSTRAINT_TRIGGER, Refused, Refused),
            (ffi::SQLITE_MISMATCH, Refused, Unknown),
            (ffi::SQLITE_TOOBIG, Refused, Unknown),
            (ffi::SQLITE_ERROR, Refused, Unknown),
        ];
        for (code, of_statement, of_commit) in table {
            assert_eq!(meaning(&classify("t", &failure(code))), of_statement, "{code}");
            assert_eq!(meaning(&classify_commit("t", &failure(code))), of_commit, "{code} at COMMIT");
        }
        assert_eq!(meaning(&classify_commit("t", &rusqlite::Error::InvalidQuery)), Unknown);
    }

    #[test]
    fn a_full_disk_is_called_so_wherever_it_is_met() {
        let full = || rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None);
        for error in [classify("t", &full()), classify_commit("t", &full())] {
            assert!(error.to_string().contains("the disk of the SQLite file is full"), "{error}");
        }
        assert!(matches!(classify_commit("t", &full()), SinkError::Unknown(_)));
    }
}
