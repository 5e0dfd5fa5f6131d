//! Landing with parking and healing against a model: whatever is refused, when, and whatever fails meanwhile, the
//! database and its dead letters together are what was written (I9), no event is lost or doubled, order is kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::buffer::log::Log;
use crate::lander::fakes::{
    FIRM, Failover, FakeRandom, KEYS, PAGE, World, env, log, put_firm, set_key, tables, view,
};
use crate::lander::{LanderSettings, OpenError, Turn};
use crate::model::{Change, Intent, LaneId, Letter, LetterKey, LoggedChange, Name, RowKey, RowState, Value};
use crate::sink::LandingOp;
use crate::sink::memory::{Failure, MemoryDatabase};

/// What was written, and what the view has to be.
#[derive(Default)]
struct Model {
    rows: BTreeMap<RowKey, RowState>,
    /// The numbers of the events.
    events: Vec<i64>,
}

impl Model {
    fn write(&mut self, world: &World, changes: &[(LaneId, LoggedChange)]) {
        for (_, change) in changes {
            match change {
                LoggedChange::Row { row, change } => {
                    let state = self.rows.entry(row.clone()).or_default();
                    *state = change.apply(state.take());
                }
                LoggedChange::Append { columns, .. } => self.events.extend(numbers(columns)),
                LoggedChange::Letter { .. } | LoggedChange::Clear => {}
            }
        }
        world.write(changes);
    }
}

fn numbers(columns: &[(Name, Value)]) -> Option<i64> {
    columns.iter().find_map(|(name, value)| match value {
        Value::Int(n) if *name == Name::column("id") => Some(*n),
        _ => None,
    })
}

/// Events of `page` have ids of their own, far from those of its rows.
fn event(n: i64) -> (LaneId, LoggedChange) {
    let columns = vec![(Name::column("id"), Value::Int(n)), (Name::column("views"), Value::Int(n % 10))];
    (PAGE, LoggedChange::Append { table: "page".into(), columns })
}

fn some(chance: &FakeRandom, next_event: &mut i64) -> (LaneId, LoggedChange) {
    match chance.below(10) {
        0 | 1 => view(chance.below(4) as i64),
        2 => {
            *next_event += 1;
            event(*next_event)
        }
        3 => set_key(0, &format!("a{}", chance.below(3)), &chance.below(9).to_string()),
        4 => set_key(1, &format!("b{}", chance.below(3)), &chance.below(9).to_string()),
        _ => {
            let id = chance.below(4) as i64;
            let columns = [
                ("need", chance.below(9) as i64),
                ("code", chance.below(4) as i64),
                ("size", chance.below(9) as i64),
            ];
            let from = chance.below(3) as usize;
            let (lane, put) = put_firm(id, &columns[from..]);
            match (put, chance.below(6)) {
                (LoggedChange::Row { row, .. }, 0) => {
                    (lane, LoggedChange::Row { row, change: Change::Delete })
                }
                (put, _) => (lane, put),
            }
        }
    }
}

/// Refuses what holds a number that leaves this rest, as it would be stored; above 10 nothing.
fn set_poison(database: &MemoryDatabase, rest: Arc<AtomicU64>) {
    database.set_poison(Some(Arc::new(move |op| {
        let rest = rest.load(Ordering::SeqCst);
        let is_bad = |value: &Value| matches!(value, Value::Int(n) if *n as u64 % 10 == rest);
        let bad = match op {
            LandingOp::Append { columns, .. } => columns.iter().any(|(_, value)| is_bad(value)),
            LandingOp::Row { change: Change::Delete, .. } => rest == 9,
            LandingOp::Row { change: Change::Upsert(upsert), .. } => {
                upsert.columns.iter().any(|(_, op)| is_bad(op.value()))
            }
            LandingOp::Clear => false,
        };
        bad.then(|| "CHECK constraint failed: rest".into())
    })));
}

/// The view = the database + the letters.
fn check(seed: u64, world: &World, model: &Model) {
    let database = world.database.primary.lock();
    let letters: BTreeMap<LetterKey, Letter> =
        database.letters().into_iter().map(|letter| (letter.key.clone(), letter)).collect();
    for (row, state) in &model.rows {
        let mut landed = database.row(row);
        if let Some(columns) = &mut landed {
            columns.remove(&Name::column("id"));
        }
        let letter = letters.get(&LetterKey::of_row(row));
        let seen = match letter.and_then(Letter::row_change) {
            Some((_, change)) => change.apply(landed),
            None => landed,
        };
        assert_eq!(&seen, state, "seed {seed}: {row:?} with {letter:?}");
    }
    for &n in &model.events {
        let landed = database.row(&RowKey::of_table("page", &[Value::Int(n)])).is_some();
        let parked = letters.values().filter(|letter| {
            matches!(&letter.change, LoggedChange::Append { columns, .. } if numbers(columns) == Some(n))
        });
        assert_eq!(usize::from(landed) + parked.count(), 1, "seed {seed}: event {n}");
    }
    assert_eq!(world.lander.progress().parked().count, letters.len() as u64, "seed {seed}");
}

struct Run {
    seed: u64,
    chance: FakeRandom,
    world: World,
    model: Model,
    rest: Arc<AtomicU64>,
    next_event: i64,
}

impl Run {
    fn new(seed: u64) -> Run {
        let chance = FakeRandom::new(seed);
        let (clock, env) = env(seed);
        let settings = LanderSettings {
            batch_records_max: 1 + chance.below(12) as usize,
            flush_count_changes: 1 + chance.below(20),
            refusals_max: 1 + chance.below(3) as u32,
            hold_rows_min: if chance.below(4) == 0 { 3 } else { 100 },
            dead_letters_max: if chance.below(4) == 0 { 2 } else { 10_000 },
            ..LanderSettings::default()
        };
        let database = Failover::new(&tables());
        let rest = Arc::new(AtomicU64::new(99));
        database.each(|one| set_poison(one, rest.clone()));
        let world = World::of(clock, env.clone(), log(&env, 64 << 20), database, settings);
        Run { seed, chance, world, model: Model::default(), rest, next_event: 1000 }
    }

    fn fail(&self, failure: Failure) {
        self.world.database.primary.lock().fail_next_landing(failure);
    }

    fn ask(&mut self, intent: Intent) {
        let letters = self.world.database.primary.lock().letters();
        let Some(letter) = letters.get(self.chance.below(letters.len().max(1) as u64) as usize) else {
            return;
        };
        let lane = letter.lane;
        self.world.write(&[(lane, LoggedChange::Letter { key: letter.key.clone(), intent })]);
    }

    fn step(&mut self) {
        let (world, chance) = (&mut self.world, &self.chance);
        match chance.below(30) {
            0..12 => {
                let change = some(chance, &mut self.next_event);
                self.model.write(world, &[change]);
            }
            12 | 13 => {
                let changes: Vec<_> =
                    (0..2 + chance.below(3)).map(|_| some(chance, &mut self.next_event)).collect();
                self.model.write(world, &changes);
            }
            14 => self.fail(Failure::Busy),
            15 => self.fail(Failure::Unavailable),
            16 => self.fail(Failure::UnknownCommitted),
            17 => self.fail(Failure::UnknownRolledBack),
            18 => self.fail(Failure::Refused("firm".into())),
            19 | 20 => self.rest.store(chance.below(20), Ordering::SeqCst),
            21 => self.ask(Intent::Retry),
            22 => world.lander.progress().resume(None).expect("all groups"),
            23 => world.database.set_lagging(true),
            24 if chance.below(4) == 0 => world.database.fail_over(),
            25 => match world.reopen() {
                Ok(lander) => world.lander = lander,
                Err(OpenError::Sink(error)) if error.is_transient() => {}
                Err(error) => panic!("seed {}: {error}", self.seed),
            },
            _ => {
                for _ in 0..chance.below(14) {
                    if let Turn::Wait { until: Some(until), .. } = world.lander.turn() {
                        world.clock.advance_to(until);
                    }
                }
            }
        }
    }

    /// Lands everything; groups that are held are told to go on.
    fn settle(&mut self) {
        for _ in 0..40 {
            for _ in 0..200 {
                match self.world.turns() {
                    Turn::Wait { until: Some(until), .. } => self.world.clock.advance_to(until),
                    _ => break,
                }
            }
            if self.world.log.owed_records() == 0 {
                return;
            }
            self.world.lander.progress().resume(None).expect("all groups");
        }
        panic!("seed {}: {:?}", self.seed, self.world.lander.progress().groups());
    }

    fn end(mut self) -> u64 {
        // A last write makes the lander notice a failover that came after everything had landed.
        let last = [view(0), set_key(0, "a0", "end"), set_key(1, "b0", "end"), put_firm(0, &[("need", 1)])];
        self.model.write(&self.world, &last);
        self.settle();
        check(self.seed, &self.world, &self.model);
        let parked = self.world.database.primary.lock().letters().len() as u64;
        // With nothing poisoned any more only what the tables refuse stays.
        self.rest.store(99, Ordering::SeqCst);
        for letter in self.world.database.primary.lock().letters() {
            let lane = letter.lane;
            self.world.write(&[(lane, LoggedChange::Letter { key: letter.key, intent: Intent::Retry })]);
        }
        self.settle();
        check(self.seed, &self.world, &self.model);
        for letter in self.world.database.primary.lock().letters() {
            assert!(
                ["unique", "not-null"].contains(&&*letter.reason.class),
                "seed {}: {letter:?}",
                self.seed
            );
        }
        for lane in [KEYS[0], KEYS[1], FIRM, PAGE] {
            let head = self.world.log.head(lane).position;
            assert_eq!(self.world.lander.progress().landed(lane), head, "seed {}", self.seed);
        }
        parked
    }
}

/// Shows S5, S6 and S7.
#[test]
fn landing_with_parking_and_healing_equals_a_model() {
    let mut parked = 0;
    for seed in 0..600 {
        let mut run = Run::new(seed);
        (0..120).for_each(|_| run.step());
        parked += run.end();
    }
    assert!(parked > 600, "the runs park something: {parked}");
}
