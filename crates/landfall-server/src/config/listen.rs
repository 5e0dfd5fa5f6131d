//! The settings that say where the server listens: addresses, each in the clear or with TLS, and a socket in the file
//! system. Names are not looked up, or the check whether an address is safe without a password would depend on
//! somebody else's answer.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use crate::front::LISTENERS_MAX;

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListenAddress {
    /// The address.
    pub(super) address: SocketAddr,
    /// Whether it speaks TLS, if that is said: `redis://` is no, `rediss://` is yes.
    pub(super) encrypted: Option<bool>,
}

impl ListenAddress {
    fn parse(text: &str) -> Option<ListenAddress> {
        let (encrypted, text) = match (text.strip_prefix("redis://"), text.strip_prefix("rediss://")) {
            (Some(rest), _) => (Some(false), rest),
            (_, Some(rest)) => (Some(true), rest),
            _ => (None, text),
        };
        let address = match text.strip_prefix("localhost:") {
            Some(port) => SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)),
            None => text.parse().ok()?,
        };
        Some(ListenAddress { address, encrypted })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.encrypted {
            None => "",
            Some(false) => "redis://",
            Some(true) => "rediss://",
        };
        write!(f, "{scheme}{}", self.address)
    }
}

/// Reads the addresses to listen on: `127.0.0.1:5263`, `[::1]:5263`, `localhost:0`, several with commas, or `off`.
pub(super) fn addresses(text: &str) -> Result<Vec<ListenAddress>, String> {
    if text == "off" {
        return Ok(Vec::new());
    }
    let found: Option<Vec<ListenAddress>> =
        text.split(',').map(|one| ListenAddress::parse(one.trim())).collect();
    let found = found.ok_or_else(|| {
        "write an IP address and a port, as in 127.0.0.1:5263 or [::1]:5263; several with commas".to_owned()
    })?;
    // One place is for the socket in the file system.
    match found.len() < LISTENERS_MAX {
        true => Ok(found),
        false => Err(format!("write at most {} addresses", LISTENERS_MAX - 1)),
    }
}

/// The addresses as they are written.
pub(super) fn show(addresses: &[ListenAddress]) -> String {
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    if shown.is_empty() { "off".to_owned() } else { shown.join(",") }
}

/// Reads the permissions of a file, as `chmod` takes them: `600`.
pub(super) fn permissions(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 && !text.starts_with('+') => Ok(mode),
        _ => Err("write permissions as chmod takes them, as in 600 or 660".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_alike() {
        for (text, shown) in [
            ("127.0.0.1:5263", "127.0.0.1:5263"),
            ("localhost:0", "127.0.0.1:0"),
            ("redis://[::1]:9, rediss://localhost:9", "redis://[::1]:9,rediss://127.0.0.1:9"),
            ("off", "off"),
        ] {
            assert_eq!(addresses(text).map(|found| show(&found)), Ok(shown.to_owned()), "{text}");
        }
        for text in ["", "cache:5263", "127.0.0.1", "127.0.0.1:1,", "off,127.0.0.1:1"] {
            assert!(addresses(text).is_err(), "{text}");
        }
        assert!(addresses(&["127.0.0.1:0"; LISTENERS_MAX].join(",")).is_err(), "too many");
    }

    #[test]
    fn permissions_are_those_of_chmod() {
        assert_eq!(permissions("660"), Ok(0o660));
        for text in ["", "1777", "rw", "-1", "+600", "888"] {
            assert!(permissions(text).is_err(), "{text}");
        }
    }
}
