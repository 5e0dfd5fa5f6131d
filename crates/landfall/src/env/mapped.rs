//! A file in memory, and what is said when the system cannot bring a page of it. Only bytes are copied in; none are read.
//! It must never hand out a reference to the memory, and never take a fault for its own that is not.
//!
//! # Why this is sound
//!
//! The memory belongs to one [`Mapping`]: mapped when it is made, unmapped when it is dropped, never moved. It is written to by
//! [`Mapped::put`] alone, through a raw pointer, with bounds checked and `&mut self`, so two threads never store at once.
//! No reference to it exists, so it does not matter to the language that the kernel, or another process, reads or writes the
//! file meanwhile: those are not accesses of this program, and nothing here depends on what the memory holds.
//!
//! # Faults
//!
//! A store to a page that cannot be had ends in SIGBUS: somebody cut the file short, or the disk failed under a page that was
//! not in memory. (That the disk is full is no reason: only file systems are mapped on which a file with room for all its
//! bytes never needs more to overwrite one.) Such a store cannot be given up, so the process ends; but it says why. The
//! handler looks whether the address lies in one of the areas below, says what happened with `write(2)`, and has the
//! signal end the process as it always does. Any other SIGBUS goes to whoever was there before, so that a program that uses
//! the library keeps its own handler. Nothing in the handler allocates or locks.

#![allow(
    unsafe_code,
    reason = "a mapping and a signal handler have no safe form; the header has the proof, each block its part of it"
)]

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::Mapped;

/// File systems on which overwriting a byte of a file that has room for it never needs more room.
#[cfg(target_os = "linux")]
const OVERWRITES_IN_PLACE: [u64; 3] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x0102_1994, // tmpfs
];

/// How many files may be mapped at once. A log has one, and for a moment two.
const AREAS_MAX: usize = 64;

/// Maps a file of this length.
pub(super) fn map(file: &File, path: &Path, length: u64) -> Result<Mapping> {
    // A shorter file would fault behind its end.
    if !overwrites_in_place(file)? || length == 0 || file.metadata()?.len() < length {
        return Err(ErrorKind::Unsupported.into());
    }
    let bytes = usize::try_from(length).map_err(|_| Error::from(ErrorKind::Unsupported))?;
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: with no address asked for, the kernel chooses memory that nothing of this program lies in.
    let start = unsafe { mmap(std::ptr::null_mut(), bytes, prot, MapFlags::SHARED, file, 0)? };
    let start = NonNull::new(start.cast::<u8>()).ok_or(ErrorKind::Unsupported)?;
    let mut mapping = Mapping { start, bytes, area: None, name: path.as_os_str().as_bytes().into() };
    install();
    // Without a place in the table nobody would say why the process ended.
    mapping.area = Some(Area::claim(&mapping).ok_or(ErrorKind::Unsupported)?);
    Ok(mapping)
}

#[cfg(target_os = "linux")]
fn overwrites_in_place(file: &File) -> Result<bool> {
    let kind = rustix::fs::fstatfs(file)?.f_type as u64 & 0xffff_ffff;
    Ok(OVERWRITES_IN_PLACE.contains(&kind))
}

#[cfg(not(target_os = "linux"))]
fn overwrites_in_place(_: &File) -> Result<bool> {
    Ok(false)
}

/// A mapped file.
pub(super) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
    area: Option<&'static Area>,
    /// For the message; the area points to it.
    name: Box<[u8]>,
}

// SAFETY: the memory belongs to the mapping alone and to no thread; see the header.
unsafe impl Send for Mapping {}

impl Mapped for Mapping {
    #[inline]
    fn put(&mut self, bytes: &[u8], offset: u64) {
        let end = offset.checked_add(bytes.len() as u64);
        assert!(end.is_some_and(|end| end <= self.bytes as u64), "a put reaches beyond the mapped file");
        // SAFETY: the assertion keeps `offset..end` inside of what is mapped, which is writable and stays mapped as long as
        // `self`. `bytes` is a live slice, and no slice lies in this memory, so the two do not overlap.
        unsafe {
            let to = self.start.as_ptr().add(offset as usize);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // First: behind it the address may be somebody else's.
        if let Some(area) = self.area {
            area.start.store(FREE, Ordering::Release);
        }
        // SAFETY: this is what was mapped, whole, and nothing can reach it any more. It cannot fail for such arguments, and
        // if it did the memory would only stay.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// Where a mapped file lies, for the handler.
struct Area {
    /// The first address, [`FREE`], or [`CLAIMED`] while the rest is filled in. No mapping begins at 0 or 1.
    start: AtomicUsize,
    end: AtomicUsize,
    name: AtomicPtr<u8>,
    name_bytes: AtomicUsize,
}

const FREE: usize = 0;
const CLAIMED: usize = 1;

static AREAS: [Area; AREAS_MAX] = [const {
    Area {
        start: AtomicUsize::new(FREE),
        end: AtomicUsize::new(0),
        name: AtomicPtr::new(std::ptr::null_mut()),
        name_bytes: AtomicUsize::new(0),
    }
}; AREAS_MAX];

impl Area {
    /// A free place in the table, filled in.
    fn claim(mapping: &Mapping) -> Option<&'static Area> {
        let claimed = |area: &&Area| {
            area.start.compare_exchange(FREE, CLAIMED, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        let area = AREAS.iter().find(claimed)?;
        let start = mapping.start.as_ptr() as usize;
        area.end.store(start + mapping.bytes, Ordering::Relaxed);
        area.name.store(mapping.name.as_ptr().cast_mut(), Ordering::Relaxed);
        area.name_bytes.store(mapping.name.len(), Ordering::Relaxed);
        area.start.store(start, Ordering::Release);
        Some(area)
    }

    fn holds(&self, address: usize) -> bool {
        let start = self.start.load(Ordering::Acquire);
        start > CLAIMED && (start..self.end.load(Ordering::Relaxed)).contains(&address)
    }
}

/// Who handled SIGBUS before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Installs the handler, once.
fn install() {
    BEFORE.get_or_init(|| {
        // SAFETY: a `sigaction` of zeros is a valid value of this plain C structure, and the call only fills it in.
        let before = unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGBUS, std::ptr::null(), &mut before);
            before
        };
        // SAFETY: as above; the handler has the signature that SA_SIGINFO asks for, and calls only what a handler may.
        // SA_ONSTACK: on the stack that the standard library keeps for handlers, where there is one.
        unsafe {
            let mut own: libc::sigaction = std::mem::zeroed();
            own.sa_sigaction = on_bus_error as *const () as usize;
            own.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&mut own.sa_mask);
            libc::sigaction(libc::SIGBUS, &own, std::ptr::null_mut());
        }
        before
    });
}

extern "C" fn on_bus_error(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid `siginfo_t`; for a fault, whose code is above 0, it has an address.
    let address = unsafe { if (*info).si_code > 0 { (*info).si_addr() as usize } else { 0 } };
    match AREAS.iter().find(|area| area.holds(address)) {
        Some(area) => {
            explain(area);
            end(signal);
        }
        None => pass_on(signal, info, context),
    }
}

fn explain(area: &Area) {
    let name = (area.name.load(Ordering::Relaxed), area.name_bytes.load(Ordering::Relaxed));
    let before = "\nlandfall: the log's file ";
    let behind = " could not be written to in memory (SIGBUS): another program has cut it short, or the disk failed. \
        The process ends here; what was acknowledged before is in the log as far as its file still is. Look at the disk and \
        at the kernel's messages (dmesg), keep other programs away from the data directory, and start again: the start reads \
        the log and says if something is missing.\n";
    let parts =
        [(before.as_ptr(), before.len()), (name.0.cast_const(), name.1), (behind.as_ptr(), behind.len())];
    for (start, length) in parts {
        // SAFETY: the texts are static, and the name belongs to the mapping that the faulting store is in, so it is alive.
        // write(2) may be called in a handler. That nobody reads the standard error changes nothing.
        let _ = unsafe { libc::write(libc::STDERR_FILENO, start.cast(), length) };
    }
}

/// Ends the process by the signal, as soon as the handler returns.
fn end(signal: c_int) {
    // SAFETY: both may be called in a handler, and take plain numbers.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Lets whoever was there before handle it.
fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // The handler may run before `install` has stored what it found.
    let Some(before) = BEFORE.get() else { return end(signal) };
    match before.sa_sigaction {
        // Ignoring a fault would only meet it again.
        libc::SIG_DFL | libc::SIG_IGN => end(signal),
        handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: with SA_SIGINFO a handler has this signature; it gets what the kernel passed.
            let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: without SA_SIGINFO a handler has this signature.
            let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Output};

    use super::*;

    /// Tells the process of a test what to do.
    const PART: &str = "LANDFALL_TEST_BUS_ERROR";

    fn file(dir: &Path, bytes: u64) -> (File, std::path::PathBuf) {
        let path = dir.join("000001.seg");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(bytes).unwrap();
        (file, path)
    }

    /// Where this machine's file system for tests is not one that is mapped, there is nothing to test.
    fn mapped(file: &File, path: &Path, bytes: u64) -> Option<Mapping> {
        match map(file, path, bytes) {
            Err(reason) if reason.kind() == ErrorKind::Unsupported => None,
            mapped => Some(mapped.unwrap()),
        }
    }

    #[test]
    fn what_is_put_is_read_from_the_file_and_what_is_written_to_it_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (file, path) = file(dir.path(), 8192);
        let Some(mut mapping) = mapped(&file, &path, 8192) else { return };
        use std::os::unix::fs::FileExt;
        file.write_all_at(b"written", 512).unwrap();
        mapping.put(b"put", 4095);
        mapping.put(b"end", 8189);
        drop(mapping);
        let content = std::fs::read(&path).unwrap();
        assert_eq!(content.len(), 8192);
        assert_eq!(
            (&content[512..519], &content[4095..4098], &content[8189..]),
            (&b"written"[..], &b"put"[..], &b"end"[..])
        );
        assert!(map(&file, &path, 8193).is_err(), "longer than the file");
    }

    #[test]
    #[should_panic = "a put reaches beyond the mapped file"]
    fn a_put_beyond_the_end_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (file, path) = file(dir.path(), 4096);
        let Some(mut mapping) = mapped(&file, &path, 4096) else {
            panic!("a put reaches beyond the mapped file")
        };
        mapping.put(b"end", 4094);
    }

    #[test]
    fn a_place_in_the_table_is_free_again_when_a_file_is_unmapped() {
        let dir = tempfile::tempdir().unwrap();
        let (file, path) = file(dir.path(), 4096);
        for _ in 0..3 * AREAS_MAX {
            if let Some(mut mapping) = mapped(&file, &path, 4096) {
                mapping.put(b"x", 0);
            }
        }
    }

    /// Runs the test of this name in a process of its own, with a part to play.
    fn in_a_process(test: &str, part: &Path) -> Output {
        let name = format!("env::mapped::tests::{test}");
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &name, "--nocapture"]).env(PART, part).output().unwrap()
    }

    #[test]
    fn a_process_whose_mapped_file_is_cut_short_says_so_before_it_ends() {
        if let Some(dir) = std::env::var_os(PART) {
            let (file, path) = file(Path::new(&dir), 8192);
            let mut mapping = mapped(&file, &path, 8192).unwrap();
            mapping.put(b"well", 4096);
            file.set_len(4096).unwrap();
            mapping.put(b"into nothing", 4096);
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (probe, path) = file(dir.path(), 8192);
        if mapped(&probe, &path, 8192).is_none() {
            return;
        }
        std::fs::remove_file(&path).unwrap();
        let ended =
            in_a_process("a_process_whose_mapped_file_is_cut_short_says_so_before_it_ends", dir.path());
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.signal(), Some(libc::SIGBUS), "{said}");
        let told = said.lines().find(|line| line.starts_with("landfall: the log's file ")).unwrap();
        assert!(
            told.contains(&*path.to_string_lossy()) && told.contains("dmesg") && told.contains("start again"),
            "{told}"
        );
    }

    #[test]
    fn a_bus_error_of_somebody_else_goes_to_the_handler_that_was_there_before() {
        extern "C" fn before(_: c_int) {
            std::process::exit(41);
        }
        if let Some(dir) = std::env::var_os(PART) {
            // SAFETY: the handler has the signature of one without SA_SIGINFO; that it does more than a handler should is fine
            // for a signal that this thread raises itself.
            unsafe { libc::signal(libc::SIGBUS, before as *const () as usize) };
            let (file, path) = file(Path::new(&dir), 4096);
            let _mapping = mapped(&file, &path, 4096);
            install();
            // SAFETY: a plain number.
            unsafe { libc::raise(libc::SIGBUS) };
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let ended = in_a_process(
            "a_bus_error_of_somebody_else_goes_to_the_handler_that_was_there_before",
            dir.path(),
        );
        assert_eq!(ended.status.code(), Some(41), "{}", String::from_utf8_lossy(&ended.stderr));
        assert!(!String::from_utf8_lossy(&ended.stderr).contains("landfall: the log's file"));
    }
}
