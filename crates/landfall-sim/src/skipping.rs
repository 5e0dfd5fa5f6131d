//! What a test does that cannot run on this machine: it says so by name, for the person and for the test command.
//! It must never let such a test pass in silence, or skip because of anything but what the machine lacks or
//! forbids.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// The file that collects the names of tests that skipped themselves; the test command names it.
const SKIP_FILE: &str = "LANDFALL_SKIP_FILE";

/// Says that the test `name` does not run, and why.
///
/// # Panics
/// The test command collects skipped tests, and its file cannot be written.
pub fn skipped(name: &str, reason: &str) {
    let line = format!("SKIPPED: {name}: {reason}");
    eprintln!("{line}");
    if let Some(file) = std::env::var_os(SKIP_FILE) {
        let added = File::options().append(true).create(true).open(&file).and_then(|mut file| {
            // One write: lines of several tests do not mix.
            file.write_all(format!("{line}\n").as_bytes())
        });
        added.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

/// Where Debian keeps programs that the `PATH` of an ordinary user lacks.
const BEHIND_THE_PATH: &[&str] = &["/usr/sbin", "/sbin"];

/// Where Debian keeps the programs of each version of PostgreSQL.
const POSTGRESQL: &str = "/usr/lib/postgresql";

/// Where a program is, in `PATH` or where the system keeps its own.
pub fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(BEHIND_THE_PATH.iter().map(PathBuf::from));
    // No such folder: no packaged PostgreSQL.
    let versions = std::fs::read_dir(POSTGRESQL).into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    versions.sort();
    folders.chain(versions.into_iter().rev()).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Where a program is, or `None` and [`skipped`].
pub fn program_or_skip(test: &str, program: &str) -> Option<PathBuf> {
    let found = find_program(program);
    if found.is_none() {
        skipped(test, &format!("this machine has no {program}"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_where_the_path_has_it() {
        assert!(find_program("sh").is_some_and(|file| file.is_absolute()));
        assert_eq!(find_program("no-such-program-anywhere"), None);
    }
}
