//! The engine: writes are logged and shown, reads see the newest value, and the lander lands behind it.
//! It never sees SQL or RESP, and never acknowledges what is less safe than the policy promises.
//!
//! [`Engine`] is the face for servers: synchronous, made of atomic units ([`unit::Unit`]) that never block on I/O.
//! [`Landfall`] is the face for applications: asynchronous and typed. Both are the same engine.

use std::sync::Arc;
use std::time::Duration;

use crate::buffer::log::{Address, LogError};
use crate::lander::{UnknownGroup, Waited};
use crate::model::mapping::{self, Target};
use crate::model::{Catalogue, LaneId, Position, Table};
use crate::settings::TableSettings;
use crate::sync::Mutex;

pub mod adopt;
mod cascades;
mod clear;
mod close;
mod commits;
pub mod core;
mod effect;
pub mod explain;
mod keeper;
pub mod keyspace;
mod lanes;
pub mod letters;
mod library;
mod load;
mod moved;
mod open;
pub mod ops;
mod recover;
pub mod refusal;
mod rest;
mod shares;
pub mod status;
#[cfg(feature = "simulation")]
pub mod stepwise;
pub mod unit;
pub mod warm;
mod watching;

#[cfg(test)]
mod tests;

pub use close::Remaining;
pub use commits::{Commits, Written};
pub use library::{Landfall, Receipt, Row};
pub use load::{OnLetters, OnLoaded, OnLooked, ToLoad};
pub use open::{OpenError, Opened};
pub use refusal::{Refusal, Stop};
pub use status::Status;
pub use unit::Unit;

pub use crate::buffer::cache::{FORESEEN_MAX, Stream, Watch};

use self::core::Core;
use self::keeper::Threads;

/// An open engine, for servers.
///
/// Every method may be called from any thread and returns without waiting for the database; only
/// [`Engine::commit`] and [`Engine::close`] wait for the disk.
pub struct Engine {
    core: Arc<Core>,
    commits: Arc<Commits>,
    threads: Mutex<Option<Threads>>,
}

impl Engine {
    /// What a key stands for.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] when it names a table but no row of it.
    pub fn resolve(&self, key: &[u8]) -> Result<Target, Refusal> {
        mapping::resolve(&self.core.catalogue, key).map_err(Refusal::Invalid)
    }

    /// A number that stands for the row of a key in [`Engine::foresee`]; none for a key that names no row.
    pub fn foreshadow(&self, key: &[u8]) -> Option<u64> {
        match mapping::resolve(&self.core.catalogue, key).ok()? {
            Target::Key => Some(self.core.cache.hash_of_key(key)),
            target => Some(self.core.cache.hash(&unit::identity(key, &target)?)),
        }
    }

    /// Says which rows will be asked for soon, at most [`FORESEEN_MAX`] of them, so that they are on the way from memory
    /// by then. A hint: it changes no row and no reply, and waits for nothing.
    pub fn foresee(&self, rows: &[u64]) {
        self.core.cache.foresee(rows);
    }

    /// Starts a unit over the rows of `targets`, each with the key that it was resolved from. With
    /// `several_commands`, later commands see what earlier ones of the unit did.
    pub fn unit<'e>(&'e self, targets: &[(&[u8], &Target)], several_commands: bool) -> Unit<'e> {
        Unit::new(&self.core, targets, several_commands)
    }

    /// Loads rows and then calls `done` from another thread, once.
    pub fn load(&self, rows: Vec<ToLoad>, done: OnLoaded) {
        self.core.load(rows, done);
    }

    /// Makes everything that was accepted so far as safe as an acknowledgement promises. Group commit: one call
    /// serves all writes before it. Free when nothing is waiting.
    ///
    /// # Errors
    /// [`LogError::Poisoned`]: the outcome of what was not yet acknowledged is unknown; the process should end.
    pub fn commit(&self) -> Result<(), LogError> {
        self.core.commit(self.core.log.accepted())
    }

    /// Makes everything accepted so far durable, whatever the policy.
    ///
    /// # Errors
    /// As [`Engine::commit`].
    pub fn commit_durably(&self) -> Result<(), LogError> {
        let end = self.core.log.accepted();
        self.core.log.commit(end, crate::buffer::log::Safety::Durable)
    }

    /// Waits for the log from tasks.
    pub fn commits(&self) -> &Arc<Commits> {
        &self.commits
    }

    /// The end of the log.
    pub fn accepted(&self) -> Address {
        self.core.log.accepted()
    }

    /// Whether everything up to `end` is as safe as an acknowledgement promises.
    pub fn is_acknowledged(&self, end: Address) -> bool {
        self.core.log.safe(self.core.acknowledged_safety()) >= end
    }

    /// Whether the log has room on its disk. While it has none, writes are refused, and some of what was accepted last may
    /// not be as safe as an acknowledgement promises.
    pub fn has_room(&self) -> bool {
        self.core.log.has_room()
    }

    /// Whether everything up to `end` is on the disk.
    pub fn is_durable(&self, end: Address) -> bool {
        self.core.log.safe(crate::buffer::log::Safety::Durable) >= end
    }

    /// Whether these writes have landed.
    pub fn has_landed(&self, places: &[(LaneId, Position)]) -> bool {
        places.iter().all(|(lane, position)| self.core.progress.landed(*lane) >= *position)
    }

    /// Waits until these writes have landed, at most so long, and asks for a flush at once. Blocks.
    pub fn wait_landed(&self, places: &[(LaneId, Position)], timeout: Duration) -> Waited {
        self.core.progress.request_flush();
        self.core.progress.wait_landed(places, self.core.env.clock.monotonic() + timeout)
    }

    /// Calls `wake` after every publication of landed positions, for as long as the engine is open.
    pub fn on_landed(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        self.core.progress.subscribe(wake);
    }

    /// Has `reopen` called when this engine turns out to be outdated: it was opened without the database, whose tables changed
    /// or which is ahead of the log; then nothing lands before it is closed and opened anew. Or the tables changed under it
    /// ([`Settings::compares_tables`](crate::Settings)).
    pub fn on_outdated(&self, reopen: Arc<dyn Fn() + Send + Sync>) {
        self.core.progress.on_outdated(reopen);
    }

    /// Whether the database was found to be other than this engine knew it.
    pub fn is_outdated(&self) -> bool {
        self.core.progress.is_outdated()
    }

    /// Whether the database was met since the engine was opened.
    pub fn has_met_database(&self) -> bool {
        self.core.progress.is_joined()
    }

    /// Lands what is pending without waiting for the interval or the count.
    pub fn flush(&self) {
        self.core.progress.request_flush();
    }

    /// Stops landing of a group, or of all, until [`Engine::resume`]; writes go on up to the bounds.
    ///
    /// # Errors
    /// [`UnknownGroup`].
    pub fn pause(&self, group: Option<&str>) -> Result<(), UnknownGroup> {
        self.core.progress.pause(group)
    }

    /// The groups that are paused.
    pub fn paused(&self) -> Vec<String> {
        self.core.progress.paused()
    }

    /// Lands again.
    ///
    /// # Errors
    /// [`UnknownGroup`].
    pub fn resume(&self, group: Option<&str>) -> Result<(), UnknownGroup> {
        self.core.progress.resume(group)
    }

    /// The tables, as the database described them at the start.
    pub fn catalogue(&self) -> &Catalogue {
        &self.core.catalogue
    }

    /// The table whose rows' keys begin with this and a colon.
    pub fn table_named(&self, segment: &[u8]) -> Option<&Arc<Table>> {
        mapping::table_named(&self.core.catalogue, segment)
    }

    /// The settings of a table.
    pub fn table_settings(&self, table: &Table) -> Option<&TableSettings> {
        self.core.settings.tables.get(&*table.name)
    }

    /// Lands what is left until the deadline, syncs the log, and ends every thread. Says what is left; it stays in
    /// the log and lands after the next start.
    ///
    /// # Errors
    /// [`LogError`] when the log cannot be closed in order.
    pub fn close(&self, drain: Duration) -> Result<Remaining, LogError> {
        let threads = self.threads.lock().take();
        close::close(&self.core, &self.commits, threads, drain)
    }
}

/// Ends the threads of an engine that was not closed; what has not landed stays in the log.
impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.lock().take() {
            self.core.progress.stop(Duration::ZERO);
            threads.signal(&self.core, &self.commits);
        }
    }
}
