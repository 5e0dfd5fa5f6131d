//! TLS and other rules of admission for the private PostgreSQL.
//! It must never change files outside the folder of its server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::{Owner, Postgres, READY_WITHIN};

impl Postgres {
    /// Shows this certificate from now on, and takes clients' certificates of this authority.
    ///
    /// # Errors
    /// The files cannot be read, or the server does not take them.
    pub fn encrypt(&self, cert: &Path, key: &Path, clients_of: &Path) -> Result<()> {
        let data = self.folder.path().join("data");
        let marker = fs::read_dir(&data)?.count();
        let mut settings = Vec::new();
        for (name, from) in [("ssl_cert_file", cert), ("ssl_key_file", key), ("ssl_ca_file", clients_of)] {
            // A name of its own each time, so that the new one is seen to be in use.
            let to = data.join(format!("{name}-{marker}"));
            fs::copy(from, &to)?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600))?;
            Owner::of_this_process()?.give(&[&to])?;
            settings.push((name, to.display().to_string()));
        }
        for (name, value) in &settings {
            self.psql("postgres", &format!("ALTER SYSTEM SET {name} = '{value}'"))?;
        }
        self.psql("postgres", "ALTER SYSTEM SET ssl = on")?;
        self.reload(|| Ok(self.psql("postgres", "SHOW ssl_cert_file")? == settings[0].1))?;
        ensure!(self.psql("postgres", "SHOW ssl")? == "on", "the server does not take the certificate");
        Ok(())
    }

    /// Decides from now on who is admitted over TCP, in the words of pg_hba.conf; the socket stays open to all.
    ///
    /// # Errors
    /// The server does not take them.
    pub fn admit(&self, rules: &str) -> Result<()> {
        let text = format!("local all all trust\n{rules}\n");
        fs::write(self.folder.path().join("data/pg_hba.conf"), &text)?;
        let before = self.psql("postgres", "SELECT pg_conf_load_time()")?;
        self.reload(|| Ok(self.psql("postgres", "SELECT pg_conf_load_time()")? != before))?;
        let wrong = "SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL";
        ensure!(self.psql("postgres", wrong)? == "0", "the server does not take these rules: {text}");
        Ok(())
    }

    fn reload(&self, is_done: impl Fn() -> Result<bool>) -> Result<()> {
        self.psql("postgres", "SELECT pg_reload_conf()")?;
        let deadline = Instant::now() + READY_WITHIN;
        while !is_done()? {
            ensure!(Instant::now() < deadline, "the server does not take up its new settings");
        }
        Ok(())
    }
}
