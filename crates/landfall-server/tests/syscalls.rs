//! Lets the k-th sync, write, open, rename or read of a real server fail, and has a checker decide whether every promise
//! was kept. Half of the time the power goes with the failed server, so that what a failed sync left is gone.
//!
//! `LANDFALL_SEED=N` repeats the choices of a run. `LANDFALL_PROOF_MINUTES=N` goes through all kinds of calls for k = 1
//! and on for so long; `LANDFALL_FROM=K` begins with another k.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use landfall_sim::chance::Chance;
use landfall_sim::disk::{Disk, Journal, Kind};
use landfall_sim::load::Scene;
use landfall_sim::private_mounts::{Entered, enter};
use landfall_sim::round::{CONFIG, PROGRESS_WITHIN, Round, Tally, prepare, proof_time, told};
use landfall_sim::servers::LandfallOptions;
use landfall_sim::skipping::skipped;
use landfall_sim::strace::{Fault, Injection, forbidden};
use landfall_sim::waiting::wait_until;

const FAULTS: &[Fault] = &[
    Fault { call: "fdatasync", answer: "error=EIO" },
    Fault { call: "fsync", answer: "error=EIO" },
    Fault { call: "pwrite64", answer: "error=ENOSPC" },
    Fault { call: "pwrite64", answer: "error=EIO" },
    Fault { call: "pwrite64", answer: "retval=0" },
    Fault { call: "openat", answer: "error=EMFILE" },
    Fault { call: "openat", answer: "error=ENOSPC" },
    Fault { call: "rename", answer: "error=EIO" },
    Fault { call: "pread64", answer: "error=EIO" },
    Fault { call: "unlink", answer: "error=EIO" },
];
/// An ordinary test draws its k from here: a start takes some ten calls of a kind, and the load more.
const NTH_MAX: u64 = 80;
/// A call that fails for ever may leave a server that lives and refuses.
const REFUSING_FOR: Duration = Duration::from_millis(700);
/// How a server may end by itself: a failure, an unusable surrounding, a wrong setting, a missing library.
const EXIT_CODES: &[i32] = &[1, 69, 78, 127];
const WRITES_MAX: u64 = 600;
const MEBIBYTES: u64 = 320;

#[derive(Default)]
struct Count {
    cases: u32,
    /// Servers that did not get ready, that ended later, that went on.
    at_start: u32,
    later: u32,
    went_on: u32,
    cuts: u32,
    tally: Tally,
}

impl Count {
    fn line(&self, reach: &str) -> String {
        let what = format!(
            "{} failed calls ({reach}; {} servers did not start, {} ended later, {} went on; {} power cuts behind them)",
            self.cases, self.at_start, self.later, self.went_on, self.cuts
        );
        self.tally.line(&what)
    }
}

fn begin(disk: Option<&Disk>, chance: Chance) -> Result<Round> {
    let mut options = LandfallOptions::new(env!("CARGO_BIN_EXE_landfall"));
    CONFIG.clone_into(&mut options.config);
    options.data_dir = disk.map(|disk| disk.path().join("data"));
    options.database = disk.map(|disk| disk.path().join("rows.db"));
    let server = prepare(options, "WAL")?;
    let mut round = Round::new(server, chance);
    round.clients.truncate(3);
    // What the log says when it failed or has no room; and what a lander says that lost its database.
    round.expected_refusals.push("MISCONF ");
    Ok(round)
}

/// A server with this fault, from its start to its end by itself or by us.
fn suffer(round: &mut Round, scene: &Scene, injection: &Injection, count: &mut Count) -> Result<()> {
    round.server.set_wrapper(injection.wrapper()?);
    if let Ok(address) = round.server.restart() {
        scene.set_address(Some(address));
        let target = scene.acknowledged() + 50 + round.chance.below(WRITES_MAX);
        let patience = if injection.for_ever { REFUSING_FOR } else { PROGRESS_WITHIN };
        let over = wait_until(Instant::now() + patience, || {
            scene.acknowledged() >= target || !matches!(round.server.ended(), Ok(None))
        });
        ensure!(
            over || injection.for_ever,
            round.server.said("one failed call, and the server neither goes on nor ends")
        );
        match round.server.ended()? {
            Some(_) => count.later += 1,
            None => count.went_on += 1,
        }
    } else {
        count.at_start += 1;
    }
    scene.set_address(None);
    if let Some(status) = round.server.ended()? {
        let code = status.code().with_context(|| round.server.said(&format!("it ended by {status}")))?;
        ensure!(EXIT_CODES.contains(&code), round.server.said(&format!("it ended with {status}")));
    }
    round.server.end()?;
    count.cases += 1;
    Ok(())
}

/// One fault, then a start without one, and the reckoning.
fn one(round: &mut Round, disk: &mut Option<Disk>, injection: &Injection, count: &mut Count) -> Result<()> {
    let history = round.under_load(|round, scene| {
        suffer(round, scene, injection, count)?;
        if let Some(disk) = disk.as_mut()
            && round.chance.percent(50)
        {
            disk.cut(if round.chance.percent(50) { Journal::Lost } else { Journal::Written })?;
            disk.replug()?;
            count.cuts += 1;
        }
        round.server.set_wrapper(Vec::new());
        scene.set_address(Some(round.server.restart()?));
        round.progress(scene, 50)?;
        count.tally.acknowledged += scene.acknowledged();
        Ok(())
    })?;
    round.reckon(&history, &mut count.tally)?;
    round.server.terminate()?;
    Ok(())
}

/// The faults of an ordinary test: each kind once, at some k.
fn some(chance: &mut Chance) -> Vec<Injection> {
    let injection = |fault: &Fault| Injection {
        fault: *fault,
        nth: 1 + chance.below(NTH_MAX),
        for_ever: chance.percent(30),
    };
    FAULTS.iter().map(injection).collect()
}

/// Every kind at one k.
fn all(nth: u64) -> Vec<Injection> {
    let both = |fault: &Fault| [false, true].map(|for_ever| Injection { fault: *fault, nth, for_ever });
    FAULTS.iter().flat_map(both).collect()
}

fn run(injections: &[Injection], seed: u64, chance: Chance, count: &mut Count, reach: &str) {
    // Where no file system can be mounted, the same is done without power cuts.
    let mut disk = Disk::make(Kind::Ext4, MEBIBYTES, "").ok();
    let round = begin(disk.as_ref(), chance);
    told("a failed call", seed, round, |round| {
        for injection in injections {
            if let Err(error) = one(round, &mut disk, injection, count) {
                println!("{}", count.line(reach));
                let copied = disk.as_ref().map(|disk| disk.copy_to(round.server.folder()));
                return Err(error.context(format!("{injection}; the disk was copied: {copied:?}")));
            }
        }
        disk.as_mut().map_or(Ok(()), Disk::unmount)
    });
}

// shows: S1, S6
#[test]
fn a_server_whose_kth_system_call_fails_keeps_what_it_acknowledged() {
    const NAME: &str = "a_server_whose_kth_system_call_fails_keeps_what_it_acknowledged";
    match enter(NAME).unwrap() {
        // Without mounts of its own it still has system calls that can fail.
        Entered::Inside | Entered::Forbidden(_) => {}
        Entered::Done => return,
    }
    if let Some(reason) = forbidden() {
        return skipped(NAME, &reason);
    }
    let seed = Chance::fresh_seed().unwrap();
    println!("LANDFALL_SEED={seed}");
    let mut chance = Chance::from_seed(seed);
    let mut count = Count::default();
    let Some(time) = proof_time().unwrap() else {
        let injections = some(&mut chance);
        run(&injections, seed, chance, &mut count, "k by chance");
        println!("{}", count.line("k by chance"));
        return;
    };
    let end = Instant::now() + time;
    let from: u64 = std::env::var("LANDFALL_FROM").map_or(1, |text| text.parse().unwrap());
    let mut nth = from;
    while nth == from || Instant::now() < end {
        run(&all(nth), seed, chance.fork(), &mut count, &format!("k from {from} to {nth}"));
        nth += 1;
    }
    println!("{}", count.line(&format!("k from {from} to {}", nth - 1)));
}
