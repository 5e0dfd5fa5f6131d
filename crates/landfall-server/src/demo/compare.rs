//! Steps 4 and 6 of the demo: what the database has beside what the cache shows.
//! The database is asked past the cache, which is not changed by it.

use anyhow::Result;

use super::flight::{Flight, Times, key};
use super::walk::Walk;

impl Walk<'_> {
    pub(super) fn compare_while_pending(&mut self, old: &Times, new: &Times) -> Result<()> {
        self.heading(4, "Cache and database, before the update has landed")?;
        let rows = self.compared()?;
        let shown = rows.clone().map(|row| row.shown(false));
        self.screen.table(["Field", "Database (old)", "Cache (new)", "Match"], &shown)?;
        self.screen.line("  They differ, as expected: landing is paused for steps 3 and 4.")?;
        let [id, number, departure, arrival] = &rows;
        let as_expected = id.matches()
            && number.matches()
            && (departure.database.as_ref(), departure.cache.as_ref())
                == (Some(&old.departure), Some(&new.departure))
            && (arrival.database.as_ref(), arrival.cache.as_ref())
                == (Some(&old.arrival), Some(&new.arrival));
        self.screen.check(as_expected, "the database has the old times, the cache has the new ones")?;
        Ok(())
    }

    pub(super) fn compare_landed(&mut self, new: &Times) -> Result<()> {
        self.heading(6, "Cache and database, after it has landed")?;
        let rows = self.compared()?;
        let shown = rows.clone().map(|row| row.shown(true));
        self.screen.table(["Field", "Database", "Cache", "Match"], &shown)?;
        let all = rows.iter().all(Compared::matches) && rows[2].database.as_ref() == Some(&new.departure);
        self.screen.check(all, "cache and database are consistent")?;
        Ok(())
    }

    /// Four columns as the database has them, and as the cache shows them.
    fn compared(&mut self) -> Result<[Compared; 4]> {
        let key = key(self.flight);
        let cache = Flight::read(&mut self.client, self.flight)?;
        let explained = self.explain(&key)?;
        let database = &explained["database"]["columns"];
        Ok(["flight_id", "flightno", "departure", "arrival"].map(|field| Compared {
            field,
            database: database[field].as_str().map(str::to_owned),
            cache: cache.column(field).ok().map(str::to_owned),
        }))
    }
}

/// One column in both places.
#[derive(Clone)]
struct Compared {
    field: &'static str,
    database: Option<String>,
    cache: Option<String>,
}

impl Compared {
    fn matches(&self) -> bool {
        self.database.is_some() && self.database == self.cache
    }

    fn shown(self, consistent: bool) -> [String; 4] {
        let verdict = match (self.matches(), consistent) {
            (true, true) => "✓ consistent",
            (true, false) => "✓",
            (false, _) => "✗ differs",
        };
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        [self.field.to_owned(), text(self.database), text(self.cache), verdict.to_owned()]
    }
}
