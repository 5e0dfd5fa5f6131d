//! What `resp` can be asked: which cells, how long, how often, and where the figures go.
//! It must never let a part of the table replace the whole one on disk without being told to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use landfall_sim::servers::Appendfsync;

use super::contestant::Kind;
use crate::program::landfall_program;

/// Compare with redis-server over the Redis protocol, driven by redis-benchmark
///
/// Each pass starts a Redis and two Landfall servers (landing running, and paused) with fresh data, fills them with the
/// keys, and measures each cell on one after the other, in another order in each pass; the server with landing running
/// takes part in the first --landing-passes of them. All figures are medians over the passes. With `--seconds 2` it takes
/// ten to fifteen minutes. The whole table goes to docs/benchmarks/resp.json and resp.md; a part of it is only printed, unless --json
/// says where it goes. Data lies below TMPDIR, which should be on a disk.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds of load for each cell; the number of requests comes from a short measurement before
    #[arg(long, default_value_t = 10.0, conflicts_with = "requests")]
    seconds: f64,
    /// Requests for each cell, in place of --seconds
    #[arg(long)]
    requests: Option<u64>,
    /// Passes over all cells
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=99))]
    passes: Option<u32>,
    /// Passes in which the server that lands is measured too: after each of its cells everything has to land
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=99))]
    landing_passes: u32,
    /// A look in a minute: one second a cell, one pass, 100,000 keys, pipelines 1 and 16; only printed
    #[arg(long)]
    quick: bool,
    /// Sync policies, the same on both sides
    #[arg(long, value_delimiter = ',')]
    policy: Vec<Policy>,
    /// Commands to measure
    #[arg(long, value_delimiter = ',')]
    tests: Vec<Test>,
    /// Pipeline depths
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pipelines: Vec<u32>,
    /// Random keys of each kind
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    keys: Option<u64>,
    /// Connections of redis-benchmark
    #[arg(long, default_value_t = 50)]
    connections: u32,
    /// The longest wait after a cell until all is landed
    #[arg(long, default_value_t = 120)]
    drain_seconds: u64,
    /// The landfall program [default: landfall beside this program]
    #[arg(long, value_name = "PATH")]
    landfall: Option<PathBuf>,
    /// Where the figures go; the Markdown table goes beside it [default: docs/benchmarks/resp.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// When a write is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Policy {
    Everysec,
    Always,
}

impl Policy {
    pub(super) fn name(self) -> &'static str {
        match self {
            Policy::Everysec => "everysec",
            Policy::Always => "always",
        }
    }

    pub(super) fn of_redis(self) -> Appendfsync {
        match self {
            Policy::Everysec => Appendfsync::Everysec,
            Policy::Always => Appendfsync::Always,
        }
    }
}

/// A command under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Test {
    Set,
    Get,
    Hset,
    Incr,
}

/// The value of SET and of the keys that GET reads, in bytes.
pub(super) const VALUE_BYTES: usize = 64;

impl Test {
    pub(super) fn name(self) -> &'static str {
        match self {
            Test::Set => "SET 64 B",
            Test::Get => "GET 64 B",
            Test::Hset => "HSET 3 fields",
            Test::Incr => "INCR",
        }
    }

    /// The request; redis-benchmark replaces `__rand_int__` by twelve digits. A kind of value has keys of its own.
    pub(super) fn request(self) -> Vec<String> {
        let words: &[&str] = match self {
            Test::Set => return vec!["SET".into(), "key:__rand_int__".into(), "x".repeat(VALUE_BYTES)],
            Test::Get => &["GET", "key:__rand_int__"],
            Test::Hset => &["HSET", "hash:__rand_int__", "f1", "v1", "f2", "v2", "f3", "v3"],
            Test::Incr => &["INCR", "counter:__rand_int__"],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    pub(super) fn writes(self) -> bool {
        self != Test::Get
    }
}

/// How much load a cell gets.
#[derive(Debug, Clone, Copy)]
pub(super) enum Length {
    Seconds(f64),
    Requests(u64),
}

/// What will be measured.
pub(super) struct Plan {
    pub(super) length: Length,
    pub(super) passes: u32,
    pub(super) landing_passes: u32,
    pub(super) policies: Vec<Policy>,
    pub(super) tests: Vec<Test>,
    pub(super) pipelines: Vec<u32>,
    pub(super) keys: u64,
    pub(super) connections: u32,
    pub(super) drain: Duration,
    pub(super) landfall: PathBuf,
    /// Where the figures go, if they are kept.
    pub(super) json: Option<PathBuf>,
}

impl Options {
    /// Decides what is measured.
    pub(super) fn plan(&self) -> Result<Plan> {
        let is_part =
            self.quick || !(self.policy.is_empty() && self.tests.is_empty() && self.pipelines.is_empty());
        let seconds = if self.quick { self.seconds.min(1.0) } else { self.seconds };
        if !(0.01..=3600.0).contains(&seconds) {
            bail!("--seconds must lie between 0.01 and 3600");
        }
        if self.requests == Some(0) || self.connections == 0 {
            bail!("--requests and --connections must be at least 1");
        }
        let pipelines: &[u32] = if self.quick { &[1, 16] } else { &[1, 16, 64] };
        Ok(Plan {
            length: self.requests.map_or(Length::Seconds(seconds), Length::Requests),
            passes: self.passes.unwrap_or(if self.quick { 1 } else { 3 }),
            landing_passes: self.landing_passes,
            policies: chosen(&self.policy, &[Policy::Everysec, Policy::Always]),
            tests: chosen(&self.tests, &[Test::Set, Test::Get, Test::Hset, Test::Incr]),
            pipelines: chosen(&self.pipelines, pipelines),
            keys: self.keys.unwrap_or(if self.quick { 100_000 } else { 1_000_000 }),
            connections: self.connections,
            drain: Duration::from_secs(self.drain_seconds),
            landfall: landfall_program(self.landfall.as_deref())?,
            json: self.json.clone().or_else(|| (!is_part).then(default_json)),
        })
    }
}

impl Plan {
    /// Whether a server takes part in a pass.
    pub(super) fn measures(&self, kind: Kind, pass: u32) -> bool {
        kind != Kind::LandfallLanding || pass <= self.landing_passes
    }
}

fn chosen<T: Clone>(given: &[T], otherwise: &[T]) -> Vec<T> {
    if given.is_empty() { otherwise.to_vec() } else { given.to_vec() }
}

fn default_json() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks/resp.json")
}
