//! Kills the server and its PostgreSQL under a real load, alone, one after the other and with the network between them
//! cut, and has a checker decide whether every promise was kept.
//! It proves process crashes only: what the system had taken survives a kill -9. Without a PostgreSQL it says that it is skipped.
//!
//! `LANDFALL_SEED=N` repeats the choices of a run; `LANDFALL_PROOF_MINUTES=N` goes on for so long.
#![cfg(feature = "postgres")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use landfall_sim::chance::Chance;
use landfall_sim::load::Scene;
use landfall_sim::proxy::{Fault, Proxy, Trap, Way};
use landfall_sim::round::{CONFIG, Round, Tally, prepare_postgres_at, proof_time, told};
use landfall_sim::servers::{LandfallOptions, Postgres};
use landfall_sim::skipping::skipped;
use landfall_sim::waiting::wait_until;

/// A segment's kills; what is killed in which turn.
const TURNS: [Turn; 6] =
    [Turn::Landfall, Turn::Landfall, Turn::Postgres, Turn::Landfall, Turn::WithoutDatabase, Turn::Landfall];
const SEGMENTS: usize = 4;
/// Few, because an outage lets them write as fast as they can.
const CLIENTS: usize = 3;
const WRITES_BETWEEN_KILLS_MAX: u64 = 1000;
/// A landing comes along within this time under load.
const LANDS_WITHIN: Duration = Duration::from_secs(60);
/// The COMMIT as a client says it: a statement without a name and without parameters.
const COMMIT: &[u8] = b"P\0\0\0\x0e\0COMMIT\0\0\0";
/// Fewer bytes than the client says to commit, and than the server answers.
const COMMIT_BYTES_MAX: u64 = 40;
const ANSWER_BYTES_MAX: u64 = 28;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Landfall,
    Postgres,
    /// PostgreSQL is away when the server is killed, and still when it starts; then it is back.
    WithoutDatabase,
}

/// What was done so far.
#[derive(Default)]
struct Count {
    kills: u32,
    of_postgres: u32,
    tally: Tally,
}

impl Count {
    fn line(&self) -> String {
        let (kills, of_postgres) = (self.kills, self.of_postgres);
        self.tally.line(&format!("{kills} kills of the server and {of_postgres} of PostgreSQL"))
    }
}

fn begin(postgres: &Arc<Postgres>, proxy: &Proxy, fsync: &str, chance: Chance) -> Result<Round> {
    let mut options = LandfallOptions::new(env!("CARGO_BIN_EXE_landfall"));
    fsync.clone_into(&mut options.fsync);
    CONFIG.clone_into(&mut options.config);
    let mut server = prepare_postgres_at(options, postgres, proxy.address())?;
    server.restart()?;
    let mut round = Round::new(server, chance);
    round.clients.truncate(CLIENTS);
    Ok(round)
}

fn kill_server(round: &mut Round, scene: &Scene, count: &mut Count) -> Result<()> {
    scene.set_address(None);
    round.server.kill9()?;
    count.kills += 1;
    scene.set_address(Some(round.server.restart()?));
    Ok(())
}

fn turn(round: &mut Round, scene: &Scene, postgres: &Postgres, turn: Turn, count: &mut Count) -> Result<()> {
    let writes = 20 + round.chance.below(WRITES_BETWEEN_KILLS_MAX);
    round.progress(scene, writes)?;
    if turn == Turn::Landfall {
        return kill_server(round, scene, count);
    }
    postgres.kill9()?;
    count.of_postgres += 1;
    // Writes go on without the database.
    round.progress(scene, 50)?;
    if turn == Turn::WithoutDatabase {
        kill_server(round, scene, count)?;
        round.progress(scene, 50)?;
    }
    postgres.restart()
}

fn segment(round: &mut Round, postgres: &Postgres, count: &mut Count) -> Result<()> {
    let history = round.under_load(|round, scene| {
        TURNS.into_iter().try_for_each(|what| turn(round, scene, postgres, what, count))?;
        round.progress(scene, 200)?;
        count.tally.acknowledged += scene.acknowledged();
        Ok(())
    })?;
    round.reckon(&history, &mut count.tally)
}

/// A server of its own, because others share one; none, and a word that the test is skipped.
fn private_or_skip(test: &str) -> Option<Arc<Postgres>> {
    if Postgres::find().is_none() {
        skipped(test, "this machine has no postgres");
        return None;
    }
    Some(Arc::new(Postgres::start().unwrap()))
}

// shows: S1, S5, S6, S7
#[test]
fn the_server_and_its_postgresql_killed_under_load_lose_and_double_nothing() {
    let test = "the_server_and_its_postgresql_killed_under_load_lose_and_double_nothing";
    let Some(postgres) = private_or_skip(test) else { return };
    let proxy = Proxy::start(postgres.address()).unwrap();
    let seed = Chance::fresh_seed().unwrap();
    println!("LANDFALL_SEED={seed}");
    let mut chance = Chance::from_seed(seed);
    let end = proof_time().unwrap().map(|time| Instant::now() + time);
    let mut count = Count::default();
    loop {
        for (fsync, segments) in [("always", SEGMENTS / 2), ("everysec", SEGMENTS / 2)] {
            told(test, seed, begin(&postgres, &proxy, fsync, chance.fork()), |round| {
                let done = (0..segments).try_for_each(|_| segment(round, &postgres, &mut count));
                if done.is_err() {
                    println!("{}", count.line());
                }
                done
            });
        }
        if end.is_none_or(|end| Instant::now() >= end) {
            break;
        }
    }
    println!("{}", count.line());
    assert!(count.kills >= 20, "{} kills are too few", count.kills);
}

// shows: S6
#[test]
fn a_network_that_is_cut_in_the_middle_of_commits_loses_and_doubles_nothing() {
    let test = "a_network_that_is_cut_in_the_middle_of_commits_loses_and_doubles_nothing";
    // Part of the proof of kills; on its own a part of the test run only.
    if proof_time().unwrap().is_some() {
        return;
    }
    let Some(postgres) = Postgres::shared_or_skip(test) else { return };
    let proxy = Proxy::start(postgres.address()).unwrap();
    let seed = Chance::fresh_seed().unwrap();
    let mut tally = Tally::default();
    let mut cuts = 0;
    told(test, seed, begin(&postgres, &proxy, "everysec", Chance::from_seed(seed)), |round| {
        let history = round.under_load(|round, scene| {
            for at in 0..20 {
                let way = if at % 2 == 0 { Way::ToServer } else { Way::ToClient };
                let passing_bytes =
                    round.chance.below(if at % 2 == 0 { COMMIT_BYTES_MAX } else { ANSWER_BYTES_MAX });
                proxy.set_trap(Trap { words: COMMIT.to_vec(), way, passing_bytes, fault: Fault::Cut });
                let is_cut = wait_until(Instant::now() + LANDS_WITHIN, || proxy.is_sprung());
                ensure!(is_cut, round.server.said("no COMMIT came along"));
                cuts += 1;
                round.progress(scene, 50)?;
            }
            proxy.forget_trap();
            tally.acknowledged += scene.acknowledged();
            Ok(())
        })?;
        round.reckon(&history, &mut tally)
    });
    println!("{}", tally.line(&format!("{cuts} commits cut in the middle")));
}
