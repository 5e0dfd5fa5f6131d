//! Fills the disk under a running server: writers get an error that says so, readers and landing go on, and when there
//! is room again everything goes on. The checker decides whether anything was lost or invented.
//!
//! `LANDFALL_SEED=N` repeats the choices of a run. `LANDFALL_PROOF_MINUTES=N` goes on for so long.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use landfall_sim::audit;
use landfall_sim::chance::Chance;
use landfall_sim::client::{Client, request};
use landfall_sim::disk::{Disk, Kind};
use landfall_sim::load::Scene;
use landfall_sim::private_mounts::{Entered, enter};
use landfall_sim::round::{CONFIG, PROGRESS_WITHIN, Round, Tally, prepare, proof_time, told};
use landfall_sim::servers::LandfallOptions;
use landfall_sim::skipping::skipped;
use landfall_sim::waiting::wait_until;

const MEBIBYTES: u64 = 32;
/// What is left when the load begins.
const ROOM_BYTES: u64 = 1 << 20;
const FLUSH_WITHIN_MS: u64 = 30_000;
const FULL_WITHIN: Duration = Duration::from_secs(60);
const NO_SPACE: &str = "No space left on device";
/// How a server may refuse to start without room.
const EXIT_CODES: &[i32] = &[1, 69];

/// Bounds that are reached later than the end of the disk.
const BOUNDS: &str = "max-pending = 10000000\nthrottle-at = \"100%\"\n";

/// Why the log grows, and how room comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Nothing lands, because another process has the database's lock. Landing alone has to make room again.
    NothingLands,
    /// Log and database share a disk with a file of somebody else, who takes it away in the end.
    SomebodyElse,
}

/// What happens while the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// The server is killed and has to start without room, or say why it does not.
    Kill,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    kind: Kind,
    fsync: &'static str,
    cause: Cause,
    meanwhile: Meanwhile,
}

#[derive(Default)]
struct Count {
    full: u32,
    started_without_room: u32,
    refused_to_start: u32,
    tally: Tally,
}

impl Count {
    fn line(&self) -> String {
        let what = format!(
            "{} times a full disk ({} starts without room, {} starts refused for it)",
            self.full, self.started_without_room, self.refused_to_start
        );
        self.tally.line(&what)
    }
}

fn begin(plan: Plan, disk: &Disk, chance: Chance) -> Result<Round> {
    let mut options = LandfallOptions::new(env!("CARGO_BIN_EXE_landfall"));
    plan.fsync.clone_into(&mut options.fsync);
    options.config = format!("{CONFIG}{BOUNDS}");
    options.data_dir = Some(disk.path().join("data"));
    if plan.cause == Cause::SomebodyElse {
        options.database = Some(disk.path().join("rows.db"));
    }
    let mut server = prepare(options, "WAL")?;
    server.restart()?;
    let mut round = Round::new(server, chance);
    round.expected_refusals.push("MISCONF ");
    Ok(round)
}

/// Whether a write is refused because the disk is full; any other error is not what is promised.
fn write_is_refused(round: &Round) -> Result<bool> {
    let answers = round.server.connect()?.pipeline(&[request(&["SET", "probe:1", "x"])]);
    let Some(error) = answers[0].value().context("a write without an answer")?.as_error() else {
        return Ok(false);
    };
    let message = String::from_utf8_lossy(error.message).into_owned();
    match (error.prefix, message.contains(NO_SPACE)) {
        (b"MISCONF", true) => Ok(true),
        (b"TRYAGAIN", _) => Ok(false),
        (prefix, _) => bail!("a write was refused with {} {message}", String::from_utf8_lossy(prefix)),
    }
}

/// Waits until the disk is full for the server too.
fn fill_up(round: &mut Round) -> Result<()> {
    let mut refused = Ok(false);
    let reached = wait_until(Instant::now() + FULL_WITHIN, || {
        refused = write_is_refused(round);
        !matches!(refused, Ok(false))
    });
    refused?;
    ensure!(reached, round.server.said("the disk does not get full"));
    Ok(())
}

/// What has landed is read while nothing can be written. (A row that has not landed is not: the log cannot tell what of
/// it is as safe as promised, so that answer is refused.)
fn reading_goes_on(round: &Round) -> Result<()> {
    let mut client: Client = round.server.connect()?;
    for _ in 0..20 {
        let value = client.call(&["GET", "calm:1"]).context("reading on a full disk")?;
        ensure!(value.as_bytes() == Some(b"weather"), "calm:1 is {value:?} on a full disk");
    }
    Ok(())
}

fn start_without_room(round: &mut Round, scene: &Scene, count: &mut Count) -> Result<()> {
    scene.set_address(None);
    round.server.kill9()?;
    if let Ok(address) = round.server.restart() {
        count.started_without_room += 1;
        scene.set_address(Some(address));
        return Ok(());
    }
    let status = round.server.ended()?.with_context(|| round.server.said("neither ready nor ended"))?;
    let known = status.code().is_some_and(|code| EXIT_CODES.contains(&code));
    let words = round.server.said("");
    let why = words.contains(NO_SPACE) || words.contains("disk of the SQLite file is full");
    ensure!(known && why, round.server.said(&format!("a start on a full disk ended with {status}")));
    round.server.end()?;
    count.refused_to_start += 1;
    Ok(())
}

fn full(plan: Plan, disk: &Disk, round: &mut Round, scene: &Scene, count: &mut Count) -> Result<()> {
    let mut client = round.server.connect()?;
    client.call(&["SET", "calm:1", "weather"])?;
    audit::flush(&mut client, FLUSH_WITHIN_MS)?;
    disk.fill(ROOM_BYTES)?;
    let mut other = rusqlite::Connection::open(round.server.database())?;
    other.busy_timeout(PROGRESS_WITHIN)?;
    let lock = (plan.cause == Cause::NothingLands)
        .then(|| other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate))
        .transpose()?;
    fill_up(round)?;
    reading_goes_on(round)?;
    count.full += 1;
    if let Some(lock) = lock {
        lock.rollback()?;
    }
    if plan.meanwhile == Meanwhile::Kill {
        start_without_room(round, scene, count)?;
    }
    // A server that did not start, and one whose database has no room either, need what only people can give.
    if round.server.address().is_none() || plan.cause == Cause::SomebodyElse {
        disk.make_room()?;
    }
    if round.server.address().is_none() {
        scene.set_address(Some(round.server.restart()?));
    }
    round.progress(scene, 300)?;
    disk.make_room()
}

fn run(plan: Plan, seed: u64, chance: Chance, count: &mut Count) {
    let mut disk = Disk::make(plan.kind, MEBIBYTES, "").unwrap();
    let round = begin(plan, &disk, chance);
    told(&format!("{plan:?}"), seed, round, |round| {
        let done = round
            .under_load(|round, scene| {
                round.progress(scene, 200)?;
                full(plan, &disk, round, scene, count)?;
                count.tally.acknowledged += scene.acknowledged();
                Ok(())
            })
            .and_then(|history| round.reckon(&history, &mut count.tally));
        if done.is_err() {
            println!("{}", count.line());
            // A copy of a full disk is no reason to hide what was found.
            let copied = disk.copy_to(round.server.folder());
            done.context(format!("the disk, as it is now: {copied:?}"))?;
        }
        round.server.end()?;
        disk.unmount()
    });
}

fn plans(kind: Kind) -> Vec<Plan> {
    let plan = |fsync, cause, meanwhile| Plan { kind, fsync, cause, meanwhile };
    vec![
        plan("always", Cause::NothingLands, Meanwhile::Nothing),
        plan("always", Cause::SomebodyElse, Meanwhile::Nothing),
        plan("always", Cause::SomebodyElse, Meanwhile::Kill),
        plan("everysec", Cause::NothingLands, Meanwhile::Kill),
    ]
}

// shows: S1, S6
#[test]
fn on_a_full_disk_writers_hear_why_and_everything_goes_on_when_there_is_room() {
    const NAME: &str = "on_a_full_disk_writers_hear_why_and_everything_goes_on_when_there_is_room";
    match enter(NAME).unwrap() {
        Entered::Inside => {}
        Entered::Done => return,
        Entered::Forbidden(reason) => return skipped(NAME, &reason),
    }
    // Without the rights of root there are no loop devices, and memory gets full as well.
    let usable = |kind: &Kind| Disk::make(*kind, MEBIBYTES, "").and_then(|mut disk| disk.unmount());
    let Some(kind) = [Kind::Ext4, Kind::Tmpfs].into_iter().find(|kind| usable(kind).is_ok()) else {
        let reason = usable(&Kind::Tmpfs).err().map_or_else(String::new, |error| format!("{error:#}"));
        return skipped(NAME, &format!("no small file system: {reason}"));
    };
    let seed = Chance::fresh_seed().unwrap();
    println!("LANDFALL_SEED={seed}");
    let mut chance = Chance::from_seed(seed);
    let end = proof_time().unwrap().map(|time| Instant::now() + time);
    let mut count = Count::default();
    loop {
        for plan in plans(kind) {
            run(plan, seed, chance.fork(), &mut count);
        }
        if end.is_none_or(|end| Instant::now() >= end) {
            break;
        }
    }
    println!("{}", count.line());
}
