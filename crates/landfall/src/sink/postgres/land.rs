//! Lands a batch in one transaction: the lanes' compare-and-set first, then the rows, then COMMIT.
//! After any error nothing more runs in the transaction: it is rolled back before the error is returned.
//!
//! A landing is three flights: BEGIN, whose answer tells which transaction it is; all that it writes, which goes out without
//! waiting, and of which the server stops by itself at the first statement that fails, the compare-and-set included; and
//! COMMIT, which goes out only when every answer has come and every lane's row was changed.

use std::collections::HashMap;
use std::sync::Arc;

use super::audit::Audit;
use super::frame::{self, Purpose};
use super::key_value::Stored;
use super::mapped::Mapped;
use super::plan::{self, Work};
use super::wire::{Failure, Step, Wire};
use super::{PostgresDatabase, errors, incidents, key_value, lanes, letters};
use crate::env::failpoint::reach;
use crate::error::SinkError;
use crate::model::{Incident, LaneId, LaneRow, Letter, Name, Owner, Value, Watermark};
use crate::sink::isolate::isolate;
use crate::sink::parts::{class_of, no_such_table};
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

struct Writer {
    wire: Wire,
    tables: HashMap<String, Arc<Mapped>>,
    audits: HashMap<String, Arc<Audit>>,
    /// What the queued statements are for, one by one.
    asked: Vec<Asked>,
}

/// What a statement is for: how its answer is understood, and what its failure means.
#[derive(Clone)]
enum Asked {
    Frame,
    Lane(LaneId),
    /// One of Landfall's own tables.
    Own(&'static str),
    /// A user's table, and the columns that are set.
    Rows(Arc<Mapped>, Arc<[usize]>),
}

impl Asked {
    fn failed(&self, failure: Failure) -> SinkError {
        match self {
            Asked::Frame => errors::plain("landfall_lane", failure),
            Asked::Lane(lane) => lanes::not_moved(*lane, failure),
            Asked::Own(table) => errors::plain(table, failure),
            Asked::Rows(mapped, columns) => mapped.failed(failure, columns),
        }
    }
}

impl Writer {
    fn new(wire: Wire) -> Writer {
        Writer { wire, tables: HashMap::new(), audits: HashMap::new(), asked: Vec::new() }
    }

    fn forget_tables(&mut self) {
        self.tables.clear();
        self.audits.clear();
    }

    /// Queues statements; [`settle`](Writer::settle) tells what became of them.
    fn queue(&mut self, asked: &Asked, steps: &[Step]) -> Result<(), SinkError> {
        self.asked.extend(steps.iter().map(|_| asked.clone()));
        self.wire.queue(steps).map_err(|failure| asked.failed(failure))
    }

    /// Waits for all that is queued. The first failure counts; before it every lane must have moved.
    fn settle(&mut self) -> Result<(), SinkError> {
        if self.asked.is_empty() {
            return Ok(());
        }
        let asked = std::mem::take(&mut self.asked);
        let (answers, failure) = self.wire.exchange();
        for (asked, answer) in asked.iter().zip(&answers) {
            if let Asked::Lane(lane) = asked {
                lanes::has_moved(*lane, answer)?;
            }
        }
        match failure {
            Some(failure) => Err(asked.get(answers.len()).unwrap_or(&Asked::Frame).failed(failure)),
            None => Ok(()),
        }
    }

    /// The connection, with nothing queued.
    fn settled(&mut self) -> Result<&mut Wire, SinkError> {
        self.settle()?;
        Ok(&mut self.wire)
    }

    /// Lets go of what is queued.
    fn abandon(&mut self) {
        self.asked.clear();
        self.wire.abandon();
    }

    fn run(&mut self, sql: &'static str) -> Result<(), SinkError> {
        self.queue(&Asked::Frame, &[Step::bare(sql)])?;
        self.settle()
    }

    /// Writes one operation, or nothing of it when it is refused.
    fn attempt(
        &mut self,
        context: &LandingContext,
        landing: &Landing,
        op: &LandingOp,
    ) -> Result<(), SinkError> {
        self.run("SAVEPOINT landfall_op")?;
        let written = plan::alone(op).and_then(|work| self.write(context, &work, true, landing.time_ms));
        match written.and_then(|()| self.settle()) {
            Ok(()) => self.run("RELEASE landfall_op"),
            Err(refusal @ SinkError::Refused { .. }) => {
                self.abandon();
                self.run("ROLLBACK TO landfall_op")?;
                self.run("RELEASE landfall_op")?;
                Err(refusal)
            }
            Err(error) => Err(error),
        }
    }

    fn write(
        &mut self,
        context: &LandingContext,
        work: &Work<'_>,
        ordered: bool,
        time_ms: u64,
    ) -> Result<(), SinkError> {
        match work {
            Work::Clear => self.queue(&Asked::Own(key_value::TABLE), &key_value::clear()),
            Work::Keys(ops) => self.keys(ops),
            Work::Delete { table, keys } => {
                let mapped = self.mapped(context, table)?;
                let keyed: Vec<&[Value]> = keys.iter().map(Vec::as_slice).collect();
                let delete = [mapped.delete(keys)?];
                self.rows(context, &mapped, &keyed, (&delete, &[]), time_ms)
            }
            Work::Upsert { table, rows } => {
                let mapped = self.mapped(context, table)?;
                let (steps, columns) = mapped.upsert(rows, ordered)?;
                let keyed: Vec<&[Value]> = rows.iter().map(|(key, _)| key.as_slice()).collect();
                self.rows(context, &mapped, &keyed, (&steps, &columns), time_ms)
            }
            Work::Append { table, rows } => self.append(context, table, rows),
        }
    }

    fn keys(&mut self, ops: &[key_value::KeyOp<'_>]) -> Result<(), SinkError> {
        let stored = match key_value::added(ops) {
            Some(steps) => {
                let answers = self.settled()?.run(&steps);
                Stored::read(&answers.map_err(|failure| errors::plain(key_value::TABLE, failure))?)
            }
            None => Stored::default(),
        };
        self.queue(&Asked::Own(key_value::TABLE), &key_value::change(ops, &stored)?)
    }

    /// Many events go by COPY, which stops at one that is there already: then, and that is seldom, they go again by a
    /// statement that leaves it out.
    fn append(
        &mut self,
        context: &LandingContext,
        table: &str,
        rows: &[&[(Name, Value)]],
    ) -> Result<(), SinkError> {
        let mapped = self.mapped(context, table)?;
        let (columns, copy) = mapped.copy(rows)?;
        let asked = Asked::Rows(Arc::clone(&mapped), columns.clone().into());
        if let Some(copy) = copy {
            self.queue(&Asked::Frame, &[Step::bare("SAVEPOINT landfall_copy")])?;
            self.queue(&asked, &[copy])?;
            match self.settle() {
                Ok(()) => return Ok(()),
                Err(SinkError::Refused { .. }) => self.run("ROLLBACK TO landfall_copy")?,
                Err(error) => return Err(error),
            }
        }
        self.queue(&asked, &[mapped.append(&columns, rows)?])
    }

    /// Runs statements that change these rows, and records what became of them where the table has a change log.
    fn rows(
        &mut self,
        context: &LandingContext,
        mapped: &Arc<Mapped>,
        keys: &[&[Value]],
        (steps, columns): (&[Step], &[usize]),
        time_ms: u64,
    ) -> Result<(), SinkError> {
        match self.audit(context, mapped)? {
            Some(audit) => audit.record(self.settled()?, mapped, keys, (steps, columns), time_ms),
            None => self.queue(&Asked::Rows(Arc::clone(mapped), columns.into()), steps),
        }
    }

    fn audit(&mut self, context: &LandingContext, mapped: &Mapped) -> Result<Option<Arc<Audit>>, SinkError> {
        let table = &mapped.table;
        let Some((_, log)) = context.audits.iter().find(|(audited, _)| **audited == *table.name) else {
            return Ok(None);
        };
        if let Some(known) = self.audits.get(&*table.name) {
            return Ok(Some(Arc::clone(known)));
        }
        let planned = Arc::new(Audit::plan(self.settled()?, &context.catalogue, table, log)?);
        self.audits.insert(table.name.to_string(), Arc::clone(&planned));
        Ok(Some(planned))
    }

    fn mapped(&mut self, context: &LandingContext, name: &str) -> Result<Arc<Mapped>, SinkError> {
        if let Some(known) = self.tables.get(name) {
            return Ok(Arc::clone(known));
        }
        let table = context.catalogue.table(name).ok_or_else(|| no_such_table(name))?;
        let mapped = Arc::new(Mapped::new(self.settled()?, table)?);
        self.tables.insert(name.to_owned(), Arc::clone(&mapped));
        Ok(mapped)
    }
}

fn lane_table() -> String {
    "landfall_lane".into()
}
