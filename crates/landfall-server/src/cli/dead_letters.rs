//! `landfall dead-letters`: what the database refused, and what a person does about it.
//! It must never drop anything that was not named and confirmed.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::Value as Json;

use super::{Context, print};
use crate::client::Client;
use crate::failure::{FINDING, Failure, OK, USAGE};
use crate::wrap::{counted, wrapped};

const COMMAND: &str = "LANDFALL.DEADLETTERS";

/// Look at what the database refused, correct it, try it again, or give it up
///
/// A row that the database refuses is kept beside the others and stays in what clients read; the rows around it land. Writing the row
/// again corrects it: the new write and the letter are tried together. Deleting the row gives the letter up.
#[derive(Args)]
#[command(
    after_help = "Example: landfall dead-letters list\n         landfall dead-letters edit 7 email ann@example.org"
)]
pub(super) struct DeadLettersCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the dead letters, oldest first; ends with 1 while there is one
    #[command(after_help = "Example: landfall dead-letters list customer")]
    List {
        /// Only those of this table
        table: Option<String>,
    },
    /// Show all of one letter
    #[command(after_help = "Example: landfall dead-letters show 7")]
    Show {
        /// Its id
        id: u64,
    },
    /// Try letters again as they are, when what stood in their way was changed in the database
    #[command(after_help = "Example: landfall dead-letters retry ALL")]
    Retry {
        /// An id, a table, or ALL
        which: String,
    },
    /// Give columns of a letter other values and try it again
    #[command(after_help = "Example: landfall dead-letters edit 7 email ann@example.org")]
    Edit {
        /// Its id
        id: u64,
        /// Column and value, column and value
        #[arg(required = true, num_args = 2.., value_names = ["COLUMN", "VALUE"], allow_negative_numbers = true)]
        pairs: Vec<String>,
    },
    /// Give a letter up: what it holds is gone for good
    #[command(after_help = "Example: landfall dead-letters drop 7 --confirm")]
    Drop {
        /// Its id
        id: u64,
        /// Say that you mean it
        #[arg(long)]
        confirm: bool,
    },
    /// Print all letters with all that they hold, one JSON document a line
    #[command(after_help = "Example: landfall dead-letters export > letters.jsonl")]
    Export {
        /// Only those of this table
        table: Option<String>,
    },
}

impl DeadLettersCommand {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        match &self.action {
            Action::List { table } => list(context, table.as_deref()),
            Action::Export { table } => {
                let mut client = context.connect()?;
                pages(&mut client, table.as_deref(), true, |letter| print(&format!("{letter}\n")))?;
                Ok(OK)
            }
            Action::Show { id } => show(context, *id),
            Action::Retry { which } => act(context, &["RETRY", which]),
            Action::Edit { id, pairs } => {
                let id = id.to_string();
                let mut words = vec!["EDIT", &id];
                words.extend(pairs.iter().map(String::as_str));
                act(context, &words)
            }
            Action::Drop { id, confirm: false } => {
                let message = format!(
                    "what dead letter {id} holds is gone for good when it is dropped; look at it with `landfall dead-letters show {id}`, and then run `landfall dead-letters drop {id} --confirm`"
                );
                Err(Failure::new(USAGE, message).into())
            }
            Action::Drop { id, confirm: true } => act(context, &["DROP", &id.to_string(), "CONFIRM"]),
        }
    }
}

/// Asks, waits until it has landed, and says what is left.
fn act(context: &Context, words: &[&str]) -> Result<u8> {
    let mut client = context.connect()?;
    let command: Vec<&str> = std::iter::once(COMMAND).chain(words.iter().copied()).collect();
    let asked = client.integer(&command).map_err(Failure::from)?;
    // Held up or not, the letters tell what came of it.
    let landed = client.call(&["LANDFALL.FLUSH"]).map_err(Failure::from)?;
    let (_, status) = client.document(&["LANDFALL.STATUS"]).map_err(Failure::from)?;
    let left = status["dead_letters"]["count"].as_u64().unwrap_or(0);
    if context.global.json {
        let done = landed.as_error().is_none();
        print(&format!("{{\"asked\":{asked},\"done\":{done},\"left\":{left}}}\n"))?;
    } else {
        if let Some(error) = landed.as_error() {
            print(&format!("asked, and not done yet: {}\n", error))?;
        }
        if !context.global.quiet {
            let asked = counted(asked.unsigned_abs(), "letter");
            let done = match words.first() {
                Some(&"DROP") => "given up",
                _ => "tried again",
            };
            print(&format!("{asked} {done}; dead letters now: {left}\n"))?;
        }
    }
    Ok(if landed.as_error().is_some() { FINDING } else { OK })
}

/// As every command that finds something to look at, it ends with 1 when there is a letter.
fn list(context: &Context, table: Option<&str>) -> Result<u8> {
    let mut client = context.connect()?;
    let mut found = Vec::new();
    let json = context.global.json;
    pages(&mut client, table, false, |letter| {
        match json {
            true => found.push(letter.clone()),
            false => {
                found.push(Json::Null);
                print(&line(letter))?;
            }
        }
        Ok(())
    })?;
    let code = if found.is_empty() { OK } else { FINDING };
    if json {
        print(&format!("{}\n", serde_json::json!({"letters": found})))?;
    } else if found.is_empty() && !context.global.quiet {
        print("no dead letters\n")?;
    } else if !context.global.quiet {
        print(WHAT_NOW)?;
    }
    Ok(code)
}

/// What a person can do about a letter.
const WHAT_NOW: &str = "\nReads show these changes, and the database does not have them. To correct one,
write its row again, or:
  landfall dead-letters edit ID COLUMN VALUE   other values, and another try
  landfall dead-letters retry ID|TABLE|ALL     once the database was put right
  landfall dead-letters drop ID                give it up
";

fn line(letter: &Json) -> String {
    let text = |name: &str| letter[name].as_str().unwrap_or("-").to_owned();
    let times = letter["attempts"].as_u64().map_or_else(|| "-".to_owned(), |times| counted(times, "time"));
    let reason =
        format!("refused by {}, {times}: {} ({})", text("refused_by"), text("reason"), text("class"));
    format!("{}  {}\n    {}\n", letter["id"], text("display"), wrapped(&reason, 4))
}

/// Visits all letters, page by page.
fn pages(
    client: &mut Client,
    table: Option<&str>,
    full: bool,
    mut visit: impl FnMut(&Json) -> Result<()>,
) -> Result<()> {
    let mut cursor = "0".to_owned();
    loop {
        let mut words = vec![COMMAND, "LIST"];
        words.extend(table);
        // Full letters may be large: a few at a time.
        words.extend(["COUNT", if full { "20" } else { "500" }, "CURSOR", &cursor]);
        if full {
            words.push("FULL");
        }
        let (_, page) = client.document(&words).map_err(Failure::from)?;
        page["letters"].as_array().into_iter().flatten().try_for_each(&mut visit)?;
        match page["cursor"].as_u64() {
            Some(next) => cursor = next.to_string(),
            None => return Ok(()),
        }
    }
}

fn show(context: &Context, id: u64) -> Result<u8> {
    let mut client = context.connect()?;
    let id = id.to_string();
    let Some(text) = client.text(&[COMMAND, "GET", &id]).map_err(Failure::from)? else {
        return Err(Failure::new(FINDING, format!("there is no dead letter {id}; it may have healed")).into());
    };
    if context.global.json {
        print(&format!("{text}\n"))?;
        return Ok(OK);
    }
    let letter: Json = serde_json::from_str(&text)?;
    let mut out = line(&letter);
    for column in letter["change"]["columns"].as_array().into_iter().flatten() {
        let sign = if column["op"] == "add" { "+" } else { "=" };
        let value = match (column["value"].as_str(), column["hex"].as_str()) {
            (Some(text), _) => text.escape_debug().to_string(),
            (_, Some(hex)) => format!("0x{hex}"),
            _ => "NULL".to_owned(),
        };
        out.push_str(&format!("    {} {sign} {value}\n", column["name"].as_str().unwrap_or("-")));
    }
    print(&out)?;
    Ok(OK)
}
