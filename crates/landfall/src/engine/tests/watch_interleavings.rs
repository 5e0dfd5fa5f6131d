//! Clients that count by WATCH, GET and EXEC, with landings, loads, cleaning and evictions between their steps, in every
//! order that a scheduler comes to: no transaction runs on a value that somebody has changed since it was read.

use std::sync::atomic::AtomicBool;

use shuttle::thread::{self, yield_now};

use super::doubles::Double;
use super::*;
use crate::engine::Watch;
use crate::engine::ops::strings;
use crate::engine::stepwise::Stepwise;
use crate::sync::explore::explore;

const CLIENTS: u64 = 2;
const ROUNDS: u64 = 2;
const KEY: &str = "n";
/// With every try of one client another one has succeeded, or something was conservative; this is far more.
const TRIES_MAX: usize = 500;

struct Scene {
    steps: Stepwise,
    over: AtomicBool,
}

impl Scene {
    fn new() -> Arc<Scene> {
        let env = StrictDisk::default().env_with_clock(1, 5);
        let settings = Settings {
            flush_interval: Duration::from_millis(2),
            lanes: 1,
            loads_at_once: 1,
            ..small(Settings::in_dir("/log"))
        };
        let log = Arc::new(MemoryLog::new(env.clone(), MemoryLogSettings::default()));
        let (steps, _) = Stepwise::open(env, settings, log, Arc::new(Double::new(tables()))).unwrap();
        Arc::new(Scene { steps, over: AtomicBool::new(false) })
    }

    /// Runs a command over the key, again after each load that it asks for; none when it was told too often to try again.
    fn run<T>(&self, mut command: impl FnMut(&mut Unit<'_>, &Target) -> Result<T, Stop>) -> Option<T> {
        let engine = self.steps.engine();
        for _ in 0..TRIES_MAX {
            let target = engine.resolve(KEY.as_bytes()).unwrap();
            let mut unit = engine.unit(&[(KEY.as_bytes(), &target)], false);
            match command(&mut unit, &target) {
                Ok(answer) => {
                    unit.commit().unwrap();
                    return Some(answer);
                }
                Err(Stop::Refused(refusal)) => panic!("{refusal}"),
                Err(Stop::Load) => {}
            }
            let wanted = unit.wanted();
            drop(unit);
            // Who was refused tries again, as a client would.
            let _ = in_turns::load(engine, wanted);
        }
        None
    }

    fn number(&self) -> Option<u64> {
        let value = self.run(|unit, target| strings::get(unit, 0, target))?;
        Some(text(value).map_or(0, |text| text.parse().unwrap()))
    }

    /// Adds one as a client would, in three steps; whether nobody came in between.
    fn increment(&self) -> Option<bool> {
        let mut watch: Watch = self.steps.engine().watch();
        self.run(|unit, _| unit.watch(0, &mut watch))?;
        let next = (self.number()? + 1).to_string();
        self.run(|unit, target| {
            if !unit.holds(&watch) {
                return Ok(false);
            }
            strings::set(unit, 0, target, next.as_bytes(), Default::default(), &[])?;
            Ok(true)
        })
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
fn no_transaction_runs_on_what_was_changed_since_it_was_read_in_any_order() {
    explore(|| {
        let scene = Scene::new();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let scene = scene.clone();
                thread::spawn(move || {
                    let mut done = 0;
                    for _ in 0..TRIES_MAX {
                        done += u64::from(scene.increment() == Some(true));
                        if done == ROUNDS {
                            break;
                        }
                    }
                    done
                })
            })
            .collect();
        let others = [
            scene.until_over(|scene| {
                scene.steps.lander_turn();
            }),
            scene.until_over(|scene| {
                scene.steps.load_step(0);
            }),
            scene.until_over(|scene| scene.steps.keeper_round()),
            scene.until_over(|scene| {
                scene.steps.engine().evict_clean();
            }),
        ];
        let done: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
        assert!(scene.number().is_none_or(|number| number == done), "an increment is lost");
        scene.over.store(true, Ordering::SeqCst);
        others.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
