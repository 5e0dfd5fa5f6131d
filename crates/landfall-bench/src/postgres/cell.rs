//! What is measured: who lands, which rows, in which batches, over how many connections.
//! It must never let two cells of one comparison differ in anything but who lands.

use std::path::PathBuf;

use serde::Serialize;

use super::work::{Click, Item, Keys};

/// Rows a second that no connection of this machine lands: how many are made in advance.
const ROWS_PER_SECOND_MAX: f64 = 260_000.0;
const EVENTS_PER_SECOND_MAX: f64 = 700_000.0;

/// Who lands, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Method {
    RawUpsert,
    RawUpdate,
    RawCopyUpsert,
    SinkUpsert,
    RawAppend,
    RawCopy,
    SinkAppend,
    SinkKeys,
}

/// Which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rows {
    Upserts,
    Events,
    Keys,
}

impl Method {
    pub(super) const ALL: [Method; 8] = [
        Method::RawUpsert,
        Method::RawUpdate,
        Method::RawCopyUpsert,
        Method::SinkUpsert,
        Method::RawAppend,
        Method::RawCopy,
        Method::SinkAppend,
        Method::SinkKeys,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Method::RawUpsert => "by hand: unnest, sorted, ON CONFLICT",
            Method::RawUpdate => "by hand: UPDATE .. FROM unnest, sorted",
            Method::RawCopyUpsert => "by hand: COPY into temp, sorted, ON CONFLICT",
            Method::RawAppend => "by hand: unnest, ON CONFLICT DO NOTHING",
            Method::RawCopy => "by hand: COPY (a doubled event would be an error)",
            Method::SinkUpsert | Method::SinkAppend | Method::SinkKeys => "landfall's sink",
        }
    }

    pub(super) fn rows(self) -> Rows {
        match self {
            Method::RawUpsert | Method::RawUpdate | Method::RawCopyUpsert | Method::SinkUpsert => {
                Rows::Upserts
            }
            Method::RawAppend | Method::RawCopy | Method::SinkAppend => Rows::Events,
            Method::SinkKeys => Rows::Keys,
        }
    }

    pub(super) fn is_append(self) -> bool {
        self.rows() == Rows::Events
    }

    pub(super) fn is_sink(self) -> bool {
        matches!(self, Method::SinkUpsert | Method::SinkAppend | Method::SinkKeys)
    }
}

/// The database that all share.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) database: String,
    /// Over the socket too.
    pub(super) url: String,
}

/// One measurement.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) method: Method,
    pub(super) connections: u32,
    pub(super) batch_rows: usize,
    pub(super) seconds: f64,
    /// Counts the cells of the run.
    pub(super) number: u64,
    pub(super) keys: Keys,
    /// The first row of this cell: no two cells write the same keys one after the other.
    pub(super) first: u64,
}

impl Cell {
    fn batches(&self, rows_per_second_max: f64) -> u64 {
        let rows = rows_per_second_max * self.seconds;
        (rows / self.batch_rows as f64).ceil().max(1.0) as u64
    }

    fn numbers(&self, connection: u32, batch: u64) -> impl Iterator<Item = u64> + use<> {
        let (connections, rows) = (u64::from(self.connections), self.batch_rows as u64);
        let (first, connection) = (self.first, u64::from(connection));
        (batch * rows..(batch + 1) * rows).map(move |number| first + number * connections + connection)
    }

    /// The batches of a connection, each sorted, no row twice in one and none of them another connection's.
    pub(super) fn items(&self, connection: u32) -> Vec<Vec<Item>> {
        let one = |batch| {
            let mut items: Vec<Item> = self
                .numbers(connection, batch)
                .map(|number| Item::new(self.keys.at(number), self.number))
                .collect();
            if !self.method.is_sink() {
                items.sort_unstable_by_key(|item| item.id);
            }
            items
        };
        (0..self.batches(ROWS_PER_SECOND_MAX)).map(one).collect()
    }

    pub(super) fn clicks(&self, connection: u32) -> Vec<Vec<Click>> {
        let one =
            |batch| self.numbers(connection, batch).map(|number| Click::new(self.number, number)).collect();
        (0..self.batches(EVENTS_PER_SECOND_MAX)).map(one).collect()
    }

    /// How many numbers the cell may use.
    pub(super) fn span(&self) -> u64 {
        self.batches(ROWS_PER_SECOND_MAX) * self.batch_rows as u64 * u64::from(self.connections)
    }
}
