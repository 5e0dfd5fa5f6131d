//! The strict disk as the library sees it: files, names, syncs and locks, step by step.
//! It never makes durable what was not synced.

use std::io::{ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{File, NameChange, State, Step, StrictDisk, Verdict, put};
use crate::env::{Disk, DiskFile, Mapped};

impl Disk for StrictDisk {
    fn create_dir(&self, _: &Path) -> Result<()> {
        // Folders are made once, at the very first start; they are not what tests and simulations are about.
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let state = self.state.lock();
        let here = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(here.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn DiskFile>> {
        self.allow(Step::Create)?;
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
        self.allow(Step::Rename)?;
        let state = &mut *self.state.lock();
        state.step()?;
        let change = NameChange::Rename(from.into(), to.into(), state.file(from)?);
        change.apply(&mut state.names);
        state.changes.push(change);
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.allow(Step::Remove)?;
        let state = &mut *self.state.lock();
        state.file(path)?;
        state.step()?;
        let change = NameChange::Remove(path.into());
        change.apply(&mut state.names);
        state.changes.push(change);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.allow(Step::SyncDir)?;
        let state = &mut *self.state.lock();
        state.sync()?;
        let (now, later): (Vec<_>, _) = state.changes.drain(..).partition(|change| change.is_in(dir));
        now.iter().for_each(|change| change.apply(&mut state.durable_names));
        state.changes = later;
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Option<Box<dyn Send + Sync>>> {
        let state = &mut *self.state.lock();
        // A guard that is not handed out would take the lock of whoever has it.
        if !state.locked.insert(path.into()) {
            return Ok(None);
        }
        Ok(Some(Box::new(Guard { disk: self.clone(), path: path.into(), boot: state.boot })))
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
        let verdict = self.disk.ask(Step::Write);
        self.with(|state| {
            state.step()?;
            let written = match verdict {
                Verdict::Done => bytes,
                Verdict::Failed | Verdict::Full => &bytes[..bytes.len() / 2],
                Verdict::PowerGone => return Err(verdict.error()),
            };
            let full = state.room.is_some_and(|room| {
                let used: usize = state.names.values().map(|&file| state.files[file].now.len()).sum();
                let length = state.files[self.number].now.len();
                let grows = (offset as usize + written.len()).saturating_sub(length);
                grows > 0 && (used + grows) as u64 > room
            });
            if full {
                return Err(ErrorKind::StorageFull.into());
            }
            let file = &mut state.files[self.number];
            put(&mut file.now, offset as usize, written);
            file.unsynced.push((offset as usize, written.to_vec()));
            if verdict == Verdict::Done { Ok(()) } else { Err(verdict.error()) }
        })
    }

    fn sync_data(&self) -> Result<()> {
        let hook = self.disk.on_sync.lock().take();
        // What is written from here on is not covered.
        let covered = self.with(|state| Ok(state.files[self.number].unsynced.len()))?;
        if let Some(hook) = hook {
            hook();
        }
        let verdict = self.disk.ask(Step::Sync);
        if verdict == Verdict::PowerGone {
            return Err(verdict.error());
        }
        self.with(|state| {
            let synced = state.sync().and_then(|()| match verdict {
                Verdict::Done => Ok(()),
                _ => Err(verdict.error()),
            });
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

    fn map(&self, _: &Path, length: u64) -> Result<Box<dyn Mapped>> {
        assert!(self.length()? >= length, "a file is mapped beyond its end");
        let file = StrictFile { disk: self.disk.clone(), number: self.number, boot: self.boot };
        Ok(Box::new(StrictMapping { file, length }))
    }
}

struct StrictMapping {
    file: StrictFile,
    length: u64,
}

impl Mapped for StrictMapping {
    /// A store cannot fail, so only a process that ends there leaves a part of it.
    fn put(&mut self, bytes: &[u8], offset: u64) {
        let verdict = self.file.disk.ask(Step::Put);
        let state = &mut *self.file.disk.state.lock();
        let gone = state.step().is_err() || verdict == Verdict::PowerGone;
        let bytes = if gone { &bytes[..bytes.len() / 2] } else { bytes };
        assert!(offset + bytes.len() as u64 <= self.length, "a put reaches beyond the mapped file");
        if state.boot == self.file.boot {
            let file = &mut state.files[self.file.number];
            put(&mut file.now, offset as usize, bytes);
            file.unsynced.push((offset as usize, bytes.to_vec()));
        }
    }
}
