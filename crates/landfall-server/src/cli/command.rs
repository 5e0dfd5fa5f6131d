//! `landfall cli`: one command to the server, its reply as `redis-cli` prints it, so that nothing else need be installed.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::{Context, reply};
use crate::client::REPLY_TIMEOUT;
use crate::config::text::duration;
use crate::failure::{FINDING, Failure, OK};

/// Send one command to the server and print its reply
///
/// The reply is printed as redis-cli prints it: with types on a terminal, bare in a pipe. Flags go before the command.
#[derive(Args)]
#[command(after_help = "Example: landfall cli SET user:1:name Alice")]
pub(super) struct Cli {
    /// How long the reply may take [default: 1m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Cli {
    pub(super) fn run(self, context: &Context) -> Result<u8> {
        let mut client = context.connect()?;
        client.set_timeout(self.timeout.unwrap_or(REPLY_TIMEOUT));
        let args: Vec<Vec<u8>> = self.command.into_iter().map(OsStringExt::into_vec).collect();
        let value = client.call(&args).map_err(Failure::from)?;
        let mut out = Vec::new();
        if context.global.json {
            out.extend_from_slice(reply::json(&value).to_string().as_bytes());
            out.push(b'\n');
        } else if std::io::stdout().is_terminal() {
            reply::with_types(&value, &mut out);
        } else {
            reply::bare(&value, &mut out);
            out.push(b'\n');
        }
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&out)?;
        stdout.flush()?;
        Ok(if value.as_error().is_some() { FINDING } else { OK })
    }
}
