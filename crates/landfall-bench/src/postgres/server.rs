//! Landfall end to end: commands over RESP into a server process, rows in PostgreSQL.
//! It must never call a row landed before the server says that nothing is left to land.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use landfall_sim::client::Client;
use landfall_sim::servers::{Landfall, LandfallOptions, Postgres};
use landfall_sim::waiting::wait_until;
use serde_json::Value as Json;

use super::load::{Acknowledged, command, send};
use super::work::{Click, Item, Keys, mixed};
use crate::resp::processor_seconds;

/// Neither bound may end a measurement.
const CONFIG: &str = "max-pending = 4000000000\nlog-bytes-max = \"64GiB\"\nmaxmemory = \"16GiB\"\n";
const CONNECTIONS: u64 = 2;
const HOT_KEYS: u64 = 1000;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    Rows,
    Strings,
    Events,
    Hot,
}

impl Load {
    pub(super) const ALL: [Load; 4] = [Load::Rows, Load::Strings, Load::Events, Load::Hot];

    pub(super) fn name(self) -> &'static str {
        match self {
            Load::Rows => "HSET of five columns, rows that are there, each key once",
            Load::Strings => "SET of 64 B, new keys, each once",
            Load::Events => "XADD of an event with its request_id",
            Load::Hot => "HINCRBY of 1,000 rows, Zipf",
        }
    }
}

/// What came of a load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    pub(super) acknowledged: Acknowledged,
    /// From the first command until nothing was left to land.
    pub(super) seconds: f64,
    pub(super) rows: u64,
    pub(super) changes: u64,
    pub(super) batches: u64,
    /// Rows landed when the last acknowledgement came.
    pub(super) rows_under_load: u64,
    /// Processor time of the server process.
    pub(super) processor_seconds: f64,
}

/// Starts a server with fresh data on the database, and measures a load.
pub(super) fn run(
    program: &Path,
    postgres: &Arc<Postgres>,
    database: &str,
    load: Load,
    (keys, cell, count): (&Keys, u64, u64),
    drain: Duration,
) -> Result<Figures> {
    let options = LandfallOptions {
        fsync: "everysec".to_owned(),
        config: CONFIG.to_owned(),
        postgres: Some((Arc::clone(postgres), database.to_owned())),
        ..LandfallOptions::of(program.to_owned())
    };
    let landfall = Landfall::start(options)?;
    let mut client = landfall.connect()?;
    let address = landfall.address().context("the server does not run")?;
    let process = number(&status(&mut client)?, "/pid")?;
    let before = Counts::of(&mut client)?;
    let worked = processor_seconds(process)?;
    let started = Instant::now();
    let acknowledged =
        send(address, (CONNECTIONS, 1), 0..count, |number, out| write(load, keys, cell, number, out))?;
    let rows_under_load = Counts::of(&mut client)?.rows - before.rows;
    let mut left = Ok(0);
    wait_until(Instant::now() + drain, || {
        left = status(&mut client).and_then(|status| number(&status, "/pending/changes"));
        !matches!(left, Ok(left) if left > 0)
    });
    let seconds = started.elapsed().as_secs_f64();
    if left? > 0 {
        bail!("not all has landed after {drain:?}; raise --drain-seconds");
    }
    let after = Counts::of(&mut client)?;
    Ok(Figures {
        acknowledged,
        seconds,
        rows: after.rows - before.rows,
        changes: after.changes - before.changes,
        batches: after.batches - before.batches,
        rows_under_load,
        processor_seconds: processor_seconds(process)? - worked,
    })
}

fn write(load: Load, keys: &Keys, cell: u64, number: u64, out: &mut Vec<u8>) {
    match load {
        Load::Rows => {
            let item = Item::new(keys.at(number), cell);
            let (key, price) = (format!("item:{}", item.id), item.price.to_string());
            let (stock, changed) = (item.stock.to_string(), item.changed_text());
            let words: [&[u8]; 12] = [
                b"HSET",
                key.as_bytes(),
                b"name",
                item.name.as_bytes(),
                b"kind",
                item.kind.as_bytes(),
                b"price",
                price.as_bytes(),
                b"stock",
                stock.as_bytes(),
                b"changed",
                changed.as_bytes(),
            ];
            command(&words, out);
        }
        Load::Strings => {
            let key = format!("key:{cell}:{:012}", keys.at(number));
            command(&[b"SET", key.as_bytes(), &[b'x'; super::VALUE_BYTES]], out);
        }
        Load::Events => {
            let click = Click::new(cell, number);
            let (request, user) = (click.request_text(), click.user.to_string());
            let words: [&[u8]; 9] = [
                b"XADD",
                b"click",
                b"*",
                b"request_id",
                request.as_bytes(),
                b"url",
                click.url.as_bytes(),
                b"user_id",
                user.as_bytes(),
            ];
            command(&words, out);
        }
        Load::Hot => {
            let key = format!("hot:{}", zipf(mixed(number), HOT_KEYS));
            command(&[b"HINCRBY", key.as_bytes(), b"views", b"1"], out);
        }
    }
}

/// A number below `count`, the n-th as often as 1/n says (exponent 1).
fn zipf(chance: u64, count: u64) -> u64 {
    let share = (chance >> 11) as f64 / (1u64 << 53) as f64;
    let rank = (count as f64 + 1.0).powf(share);
    (rank as u64 - 1).min(count - 1)
}

struct Counts {
    rows: u64,
    changes: u64,
    batches: u64,
}

impl Counts {
    fn of(client: &mut Client) -> Result<Counts> {
        let status = status(client)?;
        Ok(Counts {
            rows: number(&status, "/counts/landed_rows")?,
            changes: number(&status, "/counts/landed_changes")?,
            batches: number(&status, "/counts/batches")?,
        })
    }
}

fn status(client: &mut Client) -> Result<Json> {
    let reply = client.call(&["LANDFALL.STATUS"])?;
    serde_json::from_slice(reply.as_bytes().unwrap_or_default()).context("LANDFALL.STATUS is no JSON")
}

fn number(status: &Json, pointer: &str) -> Result<u64> {
    status.pointer(pointer).and_then(Json::as_u64).with_context(|| format!("the status has no {pointer}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hot_set_has_the_shape_of_zipf() {
        let mut hits = [0u64; 1000];
        (0..100_000).for_each(|n| hits[zipf(mixed(n), 1000) as usize] += 1);
        // 1 / ln(1001) of all belong to an exponent of 1, drawn from the continuous law.
        assert!((8_000..12_500).contains(&hits[0]), "{}", hits[0]);
        assert!(hits[0] > 5 * hits[9] && hits.iter().sum::<u64>() == 100_000);
    }
}
