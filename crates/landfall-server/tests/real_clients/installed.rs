//! Where the clients are that `cargo xtask clients` installs, and how a program of each is started.
//! It must never install anything: what is not there is skipped by name.

use std::path::{Path, PathBuf};
use std::process::Command;

use landfall_sim::skipping::{program_or_skip, skipped};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real_clients");

/// A client's program and what it needs.
pub(crate) struct Installed {
    program: PathBuf,
    arguments: Vec<PathBuf>,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Installed {
    /// A script in Python over the packages of one set.
    pub(crate) fn python(test: &str, set: &str, script: &str) -> Option<Installed> {
        let program = program_or_skip(test, "python3")?;
        let packages = folder_or_skip(test, set)?;
        Some(Installed {
            program,
            arguments: vec![PathBuf::from("-B"), Path::new(SOURCES).join("python").join(script)],
            environment: vec![("PYTHONPATH", packages)],
        })
    }

    /// A script in JavaScript.
    pub(crate) fn node(test: &str, script: &str) -> Option<Installed> {
        let program = program_or_skip(test, "node")?;
        let packages = folder_or_skip(test, "node")?.join("node_modules");
        Some(Installed {
            program,
            arguments: vec![Path::new(SOURCES).join("node").join(script)],
            environment: vec![("NODE_PATH", packages)],
        })
    }

    /// The program in Go, which was built when it was installed.
    pub(crate) fn go(test: &str) -> Option<Installed> {
        let program = folder_or_skip(test, "go")?.join("scenario");
        Some(Installed { program, arguments: Vec::new(), environment: Vec::new() })
    }

    /// The program in Java, which Java compiles as it starts.
    pub(crate) fn java(test: &str) -> Option<Installed> {
        program_or_skip(test, "javac")?;
        let program = program_or_skip(test, "java")?;
        let jars = folder_or_skip(test, "java")?.join("*");
        let source = Path::new(SOURCES).join("java").join("Scenario.java");
        let options = ["-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-cp"].map(PathBuf::from);
        let arguments = options.into_iter().chain([jars, source]).collect();
        Some(Installed { program, arguments, environment: Vec::new() })
    }

    /// The script in Ruby, over the system's package.
    pub(crate) fn ruby(test: &str) -> Option<Installed> {
        let program = program_or_skip(test, "ruby")?;
        let has_redis = Command::new(&program).args(["-e", "require 'redis'"]).output();
        if !has_redis.is_ok_and(|output| output.status.success()) {
            skipped(test, "this machine's Ruby has no redis-rb (package ruby-redis)");
            return None;
        }
        let script = Path::new(SOURCES).join("redis_rb.rb");
        Some(Installed {
            program,
            arguments: vec![script],
            environment: vec![("LC_ALL", PathBuf::from("C.UTF-8"))],
        })
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (*name, value)));
        command
    }
}

/// The folder of an installed set, or `None` and `skipped`.
fn folder_or_skip(test: &str, set: &str) -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap_or(Path::new("target"));
    let folder = target.join("clients").join(set);
    // It is written last.
    if folder.join("installed").is_file() {
        return Some(folder);
    }
    skipped(test, &format!("{} is not complete; `cargo xtask clients` installs it", folder.display()));
    None
}

/// The clients and their versions, as the files say by which they are installed.
pub(crate) fn pinned() -> Vec<(String, String)> {
    let mut pinned = Vec::new();
    for text in [include_str!("python/redis-5.txt"), include_str!("python/redis-8.txt")] {
        let packages = text.lines().filter_map(|line| line.split_whitespace().next()?.split_once("=="));
        pinned.extend(packages.filter(|(name, _)| ["redis", "Django", "django-redis"].contains(name)));
    }
    let mut all: Vec<(String, String)> =
        pinned.into_iter().map(|(name, version)| (name.to_owned(), version.to_owned())).collect();
    let package: serde_json::Value = serde_json::from_str(include_str!("node/package.json")).unwrap();
    let dependencies = package["dependencies"].as_object().unwrap();
    all.extend(
        dependencies.iter().map(|(name, version)| (name.clone(), version.as_str().unwrap().to_owned())),
    );
    let module =
        include_str!("go/go.mod").lines().find_map(|line| line.strip_prefix("require github.com/redis/"));
    let (_, version) = module.and_then(|module| module.split_once(" v")).unwrap();
    all.push(("go-redis".to_owned(), version.to_owned()));
    let jar = include_str!("java/jars.txt").split('/').find_map(|part| part.strip_prefix("jedis-"));
    let locked = include_str!("../../../../Cargo.lock").split("name = \"redis\"\nversion = \"").nth(1);
    let (version, _) = locked.and_then(|rest| rest.split_once('"')).unwrap();
    all.push(("redis (Rust)".to_owned(), version.to_owned()));
    all.push(("Jedis".to_owned(), jar.and_then(|jar| jar.split_once(".jar")).unwrap().0.to_owned()));
    all
}
