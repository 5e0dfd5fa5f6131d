//! Links in Markdown files to other files of the project: what they name must be there.
//! Addresses on the network are never followed.

use super::Finding;
use crate::workspace::Workspace;

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in workspace.texts.iter().filter(|file| file.path.ends_with(".md")) {
        let mut fenced = false;
        for (index, line) in file.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if !fenced {
                for target in targets(line) {
                    if !exists(workspace, &file.path, target) {
                        let advice =
                            format!("`{target}` does not exist: correct the link, or write the file");
                        findings.push(Finding::new(&file.path, index + 1, "links", advice));
                    }
                }
            }
        }
    }
    findings
}

/// The targets of `[text](target)` in a line, without those between backticks.
fn targets(line: &str) -> Vec<&str> {
    let outside_code = |at: usize| line[..at].matches('`').count().is_multiple_of(2);
    let starts = line.match_indices("](").map(|(at, _)| at).filter(|at| outside_code(*at));
    let target = |at: usize| {
        let rest = &line[at + 2..];
        let target = rest[..rest.find(')')?].split_whitespace().next()?;
        Some(target.trim_start_matches('<').trim_end_matches('>'))
    };
    starts.filter_map(target).collect()
}

fn exists(workspace: &Workspace, from: &str, target: &str) -> bool {
    let path = target.split('#').next().unwrap_or_default();
    if path.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return false; // above the root: not a file of the project
                }
            }
            part => parts.push(part),
        }
    }
    parts.is_empty() || workspace.paths.contains(&parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_a_missing_file_is_found() {
        let page = "[a](../README.md#start) [b](missing.md) [c](https://example.org) [d](#here)\n\
                    `[e](no.md)`\n```\n[f](no.md)\n```\n[g](../../outside) [h](.)\n";
        let workspace = Workspace::planted(&[("docs/page.md", page), ("README.md", "")]);
        let lines: Vec<String> = check(&workspace).iter().map(Finding::to_string).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("docs/page.md:1: [links] `missing.md`"));
        assert!(lines[1].starts_with("docs/page.md:6: [links] `../../outside`"));
    }
}
