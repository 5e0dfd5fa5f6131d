//! A disk in memory for tests that keeps no promise it did not make: what is not synced may be gone after a crash,
//! sector by sector, and names too. It must never be kinder than a real disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

use super::seeded::{Dice, SeededRandom, TickingClock};
use super::{Disk, DiskFile, Env};

const SECTOR: usize = 512;

/// What a crash leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Nothing,
    Everything,
    /// Each sector and each name as the dice fall.
    Some,
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

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct StrictDisk {
    state: Arc<Mutex<State>>,
    on_sync: Arc<Mutex<Option<Hook>>>,
}

impl StrictDisk {
    /// This disk, and clock and chance that follow from a seed.
    pub(crate) fn env(&self, seed: u64) -> Env {
        self.env_with_clock(seed, 1)
    }

    /// The same with a clock that moves on by so much whenever it is read.
    pub(crate) fn env_with_clock(&self, seed: u64, step_ms: u64) -> Env {
        Env {
            clock: Arc::new(TickingClock { now_ms: AtomicU64::new(0), step_ms }),
            random: Arc::new(SeededRandom(Mutex::new(Dice(seed)))),
            disk: Arc::new(self.clone()),
        }
    }

    /// A disk of its own with the same content.
    pub(crate) fn fork(&self) -> Self {
        Self { state: Arc::new(Mutex::new(self.state.lock().clone())), on_sync: Arc::default() }
    }

    /// The power goes and comes back. Every handle from before is dead.
    pub(crate) fn crash(&self, keep: Keep, dice: &mut Dice) {
        let state = &mut *self.state.lock();
        for file in &mut state.files {
            let unsynced = std::mem::take(&mut file.unsynced);
            let end = unsynced.iter().map(|(at, bytes)| at + bytes.len()).max().unwrap_or(0);
            for sector in 0..end.div_ceil(SECTOR) {
                let range = sector * SECTOR..(sector + 1) * SECTOR;
                let touching =
                    |(at, bytes): &&(usize, Vec<u8>)| at + bytes.len() > range.start && *at < range.end;
                let writes: Vec<_> = unsynced.iter().filter(touching).collect();
                // A sector goes to disk as it was at some instant: with the first few of its writes.
                let count = match keep {
                    Keep::Nothing => 0,
                    Keep::Everything => writes.len(),
                    Keep::Some => dice.below(writes.len() as u64 + 1) as usize,
                };
                for (at, bytes) in &writes[..count] {
                    let from = (*at).max(range.start);
                    let to = (at + bytes.len()).min(range.end);
                    put(&mut file.durable, from, &bytes[from - at..to - at]);
                }
            }
            file.now = file.durable.clone();
        }
        for change in std::mem::take(&mut state.changes) {
            if keep == Keep::Everything || keep == Keep::Some && dice.one_in(2) {
                change.apply(&mut state.durable_names);
            }
        }
        state.names = state.durable_names.clone();
        state.locked.clear();
        state.boot += 1;
        (state.stop_at, state.fail_sync, state.room) = (None, None, None);
    }

    /// Only the process ends: what it wrote is still in the memory of the machine, synced or not.
    pub(crate) fn kill(&self) {
        let state = &mut *self.state.lock();
        state.locked.clear();
        state.boot += 1;
        (state.stop_at, state.fail_sync, state.room) = (None, None, None);
    }

    /// Changes a file's content behind everybody's back, durably.
    pub(crate) fn change(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let state = &mut *self.state.lock();
        let file = state.file(path).unwrap();
        let file = &mut state.files[file];
        change(&mut file.now);
        file.durable = file.now.clone();
        file.unsynced.clear();
    }

    pub(crate) fn content(&self, path: &Path) -> Vec<u8> {
        let state = self.state.lock();
        state.files[state.file(path).unwrap()].now.clone()
    }

    pub(crate) fn steps(&self) -> u64 {
        self.state.lock().steps
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Lets everything from this step on fail.
    pub(crate) fn stop_at(&self, step: u64) {
        self.state.lock().stop_at = Some(step);
    }

    /// Lets one sync fail; what it covered never reaches the disk, and later syncs succeed without it.
    pub(crate) fn fail_sync(&self, number: u64) {
        self.state.lock().fail_sync = Some(number);
    }

    /// Bounds the bytes of all files, or frees them of the bound.
    pub(crate) fn limit_room(&self, bytes: Option<u64>) {
        self.state.lock().room = bytes;
    }

    pub(crate) fn bytes(&self) -> u64 {
        let state = self.state.lock();
        state.names.values().map(|&file| state.files[file].now.len() as u64).sum()
    }

    /// Runs once, in the middle of the next sync of a file.
    pub(crate) fn on_next_sync(&self, hook: impl FnOnce() + Send + 'static) {
        *self.on_sync.lock() = Some(Box::new(hook));
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Disk for StrictDisk {
    fn create_dir(&self, _: &Path) -> Result<()> {
        // Folders are made once, at the very first start; they are not what these tests are about.
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let state = self.state.lock();
        let here = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(here.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn DiskFile>> {
        let state = &mut *self.state.lock();
        state.step()?;
        if state.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let number = state.files.len();
        state.files.push(File::default());
        state.names.insert(path.into(), number);
        state.changes.push(NameChange::Create(path.into(), number));
        Ok(Arc::new(StrictFile { disk: self.clone(), number, boot: state.boot }))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn DiskFile>> {
        let state = self.state.lock();
        Ok(Arc::new(StrictFile { disk: self.clone(), number: state.file(path)?, boot: state.boot }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let state = &mut *self.state.lock();
        state.step()?;
        let change = NameChange::Rename(from.into(), to.into(), state.file(from)?);
        change.apply(&mut state.names);
        state.changes.push(change);
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let state = &mut *self.state.lock();
        state.file(path)?;
        state.step()?;
        let change = NameChange::Remove(path.into());
        change.apply(&mut state.names);
        state.changes.push(change);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let state = &mut *self.state.lock();
        state.sync()?;
        let (now, later): (Vec<_>, _) = state.changes.drain(..).partition(|change| change.is_in(dir));
        now.iter().for_each(|change| change.apply(&mut state.durable_names));
        state.changes = later;
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Option<Box<dyn Send + Sync>>> {
        let state = &mut *self.state.lock();
        let free = state.locked.insert(path.into());
        let guard = Guard { disk: self.clone(), path: path.into(), boot: state.boot };
        Ok(free.then(|| Box::new(guard) as Box<dyn Send + Sync>))
    }
}

struct Guard {
    disk: StrictDisk,
    path: PathBuf,
    boot: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let state = &mut *self.disk.state.lock();
        if state.boot == self.boot {
            state.locked.remove(&self.path);
        }
    }
}

struct StrictFile {
    disk: StrictDisk,
    number: usize,
    boot: u64,
}

impl StrictFile {
    fn with<T>(&self, run: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let state = &mut *self.disk.state.lock();
        assert_eq!(state.boot, self.boot, "a file from before the crash is used");
        run(state)
    }
}

impl DiskFile for StrictFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.with(|state| {
            let rest = state.files[self.number].now.get(offset as usize..).unwrap_or_default();
            let length = rest.len().min(buffer.len());
            buffer[..length].copy_from_slice(&rest[..length]);
            Ok(length)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.with(|state| {
            state.step()?;
            let used: usize = state.names.values().map(|&file| state.files[file].now.len()).sum();
            let file = &mut state.files[self.number];
            let grows = (offset as usize + bytes.len()).saturating_sub(file.now.len());
            if state.room.is_some_and(|room| grows > 0 && (used + grows) as u64 > room) {
                return Err(ErrorKind::StorageFull.into());
            }
            put(&mut file.now, offset as usize, bytes);
            file.unsynced.push((offset as usize, bytes.to_vec()));
            Ok(())
        })
    }

    fn sync_data(&self) -> Result<()> {
        let hook = self.disk.on_sync.lock().take();
        // What is written from here on is not covered.
        let covered = self.with(|state| Ok(state.files[self.number].unsynced.len()))?;
        if let Some(hook) = hook {
            hook();
        }
        self.with(|state| {
            let synced = state.sync();
            let file = &mut state.files[self.number];
            let writes: Vec<_> = file.unsynced.drain(..covered.min(file.unsynced.len())).collect();
            // After a failure the pages count as clean: read back they look fine, and they never reach the disk.
            if synced.is_ok() {
                writes.iter().for_each(|(at, bytes)| put(&mut file.durable, *at, bytes));
            }
            synced
        })
    }

    fn length(&self) -> Result<u64> {
        self.with(|state| Ok(state.files[self.number].now.len() as u64))
    }
}
