//! The Redis clients that tests run, at the versions of their lock files, installed below the target folder.
//! It must never change the system or the committed files, and never take a package whose checksum is not committed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::install::{find, search_path};

const SOURCES: &str = "crates/landfall-server/tests/real_clients";
/// It holds what was installed, and is written last.
const MARKER: &str = "installed";

/// Clients that are installed together, into a folder of their own.
struct Set {
    name: &'static str,
    /// What decides on the packages, from `SOURCES`.
    inputs: &'static [&'static str],
    /// A program without which nothing can be installed.
    tool: &'static str,
    /// How it is installed: the sources, then the folder.
    command: fn(&Path, &Path) -> Vec<Command>,
}

const SETS: &[Set] = &[
    Set {
        name: "redis-5",
        inputs: &["python/redis-5.txt"],
        tool: "python3",
        command: |sources, folder| vec![pip(&sources.join("python/redis-5.txt"), folder)],
    },
    Set {
        name: "redis-8",
        inputs: &["python/redis-8.txt"],
        tool: "python3",
        command: |sources, folder| vec![pip(&sources.join("python/redis-8.txt"), folder)],
    },
    Set { name: "node", inputs: &["node/package.json", "node/package-lock.json"], tool: "npm", command: npm },
    Set { name: "go", inputs: &["go/go.mod", "go/go.sum", "go/main.go"], tool: "go", command: go },
    Set { name: "java", inputs: &["java/jars.txt"], tool: "curl", command: jars },
];

/// Installs what is not there yet; `false` when something could not be, which was told then.
pub(crate) fn install(root: &Path, target: &Path) -> Result<bool> {
    let started = Instant::now();
    let clients = target.join("clients");
    // They wait for the network, each for another place.
    let results: Vec<Result<bool>> = thread::scope(|scope| {
        let install =
            |set: &'static Set| scope.spawn(|| set.bring(&root.join(SOURCES), &clients.join(set.name)));
        let threads: Vec<_> = SETS.iter().map(install).collect();
        let result = |thread: thread::ScopedJoinHandle<'_, Result<bool>>| {
            thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the installation panicked")))
        };
        threads.into_iter().map(result).collect()
    });
    let installed = results.iter().filter(|result| matches!(result, Ok(true))).count();
    let lacking: Vec<String> = SETS
        .iter()
        .zip(&results)
        .filter_map(|(set, result)| Some(format!("  {:<8} {:#}", set.name, result.as_ref().err()?)))
        .collect();
    let seconds = started.elapsed().as_secs_f32();
    println!("Redis clients: {installed} of {} sets installed anew, {seconds:.1} s", SETS.len());
    if !lacking.is_empty() {
        println!("not installed; without a network `cargo xtask clients` can be run again later:");
        println!("{}", lacking.join("\n"));
    }
    Ok(lacking.is_empty())
}

impl Set {
    /// Installs what is not there yet; whether there was anything to do.
    fn bring(&self, sources: &Path, folder: &Path) -> Result<bool> {
        let wanted = self.wanted(sources)?;
        if fs::read_to_string(folder.join(MARKER)).is_ok_and(|found| found == wanted) {
            return Ok(false);
        }
        self.install(sources, folder, &wanted)?;
        Ok(true)
    }

    /// All that decides on what is installed, as one text.
    fn wanted(&self, sources: &Path) -> Result<String> {
        let read = |input: &&str| fs::read_to_string(sources.join(input)).with_context(|| input.to_string());
        self.inputs.iter().map(read).collect()
    }

    fn install(&self, sources: &Path, folder: &Path, wanted: &str) -> Result<()> {
        anyhow::ensure!(find(self.tool).is_some(), "this machine has no {}", self.tool);
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        for input in self.inputs {
            let name = Path::new(input).file_name().context("an input has a name")?;
            fs::copy(sources.join(input), folder.join(name)).with_context(|| input.to_string())?;
        }
        for command in (self.command)(sources, folder) {
            run(command)?;
        }
        fs::write(folder.join(MARKER), wanted).context("the mark of a complete set")
    }
}

/// Runs a command; the first line that tells of an error, or else the last one, goes into ours.
fn run(mut command: Command) -> Result<()> {
    command.env("PATH", search_path()).stdin(Stdio::null());
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    let why = said.lines().find(|line| line.to_lowercase().contains("error")).unwrap_or(last);
    anyhow::ensure!(output.status.success(), "{program} failed: {why}");
    Ok(())
}

/// A Python that has pip: the first in `PATH`, or the system's. The packages are the same for both.
fn python() -> PathBuf {
    let system = PathBuf::from("/usr/bin/python3");
    let has_pip = |python: &PathBuf| {
        let mut command = Command::new(python);
        command.args(["-c", "import pip"]).output().is_ok_and(|output| output.status.success())
    };
    find("python3").into_iter().chain([system.clone()]).find(has_pip).unwrap_or(system)
}

/// Each package is listed with its checksum, and nothing is built from sources: no code of a package runs.
fn pip(list: &Path, folder: &Path) -> Command {
    let mut command = Command::new(python());
    command.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--root-user-action",
        "ignore",
    ]);
    command.args(["--no-deps", "--require-hashes", "--only-binary", ":all:", "--target"]);
    command.arg(folder).arg("--requirement").arg(list);
    command
}

/// Exactly what the lock file says; no code of a package runs.
fn npm(_: &Path, folder: &Path) -> Vec<Command> {
    let mut command = Command::new("npm");
    command.args([
        "ci",
        "--ignore-scripts",
        "--logs-max=0",
        "--no-audit",
        "--no-fund",
        "--loglevel",
        "error",
    ]);
    command.current_dir(folder);
    vec![command]
}

/// A program out of exactly the modules of go.sum.
fn go(_: &Path, folder: &Path) -> Vec<Command> {
    let mut command = Command::new("go");
    command.args(["build", "-mod=readonly", "-o", "scenario", "."]);
    // The version of Go that is there is taken, and none is fetched.
    command.env("GOTOOLCHAIN", "local").env("GOFLAGS", "").current_dir(folder);
    vec![command]
}

/// The jars of a list, whose checksums are looked at when all are there.
fn jars(_: &Path, folder: &Path) -> Vec<Command> {
    let script = "grep -v '^#' jars.txt | while read -r sum path; do \
          curl --fail --silent --show-error --location --max-time 60 --output \"${path##*/}\" \"$MAVEN/$path\" || exit 1; \
          echo \"$sum  ${path##*/}\" | sha256sum --check --quiet || exit 1; done";
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("MAVEN", "https://repo1.maven.org/maven2").current_dir(folder);
    vec![command]
}
