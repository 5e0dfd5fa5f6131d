//! What the checks look at: every text file of the working tree, with Rust files scanned once.
//! It reads the tree and never writes to it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::source::Source;

/// A larger file is data, and no check reads data.
const TEXT_FILE_BYTES_MAX: u64 = 1 << 20;

/// The arguments of cargo that play seeds of the simulation, in a build without the server: the feature that lets a
/// simulation into the library must not get into a product.
pub(crate) const SIMULATE: &str = "run --release --locked -p landfall-sim --features core --bin simulate --";

/// One text file: its path from the root, with `/`, and its contents.
pub(crate) struct TextFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The working tree as the checks see it.
pub(crate) struct Workspace {
    /// Every file and folder, text or not: what a link may point to.
    pub(crate) paths: BTreeSet<String>,
    pub(crate) texts: Vec<TextFile>,
    pub(crate) sources: Vec<Source>,
}

impl Workspace {
    /// Reads the tree below `root`. The tree is walked rather than asked from git, so that a file that was
    /// just written is checked before it is added, and an unpacked archive can be checked too.
    pub(crate) fn read(root: &Path) -> Result<Workspace> {
        let mut workspace = Workspace::empty();
        workspace.walk(root, "")?;
        Ok(workspace)
    }

    /// A tree made of `(path, text)` pairs, for the tests of the checks.
    #[cfg(test)]
    pub(crate) fn planted(files: &[(&str, &str)]) -> Workspace {
        let mut workspace = Workspace::empty();
        for (path, text) in files {
            let mut folder = *path;
            while let Some((parent, _)) = folder.rsplit_once('/') {
                workspace.paths.insert(parent.to_owned());
                folder = parent;
            }
            workspace.add(path.to_string(), text.to_string());
        }
        workspace
    }

    /// The text of one file, when the tree has it.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }

    fn empty() -> Workspace {
        Workspace { paths: BTreeSet::new(), texts: Vec::new(), sources: Vec::new() }
    }

    fn add(&mut self, path: String, text: String) {
        self.paths.insert(path.clone());
        if path.ends_with(".rs") {
            self.sources.push(Source::new(path.clone(), text.clone()));
        }
        self.texts.push(TextFile { path, text });
    }

    fn walk(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
        let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(|entry| entry.file_name());
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let kind = entry.file_type()?;
            if name == ".git" {
                continue; // a folder, or in a linked worktree a file
            }
            if kind.is_dir() {
                if !is_skipped(&entry.path(), &name) {
                    self.paths.insert(path.clone());
                    self.walk(&entry.path(), &format!("{path}/"))?;
                }
            } else if kind.is_file() && entry.metadata()?.len() <= TEXT_FILE_BYTES_MAX {
                let bytes = fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
                match String::from_utf8(bytes) {
                    Ok(text) => self.add(path, text),
                    Err(_) => drop(self.paths.insert(path)),
                }
            } else {
                self.paths.insert(path);
            }
        }
        Ok(())
    }
}

/// Folders that are not the project's own: build output, a server's data, git and editors. Cargo marks its
/// target folders, whatever their name, with a `CACHEDIR.TAG`.
fn is_skipped(folder: &Path, name: &str) -> bool {
    let hidden = name.starts_with('.') && !matches!(name, ".ci" | ".cargo" | ".github");
    hidden || matches!(name, "target" | "landfall-data") || folder.join("CACHEDIR.TAG").exists()
}

/// The root of the workspace that this program was built from.
pub(crate) fn root() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = own.parent().context("xtask has no parent folder")?;
    if !root.join("Cargo.toml").exists() {
        bail!("{} is gone: run `cargo xtask` inside the checkout", root.display());
    }
    Ok(root.to_owned())
}

/// `cargo`, the same one that runs us, started in the root and without colours, so that its output can be read.
pub(crate) fn cargo(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(root).env("CARGO_TERM_COLOR", "never").env("CARGO_TERM_PROGRESS_WHEN", "never");
    command
}

/// What a command prints on success; its error text otherwise.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{command:?} did not print UTF-8"))
}

/// Where cargo builds.
pub(crate) fn target_folder(root: &Path) -> Result<PathBuf> {
    target_of(&metadata(root)?)
}

/// Where cargo builds, as its metadata say.
pub(crate) fn target_of(metadata: &serde_json::Value) -> Result<PathBuf> {
    let target = metadata["target_directory"].as_str().context("cargo names no target folder")?;
    Ok(PathBuf::from(target))
}

/// What cargo knows of the workspace's own packages.
pub(crate) fn metadata(root: &Path) -> Result<serde_json::Value> {
    let text = output_of(cargo(root).args(["metadata", "--no-deps", "--format-version", "1", "--locked"]))?;
    serde_json::from_str(&text).context("cargo metadata did not print JSON")
}
