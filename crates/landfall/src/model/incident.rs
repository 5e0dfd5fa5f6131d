//! An incident: something that a person has to know of, because Landfall cannot put it right or because data may be gone.
//! It never carries a value, a key or a password.

use serde_json::{Value as Json, json};

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
    /// `landfall log repair` gave up acknowledged writes that could not be read any more.
    DeclaredLoss,
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
    const ALL: [IncidentKind; 6] = [
        IncidentKind::LogBehind,
        IncidentKind::DatabaseBehind,
        IncidentKind::Diverged,
        IncidentKind::Fenced,
        IncidentKind::Adopted,
        IncidentKind::DeclaredLoss,
    ];

    /// The name, in the database and in documents.
    pub fn name(self) -> &'static str {
        match self {
            IncidentKind::LogBehind => "log-behind",
            IncidentKind::DatabaseBehind => "database-behind",
            IncidentKind::Diverged => "diverged",
            IncidentKind::Fenced => "fenced",
            IncidentKind::Adopted => "adopted",
            IncidentKind::DeclaredLoss => "declared-loss",
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

/// The note beside the log that keeps them.
pub const NOTE: &str = "incidents";
const VERSION: u64 = 1;

/// The content of the note: JSON, `{"version": 1, "incidents": [..]}` (docs/format.md).
pub fn written(incidents: &[Incident]) -> Vec<u8> {
    let one = |incident: &Incident| {
        json!({
            "id": incident.id_in_words(),
            "time_ms": incident.time_ms,
            "kind": incident.kind.name(),
            "lineage": incident.lineage.to_string(),
            "lane": incident.lane.map(|lane| lane.0),
            "first": incident.positions.0,
            "last": incident.positions.1,
            "what": incident.what,
            "acknowledged_ms": incident.acknowledged_ms,
        })
    };
    let all: Vec<Json> = incidents.iter().map(one).collect();
    json!({"version": VERSION, "incidents": all}).to_string().into_bytes()
}

/// The incidents in the note; none when it is of a newer version.
pub fn read(note: &[u8]) -> Option<Vec<Incident>> {
    let document: Json = serde_json::from_slice(note).ok()?;
    if document["version"].as_u64() != Some(VERSION) {
        return None;
    }
    let id = |text: &Json| u128::from_str_radix(text.as_str()?, 16).ok().map(u128::to_be_bytes);
    let one = |incident: &Json| {
        let lane = incident["lane"].as_u64().map(|lane| LaneId(lane as u32));
        Some(Incident {
            id: id(&incident["id"])?,
            time_ms: incident["time_ms"].as_u64()?,
            kind: IncidentKind::of_name(incident["kind"].as_str()?)?,
            lineage: Lineage(id(&incident["lineage"])?),
            lane,
            positions: (incident["first"].as_u64()?, incident["last"].as_u64()?),
            what: incident["what"].as_str()?.into(),
            acknowledged_ms: incident["acknowledged_ms"].as_u64(),
        })
    };
    document["incidents"].as_array()?.iter().map(one).collect()
}
