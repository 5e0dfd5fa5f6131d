//! Threads that have a name, an owner and an end. The only place that spawns.
//! A thread never outlives its owner in silence, and a panic in one is reported, not swallowed.

use std::sync::Arc;
use std::thread::JoinHandle;

/// Told when a thread of the engine panics: its name. The process should end; a restart recovers.
pub type OnFailure = Arc<dyn Fn(&str) + Send + Sync>;

/// The threads of one owner.
pub struct Tasks {
    running: Vec<(String, JoinHandle<()>)>,
    on_failure: OnFailure,
}

impl Tasks {
    /// No threads yet.
    pub fn new(on_failure: OnFailure) -> Tasks {
        Tasks { running: Vec::new(), on_failure }
    }

    /// Starts a thread. It must end when its owner asks it to, before [`Tasks::join`].
    ///
    /// # Errors
    /// The system's, when it has no thread to give.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let alarm = Alarm { name: name.to_owned(), on_failure: self.on_failure.clone() };
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let alarm = alarm;
            work();
            drop(alarm);
        })?;
        self.running.push((name.to_owned(), handle));
        Ok(())
    }

    /// Waits for all threads to end; returns the names of those that panicked.
    pub fn join(&mut self) -> Vec<String> {
        self.running.drain(..).filter_map(|(name, handle)| handle.join().is_err().then_some(name)).collect()
    }
}

/// Calls the owner while a panic unwinds.
struct Alarm {
    name: String,
    on_failure: OnFailure,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.on_failure)(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_panic_is_reported_with_the_name_of_its_thread() {
        let failed = Arc::new(Mutex::new(Vec::new()));
        let seen = failed.clone();
        let mut tasks = Tasks::new(Arc::new(move |name| seen.lock().unwrap().push(name.to_owned())));
        tasks.spawn("doomed", || panic!("on purpose")).unwrap();
        tasks.spawn("fine", || {}).unwrap();
        assert_eq!(tasks.join(), ["doomed"]);
        assert_eq!(*failed.lock().unwrap(), ["doomed"]);
    }
}
