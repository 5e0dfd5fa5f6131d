//! Lands a batch in one transaction: the lanes' compare-and-set first, then the rows, then COMMIT.
//! After any error nothing more runs in the transaction: it is rolled back before the error is returned.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::Connection;

use super::audit::Audit;
use super::errors::{classify, classify_commit};
use super::key_value::Keys;
use super::place::Place;
use super::planned::{Planned, in_order, planned};
use super::rows::Mapped;
use super::{SqliteDatabase, connect, incidents, key_value, lanes, letters};
use crate::env::failpoint::reach;
use crate::error::SinkError;
use crate::model::row::RowName;
use crate::model::{Incident, LaneId, LaneRow, Letter, Owner, Reason, Watermark};
use crate::sink::isolate::isolate;
use crate::sink::parts::{class_of, no_such_table};
use crate::sink::{
    Adopted, Landing, LandingContext, LandingOp, LaneStep, LetterStep, RefusedOp, Sink, protocol,
};

/// The writing connection.
pub(super) struct SqliteSink {
    database: SqliteDatabase,
    context: LandingContext,
    /// None after an error that may have broken it; the next call opens another.
    writer: Option<Writer>,
}

impl SqliteSink {
    pub(super) fn open(database: SqliteDatabase, context: LandingContext) -> Result<SqliteSink, SinkError> {
        let writer = Writer::open(&database)?;
        Ok(SqliteSink { database, context, writer: Some(writer) })
    }

    /// Runs `work` in a transaction that holds the write lock from its start.
    fn transaction<T>(
        &mut self,
        tables: impl FnOnce() -> String,
        work: impl FnOnce(&mut Writer, &LandingContext) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        self.within(("BEGIN IMMEDIATE", End::Commit), tables, work)
    }

    /// Runs `work`, which only reads, in a transaction, so that all it reads is of one moment.
    fn reading<T>(
        &mut self,
        work: impl FnOnce(&mut Writer, &LandingContext) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        self.within(("BEGIN", End::Commit), lane_table, work)
    }

    fn within<T>(
        &mut self,
        frame: (&str, End),
        tables: impl FnOnce() -> String,
        work: impl FnOnce(&mut Writer, &LandingContext) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => Writer::open(&self.database)?,
        };
        let outcome = writer.transaction(frame, &self.context, tables, work);
        let is_sound = match &outcome {
            Ok(_) => true,
            // SQLite answered, and the transaction is over: the connection can go on.
            Err(SinkError::Busy(_) | SinkError::Refused { .. } | SinkError::Fenced { .. }) => {
                writer.connection.is_autocommit()
            }
            Err(_) => false,
        };
        self.writer = is_sound.then_some(writer);
        outcome
    }
}

impl Sink for SqliteSink {
    fn create_lanes(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<(), SinkError> {
        self.transaction(lane_table, |writer, _| lanes::create(&writer.connection, owner, lanes))
    }

    fn take_over(&mut self, owner: &Owner, lanes: &[LaneId]) -> Result<Vec<Watermark>, SinkError> {
        reach("take-over.begin");
        let taken =
            self.transaction(lane_table, |writer, _| lanes::take_over(&writer.connection, owner, lanes));
        reach("take-over.committed");
        taken
    }

    fn lanes(&mut self, lanes: &[LaneId]) -> Result<Vec<Option<LaneRow>>, SinkError> {
        self.reading(|writer, _| lanes.iter().map(|&lane| lanes::row(&writer.connection, lane)).collect())
    }

    fn lane_ids(&mut self) -> Result<Vec<LaneId>, SinkError> {
        self.reading(|writer, _| lanes::ids(&writer.connection))
    }

    fn adopt(&mut self, lanes: &[Adopted], incidents: &[Incident]) -> Result<(), SinkError> {
        self.transaction(lane_table, |writer, _| {
            lanes::adopt(&writer.connection, lanes)?;
            incidents::declare(&writer.connection, incidents)
        })
    }

    fn declare(&mut self, incidents: &[Incident]) -> Result<(), SinkError> {
        self.transaction(
            || "landfall_incident".into(),
            |writer, _| incidents::declare(&writer.connection, incidents),
        )
    }

    fn land(&mut self, landing: &Landing) -> Result<(), SinkError> {
        self.transaction(
            || tables_of(landing),
            |writer, context| {
                let ops = in_order(landing)?;
                let Writer { connection, tables, .. } = writer;
                let keys = Keys::new(connection);
                protocol::land(landing, ops, &mut Statements { connection, tables, keys, context, landing })
            },
        )
    }

    fn isolate(&mut self, landing: &Landing) -> Result<Vec<RefusedOp>, SinkError> {
        // What ends the whole transaction when it is refused; it begins anew without them.
        let mut ending: BTreeMap<usize, SinkError> = BTreeMap::new();
        loop {
            let known = ending.len();
            let outcome = self.within(("BEGIN IMMEDIATE", End::Rollback), lane_table, |writer, context| {
                for step in &landing.lanes {
                    lanes::advance(&writer.connection, landing, step)?;
                }
                let attempt = |number, op: &LandingOp| match ending.get(&number) {
                    Some(refusal) => Err(refusal.clone()),
                    None => writer.attempt(context, landing.time_ms, op).map_err(|failure| match failure {
                        Attempted::Refused(refusal) | Attempted::Failed(refusal) => refusal,
                        Attempted::Ended(refusal) => {
                            ending.insert(number, refusal);
                            SinkError::Busy("a refused row ended the transaction".into())
                        }
                    }),
                };
                isolate(&landing.ops, attempt, class_of)
            });
            match outcome {
                Err(_) if ending.len() > known && ending.len() < ENDING_MAX => {}
                // Enough for one time: these are guilty whatever the others are.
                Err(_) if ending.len() > known => {
                    return Ok(ending.into_iter().filter_map(refused_op).collect());
                }
                outcome => return outcome,
            }
        }
    }

    fn letters(&mut self, after: u64, most: usize) -> Result<Vec<Letter>, SinkError> {
        self.reading(|writer, _| letters::page(&writer.connection, after, most))
    }
}

/// The statements of a landing.
struct Statements<'s> {
    connection: &'s Connection,
    tables: &'s mut Tables,
    keys: Keys<'s>,
    context: &'s LandingContext,
    landing: &'s Landing,
}

impl protocol::Statements<Planned<'_>> for Statements<'_> {
    fn advance(&mut self, step: &LaneStep) -> Result<(), SinkError> {
        lanes::advance(self.connection, self.landing, step)
    }

    fn write(&mut self, op: Planned<'_>) -> Result<(), SinkError> {
        write((self.connection, self.tables, &mut self.keys), self.context, self.landing.time_ms, &op)
    }

    fn letter(&mut self, step: &LetterStep) -> Result<(), SinkError> {
        letters::write(self.connection, step)
    }
}

/// How a transaction ends when nothing fails in it.
#[derive(Clone, Copy)]
enum End {
    Commit,
    Rollback,
}

struct Writer {
    connection: Connection,
    place: Place,
    tables: Tables,
}

/// The mapped tables that were written so far.
type Tables = HashMap<String, Arc<Target>>;

/// Why an operation was not written.
enum Attempted {
    /// It is refused, and left no trace.
    Refused(SinkError),
    /// It is refused, and the transaction is over.
    Ended(SinkError),
    /// Something else failed.
    Failed(SinkError),
}

/// So many operations that end their transaction are looked for at once; each costs a round over all.
const ENDING_MAX: usize = 64;

fn refused_op((op, refusal): (usize, SinkError)) -> Option<RefusedOp> {
    let SinkError::Refused { table, reason } = refusal else { return None };
    let class = class_of(&reason).into();
    Some(RefusedOp { op, reason: Reason { table: table.into(), class, text: reason.into() } })
}

/// A mapped table, and its change log if it has one.
struct Target {
    mapped: Mapped,
    audit: Option<Audit>,
}

impl Writer {
    fn open(database: &SqliteDatabase) -> Result<Writer, SinkError> {
        let place = Place::of(&database.path)?;
        let connection = connect::writer(&database.path, &database.settings)?;
        place.check()?;
        Ok(Writer { connection, place, tables: HashMap::new() })
    }

    fn transaction<T>(
        &mut self,
        (begin, end): (&str, End),
        context: &LandingContext,
        tables: impl FnOnce() -> String,
        work: impl FnOnce(&mut Writer, &LandingContext) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        self.place.check()?;
        self.run(begin).map_err(|error| classify("landfall_lane", &error))?;
        // Asked again at the end: what is committed into a file without a name is gone with the connection.
        let worked = work(self, context).and_then(|done| self.place.check().map(|()| done));
        let outcome = worked.and_then(|done| match end {
            End::Commit => match self.run("COMMIT") {
                Ok(()) => Ok(done),
                Err(error) => Err(classify_commit(&tables(), &error)),
            },
            End::Rollback => match self.run("ROLLBACK") {
                Ok(()) => Ok(done),
                Err(error) => Err(classify("landfall_lane", &error)),
            },
        });
        if outcome.is_err() {
            // The schema may have changed: what is known of the tables is read again.
            self.tables.clear();
            // Some errors have rolled back already. If this fails, the transaction is still open, which the caller
            // sees and drops the connection; that rolls back for sure.
            if !self.connection.is_autocommit() {
                self.run("ROLLBACK").ok();
            }
        }
        outcome
    }

    /// Writes one operation, or nothing of it when it is refused.
    fn attempt(&mut self, context: &LandingContext, time_ms: u64, op: &LandingOp) -> Result<(), Attempted> {
        let failed = |error| Attempted::Failed(classify("landfall_lane", &error));
        self.run("SAVEPOINT landfall_op").map_err(failed)?;
        match planned(op).and_then(|op| self.write(context, time_ms, &op)) {
            Ok(()) => self.run("RELEASE landfall_op").map_err(failed),
            // A constraint with ON CONFLICT ROLLBACK, or a trigger that raises it: a savepoint now would commit.
            Err(refusal @ SinkError::Refused { .. }) if self.connection.is_autocommit() => {
                Err(Attempted::Ended(refusal))
            }
            Err(refusal @ SinkError::Refused { .. }) => {
                self.run("ROLLBACK TO landfall_op").map_err(failed)?;
                self.run("RELEASE landfall_op").map_err(failed)?;
                Err(Attempted::Refused(refusal))
            }
            Err(error) => Err(Attempted::Failed(error)),
        }
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }

    fn write(&mut self, context: &LandingContext, time_ms: u64, op: &Planned<'_>) -> Result<(), SinkError> {
        let mut keys = Keys::new(&self.connection);
        write((&self.connection, &mut self.tables, &mut keys), context, time_ms, op)
    }
}

fn write(
    (connection, tables, keys): (&Connection, &mut Tables, &mut Keys<'_>),
    context: &LandingContext,
    time_ms: u64,
    op: &Planned<'_>,
) -> Result<(), SinkError> {
    match op {
        Planned::Clear => key_value::clear(connection),
        Planned::Key { lane, key, change } => keys.change(*lane, key, change),
        Planned::Append { table, columns } => {
            target(connection, tables, context, table)?.mapped.append(connection, columns)
        }
        Planned::Row { table, key, change } => {
            let target = target(connection, tables, context, table)?;
            let Some(audit) = &target.audit else {
                return target.mapped.change(connection, key, change);
            };
            let bound = target.mapped.bind_key(key)?;
            let old = target.mapped.stored(connection, &bound)?;
            target.mapped.change(connection, key, change)?;
            audit.record(connection, &target.mapped, &bound, old.as_deref(), time_ms)
        }
    }
}

fn target(
    connection: &Connection,
    tables: &mut Tables,
    context: &LandingContext,
    name: &str,
) -> Result<Arc<Target>, SinkError> {
    if let Some(target) = tables.get(name) {
        return Ok(Arc::clone(target));
    }
    let table = context.catalogue.table(name).ok_or_else(|| no_such_table(name))?;
    let mapped = Mapped::new(connection, table)?;
    let log = context.audits.iter().find(|(audited, _)| audited == name);
    let audit = log.map(|(_, log)| Audit::plan(&context.catalogue, table, log)).transpose()?;
    let target = Arc::new(Target { mapped, audit });
    tables.insert(name.to_owned(), Arc::clone(&target));
    Ok(target)
}

fn lane_table() -> String {
    "landfall_lane".into()
}

/// The tables of a landing, for an error that SQLite tells only at COMMIT (a deferred foreign key).
fn tables_of(landing: &Landing) -> String {
    let mut names: Vec<String> = landing
        .ops
        .iter()
        .filter_map(|op| match op {
            LandingOp::Clear => Some("landfall_key".into()),
            LandingOp::Append { table, .. } => Some(table.to_string()),
            LandingOp::Row { row, .. } => match row.decode() {
                Ok(RowName::Table { table, .. }) => Some(table.to_owned()),
                _ => None,
            },
        })
        .collect();
    names.sort();
    names.dedup();
    names.join(", ")
}
