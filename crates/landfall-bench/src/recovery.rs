//! How long a start takes behind a full log: one process writes it and is killed, another one opens it.
//! It must never measure an opening that found less than what was written.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use landfall::buffer::log::local::{LocalLog, LocalLogSettings};
use landfall::engine::ops::{fields, numbers, strings};
use landfall::engine::{Engine, Stop, Unit};
use landfall::env;
use landfall::model::mapping::Target;
use landfall::sink::sqlite::{SqliteDatabase, SqliteSettings};
use rustix::time::ClockId;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::library::{Dice, Key, Policy, VALUE_BYTES, peak_memory_bytes, processor_time, settings};
use crate::machine::Machine;

/// So many commands are committed together, as a turn of the server's loop would.
const COMMITTED_AT_ONCE: u64 = 64;

/// How long opening a full log takes, until the first command could run
///
/// A process writes the log with landing paused: SET of 64 B, HSET of three fields and INCR in equal parts, over random
/// keys. It is killed with -9. Each pass opens what it left in a new process, and measures the time, the most memory it
/// took, and the index. Data lies below TMPDIR, which should be on a disk.
#[derive(Args)]
pub(crate) struct Options {
    /// How much log is written, in MiB
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    log_mib: u64,
    /// Random keys, of all kinds together
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    keys: u64,
    /// The policy of the process that writes: how much of the log is known to be durable
    #[arg(long, value_enum, default_value = "everysec")]
    policy: Policy,
    /// How often what was left is opened
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    passes: u32,
    /// Read from the disk and not from the system's memory
    #[arg(long)]
    cold: bool,
    /// Where the figures go, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What a process that this one started does, and in which folder
    #[arg(long, hide = true, requires = "folder")]
    part: Option<Part>,
    #[arg(long, hide = true)]
    folder: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Part {
    Write,
    Open,
}

/// What the writer left.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Written {
    changes: u64,
    log_bytes: u64,
    seconds: f64,
}

/// What an opening took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Reopened {
    changes: u64,
    /// Until the log was verified and its index built.
    scanned_seconds: f64,
    /// Until the first command could run.
    ready_seconds: f64,
    /// Processor time until then: what a quiet machine would take.
    processor_seconds: f64,
    peak_memory_bytes: u64,
    index_bytes: u64,
    cache_rows: u64,
    cache_bytes: u64,
    copied_records: u64,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    match (options.part, &options.folder) {
        (Some(Part::Write), Some(folder)) => write(options, folder),
        (Some(Part::Open), Some(folder)) => open(options, folder),
        _ => measure(options),
    }
}

fn measure(options: &Options) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("landfall-recovery-").tempdir()?;
    let machine = Machine::here("recovery", folder.path());
    let written: Written = in_a_process(options, Part::Write, folder.path())?;
    println!(
        "written: {} changes, {} MiB of log, in {:.1} s",
        written.changes,
        written.log_bytes >> 20,
        written.seconds
    );
    let mut passes = Vec::new();
    for pass in 1..=options.passes {
        if options.cold {
            forget_pages(&folder.path().join("data/log"))?;
        }
        let opened: Reopened = in_a_process(options, Part::Open, folder.path())?;
        if opened.changes != written.changes {
            bail!("{} changes were written, and {} were found", written.changes, opened.changes);
        }
        println!("{}", line(pass, &written, &opened));
        passes.push(opened);
    }
    if let Some(file) = &options.json {
        let cold = options.cold;
        let document = json!({"machine": machine, "policy": options.policy.name(), "keys": options.keys, "cold": cold, "written": written, "passes": passes});
        fs::write(file, format!("{document:#}\n"))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn line(pass: u32, written: &Written, opened: &Reopened) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    format!(
        "pass {pass}: ready in {:.2} s ({:.0} MiB/s), {:.2} s of a processor ({:.0} ns a change), scanned in {:.2} s, peak memory {:.0} MiB, index {:.1} MiB ({:.2} bytes a record), cache {:.0} MiB for {} rows, copied {} records",
        opened.ready_seconds,
        mib(written.log_bytes) / opened.ready_seconds,
        opened.processor_seconds,
        opened.processor_seconds * 1e9 / written.changes as f64,
        opened.scanned_seconds,
        mib(opened.peak_memory_bytes),
        mib(opened.index_bytes),
        opened.index_bytes as f64 / written.changes as f64,
        mib(opened.cache_bytes),
        opened.cache_rows,
        opened.copied_records,
    )
}

/// Has another process of this program do its part, takes what it says, and kills it with -9.
fn in_a_process<T: for<'a> Deserialize<'a>>(options: &Options, part: Part, folder: &Path) -> Result<T> {
    let name = match part {
        Part::Write => "write",
        Part::Open => "open",
    };
    let mut child = Command::new(std::env::current_exe()?)
        .args(["recovery", "--part", name, "--policy", options.policy.name(), "--folder"])
        .arg(folder)
        .args(["--log-mib", &options.log_mib.to_string(), "--keys", &options.keys.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start another process of this program")?;
    let said = said(&mut child);
    child.kill().context("cannot kill the other process")?;
    child.wait()?;
    serde_json::from_str(&said?).with_context(|| format!("the process that had to {name} failed"))
}

fn said(child: &mut Child) -> Result<String> {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().context("no pipe")?).read_line(&mut line)?;
    Ok(line)
}

/// Says what was measured, and waits to be killed.
fn say(figures: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(figures)?);
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn write(options: &Options, folder: &Path) -> Result<()> {
    let (engine, _, _) = engine(options, folder)?;
    let started = Instant::now();
    let (mut dice, mut key) = (Dice(1), Key::new());
    let mut changes = 0;
    while engine.accepted() < options.log_mib << 20 {
        for _ in 0..COMMITTED_AT_ONCE {
            let number = dice.below(options.keys);
            run_command(&engine, number, key.of(number), changes)?;
            changes += 1;
        }
        engine.commit()?;
    }
    say(&Written { changes, log_bytes: engine.accepted(), seconds: started.elapsed().as_secs_f64() })
}

/// A key's number says what kind of value it has.
fn run_command(engine: &Engine, number: u64, key: &str, nth: u64) -> Result<()> {
    let target = engine.resolve(key.as_bytes())?;
    let mut unit = engine.unit(&[(key.as_bytes(), &target)], false);
    let done = match number % 3 {
        0 => set(&mut unit, &target, nth),
        1 => {
            let value = nth.to_string();
            let pairs = ["f1", "f2", "f3"].map(|field| (field.as_bytes(), value.as_bytes()));
            fields::set(&mut unit, 0, &target, &pairs).map(|_| ())
        }
        _ => numbers::increment(&mut unit, 0, &target, 1).map(|_| ()),
    };
    match done {
        Ok(()) => drop(unit.commit()?),
        Err(Stop::Refused(refusal)) => return Err(refusal.into()),
        Err(Stop::Load) => bail!("{key} is not in the cache, and all keys are"),
    }
    Ok(())
}

fn set(unit: &mut Unit<'_>, target: &Target, nth: u64) -> Result<(), Stop> {
    let mut value = [b'x'; VALUE_BYTES];
    value[..8].copy_from_slice(&nth.to_le_bytes());
    strings::set(unit, 0, target, &value, Default::default(), &[]).map(|_| ())
}

/// Opens an engine; answers when the log was verified, and how many records of it were copied.
fn engine(options: &Options, folder: &Path) -> Result<(Engine, f64, (u64, u64))> {
    let started = Instant::now();
    let settings = settings(folder, options.policy, true);
    let (log, recovery) = LocalLog::open(env::real(), &settings.data_dir, LocalLogSettings::from(&settings))?;
    let scanned = started.elapsed().as_secs_f64();
    let database = SqliteDatabase::open(folder.join("rows.db"), SqliteSettings::default())?;
    let (engine, opened) =
        Engine::open(env::real(), settings, Arc::new(log), Arc::new(database), Arc::new(|_| {}))?;
    Ok((engine, scanned, (opened.owed_changes, recovery.copied_records)))
}

fn open(options: &Options, folder: &Path) -> Result<()> {
    let started = Instant::now();
    let (engine, scanned_seconds, (changes, copied_records)) = engine(options, folder)?;
    let ready_seconds = started.elapsed().as_secs_f64();
    let processor_seconds = processor_time(ClockId::ProcessCPUTime).as_secs_f64();
    let peak_memory_bytes = peak_memory_bytes()?;
    let status = engine.status();
    say(&Reopened {
        changes,
        scanned_seconds,
        ready_seconds,
        processor_seconds,
        peak_memory_bytes,
        index_bytes: status.log.index_bytes,
        cache_rows: status.cache.0,
        cache_bytes: status.cache.1,
        copied_records,
    })
}

/// Has the system forget what it keeps of these files.
fn forget_pages(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let file = File::open(entry?.path())?;
        file.sync_all()?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}
