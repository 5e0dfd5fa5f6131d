//! An incident: something that a person has to know of, because Landfall cannot put it right or because data may be gone.
//! It never carries a value, a key or a password.

use super::{LaneId, Lineage, Position};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncidentKind {
    /// The database had positions that the log no longer had: the log lost its end.
    LogBehind,
    /// The database went back further than the log reaches.
    DatabaseBehind,
    /// Log and database tell different histories.
    Diverged,
    /// Another start of this log, which its data directory does not know, took the lanes over.
    Fenced,
    /// Somebody gave a lane to this log with `landfall adopt`.
    Adopted,
}

/// An incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Random.
    pub id: [u8; 16],
    /// When it was declared, Unix milliseconds.
    pub time_ms: u64,
    /// What happened.
    pub kind: IncidentKind,
    /// The log that declared it.
    pub lineage: Lineage,
    /// The lane, when it is about one.
    pub lane: Option<LaneId>,
    /// The positions that it is about, both included; (0, 0) when it is about none.
    pub positions: (Position, Position),
    /// What, why and what to do, for people.
    pub what: String,
    /// When somebody said that it is known, Unix milliseconds.
    pub acknowledged_ms: Option<u64>,
}

impl IncidentKind {
    const ALL: [IncidentKind; 5] = [
        IncidentKind::LogBehind,
        IncidentKind::DatabaseBehind,
        IncidentKind::Diverged,
        IncidentKind::Fenced,
        IncidentKind::Adopted,
    ];

    /// The name, in the database and in documents.
    pub fn name(self) -> &'static str {
        match self {
            IncidentKind::LogBehind => "log-behind",
            IncidentKind::DatabaseBehind => "database-behind",
            IncidentKind::Diverged => "diverged",
            IncidentKind::Fenced => "fenced",
            IncidentKind::Adopted => "adopted",
        }
    }

    /// The kind of this name.
    pub fn of_name(name: &str) -> Option<IncidentKind> {
        IncidentKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl Incident {
    /// The id as people see and type it.
    pub fn id_in_words(&self) -> String {
        super::lane::hex(&self.id)
    }
}
