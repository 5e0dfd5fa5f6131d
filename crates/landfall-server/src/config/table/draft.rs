//! The values of all settings while they are collected from their sources.
//! It must never decide anything: each value is set by its row of the table, and settled at the end.

use std::path::PathBuf;
use std::time::Duration;

use landfall::settings::Settings;

use crate::config::listen::ListenAddress;
use crate::config::places::{DatabaseUrl, LocalBuffer, ServerAddress};
use crate::config::text::Amount;
use crate::front::users::User;

/// The values while they are collected; what depends on others is settled at the end.
#[derive(Debug, Clone)]
pub(in crate::config) struct Draft {
    pub(in crate::config) database: Option<DatabaseUrl>,
    pub(in crate::config) buffer: LocalBuffer,
    pub(in crate::config) data_dir: Option<PathBuf>,
    pub(in crate::config) url: Option<ServerAddress>,
    pub(in crate::config) listen: Vec<ListenAddress>,
    pub(in crate::config) unixsocket: Option<PathBuf>,
    pub(in crate::config) unixsocketperm: u32,
    pub(in crate::config) maxclients: usize,
    pub(in crate::config) client_memory: Amount,
    pub(in crate::config) idle_timeout: Duration,
    pub(in crate::config) login_timeout: Duration,
    pub(in crate::config) password_file: Option<PathBuf>,
    pub(in crate::config) username: String,
    pub(in crate::config) users: Vec<User>,
    pub(in crate::config) tls_cert: Option<PathBuf>,
    pub(in crate::config) tls_key: Option<PathBuf>,
    pub(in crate::config) tls_ca: Option<PathBuf>,
    pub(in crate::config) tls_auth_clients: AuthClients,
    pub(in crate::config) tls_client_cert: Option<PathBuf>,
    pub(in crate::config) tls_client_key: Option<PathBuf>,
    pub(in crate::config) throttle_at: Amount,
    pub(in crate::config) memory: Amount,
    pub(in crate::config) drain_timeout: Duration,
    pub(in crate::config) settings: Settings,
}

/// Whether clients are asked for their certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum AuthClients {
    /// They are not.
    No,
    /// They are, and one that has none is let in.
    Optional,
    /// They are, and have to show one.
    Yes,
}

/// The directory of the log where none is named.
pub(in crate::config) const DATA_DIR: &str = "landfall-data";

impl Draft {
    /// Values to start from; every row of the table is then set from its default.
    pub(in crate::config) fn new() -> Draft {
        Draft {
            database: None,
            buffer: LocalBuffer::default(),
            data_dir: None,
            url: None,
            listen: Vec::new(),
            unixsocket: None,
            unixsocketperm: 0,
            maxclients: 0,
            client_memory: Amount::Percent(25),
            idle_timeout: Duration::ZERO,
            login_timeout: Duration::ZERO,
            password_file: None,
            username: String::new(),
            users: Vec::new(),
            tls_cert: None,
            tls_key: None,
            tls_ca: None,
            tls_auth_clients: AuthClients::No,
            tls_client_cert: None,
            tls_client_key: None,
            throttle_at: Amount::Percent(50),
            memory: Amount::Percent(50),
            drain_timeout: Duration::ZERO,
            settings: Settings::in_dir(DATA_DIR),
        }
    }
}
