//! Incidents in `landfall_incident`: for people with SQL, and for whoever comes when the data directory is gone.
//! The same incident twice is one row; its words carry no value.

use rusqlite::{Connection, params};

use super::errors::classify;
use crate::error::SinkError;
use crate::model::Incident;

/// Keeps incidents, or what became of those that are there.
pub(super) fn declare(connection: &Connection, incidents: &[Incident]) -> Result<(), SinkError> {
    let failed = |error| classify("landfall_incident", &error);
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    for incident in incidents {
        connection
            .prepare_cached(
                "INSERT INTO landfall_incident (id, time_ms, kind, lineage, lane, first_position, last_position, what, acknowledged_ms) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
                 ON CONFLICT (id) DO UPDATE SET acknowledged_ms = excluded.acknowledged_ms",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    incident.id,
                    number(incident.time_ms),
                    incident.kind.name(),
                    incident.lineage.0,
                    incident.lane.map(|lane| lane.0),
                    number(incident.positions.0),
                    number(incident.positions.1),
                    incident.what,
                    incident.acknowledged_ms.map(number),
                ])
            })
            .map_err(failed)?;
    }
    Ok(())
}
