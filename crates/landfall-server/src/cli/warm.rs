//! `landfall warm`: loads the rows of a table into the cache of a running server, page by page; it never pushes out what is
//! there already.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use landfall_resp::Value;

use super::{Context, print};
use crate::client::ClientError;
use crate::failure::{FINDING, Failure, OK};

/// How many rows are asked for at once.
const PAGE_ROWS: u64 = 1_000;
/// Whoever waits longer than this wants to see how far it is.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);
/// How long one page may take before the server is given up.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a page is asked for again that the server has no time for.
const TRIES_MAX: u32 = 10;

/// Load the rows of a table into the cache, so that nobody waits for the database
///
/// Rows that have not landed and rows that were read are known already and are left as they are. It stops when three quarters
/// of the cache's memory are taken, and ends with 1 then. Rows stay as long as rows that somebody has read (ttl).
#[derive(Args)]
#[command(after_help = "Example: landfall warm flight --limit 10000")]
pub(super) struct Warm {
    /// The table
    table: String,
    /// Load no more than so many rows
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

impl Warm {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        let mut client = context.connect()?;
        client.set_timeout(PAGE_TIMEOUT);
        let (mut cursor, mut loaded, mut tries) = ("0".to_owned(), 0u64, 0);
        let (begun, mut bar) = (Instant::now(), None);
        let is_seen = std::io::stderr().is_terminal() && !context.global.quiet;
        let is_full = loop {
            let left = self.limit.map_or(PAGE_ROWS, |limit| limit.saturating_sub(loaded).min(PAGE_ROWS));
            if left == 0 {
                break false;
            }
            let page = client.value(&["LANDFALL.WARM", &self.table, &cursor, "COUNT", &left.to_string()]);
            let (next, rows, is_full) = match page {
                Err(ClientError::Refused(reason)) if reason.starts_with("TRYAGAIN") && tries < TRIES_MAX => {
                    tries += 1;
                    continue;
                }
                page => read(&page.map_err(Failure::from)?)?,
            };
            (cursor, tries) = (next, 0);
            loaded += rows;
            if is_seen && begun.elapsed() > PROGRESS_AFTER {
                show(&mut bar, &self.table, loaded);
            }
            if is_full || cursor == "0" {
                break is_full;
            }
        };
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        self.tell(context, (loaded, is_full), begun.elapsed())
    }

    fn tell(&self, context: &Context, (loaded, is_full): (u64, bool), took: Duration) -> Result<u8> {
        if context.global.json {
            let document = serde_json::json!({ "table": self.table, "loaded": loaded, "full": is_full });
            print(&format!("{document}\n"))?;
        } else if !context.global.quiet {
            let (rows, seconds) = (if loaded == 1 { "row" } else { "rows" }, took.as_secs_f64());
            print(&format!("{loaded} {rows} of {} loaded, in {seconds:.1} s\n", self.table))?;
        }
        if is_full && !context.global.json {
            eprintln!(
                "landfall: the cache is warm up to three quarters of its memory; give it more with --maxmemory"
            );
        }
        Ok(if is_full { FINDING } else { OK })
    }
}

/// The next cursor, the rows, and whether the cache is full.
fn read(reply: &Value) -> Result<(String, u64, bool)> {
    if let Value::Array(items) = reply
        && let [Value::Bulk(cursor), Value::Integer(rows), Value::Integer(full)] = items.as_slice()
    {
        return Ok((
            String::from_utf8_lossy(cursor).into_owned(),
            u64::try_from(*rows).unwrap_or(0),
            *full != 0,
        ));
    }
    anyhow::bail!(
        "the server answers LANDFALL.WARM in a way that this program does not understand; is it older?"
    )
}

fn show(bar: &mut Option<ProgressBar>, table: &str, loaded: u64) {
    let bar = bar.get_or_insert_with(|| {
        let style = ProgressStyle::with_template("{spinner} {msg} {human_pos} rows");
        ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
    });
    bar.set_message(table.to_owned());
    bar.set_position(loaded);
    bar.tick();
}
