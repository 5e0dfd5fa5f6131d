//! What the lander can be told: when it lands, how large a batch gets, how long it waits after a failure.
//! A setting is never repaired here; whoever reads the configuration refuses it first.

use crate::settings::FlushMode;

/// The settings of a lander.
#[derive(Debug, Clone)]
pub struct LanderSettings {
    /// What starts a landing.
    pub flush_mode: FlushMode,
    /// The age at which the oldest change starts a landing. 200: short for a reader of the database, long
    /// enough for a hot row to merge.
    pub flush_interval_ms: u64,
    /// How many accepted changes, counted over all lanes, start a landing. 500: one good bulk statement.
    pub flush_count_changes: u64,
    /// From so many owed changes on, every mode lands at once. Half of the default bound of 10 million.
    pub throttle_at_changes: u64,
    /// The most rows and events of a batch. 10,000: a transaction of well under a second.
    pub batch_rows_max: usize,
    /// The most bytes of merged changes of a batch. 4 MiB: room for 10,000 rows of 400 bytes.
    pub batch_bytes_max: usize,
    /// The most records read for a batch; merging makes it more than the rows.
    pub batch_records_max: usize,
    /// How long the reading for one batch may take, so that a hot row of a long backlog lands now and then.
    pub batch_read_ms_max: u64,
    /// The bound of the first wait after a failure; it doubles with each further one.
    pub backoff_ms_min: u64,
    /// The bound of every wait after a failure.
    pub backoff_ms_max: u64,
    /// How often the database is looked at while nothing lands. 0: never.
    pub check_ms: u64,
    /// Whether the tables are compared at each look, and when a landing meets a table or a column that is not there any more.
    /// Only where somebody opens the engine anew then.
    pub compares_tables: bool,
    /// How often a landing is refused before its rows are looked at one by one. 5: about a second and a half of
    /// waits, in which another program may bring what is missing.
    pub refusals_max: u32,
    /// From so many hundredths of a batch on that are refused for one reason, the table is at fault and not the
    /// rows. 50: more are refused than not.
    pub hold_share_percent: u64,
    /// From so many rows on in a row, that is: fewer are parked one by one. 100: more than one looks at by hand.
    pub hold_rows_min: u64,
    /// The most dead letters. 10,000: more than a person reads, few enough to be kept in memory.
    pub dead_letters_max: u64,
    /// The most bytes of all dead letters. 64 MiB: the largest record of the default log fits.
    pub dead_letters_bytes_max: u64,
}

impl Default for LanderSettings {
    fn default() -> Self {
        LanderSettings {
            flush_mode: FlushMode::Hybrid,
            flush_interval_ms: 200,
            flush_count_changes: 500,
            throttle_at_changes: 5_000_000,
            batch_rows_max: 10_000,
            batch_bytes_max: 4 << 20,
            batch_records_max: 200_000,
            batch_read_ms_max: 1_000,
            backoff_ms_min: 100,
            backoff_ms_max: 30_000,
            check_ms: 0,
            compares_tables: false,
            refusals_max: 5,
            hold_share_percent: 50,
            hold_rows_min: 100,
            dead_letters_max: 10_000,
            dead_letters_bytes_max: 64 << 20,
        }
    }
}
