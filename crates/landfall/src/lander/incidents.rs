//! The incidents of a log: declared at once and durably beside the log, in the database as soon as it can be written, and
//! open until somebody acknowledges them. None is ever dropped before it was acknowledged and is in the database.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::buffer::log::{Log, LogError};
use crate::env::Env;
use crate::model::incident::{NOTE, read, written};
use crate::model::{Incident, IncidentKind, LaneId, Position};
use crate::sync::Mutex;

/// More than these are not kept beside the log, as long as the oldest are acknowledged and in the database.
const KEPT_MAX: usize = 1000;

/// The incidents of a log.
pub struct Incidents {
    log: Arc<dyn Log>,
    env: Env,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    all: Vec<Incident>,
    /// Those that the database does not have as they are now.
    unsent: BTreeSet<[u8; 16]>,
    /// Why they cannot be kept, while that is so.
    trouble: Option<String>,
}

impl Incidents {
    /// The incidents that are kept beside a log.
    ///
    /// # Errors
    /// [`LogError`] when they cannot be read.
    pub fn open(log: Arc<dyn Log>, env: Env) -> Result<Incidents, LogError> {
        let note = log.note(NOTE)?;
        let all = match note.as_deref().map(read) {
            None => Vec::new(),
            Some(Some(all)) => all,
            Some(None) => {
                return Err(LogError::Format {
                    file: format!("notes/{NOTE}").into(),
                    what: "a note of a newer version".into(),
                });
            }
        };
        // What the database has of them is not known; telling it twice does no harm.
        let unsent = all.iter().map(|incident| incident.id).collect();
        Ok(Incidents { log, env, state: Mutex::new(State { all, unsent, trouble: None }) })
    }

    /// Declares an incident, unless the same one is open already.
    pub fn declare(
        &self,
        kind: IncidentKind,
        lane: Option<LaneId>,
        positions: (Position, Position),
        what: &str,
    ) {
        let mut state = self.state.lock();
        let same = |one: &Incident| {
            one.acknowledged_ms.is_none() && (one.kind, one.lane, one.positions) == (kind, lane, positions)
        };
        if state.all.iter().any(same) {
            if state.trouble.is_some() {
                self.keep(&mut state);
            }
            return;
        }
        let incident = Incident {
            id: self.env.random_128(),
            time_ms: self.env.clock.unix_ms(),
            kind,
            lineage: self.log.lineage(),
            lane,
            positions,
            what: what.into(),
            acknowledged_ms: None,
        };
        state.unsent.insert(incident.id);
        state.all.push(incident);
        self.keep(&mut state);
    }

    /// Says that incidents are known: those whose id begins with `id`, or all. Returns how many were open.
    ///
    /// # Errors
    /// [`LogError`] when that cannot be kept; then nothing changed.
    pub fn acknowledge(&self, id: Option<&str>) -> Result<usize, LogError> {
        let mut state = self.state.lock();
        let before = state.all.clone();
        let now = self.env.clock.unix_ms();
        let mut known = Vec::new();
        for incident in state.all.iter_mut().filter(|one| one.acknowledged_ms.is_none()) {
            if id.is_none_or(|id| !id.is_empty() && incident.id_in_words().starts_with(id)) {
                incident.acknowledged_ms = Some(now);
                known.push(incident.id);
            }
        }
        if known.is_empty() {
            return Ok(0);
        }
        if let Err(error) = self.log.set_note(NOTE, &written(&state.all)) {
            state.all = before;
            return Err(error);
        }
        let count = known.len();
        state.unsent.extend(known);
        Ok(count)
    }

    /// All that are kept, oldest first.
    pub fn all(&self) -> Vec<Incident> {
        self.state.lock().all.clone()
    }

    /// How many nobody has acknowledged yet.
    pub fn open_count(&self) -> usize {
        self.state.lock().all.iter().filter(|incident| incident.acknowledged_ms.is_none()).count()
    }

    /// Why they cannot be kept beside the log, while that is so.
    pub fn trouble(&self) -> Option<String> {
        self.state.lock().trouble.clone()
    }

    /// Those that the database does not have as they are now.
    pub(crate) fn unsent(&self) -> Vec<Incident> {
        let state = self.state.lock();
        if state.unsent.is_empty() {
            return Vec::new();
        }
        state.all.iter().filter(|incident| state.unsent.contains(&incident.id)).cloned().collect()
    }

    /// The database has these as they were.
    pub(crate) fn sent(&self, sent: &[Incident]) {
        let mut state = self.state.lock();
        for incident in sent {
            if state.all.contains(incident) {
                state.unsent.remove(&incident.id);
            }
        }
        let mut surplus = state.all.len().saturating_sub(KEPT_MAX);
        let State { all, unsent, .. } = &mut *state;
        all.retain(|one| {
            let may_go = surplus > 0 && one.acknowledged_ms.is_some() && !unsent.contains(&one.id);
            surplus -= usize::from(may_go);
            !may_go
        });
        if state.trouble.is_some() {
            self.keep(&mut state);
        }
    }

    /// An incident that cannot be kept beside the log is told in `status`, and tried again when one is declared.
    fn keep(&self, state: &mut State) {
        let kept = self.log.set_note(NOTE, &written(&state.all));
        state.trouble = kept.err().map(|error| format!("incidents cannot be kept beside the log: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::buffer::log::local::{LocalLog, LocalLogSettings};
    use crate::buffer::log::memory::{MemoryLog, MemoryLogSettings};
    use crate::env;
    use crate::env::strict_disk::StrictDisk;

    #[test]
    fn an_incident_outlives_the_process_until_it_is_acknowledged_and_in_the_database() {
        let log: Arc<dyn Log> = Arc::new(MemoryLog::new(env::real(), MemoryLogSettings::default()));
        let open = || Incidents::open(log.clone(), env::real()).unwrap();
        let incidents = open();
        incidents.declare(IncidentKind::LogBehind, Some(LaneId(3)), (4, 9), "the end \"is\" gone");
        incidents.declare(IncidentKind::LogBehind, Some(LaneId(3)), (4, 9), "the same again");
        incidents.declare(IncidentKind::Fenced, None, (0, 0), "fenced");
        assert_eq!((incidents.all().len(), incidents.open_count()), (2, 2));
        let again = open();
        assert_eq!(again.all(), incidents.all());
        assert_eq!(again.unsent().len(), 2);
        let first = again.all()[0].id_in_words();
        again.sent(&again.unsent());
        assert_eq!(again.acknowledge(Some("")).unwrap(), 0);
        assert_eq!(again.acknowledge(Some(&first[..8])).unwrap(), 1);
        assert_eq!((again.unsent().len(), again.open_count()), (1, 1));
        assert_eq!(again.acknowledge(None).unwrap(), 1);
        assert_eq!(open().open_count(), 0);
    }

    #[test]
    fn an_incident_that_could_not_be_kept_is_kept_when_it_is_declared_again() {
        let disk = StrictDisk::default();
        let log: Arc<dyn Log> =
            Arc::new(LocalLog::open(disk.env(1), Path::new("data"), LocalLogSettings::default()).unwrap().0);
        let incidents = Incidents::open(log.clone(), env::real()).unwrap();
        let declare =
            || incidents.declare(IncidentKind::LogBehind, Some(LaneId(3)), (4, 9), "the end is gone");
        disk.limit_room(Some(disk.bytes()));
        declare();
        assert!(incidents.trouble().is_some());
        disk.limit_room(None);
        declare();
        assert_eq!(incidents.trouble(), None);
        assert_eq!(Incidents::open(log, env::real()).unwrap().all(), incidents.all());
    }
}
