//! What a user can set, with the reason of each default. Settings are refused, never repaired.
//! Nothing here reads a file or a variable; the server does that and hands the result over.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// When an acknowledged write is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fsync {
    /// On the disk before the reply.
    #[default]
    Always,
    /// With the operating system before the reply, on the disk within a second.
    Everysec,
    /// With the operating system before the reply, on the disk when the system likes.
    Os,
}

/// What starts a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlushMode {
    /// The interval or the count, whichever comes first.
    #[default]
    Hybrid,
    /// The interval alone.
    Time,
    /// The count alone; a last few changes wait for more, a flush or the close.
    Count,
}

/// The settings of an engine.
///
/// ```
/// use landfall::Settings;
///
/// let settings =
///     Settings { max_pending: 100_000, throttle_at: 50_000, ..Settings::in_dir("/var/lib/landfall") };
/// assert!(settings.problems().is_empty());
/// ```
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the log lives.
    pub data_dir: PathBuf,
    /// When an acknowledged write is safe. `always`: nobody is surprised by a power cut.
    pub fsync: Fsync,
    /// What starts a flush.
    pub flush: FlushMode,
    /// The longest that a change waits for company. 200 ms: people do not notice, batches are full.
    pub flush_interval: Duration,
    /// So many accepted changes, over all lanes, start a flush. 500: a bulk statement is near its best rate.
    pub flush_count: u64,
    /// From so many changes on that have not landed, every flush mode lands at once. Half of `max_pending`.
    pub throttle_at: u64,
    /// At so many changes that have not landed, writes are refused. 10 million: a spike is absorbed on disk.
    pub max_pending: u64,
    /// At so many bytes of log that have not landed, writes are refused. 1 GiB.
    pub log_bytes_max: u64,
    /// The size of a segment file. 64 MiB: a roll-over every few seconds at full speed.
    pub segment_bytes: u64,
    /// Landed log is kept for so long, for a database that fails over or is restored.
    pub retention: Duration,
    /// Landed log is kept up to this size, if that is more than `retention` keeps.
    pub retention_bytes: u64,
    /// Landed log never takes more than this, however young it is. 4 GiB.
    pub retained_bytes_max: u64,
    /// How often the database is looked at while nothing lands. 5 s: a failover is noticed before people ask.
    pub database_check: Duration,
    /// Whether changed tables are noticed at each look at the database, and when a landing meets them. A server then opens
    /// the engine anew ([`Engine::on_outdated`](crate::engine::Engine::on_outdated)); false where nobody does.
    pub compares_tables: bool,
    /// So often is a landing refused before its rows are looked at one by one and the guilty ones are parked as dead
    /// letters. 5: a second or so, in which another program may bring what is missing.
    pub refusals_max: u32,
    /// From this share of a batch on that is refused for one reason, in percent, nothing is parked and the group is held. 50:
    /// then the table is at fault, and not the rows.
    pub hold_share_percent: u64,
    /// A group is held from so many rows on that are refused for one reason in a row. 100: fewer are looked at one by one.
    pub hold_rows_min: u64,
    /// The most dead letters; at the bound nothing more is parked and the group is held. 10,000: more than a person reads.
    pub dead_letters_max: u64,
    /// The most bytes of all dead letters. 64 MiB: the largest record fits, and they are kept in memory.
    pub dead_letters_bytes_max: u64,
    /// The memory of the cache. Dirty rows may take half of it.
    pub memory_bytes_max: u64,
    /// How many lanes a table without foreign keys and second unique indexes has.
    pub lanes: u32,
    /// How long a loaded row is served without loading it again.
    pub ttl: Duration,
    /// How long the absence of a row is believed. 1 s: a reader that asks again and again costs one load a second.
    pub absent_ttl: Duration,
    /// How many loads may run at once.
    pub loads_at_once: usize,
    /// How many loads may wait; one more is refused.
    pub loads_waiting_max: usize,
    /// How long a read may wait for a load before it is refused.
    pub load_timeout: Duration,
    /// Landing groups that begin paused. None; a server that reads its tables again passes on who was.
    pub paused: Vec<String>,
    /// Settings of single tables, by name.
    pub tables: BTreeMap<String, TableSettings>,
}

/// The settings of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableSettings {
    /// The table that gets the old and new values of every landed change.
    pub audit: Option<String>,
    /// JSON names that are no columns and are passed over by `SET table:pk {json}`.
    pub ignore: Vec<String>,
    /// Its rows are loaded after the start, before somebody asks for them.
    pub warm: bool,
}

impl Settings {
    /// The defaults, with the log in `data_dir`.
    pub fn in_dir(data_dir: impl Into<PathBuf>) -> Settings {
        Settings {
            data_dir: data_dir.into(),
            fsync: Fsync::default(),
            flush: FlushMode::default(),
            flush_interval: Duration::from_millis(200),
            flush_count: 500,
            throttle_at: 5_000_000,
            max_pending: 10_000_000,
            log_bytes_max: 1 << 30,
            segment_bytes: 64 << 20,
            refusals_max: 5,
            hold_share_percent: 50,
            hold_rows_min: 100,
            dead_letters_max: 10_000,
            dead_letters_bytes_max: 64 << 20,
            retention: Duration::from_secs(600),
            retention_bytes: 256 << 20,
            retained_bytes_max: 4 << 30,
            database_check: Duration::from_secs(5),
            compares_tables: false,
            memory_bytes_max: 1 << 30,
            lanes: 4,
            ttl: Duration::from_secs(3600),
            absent_ttl: Duration::from_secs(1),
            loads_at_once: 4,
            loads_waiting_max: 10_000,
            load_timeout: Duration::from_secs(5),
            paused: Vec::new(),
            tables: BTreeMap::new(),
        }
    }

    /// Everything that is wrong with these settings, each in one sentence; empty when nothing is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut refuse = |wrong: bool, sentence: String| {
            if wrong {
                problems.push(sentence);
            }
        };
        refuse(
            self.max_pending == 0,
            "max-pending is 0: no write would ever be accepted; write at least 1".into(),
        );
        refuse(
            self.throttle_at > self.max_pending,
            format!(
                "throttle-at ({}) is above max-pending ({}): it would never be reached; write a smaller number",
                self.throttle_at, self.max_pending
            ),
        );
        refuse(self.flush_count == 0, "flush-count is 0; write at least 1".into());
        refuse(self.flush_interval.is_zero(), "flush-interval is 0; write at least 1ms".into());
        refuse(
            self.flush_interval > Duration::from_secs(3600),
            "flush-interval is above one hour; rows would not land for that long".into(),
        );
        refuse(
            !(1 << 16..=1 << 32).contains(&self.segment_bytes),
            "segment-bytes must lie between 64KiB and 4GiB".into(),
        );
        refuse(self.log_bytes_max < self.segment_bytes, "log-bytes-max is smaller than one segment".into());
        refuse(
            self.retained_bytes_max < self.retention_bytes,
            format!(
                "retained-bytes-max ({}) is below retention-bytes ({}): so much would never be kept; write a larger number",
                self.retained_bytes_max, self.retention_bytes
            ),
        );
        refuse(self.refusals_max == 0, "refusals-max is 0; write at least 1".into());
        refuse(
            !(1..=100).contains(&self.hold_share_percent),
            "hold-share must lie between 1% and 100%".into(),
        );
        refuse(
            self.hold_rows_min == 0,
            "hold-rows is 0: nothing would ever be parked; write at least 1".into(),
        );
        refuse(self.memory_bytes_max < 1 << 20, "maxmemory must be at least 1MiB".into());
        refuse(!(1..=64).contains(&self.lanes), "lanes must lie between 1 and 64".into());
        refuse(!(1..=64).contains(&self.loads_at_once), "loads-at-once must lie between 1 and 64".into());
        refuse(
            self.loads_waiting_max == 0,
            "loads-waiting-max is 0: no row would ever be read from the database; write at least 1".into(),
        );
        let shortest = Duration::from_millis(10);
        refuse(
            self.ttl < shortest || self.absent_ttl < shortest,
            "ttl and absent-ttl must be at least 10ms: a row would be too old before its reader sees it"
                .into(),
        );
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_told_at_once() {
        let settings = Settings { max_pending: 0, flush_count: 0, lanes: 0, ..Settings::in_dir("x") };
        assert_eq!(settings.problems().len(), 4, "{:?}", settings.problems());
    }

    #[test]
    fn a_row_that_could_never_be_read_is_refused_beforehand() {
        for (ttl, absent_ttl) in [(0, 1000), (1000, 0)] {
            let [ttl, absent_ttl] = [ttl, absent_ttl].map(Duration::from_millis);
            assert_eq!(Settings { ttl, absent_ttl, ..Settings::in_dir("x") }.problems().len(), 1);
        }
        assert_eq!(Settings { loads_waiting_max: 0, ..Settings::in_dir("x") }.problems().len(), 1);
    }
}
