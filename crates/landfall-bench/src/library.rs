//! What the comparisons of the library share: settings without bounds, keys, and what this process took.
//! It must never set what is measured.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use landfall::Settings;
use landfall::model::group::KEY_VALUE_GROUP;
use landfall::settings::Fsync;
use rustix::time::{ClockId, clock_gettime};

/// The value of a string, in bytes.
pub(crate) const VALUE_BYTES: usize = 64;

/// When a write is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    Os,
    Everysec,
    Always,
}

impl Policy {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Policy::Os => "os",
            Policy::Everysec => "everysec",
            Policy::Always => "always",
        }
    }
}

/// Settings under which nothing is refused.
pub(crate) fn settings(folder: &Path, policy: Policy, paused: bool) -> Settings {
    let fsync = match policy {
        Policy::Os => Fsync::Os,
        Policy::Everysec => Fsync::Everysec,
        Policy::Always => Fsync::Always,
    };
    Settings {
        fsync,
        max_pending: u64::MAX,
        throttle_at: u64::MAX,
        log_bytes_max: 64 << 30,
        memory_bytes_max: 8 << 30,
        paused: if paused { vec![KEY_VALUE_GROUP.to_owned()] } else { Vec::new() },
        ..Settings::in_dir(folder.join("data"))
    }
}

/// The longest wait for what a measurement leaves.
pub(crate) const DRAIN: Duration = Duration::from_secs(120);

/// Random numbers, the same for the same seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % bound
    }
}

/// The key of a number, in the shape of redis-benchmark: `key:000000000007`.
pub(crate) struct Key([u8; 16]);

impl Key {
    pub(crate) fn new() -> Key {
        Key(*b"key:000000000000")
    }

    pub(crate) fn of(&mut self, mut number: u64) -> &str {
        for digit in self.0[4..].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The most memory that this process had so far, in bytes.
pub(crate) fn peak_memory_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kibibytes.context("/proc/self/status has no VmHWM")? << 10)
}

/// Processor time used so far, by this thread or this process.
pub(crate) fn processor_time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_twelve_digits() {
        let mut key = Key::new();
        assert_eq!(key.of(123_456), "key:000000123456");
        assert_eq!(key.of(7), "key:000000000007");
    }
}
