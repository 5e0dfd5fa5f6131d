//! The walls between the crates: who may depend on whom, what a crate must not name, and how large the default
//! build may grow. It asks cargo, and never builds.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use super::Finding;
use crate::source::words;
use crate::workspace::{self, Workspace};

const RULE: &str = "crate-walls";

/// What a first build may hold: each crate costs a new user about two seconds.
const DEFAULT_TREE_CRATES_MAX: usize = 200;

/// A crate of the workspace, and which others of the workspace it may use; `tests` counts for its tests only.
struct Wall {
    name: &'static str,
    may: &'static [&'static str],
    tests: &'static [&'static str],
}

const WALLS: &[Wall] = &[
    // The library never sees RESP.
    Wall { name: "landfall", may: &[], tests: &["landfall-sim"] },
    // The codec is useful alone, and is fuzzed alone.
    Wall { name: "landfall-resp", may: &[], tests: &[] },
    Wall { name: "landfall-server", may: &["landfall", "landfall-resp"], tests: &["landfall-sim"] },
    Wall { name: "landfall-sim", may: &["landfall", "landfall-resp"], tests: &[] },
    // Fuzz targets reach into everything, through doors that no build for users has.
    Wall { name: "landfall-fuzz", may: &["landfall", "landfall-resp", "landfall-server"], tests: &[] },
    // Comparisons talk to servers, as any client does.
    Wall { name: "landfall-bench", may: &["landfall", "landfall-resp", "landfall-sim"], tests: &[] },
    // The checks must build when nothing else does.
    Wall { name: "xtask", may: &[], tests: &[] },
];

/// Names that must not stand in the code below a folder, except below another one.
struct Mention {
    names: &'static [&'static str],
    below: &'static str,
    except: Option<&'static str>,
    advice: &'static str,
}

/// Locks and numbers that an interleaving test does not know.
const LOCKS: &[&str] = &["parking_lot", "std::sync::atomic"];
const OTHER_LOCKS: &str = "take it from `crate::sync`: an interleaving test stands still at other locks";

const MENTIONS: &[Mention] = &[
    Mention { names: LOCKS, below: "crates/landfall/src/buffer/", except: None, advice: OTHER_LOCKS },
    Mention {
        names: LOCKS,
        below: "crates/landfall/src/lander/",
        except: Some("crates/landfall/src/lander/fakes"),
        advice: OTHER_LOCKS,
    },
    Mention { names: LOCKS, below: "crates/landfall/src/engine/", except: None, advice: OTHER_LOCKS },
    Mention {
        names: &["landfall_resp"],
        below: "crates/landfall/",
        except: None,
        advice: "the library never sees RESP: move this to the server",
    },
    Mention {
        names: &["rusqlite"],
        below: "crates/landfall-server/src/",
        except: Some("crates/landfall-server/src/sample/"),
        advice: "the server never sees SQL: ask the library (only the sample database is made here)",
    },
];

/// Checks the dependencies among the workspace's own packages.
pub(super) fn walls(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let folder = if name == "xtask" { "xtask".to_owned() } else { format!("crates/{name}") };
        let manifest = format!("{folder}/Cargo.toml");
        let Some(wall) = WALLS.iter().find(|wall| wall.name == name) else {
            let advice = format!("crate `{name}` is not in the table of walls: add it, with what it may use");
            findings.push(Finding::new(&manifest, 1, RULE, advice));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = dependency["name"].as_str().unwrap_or_default();
            let for_tests = dependency["kind"] == "dev";
            let allowed = wall.may.contains(&used) || (for_tests && wall.tests.contains(&used));
            if WALLS.iter().any(|wall| wall.name == used) && !allowed {
                let advice =
                    format!("`{name}` must not depend on `{used}`: move the code to the crate that may");
                findings.push(Finding::new(&manifest, 1, RULE, advice));
            }
        }
    }
    findings
}

/// Checks the names that a crate must not even mention.
pub(super) fn mentions(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &workspace.sources {
        for mention in MENTIONS.iter().filter(|mention| source.path.starts_with(mention.below)) {
            let excepted = mention.except.is_some_and(|folder| source.path.starts_with(folder));
            for name in mention.names {
                let found = words(&source.code, name).filter(|at| !excepted && !source.in_test(*at));
                findings.extend(found.map(|at| {
                    let advice = format!("`{name}` here: {}", mention.advice);
                    Finding::new(&source.path, source.line_of(at), RULE, advice)
                }));
            }
        }
    }
    findings
}

/// Features of our crates that only tests and tools may have.
const TEST_FEATURES: &[&str] = &["failpoints", "fuzz", "interleavings", "mutants", "simulation"];

/// Checks that a build for users has no feature that is for tests.
pub(super) fn test_features(root: &Path) -> Result<Vec<Finding>> {
    let mut command = workspace::cargo(root);
    command.args(["tree", "-p", "landfall-server", "-e", "features,no-dev", "--prefix", "none", "--locked"]);
    Ok(forbidden_features(&workspace::output_of(&mut command)?))
}

/// The features for tests in a tree without prefixes.
fn forbidden_features(tree: &str) -> Vec<Finding> {
    let ours = tree.lines().filter(|line| line.starts_with("landfall"));
    let mut found: Vec<&str> = ours.filter_map(|line| line.split('"').nth(1)).collect();
    found.sort_unstable();
    found.dedup();
    let advice = |feature: &&str| {
        let advice = format!(
            "a build for users has the feature `{feature}`, which is for tests: let only dev-dependencies ask for it"
        );
        Finding::new("crates/landfall-server/Cargo.toml", 1, "test-features", advice)
    };
    found.iter().filter(|feature| TEST_FEATURES.contains(feature)).map(advice).collect()
}

/// Counts the crates that a first `cargo run` builds.
pub(super) fn default_tree(root: &Path) -> Result<Vec<Finding>> {
    let mut command = workspace::cargo(root);
    command.args(["tree", "-p", "landfall-server", "-e", "normal,build", "--prefix", "none", "--locked"]);
    let crates = crates_of_tree(&workspace::output_of(&mut command)?);
    if crates <= DEFAULT_TREE_CRATES_MAX {
        return Ok(Vec::new());
    }
    let advice = format!(
        "the default build holds {crates} crates, {DEFAULT_TREE_CRATES_MAX} are the limit: put a heavy part behind a feature"
    );
    Ok(vec![Finding::new("crates/landfall-server/Cargo.toml", 1, "default-tree", advice)])
}

/// The number of distinct crates (by name and version) that a tree without prefixes names.
fn crates_of_tree(tree: &str) -> usize {
    let crates = tree.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?, words.next()?))
    });
    crates.collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_through_a_wall_is_found() {
        let metadata = serde_json::json!({"packages": [
            {"name": "landfall", "dependencies": [
                {"name": "landfall-resp", "kind": null},
                {"name": "landfall-sim", "kind": "dev"},
                {"name": "serde_json", "kind": null}]},
            {"name": "landfall-server", "dependencies": [{"name": "landfall-sim", "kind": null}]},
            {"name": "landfall-new", "dependencies": []}]});
        let lines: Vec<String> = walls(&metadata).iter().map(Finding::to_string).collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].contains("`landfall` must not depend on `landfall-resp`"));
        assert!(lines[1].contains("`landfall-server` must not depend on `landfall-sim`"));
        assert!(lines[2].contains("`landfall-new` is not in the table"));
    }

    #[test]
    fn a_name_behind_a_wall_is_found() {
        let text = "use rusqlite::Connection;\nfn a() { \"rusqlite\"; }";
        let workspace = Workspace::planted(&[
            ("crates/landfall-server/src/explain.rs", text),
            ("crates/landfall-server/src/sample/airport.rs", text),
            ("crates/landfall-server/tests/kills.rs", text),
            ("crates/landfall/src/engine/open.rs", "use landfall_resp::Frame;"),
        ]);
        let paths: Vec<String> = mentions(&workspace).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["crates/landfall-server/src/explain.rs", "crates/landfall/src/engine/open.rs"]);
    }

    #[test]
    fn a_feature_for_tests_in_a_build_for_users_is_found() {
        let tree = "landfall-server v0.1.0 (/x)\nlandfall feature \"default\"\nlandfall feature \"failpoints\" (*)\n\
                    other feature \"fuzz\"\n";
        let lines: Vec<String> = forbidden_features(tree).iter().map(Finding::to_string).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("`failpoints`"));
    }

    #[test]
    fn a_crate_is_counted_once_for_each_version() {
        let tree = "landfall-server v0.1.0 (/x)\nlibc v0.2.1\nlibc v0.2.1 (*)\nlibc v0.1.0\n\n[build-dependencies]\n";
        assert_eq!(crates_of_tree(tree), 3);
    }
}
