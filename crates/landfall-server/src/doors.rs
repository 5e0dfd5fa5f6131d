//! Doors for the fuzz targets to private parts; no build for users has them (feature `fuzz`).
//! They only pass on, and decide nothing.

use crate::config::{Sources, print, resolve};

/// What `config print` says of a settings file with this text, and what is in effect; else the problems.
///
/// # Errors
/// Every problem of the file, in words.
pub fn settings_of(text: &str) -> Result<(String, String), String> {
    let sources = Sources { file: Some(("landfall.toml".into(), text.to_owned())), ..Sources::default() };
    match resolve(&sources) {
        Ok(resolved) => {
            let effective = &resolved.effective;
            let shown = format!(
                "{:?} {:?} {:?} {:?} {:?}",
                effective.database,
                effective.front,
                effective.server,
                effective.drain_timeout,
                effective.settings
            );
            Ok((print(&resolved), shown))
        }
        Err(problems) => Err(problems.to_string()),
    }
}
