//! The real clock, randomness and disk. It never retries a failed sync and never follows a symbolic link to a file.

#![expect(clippy::disallowed_methods, reason = "the one place that touches clock, chance and disk")]

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Result};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Clock, Disk, DiskFile, Env, Mapped, Random, mapped};

/// The real world.
pub fn real() -> Env {
    Env {
        clock: Arc::new(RealClock { start: Instant::now() }),
        random: Arc::new(RealRandom),
        disk: Arc::new(RealDisk),
    }
}

struct RealClock {
    start: Instant,
}

impl Clock for RealClock {
    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn unix_ms(&self) -> u64 {
        // The clock of the last tick, a few milliseconds old: every command asks, and the exact one costs five times as
        // much. A clock before 1970 is answered with 0: this time is for expiry and people, order never comes from it.
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        u64::try_from(now.tv_sec).map_or(0, |seconds| seconds * 1000 + now.tv_nsec as u64 / 1_000_000)
    }
}

struct RealRandom;

impl Random for RealRandom {
    /// # Panics
    /// When the system has no randomness: identities could collide then, and nothing safe can be done.
    fn fill(&self, bytes: &mut [u8]) {
        if let Err(reason) = getrandom::fill(bytes) {
            panic!("the operating system gives no randomness: {reason}");
        }
    }
}

struct RealDisk;

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    options
}

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> Result<()> {
        let missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.is_dir();
        let mut missing: Vec<&Path> = dir.ancestors().take_while(missing).collect();
        while let Some(next) = missing.pop() {
            match DirBuilder::new().mode(0o700).create(next) {
                // Made by somebody else just now.
                Err(reason) if reason.kind() == ErrorKind::AlreadyExists && next.is_dir() => {}
                made => made?,
            }
            self.sync_dir(next.parent().unwrap_or(Path::new("")))?;
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(options().create_new(true).open(path)?)))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(options().open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        File::open(dir)?.sync_all()
    }

    #[cfg(target_os = "linux")]
    fn doubtful(&self, dir: &Path) -> Option<&'static str> {
        const DOUBTFUL: [(u64, &str); 8] = [
            (0x794c_7630, "an overlay of a container, which is gone with the container"),
            (0x0102_1994, "tmpfs, which is memory and gone with the machine's power"),
            (0x8584_58f6, "ramfs, which is memory and gone with the machine's power"),
            (0x6969, "NFS, a network file system whose locks and syncs depend on its server"),
            (0xff53_4d42, "CIFS, a network file system whose locks and syncs depend on its server"),
            (0xfe53_4d42, "SMB, a network file system whose locks and syncs depend on its server"),
            (0x517b, "SMB, a network file system whose locks and syncs depend on its server"),
            (0x0102_1997, "9p, a shared folder whose locks and syncs depend on its host"),
        ];
        // A folder that cannot be asked is refused or taken elsewhere.
        let found = rustix::fs::statfs(dir).ok()?.f_type as u64 & 0xffff_ffff;
        DOUBTFUL.iter().find(|(magic, _)| *magic == found).map(|(_, words)| *words)
    }

    fn lock(&self, path: &Path) -> Result<Option<Box<dyn Send + Sync>>> {
        let file = options().create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(reason)) => return Err(reason),
        }
        // The name may have been moved between the opening and the locking: then this locks a file nobody looks at.
        let (ours, named) = (file.metadata()?, std::fs::symlink_metadata(path)?);
        if (ours.dev(), ours.ino()) != (named.dev(), named.ino()) {
            return Ok(None);
        }
        // Another process may have made a LOCK anew after somebody removed ours: the folder itself tells. Where folders
        // cannot be locked the file has to do.
        let folder =
            File::open(path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        if matches!(folder.try_lock(), Err(TryLockError::WouldBlock)) {
            return Ok(None);
        }
        // Only for the message that a second process shows, so of a fixed length and not synced.
        file.write_all_at(format!("{:<11}\n", std::process::id()).as_bytes(), 0)?;
        Ok(Some(Box::new((file, folder))))
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(reason) if reason.kind() == ErrorKind::Interrupted => {}
                Err(reason) => return Err(reason),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn reserve(&self, length: u64) -> Result<()> {
        rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), 0, length).map_err(|reason| {
            match reason {
                rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS => ErrorKind::Unsupported.into(),
                reason => reason.into(),
            }
        })
    }

    fn sync_data(&self) -> Result<()> {
        self.0.sync_data()
    }

    fn length(&self) -> Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn map(&self, path: &Path, length: u64) -> Result<Box<dyn Mapped>> {
        Ok(Box::new(mapped::map(&self.0, path, length)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_for_this_user_only_and_reads_back_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        let disk = real().disk;
        disk.create_dir(&inner).unwrap();
        disk.create_dir(&inner).unwrap();
        let path = inner.join("file");
        let file = disk.create(&path).unwrap();
        file.write_at(b"hello", 3).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(&inner).unwrap();
        let other = disk.create(&inner.join("reserved")).unwrap();
        if other.reserve(5000).is_ok() {
            assert_eq!(other.length().unwrap(), 5000);
        }
        disk.remove(&inner.join("reserved")).unwrap();
        let mut bytes = [9; 16];
        assert_eq!(disk.open(&path).unwrap().read_at(&mut bytes, 0).unwrap(), 8);
        assert_eq!(&bytes[..8], b"\0\0\0hello");
        assert_eq!(file.length().unwrap(), 8);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(&inner).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(disk.create(&path).is_err());
        assert_eq!(disk.list(&inner).unwrap(), ["file"]);
        disk.rename(&path, &inner.join("other")).unwrap();
        disk.remove(&inner.join("other")).unwrap();
        assert!(disk.open(&path).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_in_memory_is_doubtful_and_one_on_a_disk_is_not() {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let mut asked = 0;
        for mount in mounts.lines() {
            let mut fields = mount.split(' ').skip(1);
            let (Some(dir), Some(kind)) = (fields.next(), fields.next()) else { continue };
            // A later mount may lie over an earlier one.
            if mounts.matches(&format!(" {dir} ")).count() > 1 || !Path::new(dir).is_dir() {
                continue;
            }
            let doubtful = real().disk.doubtful(Path::new(dir));
            match kind {
                "tmpfs" | "ramfs" | "overlay" => assert!(doubtful.is_some(), "{mount}"),
                "ext4" | "xfs" | "btrfs" | "proc" => assert_eq!(doubtful, None, "{mount}"),
                _ => continue,
            }
            asked += 1;
        }
        assert!(asked > 0, "no known file system among {mounts}");
    }

    #[test]
    fn a_symbolic_link_in_the_place_of_a_file_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        std::fs::write(&target, b"secret").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(real().disk.open(&link).is_err());
        assert!(real().disk.lock(&link).is_err());
    }

    #[test]
    fn a_lock_is_held_once_and_names_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let disk = real().disk;
        let held = disk.lock(&path).unwrap();
        assert!(held.is_some());
        assert!(disk.lock(&path).unwrap().is_none());
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.trim(), std::process::id().to_string());
        std::fs::remove_file(&path).unwrap();
        assert!(disk.lock(&path).unwrap().is_none(), "a removed LOCK sets nobody free");
        drop(held);
        assert!(disk.lock(&path).unwrap().is_some());
    }
}
