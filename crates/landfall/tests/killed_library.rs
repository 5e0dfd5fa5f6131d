//! Kills a process that puts with two threads through the library, again and again on the same data: every put that was
//! acknowledged is there, and what is there is what was put.

#![cfg(feature = "sqlite")]
#![allow(clippy::disallowed_methods, reason = "the test owns its processes, threads and files")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use landfall::model::group::KEY_VALUE_GROUP;
use landfall::settings::Fsync;
use landfall::{Landfall, Settings};

/// Tells the process that is killed where its folder is.
const FOLDER: &str = "LANDFALL_TEST_KILLED_IN";
const THREADS: u64 = 2;
const ROUNDS: u64 = 12;
/// So many puts of each thread are acknowledged before a kill, and some more.
const PUTS_MIN: u64 = 300;
/// Small segments: many are begun, by either thread.
const SEGMENT_BYTES: u64 = 256 << 10;

fn settings(folder: &Path) -> Settings {
    Settings {
        fsync: Fsync::Os,
        segment_bytes: SEGMENT_BYTES,
        log_bytes_max: 1 << 30,
        paused: vec![KEY_VALUE_GROUP.to_owned()],
        ..Settings::in_dir(folder.join("data"))
    }
}

async fn open(folder: &Path) -> Landfall {
    Landfall::open_sqlite(settings(folder), &folder.join("rows.db")).await.unwrap().0
}

fn key(thread: u64, number: u64) -> String {
    format!("{thread}:{number}")
}

fn value(thread: u64, number: u64) -> Vec<u8> {
    let length = (number * 7 + thread) as usize % 200;
    format!("{number}:{}", "v".repeat(length)).into_bytes()
}

/// The file in which a thread notes how many of its puts were acknowledged. Written with write(2): a kill leaves it.
fn note(folder: &Path, thread: u64) -> File {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join(format!("acknowledged-{thread}")))
        .unwrap()
}

fn noted(note: &File) -> u64 {
    let mut number = [0; 8];
    match note.read_at(&mut number, 0).unwrap() {
        8 => u64::from_le_bytes(number),
        _ => 0,
    }
}

/// A runtime of one thread, for this one.
fn waits() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// What the killed process does: it never ends by itself, but when its parent is gone.
#[test]
fn the_process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let parent = std::os::unix::process::parent_id();
    let landfall = waits().block_on(open(folder));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let landfall = &landfall;
            scope.spawn(move || {
                let note = note(folder, thread);
                let first = noted(&note);
                waits().block_on(async {
                    for number in first.. {
                        let _lands_never =
                            landfall.set(&key(thread, number), &value(thread, number)).await.unwrap();
                        note.write_all_at(&(number + 1).to_le_bytes(), 0).unwrap();
                        if std::os::unix::process::parent_id() != parent {
                            return;
                        }
                    }
                });
            });
        }
    });
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself; then the test has failed already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_put_that_two_threads_were_answered_survives_kill_9_of_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let mut acknowledged = [0; THREADS as usize];
    for round in 0..ROUNDS {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_process_that_is_killed", "--nocapture"])
            .env(FOLDER, folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut child = Killed(child);
        let enough = |acknowledged: u64| acknowledged + PUTS_MIN + round * 37;
        while (0..THREADS).any(|thread| noted(&note(folder, thread)) < enough(acknowledged[thread as usize]))
        {
            assert!(child.0.try_wait().unwrap().is_none(), "round {round}: the process ended by itself");
            std::thread::yield_now();
        }
        drop(child);
        waits().block_on(async {
            let landfall = open(folder).await;
            for thread in 0..THREADS {
                let before = acknowledged[thread as usize];
                let now = noted(&note(folder, thread));
                for number in before.saturating_sub(10)..now {
                    let found = landfall.get_string(&key(thread, number)).await.unwrap();
                    assert_eq!(
                        found.as_deref(),
                        Some(&value(thread, number)[..]),
                        "round {round}: put {number} of thread {thread}, of {now} that were acknowledged"
                    );
                }
                // One may have been on its way, and no more.
                assert_eq!(landfall.get_string(&key(thread, now + 1)).await.unwrap(), None, "round {round}");
                acknowledged[thread as usize] = now;
            }
            landfall.close(Duration::ZERO).await.unwrap();
        });
    }
    let segments = fs::read_dir(folder.join("data/log")).unwrap().count();
    assert!(segments > 10, "{segments} files: the segments were too long to see them begin");
}
