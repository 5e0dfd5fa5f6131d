//! Random commands over key-value keys, sent to a real Redis and to Landfall: every reply has to be the same, in RESP2 and
//! in RESP3, but for what the compatibility page lists.
//! It must never excuse a difference that [`excused`] has no name for, and each name stands in the table of differences.

#[path = "differential/commands.rs"]
mod commands;
mod common;
#[path = "differential/compare.rs"]
mod compare;

use std::net::SocketAddr;

use commands::Chance;
use common::{Place, Server};
use landfall_resp::Value;
use landfall_server::commands::table::differences::DIFFERENCES;
use landfall_sim::client::{Answer, Client, Request, request};
use landfall_sim::servers::{Appendfsync, Redis};
use landfall_sim::skipping::skipped;

/// Seeds that are tried; more with LANDFALL_SEEDS.
const SEEDS: u64 = 24;
/// Commands of one seed.
const STEPS: usize = 400;

/// A real Redis and Landfall, and connections to both that see the same commands.
struct Pair {
    theirs: Client,
    ours: Client,
}

impl Pair {
    fn new(redis: SocketAddr, landfall: SocketAddr) -> Pair {
        let connect = |address| Client::connect(address, common::PATIENCE).unwrap();
        Pair { theirs: connect(redis), ours: connect(landfall) }
    }

    fn both(&mut self, request: &Request) -> (Value, Value) {
        (reply(&mut self.theirs, request), reply(&mut self.ours, request))
    }
}

fn reply(client: &mut Client, request: &Request) -> Value {
    match client.pipeline(std::slice::from_ref(request)).pop() {
        Some(Answer::Reply(value, _)) => value,
        _ => panic!("no reply to {}", commands::shown(request)),
    }
}

fn redis_or_skip(test: &str) -> Option<Redis> {
    if Redis::find().is_none() {
        skipped(test, "this machine has no redis-server (package redis-server)");
        return None;
    }
    Some(Redis::start(Appendfsync::No, &[]).unwrap())
}

fn seeds() -> std::ops::Range<u64> {
    let more = std::env::var("LANDFALL_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let first = std::env::var("LANDFALL_FIRST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    first..first + more.unwrap_or(SEEDS)
}

/// Lets Landfall land and forget what it holds, so that what follows is loaded from the database.
fn forget(ours: &mut Client) {
    ours.call(&["LANDFALL.FLUSH"]).unwrap();
    ours.call(&["LANDFALL.EVICT"]).unwrap();
}

/// Runs one seed; the commands so far and both replies when they differ.
fn differs(pair: &mut [Pair; 2], seed: u64, protocol: &str) -> Result<(), String> {
    let mut chance = Chance::new(seed);
    let prefix = format!("{protocol}-{seed}-");
    let mut done: Vec<String> = Vec::new();
    for _ in 0..STEPS {
        if chance.one_in(60) {
            forget(&mut pair[0].ours);
            done.push("(flushed and evicted)".into());
        }
        // One connection has transactions; the other one only disturbs what it watches.
        let (who, commands) = match chance.one_in(12) {
            true => (0, commands::transaction(&mut chance, &prefix)),
            false => (usize::from(chance.one_in(5)), vec![commands::command(&mut chance, &prefix)]),
        };
        if chance.one_in(30) {
            let command = commands::walk(&mut chance, &prefix);
            check(&mut pair[0], &command, &mut done, "")?;
        }
        for (step, command) in commands.iter().enumerate() {
            // In the middle of a transaction the other connection writes now and then.
            if step > 0 && chance.one_in(6) {
                let command = commands::command(&mut chance, &prefix);
                // Redis does not tell watchers of it.
                if command[0] != b"XSETID" {
                    check(&mut pair[1], &command, &mut done, "other: ")?;
                }
            }
            check(&mut pair[who], command, &mut done, "")?;
        }
    }
    for key in commands::all_keys(&prefix) {
        let (get, entries) = (["GET", &key], ["XRANGE", &key, "-", "+"]);
        let of_stream = ["XINFO", "STREAM", &key];
        let all: [&[&str]; 6] =
            [&["TYPE", &key], &get, &["HGETALL", &key], &["PEXPIRETIME", &key], &entries, &of_stream];
        for command in all {
            check(&mut pair[0], &request(command), &mut done, "")?;
        }
    }
    Ok(())
}

fn check(pair: &mut Pair, command: &Request, done: &mut Vec<String>, who: &str) -> Result<(), String> {
    let (theirs, ours) = pair.both(command);
    done.push(format!("{who}{}", commands::shown(command)));
    if compare::excused(command, &theirs, &ours) {
        return Ok(());
    }
    let last = done.len().saturating_sub(40);
    let told = |value: &Value| compare::told(value);
    Err(format!("{}\nRedis:    {}\nLandfall: {}", done[last..].join("\n"), told(&theirs), told(&ours)))
}

fn run(test: &str, protocol: &str) {
    let Some(redis) = redis_or_skip(test) else { return };
    let place = Place::new();
    let server: Server<'_> = place.serve(&["--fsync", "os"]);
    let address = server.address.parse().unwrap();
    let mut pairs = [Pair::new(redis.address(), address), Pair::new(redis.address(), address)];
    for pair in &mut pairs {
        reply(&mut pair.theirs, &request(&["HELLO", protocol]));
        reply(&mut pair.ours, &request(&["HELLO", protocol]));
    }
    for seed in seeds() {
        if let Err(why) = differs(&mut pairs, seed, protocol) {
            panic!("seed {seed}, RESP{protocol} (LANDFALL_FIRST_SEED={seed} LANDFALL_SEEDS=1):\n{why}");
        }
    }
}

#[test]
fn random_commands_are_answered_as_redis_answers_them_in_resp2() {
    run("random_commands_are_answered_as_redis_answers_them_in_resp2", "2");
}

#[test]
fn random_commands_are_answered_as_redis_answers_them_in_resp3() {
    run("random_commands_are_answered_as_redis_answers_them_in_resp3", "3");
}

#[test]
fn what_the_comparison_excuses_stands_in_the_table_of_differences() {
    for name in compare::EXCUSES {
        assert!(DIFFERENCES.iter().any(|difference| difference.name == *name), "{name} is not on the page");
    }
}
