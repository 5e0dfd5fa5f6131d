//! Kills real servers under a real load of several clients (ours, the redis crate, redis-cli, redis-py), and has a
//! checker decide whether every promise was kept.
//! It proves process crashes only: what the system had taken survives a kill -9, whatever the fsync policy is.
//!
//! `LANDFALL_SEED=N` repeats the choices of a run (not the moments at which threads meet).
//! `LANDFALL_PROOF_MINUTES=N` goes on for so long; `LANDFALL_BIN` names another program than the one of this build.

mod clients;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use landfall_resp::Value;
use landfall_sim::chance::Chance;
use landfall_sim::checker::Outcome;
use landfall_sim::checker::positions::{Placed, check_positions};
use landfall_sim::client::{Client, request};
use landfall_sim::load::Scene;
use landfall_sim::round::{CLIENTS, CONFIG, PROGRESS_WITHIN, Round, Tally, prepare, proof_time, told};
use landfall_sim::servers::LandfallOptions;
use landfall_sim::skipping::skipped;
use landfall_sim::waiting::wait_until;

const KILLS_PER_SEGMENT: u32 = 3;
/// Writes that are acknowledged between two kills, at most; and now and then, so that many segments come and go.
const WRITES_BETWEEN_KILLS_MAX: u64 = 1500;
const WRITES_OF_A_LONG_LIFE_MAX: u64 = 15_000;
/// A kill in the middle of a start comes within this time.
const START_KILLED_WITHIN_MS: u64 = 120;

/// What was done and found so far.
#[derive(Default)]
struct Count {
    kills: u32,
    tally: Tally,
    /// What each kind of client has been answered.
    answered: BTreeMap<&'static str, usize>,
}

impl Count {
    fn line(&self) -> String {
        self.tally.line(&format!("{} kills", self.kills))
    }
}

/// Which kind a client is: they take part in turns.
fn kind_of(kinds: &[clients::Kind], client: u32) -> clients::Kind {
    kinds[client as usize % kinds.len()]
}

/// The clients that this machine has.
fn every_kind() -> Vec<clients::Kind> {
    clients::ALL.iter().filter(|kind| kind.lacks().is_none()).copied().collect()
}

/// A round with a server that runs, under the load of these clients.
fn begin((fsync, journal): (&str, &str), kinds: &[clients::Kind], chance: Chance) -> Result<Round> {
    let mut options = LandfallOptions::new(env!("CARGO_BIN_EXE_landfall"));
    fsync.clone_into(&mut options.fsync);
    CONFIG.clone_into(&mut options.config);
    let mut server = prepare(options, journal)?;
    server.restart()?;
    let mut round = Round::new(server, chance);
    round.clients = (1..=CLIENTS as u32).map(|client| kind_of(kinds, client).connect).collect();
    Ok(round)
}

/// Waits until more writes are acknowledged: a random number of them.
fn progress(round: &mut Round, scene: &Scene) -> Result<()> {
    let most = match round.chance.percent(10) {
        true => WRITES_OF_A_LONG_LIFE_MAX,
        false => WRITES_BETWEEN_KILLS_MAX,
    };
    let writes = 20 + round.chance.below(most);
    round.progress(scene, writes)
}

fn kill_and_restart(round: &mut Round, scene: &Scene, count: &mut Count) -> Result<()> {
    scene.set_address(None);
    round.server.kill9()?;
    count.kills += 1;
    if round.chance.percent(30) {
        round.server.launch()?;
        // Any moment of the start will do; there is nothing to wait for.
        let moment = Instant::now() + Duration::from_millis(round.chance.below(START_KILLED_WITHIN_MS));
        wait_until(moment, || false);
        round.server.kill9()?;
        count.kills += 1;
    }
    scene.set_address(Some(round.server.restart()?));
    Ok(())
}

/// Another process holds the database's lock, so every landing fails, and all of it is owed when the kill comes.
fn kill_while_nothing_lands(round: &mut Round, scene: &Scene, count: &mut Count) -> Result<()> {
    let mut other = rusqlite::Connection::open(round.server.database())?;
    other.busy_timeout(PROGRESS_WITHIN)?;
    let lock = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    progress(round, scene)?;
    scene.set_address(None);
    round.server.kill9()?;
    count.kills += 1;
    lock.rollback()?;
    scene.set_address(Some(round.server.restart()?));
    progress(round, scene)
}

/// Several kills under one load, then the whole reckoning.
fn kills_under_load(round: &mut Round, kinds: &[clients::Kind], count: &mut Count) -> Result<()> {
    let history = round.under_load(|round, scene| {
        for _ in 0..KILLS_PER_SEGMENT {
            progress(round, scene)?;
            if round.chance.percent(25) {
                kill_while_nothing_lands(round, scene, count)?;
            }
            kill_and_restart(round, scene, count)?;
        }
        progress(round, scene)?;
        count.tally.acknowledged += scene.acknowledged();
        Ok(())
    })?;
    for operation in history.iter().filter(|operation| matches!(operation.outcome, Outcome::Acked(_))) {
        *count.answered.entry(kind_of(kinds, operation.client).name).or_default() += 1;
    }
    if round.chance.percent(50) {
        round.server.kill9()?;
        count.kills += 1;
        round.server.restart()?;
    }
    round.reckon(&history, &mut count.tally)
}

// shows: S1, S5, S6, S7
#[test]
fn a_server_killed_again_and_again_under_load_loses_and_doubles_nothing() {
    let seed = Chance::fresh_seed().unwrap();
    println!("LANDFALL_SEED={seed}");
    let mut chance = Chance::from_seed(seed);
    let end = proof_time().unwrap().map(|time| Instant::now() + time);
    let mut count = Count::default();
    let kinds = every_kind();
    loop {
        for (fsync, journal, segments) in
            [("always", "WAL", 6), ("everysec", "WAL", 3), ("always", "DELETE", 2)]
        {
            told("kills", seed, begin((fsync, journal), &kinds, chance.fork()), |round| {
                let done = (0..segments).try_for_each(|_| kills_under_load(round, &kinds, &mut count));
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
    println!("answers by client: {:?}", count.answered);
    assert!(count.kills >= 20, "{} kills are too few", count.kills);
    let took_part = |kind: &&clients::Kind| kind.lacks().is_some() || count.answered.contains_key(kind.name);
    assert!(clients::ALL.iter().all(|kind| took_part(&kind)), "{:?}", count.answered);
}

/// Kills under the load of one kind of client alone.
fn kills_with_only(test: &str, client: &str) {
    let kind = clients::ALL.iter().find(|kind| kind.name == client).unwrap();
    if let Some(reason) = kind.lacks() {
        return skipped(test, &reason);
    }
    let seed = Chance::fresh_seed().unwrap();
    let mut count = Count::default();
    let kinds = [*kind];
    told(test, seed, begin(("everysec", "WAL"), &kinds, Chance::from_seed(seed)), |round| {
        kills_under_load(round, &kinds, &mut count)
    });
    println!("{client}: {}", count.line());
}

// shows: S18
#[test]
fn the_redis_crate_loses_and_doubles_nothing_when_the_server_is_killed() {
    kills_with_only("the_redis_crate_loses_and_doubles_nothing_when_the_server_is_killed", "redis-crate");
    kills_with_only(
        "the_redis_crate_loses_and_doubles_nothing_when_the_server_is_killed",
        "redis-crate-async",
    );
}

// shows: S18
#[test]
fn redis_cli_loses_and_doubles_nothing_when_the_server_is_killed() {
    kills_with_only("redis_cli_loses_and_doubles_nothing_when_the_server_is_killed", "redis-cli");
}

// shows: S18
#[test]
fn redis_py_loses_and_doubles_nothing_when_the_server_is_killed() {
    kills_with_only("redis_py_loses_and_doubles_nothing_when_the_server_is_killed", "redis-py");
}

/// Writes to its own key until it is told to stop, and asks for the position of each write that is acknowledged.
fn write_and_ask(key: &str, scene: &Scene, answered: &AtomicU64) -> Vec<Placed> {
    let mut placed = Vec::new();
    while !scene.is_stopped() {
        wait_until(Instant::now() + PROGRESS_WITHIN, || scene.is_stopped() || scene.address().is_some());
        let connected = scene.address().and_then(|address| Client::connect(address, PROGRESS_WITHIN).ok());
        let Some(mut client) = connected else { continue };
        let mut before = BTreeMap::new();
        while !scene.is_stopped() && !client.is_broken() {
            let invoked_ns = scene.now_ns();
            let answers = client.pipeline(&[request(&["INCR", key]), request(&["LANDFALL.POSITIONS"])]);
            let returned_ns = scene.now_ns();
            let [Some(Value::Integer(_)), Some(Value::Array(told))] =
                [answers[0].value(), answers[1].value()]
            else {
                continue;
            };
            let Value::Bulk(lineage) = &told[0] else { panic!("{told:?}") };
            for place in &told[1..] {
                let Value::Array(place) = place else { panic!("{told:?}") };
                let [Value::Integer(lane), Value::Integer(position)] = place[..] else { panic!("{told:?}") };
                if before.insert(lane, position) != Some(position) {
                    placed.push(Placed {
                        lineage: String::from_utf8_lossy(lineage).into_owned(),
                        lane: lane as u32,
                        position: position as u64,
                        invoked_ns,
                        returned_ns,
                    });
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
    placed
}

// shows: S5, S6
#[test]
fn a_position_is_given_once_and_in_the_order_of_the_answers_over_kills() {
    const KEYS: [&str; 4] = ["a", "b", "c", "d"];
    let seed = Chance::fresh_seed().unwrap();
    told("positions", seed, begin(("everysec", "WAL"), &every_kind(), Chance::from_seed(seed)), |round| {
        let (scene, answered) = (Scene::default(), AtomicU64::new(0));
        scene.set_address(round.server.address());
        let placed: Vec<Placed> = std::thread::scope(|scope| {
            let writers: Vec<_> =
                KEYS.iter().map(|key| scope.spawn(|| write_and_ask(key, &scene, &answered))).collect();
            let kills = (0..4).try_for_each(|_| {
                let target = answered.load(Ordering::Relaxed) + 500;
                let enough = || answered.load(Ordering::Relaxed) >= target;
                ensure!(wait_until(Instant::now() + PROGRESS_WITHIN, enough), "nothing is acknowledged");
                kill_and_restart(round, &scene, &mut Count::default())
            });
            scene.stop();
            let placed = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
            kills.map(|()| placed)
        })?;
        ensure!(placed.len() >= 2_000, "only {} writes were told their positions", placed.len());
        let found = check_positions(&placed);
        ensure!(found.is_empty(), "{found:#?}");
        Ok(())
    });
}

// shows: S1, S6
#[test]
fn a_server_asked_to_end_under_load_ends_with_0_and_keeps_everything() {
    let seed = Chance::fresh_seed().unwrap();
    told("terminate", seed, begin(("everysec", "WAL"), &every_kind(), Chance::from_seed(seed)), |round| {
        let mut tally = Tally::default();
        let history = round.under_load(|round, scene| {
            for _ in 0..2 {
                progress(round, scene)?;
                scene.set_address(None);
                let status = round.server.terminate()?;
                ensure!(
                    status.code() == Some(0),
                    round.server.said(&format!("the server ended with {status}"))
                );
                scene.set_address(Some(round.server.restart()?));
            }
            progress(round, scene)
        })?;
        round.reckon(&history, &mut tally)
    });
}

#[test]
fn a_second_server_on_the_same_data_is_refused_and_says_why() {
    let seed = 0;
    told("second server", seed, begin(("always", "WAL"), &every_kind(), Chance::from_seed(seed)), |round| {
        let (status, words) = round.server.start_another()?;
        ensure!(status.code() == Some(69), "it ended with {status} and said: {words}");
        let data_dir = round.server.data_dir();
        ensure!(names_the_problem(&words, &data_dir), "it said: {words}");
        // The first one goes on as if nothing had been.
        round.server.connect()?.call(&["SET", "still:here", "yes"])?;
        Ok(())
    });
}

fn names_the_problem(words: &str, data_dir: &Path) -> bool {
    words.contains("in use by another Landfall process") && words.contains(&data_dir.display().to_string())
}
