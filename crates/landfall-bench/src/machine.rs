//! What a figure needs beside it: the machine, the disk, the commit and the command.
//! It must never fail a run: what this machine does not tell is written as unknown.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

const UNKNOWN: &str = "unknown";

/// Where and how figures were measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) processor: String,
    pub(crate) memory: String,
    pub(crate) kernel: String,
    /// The file system of the folder that holds all data.
    pub(crate) file_system: String,
    pub(crate) redis: String,
    pub(crate) commit: String,
    pub(crate) command: String,
    pub(crate) started: String,
    /// `/proc/loadavg` before the first measurement: whether the machine was quiet.
    pub(crate) load_before: String,
}

impl Machine {
    /// Asks this machine. `comparison` is the name of the subcommand.
    pub(crate) fn here(comparison: &str, data: &Path) -> Machine {
        let arguments: Vec<String> = std::env::args().skip(2).collect();
        let command =
            format!("cargo run --release -p landfall-bench -- {comparison} {}", arguments.join(" "));
        Machine {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: field_of("/proc/cpuinfo", "model name"),
            memory: gibibytes(&field_of("/proc/meminfo", "MemTotal")),
            kernel: first_line("/proc/sys/kernel/osrelease"),
            file_system: file_system(&fs::read_to_string("/proc/mounts").unwrap_or_default(), data),
            redis: redis(&said(Command::new("redis-server").arg("--version"))),
            commit: commit(),
            command: command.trim_end().to_owned(),
            started: said(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"])),
            load_before: first_line("/proc/loadavg"),
        }
    }
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        said(Command::new("git").current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments))
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    match git(&["status", "--porcelain", "--untracked-files=no", "--", ":/", ":!/docs/benchmarks"]).as_str() {
        "" | UNKNOWN => commit,
        _ => format!("{commit} with uncommitted changes"),
    }
}

/// What a command says; [`UNKNOWN`] when it cannot be run or fails.
fn said(command: &mut Command) -> String {
    match command.output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => UNKNOWN.to_owned(),
    }
}

fn first_line(file: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().next().unwrap_or(UNKNOWN).to_owned()
}

fn field_of(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    let field = fields.map(|(field, value)| (field.trim(), value.trim())).find(|(field, _)| *field == name);
    field.map_or(UNKNOWN, |(_, value)| value).to_owned()
}

/// `24684096 kB` as a person would say it.
fn gibibytes(kibibytes: &str) -> String {
    let number = kibibytes.strip_suffix(" kB").and_then(|number| number.parse::<f64>().ok());
    number.map_or_else(|| kibibytes.to_owned(), |number| format!("{:.0} GiB", number / f64::from(1 << 20)))
}

/// Of `Redis server v=7.0.15 sha=...` the version and the allocator.
fn redis(version: &str) -> String {
    let wanted = |word: &&str| word.starts_with("v=") || word.starts_with("malloc=");
    let words: Vec<&str> = version.split_whitespace().filter(wanted).collect();
    if words.is_empty() { UNKNOWN.to_owned() } else { format!("Redis {}", words.join(" ")) }
}

/// The type of the file system that holds `folder`: the mount with the longest path above it.
fn file_system(mounts: &str, folder: &Path) -> String {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((Path::new(words.next()?), words.next()?))
    });
    let above = mounts.filter(|(mount, _)| folder.starts_with(mount));
    // The last of equals hides the others.
    above.max_by_key(|(mount, _)| mount.components().count()).map_or(UNKNOWN, |(_, kind)| kind).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_described_in_few_words() {
        assert_eq!(gibibytes("24684096 kB"), "24 GiB");
        assert_eq!(gibibytes(UNKNOWN), UNKNOWN);
        assert_eq!(
            redis("Redis server v=7.0.15 sha=0:0 malloc=jemalloc-5.3.0 bits=64"),
            "Redis v=7.0.15 malloc=jemalloc-5.3.0"
        );
        assert_eq!(redis(UNKNOWN), UNKNOWN);
    }

    #[test]
    fn the_mount_with_the_longest_path_holds_a_folder() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /nowhere tmpfs rw 0 0\n/dev/b /nowhere/data xfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/nowhere/data/x")), "xfs");
        assert_eq!(file_system(mounts, Path::new("/nowhere/other")), "tmpfs");
        assert_eq!(file_system(mounts, Path::new("/elsewhere")), "ext4");
        assert_eq!(file_system("", Path::new("/elsewhere")), UNKNOWN);
    }
}
