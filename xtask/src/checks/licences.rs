//! The licences of everything that is built into Landfall: each must be one that MIT OR Apache-2.0 can carry.
//! A dependency without a licence is refused, never guessed.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;
use crate::workspace;

/// Licences that ask for no more than their own notice.
const ALLOWED: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    // Of libFuzzer, which only `cargo xtask fuzz` builds.
    "NCSA",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "0BSD",
];

/// Checks the packages of this machine's platform, so that no other platform's need be fetched.
pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let version = workspace::output_of(workspace::cargo(root).args(["--version", "--verbose"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("cargo names no host")?;
    let mut command = workspace::cargo(root);
    command.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", host]);
    let metadata = serde_json::from_str(&workspace::output_of(&mut command)?)?;
    Ok(refused(&metadata))
}

fn refused(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let licence = package["license"].as_str().unwrap_or_default();
        if !is_allowed(licence) {
            let advice = format!(
                "`{name}` has the licence `{licence}`: use another crate, or add the licence with care"
            );
            findings.push(Finding::new("Cargo.lock", 1, "licence", advice));
        }
    }
    findings
}

/// Whether a licence expression (`A OR B AND (C)`, or the older `A/B`) can be met with allowed licences.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let allowed = any_of(&mut words);
    allowed && words.peek().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>) -> bool {
    let mut allowed = all_of(words);
    while words.next_if_eq(&"OR").is_some() {
        allowed |= all_of(words);
    }
    allowed
}

fn all_of(words: &mut Words<'_>) -> bool {
    let mut allowed = one(words);
    while words.next_if_eq(&"AND").is_some() {
        allowed &= one(words);
    }
    allowed
}

fn one(words: &mut Words<'_>) -> bool {
    let Some(word) = words.next() else { return false };
    if word == "(" {
        let allowed = any_of(words);
        return words.next() == Some(")") && allowed;
    }
    // An exception such as LLVM's only gives more freedom.
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    ALLOWED.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_expression_is_read_as_written() {
        let allowed = [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-2.0 OR MIT",
            "(MIT OR GPL-3.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ];
        let refused = ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND AGPL-3.0", "MIT MIT"];
        for expression in allowed {
            assert!(is_allowed(expression), "{expression}");
        }
        for expression in refused {
            assert!(!is_allowed(expression), "{expression}");
        }
    }

    #[test]
    fn a_refused_licence_names_its_crate() {
        let metadata = serde_json::json!({"packages": [
            {"name": "good", "license": "MIT"}, {"name": "bad", "license": "GPL-3.0"}, {"name": "none", "license": null}]});
        let found = refused(&metadata);
        assert_eq!(found.len(), 2);
        assert!(found[0].advice.contains("`bad`") && found[1].advice.contains("`none`"));
    }
}
