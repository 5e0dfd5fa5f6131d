//! What the demo shows: at most 80 columns, nothing that moves in a pipe, and every check that held or did not.
//! It must never show a figure that was not measured.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use owo_colors::{OwoColorize, Style};

/// The width of a terminal that nobody has touched.
const WIDTH: usize = 80;

/// The demo's output.
pub(super) struct Screen {
    pub(super) coloured: bool,
    pub(super) verbose: bool,
    /// Whether to wait for Enter before each step.
    pub(super) interactive: bool,
    held: usize,
    failed: usize,
}

impl Screen {
    pub(super) fn new(coloured: bool, verbose: bool, interactive: bool) -> Screen {
        Screen { coloured, verbose, interactive, held: 0, failed: 0 }
    }

    /// How many checks held, and how many did not.
    pub(super) fn checks(&self) -> (usize, usize) {
        (self.held, self.failed)
    }

    pub(super) fn line(&self, text: &str) -> io::Result<()> {
        self.styled(text, Style::new())
    }

    pub(super) fn blank(&self) -> io::Result<()> {
        self.line("")
    }

    /// A name and what belongs to it.
    pub(super) fn field(&self, name: &str, value: &str) -> io::Result<()> {
        self.line(&format!("  {name:<16} {value}"))
    }

    /// The heading of a step, after Enter if somebody is there to press it.
    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        self.blank()?;
        if self.interactive {
            let answer = self.ask(&format!("Press Enter: {text} "))?;
            // Nobody is there any more: go on without asking.
            self.interactive = answer.is_some();
        }
        self.rule(text)
    }

    /// A line with a title in it.
    pub(super) fn rule(&self, title: &str) -> io::Result<()> {
        let rule = WIDTH.saturating_sub(title.chars().count() + 4);
        self.styled(&format!("── {title} {}", "─".repeat(rule)), Style::new().bold())
    }

    /// One thing that the step shows, and whether it is so.
    pub(super) fn check(&mut self, holds: bool, sentence: &str) -> io::Result<()> {
        if holds {
            self.held += 1;
            self.styled(&format!("  ✓ {sentence}"), Style::new().green())
        } else {
            self.failed += 1;
            self.styled(&format!("  ✗ {sentence}: this does not hold"), Style::new().red().bold())
        }
    }

    /// What is only shown with `--verbose`: a cache command, the queue, SQL.
    pub(super) fn detail(&self, kind: &str, text: &str) -> io::Result<()> {
        if !self.verbose {
            return Ok(());
        }
        self.styled(&format!("    {kind:>6} │ {text}"), Style::new().dimmed())
    }

    pub(super) fn styled(&self, text: &str, style: Style) -> io::Result<()> {
        let mut text = text.trim_end().to_owned();
        if text.chars().count() > WIDTH {
            text = text.chars().take(WIDTH - 1).chain(['…']).collect();
        }
        let mut out = io::stdout().lock();
        if self.coloured { writeln!(out, "{}", text.style(style)) } else { writeln!(out, "{text}") }
    }

    pub(super) fn table<const N: usize>(&self, header: [&str; N], rows: &[[String; N]]) -> io::Result<()> {
        for line in table_lines(header, rows) {
            self.line(&line)?;
        }
        Ok(())
    }

    /// Shows how far the queue is while it is worked off; only on a terminal.
    pub(super) fn queue_bar(&self, changes: u64) -> ProgressBar {
        if !io::stdout().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("  Landing          {bar:40} {pos}/{len}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(changes), ProgressDrawTarget::stdout());
        bar.set_style(style.progress_chars("██░"));
        bar.tick();
        bar
    }

    /// Leaves the bar as it ended; the rest goes on below it.
    pub(super) fn end_bar(&self, bar: &ProgressBar, done: u64) -> io::Result<()> {
        bar.set_position(done);
        if bar.is_hidden() {
            return Ok(());
        }
        bar.abandon();
        self.blank()
    }

    /// Asks, and returns the answer, or none when the input has ended.
    pub(super) fn ask(&self, question: &str) -> io::Result<Option<String>> {
        let mut out = io::stdout().lock();
        write!(out, "{question}")?;
        out.flush()?;
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer)?;
        Ok((read > 0).then(|| answer.trim().to_owned()))
    }
}

fn table_lines<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table.lines().map(|line| format!("  {line}")).collect()
}

/// A latency in milliseconds, with three digits that count.
pub(super) fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1_000.0;
    match millis {
        millis if millis < 10.0 => format!("{millis:.3} ms"),
        millis if millis < 100.0 => format!("{millis:.1} ms"),
        millis => format!("{millis:.0} ms"),
    }
}

/// How often one time fits into another.
pub(super) fn ratio(longer: Duration, shorter: Duration) -> String {
    let ratio = longer.as_secs_f64() / shorter.as_secs_f64().max(1e-9);
    if ratio < 10.0 { format!("{ratio:.1}x") } else { format!("{ratio:.0}x") }
}

/// The middle one of some measurements.
pub(super) fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_into_eighty_columns() {
        let row = ["departure", "2025-10-01T11:19:00", "2025-10-01T13:19:00", "✗ differs"].map(str::to_owned);
        let lines = table_lines(["Field", "Database (old)", "Cache (new)", "Match"], &[row]);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("Cache (new)")));
    }

    #[test]
    fn figures_have_three_digits() {
        assert_eq!(millis(Duration::from_micros(412)), "0.412 ms");
        assert_eq!(millis(Duration::from_micros(41_234)), "41.2 ms");
        assert_eq!(millis(Duration::from_millis(412)), "412 ms");
        assert_eq!(ratio(Duration::from_millis(9), Duration::from_millis(3)), "3.0x");
        assert_eq!(ratio(Duration::from_millis(99), Duration::from_millis(3)), "33x");
        assert_eq!(median(&mut [3, 1, 2].map(Duration::from_millis)), Duration::from_millis(2));
        assert_eq!(median(&mut []), Duration::ZERO);
    }
}
