//! What PostgreSQL's errors mean to the lander, by SQLSTATE: try again, refused, or ask a person.
//! No message carries a value: the server's words are left out, and only names of the schema are passed on.

use super::wire::{Failure, Refusal};
use crate::error::SinkError;
use crate::sink::parts::refused;

/// The meaning of a failure of a statement that touches `table`. `of_index` gives the columns of a unique index.
pub(super) fn classify(
    table: &str,
    failure: Failure,
    of_index: impl FnOnce(&str) -> Option<String>,
) -> SinkError {
    match failure {
        Failure::Lost(words) => SinkError::Unavailable(format!("PostgreSQL: {words}")),
        Failure::Refused(refusal) => meaning(table, &refusal, of_index),
    }
}

/// As [`classify`], where no unique index of a user's table is touched.
pub(super) fn plain(table: &str, failure: Failure) -> SinkError {
    classify(table, failure, |_| None)
}

/// The meaning of a failure of COMMIT. Only what surely rolled back is called so: an ERROR of the server ends the
/// transaction before its commit is written; behind that the server fails as a whole, or the connection does.
pub(super) fn at_commit(tables: &str, failure: Failure) -> SinkError {
    match failure {
        Failure::Refused(refusal) if !refusal.is_fatal => plain(tables, Failure::Refused(refusal)),
        Failure::Refused(refusal) => {
            SinkError::Unknown(format!("PostgreSQL ended the session ({})", refusal.code))
        }
        Failure::Lost(words) => SinkError::Unknown(format!("PostgreSQL: {words}")),
    }
}

fn meaning(table: &str, refusal: &Refusal, of_index: impl FnOnce(&str) -> Option<String>) -> SinkError {
    let code = refusal.code.as_str();
    let (class, constraint) = (code.get(..2).unwrap_or_default(), &refusal.constraint);
    let is_ours = table.starts_with("landfall_");
    match code {
        "40001" | "40P01" | "55P03" | "57014" | "55006" => SinkError::Busy(format!(
            "another session of PostgreSQL is in the way, or a statement took too long ({code})"
        )),
        // A replica refuses to begin a transaction that writes as a feature that it lacks.
        "25006" | "0A000" if code == "25006" || is_ours => SinkError::Unavailable(format!(
            "PostgreSQL is read-only ({code}); is this a replica? Land in the primary"
        )),
        "23505" => {
            let columns = of_index(constraint).unwrap_or_else(|| format!("index {constraint}"));
            refused(table, format!("UNIQUE constraint failed: {columns} ({code}, {constraint})"))
        }
        "23503" => refused(table, format!("FOREIGN KEY constraint failed ({code}, {constraint})")),
        "23502" => refused(table, format!("NOT NULL constraint failed: {table}.{} ({code})", refusal.column)),
        "23514" => refused(table, format!("CHECK constraint failed: {constraint} ({code})")),
        "23P01" => refused(table, format!("UNIQUE constraint failed: the exclusion {constraint} ({code})")),
        "42P01" | "42703" | "3F000" | "42883" if is_ours => SinkError::Unusable(format!(
            "Landfall's own tables are missing or changed ({code}); run `landfall setup` for this database"
        )),
        "42501" if is_ours => SinkError::Unusable(format!(
            "the user may not use Landfall's own tables ({code}); grant it USAGE on schema landfall and all rights on its tables"
        )),
        "42501" => refused(table, format!("the user may not write this row or this table ({code})")),
        "0A000" | "42P01" | "42703" | "3F000" | "42804" | "42P10" => refused(
            table,
            format!(
                "no such table or column any more ({code}); the table changed since the catalogue was read, reload it with LANDFALL.RELOAD"
            ),
        ),
        "22003" => refused(table, format!("a number is out of the range of its column ({code})")),
        "22001" => refused(table, format!("a text is too long for its column ({code})")),
        _ => match class {
            "08" | "53" | "57" | "58" | "25" | "F0" => {
                SinkError::Unavailable(format!("PostgreSQL cannot do it now ({code})"))
            }
            "28" | "3D" => SinkError::Unusable(format!("PostgreSQL refuses the session ({code})")),
            "22" => refused(table, format!("a value does not fit its column ({code})")),
            "P0" | "09" | "38" | "39" => {
                refused(table, format!("a trigger or a function of the table refused it ({code})"))
            }
            _ if matches!(code, "XX001" | "XX002") => SinkError::Unusable(format!(
                "PostgreSQL says that its data is damaged ({code}); check the server, and restore a backup"
            )),
            _ => refused(table, format!("PostgreSQL refuses it ({code})")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Meaning {
        Busy,
        Unavailable,
        Refused,
        Unusable,
        Unknown,
    }

    fn of(error: &SinkError) -> Meaning {
        match error {
            SinkError::Busy(_) => Meaning::Busy,
            SinkError::Unavailable(_) => Meaning::Unavailable,
            SinkError::Refused { .. } => Meaning::Refused,
            SinkError::Unusable(_) => Meaning::Unusable,
            SinkError::Unknown(_) => Meaning::Unknown,
            other => panic!("{other:?}"),
        }
    }

    fn failure(code: &str, is_fatal: bool) -> Failure {
        Failure::Refused(Box::new(Refusal { code: code.into(), is_fatal, ..Refusal::default() }))
    }

    #[test]
    fn every_class_of_sqlstate_has_its_meaning_and_no_passing_one_blames_a_row() {
        use Meaning::{Busy, Refused, Unavailable, Unusable};
        for (code, expected) in [
            ("08006", Unavailable),
            ("25006", Unavailable),
            ("25P02", Unavailable),
            ("40001", Busy),
            ("40P01", Busy),
            ("53100", Unavailable),
            ("53300", Unavailable),
            ("55P03", Busy),
            ("57014", Busy),
            ("57P01", Unavailable),
            ("57P03", Unavailable),
            ("58030", Unavailable),
            ("28P01", Unusable),
            ("XX001", Unusable),
            ("XX000", Refused),
            ("54000", Refused),
            ("21000", Refused),
            ("22003", Refused),
            ("22021", Refused),
            ("22P02", Refused),
            ("23502", Refused),
            ("23503", Refused),
            ("23505", Refused),
            ("23514", Refused),
            ("42501", Refused),
            ("42703", Refused),
            ("0A000", Refused),
            ("44000", Refused),
            ("P0001", Refused),
        ] {
            assert_eq!(of(&plain("t", failure(code, false))), expected, "{code}");
        }
        assert_eq!(of(&plain("landfall_lane", failure("42P01", false))), Unusable);
        assert_eq!(of(&plain("landfall_lane", failure("0A000", false))), Unavailable);
    }

    #[test]
    fn a_commit_is_unknown_unless_it_surely_rolled_back() {
        assert_eq!(of(&at_commit("t", failure("23505", false))), Meaning::Refused);
        assert_eq!(of(&at_commit("t", failure("40001", false))), Meaning::Busy);
        assert_eq!(of(&at_commit("t", failure("57P01", true))), Meaning::Unknown);
        assert_eq!(of(&at_commit("t", Failure::Lost("gone".into()))), Meaning::Unknown);
    }
}
