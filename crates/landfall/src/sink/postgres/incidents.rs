//! Incidents in `landfall_incident`: for people with SQL, and for whoever comes when the data directory is gone.
//! The same incident twice is one row; its words carry no value.

use super::errors::plain;
use super::text;
use super::wire::{Step, Wire};
use crate::error::SinkError;
use crate::model::Incident;

/// Keeps incidents, or what became of those that are there.
pub(super) fn declare(wire: &mut Wire, incidents: &[Incident]) -> Result<(), SinkError> {
    let number = |value: u64| text::number(i64::try_from(value).unwrap_or(i64::MAX));
    for incident in incidents {
        let sql = "INSERT INTO landfall.landfall_incident (id, time_ms, kind, lineage, lane, first_position, last_position, what, acknowledged_ms) \
             VALUES ($1::bytea, $2::bigint, $3::text, $4::bytea, $5::bigint, $6::bigint, $7::bigint, $8::text, $9::bigint) \
             ON CONFLICT (id) DO UPDATE SET acknowledged_ms = excluded.acknowledged_ms";
        let bound = vec![
            Some(text::hex(&incident.id)),
            number(incident.time_ms),
            Some(incident.kind.name().into()),
            Some(text::hex(&incident.lineage.0)),
            incident.lane.and_then(|lane| text::number(lane.0.into())),
            number(incident.positions.0),
            number(incident.positions.1),
            Some(incident.what.replace('\0', "\u{fffd}").into_bytes()),
            incident.acknowledged_ms.and_then(number),
        ];
        wire.run(&[Step::new(sql, bound)]).map_err(|failure| plain("landfall_incident", failure))?;
    }
    Ok(())
}
