//! The suite of the seam against a private PostgreSQL, and what only PostgreSQL does.

use landfall_sim::servers::Postgres;

use super::*;
use crate::sink::conformance::{self, suite};

/// The tables of the suite, with the types that PostgreSQL has.
fn tables() -> String {
    conformance::TABLES.replace("blob", "bytea")
}

/// A database of its own on a server that the tests of one moment share.
struct Fixture {
    database: PostgresDatabase,
    server: Arc<Postgres>,
    name: String,
}

/// A new database with these tables, or none where this machine has no PostgreSQL.
fn with(test: &str, schema: &str) -> Option<Fixture> {
    let server = Postgres::shared_or_skip(&format!("sink::postgres::tests::{test}"))?;
    let name = server.new_database().unwrap();
    server.psql(&name, schema).unwrap();
    let settings = PostgresSettings::parse(&server.url(&name)).unwrap();
    let database = PostgresDatabase::new(settings, crate::env::real().clock);
    database.set_up().unwrap();
    Some(Fixture { database, server, name })
}

impl Fixture {
    /// What another program sees.
    fn psql(&self, sql: &str) -> String {
        self.server.psql(&self.name, sql).unwrap()
    }
}

impl Database for Fixture {
    fn describe(&self) -> String {
        self.database.describe()
    }

    fn identity(&self) -> Result<Option<[u8; 16]>, SinkError> {
        self.database.identity()
    }

    fn set_up(&self) -> Result<(), SinkError> {
        self.database.set_up()
    }

    fn catalogue(&self) -> Result<Catalogue, SinkError> {
        self.database.catalogue()
    }

    fn sink(&self, context: LandingContext) -> Result<Box<dyn Sink>, SinkError> {
        self.database.sink(context)
    }

    fn source(&self, context: LandingContext) -> Result<Box<dyn Source>, SinkError> {
        self.database.source(context)
    }

    fn sinks_max(&self) -> usize {
        self.database.sinks_max()
    }
}

suite!(skipping with);
