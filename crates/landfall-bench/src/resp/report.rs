//! The figures as a page and as a document: medians over the passes, and every single run.
//! It must never leave a row out because of what it says.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::contestant::{Kind, Landed};
use super::options::{Length, Plan};
use super::{Figures, Outcome, Run};
use crate::figures::{grouped, median, spread};
use crate::machine::Machine;

/// One run, for those who watch.
pub(super) fn line(run: &Run) -> String {
    let cell = format!("{} P{} {}", run.test, run.pipeline, run.server);
    match &run.outcome {
        Outcome::Failed(reason) => format!("{cell}: failed: {reason}"),
        Outcome::Figures(figures) => format!(
            "{cell}: {}/s, p50 {:.3} ms, p99 {:.3} ms, server {:.2} us/request",
            grouped(figures.measured.requests_per_second),
            figures.measured.p50_ms,
            figures.measured.p99_ms,
            figures.server_us_per_request
        ),
    }
}

/// The page: where it was measured, how, and one table for each policy.
pub(super) fn page(machine: &Machine, plan: &Plan, runs: &[Run]) -> String {
    let mut page = String::from("# Landfall and Redis over the Redis protocol\n\n");
    // Writing to a String cannot fail.
    let _ = write!(page, "{}\n\n{}\n", place(machine, plan), explanation(plan));
    for policy in &plan.policies {
        let _ = write!(page, "\n## {}\n\n{HEADER}", policy.name());
        for &pipeline in &plan.pipelines {
            for test in &plan.tests {
                let of_cell: Vec<&Run> = runs
                    .iter()
                    .filter(|run| run.policy == policy.name())
                    .filter(|run| run.pipeline == pipeline && run.test == test.name())
                    .collect();
                page.extend(Kind::ALL.iter().map(|kind| row(*kind, &of_cell)));
            }
        }
    }
    page
}

/// Writes the document to `json` and the page beside it.
pub(super) fn write(json: &Path, page: &str, machine: &Machine, plan: &Plan, runs: &[Run]) -> Result<()> {
    if let Some(folder) = json.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let plan = json!({
        "connections": plan.connections,
        "keys": plan.keys,
        "passes": plan.passes,
        "landing_passes": plan.landing_passes,
        "drain_seconds_max": plan.drain.as_secs(),
    });
    let document = format!("{:#}\n", json!({"machine": machine, "plan": plan, "runs": runs}));
    for (file, text) in [(json.to_owned(), document.as_str()), (json.with_extension("md"), page)] {
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn place(machine: &Machine, plan: &Plan) -> String {
    let build = plan.landfall.parent().and_then(Path::file_name).unwrap_or_default();
    format!(
        "Measured {} at commit {} ({} build) on {} cores ({}), {}, Linux {}, data on {}, {}.\nLoad before: {}. Command:\n\n    {}",
        machine.started,
        machine.commit,
        build.display(),
        machine.cores,
        machine.processor,
        machine.memory,
        machine.kernel,
        machine.file_system,
        machine.redis,
        machine.load_before,
        machine.command
    )
}

fn explanation(plan: &Plan) -> String {
    let length = match plan.length {
        Length::Seconds(seconds) => format!("about {seconds} s"),
        Length::Requests(requests) => format!("{requests} requests"),
    };
    format!(
        "redis-benchmark, {} connections, {} random keys of each kind, {length} a cell, client and servers share the cores. Medians over\n\
         {} alternating passes (with landing running: the first {}); *spread* is largest minus smallest rate, in percent of the\n\
         median. Latencies are those of a whole pipeline, as redis-benchmark measures them. *ratio* is the rate divided by\n\
         that of Redis in the same cell: below 1.00, Redis is faster. *server us* is processor time of the server for one request,\n\
         all threads (landing included). *rows landed* and *changes per row* (the coalescing ratio) count until all of the cell is landed, *under load* the rows landed a second while\n\
         redis-benchmark ran. Both sides sync as the heading says: `appendfsync` of Redis, `--fsync` of Landfall. Redis never rewrites\n\
         its file here, and Landfall's bounds are raised so far that nothing is refused.",
        plan.connections,
        plan.keys,
        plan.passes,
        plan.landing_passes.min(plan.passes)
    )
}

const HEADER: &str = "\
| command | pipeline | server | requests/s | spread | ratio | p50 ms | p99 ms | p99.9 ms | server us | rows landed | under load | changes per row |
|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
";

fn row(kind: Kind, of_cell: &[&Run]) -> String {
    let of = |kind: Kind| of_cell.iter().filter(move |run| run.server == kind.name());
    let Some(first) = of(kind).next() else { return String::new() };
    let start = format!("| {} | {} | {} |", first.test, first.pipeline, kind.name());
    let figures: Vec<Figures> = of(kind).filter_map(|run| figures(run)).collect();
    let failed = of(kind).find_map(|run| match &run.outcome {
        Outcome::Failed(reason) => Some(reason.replace(['|', '\n'], " ")),
        Outcome::Figures(_) => None,
    });
    if let Some(reason) = failed {
        return format!("{start} failed: {reason} | | | | | | | | | |\n");
    }
    let rates: Vec<f64> = figures.iter().map(|figures| figures.measured.requests_per_second).collect();
    let of_redis: Vec<f64> = of(Kind::Redis).filter_map(|run| figures_rate(run)).collect();
    let middle = |of: fn(&Figures) -> f64| median(&figures.iter().map(of).collect::<Vec<f64>>());
    let ratio = match (kind, of_redis.is_empty()) {
        (Kind::Redis, _) | (_, true) => String::new(),
        _ => format!("{:.2}", median(&rates) / median(&of_redis)),
    };
    format!(
        "{start} {} | {:.0} % | {ratio} | {:.3} | {:.3} | {:.3} | {:.2} | {} |\n",
        grouped(median(&rates)),
        spread(&rates) * 100.0,
        middle(|figures| figures.measured.p50_ms),
        middle(|figures| figures.measured.p99_ms),
        middle(|figures| figures.measured.p999_ms),
        middle(|figures| figures.server_us_per_request),
        landing(of(kind))
    )
}

fn figures(run: &Run) -> Option<Figures> {
    match run.outcome {
        Outcome::Figures(figures) => Some(figures),
        Outcome::Failed(_) => None,
    }
}

fn figures_rate(run: &Run) -> Option<f64> {
    Some(figures(run)?.measured.requests_per_second)
}

/// The three columns about landing.
fn landing<'a>(runs: impl Iterator<Item = &'a &'a Run>) -> String {
    let seen: Vec<(Landed, f64)> = runs
        .filter_map(|run| {
            let figures = figures(run)?;
            let seconds = run.requests as f64 / figures.measured.requests_per_second;
            Some((figures.landed?, seconds))
        })
        .collect();
    if seen.is_empty() {
        return " | | ".to_owned();
    }
    let middle = |of: fn(&(Landed, f64)) -> f64| median(&seen.iter().map(of).collect::<Vec<f64>>());
    let left = if seen.iter().any(|(landed, _)| landed.unfinished) { " (not all)" } else { "" };
    format!(
        "{}{left} | {}/s | {:.2}",
        grouped(middle(|(landed, _)| landed.rows as f64)),
        grouped(middle(|(landed, seconds)| landed.rows_under_load as f64 / seconds)),
        middle(|(landed, _)| landed.changes as f64 / landed.rows.max(1) as f64)
    )
}

#[cfg(test)]
mod tests {
    use super::super::load::Measured;
    use super::*;

    fn run(kind: Kind, pass: u32, requests_per_second: f64, landed: Option<Landed>) -> Run {
        let measured = Measured { requests_per_second, p50_ms: 0.1, p99_ms: 0.2, p999_ms: 0.3, max_ms: 0.4 };
        let figures = Figures { measured, server_us_per_request: 1.5, landed };
        let outcome = Outcome::Figures(figures);
        let server = kind.name();
        Run { policy: "always", test: "INCR", pipeline: 16, server, pass, requests: 1000, outcome }
    }

    #[test]
    fn a_row_has_medians_and_the_ratio_to_redis() {
        let landed =
            Landed { rows_under_load: 100, rows: 200, changes: 1000, drain_seconds: 0.5, unfinished: false };
        let runs = [
            run(Kind::Redis, 1, 1000.0, None),
            run(Kind::Redis, 2, 3000.0, None),
            run(Kind::Redis, 3, 2000.0, None),
            run(Kind::LandfallLanding, 1, 1000.0, Some(landed)),
        ];
        let runs: Vec<&Run> = runs.iter().collect();
        assert_eq!(
            row(Kind::Redis, &runs),
            "| INCR | 16 | redis | 2,000 | 100 % |  | 0.100 | 0.200 | 0.300 | 1.50 |  | |  |\n"
        );
        assert_eq!(
            row(Kind::LandfallLanding, &runs),
            "| INCR | 16 | landfall, landing | 1,000 | 0 % | 0.50 | 0.100 | 0.200 | 0.300 | 1.50 | 200 | 100/s | 5.00 |\n"
        );
        assert_eq!(row(Kind::LandfallPaused, &runs), "");
    }

    #[test]
    fn a_cell_that_failed_once_says_so_in_place_of_figures() {
        let mut failed = run(Kind::LandfallPaused, 2, 1.0, None);
        failed.outcome = Outcome::Failed("TRYAGAIN | full".to_owned());
        let runs = [run(Kind::LandfallPaused, 1, 1.0, None), failed];
        let runs: Vec<&Run> = runs.iter().collect();
        let row = row(Kind::LandfallPaused, &runs);
        assert!(row.contains("failed: TRYAGAIN   full"), "{row}");
        assert_eq!(row.matches('|').count(), HEADER.lines().next().unwrap_or_default().matches('|').count());
    }

    #[test]
    fn rates_have_groups_of_three_digits() {
        assert_eq!(grouped(1_234_567.4), "1,234,567");
        assert_eq!(grouped(123.0), "123");
        assert_eq!(grouped(0.0), "0");
    }
}
