//! Sample databases for `demo`, `setup`, the benchmarks and the tests; they must never be written into a database that
//! already has tables of the same names.
//!
//! [`airport`] generates the rows and knows no database. [`sqlite`] holds the schema for SQLite and loads the rows.
//! [`borrowed`] looks into a loaded one and puts it back as it was.

pub mod airport;
#[cfg(feature = "sqlite")]
pub mod borrowed;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "sqlite")]
mod sqlite_schema;
#[cfg(all(test, feature = "sqlite"))]
mod sqlite_tests;
