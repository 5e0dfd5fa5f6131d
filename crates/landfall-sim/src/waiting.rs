//! The one loop that waits: for a condition, until a deadline.
//! It must never be used to let time pass; a test that needs a moment asks for the condition that ends it.

use std::time::{Duration, Instant};

/// Between two looks; short beside anything that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Looks until `condition` holds or the deadline has passed; whether it held.
///
/// ```
/// use std::time::{Duration, Instant};
/// use landfall_sim::waiting::wait_until;
///
/// let mut looks = 0;
/// let deadline = Instant::now() + Duration::from_secs(10);
/// assert!(wait_until(deadline, || { looks += 1; looks == 3 }));
/// assert!(!wait_until(Instant::now(), || false));
/// ```
pub fn wait_until(deadline: Instant, mut condition: impl FnMut() -> bool) -> bool {
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
