//! Slows down those who guess passwords, by the address they come from.
//! It must never grow with the number of addresses, or hold up an address that has not failed.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::socket::Peer;

/// An address may fail so often at once.
const FAILURES_MAX: u32 = 10;
/// So long after it has failed more often, it may fail once more.
const FORGIVEN_EVERY: Duration = Duration::from_secs(1);
/// Addresses that are remembered share places; a place for each set of this many.
const WAYS: usize = 4;
/// How many sets there are: 16 KiB of addresses.
const SETS: usize = 256;

/// One address that has failed.
#[derive(Clone, Copy)]
struct Failures {
    address: u64,
    /// When everything is forgiven.
    until: Option<Instant>,
}

/// The addresses that failed last.
pub(super) struct Guesses {
    /// Addresses are hashed with a random seed: nobody can choose whom to push out.
    hasher: ahash::RandomState,
    sets: Vec<[Failures; WAYS]>,
}

impl Guesses {
    /// Nobody has failed yet.
    pub(super) fn new() -> Guesses {
        let nobody = Failures { address: 0, until: None };
        Guesses { hasher: ahash::RandomState::new(), sets: vec![[nobody; WAYS]; SETS] }
    }

    /// Whether a password from this address is looked at now.
    pub(super) fn may_try(&self, peer: Peer, now: Instant) -> bool {
        let address = self.address_of(peer);
        let known = self.sets[set_of(address)].iter().find(|failures| failures.address == address);
        known
            .and_then(|failures| failures.until)
            .is_none_or(|until| until.saturating_duration_since(now) <= FORGIVEN_EVERY * (FAILURES_MAX - 1))
    }

    /// Notes a wrong password.
    pub(super) fn failed(&mut self, peer: Peer, now: Instant) {
        let address = self.address_of(peer);
        let set = &mut self.sets[set_of(address)];
        let place = match set.iter().position(|failures| failures.address == address) {
            Some(place) => place,
            // The one that is forgiven first makes room.
            None => (0..WAYS).min_by_key(|&place| set[place].until).unwrap_or(0),
        };
        let failures = &mut set[place];
        let from = match failures.until {
            Some(until) if failures.address == address => until.max(now),
            _ => now,
        };
        *failures = Failures { address, until: Some(from + FORGIVEN_EVERY) };
    }

    /// Who counts as one: an address, of version 6 the network that one customer gets, all processes of this machine
    /// that come by the socket in the file system.
    fn address_of(&self, peer: Peer) -> u64 {
        match peer {
            Peer::Unix => self.hasher.hash_one(0u8),
            Peer::Network(address) => match address.ip().to_canonical() {
                IpAddr::V4(ip) => self.hasher.hash_one(ip.octets()),
                IpAddr::V6(ip) => self.hasher.hash_one(ip.segments().first_chunk::<4>()),
            },
        }
    }
}

fn set_of(address: u64) -> usize {
    (address >> 32) as usize % SETS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(ip: &str) -> Peer {
        Peer::Network((ip.parse::<IpAddr>().unwrap(), 1).into())
    }

    /// How many of these tries in one moment are looked at, all with a wrong password.
    fn looked_at(guesses: &mut Guesses, peer: Peer, now: Instant, tries: u32) -> u32 {
        let mut count = 0;
        for _ in 0..tries {
            if guesses.may_try(peer, now) {
                guesses.failed(peer, now);
                count += 1;
            }
        }
        count
    }

    #[test]
    fn an_address_may_fail_ten_times_and_then_once_a_second() {
        let mut guesses = Guesses::new();
        let now = Instant::now();
        assert_eq!(looked_at(&mut guesses, peer("10.0.0.1"), now, 10_000), FAILURES_MAX);
        assert!(guesses.may_try(peer("10.0.0.2"), now), "another address is not held up");
        let mut later = 0;
        for second in 1..=100 {
            later += looked_at(&mut guesses, peer("10.0.0.1"), now + FORGIVEN_EVERY * second, 100);
        }
        assert_eq!(later, 100);
        assert_eq!(
            looked_at(&mut guesses, peer("10.0.0.1"), now + Duration::from_secs(1000), 100),
            FAILURES_MAX
        );
    }

    #[test]
    fn addresses_of_one_network_of_version_6_count_as_one_and_mapped_ones_as_version_4() {
        let mut guesses = Guesses::new();
        let now = Instant::now();
        looked_at(&mut guesses, peer("2001:db8:1:1::1"), now, 100);
        assert!(!guesses.may_try(peer("2001:db8:1:1:ffff::2"), now));
        assert!(guesses.may_try(peer("2001:db8:1:2::1"), now));
        looked_at(&mut guesses, peer("10.0.0.1"), now, 100);
        assert!(!guesses.may_try(peer("::ffff:10.0.0.1"), now));
        looked_at(&mut guesses, Peer::Unix, now, 100);
        assert!(!guesses.may_try(Peer::Unix, now));
    }

    #[test]
    fn many_addresses_take_no_more_memory_and_each_is_held_up() {
        let mut guesses = Guesses::new();
        let now = Instant::now();
        for number in 0..100_000u32 {
            let peer = peer(&std::net::Ipv4Addr::from(number).to_string());
            assert_eq!(looked_at(&mut guesses, peer, now, 12), FAILURES_MAX, "{number}");
        }
        assert_eq!(guesses.sets.capacity(), SETS);
    }
}
