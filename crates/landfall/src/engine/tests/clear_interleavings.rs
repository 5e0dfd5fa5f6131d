//! A clear of all keys between writers, readers, loads, landings, cleaning and evictions, in every order that a scheduler comes
//! to: what was cleared comes back for nobody, and what was written behind it stays.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use shuttle::thread::{self, yield_now};

use super::doubles::Double;
use super::*;
use crate::engine::ops::strings;
use crate::engine::stepwise::Stepwise;
use crate::sync::explore::explore;

/// A key that has landed before, and one that is written before the clear and behind it.
const OLD: &str = "old";
const NEW: &str = "new";
const READS: usize = 3;
/// A read that is told to try again so often gives up: its row is on its way.
const ATTEMPTS: usize = 100;
/// So many turns are more than enough to land everything.
const ROUNDS: usize = 500;

/// What each key holds behind each step of the writer: the clears are its second and its fourth.
const HISTORY: [(Option<&str>, Option<&str>); 6] = [
    (Some("landed"), None),
    (Some("landed"), Some("before")),
    (None, None),
    (None, Some("between")),
    (None, None),
    (None, Some("behind")),
];

struct Scene {
    steps: Stepwise,
    database: Double,
    /// How many steps the writer has begun, and how many were acknowledged.
    begun: AtomicUsize,
    acknowledged: AtomicUsize,
    over: AtomicBool,
}

impl Scene {
    /// One key has landed, and is not in memory.
    fn new() -> Arc<Scene> {
        let env = StrictDisk::default().env_with_clock(1, 5);
        let settings = Settings {
            flush_interval: Duration::from_millis(2),
            lanes: 2,
            loads_at_once: 1,
            ..small(Settings::in_dir("/log"))
        };
        let log = Arc::new(MemoryLog::new(env.clone(), MemoryLogSettings::default()));
        let database = Double::new(tables());
        let (steps, _) = Stepwise::open(env, settings, log, Arc::new(database.clone())).unwrap();
        let (begun, acknowledged) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let scene = Scene { steps, database, begun, acknowledged, over: AtomicBool::new(false) };
        scene.set(OLD, "landed");
        scene.land();
        scene.engine().evict_clean();
        Arc::new(scene)
    }

    fn engine(&self) -> &Engine {
        self.steps.engine()
    }

    fn set(&self, key: &str, value: &str) {
        let target = self.engine().resolve(key.as_bytes()).unwrap();
        let mut unit = self.engine().unit(&[(key.as_bytes(), &target)], false);
        strings::set(&mut unit, 0, &target, value.as_bytes(), Default::default(), &[]).unwrap();
        unit.commit().unwrap();
        self.engine().commit().unwrap();
    }

    fn write(&self) {
        for (step, (_, value)) in HISTORY.iter().enumerate().skip(1) {
            self.begun.store(step, Ordering::SeqCst);
            match *value {
                Some(value) => self.set(NEW, value),
                None => {
                    self.engine().clear().unwrap();
                    self.engine().commit().unwrap();
                }
            }
            self.acknowledged.store(step, Ordering::SeqCst);
            self.engine().flush();
        }
    }

    /// What a client reads; none when it was told to try again too often.
    fn read(&self, key: &str) -> Option<Option<String>> {
        for _ in 0..ATTEMPTS {
            let target = self.engine().resolve(key.as_bytes()).unwrap();
            let mut unit = self.engine().unit(&[(key.as_bytes(), &target)], false);
            match strings::get(&mut unit, 0, &target) {
                Ok(value) => return Some(text(value)),
                Err(Stop::Refused(refusal)) => panic!("{refusal}"),
                Err(Stop::Load) => {}
            }
            let wanted = unit.wanted();
            drop(unit);
            match in_turns::load(self.engine(), wanted) {
                Ok(()) | Err(Refusal::TryAgain(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        None
    }

    /// Reads, and compares with every state since the last that was acknowledged before.
    fn check_a_read(&self, key: &str) {
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        let Some(value) = self.read(key) else { return };
        let begun = self.begun.load(Ordering::SeqCst);
        let of = |(old, new)| if key == OLD { old } else { new };
        let may_be = |state: &(_, _)| of(*state) == value.as_deref();
        assert!(
            HISTORY[acknowledged..=begun].iter().any(may_be),
            "{key} holds {value:?} between steps {acknowledged} and {begun}"
        );
    }

    fn land(&self) {
        self.engine().flush();
        let mut rounds = 0;
        while self.engine().status().owed.records > 0 {
            self.steps.lander_turn();
            rounds += 1;
            assert!(rounds < ROUNDS, "it does not land: {:?}", self.engine().status());
        }
        self.steps.keeper_round();
    }

    fn until_over(self: &Arc<Self>, mut step: impl FnMut(&Scene) + Send + 'static) -> thread::JoinHandle<()> {
        let scene = self.clone();
        thread::spawn(move || {
            while !scene.over.load(Ordering::SeqCst) {
                step(&scene);
                yield_now();
            }
        })
    }
}

#[test]
fn a_reader_sees_nothing_that_was_cleared_in_any_order_of_loads_landings_and_evictions() {
    explore(|| {
        let scene = Scene::new();
        let writer = {
            let scene = scene.clone();
            thread::spawn(move || scene.write())
        };
        let readers = [OLD, NEW].map(|key| {
            let scene = scene.clone();
            thread::spawn(move || (0..READS).for_each(|_| scene.check_a_read(key)))
        });
        let others = [
            scene.until_over(|scene| {
                scene.steps.lander_turn();
            }),
            scene.until_over(|scene| {
                scene.steps.load_step(0);
            }),
            scene.until_over(|scene| scene.steps.keeper_round()),
            scene.until_over(|scene| {
                scene.engine().evict_clean();
            }),
        ];
        [writer].into_iter().chain(readers).for_each(|thread| thread.join().unwrap());
        scene.over.store(true, Ordering::SeqCst);
        others.into_iter().for_each(|thread| thread.join().unwrap());
        scene.land();
        let stored = |key: &str| scene.database.primary().row(&RowKey::of_key(key.as_bytes()));
        let behind = stored(NEW).and_then(|row| row.get(&Name::from_bytes(Name::STRING)).cloned());
        assert_eq!((stored(OLD), behind), (None, Some(Value::bytes(b"behind"))));
    });
}
