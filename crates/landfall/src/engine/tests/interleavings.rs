//! Writers, readers, the loader, the lander, the keeper and evictions at once, in every order that a scheduler comes to. A
//! reader sees every write that was acknowledged before it asked, and none that nobody has begun, also while a database
//! that lost commits is landed again.

use std::sync::atomic::AtomicBool;

use shuttle::rand::{Rng, thread_rng};
use shuttle::thread::{self, yield_now};

use super::doubles::Double;
use super::*;
use crate::engine::ops::{numbers, strings};
use crate::engine::stepwise::Stepwise;
use crate::sync::explore::explore;

const WRITERS: u32 = 2;
const WRITES: u32 = 2;
const READS: usize = 3;
/// With a failover somebody reads until it is over, at most so often.
const READS_MAX: usize = 30;
/// So many turns are more than enough to land everything, a failover included.
const ROUNDS: usize = 500;
/// A read that is told to try again so often gives up: its row is on its way.
const ATTEMPTS: usize = 100;
/// Each write adds a power of ten of its own, so that a sum tells which are in it.
const EVERYTHING: u64 = 1111;
const KEY: &[u8] = b"page:1:views";

struct Scene {
    steps: Stepwise,
    database: Double,
    /// The writes that somebody has begun, and those that were acknowledged: a bit for each.
    begun: AtomicU64,
    acknowledged: AtomicU64,
    failed_over: AtomicBool,
    over: AtomicBool,
}

impl Scene {
    fn new() -> Arc<Scene> {
        let database = Double::new(tables());
        let env = StrictDisk::default().env_with_clock(1, 5);
        let settings = Settings {
            flush_interval: Duration::from_millis(2),
            database_check: Duration::from_millis(50),
            lanes: 1,
            loads_at_once: 1,
            ..small(Settings::in_dir("/log"))
        };
        let log = Arc::new(MemoryLog::new(env.clone(), MemoryLogSettings::default()));
        let (steps, _) = Stepwise::open(env, settings, log, Arc::new(database.clone())).unwrap();
        let (begun, acknowledged) = (AtomicU64::new(0), AtomicU64::new(0));
        let (failed_over, over) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Scene { steps, database, begun, acknowledged, failed_over, over })
    }

    fn engine(&self) -> &Engine {
        self.steps.engine()
    }

    fn add(&self, write: u32) {
        self.begun.fetch_or(1 << write, Ordering::SeqCst);
        let target = self.engine().resolve(b"page:1").unwrap();
        let mut unit = self.engine().unit(&[(b"page:1", &target)], false);
        let delta = 10u64.pow(write).to_string();
        numbers::add(&mut unit, 0, &target, b"views", delta.as_bytes()).unwrap();
        unit.commit().unwrap();
        self.engine().commit().unwrap();
        self.acknowledged.fetch_or(1 << write, Ordering::SeqCst);
        self.engine().flush();
    }

    /// The sum as a client reads it; none when it was told to try again too often.
    fn read(&self) -> Option<u64> {
        for _ in 0..ATTEMPTS {
            let target = self.engine().resolve(KEY).unwrap();
            let mut unit = self.engine().unit(&[(KEY, &target)], false);
            match strings::get(&mut unit, 0, &target) {
                Ok(value) => return Some(text(value).map_or(0, |text| text.parse().unwrap())),
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

    /// Reads, and compares with what was acknowledged before and begun behind it.
    fn check_a_read(&self) {
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        let Some(sum) = self.read() else { return };
        let begun = self.begun.load(Ordering::SeqCst);
        for write in 0..WRITERS * WRITES {
            let times = sum / 10u64.pow(write) % 10;
            let (is_acknowledged, is_begun) = (acknowledged >> write & 1, begun >> write & 1);
            assert!(
                (is_acknowledged..=is_begun).contains(&times),
                "{sum}: write {write} is in it {times} times"
            );
        }
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

    /// The replica stops following some time, and takes over some time after it has missed something.
    fn fail_over_some_time(&self) {
        if self.failed_over.load(Ordering::SeqCst) || !thread_rng().gen_bool(0.3) {
            return;
        }
        if self.database.replicates() {
            self.database.stop_replicating();
        } else if self.database.lacks_something() {
            self.database.fail_over();
            self.failed_over.store(true, Ordering::SeqCst);
        }
    }

    fn landed(&self) -> Option<u64> {
        match self.database.primary().row(&page(1))?.get(&Name::column("views")) {
            Some(Value::Int(sum)) => Some(*sum as u64),
            _ => None,
        }
    }

    /// Everything lands, once.
    fn settle(&self) {
        self.engine().flush();
        let mut rounds = 0;
        while self.landed() != Some(EVERYTHING) || self.engine().status().owed.records > 0 {
            self.steps.lander_turn();
            rounds += 1;
            assert!(rounds < ROUNDS, "{:?} has landed: {:?}", self.landed(), self.engine().status());
        }
    }

    /// Nothing is in memory, and the database has it.
    fn check_cold(self: &Arc<Self>) {
        self.steps.keeper_round();
        self.engine().evict_clean();
        self.over.store(false, Ordering::SeqCst);
        let loader = self.until_over(|scene| {
            // Behind a failover, loads are believed from a take-over on that comes when all has landed.
            scene.steps.lander_turn();
            scene.steps.load_step(0);
        });
        assert_eq!(self.read(), Some(EVERYTHING));
        self.over.store(true, Ordering::SeqCst);
        loader.join().unwrap();
    }
}

fn everybody_works(fails_over: bool) {
    let scene = Scene::new();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let scene = scene.clone();
            thread::spawn(move || (0..WRITES).for_each(|n| scene.add(writer * WRITES + n)))
        })
        .collect();
    let reader = {
        let scene = scene.clone();
        thread::spawn(move || {
            let mut left = READS;
            for _ in 0..READS_MAX {
                scene.check_a_read();
                let waits = fails_over && !scene.failed_over.load(Ordering::SeqCst);
                left -= usize::from(!waits);
                if left == 0 {
                    break;
                }
            }
        })
    };
    let mut others = vec![
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
    if fails_over {
        others.push(scene.until_over(Scene::fail_over_some_time));
    }
    writers.into_iter().chain([reader]).for_each(|thread| thread.join().unwrap());
    scene.over.store(true, Ordering::SeqCst);
    others.into_iter().for_each(|thread| thread.join().unwrap());
    scene.settle();
    scene.check_cold();
}

#[test]
fn a_reader_sees_what_was_acknowledged_in_every_order_of_loads_landings_and_evictions() {
    explore(|| everybody_works(false));
}

#[test]
fn a_lane_that_a_failover_took_back_shows_nothing_older_in_any_order() {
    explore(|| everybody_works(true));
}
