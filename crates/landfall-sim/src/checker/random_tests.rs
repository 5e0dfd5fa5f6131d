//! Histories of a store that is right by construction never give an alarm; the same histories with one fault do.

use std::collections::BTreeMap;

use super::*;
use crate::chance::Chance;

/// A register store with real concurrency: an operation takes effect at one moment between sending and answer.
struct Run {
    history: Vec<Operation>,
    last: State,
}

fn run(seed: u64) -> Run {
    let mut chance = Chance::from_seed(seed);
    let mut plans = Vec::new();
    for client in 0..4_u32 {
        let (mut now, mut sequence) = (1, 0);
        for _ in 0..60 {
            // A pipeline: sent together, done and answered one after the other.
            let mut effect = now;
            for _ in 0..1 + chance.below(4) {
                effect += 1 + chance.below(20);
                sequence += 1;
                plans.push((effect, client, sequence, now, effect + 1 + chance.below(20)));
            }
            now = effect + 30 + chance.below(30);
        }
    }
    plans.sort_unstable();
    let mut registers: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut sum = 0;
    let mut history = Vec::new();
    for (number, (_, client, sequence, invoked_ns, returned_ns)) in plans.into_iter().enumerate() {
        let name = format!("r{}", chance.below(3));
        let done = chance.percent(95);
        let happens = done || chance.percent(50);
        let (kind, reply) = match chance.below(10) {
            0..=2 => {
                let value = Some(format!("v{number}"));
                if happens {
                    registers.insert(name.clone(), value.clone());
                }
                (Kind::Write { registers: vec![name], value }, Reply::Done)
            }
            3 => {
                if happens {
                    registers.insert(name.clone(), None);
                }
                (Kind::Write { registers: vec![name], value: None }, Reply::Done)
            }
            4..=6 => {
                let reply = Reply::Values(vec![registers.get(&name).cloned().flatten()]);
                (Kind::Read { registers: vec![name] }, reply)
            }
            7 | 8 => {
                let delta = 1 + chance.below(5);
                if happens {
                    sum += delta as i64;
                }
                (Kind::Add { counter: "n".into(), delta }, Reply::Sum(sum))
            }
            _ => (Kind::ReadSum { counter: "n".into() }, Reply::Sum(sum)),
        };
        let outcome = if done { Outcome::Acked(reply) } else { Outcome::Unknown };
        history.push(Operation {
            client,
            session: client.into(),
            sequence,
            invoked_ns,
            returned_ns,
            kind,
            outcome,
        });
    }
    let counters = [("n".to_owned(), sum)].into();
    Run { history, last: State { registers, counters, sets: BTreeMap::new() } }
}

#[test]
fn a_store_that_is_right_gives_no_alarm() {
    for seed in 0..300 {
        let Run { history, last } = run(seed);
        let found = check(&State::default(), &history, &last);
        assert_eq!(found, [], "seed {seed}");
    }
}

#[test]
fn a_last_write_that_is_dropped_is_found() {
    for seed in 0..100 {
        let Run { history, mut last } = run(seed);
        // The value before the last acknowledged one: that one must have been sent when the other was answered.
        let Some((name, _)) = last.registers.iter().find(|(_, value)| value.is_some()) else { continue };
        let name = name.clone();
        let writes: Vec<&Operation> = history
            .iter()
            .filter(|operation| matches!(&operation.kind, Kind::Write { registers, value: Some(_) } if registers[0] == name))
            .filter(|operation| matches!(operation.outcome, Outcome::Acked(_)))
            .collect();
        let newest = writes.iter().max_by_key(|operation| operation.invoked_ns).unwrap();
        let Some(older) = writes.iter().find(|operation| operation.returned_ns < newest.invoked_ns) else {
            continue;
        };
        let Kind::Write { value, .. } = &older.kind else { unreachable!() };
        last.registers.insert(name, value.clone());
        assert_ne!(check(&State::default(), &history, &last), [], "seed {seed}");
    }
}

#[test]
fn an_increment_that_is_dropped_is_found() {
    for seed in 0..100 {
        let Run { history, mut last } = run(seed);
        last.counters.insert("n".into(), last.counters["n"] - 6);
        assert_ne!(check(&State::default(), &history, &last), [], "seed {seed}");
    }
}

#[test]
fn a_read_from_long_ago_is_found() {
    for seed in 0..100 {
        let Run { mut history, last } = run(seed);
        let reads: Vec<usize> = (0..history.len())
            .filter(|at| matches!(&history[*at].outcome, Outcome::Acked(Reply::Values(values)) if values[0].is_some()))
            .collect();
        let (Some(&early), Some(&late)) = (reads.first(), reads.last()) else { continue };
        if history[early].kind != history[late].kind || history[early].outcome == history[late].outcome {
            continue;
        }
        history[late].outcome = history[early].outcome.clone();
        assert_ne!(check(&State::default(), &history, &last), [], "seed {seed}");
    }
}
