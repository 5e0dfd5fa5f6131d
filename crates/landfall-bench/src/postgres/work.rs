//! The rows and events that everybody lands, and how a cell is timed.
//! It must never give two contestants different rows, or count a row that was not committed.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use rustix::time::ClockId;

use crate::library::processor_time;

/// Tables as a person would make them, and the watermark that raw statements move.
pub(super) const TABLES: &str = "\
CREATE TABLE item (id bigint PRIMARY KEY, name text, kind text, price bigint, stock bigint, changed timestamp);
CREATE TABLE click (request_id uuid NOT NULL UNIQUE, url text, user_id bigint);
CREATE TABLE hot (id bigint PRIMARY KEY, views bigint);
CREATE TABLE mark (lane bigint PRIMARY KEY, position bigint NOT NULL) WITH (fillfactor = 20);
INSERT INTO mark SELECT n, 0 FROM generate_series(0, 15) n;";

/// A second of a batch's microseconds.
const MICROS: i64 = 1_000_000;

/// A row of six columns.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) price: i64,
    pub(super) stock: i64,
    /// Seconds since 2000-01-01.
    pub(super) changed: i64,
}

/// An event with a request id that is random, as clients make them.
#[derive(Debug, Clone)]
pub(super) struct Click {
    pub(super) request: [u8; 16],
    pub(super) url: String,
    pub(super) user: i64,
}

/// Which keys come, and in which order: each of `rows` once before any comes again, in no order a disk would like.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    rows: u64,
    step: u64,
}

impl Keys {
    pub(super) fn new(rows: u64) -> Keys {
        let mut step = 618_033_989 % rows.max(2);
        while gcd(step, rows) != 1 {
            step += 1;
        }
        Keys { rows, step }
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The key with this number; numbers grow for ever.
    pub(super) fn at(&self, number: u64) -> i64 {
        let key = u128::from(number) * u128::from(self.step) % u128::from(self.rows);
        key as i64
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Item {
    /// The row with this key as its `version`th writer leaves it.
    pub(super) fn new(id: i64, version: u64) -> Item {
        Item {
            id,
            name: format!("item number {id}"),
            kind: if id % 3 == 0 { "book" } else { "tool" },
            price: (id * 31 + version as i64) % 100_000,
            stock: version as i64,
            changed: 800_000_000 + version as i64,
        }
    }

    /// Its time as PostgreSQL counts it.
    pub(super) fn micros(&self) -> i64 {
        self.changed * MICROS
    }

    /// Its time as text.
    pub(super) fn changed_text(&self) -> String {
        let (days, seconds) = (self.changed / 86_400, self.changed % 86_400);
        let (year, month, day) = date(days);
        let (hour, minute) = (seconds / 3600, seconds / 60 % 60);
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02}", seconds % 60)
    }
}

/// The date so many days after 2000-01-01.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 730_425;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

impl Click {
    /// The event with this number, of this cell.
    pub(super) fn new(cell: u64, number: u64) -> Click {
        let mut request = [0; 16];
        request[..8].copy_from_slice(&mixed(cell << 40 | number).to_be_bytes());
        request[8..].copy_from_slice(&mixed(!(cell << 40 | number)).to_be_bytes());
        Click { request, url: format!("/articles/{}", number % 5000), user: (number % 100_000) as i64 }
    }

    pub(super) fn request_text(&self) -> String {
        let n = u128::from_be_bytes(self.request);
        let part = |from: u32, digits: u32| (n >> (128 - from - digits * 4)) & ((1 << (digits * 4)) - 1);
        let parts = (part(0, 8), part(32, 4), part(48, 4), part(64, 4), part(80, 12));
        format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", parts.0, parts.1, parts.2, parts.3, parts.4)
    }
}

/// A number that looks like chance, the same for the same.
pub(super) fn mixed(n: u64) -> u64 {
    let n = (n.wrapping_add(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 30)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// What connections did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Timed {
    pub(super) rows: u64,
    pub(super) seconds: f64,
    /// Processor time of the clients' threads.
    pub(super) client_seconds: f64,
}

/// Lands one batch; the rows that it committed.
pub(super) type Landing<'a> = Box<dyn FnMut(usize) -> Result<u64> + 'a>;

/// Lands batches on several connections at once, for so long or until there are no more. `open` connects and prepares, which
/// is not timed, and says how many batches there are.
pub(super) fn timed(
    connections: u32,
    seconds: f64,
    open: impl Fn(u32) -> Result<(usize, Landing<'static>)> + Sync,
) -> Result<Timed> {
    let barrier = Arc::new(Barrier::new(connections as usize));
    let results: Vec<Result<Timed>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|connection| {
                let (barrier, open) = (Arc::clone(&barrier), &open);
                scope.spawn(move || {
                    let opened = open(connection);
                    barrier.wait();
                    let (batches, mut land) = opened?;
                    let (started, worked) = (Instant::now(), processor_time(ClockId::ThreadCPUTime));
                    let mut rows = 0;
                    for batch in 0..batches {
                        rows += land(batch)?;
                        if started.elapsed() >= Duration::from_secs_f64(seconds) {
                            break;
                        }
                    }
                    let client_seconds = (processor_time(ClockId::ThreadCPUTime) - worked).as_secs_f64();
                    Ok(Timed { rows, seconds: started.elapsed().as_secs_f64(), client_seconds })
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("panicked")))).collect()
    });
    let mut all = Timed::default();
    for one in results {
        let one = one?;
        all.rows += one.rows;
        all.client_seconds += one.client_seconds;
        all.seconds = all.seconds.max(one.seconds);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_comes_once_before_any_comes_again() {
        let keys = Keys::new(1000);
        let mut seen: Vec<i64> = (0..1000).map(|number| keys.at(number)).collect();
        assert_eq!(keys.at(0), keys.at(1000));
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..1000));
    }

    #[test]
    fn a_row_says_the_same_in_binary_and_in_text() {
        let mut item = Item::new(7, 0);
        item.changed = 86_400 * 366 + 3661;
        assert_eq!(item.changed_text(), "2001-01-01 01:01:01");
        item.changed = 800_000_000;
        assert_eq!(item.changed_text(), "2025-05-08 06:13:20");
        let click = Click {
            request: *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef",
            url: String::new(),
            user: 0,
        };
        assert_eq!(click.request_text(), "01234567-89ab-cdef-0123-456789abcdef");
    }
}
