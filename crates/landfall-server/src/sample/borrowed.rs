//! A look into an airport database that the demo uses, past the server; and, for one that belongs to a user, the way back
//! to what it held before. It must never change a row that was not remembered first.
//!
//! The server is the only one that writes while it runs: [`Borrowed::put_back`] is for afterwards.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

/// How long another process may hold the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The tables that the demo reads and writes.
const NEEDED: [&str; 7] = ["flight", "airport", "airline", "airplane", "flight_log", "booking", "passenger"];

/// How many bookings the demo makes.
const BOOKINGS: i64 = 3;

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BorrowError {
    /// It is not the sample.
    #[error(
        "the database has no table {table}, so it is no airport sample; make one with: \
         landfall setup --sample airport --database sqlite:FILE"
    )]
    NoSample {
        /// The first table that is missing.
        table: &'static str,
    },
    /// A server has landed here before, and its log would no longer agree with the database.
    #[error(
        "the database already belongs to the log of a Landfall server (it has tables named landfall_..), and the \
         demo has a log of its own; give it a copy of the file"
    )]
    Owned,
    /// There is no such file.
    #[error("there is no such file; make one with: landfall setup --sample airport --database sqlite:FILE")]
    NoFile,
    /// Nobody is there to book a seat for.
    #[error("the table passenger is empty, so the demo has nobody to book a seat for")]
    NoPassenger,
    /// SQLite refused.
    #[error("the database cannot be used")]
    Database(#[from] rusqlite::Error),
}

/// What a change-log row says of one change of a flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// The departure before.
    pub departure_old: String,
    /// The departure after.
    pub departure_new: String,
    /// The arrival before.
    pub arrival_old: String,
    /// The arrival after.
    pub arrival_new: String,
}

/// What the demo may book: numbers of bookings and seats of a flight that nobody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpareBookings {
    /// The first of three numbers.
    pub first_id: i64,
    /// Seats.
    pub seats: [String; BOOKINGS as usize],
    /// A passenger, for all of them.
    pub passenger: i64,
}

/// A database that the demo uses.
#[derive(Debug)]
pub struct Borrowed {
    path: PathBuf,
    /// The last row of the change log before the demo.
    last_log_row: i64,
    originals: Vec<Original>,
    /// The bookings that the demo makes: their first number, the flight, the passenger.
    booked: Option<(i64, i64, i64)>,
}

/// A row as it was.
#[derive(Debug)]
struct Original {
    table: &'static str,
    key: &'static str,
    id: i64,
    columns: Vec<(&'static str, Value)>,
}

impl Borrowed {
    /// Looks whether the database can be used; changes nothing.
    ///
    /// # Errors
    /// [`BorrowError`].
    pub fn open(path: &Path) -> Result<Borrowed, BorrowError> {
        if !path.exists() {
            return Err(BorrowError::NoFile);
        }
        let connection = reader(path)?;
        if let Some(table) = missing(&connection)? {
            return Err(BorrowError::NoSample { table });
        }
        if !own_objects(&connection)?.is_empty() {
            return Err(BorrowError::Owned);
        }
        let last_log_row =
            connection
                .query_row(r#"SELECT coalesce(max(rowid), 0) FROM "flight_log""#, [], |row| row.get(0))?;
        Ok(Borrowed { path: path.to_owned(), last_log_row, originals: Vec::new(), booked: None })
    }

    /// The first flights, with their numbers.
    ///
    /// # Errors
    /// [`BorrowError::Database`].
    pub fn flights(&self, count: usize) -> Result<Vec<(i64, String)>, BorrowError> {
        let connection = reader(&self.path)?;
        let mut statement = connection
            .prepare(r#"SELECT "flight_id", "flightno" FROM "flight" ORDER BY "flight_id" LIMIT ?1"#)?;
        let rows = statement.query_map([count as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether there is such a flight.
    ///
    /// # Errors
    /// [`BorrowError::Database`].
    pub fn has_flight(&self, id: i64) -> Result<bool, BorrowError> {
        let query = r#"SELECT EXISTS (SELECT 1 FROM "flight" WHERE "flight_id" = ?1)"#;
        Ok(reader(&self.path)?.query_row(query, [id], |row| row.get(0))?)
    }

    /// Remembers the times of a flight, for [`Borrowed::put_back`].
    ///
    /// # Errors
    /// [`BorrowError::Database`].
    pub fn remember_flight(&mut self, id: i64) -> Result<(), BorrowError> {
        self.remember("flight", "flight_id", id, &["departure", "arrival"])
    }

    /// Remembers the seats of an airplane, for [`Borrowed::put_back`].
    ///
    /// # Errors
    /// [`BorrowError::Database`].
    pub fn remember_airplane(&mut self, id: i64) -> Result<(), BorrowError> {
        self.remember("airplane", "airplane_id", id, &["capacity"])
    }

    /// What may be booked on a flight; remembered, for [`Borrowed::put_back`].
    ///
    /// # Errors
    /// [`BorrowError::Database`], [`BorrowError::NoPassenger`].
    pub fn spare_bookings(&mut self, flight: i64) -> Result<SpareBookings, BorrowError> {
        let connection = reader(&self.path)?;
        let first_id: i64 = connection.query_row(
            r#"SELECT coalesce(max("booking_id"), 0) + 1 FROM "booking""#,
            [],
            |row| row.get(0),
        )?;
        let passenger: Option<i64> =
            connection.query_row(r#"SELECT min("passenger_id") FROM "passenger""#, [], |row| row.get(0))?;
        let mut taken =
            connection.prepare(r#"SELECT 1 FROM "booking" WHERE "flight_id" = ?1 AND trim("seat") = ?2"#)?;
        let mut free = Vec::new();
        for number in 1.. {
            let seat = format!("Z{number}");
            if !taken.exists((flight, &seat))? {
                free.push(seat);
            }
            if free.len() == BOOKINGS as usize {
                break;
            }
        }
        let seats = std::array::from_fn(|at| free[at].clone());
        let passenger = passenger.ok_or(BorrowError::NoPassenger)?;
        self.booked.get_or_insert((first_id, flight, passenger));
        Ok(SpareBookings { first_id, seats, passenger })
    }

    fn remember(
        &mut self,
        table: &'static str,
        key: &'static str,
        id: i64,
        columns: &[&'static str],
    ) -> Result<(), BorrowError> {
        if self.originals.iter().any(|row| row.table == table && row.id == id) {
            return Ok(());
        }
        let names: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
        let query = format!("SELECT {} FROM \"{table}\" WHERE \"{key}\" = ?1", names.join(", "));
        let connection = reader(&self.path)?;
        let row = connection
            .query_row(&query, [id], |row| {
                columns.iter().enumerate().map(|(at, column)| Ok((*column, row.get(at)?))).collect()
            })
            .optional()?;
        if let Some(columns) = row {
            self.originals.push(Original { table, key, id, columns });
        }
        Ok(())
    }

    /// The newest change-log row that the demo caused for a flight.
    ///
    /// # Errors
    /// [`BorrowError::Database`].
    pub fn newest_log_row(&self, flight: i64) -> Result<Option<LogRow>, BorrowError> {
        let query = r#"SELECT "departure_old", "departure_new", "arrival_old", "arrival_new" FROM "flight_log"
             WHERE "flight_id" = ?1 AND rowid > ?2 ORDER BY rowid DESC LIMIT 1"#;
        let row = reader(&self.path)?.query_row(query, [flight, self.last_log_row], |row| {
            Ok(LogRow {
                departure_old: row.get(0)?,
                departure_new: row.get(1)?,
                arrival_old: row.get(2)?,
                arrival_new: row.get(3)?,
            })
        });
        Ok(row.optional()?)
    }

    /// Puts everything back: the remembered rows, the change log, and no tables of Landfall. One transaction; the
    /// server must have ended. Returns whether the remembered rows read as before.
    ///
    /// # Errors
    /// [`BorrowError::Database`]; nothing was changed then.
    pub fn put_back(&self) -> Result<bool, BorrowError> {
        let mut connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for row in &self.originals {
            for (column, value) in &row.columns {
                let statement =
                    format!("UPDATE \"{}\" SET \"{column}\" = ?1 WHERE \"{}\" = ?2", row.table, row.key);
                transaction.execute(&statement, (value, row.id))?;
            }
            if row.table == "flight" {
                let statement = r#"DELETE FROM "flight_log" WHERE "flight_id" = ?1 AND rowid > ?2"#;
                transaction.execute(statement, (row.id, self.last_log_row))?;
            }
        }
        if let Some((first, flight, passenger)) = self.booked {
            // Somebody else may have used the numbers meanwhile.
            let statement = r#"DELETE FROM "booking"
                 WHERE "booking_id" BETWEEN ?1 AND ?2 AND "flight_id" = ?3 AND "passenger_id" = ?4"#;
            transaction.execute(statement, (first, first + BOOKINGS - 1, flight, passenger))?;
        }
        for (kind, name) in own_objects(&transaction)? {
            transaction.execute_batch(&format!("DROP {kind} IF EXISTS \"{name}\""))?;
        }
        transaction.commit()?;
        self.is_as_before(&connection)
    }

    fn is_as_before(&self, connection: &Connection) -> Result<bool, BorrowError> {
        for row in &self.originals {
            for (column, value) in &row.columns {
                let query = format!("SELECT \"{column}\" FROM \"{}\" WHERE \"{}\" = ?1", row.table, row.key);
                let now: Value = connection.query_row(&query, [row.id], |row| row.get(0))?;
                if now != *value {
                    return Ok(false);
                }
            }
        }
        Ok(own_objects(connection)?.is_empty())
    }
}

fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

fn missing(connection: &Connection) -> rusqlite::Result<Option<&'static str>> {
    for table in NEEDED {
        if !has_table(connection, table)? {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let query = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)";
    connection.query_row(query, [name], |row| row.get(0))
}

/// Landfall's own tables and views, views first, as they name the tables.
fn own_objects(connection: &Connection) -> rusqlite::Result<Vec<(&'static str, String)>> {
    let query = r"SELECT type = 'view', name FROM sqlite_schema
         WHERE type IN ('table', 'view') AND name LIKE 'landfall\_%' ESCAPE '\' ORDER BY type = 'view' DESC";
    let mut statement = connection.prepare(query)?;
    let rows = statement.query_map([], |row| {
        let kind = if row.get(0)? { "VIEW" } else { "TABLE" };
        Ok((kind, row.get(1)?))
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::airport::{Airport, DEFAULT_SEED, Scale};
    use crate::sample::sqlite::load_file;

    fn sample() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("airport.db");
        load_file(&path, &Airport::new(Scale::Tiny, DEFAULT_SEED), &mut |_| ()).unwrap();
        (folder, path)
    }

    #[test]
    fn what_the_demo_changes_is_put_back() {
        let (_folder, path) = sample();
        let mut borrowed = Borrowed::open(&path).unwrap();
        borrowed.remember_flight(115).unwrap();
        borrowed.remember_airplane(1).unwrap();
        let SpareBookings { first_id, passenger, .. } = borrowed.spare_bookings(115).unwrap();
        let writer = Connection::open(&path).unwrap();
        let all = "SELECT group_concat(departure || arrival) FROM flight";
        let before: String = writer.query_row(all, [], |row| row.get(0)).unwrap();
        let book = r#"INSERT INTO "booking" VALUES (?1, ?2, NULL, ?3, 1)"#;
        for (id, flight) in [(first_id, 115), (first_id + 1, 116)] {
            writer.execute(book, (id, flight, passenger)).unwrap();
        }
        writer
            .execute_batch(
                "UPDATE flight SET departure = '2030-01-01T00:00:00' WHERE flight_id = 115;
                 UPDATE airplane SET capacity = 1 WHERE airplane_id = 1;
                 CREATE TABLE landfall_lane (lane INTEGER); CREATE VIEW landfall_v AS SELECT * FROM landfall_lane;
                 CREATE TABLE landfallen (x INTEGER)",
            )
            .unwrap();
        assert!(matches!(Borrowed::open(&path), Err(BorrowError::Owned)));
        assert!(borrowed.put_back().unwrap());
        assert_eq!(writer.query_row(all, [], |row| row.get::<_, String>(0)).unwrap(), before);
        let booked = "SELECT max(booking_id) FROM booking";
        let last: i64 = writer.query_row(booked, [], |row| row.get(0)).unwrap();
        assert_eq!(last, first_id + 1, "a booking of somebody else stays, the demo's own goes");
        assert!(has_table(&writer, "landfallen").unwrap(), "only tables of our own are dropped");
        assert!(Borrowed::open(&path).is_ok());
    }

    #[test]
    fn a_database_without_the_sample_is_refused_with_the_command_to_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE flight (x)").unwrap();
        let error = Borrowed::open(&path).unwrap_err();
        assert!(error.to_string().contains("landfall setup --sample airport"), "{error}");
        assert!(matches!(Borrowed::open(&folder.path().join("none.db")), Err(BorrowError::NoFile)));
    }
}
