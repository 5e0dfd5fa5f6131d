//! The world that the library borrows: clock, chance and disk. The only room that touches them.
//! Everything else takes an [`Env`], so that a simulation can give the same run for the same seed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub mod failpoint;
mod mapped;
pub mod planted;
mod real;
#[cfg(any(test, feature = "simulation"))]
pub mod seeded;
#[cfg(any(test, feature = "simulation"))]
pub mod strict_disk;

pub use real::real;

/// Clock, chance and disk in one handle. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Files.
    pub disk: Arc<dyn Disk>,
}

/// Time, of both kinds.
pub trait Clock: Send + Sync {
    /// Time since an arbitrary start; never goes back. For durations.
    fn monotonic(&self) -> Duration;

    /// Unix milliseconds. May jump. For expiry and for people.
    fn unix_ms(&self) -> u64;
}

/// Chance.
pub trait Random: Send + Sync {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// Files, as strictly as a disk promises them and no more.
///
/// A created, renamed or removed name is durable only after [`Disk::sync_dir`] of its folder; written bytes only
/// after [`DiskFile::sync_data`]. After a failed sync the bytes it covered are in an unknown state for ever.
pub trait Disk: Send + Sync {
    /// Creates a folder and its missing parents, for this user only (mode 0700), durably. An existing folder is fine.
    ///
    /// # Errors
    /// The system's.
    fn create_dir(&self, dir: &Path) -> std::io::Result<()>;

    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, dir: &Path) -> std::io::Result<Vec<String>>;

    /// Creates a file that must not exist, for this user only (mode 0600).
    ///
    /// # Errors
    /// The system's.
    fn create(&self, path: &Path) -> std::io::Result<Arc<dyn DiskFile>>;

    /// Opens a file that must exist, to read and write.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, path: &Path) -> std::io::Result<Arc<dyn DiskFile>>;

    /// Renames a file over whatever has the new name.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, path: &Path) -> std::io::Result<()>;

    /// Makes the names of a folder durable.
    ///
    /// # Errors
    /// The system's.
    fn sync_dir(&self, dir: &Path) -> std::io::Result<()>;

    /// What kind of file system a folder is on, when it is one that may forget what was synced, or cannot lock; else none.
    fn doubtful(&self, _dir: &Path) -> Option<&'static str> {
        None
    }

    /// Takes the file as a lock until the guard is dropped or the process ends; none when another has it.
    ///
    /// # Errors
    /// The system's.
    fn lock(&self, path: &Path) -> std::io::Result<Option<Box<dyn Send + Sync>>>;
}

/// An open file. Reads and writes name their offset; none moves a cursor.
pub trait DiskFile: Send + Sync {
    /// Reads at `offset` until `buffer` is full or the file ends; returns how much was read.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The system's; some of the bytes may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> std::io::Result<()>;

    /// Makes a new file this long, with room for all of it, quickly. It reads as zeros.
    ///
    /// # Errors
    /// The system's; `Unsupported` where only writing the bytes makes room.
    fn reserve(&self, length: u64) -> std::io::Result<()> {
        // On a disk that gives room for the whole length, as those in memory do.
        self.write_at(&[0], length - 1)
    }

    /// Makes written bytes and the length durable. No timeout: a slow disk is waited for.
    ///
    /// # Errors
    /// The system's. Never try again: the kernel counts the pages as clean now.
    fn sync_data(&self) -> std::io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// The system's.
    fn length(&self) -> std::io::Result<u64>;

    /// Maps the file, which has room for all of its `length`, into memory. `path` is only for a message.
    ///
    /// # Errors
    /// `Unsupported` where a store could find no room or is not worth it: then the file has to be written to.
    fn map(&self, _path: &Path, _length: u64) -> std::io::Result<Box<dyn Mapped>> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

/// A file in memory. What is put into it is with the operating system as if it had been written: it survives the end of this
/// process, reads of the file see it, and [`DiskFile::sync_data`] makes it durable. No put is atomic: of one that the end
/// of the process interrupts any part may be there.
pub trait Mapped: Send {
    /// Copies bytes into the file.
    ///
    /// # Panics
    /// When they reach beyond the length that was mapped.
    fn put(&mut self, bytes: &[u8], offset: u64);
}

impl Env {
    /// A random number of 128 bits.
    pub fn random_128(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        bytes
    }
}
