//! A landing connection with what is queued on it: which statements write what, and what their failures mean.
//! It never sends COMMIT: who asks for it has to wait for every answer first.

use std::collections::HashMap;
use std::sync::Arc;

use super::audit::Audit;
use super::key_value::Stored;
use super::mapped::Mapped;
use super::plan::{self, Work};
use super::wire::{Failure, Step, Wire};
use super::{errors, key_value, lanes};
use crate::error::SinkError;
use crate::model::{LaneId, Name, Value};
use crate::sink::parts::no_such_table;
use crate::sink::{Landing, LandingContext, LandingOp};

/// See the [module](self).
pub(super) struct Writer {
    pub(super) wire: Wire,
    tables: HashMap<String, Arc<Mapped>>,
    audits: HashMap<String, Arc<Audit>>,
    /// What the queued statements are for, one by one.
    asked: Vec<Asked>,
}

/// What a statement is for: how its answer is understood, and what its failure means.
#[derive(Clone)]
pub(super) enum Asked {
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
    pub(super) fn new(wire: Wire) -> Writer {
        Writer { wire, tables: HashMap::new(), audits: HashMap::new(), asked: Vec::new() }
    }

    pub(super) fn forget_tables(&mut self) {
        self.tables.clear();
        self.audits.clear();
    }

    /// Queues statements; [`settle`](Writer::settle) tells what became of them.
    pub(super) fn queue(&mut self, asked: &Asked, steps: &[Step]) -> Result<(), SinkError> {
        self.asked.extend(steps.iter().map(|_| asked.clone()));
        self.wire.queue(steps).map_err(|failure| asked.failed(failure))
    }

    /// Waits for all that is queued. The first failure counts; before it every lane must have moved.
    pub(super) fn settle(&mut self) -> Result<(), SinkError> {
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
    pub(super) fn abandon(&mut self) {
        self.asked.clear();
        self.wire.abandon();
    }

    fn run(&mut self, sql: &'static str) -> Result<(), SinkError> {
        self.queue(&Asked::Frame, &[Step::bare(sql)])?;
        self.settle()
    }

    /// Writes one operation, or nothing of it when it is refused.
    pub(super) fn attempt(
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

    pub(super) fn write(
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
