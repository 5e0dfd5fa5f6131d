//! The committed exceptions from the house checks, `xtask/exceptions.txt`.
//! No exception outlives its use: one that frees nothing is a finding itself.

use super::Finding;
use crate::committed_list::entries;
use crate::workspace::Workspace;

const LIST: &str = "xtask/exceptions.txt";
const RULE: &str = "exceptions";

/// Takes out the findings that the list excuses, and adds one for every line of the list that is of no use.
pub(super) fn apply(workspace: &Workspace, findings: Vec<Finding>) -> Vec<Finding> {
    let Some(text) = workspace.text(LIST) else {
        return findings;
    };
    let (excused, malformed) = entries::<3>(text);
    let excuses =
        |finding: &Finding, [path, rule, _reason]: [&str; 3]| finding.path == path && finding.rule == rule;
    let mut left: Vec<Finding> = Vec::new();
    for line in malformed {
        left.push(Finding::new(LIST, line, RULE, "write `path | rule | reason`, each of them filled in"));
    }
    for entry in &excused {
        if !findings.iter().any(|finding| excuses(finding, entry.fields)) {
            let [path, rule, _] = entry.fields;
            left.push(Finding::new(
                LIST,
                entry.line,
                RULE,
                format!("`{path}` keeps `{rule}` now: take the line out"),
            ));
        }
    }
    let kept = |finding: &Finding| !excused.iter().any(|entry| excuses(finding, entry.fields));
    left.extend(findings.into_iter().filter(kept));
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_excuses_its_finding_and_an_unused_one_is_found() {
        let workspace =
            Workspace::planted(&[(LIST, "a.rs | size | generated\nb.rs | size | gone\nnonsense\n")]);
        let findings = vec![Finding::new("a.rs", 1, "size", "x"), Finding::new("a.rs", 1, "links", "y")];
        let left = apply(&workspace, findings);
        let seen: Vec<(&str, usize, &str)> = left.iter().map(|f| (f.path.as_str(), f.line, f.rule)).collect();
        assert_eq!(seen, [(LIST, 3, RULE), (LIST, 2, RULE), ("a.rs", 1, "links")]);
    }
}
