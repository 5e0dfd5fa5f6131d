//! The figures as a page and as a document: medians over the passes, and every single run.
//! It must never leave a row out because of what it says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::cell::Rows;
use super::{Figures, Run};
use crate::figures::{grouped, median, spread};
use crate::machine::Machine;

pub(super) const END_TO_END: &str = "End to end: acknowledged and landed";
/// The unit of the times in /proc: the same on every Linux, whatever the kernel's own ticks.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn of_rows(rows: Rows) -> &'static str {
    match rows {
        Rows::Upserts => "Upserts of a row of six columns, all rows there",
        Rows::Events => "Events with a UNIQUE request_id, random UUIDs",
        Rows::Keys => "Strings of 64 B into Landfall's own table",
    }
}

/// Processor time of the processes whose command line names a folder, and of what they have waited for.
pub(super) fn processor_seconds_below(folder: &Path) -> f64 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0.0 };
    let named = |process: &Path| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("postgres") && line.contains(&*folder.to_string_lossy())
    };
    let processes: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    let Some(postmaster) = processes.iter().find(|process| named(process)) else { return 0.0 };
    let id = postmaster.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stats = processes.iter().filter_map(|process| fs::read_to_string(process.join("stat")).ok());
    stats
        .map(|stat| {
            let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            let fields: Vec<&str> = rest.split_whitespace().collect();
            let number =
                |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
            match (stat.split(' ').next(), fields.get(1)) {
                // The postmaster has what its ended children used.
                (Some(own), _) if own == id => number(11) + number(12) + number(13) + number(14),
                (_, Some(parent)) if *parent == id => number(11) + number(12),
                _ => 0.0,
            }
        })
        .sum::<f64>()
        / TICKS_PER_SECOND
}

/// One run, for those who watch.
pub(super) fn line(run: &Run) -> String {
    let start = format!("{} x{} {}", run.who, run.connections, run.batch_rows);
    match (&run.failed, &run.figures) {
        (None, Some(figures)) => {
            let acknowledged = figures.acknowledged_per_second;
            let acknowledged =
                acknowledged.map_or(String::new(), |rate| format!(", acknowledged {}/s", grouped(rate)));
            let us = |us: Option<f64>| us.map_or("-".to_owned(), |us| format!("{us:.2}"));
            format!(
                "{start}: {} rows/s{acknowledged}; us a row: client {}, PostgreSQL {}",
                grouped(figures.rows_per_second),
                us(figures.client_us),
                us(figures.server_us)
            )
        }
        (reason, _) => format!("{start}: FAILED: {}", reason.as_deref().unwrap_or("no figures")),
    }
}

/// The page: where it was measured, how, and one table for each part.
pub(super) fn page(machine: &Machine, version: &str, rows: u64, passes: u32, runs: &[Run]) -> String {
    let mut page = format!(
        "# Landing in PostgreSQL\n\nMeasured {} at commit {} on {} cores ({}), {}, Linux {}, PostgreSQL {version}, {}.\n\
         Load before: {}. Command:\n\n    {}\n\n\
         {rows} distinct keys. A private server with fsync and synchronous_commit on, shared_buffers 1 GB, no checkpoint and no autovacuum\n\
         within a cell; clients and server share the cores. Medians over {passes} alternating passes (end to end: those that were asked for);\n\
         *spread* is largest minus smallest, in percent of the median. Every transaction moves a watermark: by hand one UPDATE of one row, Landfall\n\
         its fence. *of the best* is the rate divided by the best one by hand over as many connections, whatever its batch.\n\
         *client us* and *PostgreSQL us* are processor time for a row; the client's is that of the threads that land, and end to end that of the\n\
         whole server process, for a change.\n",
        machine.started,
        machine.commit,
        machine.cores,
        machine.processor,
        machine.memory,
        machine.kernel,
        machine.redis,
        machine.load_before,
        machine.command,
    );
    let _ = write!(page, "\n{}", in_short(runs));
    for rows in [Rows::Upserts, Rows::Events, Rows::Keys] {
        cells(&mut page, of_rows(rows), runs);
    }
    end_to_end(&mut page, runs);
    page
}

/// Where the README's table begins and ends.
const IN_SHORT: &str = "<!-- postgres: from docs/benchmarks/postgres.md -->\n";
const IN_SHORT_END: &str = "<!-- end of postgres -->\n";

/// The table of the README: the best by hand, the best of Landfall, and what is end to end.
fn in_short(runs: &[Run]) -> String {
    let mut table = format!(
        "{IN_SHORT}| | acknowledged/s | landed rows/s | of the best by hand | changes per row |\n|---|--:|--:|--:|--:|\n"
    );
    for rows in [Rows::Upserts, Rows::Events, Rows::Keys] {
        for connections in [1, 2] {
            let of_part = kinds(runs, of_rows(rows));
            let here = |is_hand: bool| {
                let kinds = of_part.iter().filter(|kind| {
                    kind.first().is_some_and(|run| {
                        run.connections == connections && run.who.starts_with("by hand") == is_hand
                    })
                });
                kinds
                    .map(|kind| median(&values(kind, |figures| Some(figures.rows_per_second))))
                    .fold(0.0, f64::max)
            };
            let (best, sink) = (here(true), here(false));
            if sink > 0.0 {
                let share = if best > 0.0 { format!("{:.2}", sink / best) } else { String::new() };
                let what = of_rows(rows);
                let _ = writeln!(
                    table,
                    "| The sink, connections: {connections}. {what} | | {} | {share} | |",
                    grouped(sink)
                );
            }
        }
    }
    for kind in kinds(runs, END_TO_END) {
        let middle = |of: fn(&Figures) -> Option<f64>| median(&values(&kind, of));
        let share = middle(|figures| Some(figures.changes as f64 / figures.rows.max(1) as f64));
        let Some(first) = kind.first().filter(|_| !share.is_nan()) else { continue };
        let _ = writeln!(
            table,
            "| {} | {} | {} | | {share:.2} |",
            first.who,
            grouped(middle(|figures| figures.acknowledged_per_second)),
            grouped(middle(|figures| Some(figures.rows_per_second))),
        );
    }
    table + IN_SHORT_END
}

/// The table of a page, from its mark to its end.
fn table_of(page: &str) -> Option<&str> {
    let begin = page.find(IN_SHORT)?;
    let end = begin + page[begin..].find(IN_SHORT_END)? + IN_SHORT_END.len();
    Some(&page[begin..end])
}

/// Puts the table of a page into the README, in the place of the one that is there.
pub(super) fn write_readme(readme: &Path, page: &str) -> Result<()> {
    let text = fs::read_to_string(readme).with_context(|| format!("cannot read {}", readme.display()))?;
    let old = table_of(&text).context("the README has no place for the table of PostgreSQL")?;
    let new = table_of(page).context("the page has no table for the README")?;
    fs::write(readme, text.replace(old, new)).with_context(|| format!("cannot write {}", readme.display()))
}

/// The runs of a part by what they measure, in the order in which they first came.
fn kinds<'a>(runs: &'a [Run], part: &str) -> Vec<Vec<&'a Run>> {
    let mut places = BTreeMap::new();
    let mut kinds: Vec<Vec<&Run>> = Vec::new();
    for run in runs.iter().filter(|run| run.part == part) {
        let key = (run.connections, run.batch_rows, run.who.clone());
        let at = *places.entry(key).or_insert(kinds.len());
        match kinds.get_mut(at) {
            Some(kind) => kind.push(run),
            None => kinds.push(vec![run]),
        }
    }
    kinds
}

fn cells(page: &mut String, part: &str, runs: &[Run]) {
    let mut kinds = kinds(runs, part);
    kinds.sort_by_key(|kind| kind.first().map(|run| (run.connections, run.batch_rows)));
    if kinds.is_empty() {
        return;
    }
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "\n## {part}\n\n| connections | rows a batch | who | rows/s | spread | of the best | client us | PostgreSQL us |\n\
         |--:|--:|---|--:|--:|--:|--:|--:|\n"
    );
    let rate = |kind: &[&Run]| median(&values(kind, |figures| Some(figures.rows_per_second)));
    for kind in &kinds {
        let Some(first) = kind.first() else { continue };
        let start =
            format!("| {} | {} | {} |", first.connections, grouped(first.batch_rows as f64), first.who);
        if let Some(reason) = kind.iter().find_map(|run| run.failed.as_ref()) {
            let _ = writeln!(page, "{start} failed: {} | | | | |", reason.replace(['|', '\n'], " "));
            continue;
        }
        let by_hand = kinds.iter().filter(|other| {
            other
                .first()
                .is_some_and(|run| run.connections == first.connections && run.who.starts_with("by hand"))
        });
        let best = by_hand.map(|other| rate(other)).fold(0.0, f64::max);
        let share = if best > 0.0 { format!("{:.2}", rate(kind) / best) } else { String::new() };
        let rates = values(kind, |figures| Some(figures.rows_per_second));
        let _ = writeln!(
            page,
            "{start} {} | {:.0} % | {share} | {:.2} | {:.2} |",
            grouped(rate(kind)),
            spread(&rates) * 100.0,
            median(&values(kind, |figures| figures.client_us)),
            median(&values(kind, |figures| figures.server_us)),
        );
    }
}

fn end_to_end(page: &mut String, runs: &[Run]) {
    let kinds = kinds(runs, END_TO_END);
    if kinds.is_empty() {
        return;
    }
    let _ = write!(
        page,
        "\n## {END_TO_END}\n\nTwo connections that send 500 commands at once. *landed/s* counts from the first command until all is landed. Redis and Landfall\n\
         sync every second; Redis gets a SET and an RPUSH for each row, the worker pops 500 and upserts them in one statement.\n\n\
         | who | acknowledged/s | landed rows/s | rows | changes per row | changes/s landed | rows a batch | client us | PostgreSQL us |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|\n"
    );
    for kind in &kinds {
        let Some(first) = kind.first() else { continue };
        if let Some(reason) = kind.iter().find_map(|run| run.failed.as_ref()) {
            let _ = writeln!(
                page,
                "| {} | failed: {} | | | | | | | |",
                first.who,
                reason.replace(['|', '\n'], " ")
            );
            continue;
        }
        let middle = |of: fn(&Figures) -> Option<f64>| median(&values(kind, of));
        let share = middle(|figures| Some(figures.changes as f64 / figures.rows.max(1) as f64));
        let landed = middle(|figures| Some(figures.rows_per_second));
        let batch =
            middle(|figures| figures.batches.map(|batches| figures.rows as f64 / batches.max(1) as f64));
        let or_none = |value: f64, digits: usize| match value.is_nan() {
            true => String::new(),
            false if digits == 0 => grouped(value),
            false => format!("{value:.digits$}"),
        };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {share:.2} | {} | {} | {} | {} |",
            first.who,
            grouped(middle(|figures| figures.acknowledged_per_second)),
            grouped(landed),
            grouped(middle(|figures| Some(figures.rows as f64))),
            grouped(landed * share),
            or_none(batch, 0),
            or_none(middle(|figures| figures.client_us), 2),
            or_none(middle(|figures| figures.server_us), 2),
        );
    }
}

/// Writes the document to `json` and the page beside it.
pub(super) fn write(
    json: &Path,
    page: &str,
    machine: &Machine,
    version: &str,
    rows: u64,
    runs: &[Run],
) -> Result<()> {
    if let Some(folder) = json.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let document = json!({"machine": machine, "postgres": version, "rows": rows, "runs": runs});
    for (file, text) in
        [(json.to_owned(), format!("{document:#}\n")), (json.with_extension("md"), page.to_owned())]
    {
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn values(kind: &[&Run], of: impl Fn(&Figures) -> Option<f64>) -> Vec<f64> {
    kind.iter().filter_map(|run| run.figures.as_ref().and_then(&of)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(who: &str, pass: u32, rows_per_second: f64) -> Run {
        let figures = Figures { rows: 10, changes: 20, rows_per_second, ..Figures::default() };
        let part = of_rows(Rows::Upserts);
        let (who, failed, figures) = (who.to_owned(), None, Some(figures));
        Run { part, who, connections: 2, batch_rows: 500, pass, failed, figures }
    }

    #[test]
    fn a_rate_is_the_middle_of_its_passes_and_is_held_to_the_best_by_hand() {
        let runs = [
            run("by hand: a", 1, 100.0),
            run("by hand: b", 1, 200.0),
            run("sink", 1, 90.0),
            run("sink", 2, 110.0),
        ];
        let mut page = String::new();
        cells(&mut page, of_rows(Rows::Upserts), &runs);
        assert!(page.contains("| 2 | 500 | sink | 100 | 20 % | 0.50 |"), "{page}");
    }

    #[test]
    fn the_readme_has_the_table_of_the_committed_page() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = |name: &str| fs::read_to_string(root.join(name)).unwrap();
        let (readme, page) = (text("README.md"), text("docs/benchmarks/postgres.md"));
        assert_eq!(table_of(&readme).unwrap(), table_of(&page).unwrap());
    }

    #[test]
    fn a_part_that_failed_stays_in_the_table_with_its_reason() {
        let mut failed = run("Redis list and a worker in Go", 1, 0.0);
        (failed.part, failed.failed, failed.figures) = (END_TO_END, Some("MISSING: no go".into()), None);
        let mut page = String::new();
        end_to_end(&mut page, &[failed]);
        assert!(page.contains("worker in Go | failed: MISSING: no go |"), "{page}");
    }
}
