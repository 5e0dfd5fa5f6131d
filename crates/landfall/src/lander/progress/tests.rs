//! Waiting for the lander, and waking it.

#![allow(clippy::disallowed_methods, reason = "a test's own threads, which end with its scope")]

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const LANE: LaneId = LaneId(3);
const SOON: Duration = Duration::from_millis(20);
const LATE: Duration = Duration::from_secs(60);

fn progress() -> Arc<Progress> {
    let clock = crate::env::real().clock;
    Arc::new(Progress::new(clock, ["page".to_string()].into_iter(), [(LANE, 0)].into_iter()))
}

#[test]
fn a_wait_ends_when_the_position_has_landed() {
    let progress = progress();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| progress.wait_landed(&[(LANE, 7)], LATE));
        progress.publish_landed(&[(LANE, 6)]);
        progress.publish_landed(&[(LANE, 7)]);
        assert_eq!(waiter.join().expect("the waiter ends"), Waited::Landed);
    });
}

#[test]
fn a_wait_ends_at_its_deadline() {
    assert_eq!(progress().wait_landed(&[(LANE, 7)], SOON), Waited::TimedOut);
}

#[test]
fn a_wait_ends_when_its_group_has_stopped() {
    let progress = progress();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| progress.wait_landed(&[(LANE, 7)], LATE));
        progress.set_stopped(0, StopReason::Fenced, "taken".into());
        assert_eq!(waiter.join().expect("the waiter ends"), Waited::Stopped);
    });
    assert_eq!(progress.stopped().map(|group| group.name), Some("page".into()));
}

#[test]
fn subscribers_are_called_after_each_publication() {
    let progress = progress();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    progress.subscribe(Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    }));
    progress.publish_landed(&[(LANE, 1)]);
    progress.publish_landed(&[(LANE, 2)]);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn the_count_of_accepted_changes_wakes_the_lander_and_not_before() {
    let progress = progress();
    std::thread::scope(|scope| {
        let lander = scope.spawn(|| progress.sleep(None, 500));
        for _ in 0..499 {
            progress.accepted(LANE, 1);
        }
        assert!(!lander.is_finished());
        progress.accepted(LANE, 1);
        lander.join().expect("the lander wakes");
    });
}

#[test]
fn a_signal_given_before_the_sleep_is_not_missed() {
    let progress = progress();
    progress.request_flush();
    progress.sleep(None, u64::MAX);
    progress.notify();
    progress.sleep(None, u64::MAX);
}

#[test]
fn a_landed_position_that_goes_back_is_counted_as_a_rewind_and_the_cut_stays() {
    let progress = progress();
    progress.publish_cut(LANE, 9);
    progress.publish_landed(&[(LANE, 9)]);
    progress.publish_cut(LANE, 4);
    progress.publish_landed(&[(LANE, 4)]);
    assert_eq!((progress.landed(LANE), progress.cut(LANE), progress.rewinds(LANE)), (4, 9, 1));
}

#[test]
fn pausing_a_group_that_is_not_there_is_refused() {
    let progress = progress();
    assert_eq!(progress.pause(Some("nobody")), Err(UnknownGroup("nobody".into())));
    assert_eq!(progress.pause(Some("page")), Ok(()));
    assert!(progress.is_paused(0));
    assert_eq!(progress.resume(None), Ok(()));
    assert!(!progress.is_paused(0));
}

#[test]
fn owed_changes_start_anew_when_a_lane_owes_nothing() {
    let progress = progress();
    progress.accepted(LANE, 10);
    assert_eq!(progress.changes_owed(LANE, || 1), 10);
    progress.changes_landed(LANE, 25);
    assert_eq!(progress.changes_owed(LANE, || 3), 3);
    assert_eq!(progress.changes_owed(LANE, || 0), 0);
    progress.accepted(LANE, 5);
    assert_eq!(progress.changes_owed(LANE, || 1), 5);
}
