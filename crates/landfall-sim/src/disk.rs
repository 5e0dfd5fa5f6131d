//! A real file system on a loop device, or in memory, whose power can be cut and which can be full.
//! It must never leave a mount or a loop device behind, and never call a cut one that did nothing.
//!
//! A cut is `FS_IOC_SHUTDOWN`: from one moment on nothing reaches the device, not even what the system had taken. What was
//! synced is there after the next mount, which replays the journal; the rest may be there or not. Unlike a real
//! power cut it never tears a sector and never loses what the device had in a cache of its own.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::tools;
use crate::waiting::wait_until;

/// A mount that is busy for longer has an owner that does not let go.
const UNMOUNT_WITHIN: Duration = Duration::from_secs(20);

/// Which file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ext4 in a file behind a loop device.
    Ext4,
    /// XFS in a file behind a loop device; at least 300 MiB.
    Xfs,
    /// In memory: it can be full, and has no power to lose.
    Tmpfs,
}

/// What becomes of the journal when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journal {
    /// Lost, as far as it was not written yet.
    Lost,
    /// Written first: the latest names and lengths of files are there, without their content.
    Written,
}

/// A file system that belongs to one test, inside of [`crate::private_mounts`].
#[derive(Debug)]
pub struct Disk {
    kind: Kind,
    mebibytes: u64,
    options: String,
    /// Holds the image and the empty folder to mount it on.
    folder: TempDir,
    mounted: bool,
}

impl Disk {
    /// Makes an empty file system and mounts it. `options` are those of `mount -o`; may be empty.
    ///
    /// # Errors
    /// The machine lacks a program, or does not allow it.
    pub fn make(kind: Kind, mebibytes: u64, options: &str) -> Result<Disk> {
        // In memory where there is room: the backing file's own disk is not what is tested.
        let memory = Path::new("/dev/shm");
        let builder = || tempfile::Builder::new().prefix("landfall-disk-").to_owned();
        let folder = builder().tempdir_in(memory).or_else(|_| builder().tempdir())?;
        let mut disk = Disk { kind, mebibytes, options: options.to_owned(), folder, mounted: false };
        fs::create_dir(disk.path())?;
        if kind != Kind::Tmpfs {
            let image = fs::File::create_new(disk.image())?;
            image.set_len(mebibytes << 20)?;
            disk.format()?;
        }
        disk.mount()?;
        Ok(disk)
    }

    fn format(&self) -> Result<()> {
        let mut command = match self.kind {
            Kind::Ext4 => tools::command("mkfs.ext4")?,
            _ => tools::command("mkfs.xfs")?,
        };
        let flags: &[&str] = match self.kind {
            // One byte in twenty is kept for root otherwise, who would then find room where there is none.
            Kind::Ext4 => &["-q", "-F", "-m", "0"],
            _ => &["-q", "-f"],
        };
        tools::run(command.args(flags).arg(self.image()))?;
        Ok(())
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// Mounts it; the journal is replayed.
    ///
    /// # Errors
    /// It cannot be mounted.
    pub fn mount(&mut self) -> Result<()> {
        let mut command = tools::command("mount")?;
        match self.kind {
            Kind::Tmpfs => {
                command.args(["-t", "tmpfs", "-o", &format!("size={}m", self.mebibytes), "landfall-test"]);
            }
            // The loop device goes with the mount, by itself.
            Kind::Ext4 | Kind::Xfs => {
                let comma = if self.options.is_empty() { "" } else { "," };
                command.args(["-o", &format!("loop{comma}{}", self.options)]).arg(self.image());
            }
        }
        tools::run(command.arg(self.path()))?;
        self.mounted = true;
        Ok(())
    }

    /// Unmounts it, once nobody has a file open any more.
    ///
    /// # Errors
    /// Somebody still has.
    pub fn unmount(&mut self) -> Result<()> {
        let mut last = Ok(String::new());
        let done = wait_until(Instant::now() + UNMOUNT_WITHIN, || {
            last = tools::command("umount").and_then(|mut umount| tools::run(umount.arg(self.path())));
            last.is_ok()
        });
        last.with_context(|| format!("{} stayed busy for {UNMOUNT_WITHIN:?}", self.path().display()))?;
        self.mounted = !done;
        Ok(())
    }

    /// Cuts the power. Every later write and sync fails, until it was unmounted and mounted again.
    ///
    /// # Errors
    /// The system refused, or goes on as if nothing had been.
    pub fn cut(&self, journal: Journal) -> Result<()> {
        let word = match journal {
            Journal::Lost => "shutdown",
            Journal::Written => "shutdown -f",
        };
        tools::run(tools::command("xfs_io")?.args(["-x", "-c", word]).arg(self.path()))?;
        let probe = self.path().join("after-the-cut");
        ensure!(fs::write(&probe, "x").is_err(), "{} takes writes after its power was cut", probe.display());
        Ok(())
    }

    /// Somebody else's file takes all room but so many bytes.
    ///
    /// # Errors
    /// It cannot be written, for another reason than a full disk.
    pub fn fill(&self, leaving_bytes: u64) -> Result<()> {
        let mut file = fs::File::create(self.ballast())?;
        let block = [0xa5; 64 << 10];
        let mut written: u64 = 0;
        loop {
            match file.write(&block) {
                Ok(bytes) => written += bytes as u64,
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error).context("filling a disk"),
            }
        }
        file.set_len(written.saturating_sub(leaving_bytes))?;
        Ok(())
    }

    /// Takes the file of [`fill`](Disk::fill) away.
    ///
    /// # Errors
    /// It is there and does not go.
    pub fn make_room(&self) -> Result<()> {
        match fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("making room"),
            _ => Ok(()),
        }
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("somebody-elses-file")
    }

    /// [`unmount`](Disk::unmount) and [`mount`](Disk::mount).
    ///
    /// # Errors
    /// One of them failed.
    pub fn replug(&mut self) -> Result<()> {
        self.unmount()?;
        self.mount()
    }

    /// Every file on it.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut folders = vec![self.path()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
                let entry = entry?;
                match entry.file_type()?.is_dir() {
                    true => folders.push(entry.path()),
                    false => found.push(entry.path()),
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Copies what is on it to a folder, for a look at it after a failure.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn copy_to(&self, folder: &Path) -> Result<()> {
        tools::run(tools::command("cp")?.arg("-a").arg(self.path()).arg(folder))?;
        Ok(())
    }
}

/// Also when the test panics: what is still open is detached, and goes when it is closed.
impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted
            && self.unmount().is_err()
            && let Ok(mut umount) = tools::command("umount")
        {
            // Nobody is left to tell an error to, and the namespace takes the mount with it.
            let _ = tools::run(umount.arg("--lazy").arg(self.path()));
        }
    }
}
