//! The system packages that the tests need: which are missing, and how they come onto a machine that allows it.
//! It says what it will install before it does, and it never starts a system service.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// A package of Debian 12 and 13, and the programs that the tests want from it.
struct Package {
    name: &'static str,
    tools: &'static [&'static str],
    /// A module of Python that it brings.
    module: Option<&'static str>,
    /// A service that it would start at the next boot.
    service: Option<&'static str>,
    why: &'static str,
}

const PACKAGES: &[Package] = &[
    Package {
        name: "redis-server",
        tools: &["redis-server"],
        module: None,
        service: Some("redis-server"),
        why: "the server that Landfall is compared with",
    },
    Package {
        name: "redis-tools",
        tools: &["redis-cli", "redis-benchmark"],
        module: None,
        service: None,
        why: "a Redis client and a load",
    },
    Package {
        name: "postgresql",
        tools: &["postgres", "initdb", "psql"],
        module: None,
        service: Some("postgresql"),
        why: "private PostgreSQL servers that rows land in",
    },
    Package {
        name: "pgbouncer",
        tools: &["pgbouncer"],
        module: None,
        service: Some("pgbouncer"),
        why: "a pooler between Landfall and PostgreSQL",
    },
    Package {
        name: "sqlite3",
        tools: &["sqlite3"],
        module: None,
        service: None,
        why: "a look into the database with another program",
    },
    Package {
        name: "strace",
        tools: &["strace"],
        module: None,
        service: None,
        why: "system calls that fail",
    },
    Package {
        name: "xfsprogs",
        tools: &["mkfs.xfs", "xfs_io"],
        module: None,
        service: None,
        why: "file systems whose power is cut",
    },
    Package {
        name: "python3-redis",
        tools: &["python3"],
        module: Some("redis"),
        service: None,
        why: "redis-py, a Redis client that many use",
    },
    Package {
        name: "python3-pip",
        tools: &["python3"],
        module: Some("pip"),
        service: None,
        why: "newer and older Redis clients of Python",
    },
    Package {
        name: "ruby-redis",
        tools: &["ruby"],
        module: None,
        service: None,
        why: "redis-rb, the Redis client of Ruby",
    },
    Package {
        name: "prometheus-redis-exporter",
        tools: &["prometheus-redis-exporter"],
        module: None,
        service: Some("prometheus-redis-exporter"),
        why: "what Prometheus reads of a Redis server",
    },
];

/// How long apt waits for another apt.
const APT_LOCK_SECONDS_MAX: u32 = 120;

const POLICY: &str = "/usr/sbin/policy-rc.d";
const POLICY_TEXT: &str =
    "#!/bin/sh\n# Written by cargo xtask test, and taken away by it: no service starts.\nexit 101\n";

/// The packages with a program that this machine lacks.
pub(crate) fn missing() -> Vec<&'static str> {
    let lacking = |package: &&Package| {
        package.tools.iter().any(|tool| find(tool).is_none())
            || package.module.is_some_and(|module| !has_module(module))
    };
    PACKAGES.iter().filter(lacking).map(|package| package.name).collect()
}

/// Whether the system's Python, for which packages are made, or the first one in `PATH` has a module.
fn has_module(module: &str) -> bool {
    let pythons = [Some(PathBuf::from("/usr/bin/python3")), find("python3")];
    pythons.into_iter().flatten().any(|python| {
        let import = Command::new(python).args(["-c", &format!("import {module}")]).output();
        import.is_ok_and(|output| output.status.success())
    })
}

/// Where a program is, in `PATH` or where the system keeps server programs.
pub(crate) fn find(tool: &str) -> Option<PathBuf> {
    std::env::split_paths(&search_path()).map(|folder| folder.join(tool)).find(|path| path.is_file())
}

/// `PATH`, with the folders behind it in which Debian keeps servers.
pub(crate) fn search_path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect())
        .unwrap_or_default(); // no such folder: no packaged PostgreSQL
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    // A folder whose name cannot stand in a PATH leaves the search as it was.
    std::env::join_paths(folders).unwrap_or(path)
}

/// Says what is missing and installs it where that is allowed. Whatever still lacks is said, and is no error
/// here: the tests that need it are counted as skipped.
pub(crate) fn install_missing(scratch: &Path, allowed: bool) -> Result<()> {
    let wanted = missing();
    if wanted.is_empty() {
        println!("system packages: nothing is missing");
        return Ok(());
    }
    println!("system packages that the tests use and this machine lacks:");
    for package in PACKAGES.iter().filter(|package| wanted.contains(&package.name)) {
        println!("  {:<14} {}", package.name, package.why);
    }
    let Some(privilege) = allowed.then(Privilege::of_this_process).flatten() else {
        let why = if allowed { "neither root nor sudo without a password" } else { "--no-install" };
        println!(
            "nothing is installed ({why}). By hand: apt-get install --no-install-recommends {}",
            wanted.join(" ")
        );
        return Ok(());
    };
    let policy = Policy::deny(&privilege, scratch)?;
    let before = running_services();
    privilege.apt(&["update"]);
    privilege.apt(&[["install", "--yes", "--no-install-recommends"].as_slice(), &wanted].concat());
    policy.lift()?;
    for service in PACKAGES.iter().filter(|package| wanted.contains(&package.name)).filter_map(|p| p.service)
    {
        privilege.keep_off(service);
    }
    for service in running_services().difference(&before) {
        println!("warning: the system service {service} runs now; nobody here asked for it");
    }
    let left = missing();
    if !left.is_empty() {
        println!("still missing: {}", left.join(" "));
    }
    Ok(())
}

/// How a command gets the rights of root.
struct Privilege {
    prefix: &'static [&'static str],
}

impl Privilege {
    fn of_this_process() -> Option<Privilege> {
        let succeeds = |program: &str, arguments: &[&str]| {
            Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
        };
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
        if is_root {
            return Some(Privilege { prefix: &["env"] });
        }
        succeeds("sudo", &["-n", "true"]).then_some(Privilege { prefix: &["sudo", "-n", "env"] })
    }

    /// Runs a command and tells whether it succeeded.
    fn run(&self, arguments: &[&str]) -> Result<bool> {
        let mut command = Command::new(self.prefix[0]);
        let status = command.args(&self.prefix[1..]).args(arguments).status();
        Ok(status.with_context(|| format!("cannot start {}", arguments.join(" ")))?.success())
    }

    /// What we installed does not start at the next boot either.
    fn keep_off(&self, service: &str) {
        let systemd = find("systemctl").is_some();
        if systemd && !self.run(&["systemctl", "--quiet", "disable", service]).unwrap_or(false) {
            println!("note: the service {service} could not be disabled; it may start at the next boot");
        }
    }

    /// A failed apt is told and carried on from: what it could not install is looked for again afterwards.
    fn apt(&self, arguments: &[&str]) {
        let lock = format!("DPkg::Lock::Timeout={APT_LOCK_SECONDS_MAX}");
        let head = [
            "DEBIAN_FRONTEND=noninteractive",
            "RUNLEVEL=1",
            "apt-get",
            "--quiet",
            "--quiet",
            "--option",
            "Dpkg::Use-Pty=0",
            "--option",
            &lock,
        ];
        match self.run(&[head.as_slice(), arguments].concat()) {
            Ok(true) => {}
            Ok(false) => println!("apt-get {} failed", arguments.join(" ")),
            Err(error) => println!("{error:#}"),
        }
    }
}

/// Debian's word that no service may start, while we install. A policy that the machine has already stays.
struct Policy<'a> {
    privilege: &'a Privilege,
    ours: bool,
}

impl<'a> Policy<'a> {
    fn deny(privilege: &'a Privilege, scratch: &Path) -> Result<Policy<'a>> {
        // One that we left behind when we were interrupted is ours to take away.
        let ours = match fs::read_to_string(POLICY) {
            Ok(text) => text == POLICY_TEXT,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir_all(scratch)?;
                let draft = scratch.join("policy-rc.d");
                fs::write(&draft, POLICY_TEXT)?;
                privilege.run(&["install", "-m", "755", &draft.to_string_lossy(), POLICY])?
            }
            Err(error) => return Err(error).context(POLICY),
        };
        Ok(Policy { privilege, ours })
    }

    fn lift(self) -> Result<()> {
        if self.ours && !self.privilege.run(&["rm", "-f", POLICY])? {
            println!("warning: {POLICY} could not be taken away; remove it by hand, or no service starts");
        }
        Ok(())
    }
}

/// The services that run under systemd; none where there is no systemd.
fn running_services() -> BTreeSet<String> {
    let arguments = ["list-units", "--type=service", "--state=running", "--plain", "--no-legend"];
    let Ok(output) = Command::new("systemctl").args(arguments).output() else {
        return BTreeSet::new();
    };
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    lines.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_where_the_path_has_it() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }

    #[test]
    fn a_module_that_no_python_has_is_missing() {
        assert!(!has_module("no_such_module_anywhere"));
    }

    #[test]
    fn every_package_brings_a_program() {
        assert!(PACKAGES.iter().all(|package| !package.tools.is_empty() && !package.why.is_empty()));
    }
}
