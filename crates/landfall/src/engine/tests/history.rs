//! Random histories against the model: every answer, and in the end the database and a cold cache.
//! Landings fail on the way, the cache is emptied, time passes, and the engine is closed and opened again.

use std::sync::Arc;

use proptest::prelude::*;

use super::model::{Command, Content, Model, Reply, as_text};
use super::{PATIENCE, World, page};
use crate::engine::ops::streams::{Keep, NewId, Trim};
use crate::model::row::lane_hash;
use crate::model::{Change, EntryId, Intent, RowKey, Value};
use crate::sink::LandingOp;
use crate::sink::memory::{Failure, MemoryDatabase, Poison};

#[derive(Debug, Clone)]
enum Step {
    /// One unit of these commands, as EXEC runs them.
    Unit(Vec<Command>),
    EvictClean,
    /// FLUSHALL.
    ClearKeys,
    Pause,
    Resume,
    Flush,
    Land,
    Fail(Failure),
    Reopen,
    Pass(u64),
    /// The database refuses changes that leave this rest, or none.
    Poison(Option<u64>),
    /// All dead letters are tried again.
    Retry,
}

/// A history, one step a line.
#[derive(Clone)]
struct Steps(Vec<Step>);

impl std::fmt::Debug for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|step| {
            let line = format!("{step:?}").replace(&"x".repeat(20_000), "LARGE");
            write!(f, "\n  {line}")
        })
    }
}

fn steps(at_most: usize) -> impl Strategy<Value = Steps> {
    prop::collection::vec(step(), 1..at_most).prop_map(Steps)
}

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const ROWS: [&str; 4] = ["page:1", "page:2", "page:3", "shop:1"];

fn command() -> impl Strategy<Value = Command> {
    let key = || prop::sample::select(KEYS.to_vec()).prop_map(str::to_owned);
    let row = || prop::sample::select(ROWS.to_vec()).prop_map(str::to_owned);
    let any = || prop_oneof![key(), row()];
    let value = || {
        prop_oneof![
            6 => (0i64..100).prop_map(|n| n.to_string()),
            3 => Just("word".to_owned()),
        ]
    };
    // More than a shard's share of the smallest cache: whatever is loaded beside it pushes it out.
    let large = || {
        let put = |key: &str| Command::Put(key.into(), vec![("title", "x".repeat(20_000))]);
        prop::sample::select(vec![
            put("page:3"),
            put("d"),
            Command::Set("d".into(), "x".repeat(20_000), None),
        ])
    };
    let ms = || prop::sample::select(vec![0u64, 1, 50, 5_000_000]);
    let field = || prop::sample::select(vec!["views", "title"]);
    let columns = || {
        prop_oneof![
            (0i64..100).prop_map(|n| vec![("views", n.to_string())]),
            value().prop_map(|text| vec![("title", text)]),
            ((0i64..100), value()).prop_map(|(n, text)| vec![("views", n.to_string()), ("title", text)]),
        ]
    };
    prop_oneof![
        1 => large(),
        3 => (key(), value(), prop::option::weighted(0.3, ms())).prop_map(|(k, v, t)| Command::Set(k, v, t)),
        1 => (key(), value()).prop_map(|(k, v)| Command::SetAbsent(k, v)),
        3 => key().prop_map(Command::Get),
        1 => key().prop_map(|k| Command::Append(k, "7".into())),
        4 => (key(), -5i64..5).prop_map(|(k, d)| Command::Incr(k, d)),
        6 => (any(), columns()).prop_map(|(k, c)| Command::Put(k, c)),
        2 => (any(), field()).prop_map(|(k, f)| Command::Clear(k, f)),
        4 => (any(), -5i64..5).prop_map(|(k, d)| Command::Add(k, "views", d)),
        4 => (row(), -5i64..5).prop_map(|(k, d)| Command::Grow(k, "views", d)),
        1 => (row(), 0i64..5).prop_map(|(k, d)| Command::Grow(k, "score", d)),
        6 => any().prop_map(Command::Read),
        3 => any().prop_map(Command::Del),
        2 => (any(), ms()).prop_map(|(k, t)| Command::Expire(k, t)),
        1 => any().prop_map(Command::Persist),
        1 => any().prop_map(Command::Evict),
        12 => stream_command(key().boxed()),
    ]
}

/// Ids are few and low, so that entries meet; now and then one of the time, behind which the low ones are refused.
fn stream_command(key: BoxedStrategy<String>) -> impl Strategy<Value = Command> {
    let id = || (0u64..8, 0u64..3).prop_map(|(ms, seq)| EntryId { ms, seq });
    let new = prop_oneof![
        1 => Just(NewId::Now),
        8 => (0u64..8).prop_map(NewId::Within),
        4 => id().prop_map(NewId::Given),
    ];
    let trim = || {
        let keep = prop_oneof![(0u64..5).prop_map(Keep::Newest), id().prop_map(Keep::From)];
        keep.prop_map(|keep| Trim { keep, about: None })
    };
    // Two of the keys, mostly, so that there is more than one entry.
    let key =
        || prop_oneof![3 => prop::sample::select(vec!["c", "d"]).prop_map(str::to_owned), 1 => key.clone()];
    prop_oneof![
        6 => (key(), new, 0u64..100, prop::option::weighted(0.2, trim()))
            .prop_map(|(key, id, value, trim)| Command::Enter(key, id, value.to_string(), trim)),
        2 => (key(), prop::collection::vec(id(), 1..6)).prop_map(|(key, ids)| Command::Strike(key, ids)),
        1 => (key(), trim()).prop_map(|(key, trim)| Command::Trim(key, trim)),
        1 => (key(), id()).prop_map(|(key, id)| Command::SetId(key, id)),
        3 => key().prop_map(Command::Entries),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let failure = prop_oneof![
        Just(Failure::Busy),
        Just(Failure::Unavailable),
        Just(Failure::UnknownCommitted),
        Just(Failure::UnknownRolledBack),
    ];
    prop_oneof![
        24 => command().prop_map(|one| Step::Unit(vec![one])),
        6 => prop::collection::vec(command(), 2..6).prop_map(Step::Unit),
        4 => Just(Step::EvictClean),
        1 => Just(Step::ClearKeys),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        3 => Just(Step::Flush),
        2 => Just(Step::Land),
        1 => failure.prop_map(Step::Fail),
        1 => Just(Step::Reopen),
        2 => prop::option::of(0u64..4).prop_map(Step::Poison),
        1 => Just(Step::Retry),
        2 => prop::sample::select(vec![1u64, 60, 1_500, 4_000_000]).prop_map(Step::Pass),
    ]
}

struct History {
    world: World,
    /// Who can be asked to fail.
    memory: Option<MemoryDatabase>,
    model: Model,
    paused: bool,
}

impl History {
    fn of(world: World, memory: Option<MemoryDatabase>) -> History {
        let now_ms = world.env.clock.unix_ms();
        History { world, memory, model: Model { now_ms, ..Model::default() }, paused: false }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Unit(commands) => self.unit(commands),
            Step::EvictClean => drop(self.world.engine().evict_clean()),
            Step::ClearKeys => {
                self.world.engine().clear().unwrap();
                self.world.engine().commit().unwrap();
                self.model.keys.clear();
            }
            Step::Pause => {
                self.world.engine().pause(None).unwrap();
                self.paused = true;
            }
            Step::Resume => self.resume(),
            Step::Flush => self.world.engine().flush(),
            Step::Land => {
                self.resume();
                self.world.engine().flush_and_wait(PATIENCE).unwrap();
            }
            Step::Fail(failure) => {
                if let Some(memory) = &self.memory {
                    memory.fail_next_landing(failure.clone());
                }
            }
            Step::Poison(rest) => self.poison(*rest),
            Step::Retry => self.retry(),
            Step::Reopen => {
                self.world.reopen();
                self.paused = false;
            }
            Step::Pass(ms) => {
                self.world.advance(*ms);
                self.model.now_ms += ms;
            }
        }
    }

    /// From now on the database refuses about a quarter of all changes, or none.
    fn poison(&self, rest: Option<u64>) {
        let Some(memory) = &self.memory else { return };
        memory.set_poison(rest.map(|rest| -> Poison {
            Arc::new(move |op| {
                let LandingOp::Row { row, change, .. } = op else { return None };
                let columns = match change {
                    Change::Delete => 0,
                    Change::Upsert(upsert) => upsert.columns.len() as u64,
                };
                let refuses = lane_hash(row.as_bytes()).wrapping_add(columns) % 4 == rest;
                refuses.then(|| "CHECK constraint failed: poison".into())
            })
        }));
    }

    /// Asks for all letters to be tried again, and lands.
    fn retry(&mut self) {
        if self.memory.is_none() {
            return;
        }
        self.resume();
        self.world.engine().flush_and_wait(PATIENCE).unwrap();
        let letters = super::letters(self.world.engine());
        self.world.engine().ask_of_letters(&letters, &Intent::Retry).unwrap();
    }

    fn resume(&mut self) {
        self.world.engine().resume(None).unwrap();
        self.paused = false;
    }

    fn unit(&mut self, commands: &[Command]) {
        let expected: Vec<Reply> = commands.iter().map(|command| self.model.answer(command)).collect();
        let keys: Vec<&str> = commands.iter().map(Command::key).collect();
        let (got, _) = self
            .world
            .run(&keys, |unit, targets| {
                let all = commands.iter().zip(targets).enumerate();
                all.map(|(at, (command, target))| command.run(unit, at, target))
                    .collect::<Result<Vec<_>, _>>()
            })
            .unwrap();
        for ((command, got), expected) in commands.iter().zip(&got).zip(&expected) {
            assert!(*expected == Reply::Open || *expected == *got, "{command:?}: {got:?}, not {expected:?}");
        }
    }

    fn read_all(&mut self) {
        for row in ROWS {
            self.unit(&[Command::Read(row.into())]);
        }
        for key in KEYS {
            let command = match self.model.keys.get(key) {
                Some((Content::Fields(_), _)) => Command::Read(key.into()),
                Some((Content::Stream(_), _)) => Command::Entries(key.into()),
                _ => Command::Get(key.into()),
            };
            self.unit(&[command]);
        }
    }

    /// Everything landed, and nothing but the database to read from.
    fn end(&mut self) {
        self.read_all();
        self.resume();
        self.world.land_all();
        self.read_all();
        self.world.land_and_forget();
        // Parked rows stay in the view.
        self.read_all();
        self.poison(None);
        self.retry();
        self.read_all();
        self.world.land_and_forget();
        self.read_all();
        if let Some(memory) = &self.memory {
            for id in 1..=3 {
                let row = memory.row(&page(id)).map(as_text);
                assert_eq!(row, self.model.rows.get(&format!("page:{id}")).cloned());
            }
            let row = memory.row(&RowKey::of_table("shop", &[Value::Int(1)])).map(as_text);
            assert_eq!(row, self.model.rows.get("shop:1").cloned());
        }
    }
}

fn check(history: &mut History, steps: &Steps) {
    steps.0.iter().for_each(|step| history.take(step));
    history.end();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, max_shrink_iters: 200, ..ProptestConfig::default() })]

    // shows: S1, S3, S5, S6, S7, S12
    #[test]
    fn every_answer_and_the_database_in_the_end_are_those_of_the_model(
        steps in steps(60)
    ) {
        let (world, memory) = World::on_disk(|settings| {
            settings.memory_bytes_max = 1 << 20;
            settings.refusals_max = 1;
        });
        check(&mut History::of(world, Some(memory)), &steps);
    }
}

#[cfg(feature = "sqlite")]
mod on_sqlite {
    use std::sync::Arc;

    use super::*;
    use crate::env::strict_disk::StrictDisk;
    use crate::sink::sqlite::{SqliteDatabase, SqliteSettings};

    const TABLES: &str = "
        CREATE TABLE page (id bigint NOT NULL PRIMARY KEY, views bigint, title text, score decimal(20,2));
        CREATE TABLE shop (id bigint NOT NULL PRIMARY KEY, views bigint, title text, score decimal(20,2));";

    proptest! {
        #![proptest_config(ProptestConfig { cases: 15, max_shrink_iters: 100, ..ProptestConfig::default() })]

        // shows: S1, S7, S12
        #[test]
        fn every_answer_and_sqlite_in_the_end_are_those_of_the_model(
            steps in steps(50)
        ) {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("app.db");
            rusqlite::Connection::open(&file).unwrap().execute_batch(TABLES).unwrap();
            let database = SqliteDatabase::open(file, SqliteSettings::default()).unwrap();
            let world = World::with(Arc::new(database), Some(StrictDisk::default()), |settings| {
                settings.memory_bytes_max = 1 << 20;
            });
            check(&mut History::of(world, None), &steps);
        }
    }
}
