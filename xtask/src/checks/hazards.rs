//! The tests that documents name, and the table of hazards: a named test exists and runs, and no hazard is without one.
//! It never runs a test.

use super::Finding;
use crate::source::{Source, is_word, words};
use crate::workspace::{TextFile, Workspace};

const RULE: &str = "hazards";

/// The page with the table of hazards.
const PAGE: &str = "docs/reliability.md";

/// The hazards that need a row: of the log, of the process, of the cache, of any database, each counted from 1.
const HAZARDS: &[(&str, usize)] = &[("L", 23), ("P", 8), ("C", 9), ("D", 39)];

/// What stands in place of a test, and in how many rows at most.
const NOT_PROMISED: &str = "guarantees.md#not-promised";
const NOT_PROMISED_MAX: usize = 5;

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let pages = workspace.texts.iter().filter(|file| file.path.ends_with(".md"));
    let mut findings: Vec<Finding> = pages.flat_map(|page| missing_tests(workspace, page)).collect();
    if let Some(page) = workspace.text(PAGE) {
        findings.extend(missing_rows(page));
    }
    findings
}

/// The tests that a page names as `file.rs::test` and that do not exist.
fn missing_tests(workspace: &Workspace, page: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in page.text.lines().enumerate() {
        for (file, test) in named(line) {
            let exists = workspace.sources.iter().any(|source| is(source, file) && has_test(source, test));
            if !exists {
                let advice = format!("no test `{test}` runs in a file `{file}`: correct the name");
                findings.push(Finding::new(&page.path, index + 1, RULE, advice));
            }
        }
    }
    findings
}

/// The tests named in a line.
fn named(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split('`').skip(1).step_by(2).filter_map(|code| {
        let (file, test) = code.split_once("::")?;
        (file.ends_with(".rs") && !test.is_empty() && test.chars().all(is_word)).then_some((file, test))
    })
}

/// Whether a source is the file that a page means by the end of its path.
fn is(source: &Source, file: &str) -> bool {
    source.path.strip_suffix(file).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

fn has_test(source: &Source, name: &str) -> bool {
    // A suite makes its tests by a macro, from a list of names.
    let by_macro = source.code.contains("macro_rules!") && source.code.contains("#[test]");
    words(&source.code, name).any(|at| by_macro && !is_defined_at(source, at) || is_test_at(source, at))
}

fn is_defined_at(source: &Source, at: usize) -> bool {
    source.code[..at].trim_end().ends_with("fn")
}

/// Whether the function named at an offset is a test that is not ignored.
fn is_test_at(source: &Source, at: usize) -> bool {
    let before = &source.code[..at];
    let attributes = &before[before.rfind(['{', '}', ';']).map_or(0, |end| end + 1)..];
    let has = |word| words(attributes, word).next().is_some();
    is_defined_at(source, at) && has("test") && !has("ignore")
}

/// The hazards that the table lacks, or has without a test.
fn missing_rows(page: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut not_promised = 0;
    for (letter, count) in HAZARDS {
        for number in 1..=*count {
            let id = format!("{letter}{number}");
            let row = page.lines().enumerate().find(|(_, line)| ids(line).any(|of_row| of_row == id));
            let (line, advice) = match row {
                None => (1, format!("{id} has no row: say how it is kept away, and which test shows it")),
                Some((_, row)) if named(row).next().is_some() => continue,
                Some((_, row)) if row.contains(NOT_PROMISED) && not_promised < NOT_PROMISED_MAX => {
                    not_promised += 1;
                    continue;
                }
                Some((index, _)) => (
                    index + 1,
                    format!("{id} names no test; {NOT_PROMISED_MAX} at most may be `{NOT_PROMISED}`"),
                ),
            };
            findings.push(Finding::new(PAGE, line, RULE, advice));
        }
    }
    findings
}

/// The hazards that a row is about: the first words of its first cell, with commas between them.
fn ids(line: &str) -> impl Iterator<Item = &str> {
    let cell = line.strip_prefix('|').and_then(|rest| rest.split('|').next()).unwrap_or_default();
    let mut goes_on = true;
    cell.split_whitespace().map_while(move |word| {
        let id = word.trim_end_matches(',');
        std::mem::replace(&mut goes_on, id.len() < word.len()).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(page: &str, source: &str) -> Vec<String> {
        let workspace = Workspace::planted(&[("docs/a.md", page), ("crates/a/src/log/tests.rs", source)]);
        check(&workspace).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_named_test_that_does_not_run_is_found() {
        let source = "#[test]\nfn runs() {}\n#[test]\n#[ignore = \"x\"]\nfn sleeps() {}\nfn helps() {}\n\
                      proptest! {\n#![config(C { a: 1 })]\n#[test]\nfn holds(a in 0..1) {}\n}";
        for (page, wrong) in [
            ("`tests.rs::runs`, `log/tests.rs::holds` and `a::b`", 0),
            ("`tests.rs::sleeps`", 1),
            ("`tests.rs::helps`", 1),
            ("`og/tests.rs::runs`", 1),
            ("`tests.rs::run` `other.rs::runs`", 2),
        ] {
            assert_eq!(found(page, source).len(), wrong, "{page}: {:?}", found(page, source));
        }
    }

    #[test]
    fn a_test_of_a_suite_is_in_the_list_of_its_macro() {
        let suite = "macro_rules! all { ($($name:ident)*) => { $(#[test] fn $name() {})* } }\nall! { listed }\n\
                     fn listed() {}\nfn forgotten() {}";
        assert_eq!(found("`tests.rs::listed`", suite), Vec::<String>::new());
        assert_eq!(found("`tests.rs::forgotten`", suite).len(), 1);
    }

    #[test]
    fn a_hazard_without_a_row_or_a_test_is_found() {
        let ids =
            || HAZARDS.iter().flat_map(|(letter, count)| (1..=*count).map(move |n| format!("{letter}{n}")));
        let page = |row: &dyn Fn(&str) -> String| ids().map(|id| row(&id)).collect::<String>();
        let whole = |id: &str| format!("| {id} a hazard | kept away | `a.rs::b` |\n");
        assert_eq!(missing_rows(&page(&whole)), []);
        let without = |id: &str| if id == "L12" { String::new() } else { whole(id) };
        assert!(missing_rows(&page(&without))[0].advice.starts_with("L12 has no row"));
        let pair = |id: &str| match id {
            "D2" => "| D2, D3 a hazard | | `a.rs::b` |\n".into(),
            "D3" => String::new(),
            _ => whole(id),
        };
        assert_eq!(missing_rows(&page(&pair)), []);
        let bare = |id: &str| if id == "P3" { "| P3 a hazard | | |\n".into() } else { whole(id) };
        assert!(missing_rows(&page(&bare))[0].advice.starts_with("P3 names no test"));
        let open =
            |id: &str| if id.starts_with('C') { format!("| {id} | | {NOT_PROMISED} |\n") } else { whole(id) };
        let of_c = ids().filter(|id| id.starts_with('C')).count();
        assert_eq!(missing_rows(&page(&open)).len(), of_c - NOT_PROMISED_MAX);
    }
}
