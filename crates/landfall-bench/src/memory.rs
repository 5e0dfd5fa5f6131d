//! The comparison of memory: what a server's process grows by for each key or row that it is given.
//! It must never count what the process took before, or leave a row of the table out because of what it says.

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use landfall_sim::client::{Answer, Client, Request, request};
use landfall_sim::servers::{Appendfsync, Landfall, LandfallOptions, Redis};
use landfall_sim::waiting::wait_until;

use crate::machine::Machine;
use crate::program::landfall_program;

/// Keys written by one pipeline.
const PIPELINE: u64 = 1000;
/// What a server has begun it ends within this time, in seconds: syncs, and buffers that are given back.
const SETTLE_SECONDS: u64 = 2;
const VALUE_BYTES: usize = 64;
/// No bound may end a measurement.
const CONFIG: &str = "max-pending = 4000000000\nlog-bytes-max = \"64GiB\"\nmaxmemory = \"64GiB\"\n";

/// Compare the memory of a key and of a row with redis-server
///
/// Starts a Redis and two Landfall servers (landing paused, and landing) with fresh data, writes the keys of each kind to each,
/// and divides what the resident memory of the process has grown by (VmRSS of /proc) by the number of keys. Landfall is looked
/// at once more when everything has landed. The table goes to docs/benchmarks/memory.md when --keys is not given; data lies
/// below TMPDIR.
#[derive(Args)]
pub(crate) struct Options {
    /// Keys of each kind [default: 1000000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1000..=100_000_000))]
    keys: Option<u64>,
    /// The longest wait until all is landed
    #[arg(long, default_value_t = 300)]
    drain_seconds: u64,
    /// The landfall program [default: landfall beside this program]
    #[arg(long, value_name = "PATH")]
    landfall: Option<PathBuf>,
}

/// What is written.
#[derive(Clone, Copy)]
enum Kind {
    String,
    Counter,
    Row,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::String, Kind::Counter, Kind::Row];

    fn name(self) -> &'static str {
        match self {
            Kind::String => "a key with a string of 64 B",
            Kind::Counter => "a key with a counter",
            Kind::Row => "a hash of five short fields",
        }
    }

    fn request(self, key: u64) -> Request {
        match self {
            Kind::String => request(&["SET", &format!("key:{key:012}"), &"x".repeat(VALUE_BYTES)]),
            Kind::Counter => request(&["INCRBY", &format!("ctr:{key:012}"), &(key * 7919).to_string()]),
            Kind::Row => request(&[
                "HSET",
                &format!("row:{key:012}"),
                "name",
                "Alice",
                "age",
                "31",
                "city",
                "Berlin",
                "zip",
                "10115",
                "since",
                "2025-10-01",
            ]),
        }
    }
}

/// Bytes a key, of one server and one kind.
struct Measured {
    server: &'static str,
    kind: Kind,
    bytes: f64,
}

/// Runs the comparison and prints the table; the whole one is written where it belongs.
pub(crate) fn run(options: &Options) -> Result<()> {
    let machine = Machine::here("memory", &std::env::temp_dir());
    let landfall = landfall_program(options.landfall.as_deref())?;
    let keys = options.keys.unwrap_or(1_000_000);
    let mut table = Vec::new();
    redis(keys, &mut table)?;
    for lands in [false, true] {
        measure_landfall(&landfall, keys, lands, Duration::from_secs(options.drain_seconds), &mut table)?;
    }
    let page = page(&machine, keys, &table);
    println!("{page}");
    if options.keys.is_none() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks/memory.md");
        fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))?;
        eprintln!("Written: docs/benchmarks/memory.md");
    }
    Ok(())
}

fn redis(keys: u64, table: &mut Vec<Measured>) -> Result<()> {
    let redis = Redis::start(Appendfsync::Everysec, &["--auto-aof-rewrite-percentage", "0"])?;
    let mut client = redis.connect()?;
    let info = client.call(&["INFO", "server"])?;
    let line = info.as_str().unwrap_or_default().lines().find_map(|line| line.strip_prefix("process_id:"));
    let process = line.and_then(|id| id.trim().parse().ok()).context("INFO of Redis names no process_id")?;
    for kind in Kind::ALL {
        let before = resident_bytes(process)?;
        write(&mut client, kind, 0..keys)?;
        let bytes = (resident_bytes(process)? - before) / keys as f64;
        eprintln!("  redis: {} takes {bytes:.0} B", kind.name());
        table.push(Measured { server: "redis", kind, bytes });
    }
    Ok(())
}

fn measure_landfall(
    program: &Path,
    keys: u64,
    lands: bool,
    drain: Duration,
    table: &mut Vec<Measured>,
) -> Result<()> {
    let options = LandfallOptions {
        fsync: "everysec".to_owned(),
        config: CONFIG.to_owned(),
        ..LandfallOptions::of(program.to_owned())
    };
    let server = if lands { "landfall, landed" } else { "landfall, landing paused" };
    // A server for each kind: what one has landed may not be counted to the next.
    for kind in Kind::ALL {
        let landfall = Landfall::start(options.clone())?;
        let mut client = landfall.connect()?;
        client.call(&["LANDFALL.PAUSE"])?;
        let process = number(&mut client, "/pid")?;
        if lands {
            // A batch takes memory that is not given back and serves the next one: it belongs to no key.
            write(&mut client, kind, keys..keys + keys / 2)?;
            land(&mut client, drain)?;
        }
        let before = resident_bytes(process)?;
        write(&mut client, kind, 0..keys)?;
        if lands {
            land(&mut client, drain)?;
        }
        let bytes = (resident_bytes(process)? - before) / keys as f64;
        eprintln!("  {server}: {} takes {bytes:.0} B", kind.name());
        table.push(Measured { server, kind, bytes });
    }
    Ok(())
}

/// Lands everything that was written, and pauses again.
fn land(client: &mut Client, drain: Duration) -> Result<()> {
    client.call(&["LANDFALL.RESUME"])?;
    let mut pending = Ok(0);
    wait_until(Instant::now() + drain, || {
        pending = number(client, "/pending/changes");
        !matches!(pending, Ok(pending) if pending > 0)
    });
    if pending? > 0 {
        bail!("not all has landed after {drain:?}; raise --drain-seconds");
    }
    client.call(&["LANDFALL.PAUSE"])?;
    std::thread::sleep(Duration::from_secs(SETTLE_SECONDS));
    Ok(())
}

/// Writes keys, and waits for what the server does about it by itself.
fn write(client: &mut Client, kind: Kind, keys: Range<u64>) -> Result<()> {
    for start in keys.clone().step_by(PIPELINE as usize) {
        let requests: Vec<Request> =
            (start..keys.end.min(start + PIPELINE)).map(|key| kind.request(key)).collect();
        for answer in client.pipeline(&requests) {
            match answer {
                Answer::Reply(value, _) if value.as_error().is_none() => {}
                Answer::Reply(..) => bail!("a write of {} was refused", kind.name()),
                Answer::None => bail!("the connection broke"),
            }
        }
    }
    std::thread::sleep(Duration::from_secs(SETTLE_SECONDS));
    Ok(())
}

fn resident_bytes(process: u64) -> Result<f64> {
    let file = format!("/proc/{process}/status");
    let status = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    Ok(kibibytes.with_context(|| format!("{file} names no VmRSS"))? * 1024.0)
}

fn number(client: &mut Client, pointer: &str) -> Result<u64> {
    let reply = client.call(&["LANDFALL.STATUS"])?;
    let status: serde_json::Value =
        serde_json::from_slice(reply.as_bytes().unwrap_or_default()).context("LANDFALL.STATUS is no JSON")?;
    let found = status.pointer(pointer).and_then(serde_json::Value::as_u64);
    found.with_context(|| format!("the status has no {pointer}"))
}

fn page(machine: &Machine, keys: u64, table: &[Measured]) -> String {
    let mut page = String::from("# Memory of keys and rows, Landfall and Redis\n\n");
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "Measured {} at commit {} (release build) on {} cores ({}), {}, Linux {}, {}. Command:\n\n    {}\n\n",
        machine.started,
        machine.commit,
        machine.cores,
        machine.processor,
        machine.memory,
        machine.kernel,
        machine.redis,
        machine.command
    );
    let _ = write!(
        page,
        "{keys} keys of each kind, their names 16 bytes long; both log with a sync every second. Bytes are what the resident memory\n\
         of the process has grown by, divided by the number of keys: with all that goes with them, be it the index of the log or\n\
         what the allocator keeps; memory that landing took for half as many keys before is not counted. *ratio* is that of Redis'\n\
         bytes: above 1.00, Redis takes less. Landed rows are clean: the cache keeps them until it needs their room.\n\n\
         | | server | bytes | ratio |\n|---|---|--:|--:|\n"
    );
    for kind in Kind::ALL {
        let of_kind: Vec<&Measured> = table.iter().filter(|one| one.kind.name() == kind.name()).collect();
        let redis = of_kind.iter().find(|one| one.server == "redis").map(|one| one.bytes);
        for Measured { server, bytes, .. } in of_kind {
            let ratio = redis
                .filter(|_| *server != "redis")
                .map_or_else(String::new, |redis| format!("{:.2}", bytes / redis));
            let _ = writeln!(page, "| {} | {server} | {bytes:.0} | {ratio} |", kind.name());
        }
    }
    page
}
