//! The frame of a transaction: how it begins, with the settings that its statements rely on, and how it ends.
//! It never takes a COMMIT for done unless the server's own tag says so.

use super::errors::{at_commit, plain};
use super::settings::PostgresSettings;
use super::wire::{Cell, Failure, Step, Wire};
use crate::error::SinkError;

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It writes.
    Landing,
    /// All it reads is of one moment.
    Reading,
}

/// A transaction as the server knows it, so that it can be ended from another connection: whoever has the server process
/// by then, it is ended only while it is in this very transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pid: Cell,
    began: Cell,
}

/// How long the server waits for us inside a transaction before it ends it and lets go of its locks.
const IDLE_TIMEOUT_MS: u64 = 60_000;

/// The statements that begin a transaction. Settings are of the transaction only, so that a pooler can stand between.
pub(super) fn begin(purpose: Purpose, settings: &PostgresSettings) -> Vec<Step> {
    let begin = match purpose {
        Purpose::Landing => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        Purpose::Reading => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    };
    let set = format!(
        "SELECT set_config('DateStyle', 'ISO, YMD', true), set_config('TimeZone', 'UTC', true), set_config('IntervalStyle', 'iso_8601', true), \
         set_config('bytea_output', 'hex', true), set_config('extra_float_digits', '1', true), \
         set_config('standard_conforming_strings', 'on', true), \
         set_config('lock_timeout', '{}', true), set_config('statement_timeout', '{}', true), \
         set_config('idle_in_transaction_session_timeout', '{IDLE_TIMEOUT_MS}', true), \
         set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') \
         THEN 'on' ELSE current_setting('synchronous_commit') END, true), \
         pg_backend_pid(), extract(epoch from now())::text",
        settings.lock_timeout_ms, settings.answer_timeout_ms
    );
    let mut steps = vec![Step::bare(begin), Step::bare(set)];
    if purpose == Purpose::Landing {
        // What a deferred constraint refuses is told by the statement, and not by COMMIT for the whole batch.
        steps.push(Step::bare("SET CONSTRAINTS ALL IMMEDIATE"));
    }
    steps
}

/// The statements that begin a transaction that reads a table, with the lock on it first: an ALTER or a TRUNCATE that
/// writes a table anew leaves it empty for whoever has taken a snapshot before it and gets the lock behind it. LOCK and
/// SET take none.
pub(super) fn begin_reading(table: &str, settings: &PostgresSettings) -> Vec<Step> {
    let mut steps = begin(Purpose::Reading, settings);
    let first = [
        Step::bare(format!("SET LOCAL lock_timeout = {}", settings.lock_timeout_ms)),
        Step::bare(format!("LOCK TABLE {table} IN ACCESS SHARE MODE")),
    ];
    steps.splice(1..1, first);
    steps
}

/// Begins a transaction; which one it is.
pub(super) fn open(
    wire: &mut Wire,
    purpose: Purpose,
    settings: &PostgresSettings,
) -> Result<Session, SinkError> {
    let answers = wire.run(&begin(purpose, settings)).map_err(|failure| plain("landfall_lane", failure))?;
    let mut cells =
        answers.into_iter().nth(1).and_then(|answer| answer.rows.into_iter().next()).unwrap_or_default();
    let (began, pid) = (cells.pop().flatten(), cells.pop().flatten());
    Ok(Session { pid, began })
}

/// Ends a transaction that was left open on a connection of before: it may hold the locks that are needed now, and a
/// server that does not hear of a dead connection keeps it for [`IDLE_TIMEOUT_MS`]. One that is over is left alone.
pub(super) fn end(wire: &mut Wire, session: &Session) -> Result<(), SinkError> {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE pid = $1::int AND extract(epoch from xact_start)::text = $2::text AND pid <> pg_backend_pid()";
    let bound = vec![session.pid.clone(), session.began.clone()];
    match wire.run(&[Step::new(sql, bound)]) {
        // Who may not end it waits for its end, as for anybody's.
        Ok(_) | Err(Failure::Refused(_)) => Ok(()),
        Err(failure) => Err(plain("landfall_lane", failure)),
    }
}

/// Commits. The tag is the proof: the server answers the COMMIT of a failed transaction with ROLLBACK and no error, and
/// one that a standby may not have with a warning.
pub(super) fn commit(wire: &mut Wire, tables: &str) -> Result<(), SinkError> {
    let answers = wire.run(&[Step::bare("COMMIT")]).map_err(|failure| at_commit(tables, failure))?;
    match answers.first() {
        Some(answer) if answer.tag == "COMMIT" && !answer.is_warned => Ok(()),
        Some(answer) if answer.tag == "ROLLBACK" => {
            Err(SinkError::Unavailable("PostgreSQL rolled back at COMMIT: nothing was written".into()))
        }
        _ => Err(SinkError::Unknown("PostgreSQL committed with a warning; a standby may not have it".into())),
    }
}

/// Rolls back; whether the connection can be used again.
pub(super) fn roll_back(wire: &mut Wire) -> bool {
    let answers = wire.run(&[Step::bare("ROLLBACK")]);
    answers.is_ok_and(|answers| answers.first().is_some_and(|answer| answer.tag == "ROLLBACK"))
}
