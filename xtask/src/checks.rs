//! The house checks: what the compiler and clippy cannot say about this project, one file for each kind.
//! A check only reads; it never repairs what it finds.

use std::fmt;
use std::path::Path;

use anyhow::Result;

use crate::requirements;
use crate::workspace::{self, Workspace};

mod crates;
mod exceptions;
mod forbidden;
mod hazards;
mod imports;
mod licences;
mod links;
mod lockfile;
mod size;

/// One violation: where, which rule, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) rule: &'static str,
    pub(crate) advice: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, rule: &'static str, advice: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), line, rule, advice: advice.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: [{}] {}", self.path, self.line, self.rule, self.advice)
    }
}

/// Runs every check on the tree below `root`. An error means that a check could not be run at all.
pub(crate) fn run(root: &Path) -> Result<Vec<Finding>> {
    let workspace = Workspace::read(root)?;
    let metadata = workspace::metadata(root)?;
    let mut findings = on_files(&workspace);
    findings.extend(crates::walls(&metadata));
    findings.extend(crates::default_tree(root)?);
    findings.extend(crates::test_features(root)?);
    findings.extend(licences::check(root)?);
    let mut findings = exceptions::apply(&workspace, findings);
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// The checks that need nothing but the files.
fn on_files(workspace: &Workspace) -> Vec<Finding> {
    let checks: [fn(&Workspace) -> Vec<Finding>; 8] = [
        imports::check,
        crates::mentions,
        size::check,
        forbidden::check,
        hazards::check,
        links::check,
        lockfile::check,
        requirements::check,
    ];
    checks.iter().flat_map(|check| check(workspace)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_keeps_its_house_rules() {
        let findings = run(&workspace::root().unwrap()).unwrap();
        let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
        assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    }
}
