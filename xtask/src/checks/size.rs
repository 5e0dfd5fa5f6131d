//! How long a file and a function may be, and how a file begins. Tests may be as long as they need.
//! Length is a smell and never a proof: what is better in one piece goes to the exceptions, with its reason.

use super::Finding;
use crate::source::Source;
use crate::workspace::Workspace;

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
/// Fewer words than this do not say what a file is for.
const HEADER_WORDS_MIN: usize = 4;

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    workspace.sources.iter().flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !begins_with_a_sentence(&source.text) {
        let advice =
            "begin the file with `//!` and a full sentence: what it is for, then what it must never do";
        findings.push(Finding::new(&source.path, 1, "header", advice));
    }
    let lines = source.lines_without_tests();
    if !source.is_test_file() && lines > FILE_LINES_MAX {
        let advice =
            format!("{lines} lines without tests, {FILE_LINES_MAX} are the limit: split it by purpose");
        findings.push(Finding::new(&source.path, FILE_LINES_MAX + 1, "file-length", advice));
    }
    for function in source.functions() {
        if function.lines > FUNCTION_LINES_MAX && !source.in_test(function.offset) {
            let line = source.line_of(function.offset);
            let advice = format!(
                "`{}` has {} lines, {FUNCTION_LINES_MAX} are the limit: decide here, work in helpers",
                function.name, function.lines
            );
            findings.push(Finding::new(&source.path, line, "function-length", advice));
        }
    }
    findings
}

/// Whether the first paragraph of the `//!` comment on the first line holds a whole sentence.
fn begins_with_a_sentence(text: &str) -> bool {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let paragraph = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let ends = paragraph.ends_with(['.', ':', '?', '!']) || paragraph.contains(". ");
    ends && paragraph.split_whitespace().count() >= HEADER_WORDS_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&Workspace::planted(&[(path, text)])).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn a_file_begins_with_a_sentence() {
        assert_eq!(rules("a/src/b.rs", "fn a() {}\n"), ["header"]);
        assert_eq!(rules("a/src/b.rs", "//! The codec\nfn a() {}\n"), ["header"]);
        assert_eq!(rules("a/src/b.rs", "//! Reads frames from\n//! bytes. It never blocks\n").len(), 0);
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_are_free() {
        let header = "//! What this file is for.\n";
        let long = format!("{header}{}", "const A: u8 = 1;\n".repeat(400));
        assert_eq!(rules("a/src/b.rs", &long), ["file-length"]);
        assert_eq!(rules("a/tests/b.rs", &long).len(), 0);
        let tested = format!("{header}#[cfg(test)]\nmod tests {{\n{}}}\n", "const A: u8 = 1;\n".repeat(400));
        assert_eq!(rules("a/src/b.rs", &tested).len(), 0);
    }

    #[test]
    fn a_long_function_is_found() {
        let body = |lines| {
            format!("//! What this file is for.\nfn a() {{\n{}}}\n", "    let _ = \"}\";\n".repeat(lines))
        };
        assert_eq!(rules("a/src/b.rs", &body(69)), ["function-length"]);
        assert_eq!(rules("a/src/b.rs", &body(68)).len(), 0);
    }
}
