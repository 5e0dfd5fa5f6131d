//! Runs a test in a mount namespace of its own, so that what it mounts is seen by nobody else and is gone with the
//! test, however that one ends.
//! It must never mount anything where another process could see it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};

use crate::skipping::find_program;
use crate::tools;

/// Set for a process that has mounts of its own.
const INSIDE: &str = "LANDFALL_PRIVATE_MOUNTS";
/// What a run prints for the record; the only lines of the inner run that are passed on.
const PASSED_ON: &[&str] = &["PROOF: ", "LANDFALL_SEED="];

/// Where the test runs.
#[derive(Debug, PartialEq, Eq)]
pub enum Entered {
    /// Its mounts are its own: go on.
    Inside,
    /// The test was run by another process, with success: nothing is left to do.
    Done,
    /// This machine does not allow it, for this reason.
    Forbidden(String),
}

/// Starts this test once more with its own mounts, and waits for it. `test` is the full name of the test function.
///
/// # Errors
/// The test failed in there; its own words went to the standard error.
pub fn enter(test: &str) -> Result<Entered> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(Entered::Inside);
    }
    let as_root: &[&str] = &["--mount", "--propagation", "private"];
    // Without the rights of root there is still tmpfs.
    let as_user: &[&str] = &["--map-root-user", "--mount", "--propagation", "private"];
    let mut refusal = String::new();
    let allowed = [as_root, as_user].into_iter().find(|flags| {
        let tried =
            tools::command("unshare").and_then(|mut unshare| tools::run(unshare.args(*flags).arg("true")));
        tried.inspect_err(|error| refusal = format!("{error:#}")).is_ok()
    });
    let Some(flags) = allowed else {
        return Ok(Entered::Forbidden(format!("no mount namespace: {refusal}")));
    };
    let this = std::env::current_exe().context("the path of this test program")?;
    let mut child = tools::dying_with_parent(find_program("unshare").context("unshare is gone")?)
        .args(flags)
        .arg(this)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the test in a mount namespace")?;
    let mut ran = false;
    for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
        let line = line?;
        ran |= line.starts_with("test result: ok. 1 passed");
        if let Some(at) = PASSED_ON.iter().find_map(|mark| line.find(mark)) {
            println!("{}", &line[at..]);
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "the test failed in its mount namespace ({status}); see above");
    if !ran {
        bail!("no test `{test}` ran in the mount namespace: is the name right?");
    }
    Ok(Entered::Done)
}
