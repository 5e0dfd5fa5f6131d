//! The locked dependencies: none that is unmaintained, none below the version that mended a known advisory.
//! It knows what is written here and never asks the network.

use super::Finding;
use crate::workspace::Workspace;

const LOCK: &str = "Cargo.lock";

/// Crates that must not come back, with what to use instead.
const BANNED: &[(&str, &str)] = &[
    ("bincode", "unmaintained; formats of ours are specified by hand"),
    ("backoff", "unmaintained; the lander has its own backoff"),
    ("rustls-pemfile", "unmaintained; rustls-pki-types reads PEM"),
    ("paste", "unmaintained; write the names out"),
    ("openssl-sys", "TLS is rustls with ring, one provider"),
];

/// The first version without a known advisory; of a crate with several lines that are mended, each of them, oldest first.
const MINIMUM: &[(&str, [u64; 3])] = &[
    ("bytes", [1, 11, 1]),
    ("tokio-postgres", [0, 7, 18]),
    ("postgres-protocol", [0, 6, 12]),
    ("rustls", [0, 23, 46]),
    ("rustls-webpki", [0, 103, 13]),
    ("rand", [0, 8, 6]),
    ("rand", [0, 9, 3]),
    ("rand", [0, 10, 1]),
    ("memmap2", [0, 9, 11]),
    ("crossbeam-epoch", [0, 9, 20]),
    ("lru", [0, 18, 2]),
];

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let Some(text) = workspace.text(LOCK) else { return Vec::new() };
    let mut findings = Vec::new();
    let mut name = "";
    for (index, line) in text.lines().enumerate() {
        if let Some(value) = quoted(line, "name = ") {
            name = value;
            if let Some((_, instead)) = BANNED.iter().find(|(banned, _)| *banned == name) {
                findings.push(Finding::new(LOCK, index + 1, "banned-crate", format!("`{name}`: {instead}")));
            }
        } else if let Some(version) = quoted(line, "version = ")
            && let Some(minimum) = minimum(name, parts(version)).filter(|least| parts(version) < *least)
        {
            let [major, minor, patch] = minimum;
            let advice = format!(
                "`{name}` {version} has a known advisory: `cargo update -p {name}` to {major}.{minor}.{patch}"
            );
            findings.push(Finding::new(LOCK, index + 1, "advisory", advice));
        }
    }
    findings
}

/// The first sound version of the line that this one belongs to, or of the newest line.
fn minimum(name: &str, version: [u64; 3]) -> Option<[u64; 3]> {
    let mut lines = MINIMUM.iter().filter(|(known, _)| *known == name).map(|(_, least)| *least);
    lines.clone().find(|least| least[..2] == version[..2]).or_else(|| lines.next_back())
}

fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix('"')?.strip_suffix('"')
}

/// The three numbers of a version; what comes behind the patch number is left out.
fn parts(version: &str) -> [u64; 3] {
    let mut numbers = version.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banned_and_outdated_crates_are_found() {
        let lock = "version = 4\n\n[[package]]\nname = \"paste\"\nversion = \"1.0.15\"\n\n[[package]]\nname = \"bytes\"\n\
                    version = \"1.9.0\"\n\n[[package]]\nname = \"rustls\"\nversion = \"0.23.46\"\n";
        let workspace = Workspace::planted(&[(LOCK, lock)]);
        let found: Vec<(usize, &str)> =
            check(&workspace).iter().map(|finding| (finding.line, finding.rule)).collect();
        assert_eq!(found, [(4, "banned-crate"), (9, "advisory")]);
    }

    #[test]
    fn each_line_of_a_crate_has_its_own_first_sound_version() {
        let sound = |version| minimum("rand", version).is_some_and(|least| version >= least);
        assert!(sound([0, 8, 8]) && sound([0, 9, 3]) && sound([0, 10, 1]) && sound([0, 11, 0]));
        assert!(!sound([0, 8, 5]) && !sound([0, 9, 2]) && !sound([0, 7, 9]) && !sound([0, 10, 0]));
        assert_eq!(minimum("unknown", [1, 0, 0]), None);
    }
}
