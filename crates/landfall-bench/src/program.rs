//! Which landfall program is measured.
//! It must never be another one than the person who measures believes: what is not there is not looked for elsewhere.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The program that was given, else the one beside this program.
pub(crate) fn landfall_program(given: Option<&Path>) -> Result<PathBuf> {
    let beside = || -> Result<PathBuf> {
        let own = std::env::current_exe().context("cannot find the folder of this program")?;
        Ok(own.with_file_name("landfall"))
    };
    let program = given.map_or_else(beside, |path| Ok(path.to_owned()))?;
    if !program.is_file() {
        bail!(
            "there is no landfall at {}: build it with `cargo build --release -p landfall-server`, or say where it is with --landfall",
            program.display()
        );
    }
    // The servers run in folders of their own.
    std::fs::canonicalize(&program).with_context(|| format!("cannot open {}", program.display()))
}
