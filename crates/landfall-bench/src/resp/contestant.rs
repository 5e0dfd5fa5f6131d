//! The servers that are compared, each with fresh data, and what each of them tells beside the rates.
//! It must never measure a server that still works on what an earlier cell left.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use landfall_sim::client::{Answer, Client, Request, request};
use landfall_sim::servers::{Landfall, LandfallOptions, Redis};
use landfall_sim::waiting::wait_until;
use serde::Serialize;
use serde_json::Value as Json;

use super::options::{Plan, Policy, VALUE_BYTES};

/// Keys written by one pipeline when a server is filled.
const FILL_PIPELINE: u64 = 1000;

/// A paused server keeps everything of a pass: neither bound may end a cell.
const PENDING_MAX: u64 = 4_000_000_000;
const LOG_BYTES_MAX: &str = "64GiB";

/// The unit of the times in /proc: the same on every Linux, whatever the kernel's own ticks.
const TICKS_PER_SECOND: f64 = 100.0;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Redis,
    LandfallLanding,
    LandfallPaused,
}

impl Kind {
    pub(super) const ALL: [Kind; 3] = [Kind::Redis, Kind::LandfallPaused, Kind::LandfallLanding];

    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Redis => "redis",
            Kind::LandfallLanding => "landfall, landing",
            Kind::LandfallPaused => "landfall, landing paused",
        }
    }
}

/// What is landed after a cell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Landed {
    /// Rows landed while the load ran.
    pub(super) rows_under_load: u64,
    /// Rows landed until nothing was left.
    pub(super) rows: u64,
    /// Changes landed until nothing was left.
    pub(super) changes: u64,
    /// From the end of the load until nothing was left.
    pub(super) drain_seconds: f64,
    /// Whether something was left when the wait ended.
    pub(super) unfinished: bool,
}

enum Server {
    Redis(Redis),
    Landfall(Box<Landfall>),
}

/// A running server.
pub(super) struct Contestant {
    pub(super) kind: Kind,
    server: Server,
    client: Client,
    process: u64,
    drain: Duration,
}

impl Contestant {
    /// Starts a server with fresh data and fills it with all the keys that GET reads.
    pub(super) fn start(kind: Kind, policy: Policy, plan: &Plan) -> Result<Contestant> {
        let (server, mut client) = match kind {
            Kind::Redis => {
                // A rewrite of the log in the middle of a cell would be measured with whoever has its turn.
                let redis = Redis::start(policy.of_redis(), &["--auto-aof-rewrite-percentage", "0"])?;
                let client = redis.connect()?;
                (Server::Redis(redis), client)
            }
            Kind::LandfallLanding | Kind::LandfallPaused => {
                let landfall = start_landfall(policy, plan)?;
                let client = landfall.connect()?;
                (Server::Landfall(Box::new(landfall)), client)
            }
        };
        if kind == Kind::LandfallPaused {
            client.call(&["LANDFALL.PAUSE"])?;
        }
        let process = match kind {
            Kind::Redis => process_of_redis(&mut client)?,
            _ => number(&status(&mut client)?, "/pid")?,
        };
        fill(&mut client, plan.keys).with_context(|| format!("cannot fill {}", kind.name()))?;
        Ok(Contestant { kind, server, client, process, drain: plan.drain })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> Result<SocketAddr> {
        match &self.server {
            Server::Redis(redis) => Ok(redis.address()),
            Server::Landfall(landfall) => landfall.address().context("the server does not run"),
        }
    }

    /// Waits until nothing of what was written before is left to land.
    pub(super) fn get_ready(&mut self) -> Result<()> {
        if !self.wait_until_landed()? {
            bail!("what was written before has not landed after {:?}; raise --drain-seconds", self.drain);
        }
        Ok(())
    }

    /// Processor time used so far, by all threads.
    pub(super) fn processor_seconds(&self) -> Result<f64> {
        processor_seconds(self.process)
    }

    /// Rows and changes landed so far; nothing for a server that lands nothing.
    pub(super) fn landed(&mut self) -> Result<Option<(u64, u64)>> {
        if self.kind != Kind::LandfallLanding {
            return Ok(None);
        }
        let status = status(&mut self.client)?;
        Ok(Some((number(&status, "/counts/landed_rows")?, number(&status, "/counts/landed_changes")?)))
    }

    /// Waits until nothing is left to land, and counts from `before` on.
    pub(super) fn settle(&mut self, before: Option<(u64, u64)>) -> Result<Option<Landed>> {
        let Some((rows_before, changes_before)) = before else { return Ok(None) };
        let Some((rows_under_load, _)) = self.landed()? else { return Ok(None) };
        let ended = Instant::now();
        let finished = self.wait_until_landed()?;
        let drain_seconds = ended.elapsed().as_secs_f64();
        let Some((rows, changes)) = self.landed()? else { return Ok(None) };
        Ok(Some(Landed {
            rows_under_load: rows_under_load - rows_before,
            rows: rows - rows_before,
            changes: changes - changes_before,
            drain_seconds,
            unfinished: !finished,
        }))
    }

    fn wait_until_landed(&mut self) -> Result<bool> {
        if self.kind != Kind::LandfallLanding {
            return Ok(true);
        }
        let mut looked = Ok(0);
        wait_until(Instant::now() + self.drain, || {
            looked = status(&mut self.client).and_then(|status| number(&status, "/pending/changes"));
            !matches!(looked, Ok(pending) if pending > 0)
        });
        Ok(looked? == 0)
    }
}

fn start_landfall(policy: Policy, plan: &Plan) -> Result<Landfall> {
    let options = LandfallOptions {
        fsync: policy.name().to_owned(),
        // Landing at once begins at the bound, not at half of it.
        config: format!(
            "max-pending = {PENDING_MAX}\nthrottle-at = \"100%\"\nlog-bytes-max = \"{LOG_BYTES_MAX}\"\n"
        ),
        ..LandfallOptions::of(plan.landfall.clone())
    };
    let mut landfall = Landfall::prepare(options)?;
    landfall.restart()?;
    Ok(landfall)
}

fn process_of_redis(client: &mut Client) -> Result<u64> {
    let info = client.call(&["INFO", "server"])?;
    let line = info.as_str().unwrap_or_default().lines().find_map(|line| line.strip_prefix("process_id:"));
    line.and_then(|id| id.trim().parse().ok()).context("INFO of Redis names no process_id")
}

/// Processor time that a process has used so far, by all its threads.
pub(crate) fn processor_seconds(process: u64) -> Result<f64> {
    let file = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    // The name of the program may hold anything; what follows its bracket is numbers.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: Vec<f64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    match ticks.as_slice() {
        [user, system] => Ok((user + system) / TICKS_PER_SECOND),
        _ => bail!("{file} has an unknown shape"),
    }
}

fn status(client: &mut Client) -> Result<Json> {
    let reply = client.call(&["LANDFALL.STATUS"])?;
    serde_json::from_slice(reply.as_bytes().unwrap_or_default()).context("LANDFALL.STATUS is no JSON")
}

fn number(status: &Json, pointer: &str) -> Result<u64> {
    status.pointer(pointer).and_then(Json::as_u64).with_context(|| format!("the status has no {pointer}"))
}

/// Writes each key that GET may read, so that every GET finds one.
fn fill(client: &mut Client, keys: u64) -> Result<()> {
    let value = "x".repeat(VALUE_BYTES);
    let set = |key: u64| request(&["SET", &format!("key:{key:012}"), &value]);
    for start in (0..keys).step_by(FILL_PIPELINE as usize) {
        let requests: Vec<Request> = (start..keys.min(start + FILL_PIPELINE)).map(set).collect();
        for answer in client.pipeline(&requests) {
            match answer {
                Answer::Reply(value, _) => {
                    if let Some(error) = value.as_error() {
                        bail!("SET was refused: {}", String::from_utf8_lossy(error.message));
                    }
                }
                Answer::None => bail!("the connection broke"),
            }
        }
    }
    Ok(())
}
