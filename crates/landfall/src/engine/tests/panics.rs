//! A thread that panics, each in turn: its owner hears of it, nobody waits for it, and nothing more is accepted.

use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;

use super::*;
use crate::engine::ops::strings;
use crate::lander::Waited;
use crate::settings::Fsync;

/// A clock that panics once in the thread that is doomed. Every thread of an engine asks for the time.
struct Doom {
    clock: Arc<dyn Clock>,
    thread: &'static str,
    armed: AtomicBool,
}

impl Doom {
    fn strike(&self) {
        if std::thread::current().name() == Some(self.thread) && self.armed.swap(false, Ordering::SeqCst) {
            panic!("on purpose");
        }
    }
}

impl Clock for Doom {
    fn monotonic(&self) -> Duration {
        self.strike();
        self.clock.monotonic()
    }

    fn unix_ms(&self) -> u64 {
        self.strike();
        self.clock.unix_ms()
    }
}

fn set(engine: &Engine, key: &str) -> Result<Written, Refusal> {
    let how = Default::default();
    run(engine, &[key], |unit, t| strings::set(unit, 0, &t[0], b"v", how, &[]).map(|_| ())).map(|(_, w)| w)
}

/// Who was told of a panic: the names of the threads.
type Failed = Arc<Mutex<Vec<String>>>;

/// An engine whose `thread` panics as soon as it is armed.
fn doomed(disk: &StrictDisk, database: &MemoryDatabase, thread: &'static str) -> (Arc<Doom>, Engine, Failed) {
    let doom = Arc::new(Doom { clock: env::real().clock, thread, armed: AtomicBool::new(false) });
    let env = Env { clock: doom.clone(), ..disk.env(1) };
    let mut settings = small(Settings::in_dir("/log"));
    settings.flush_interval = Duration::from_millis(2);
    settings.loads_at_once = 1;
    settings.fsync = if thread == "landfall-sync" { Fsync::Everysec } else { Fsync::Always };
    let log = LocalLog::open(env.clone(), &settings.data_dir, LocalLogSettings::from(&settings)).unwrap().0;
    let failed = Failed::default();
    let told = failed.clone();
    let on_failure = Arc::new(move |name: &str| told.lock().push(name.to_owned()));
    let database = Arc::new(database.clone());
    let (engine, _) = Engine::open(env, settings, Arc::new(log), database, on_failure).unwrap();
    (doom, engine, failed)
}

/// Asks something of every thread, so that the doomed one comes to the clock; then nobody may be left waiting.
fn dies(thread: &'static str) {
    let (disk, database) = (StrictDisk::default(), MemoryDatabase::new(tables()));
    let (doom, engine, failed) = doomed(&disk, &database, thread);
    let acknowledged = set(&engine, "before").unwrap();
    doom.armed.store(true, Ordering::SeqCst);
    let (send, receive) = mpsc::channel();
    engine.load(
        vec![(page(1), acknowledged.places[0].0).into()],
        Box::new(move |outcome| drop(send.send(outcome))),
    );
    // It may be refused already.
    let later = set(&engine, "later");
    let end = engine.accepted() + 1;
    let waiting = tokio::runtime::Builder::new_current_thread().build().unwrap();
    if thread == "landfall-commit" {
        // It has nothing to do where the lander was first to make the log durable.
        wait_until(|| waiting.block_on(engine.commits().wait(set_unsafe(&engine))).is_err());
    }
    wait_until(|| *failed.lock() == [thread]);
    receive.recv_timeout(PATIENCE).expect("who waits for a load is answered").unwrap_or_default();
    assert!(waiting.block_on(engine.commits().wait(end)).is_err(), "{thread}: nobody commits any more");
    assert!(matches!(set(&engine, "after"), Err(Refusal::Closing)), "{thread}");
    if thread == "landfall-lander" {
        let never = [(acknowledged.places[0].0, u64::MAX)];
        assert_eq!(engine.wait_landed(&never, PATIENCE), Waited::Stopped, "nothing lands any more");
    }
    assert_eq!(engine.close(Duration::ZERO).unwrap().failed, [thread]);
    drop(engine);
    // The next start has everything.
    let (_, engine, _) = doomed(&disk, &database, "nobody");
    let there = |key: &str| run(&engine, &[key], |unit, t| strings::get(unit, 0, &t[0])).unwrap().0.is_some();
    assert!(there("before") && (later.is_err() || there("later")), "{thread}");
}

/// A write that nobody has committed; the end of it.
fn set_unsafe(engine: &Engine) -> crate::buffer::log::Address {
    let target = engine.resolve(b"unsafe").unwrap();
    let mut unit = engine.unit(&[(b"unsafe", &target)], false);
    strings::set(&mut unit, 0, &target, b"v", Default::default(), &[]).unwrap();
    unit.commit().unwrap().end
}

#[test]
fn a_thread_that_panics_is_told_and_leaves_nobody_waiting() {
    for thread in [
        "landfall-lander",
        "landfall-load-0",
        "landfall-commit",
        "landfall-keeper",
        "landfall-segments",
        "landfall-sync",
    ] {
        dies(thread);
    }
}
