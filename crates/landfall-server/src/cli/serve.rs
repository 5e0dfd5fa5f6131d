//! `landfall serve`: the settings become the options of the server, which runs in this process.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use landfall::buffer::log::local::LocalLog;
use landfall::env;
use landfall::lander::notes;

use super::Context;
use super::flags::{ServeSettings, SettingFlags};
use crate::config::{DatabaseUrl, Effective, Password, Verbosity};
use crate::failure::{Failure, OK, UNAVAILABLE};
use crate::front::users::{DEFAULT_USER, PasswordHash, Rights, User, Users};
use crate::serve::{self, ServeOptions};

/// Start the server: Redis protocol in front, a log on disk, rows in the database
///
/// Without a flag it listens on 127.0.0.1:5263, keeps its log and a SQLite file in ./landfall-data, and needs nothing
/// installed. SIGTERM lands what it can and says what is left in the log; nothing acknowledged is lost by a kill.
#[derive(Args)]
#[command(
    after_help = "Example: landfall serve --database sqlite:shop.db --data-dir shop-data --fsync everysec"
)]
pub(super) struct Serve {
    #[command(flatten)]
    settings: SettingFlags<ServeSettings>,
    /// Write host:port into this file once clients can connect
    #[arg(long, hide = true, value_name = "PATH")]
    port_file: Option<PathBuf>,
    /// End when the process that started this one ends
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

impl Serve {
    pub(super) fn run(&self, context: &Context) -> Result<u8> {
        let mut settings = context.resolve(self.settings.given())?.effective;
        settings.port_file = self.port_file.clone();
        settings.exit_with_parent = self.exit_with_parent;
        let options = options(settings)?;
        serve::run(&options).map_err(|error| Failure::new(error.code, error.sentence))?;
        Ok(OK)
    }
}

fn options(settings: Effective) -> Result<ServeOptions> {
    make_folder_for_default(&settings.database, &settings.settings.data_dir)?;
    Ok(ServeOptions {
        front: settings.front,
        database: settings.database,
        users: users(settings.users, settings.password.as_ref()),
        settings: settings.settings,
        drain: settings.drain_timeout,
        port_file: settings.port_file,
        exit_with_parent: settings.exit_with_parent,
        quiet: settings.verbosity == Verbosity::Quiet,
    })
}

/// The users of the file, and the default one with the password of the password file. With neither everybody may do
/// everything; the settings refuse that where other machines can connect.
fn users(mut users: Vec<User>, password: Option<&Password>) -> Users {
    if let Some(password) = password {
        users.push(User {
            name: DEFAULT_USER.to_owned(),
            passwords: vec![PasswordHash::of(password.as_bytes())],
            rights: Rights::ALL,
        });
    }
    if users.is_empty() { Users::open() } else { Users::new(users) }
}

/// The data directory may be made, as it is ours; a folder that a user named and that is not there is a slip.
pub(super) fn make_folder_for_default(database: &DatabaseUrl, data_dir: &Path) -> Result<()> {
    if database.file().and_then(Path::parent) == Some(data_dir) {
        // As the log makes it: what clients wrote is nobody else's.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(|error| {
            let folder = data_dir.display();
            let message =
                format!("cannot make the directory {folder}: {error}; choose another with --data-dir");
            Failure::new(UNAVAILABLE, message)
        })?;
    }
    Ok(())
}

/// Refuses a database that is not there, where making it anew would be a slip; the log beside it may know the right one.
/// `or_else` is what else can be done.
pub(super) fn check_database_exists(database: &DatabaseUrl, data_dir: &Path, or_else: &str) -> Result<()> {
    // A server tells by itself that it lacks a database, and never makes one.
    let Some(database) = database.file().filter(|file| !file.is_file()) else { return Ok(()) };
    // This only helps with the name: whatever is wrong with the note is told by the command itself.
    let note = LocalLog::note_in(&env::real(), data_dir, notes::DATABASE).ok().flatten();
    let which = match note.as_deref().and_then(notes::described) {
        Some(noted) => {
            format!("the log in {} lands into {noted}: give --database {noted}", data_dir.display())
        }
        None => "name the one that this log lands into with --database".to_owned(),
    };
    let place = database.display();
    let message = format!("there is no database at {place}, and nothing was changed; {which}{or_else}");
    Err(Failure::new(UNAVAILABLE, message).into())
}
