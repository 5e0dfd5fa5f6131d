//! The end of the demo: what was measured, what the window of inconsistency depends on, and the patterns side by side.
//! Words of comparison are those of the field; every number comes from this run.

use anyhow::Result;

use super::screen::{millis, ratio};
use super::walk::Walk;

pub(super) fn show(walk: &Walk<'_>) -> Result<()> {
    let (screen, figures) = (&walk.screen, &walk.figures);
    screen.blank()?;
    screen.rule("Summary")?;
    let (behind, through) = (figures.write_behind, figures.write_through);
    screen.field("Write-behind:", &format!("{} a write, safe in the log", millis(behind)))?;
    screen.field("Write-through:", &format!("{} a write, committed in the database", millis(through)))?;
    screen.field("Ratio:", &ratio(through, behind))?;
    screen.field("Cache hit:", &format!("{} a read", millis(figures.hit)))?;
    screen.field("Database query:", &format!("{} a read (cache miss)", millis(figures.miss)))?;
    screen.field("Inconsistency:", &format!("{} from acknowledgement to commit", millis(figures.window)))?;
    screen.line("  It depends on the flush interval, on the speed of the database, and on how")?;
    screen.line(&format!(
        "  deep the queue is. The interval was {} ms (flush-interval); reads through",
        figures.flush_interval_ms
    ))?;
    screen.line("  Landfall never see it, readers who ask the database directly do.")?;
    screen.blank()?;
    let rows = [
        ["Write", &millis(behind), &millis(through), &format!("{} + evict", millis(through))],
        [
            "Read",
            &millis(figures.hit),
            &millis(figures.hit),
            &format!("{} after a write", millis(figures.miss)),
        ],
        ["Consistency", "a moment later", "at once", "at once"],
        ["Complexity", "log, landing", "low", "low, stale risk"],
        ["Database load", "merged batches", "every write", "writes, misses"],
        ["Use case", "counters, feeds", "payments", "read-mostly"],
    ];
    let rows = rows.map(|row| row.map(str::to_owned));
    screen.table(["", "Write-behind", "Write-through", "Cache-aside"], &rows)?;
    screen.line("  Cache-aside is put together from the figures above; the others were run.")?;
    Ok(())
}
