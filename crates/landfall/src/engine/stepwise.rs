//! An engine without threads: whoever holds it takes every step that a thread would take, one at a time, in any order.
//! It must never do a step in another way than the threads do; only the waiting between steps is left out.

use std::sync::Arc;
use std::time::Duration;

use super::close;
use super::keeper::{self, Keeping};
use super::load::Loader;
use super::open::Assembled;
use super::{Engine, OpenError, Opened};
use crate::buffer::log::Log;
use crate::env::Env;
use crate::lander::{Lander, Turn};
use crate::settings::Settings;
use crate::sink::Database;
use crate::sync::Mutex;
use crate::sync::atomic::Ordering;

/// An open engine whose threads are played by the caller.
///
/// The engine may be used from everywhere at any time, also from within a step (from a call of the database or of the
/// disk): that is what other threads would do. Steps of other parts may be taken there too; a part that is in the
/// middle of a step of its own takes none.
pub struct Stepwise {
    engine: Arc<Engine>,
    lander: Mutex<(Lander, bool)>,
    keeping: Mutex<Keeping>,
    loaders: Vec<Mutex<Loader>>,
}

/// What a loader did in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadStep {
    /// There is nothing to load.
    Idle,
    /// It is in the middle of a step already.
    Busy,
    /// It read a row from the database, and has not taken it in yet.
    Read,
    /// It took in what it read, or told who asked that it cannot be had.
    Done,
    /// What it read was too old; it reads again.
    Again,
}

impl Stepwise {
    /// Opens an engine and starts nothing. Unlike [`Engine::open`] it takes any settings, so that a cache may be tiny.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open(
        env: Env,
        settings: Settings,
        log: Arc<dyn Log>,
        database: Arc<dyn Database>,
    ) -> Result<(Stepwise, Opened), OpenError> {
        let Assembled { core, commits, lander, opened } = Assembled::new(env, settings, log, database)?;
        let loaders = (0..core.settings.loads_at_once).map(|_| Mutex::default()).collect();
        let keeping = Mutex::new(Keeping::new(&core));
        let engine = Arc::new(Engine { core, commits, threads: Mutex::new(None) });
        Ok((Stepwise { engine, lander: Mutex::new((lander, false)), keeping, loaders }, opened))
    }

    /// Lands at most so many records at once, from now on.
    pub fn limit_batches(&self, records_max: usize) {
        self.lander.lock().0.limit_batches(records_max);
    }

    /// The engine, for commands and status.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// One turn of `landfall-lander`; none when it is in the middle of one.
    pub fn lander_turn(&self) -> Option<Turn> {
        let mut lander = self.lander.try_lock()?;
        let (lander, ended) = &mut *lander;
        if *ended {
            return Some(Turn::Ended);
        }
        let turn = lander.turn();
        *ended = turn == Turn::Ended;
        Some(turn)
    }

    /// One round of `landfall-keeper`: landed rows become clean, expiries are logged.
    pub fn keeper_round(&self) {
        if let Some(mut keeping) = self.keeping.try_lock() {
            keeping.step(&self.engine.core);
        }
    }

    /// One round of `landfall-segments`; whether all of it could be done.
    pub fn segments_round(&self) -> bool {
        keeper::keep_up(&self.engine.core)
    }

    /// One round of `landfall-sync`, which runs under `everysec`; whether it goes on.
    pub fn sync_round(&self) -> bool {
        keeper::sync(&self.engine.core)
    }

    /// How many loaders there are.
    pub fn loaders(&self) -> usize {
        self.loaders.len()
    }

    /// Half a step of one `landfall-load`: it takes the next row and reads it, or takes in what it read before.
    pub fn load_step(&self, loader: usize) -> LoadStep {
        let Some(loader) = self.loaders.get(loader) else { return LoadStep::Idle };
        let Some(mut loader) = loader.try_lock() else { return LoadStep::Busy };
        let loader = &mut *loader;
        let core = &self.engine.core;
        if loader.has_read() {
            return match core.fill_step(loader) {
                Some(_) => LoadStep::Again,
                None => LoadStep::Done,
            };
        }
        if !loader.is_busy() && !core.take_load(loader) {
            return LoadStep::Idle;
        }
        core.read_step(loader);
        LoadStep::Read
    }

    /// How often the log was read for a row of which a part had landed.
    pub fn joined_loads(&self) -> u64 {
        self.engine.core.counts.joined_loads.load(Ordering::Relaxed)
    }

    /// Asks the lander to land what is left within `drain`; go on with [`Stepwise::lander_turn`] until it has ended, then
    /// close the engine.
    pub fn begin_close(&self, drain: Duration) {
        close::begin(&self.engine.core, drain);
    }

    /// Refuses whoever waits for a load, as the end of the threads does.
    pub fn end_loads(&self) {
        self.engine.core.close_loads();
    }
}
