//! Lands a batch in one transaction: the lanes' compare-and-set first, then the rows, then COMMIT.
//! After any error nothing more runs in the transaction: it is rolled back before the error is returned.
//!
//! A landing is three flights: BEGIN, whose answer tells which transaction it is; all that it writes, which goes out without
//! waiting, and of which the server stops by itself at the first statement that fails, the compare-and-set included; and
//! COMMIT, which goes out only when every answer has come and every lane's row was changed.

use super::frame::{self, Purpose};
use super::plan::{self, Work};
use super::wire::Wire;
use super::writer::{Asked, Writer};
use super::{PostgresDatabase, incidents, lanes, letters};
use crate::env::failpoint::reach;
use crate::error::SinkError;
use crate::model::{Incident, LaneId, LaneRow, Letter, Owner, Watermark};
use crate::sink::isolate::isolate;
use crate::sink::parts::class_of;
use crate::sink::{
    Adopted, Landing, LandingContext, LandingOp, LaneStep, LetterStep, RefusedOp, Sink, protocol,
};

/// A landing connection.
pub(super) struct PostgresSink {
    database: PostgresDatabase,
    context: LandingContext,
    /// The database that this sink was opened on.
    identity: Option<[u8; 16]>,
    /// None after an error that may have broken it; the next call opens another.
    writer: Option<Writer>,
}

/// How a transaction ends when nothing fails in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Commit,
    Rollback,
}

impl PostgresSink {
    pub(super) fn open(
        database: PostgresDatabase,
        context: LandingContext,
    ) -> Result<PostgresSink, SinkError> {
        let mut wire = database.connect()?;
        let identity = super::schema::identity(&mut wire)?;
        let writer = Some(Writer::new(wire));
        Ok(PostgresSink { database, context, identity, writer })
    }

    fn within<T>(
        &mut self,
        (purpose, end): (Purpose, End),
        tables: impl FnOnce() -> String,
        work: impl FnOnce(&mut Writer, &LandingContext) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => Writer::new(self.database.connect_again(self.identity)?),
        };
        let session = frame::open(&mut writer.wire, purpose, &self.database.settings)?;
        let worked = work(&mut writer, &self.context).and_then(|done| {
            writer.settle()?;
            Ok(done)
        });
        match worked {
            Ok(done) if end == End::Commit => {
                // Whatever COMMIT answers, the connection is used again only if it answered well.
                if let Err(error) = frame::commit(&mut writer.wire, &tables()) {
                    self.database.leave_open(session);
                    return Err(error);
                }
                self.writer = Some(writer);
                Ok(done)
            }
            outcome => {
                let is_sound = match &outcome {
                    Ok(_) => true,
                    Err(error) => {
                        // The schema may have changed: what is known of the tables is read again.
                        writer.forget_tables();
                        matches!(
                            error,
                            SinkError::Busy(_) | SinkError::Refused { .. } | SinkError::Fenced { .. }
                        )
                    }
                };
                writer.abandon();
                // A dropped connection rolls back as well; but who answers has let go of its locks for sure.
                match frame::roll_back(&mut writer.wire) {
                    true if is_sound => self.writer = Some(writer),
                    true => {}
                    false => self.database.leave_open(session),
                }
                outcome
            }
        }
    }

    fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Wire) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        self.within((Purpose::Landing, End::Commit), lane_table, |writer, _| work(&mut writer.wire))
    }

    fn reading<T>(&mut self, work: impl FnOnce(&mut Wire) -> Result<T, SinkError>) -> Result<T, SinkError> {
        self.within((Purpose::Reading, End::Rollback), lane_table, |writer, _| work(&mut writer.wire))
    }
}

impl Sink for PostgresSink {
    fn create_lanes(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<(), SinkError> {
        self.transaction(|wire| lanes::create(wire, owner, lanes))
    }

    fn take_over(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<Vec<Watermark>, SinkError> {
        reach("take-over.begin");
        // On a new connection: the old one may be in the middle of a transaction that nobody knows the end of.
        self.writer = None;
        let mut wire = self.database.connect_again(self.identity)?;
        self.database.end_left_open(&mut wire)?;
        self.writer = Some(Writer::new(wire));
        let taken = self.transaction(|wire| lanes::take_over(wire, owner, lanes));
        reach("take-over.committed");
        taken
    }

    fn lanes(&mut self, lanes: &[LaneId]) -> Result<Vec<Option<LaneRow>>, SinkError> {
        self.reading(|wire| lanes.iter().map(|&lane| lanes::row(wire, lane)).collect())
    }

    fn lane_ids(&mut self) -> Result<Vec<LaneId>, SinkError> {
        self.reading(lanes::ids)
    }

    fn adopt(&mut self, lanes: &[Adopted], incidents: &[Incident]) -> Result<(), SinkError> {
        self.transaction(|wire| {
            lanes::adopt(wire, lanes)?;
            incidents::declare(wire, incidents)
        })
    }

    fn declare(&mut self, incidents: &[Incident]) -> Result<(), SinkError> {
        self.transaction(|wire| incidents::declare(wire, incidents))
    }

    fn land(&mut self, landing: &Landing) -> Result<(), SinkError> {
        let works = plan::plan(landing)?;
        let tables = || {
            let mut names: Vec<_> = works.iter().map(Work::table).collect();
            names.sort_unstable();
            names.dedup();
            names.join(", ")
        };
        self.within((Purpose::Landing, End::Commit), tables, |writer, context| {
            protocol::land(landing, &works, &mut Statements { writer, context, landing })
        })
    }

    fn isolate(&mut self, landing: &Landing) -> Result<Vec<RefusedOp>, SinkError> {
        self.within((Purpose::Landing, End::Rollback), lane_table, |writer, context| {
            for step in &landing.lanes {
                writer.queue(&Asked::Lane(step.lane), &[lanes::advance(landing, step)])?;
            }
            writer.settle()?;
            let attempt = |_, op: &LandingOp| writer.attempt(context, landing, op);
            isolate(&landing.ops, attempt, class_of)
        })
    }

    fn letters(&mut self, after: u64, most: usize) -> Result<Vec<Letter>, SinkError> {
        self.reading(|wire| letters::page(wire, after, most))
    }
}

/// The statements of a landing.
struct Statements<'s> {
    writer: &'s mut Writer,
    context: &'s LandingContext,
    landing: &'s Landing,
}

impl protocol::Statements<&Work<'_>> for Statements<'_> {
    fn advance(&mut self, step: &LaneStep) -> Result<(), SinkError> {
        self.writer.queue(&Asked::Lane(step.lane), &[lanes::advance(self.landing, step)])
    }

    fn write(&mut self, work: &Work<'_>) -> Result<(), SinkError> {
        self.writer.write(self.context, work, self.landing.ordered, self.landing.time_ms)
    }

    fn letter(&mut self, step: &LetterStep) -> Result<(), SinkError> {
        self.writer.queue(&Asked::Own(letters::TABLE), &letters::written(step))
    }
}

fn lane_table() -> String {
    "landfall_lane".into()
}
