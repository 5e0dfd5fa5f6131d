//! The frame of a transaction: how it begins, with the settings that its statements rely on, and how it ends.
//! It never takes a COMMIT for done unless the server's own tag says so.

use super::errors::{at_commit, plain};
use super::settings::PostgresSettings;
use super::wire::{Step, Wire};
use crate::error::SinkError;

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It writes.
    Landing,
    /// All it reads is of one moment.
    Reading,
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
        "SELECT set_config('DateStyle', 'ISO, YMD', true), set_config('TimeZone', 'UTC', true), \
         set_config('bytea_output', 'hex', true), set_config('extra_float_digits', '1', true), \
         set_config('standard_conforming_strings', 'on', true), \
         set_config('lock_timeout', '{}', true), set_config('statement_timeout', '{}', true), \
         set_config('idle_in_transaction_session_timeout', '{IDLE_TIMEOUT_MS}', true), \
         set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') \
         THEN 'on' ELSE current_setting('synchronous_commit') END, true)",
        settings.lock_timeout_ms, settings.answer_timeout_ms
    );
    let mut steps = vec![Step::bare(begin), Step::bare(set)];
    if purpose == Purpose::Landing {
        // What a deferred constraint refuses is told by the statement, and not by COMMIT for the whole batch.
        steps.push(Step::bare("SET CONSTRAINTS ALL IMMEDIATE"));
    }
    steps
}

/// Begins a transaction.
pub(super) fn open(wire: &mut Wire, purpose: Purpose, settings: &PostgresSettings) -> Result<(), SinkError> {
    wire.run(&begin(purpose, settings)).map(|_| ()).map_err(|failure| plain("landfall_lane", failure))
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
