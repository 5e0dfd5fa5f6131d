//! Addresses of networks and of hardware, to the texts that PostgreSQL gives them.
//! An address has one spelling, so it can be part of a key.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const FORM: &str = "write an address like 192.0.2.7, 192.0.2.0/24 or 2001:db8::7";
const MAC: &str = "write it like 08:00:2b:01:02:03";

/// The canonical text of an `inet`, or of a `cidr` when it is a network.
pub(super) fn canonical(text: &str, is_network: bool) -> Result<String, String> {
    let (address, length) =
        text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().map_err(|_| FORM)?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => longest,
        Some(digits) if digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|length| *length <= longest).ok_or(FORM)?
        }
        Some(_) => return Err(FORM.into()),
    };
    if is_network && has_bits_behind(address, length) {
        return Err(format!("bits behind the first {length} are set; a network has none"));
    }
    let written = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => of_six(address),
    };
    Ok(if is_network || length < longest { format!("{written}/{length}") } else { written })
}

fn has_bits_behind(address: IpAddr, length: u32) -> bool {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_shl(length).unwrap_or(0) != 0,
        IpAddr::V6(address) => address.to_bits().checked_shl(length).unwrap_or(0) != 0,
    }
}

/// As PostgreSQL writes it: the first longest run of zeros is left out, and an address of version 4 inside stays one.
fn of_six(address: Ipv6Addr) -> String {
    let words = address.segments();
    let run = |from: usize| words[from..].iter().take_while(|word| **word == 0).count();
    let (mut base, mut length) = (8, 1);
    for from in 0..8 {
        if run(from) > length {
            (base, length) = (from, run(from));
        }
    }
    let mut out = String::new();
    let mut at = 0;
    while at < 8 {
        if at == base {
            out.push_str("::");
            at += length;
            continue;
        }
        if at > 0 && at != base + length {
            out.push(':');
        }
        if at == 6 && base == 0 && (length == 6 || (length == 5 && words[5] == 0xffff)) {
            let [a, b] = words[6].to_be_bytes();
            let [c, d] = words[7].to_be_bytes();
            // Writing to a string cannot fail.
            let _ = write!(out, "{}", Ipv4Addr::new(a, b, c, d));
            break;
        }
        let _ = write!(out, "{:x}", words[at]);
        at += 1;
    }
    out
}

/// The canonical text of a hardware address.
pub(super) fn mac(text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    let fits = |(at, byte): (usize, &u8)| match at % 3 {
        2 => *byte == b':',
        _ => byte.is_ascii_hexdigit(),
    };
    match bytes.len() == 17 && bytes.iter().enumerate().all(fits) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(MAC.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling() {
        for (text, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("192.0.2.7/24", "192.0.2.7/24"),
            ("2001:DB8:0:0:0:0:0:7", "2001:db8::7"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            ("::102:304", "::1.2.3.4"),
            ("::1", "::1"),
            ("::", "::"),
            ("1::", "1::"),
            ("1:0:2:0:0:3:0:0", "1:0:2::3:0:0"),
            ("2001:db8::/32", "2001:db8::/32"),
        ] {
            assert_eq!(canonical(text, false).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "1.2.3", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/+8", "1.2.3.4/8/8", "fe80::1%eth0"] {
            assert!(canonical(text, false).is_err(), "{text}");
        }
        assert_eq!(canonical("10.0.0.0/8", true).as_deref(), Ok("10.0.0.0/8"));
        assert_eq!(canonical("10.0.0.1", true).as_deref(), Ok("10.0.0.1/32"));
        assert_eq!(canonical("0.0.0.0/0", true).as_deref(), Ok("0.0.0.0/0"));
        assert!(canonical("10.0.0.1/8", true).is_err());
        assert_eq!(mac("08:00:2B:01:02:03").as_deref(), Ok("08:00:2b:01:02:03"));
        assert!(mac("08002b:010203").is_err());
    }
}
