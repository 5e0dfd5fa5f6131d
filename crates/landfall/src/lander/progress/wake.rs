//! Wakes a sleeping lander, and costs next to nothing while it is awake.
//! A signal is never lost: what was counted or asked for before a sleep ends that sleep.

use std::time::Duration;

use crate::env::Clock;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex};

/// A bell with a counter beside it.
pub(super) struct Wake {
    signal: Mutex<bool>,
    signalled: Condvar,
    /// Set while a signal is on its way, so that further ones cost one load.
    rung: AtomicBool,
    changes_accepted: AtomicU64,
    /// The value of `changes_accepted` that rings; `u64::MAX` while the lander is awake.
    wake_at_changes: AtomicU64,
}

impl Default for Wake {
    fn default() -> Self {
        Wake {
            signal: Mutex::new(false),
            signalled: Condvar::new(),
            rung: AtomicBool::new(false),
            changes_accepted: AtomicU64::new(0),
            wake_at_changes: AtomicU64::new(u64::MAX),
        }
    }
}

impl Wake {
    pub(super) fn changes_accepted(&self) -> u64 {
        self.changes_accepted.load(Ordering::SeqCst)
    }

    /// Counts changes; rings at the count that the lander waits for.
    pub(super) fn accepted(&self, changes: u64) {
        // SeqCst: either this sees the lander's mark, or the lander sees this count before it sleeps.
        let total = self.changes_accepted.fetch_add(changes, Ordering::SeqCst) + changes;
        if total >= self.wake_at_changes.load(Ordering::SeqCst) {
            self.notify();
        }
    }

    pub(super) fn notify(&self) {
        if self.rung.load(Ordering::SeqCst) || self.rung.swap(true, Ordering::SeqCst) {
            return;
        }
        *self.signal.lock() = true;
        self.signalled.notify_one();
    }

    pub(super) fn sleep(&self, clock: &dyn Clock, until: Option<Duration>, wake_at_changes: u64) {
        self.wake_at_changes.store(wake_at_changes, Ordering::SeqCst);
        let mut signal = self.signal.lock();
        while !*signal && self.changes_accepted() < wake_at_changes {
            match until.map(|until| until.saturating_sub(clock.monotonic())) {
                None => self.signalled.wait(&mut signal),
                Some(Duration::ZERO) => break,
                Some(rest) => {
                    self.signalled.wait_for(&mut signal, rest);
                }
            }
        }
        *signal = false;
        drop(signal);
        self.wake_at_changes.store(u64::MAX, Ordering::SeqCst);
        // Cleared before the lander looks at anything, so that a signal from now on rings again. One that was
        // held back by it was given before that look, which therefore sees what it was about.
        self.rung.store(false, Ordering::SeqCst);
    }
}
