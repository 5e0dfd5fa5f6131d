//! A disk in memory for tests that keeps no promise it did not make: what is not synced may be gone after a crash,
//! sector by sector, and names too. It must never be kinder than a real disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

use super::Env;
use super::seeded::{Dice, SeededRandom, TickingClock};

mod files;

const SECTOR: usize = 512;

/// What a crash leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing of it.
    Nothing,
    /// All of it.
    Everything,
    /// Each sector and each name as the dice fall.
    Some,
    /// All contents, and no name.
    Contents,
    /// All names, and no content.
    Names,
    /// Of each file the sectors that were written last, and of the names the last change: the disk changed the order.
    Newest,
}

#[derive(Clone, Default)]
struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync, oldest first.
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone)]
enum NameChange {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Remove(PathBuf),
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            NameChange::Create(path, file) => drop(names.insert(path.clone(), *file)),
            NameChange::Remove(path) => drop(names.remove(path)),
            // The new name is of that very file, whatever became of the changes before.
            NameChange::Rename(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
        }
    }

    fn is_in(&self, dir: &Path) -> bool {
        let (NameChange::Create(path, _) | NameChange::Rename(_, path, _) | NameChange::Remove(path)) = self;
        path.parent() == Some(dir)
    }
}

#[derive(Clone, Default)]
struct State {
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    changes: Vec<NameChange>,
    locked: BTreeSet<PathBuf>,
    /// Raised by a crash: files that were open before are gone.
    boot: u64,
    /// Steps and syncs so far; at which step everything stops, and which sync fails.
    steps: u64,
    syncs: u64,
    stop_at: Option<u64>,
    fail_sync: Option<u64>,
    /// How many bytes all files together may have.
    room: Option<u64>,
}

impl State {
    /// Counts a step that changes the disk; from the chosen one on all fail, as if the power had gone.
    fn step(&mut self) -> Result<()> {
        self.steps += 1;
        match self.stop_at {
            Some(at) if self.steps >= at => Err(Error::other("the power is gone")),
            _ => Ok(()),
        }
    }

    fn sync(&mut self) -> Result<()> {
        self.step()?;
        self.syncs += 1;
        if self.fail_sync == Some(self.syncs) { Err(Error::other("I/O error")) } else { Ok(()) }
    }

    fn file(&self, path: &Path) -> Result<usize> {
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

type Hook = Box<dyn FnOnce() + Send>;

/// What is asked of the disk, told to a [`StepHook`] before it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A file is created.
    Create,
    /// A file is renamed.
    Rename,
    /// A file is removed.
    Remove,
    /// Bytes are written.
    Write,
    /// Bytes are put into a mapped file. It cannot fail; whoever ends the process there finds half of them.
    Put,
    /// A file is synced.
    Sync,
    /// The names of a folder are synced.
    SyncDir,
}

/// What becomes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Done,
    /// It fails with an I/O error. A failed sync leaves pages that count as clean and never reach the disk; a failed
    /// write has written the first half.
    Failed,
    /// It fails because there is no room, and has written the first half.
    Full,
    /// The power is gone: it fails and nothing of it happened.
    PowerGone,
}

/// Decides what becomes of each step that changes the disk. It is called without any lock, in the middle of the call:
/// what it does happens while the step is under way.
pub type StepHook = Arc<dyn Fn(&StrictDisk, Step) -> Verdict + Send + Sync>;

impl Verdict {
    fn error(self) -> Error {
        match self {
            Verdict::Full => ErrorKind::StorageFull.into(),
            Verdict::PowerGone => Error::other("the power is gone"),
            Verdict::Done | Verdict::Failed => Error::other("I/O error"),
        }
    }
}

/// See the module.
#[derive(Clone, Default)]
pub struct StrictDisk {
    state: Arc<Mutex<State>>,
    on_sync: Arc<Mutex<Option<Hook>>>,
    hook: Arc<Mutex<Option<StepHook>>>,
}

impl StrictDisk {
    /// This disk, and clock and chance that follow from a seed.
    pub fn env(&self, seed: u64) -> Env {
        self.env_with_clock(seed, 1)
    }

    /// The same with a clock that moves on by so much whenever it is read.
    pub fn env_with_clock(&self, seed: u64, step_ms: u64) -> Env {
        Env {
            clock: Arc::new(TickingClock { now_ms: AtomicU64::new(0), step_ms }),
            random: Arc::new(SeededRandom(Mutex::new(Dice(seed)))),
            disk: Arc::new(self.clone()),
        }
    }

    /// A disk of its own with the same content, which nobody has locked.
    pub fn fork(&self) -> Self {
        let mut state = self.state.lock().clone();
        state.locked.clear();
        Self { state: Arc::new(Mutex::new(state)), ..Self::default() }
    }

    /// Has every step that changes the disk decided by `hook`, from now on.
    pub fn set_hook(&self, hook: StepHook) {
        *self.hook.lock() = Some(hook);
    }

    /// The volume is replaced by what `other` holds. Every handle from before is dead.
    pub fn restore(&self, other: &StrictDisk) {
        let content = other.state.lock().clone();
        let state = &mut *self.state.lock();
        let boot = state.boot + 1;
        *state = content;
        state.boot = boot;
        state.locked.clear();
    }

    /// The volume is lost: nothing is there any more. Every handle from before is dead.
    pub fn wipe(&self) {
        self.restore(&StrictDisk::default());
    }

    /// The names of all files.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state.lock().names.keys().cloned().collect()
    }

    fn ask(&self, step: Step) -> Verdict {
        let hook = self.hook.lock().clone();
        hook.map_or(Verdict::Done, |hook| hook(self, step))
    }

    /// Asks about a step that happens as a whole or not at all.
    fn allow(&self, step: Step) -> Result<()> {
        match self.ask(step) {
            Verdict::Done => Ok(()),
            other => Err(other.error()),
        }
    }

    /// The power goes and comes back. Every handle from before is dead.
    pub fn crash(&self, keep: Keep, dice: &mut Dice) {
        let state = &mut *self.state.lock();
        for file in &mut state.files {
            let unsynced = std::mem::take(&mut file.unsynced);
            let end = unsynced.iter().map(|(at, bytes)| at + bytes.len()).max().unwrap_or(0);
            for sector in 0..end.div_ceil(SECTOR) {
                let range = sector * SECTOR..(sector + 1) * SECTOR;
                let touches =
                    |(at, bytes): &(usize, Vec<u8>)| at + bytes.len() > range.start && *at < range.end;
                let writes: Vec<_> = unsynced.iter().filter(|write| touches(write)).collect();
                // A sector goes to disk as it was at some instant: with the first few of its writes.
                let count = match keep {
                    Keep::Nothing | Keep::Names => 0,
                    Keep::Everything | Keep::Contents => writes.len(),
                    Keep::Some => dice.below(writes.len() as u64 + 1) as usize,
                    Keep::Newest if unsynced.last().is_some_and(touches) => writes.len(),
                    Keep::Newest => 0,
                };
                for (at, bytes) in &writes[..count] {
                    let from = (*at).max(range.start);
                    let to = (at + bytes.len()).min(range.end);
                    put(&mut file.durable, from, &bytes[from - at..to - at]);
                }
            }
            file.now = file.durable.clone();
        }
        let changes = std::mem::take(&mut state.changes);
        for (number, change) in changes.iter().enumerate() {
            let is_kept = match keep {
                Keep::Nothing | Keep::Contents => false,
                Keep::Everything | Keep::Names => true,
                Keep::Some => dice.one_in(2),
                Keep::Newest => number + 1 == changes.len(),
            };
            if is_kept {
                change.apply(&mut state.durable_names);
            }
        }
        state.names = state.durable_names.clone();
        state.locked.clear();
        state.boot += 1;
        (state.stop_at, state.fail_sync, state.room) = (None, None, None);
    }

    /// Only the process ends: what it wrote is still in the memory of the machine, synced or not.
    pub fn kill(&self) {
        let state = &mut *self.state.lock();
        state.locked.clear();
        state.boot += 1;
        (state.stop_at, state.fail_sync, state.room) = (None, None, None);
    }

    /// Changes a file's content behind everybody's back, durably.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn change(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let state = &mut *self.state.lock();
        let file = state.file(path).unwrap();
        let file = &mut state.files[file];
        change(&mut file.now);
        file.durable = file.now.clone();
        file.unsynced.clear();
    }

    /// What a file holds as the machine sees it.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn content(&self, path: &Path) -> Vec<u8> {
        let state = self.state.lock();
        state.files[state.file(path).unwrap()].now.clone()
    }

    /// How many steps changed the disk so far.
    pub fn steps(&self) -> u64 {
        self.state.lock().steps
    }

    /// How many syncs there were.
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Lets everything from this step on fail.
    pub fn stop_at(&self, step: u64) {
        self.state.lock().stop_at = Some(step);
    }

    /// Lets one sync fail; what it covered never reaches the disk, and later syncs succeed without it.
    pub fn fail_sync(&self, number: u64) {
        self.state.lock().fail_sync = Some(number);
    }

    /// Bounds the bytes of all files, or frees them of the bound.
    pub fn limit_room(&self, bytes: Option<u64>) {
        self.state.lock().room = bytes;
    }

    /// Whether the bytes of all files are bounded.
    pub fn is_limited(&self) -> bool {
        self.state.lock().room.is_some()
    }

    /// Whether a power cut could take something.
    pub fn is_unsynced(&self) -> bool {
        let state = self.state.lock();
        !state.changes.is_empty() || state.files.iter().any(|file| !file.unsynced.is_empty())
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        let state = self.state.lock();
        state.names.values().map(|&file| state.files[file].now.len() as u64).sum()
    }

    /// Runs once, in the middle of the next sync of a file.
    pub fn on_next_sync(&self, hook: impl FnOnce() + Send + 'static) {
        *self.on_sync.lock() = Some(Box::new(hook));
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}
