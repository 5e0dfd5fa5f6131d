//! What a stage printed, counted: passed, failed by name, skipped by name and reason.
//! It counts what is written and never guesses: a failed command without a failed test counts as one failure.

/// Something that did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Skip {
    pub(super) name: String,
    pub(super) reason: String,
}

/// A count.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) passed: usize,
    pub(super) failed: Vec<String>,
    pub(super) skipped: Vec<Skip>,
}

impl Outcome {
    pub(super) fn add(&mut self, other: Outcome) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.skipped.extend(other.skipped);
    }

    /// How many ran.
    pub(super) fn count(&self) -> usize {
        self.passed + self.failed.len()
    }

    /// Counts the tests that skipped themselves; the test runner took them for passed.
    pub(super) fn add_self_skipped(&mut self, lines: &str) {
        for line in lines.lines().filter_map(|line| line.trim().strip_prefix("SKIPPED: ")) {
            let (name, reason) = line.split_once(": ").unwrap_or((line, "no reason given"));
            let skip = Skip { name: name.to_owned(), reason: reason.to_owned() };
            if !self.skipped.contains(&skip) {
                self.skipped.push(skip);
                self.passed = self.passed.saturating_sub(1);
            }
        }
    }
}

/// Reads the output of cargo and of the test runner, line by line.
#[derive(Debug, Default)]
pub(super) struct OutputReader {
    /// The test binary that runs now.
    binary: String,
    outcome: Outcome,
    failed_by_sum: usize,
    build_failed: bool,
}

impl OutputReader {
    pub(super) fn read(&mut self, line: &str) {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("Running ") {
            self.binary = binary_of(rest).unwrap_or(rest).to_owned();
        } else if let Some(crate_name) = line.strip_prefix("Doc-tests ") {
            self.binary = format!("{crate_name} (documentation)");
        } else if let Some(sum) = line.strip_prefix("test result: ") {
            self.outcome.passed += number_before(sum, " passed");
            self.failed_by_sum += number_before(sum, " failed");
        } else if let Some((name, end)) =
            line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "))
        {
            if end == "FAILED" {
                self.outcome.failed.push(format!("{}: {name}", self.binary));
            } else if let Some(reason) = end.strip_prefix("ignored") {
                let reason = format!("ignored{reason}");
                self.outcome.skipped.push(Skip { name: name.to_owned(), reason });
            }
        } else if line.starts_with("error: could not compile") {
            self.build_failed = true;
        }
    }

    pub(super) fn build_failed(&self) -> bool {
        self.build_failed
    }

    /// The count of a stage, whose commands all succeeded or did not.
    pub(super) fn finish(mut self, stage: &str, succeeded: bool, counts_tests: bool) -> Outcome {
        if !counts_tests {
            self.outcome = Outcome { passed: usize::from(succeeded), ..Outcome::default() };
            self.failed_by_sum = 0;
        }
        // Tests may fail without a line of their own, when their output tears it.
        while self.outcome.failed.len() < self.failed_by_sum {
            self.outcome.failed.push(format!("{stage}: a test whose name was not printed"));
        }
        if !succeeded && self.outcome.failed.is_empty() {
            let what = if self.build_failed { "does not build" } else { "failed" };
            self.outcome.failed.push(format!("{stage}: {what}"));
        }
        self.outcome
    }
}

/// The lines of a failed stage's output that help: the last ones, without what went well.
pub(super) fn worth_showing(output: &str, lines_max: usize) -> String {
    const WENT_WELL: &[&str] =
        &["Compiling ", "Checking ", "Downloaded ", "Downloading ", "Finished ", "Documenting "];
    let well = |line: &str| {
        WENT_WELL.iter().any(|start| line.trim_start().starts_with(start))
            || (line.starts_with("test ") && (line.ends_with(" ... ok") || line.contains(" ... ignored")))
    };
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty() && !well(line)).collect();
    lines[lines.len().saturating_sub(lines_max)..].join("\n")
}

/// The name of a test binary in `tests/cli.rs (target/debug/deps/cli-0a1b2c)`.
fn binary_of(running: &str) -> Option<&str> {
    let file = running.strip_suffix(')')?.rsplit('/').next()?;
    file.rsplit_once('-').map(|(name, _)| name)
}

/// The number that stands before a word in a sum such as `ok. 12 passed; 0 failed`.
fn number_before(sum: &str, word: &str) -> usize {
    let before = sum.split_once(word).map_or("", |(before, _)| before);
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> OutputReader {
        let mut reader = OutputReader::default();
        text.lines().for_each(|line| reader.read(line));
        reader
    }

    const RUN: &str = "   Compiling landfall v0.1.0
     Running unittests src/lib.rs (target/debug/deps/landfall-0a1b2c)
running 3 tests
test model::tests::merging_is_associative ... ok
test model::tests::nulls_count_as_zero ... FAILED
test model::tests::slow ... ignored, cargo xtask proof
test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
   Doc-tests landfall
test crates/landfall/src/lib.rs - (line 3) ... ok
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn a_test_run_is_counted_by_name() {
        let outcome = read(RUN).finish("test", false, true);
        let skip = Skip { name: "model::tests::slow".into(), reason: "ignored, cargo xtask proof".into() };
        let failed = vec!["landfall: model::tests::nulls_count_as_zero".to_owned()];
        assert_eq!(outcome, Outcome { passed: 2, failed, skipped: vec![skip] });
    }

    #[test]
    fn a_failure_without_a_name_still_counts() {
        let sum = "test result: FAILED. 0 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(read(sum).finish("test", false, true).failed.len(), 2);
        assert_eq!(
            read("error: could not compile `x`").finish("test", false, true).failed,
            ["test: does not build"]
        );
        assert_eq!(read("").finish("test", false, true).failed, ["test: failed"]);
    }

    #[test]
    fn a_stage_without_tests_counts_as_one() {
        assert_eq!(read("").finish("fmt", true, false).passed, 1);
        assert_eq!(read("").finish("fmt", false, false).failed, ["fmt: failed"]);
    }

    #[test]
    fn a_test_that_skipped_itself_has_not_passed() {
        let mut outcome = Outcome { passed: 3, ..Outcome::default() };
        outcome.add_self_skipped("SKIPPED: a::b: no redis-server\nSKIPPED: a::b: no redis-server\nnoise\n");
        assert_eq!(outcome.passed, 2);
        assert_eq!(outcome.skipped, [Skip { name: "a::b".into(), reason: "no redis-server".into() }]);
    }

    #[test]
    fn what_went_well_is_not_shown_again() {
        assert_eq!(worth_showing("  Compiling a\ntest b ... ok\n\nerror: c\nd\n", 9), "error: c\nd");
        assert_eq!(worth_showing("a\nb\nc\n", 2), "b\nc");
    }
}
