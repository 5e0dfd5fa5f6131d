//! A disk in memory that is fast to make, to copy and to damage. It keeps everything at once and forgets nothing:
//! what a crash leaves is the business of other tests.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use landfall::env::{Clock, Disk, DiskFile, Env, Random};

type Content = Arc<Mutex<Vec<u8>>>;

/// Files by name.
#[derive(Default)]
pub struct MemoryDisk {
    files: Mutex<BTreeMap<PathBuf, Content>>,
    locked: Arc<Mutex<BTreeSet<PathBuf>>>,
}

/// The content of every file, by name.
pub type Image = BTreeMap<PathBuf, Vec<u8>>;

impl MemoryDisk {
    /// A disk with these files.
    pub fn of(image: &Image) -> Arc<MemoryDisk> {
        let files = image
            .iter()
            .map(|(path, content)| (path.clone(), Arc::new(Mutex::new(content.clone()))))
            .collect();
        Arc::new(MemoryDisk { files: Mutex::new(files), locked: Arc::default() })
    }

    /// What is on it now.
    pub fn image(&self) -> Image {
        let files = held(&self.files);
        files.iter().map(|(path, content)| (path.clone(), held(content).clone())).collect()
    }

    /// The world around this disk: a clock that moves on whenever it is read, and chance that is none.
    pub fn env(self: &Arc<Self>) -> Env {
        Env { clock: Arc::<Ticks>::default(), random: Arc::<Counted>::default(), disk: self.clone() }
    }

    fn content(&self, path: &Path) -> Result<Content> {
        held(&self.files).get(path).cloned().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

/// A panic of one input must not spoil the next.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk for MemoryDisk {
    fn create_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let files = held(&self.files);
        let here = files.keys().filter(|path| path.parent() == Some(dir));
        Ok(here.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn DiskFile>> {
        let mut files = held(&self.files);
        if files.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let content = Content::default();
        files.insert(path.into(), content.clone());
        Ok(Arc::new(MemoryFile(content)))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(MemoryFile(self.content(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut files = held(&self.files);
        let content = files.remove(from).ok_or(ErrorKind::NotFound)?;
        files.insert(to.into(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        held(&self.files).remove(path).map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Option<Box<dyn Send + Sync>>> {
        let free = held(&self.locked).insert(path.into());
        let guard = Locked { all: self.locked.clone(), path: path.into() };
        Ok(free.then(|| Box::new(guard) as Box<dyn Send + Sync>))
    }
}

struct Locked {
    all: Arc<Mutex<BTreeSet<PathBuf>>>,
    path: PathBuf,
}

impl Drop for Locked {
    fn drop(&mut self) {
        held(&self.all).remove(&self.path);
    }
}

struct MemoryFile(Content);

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let content = held(&self.0);
        let rest = usize::try_from(offset).ok().and_then(|at| content.get(at..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut content = held(&self.0);
        let at = offset as usize;
        if content.len() < at + bytes.len() {
            content.resize(at + bytes.len(), 0);
        }
        content[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        Ok(())
    }

    fn length(&self) -> Result<u64> {
        Ok(held(&self.0).len() as u64)
    }
}

#[derive(Default)]
struct Ticks(AtomicU64);

impl Clock for Ticks {
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn unix_ms(&self) -> u64 {
        1_700_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Counted(AtomicU64);

impl Random for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            chunk.copy_from_slice(&number.to_le_bytes()[..chunk.len()]);
        }
    }
}
