//! The settings of the local log, each default with its reason. They are refused when they make no sense, never repaired.

use super::super::LogError;
use super::segment::DATA_START;

/// How a [`LocalLog`](super::LocalLog) behaves.
#[derive(Debug, Clone)]
pub struct LocalLogSettings {
    /// The length of a segment's file. 64 MiB: a new one every second at most on one disk, and small enough to
    /// scan at once.
    pub segment_bytes: u64,
    /// The most bytes of owed records; an append beyond is refused. 1 GiB: minutes of a database's absence.
    pub log_bytes_max: u64,
    /// The largest record. 64 MiB: one command's worth; a larger one would stall every other writer.
    pub record_bytes_max: u64,
    /// How long landed segments are kept, for a database that loses its last transactions. 10 minutes: longer than
    /// an asynchronous replica usually lags.
    pub retention_ms: u64,
    /// How many bytes of landed segments are kept at least, however old. 256 MiB.
    pub retention_bytes: u64,
    /// The most bytes of landed segments, however young. 4 GiB.
    pub retained_bytes_max: u64,
    /// Whether new files are filled with zeros. On: it halves the time of a sync later.
    pub zero_fill: bool,
    /// Whether records are put into the segment's file in memory, where the system can do that, so that an append is written
    /// when it returns. Off: for whoever commits many appends at once, one write is cheaper.
    pub mapped: bool,
}

/// The most segments that are owed, and the most that are kept when they have landed: each is an open file, and a process
/// often has 1024 of them. With usual segments the bounds in bytes come long before.
pub(super) const SEGMENTS_MAX: u64 = 384;

impl Default for LocalLogSettings {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            log_bytes_max: 1 << 30,
            record_bytes_max: 64 << 20,
            retention_ms: 600_000,
            retention_bytes: 256 << 20,
            retained_bytes_max: 4 << 30,
            zero_fill: true,
            mapped: false,
        }
    }
}

impl LocalLogSettings {
    /// The bound of owed bytes, by the bytes and by the files that hold them.
    pub(crate) fn owed_bytes_max(&self) -> u64 {
        self.log_bytes_max.min(SEGMENTS_MAX.saturating_mul(self.segment_bytes))
    }

    pub(super) fn check(&self) -> Result<(), LogError> {
        let mut problems = Vec::new();
        if self.segment_bytes < DATA_START + 1024 {
            problems.push(format!("segment_bytes must be at least {}", DATA_START + 1024));
        }
        if self.record_bytes_max > 1 << 30 {
            problems.push("record_bytes_max must be at most 1 GiB".to_owned());
        }
        if self.log_bytes_max < self.record_bytes_max {
            problems.push("log_bytes_max must not be smaller than record_bytes_max".to_owned());
        }
        if self.retained_bytes_max < self.retention_bytes {
            problems.push("retained_bytes_max must not be smaller than retention_bytes".to_owned());
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(LogError::Io { what: "the settings of the log".to_owned(), reason: problems.join("; ") })
    }
}

impl From<&crate::settings::Settings> for LocalLogSettings {
    fn from(settings: &crate::settings::Settings) -> Self {
        let defaults = Self::default();
        Self {
            segment_bytes: settings.segment_bytes,
            log_bytes_max: settings.log_bytes_max,
            record_bytes_max: defaults.record_bytes_max.min(settings.log_bytes_max),
            retention_ms: settings.retention.as_millis() as u64,
            retention_bytes: settings.retention_bytes,
            retained_bytes_max: settings.retained_bytes_max,
            ..defaults
        }
    }
}
