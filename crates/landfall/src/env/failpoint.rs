//! Named steps of the path, at each of which a test can end the process by a kill -9 from within (feature `failpoints`).
//! Without the feature a step is nothing at all; no build for users has it, and a check looks.
//!
//! `LANDFALL_FAILPOINT=log.synced:3` kills the process when it reaches that step for the third time.
//! `LANDFALL_FAILPOINT=serve.ready>log.synced:3` counts from the moment that it first reached `serve.ready`.

/// When a step is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Again and again while the server works.
    Often,
    /// Now and then while it works.
    Seldom,
    /// During a start.
    Start,
    /// During a close.
    Close,
}

/// Every step, in the order of the path.
#[rustfmt::skip]
pub const POINTS: &[(&str, When)] = &[
    // A start: the log, the lanes, the view.
    ("start.locked", When::Start),
    ("start.read", When::Start),
    ("start.boot", When::Start),
    ("start.quarantined", When::Start),
    ("start.begun", When::Start),
    ("start.removed", When::Start),
    ("start.log", When::Start),
    ("start.lanes", When::Start),
    ("take-over.begin", When::Start),
    ("take-over.committed", When::Start),
    ("start.joined", When::Start),
    ("start.recovered", When::Start),
    ("serve.ready", When::Start),
    // A write: the log, the answer.
    ("log.append", When::Often),
    ("log.write", When::Often),
    ("log.written", When::Often),
    ("log.marked", When::Often),
    ("log.synced", When::Often),
    ("log.durable", When::Often),
    ("front.ack", When::Often),
    ("front.reply", When::Often),
    // The next segment, and letting go of the old ones.
    ("log.spare", When::Seldom),
    ("log.roll", When::Seldom),
    ("log.rolled", When::Seldom),
    ("log.trim", When::Seldom),
    ("log.trimmed", When::Seldom),
    ("note.draft", When::Seldom),
    ("note.named", When::Seldom),
    // A read that misses.
    ("load.read", When::Often),
    ("load.filled", When::Often),
    // A landing.
    ("landing.cut", When::Often),
    ("landing.begin", When::Often),
    ("landing.watermark", When::Often),
    ("landing.row", When::Often),
    ("landing.commit", When::Often),
    ("landing.committed", When::Often),
    ("landing.published", When::Often),
    ("keeper.cleaned", When::Often),
    // A close.
    ("close.begin", When::Close),
    ("close.drained", When::Close),
    ("close.noted", When::Close),
    ("close.closed", When::Close),
];

/// Says that the process has come to this step.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn reach(_step: &'static str) {}

/// Says that the process has come to this step, and does not return when this is where it ends.
///
/// # Panics
/// When the step is not in [`POINTS`], or the variable makes no sense.
#[cfg(feature = "failpoints")]
pub fn reach(step: &'static str) {
    static PLAN: std::sync::OnceLock<Option<armed::Plan>> = std::sync::OnceLock::new();
    let plan = PLAN.get_or_init(|| {
        let text = std::env::var("LANDFALL_FAILPOINT").ok()?;
        Some(armed::Plan::parse(&text).unwrap_or_else(|| panic!("LANDFALL_FAILPOINT={text} names no step")))
    });
    if plan.as_ref().is_some_and(|plan| plan.ends_at(step)) {
        armed::end();
    }
}

/// What the feature adds.
#[cfg(any(test, feature = "failpoints"))]
mod armed {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::POINTS;

    /// Where the process ends.
    pub(super) struct Plan {
        step: String,
        /// Counts from here on.
        after: Option<String>,
        counting: AtomicBool,
        left: AtomicU64,
    }

    impl Plan {
        /// `step:count` or `after>step:count`; none when it is neither, or a step does not exist.
        pub(super) fn parse(text: &str) -> Option<Plan> {
            let (after, rest) = match text.split_once('>') {
                Some((after, rest)) => (Some(after.to_owned()), rest),
                None => (None, text),
            };
            let (step, count) = rest.split_once(':')?;
            let known = |step: &str| POINTS.iter().any(|(name, _)| *name == step);
            let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
            if !known(step) || !after.as_deref().is_none_or(known) {
                return None;
            }
            let counting = AtomicBool::new(after.is_none());
            Some(Plan { step: step.to_owned(), after, counting, left: AtomicU64::new(count) })
        }

        /// Counts, and says whether this is the time.
        pub(super) fn ends_at(&self, step: &'static str) -> bool {
            assert!(POINTS.iter().any(|(name, _)| *name == step), "{step} is not in the list of steps");
            if self.after.as_deref() == Some(step) {
                self.counting.store(true, Ordering::Relaxed);
            }
            // Below 1 nothing is left: another thread is ending the process.
            self.step == step
                && self.counting.load(Ordering::Relaxed)
                && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                    == Ok(1)
        }
    }

    /// Ends the process as `kill -9` does: no handler runs, nothing is flushed.
    #[cfg(feature = "failpoints")]
    pub(super) fn end() -> ! {
        loop {
            // It cannot fail for the process itself; until the signal is there, nothing else may happen here.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::armed::Plan;
    use super::*;

    #[test]
    fn a_step_is_counted_from_its_beginning_or_from_another_step() {
        let plan = Plan::parse("log.synced:2").unwrap();
        let reached: Vec<bool> =
            ["log.synced", "log.write", "log.synced", "log.synced"].map(|step| plan.ends_at(step)).into();
        assert_eq!(reached, [false, false, true, false]);
        let plan = Plan::parse("serve.ready>log.synced:1").unwrap();
        let reached: Vec<bool> =
            ["log.synced", "serve.ready", "log.synced"].map(|step| plan.ends_at(step)).into();
        assert_eq!(reached, [false, false, true]);
    }

    #[test]
    fn what_names_no_step_is_refused() {
        for text in ["", "log.synced", "log.synced:0", "log.sunk:1", "nowhere>log.synced:1", "log.synced:x"] {
            assert!(Plan::parse(text).is_none(), "{text}");
        }
        let mut names: Vec<&str> = POINTS.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), POINTS.len(), "a step has one name");
    }
}
