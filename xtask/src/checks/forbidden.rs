//! Words and attributes that do not belong in the project, or only with a reason beside them.
//! Strings and comments never count as code, so a rule can be named in a message.

use super::Finding;
use crate::source::{Source, words};
use crate::workspace::{TextFile, Workspace};

/// The files that may hold `unsafe`, with the reason. The workspace lint `unsafe_code` must be lifted there too.
const UNSAFE_FILES: &[(&str, &str)] = &[
    (
        "crates/landfall/src/buffer/cache/prefetch.rs",
        "the prefetch instruction, a hint that reads and writes nothing",
    ),
    (
        "crates/landfall/src/env/mapped.rs",
        "the log's file in memory and the handler of its faults; the proof is in its header",
    ),
];

/// The rooms of the library that may touch clock, disk and threads: `clippy.toml` bans them everywhere else.
const WORLD_ROOMS: &[&str] = &["env", "tasks"];

/// Macros that mark unfinished work.
const UNFINISHED_MACROS: &[&str] = &["todo", "unimplemented", "dbg"];

/// Words that mark unfinished work in any file, each cut in two so that this file does not hold them.
const UNFINISHED_WORDS: &[[&str; 2]] = &[["TO", "DO"], ["FIX", "ME"]];

/// Folders of one developer's machine: `/NAME/` in a file makes no sense on any other.
const MACHINE_FOLDERS: &[&str] = &["root", "work", "tmp/wt"];

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let code = workspace.sources.iter().flat_map(|source| {
        let mut findings = ignored_tests(source);
        findings.extend(lifted_lints(source));
        findings.extend(unfinished_macros(source));
        findings.extend(unsafe_code(source));
        findings
    });
    code.chain(workspace.texts.iter().flat_map(text_of_any_file)).collect()
}

fn ignored_tests(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, _) in source.code.match_indices("#[ignore") {
        let attribute = &source.text[at..];
        let attribute = &attribute[..attribute.find(']').unwrap_or(attribute.len())];
        let reason = attribute.split('"').nth(1).unwrap_or_default();
        if reason.trim().is_empty() {
            let advice = "say why, and which command runs it: `#[ignore = \"...\"]`";
            findings.push(Finding::new(&source.path, source.line_of(at), "ignore", advice));
        }
    }
    findings
}

fn lifted_lints(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for opening in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
        for (at, _) in source.code.match_indices(opening) {
            let line = source.line_of(at);
            let attribute = &source.code[at..];
            let attribute = &attribute[..attribute.find(']').unwrap_or(attribute.len())];
            let beside = source.has_comment(line) || source.has_comment(line - 1);
            if words(attribute, "reason").next().is_none() && !beside {
                let advice =
                    "give the reason: `reason = \"...\"`, or a comment on this line or the one above";
                findings.push(Finding::new(&source.path, line, "allow", advice));
            }
            if attribute.contains("disallowed_methods") && !may_touch_the_world(source, at) {
                let rooms = WORLD_ROOMS.join("` and `");
                let advice = format!("only `{rooms}` may call these methods: take what they offer instead");
                findings.push(Finding::new(&source.path, line, "world", advice));
            }
        }
    }
    findings
}

/// Outside the library nothing is banned; inside, the rooms of the world and the tests are free.
fn may_touch_the_world(source: &Source, at: usize) -> bool {
    let Some(path) = source.path.strip_prefix("crates/landfall/src/") else { return true };
    let room = path.split(['/', '.']).next().unwrap_or_default();
    WORLD_ROOMS.contains(&room) || source.in_test(at)
}

fn unfinished_macros(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in UNFINISHED_MACROS {
        for at in words(&source.code, name).filter(|at| source.code[at + name.len()..].starts_with("!(")) {
            let advice = format!("`{name}!` is unfinished work: finish it or leave it out");
            findings.push(Finding::new(&source.path, source.line_of(at), "unfinished", advice));
        }
    }
    findings
}

fn unsafe_code(source: &Source) -> Vec<Finding> {
    if UNSAFE_FILES.iter().any(|(path, _reason)| *path == source.path) {
        return Vec::new();
    }
    let advice =
        "no unsafe code here: use a well-kept library, or add the file and its reason to UNSAFE_FILES";
    let found = words(&source.code, "unsafe");
    found.map(|at| Finding::new(&source.path, source.line_of(at), "unsafe", advice)).collect()
}

fn text_of_any_file(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for word in UNFINISHED_WORDS.iter().map(|halves| halves.concat()) {
            if words(line, &word).next().is_some() {
                let advice = format!("`{word}` is unfinished work: do it now, or leave it to an issue");
                findings.push(Finding::new(&file.path, index + 1, "unfinished", advice));
            }
        }
        for folder in MACHINE_FOLDERS.iter().map(|name| format!("/{name}/")) {
            let rooted = |at: usize| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | '$' | '>'))
            };
            if line.match_indices(&folder).any(|(at, _)| rooted(at)) {
                let advice =
                    format!("`{folder}` is a path of one machine: write a relative path or a placeholder");
                findings.push(Finding::new(&file.path, index + 1, "machine-path", advice));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&Workspace::planted(&[(path, text)])).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn an_ignored_test_needs_its_reason() {
        assert_eq!(rules("a.rs", "#[ignore]\nfn a() {}"), ["ignore"]);
        assert_eq!(rules("a.rs", "#[ignore = \"\"]\nfn a() {}"), ["ignore"]);
        assert_eq!(rules("a.rs", "#[ignore = \"takes an hour: cargo xtask proof\"]\nfn a() {}").len(), 0);
    }

    #[test]
    fn a_lifted_lint_needs_its_reason() {
        assert_eq!(rules("a.rs", "fn b() {}\n#[allow(dead_code)]\nfn a() {}"), ["allow"]);
        assert_eq!(rules("a.rs", "#[allow(dead_code, reason = \"x\")]\nfn a() {}").len(), 0);
        assert_eq!(rules("a.rs", "// Generated.\n#[allow(dead_code)]\nfn a() {}").len(), 0);
    }

    #[test]
    fn only_the_rooms_of_the_world_lift_the_ban_on_it() {
        let text = "#![allow(clippy::disallowed_methods, reason = \"x\")]";
        assert_eq!(rules("crates/landfall/src/lander/plan.rs", text), ["world"]);
        assert_eq!(rules("crates/landfall/src/env.rs", text).len(), 0);
        assert_eq!(rules("crates/landfall/src/tasks/spawn.rs", text).len(), 0);
        assert_eq!(rules("crates/landfall/tests/log.rs", text).len(), 0);
    }

    #[test]
    fn unfinished_work_is_found_in_code_and_in_words() {
        assert_eq!(rules("a.rs", "fn a() { todo!() }"), ["unfinished"]);
        assert_eq!(rules("a.rs", "fn a() { dbg!(1); }"), ["unfinished"]);
        assert_eq!(rules("a.md", concat!("TO", "DO: more")), ["unfinished"]);
        assert_eq!(rules("a.rs", "fn a() { \"todo!()\"; }").len(), 0);
    }

    #[test]
    fn unsafe_code_is_found_and_the_lint_about_it_is_not() {
        assert_eq!(rules("a.rs", "fn a() { unsafe { b() } }"), ["unsafe"]);
        assert_eq!(rules("a.rs", "#![forbid(unsafe_code)] // unsafe").len(), 0);
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        assert_eq!(rules("a.md", concat!("see /wo", "rk/main")), ["machine-path"]);
        assert_eq!(rules("a.toml", concat!("path = \"/tmp/w", "t/x\"")), ["machine-path"]);
        assert_eq!(rules("a.md", concat!("https://example.org/wo", "rk/main")).len(), 0);
    }
}
