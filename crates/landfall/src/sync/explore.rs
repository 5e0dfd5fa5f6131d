//! Plays a test in many interleavings: by the dice, and by priorities that change at a few moments (PCT), which finds what
//! needs one thread to run far ahead of another. The same schedules are played each time, so what failed fails again.

use std::time::Duration;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::{Config, Runner};

/// Schedules of each kind, unless `LANDFALL_SCHEDULES` says another number.
const SCHEDULES: usize = 5_000;
/// What the schedules are chosen by, unless shuttle's `SHUTTLE_RANDOM_SEED` says another number.
const SEED: u64 = 1;
/// How often priorities change in a schedule.
const CHANGES: usize = 3;
/// The engine's frames are large in a build that is not optimised.
const STACK_BYTES: usize = 1 << 18;
const TIME_MAX: Duration = Duration::from_secs(600);

/// Somewhere in a call to the world outside: others may go on.
pub(crate) fn others_go_on() {
    AtomicBool::new(false).load(Ordering::SeqCst);
}

/// Plays `test` in [`SCHEDULES`] schedules of each kind.
pub(crate) fn explore(test: fn()) {
    let schedules = std::env::var("LANDFALL_SCHEDULES").ok().and_then(|text| text.parse().ok());
    let schedules = schedules.unwrap_or(SCHEDULES);
    play(RandomScheduler::new_from_seed(SEED, schedules), test, schedules);
    play(PctScheduler::new_from_seed(SEED, CHANGES, schedules), test, schedules);
}

fn play(scheduler: impl Scheduler + 'static, test: fn(), schedules: usize) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_time = Some(TIME_MAX);
    let played = Runner::new(scheduler, config).run(test);
    assert_eq!(played, schedules, "there was no time for all schedules");
}
