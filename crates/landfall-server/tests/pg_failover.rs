//! Failovers of PostgreSQL under a real load: the link to the replica is dark, what lands meanwhile is lost when the
//! replica is promoted, and a checker decides whether all of it is there again, once.
//! SIGSTOP of a replica would prove nothing: the sockets' buffers deliver what it missed. Without a PostgreSQL it says that it is
//! skipped.
//!
//! `LANDFALL_SEED=N` repeats the choices of a run; `LANDFALL_PROOF_MINUTES=N` goes on for so long.
#![cfg(feature = "postgres")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use landfall_resp::Value;
use landfall_sim::chance::Chance;
use landfall_sim::load::Scene;
use landfall_sim::proxy::Proxy;
use landfall_sim::round::{Round, Tally, prepare_postgres_at, proof_time, told};
use landfall_sim::servers::{LandfallOptions, Postgres};
use landfall_sim::skipping::skipped;
use landfall_sim::waiting::wait_until;

/// Landing all the time, and a log that reaches back over any failover.
const CONFIG: &str = r#"
flush-interval = "5ms"
flush-count = 50
segment-bytes = "128KiB"
retention = "10m"
ttl = "20ms"
absent-ttl = "10ms"
load-timeout = "1s"
database-check = "1s"
"#;
const FAILOVERS_PER_ROUND: usize = 3;
/// Few, because an outage lets them write as fast as they can.
const CLIENTS: usize = 3;
const WITHIN: Duration = Duration::from_secs(60);

/// A primary, a replica, and the networks between them and the server.
struct Pair {
    primary: Arc<Postgres>,
    replica: Option<Arc<Postgres>>,
    link: Proxy,
    /// Where the server finds the primary.
    front: Proxy,
}

impl Pair {
    fn start() -> Result<Pair> {
        let primary = Arc::new(Postgres::start()?);
        let (link, front) = (Proxy::start(primary.address())?, Proxy::start(primary.address())?);
        Ok(Pair { primary, replica: None, link, front })
    }

    /// Makes a replica of the primary, and waits until it has everything.
    fn replicate(&mut self) -> Result<()> {
        self.link.set_target(self.primary.address());
        self.link.clear();
        let replica = Postgres::replica_of(&self.primary, self.link.address())?;
        let behind = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        let streams = || self.primary.psql("postgres", behind).is_ok_and(|count| count == "1");
        ensure!(wait_until(Instant::now() + WITHIN, streams), "the replica does not stream");
        self.replica = Some(Arc::new(replica));
        Ok(())
    }
}

/// How far all lanes have landed there, all together.
fn landed(postgres: &Postgres, name: &str) -> Result<u64> {
    let sum = postgres.psql(name, "SELECT coalesce(sum(position), 0) FROM landfall.landfall_lane")?;
    sum.parse().context("a sum of positions")
}

#[derive(Default)]
struct Count {
    failovers: u32,
    positions_lost: u64,
    tally: Tally,
}

impl Count {
    fn line(&self) -> String {
        let Count { failovers, positions_lost, tally } = self;
        tally
            .line(&format!("{failovers} failovers ({positions_lost} landed positions lost and landed again)"))
    }
}

/// One failover: what lands in the dark exists nowhere but in the log when the replica is promoted.
fn fail_over(pair: &mut Pair, round: &mut Round, scene: &Scene, count: &mut Count) -> Result<()> {
    pair.replicate()?;
    let replica = pair.replica.take().context("just made")?;
    let name = round.server.postgres().context("a PostgreSQL")?.1.to_owned();
    let writes = 20 + round.chance.below(300);
    round.progress(scene, writes)?;
    pair.link.darken();
    let before = landed(&pair.primary, &name)?;
    let writes = 20 + round.chance.below(600);
    round.progress(scene, writes)?;
    let lands = || landed(&pair.primary, &name).is_ok_and(|now| now > before);
    ensure!(wait_until(Instant::now() + WITHIN, lands), round.server.said("nothing lands"));
    pair.front.darken();
    let lost = landed(&pair.primary, &name)?.saturating_sub(landed(&replica, &name)?);
    ensure!(lost > 0, "the replica lacks nothing");
    pair.primary.kill9()?;
    replica.promote()?;
    pair.front.set_target(replica.address());
    pair.front.cut_all();
    pair.front.clear();
    round.server.set_postgres(Arc::clone(&replica));
    pair.primary = replica;
    count.failovers += 1;
    count.positions_lost += lost;
    if round.chance.percent(30) {
        // The log is all that a new process has.
        scene.set_address(None);
        round.server.kill9()?;
        scene.set_address(Some(round.server.restart()?));
    }
    round.progress(scene, 50)
}

fn begin(pair: &Pair, chance: Chance) -> Result<Round> {
    let mut options = LandfallOptions::new(env!("CARGO_BIN_EXE_landfall"));
    CONFIG.clone_into(&mut options.config);
    let mut server = prepare_postgres_at(options, &pair.primary, pair.front.address())?;
    server.restart()?;
    let mut round = Round::new(server, chance);
    round.clients.truncate(CLIENTS);
    Ok(round)
}

// shows: S5, S6, S7
#[test]
fn what_a_promoted_replica_lacks_lands_again_once_and_in_order() {
    let test = "what_a_promoted_replica_lacks_lands_again_once_and_in_order";
    if Postgres::find().is_none() {
        return skipped(test, "this machine has no postgres");
    }
    let seed = Chance::fresh_seed().unwrap();
    println!("LANDFALL_SEED={seed}");
    let mut chance = Chance::from_seed(seed);
    let end = proof_time().unwrap().map(|time| Instant::now() + time);
    let mut count = Count::default();
    let mut pair = Pair::start().unwrap();
    loop {
        told(test, seed, begin(&pair, chance.fork()), |round| {
            let history = round.under_load(|round, scene| {
                (0..FAILOVERS_PER_ROUND).try_for_each(|_| fail_over(&mut pair, round, scene, &mut count))?;
                count.tally.acknowledged += scene.acknowledged();
                Ok(())
            })?;
            let done = round.reckon(&history, &mut count.tally);
            if done.is_err() {
                println!("{}", count.line());
            }
            done
        });
        if end.is_none_or(|end| Instant::now() >= end) {
            break;
        }
    }
    println!("{}", count.line());
}

/// A round of one test, over a pair of its own.
fn with_a_pair(test: &str, work: impl FnOnce(&mut Pair, &mut Round, &Scene) -> Result<()>) {
    // Part of the test run only: the proof is that of failovers.
    if proof_time().unwrap().is_some() {
        return;
    }
    if Postgres::find().is_none() {
        return skipped(test, "this machine has no postgres");
    }
    let seed = Chance::fresh_seed().unwrap();
    let mut tally = Tally::default();
    let mut pair = Pair::start().unwrap();
    told(test, seed, begin(&pair, Chance::from_seed(seed)), |round| {
        let history = round.under_load(|round, scene| {
            work(&mut pair, round, scene)?;
            tally.acknowledged += scene.acknowledged();
            Ok(())
        })?;
        round.reckon(&history, &mut tally)
    });
    println!("{}", tally.line(test));
}

/// Leads new connections there, ends those that there are, and waits until something lands.
fn lead_to(pair: &Pair, postgres: &Postgres, round: &mut Round, scene: &Scene) -> Result<()> {
    let name = round.server.postgres().context("a PostgreSQL")?.1.to_owned();
    let before = landed(postgres, &name)?;
    pair.front.set_target(postgres.address());
    pair.front.cut_all();
    round.progress(scene, 100)?;
    let lands = || landed(postgres, &name).is_ok_and(|now| now > before);
    ensure!(wait_until(Instant::now() + WITHIN, lands), round.server.said("nothing lands"));
    Ok(())
}

#[test]
fn two_primaries_behind_one_address_in_turns_each_get_all_that_was_acknowledged() {
    let test = "two_primaries_behind_one_address_in_turns_each_get_all_that_was_acknowledged";
    with_a_pair(test, |pair, round, scene| {
        pair.replicate()?;
        let replica = pair.replica.take().context("just made")?;
        round.progress(scene, 100)?;
        pair.link.darken();
        round.progress(scene, 100)?;
        // The old primary lives, and takes writes like the new one.
        replica.promote()?;
        let old = Arc::clone(&pair.primary);
        for _ in 0..3 {
            lead_to(pair, &replica, round, scene)?;
            lead_to(pair, &old, round, scene)?;
        }
        lead_to(pair, &replica, round, scene)?;
        round.server.set_postgres(Arc::clone(&replica));
        pair.primary = replica;
        Ok(())
    });
}

#[test]
fn a_replica_is_told_as_read_only_and_gets_all_once_it_is_promoted() {
    let test = "a_replica_is_told_as_read_only_and_gets_all_once_it_is_promoted";
    with_a_pair(test, |pair, round, scene| {
        pair.replicate()?;
        let replica = pair.replica.take().context("just made")?;
        round.progress(scene, 100)?;
        pair.front.set_target(replica.address());
        pair.front.cut_all();
        let told = || {
            let status = round.server.connect().and_then(|mut client| client.call(&["LANDFALL.STATUS"]));
            status.is_ok_and(|status| String::from_utf8_lossy(&text_of(&status)).contains("read-only"))
        };
        ensure!(wait_until(Instant::now() + WITHIN, told), round.server.said("nobody tells of it"));
        round.progress(scene, 100)?;
        replica.promote()?;
        lead_to(pair, &replica, round, scene)?;
        round.server.set_postgres(Arc::clone(&replica));
        pair.primary = replica;
        Ok(())
    });
}

/// All texts of a reply.
fn text_of(value: &Value) -> Vec<u8> {
    match value {
        Value::Bulk(text) | Value::Simple(text) => text.clone(),
        Value::Array(items) => items.iter().flat_map(text_of).collect(),
        Value::Map(pairs) => {
            pairs.iter().flat_map(|(key, value)| [text_of(key), text_of(value)].concat()).collect()
        }
        _ => Vec::new(),
    }
}
