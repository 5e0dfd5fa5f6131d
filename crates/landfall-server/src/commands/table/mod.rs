//! The table of commands: everything that is known of a command stands here once, a file for each family.
//! A command that is not in this table does not exist; COMMAND, HELP, `docs/commands.md` and `docs/compatibility.md`
//! are made from it.

use std::collections::HashMap;
use std::sync::LazyLock;

use landfall_resp::Request;

use super::spec::{Group, Spec};

mod connection;
mod data;
pub mod differences;
mod messages;
mod own;
mod server;

/// The families in the order in which they are listed.
const FAMILIES: &[(Group, &[Spec])] = &[
    (Group::String, data::STRINGS),
    (Group::Hash, data::HASHES),
    (Group::Generic, data::GENERIC),
    (Group::Stream, data::STREAMS),
    (Group::Transactions, connection::TRANSACTIONS),
    (Group::Pubsub, messages::MESSAGES),
    (Group::Connection, connection::CONNECTION),
    (Group::Server, server::SERVER),
    (Group::Landfall, own::LANDFALL),
];

/// Every command, with its family, its number and its subcommands' numbers.
pub static COMMANDS: LazyLock<Vec<Spec>> = LazyLock::new(|| {
    let mut next = 0;
    let mut number = |spec: Spec, group| {
        next += 1;
        Spec { id: next - 1, group, ..spec }
    };
    let mut commands = Vec::new();
    for (group, family) in FAMILIES {
        for spec in *family {
            let spec = number(*spec, *group);
            let subcommands = spec.subcommands.iter().map(|sub| Spec { container: spec.name, ..*sub });
            let subcommands: Vec<Spec> = subcommands.map(|sub| number(sub, *group)).collect();
            // Once for the life of the process.
            commands.push(Spec { subcommands: subcommands.leak(), ..spec });
        }
    }
    commands
});

/// How many numbers commands and subcommands have.
pub fn ids() -> usize {
    everything().count()
}

/// All commands, each with its subcommands behind it, by their numbers.
pub fn everything() -> impl Iterator<Item = &'static Spec> {
    COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands))
}

/// The longest name of a command.
const NAME_BYTES_MAX: usize = 24;

static BY_NAME: LazyLock<HashMap<&'static [u8], &'static Spec, ahash::RandomState>> =
    LazyLock::new(|| COMMANDS.iter().map(|spec| (spec.name.as_bytes(), spec)).collect());

/// The command of this name, in any case.
pub fn lookup(name: &[u8]) -> Option<&'static Spec> {
    let mut capitals = [0; NAME_BYTES_MAX];
    let capitals = capitals.get_mut(..name.len())?;
    capitals.copy_from_slice(name);
    capitals.make_ascii_uppercase();
    BY_NAME.get(&*capitals).copied()
}

/// The same, where `guess` is likely to be the one: a client sends the same command again and again.
#[inline]
pub fn lookup_like(name: &[u8], guess: Option<&'static Spec>) -> Option<&'static Spec> {
    guess.filter(|guess| is_named(guess, name)).or_else(|| lookup(name))
}

#[inline]
fn is_named(spec: &Spec, name: &[u8]) -> bool {
    let is_same = spec.name.as_bytes() == name || spec.name.as_bytes().eq_ignore_ascii_case(name);
    is_same && spec.container.is_empty()
}

/// Why a request names nothing to run.
pub enum Unknown {
    /// There is no such command.
    Command,
    /// There is no such subcommand of this one.
    Subcommand(&'static Spec),
}

/// What a request runs: its command, or the subcommand of it that the next word names. `guess` is likely to be it.
///
/// # Errors
/// [`Unknown`].
pub fn find(request: &Request<'_>, guess: Option<&'static Spec>) -> Result<&'static Spec, Unknown> {
    let spec = lookup_like(request.command(), guess).ok_or(Unknown::Command)?;
    match request.arg(1) {
        Some(word) if !spec.subcommands.is_empty() => spec.subcommand(word).ok_or(Unknown::Subcommand(spec)),
        _ => Ok(spec),
    }
}

/// The command with this name, `get` or `client|list`, in any case.
pub fn named(name: &[u8]) -> Option<&'static Spec> {
    let mut parts = name.splitn(2, |byte| *byte == b'|');
    let spec = lookup(parts.next()?)?;
    parts.next().map_or(Some(spec), |sub| spec.subcommand(sub))
}

#[cfg(test)]
mod tests {
    use landfall_resp::{Decoded, Limits, RequestDecoder, encode_request};

    use super::*;

    #[test]
    fn every_command_is_found_in_any_case_and_listed_once() {
        for spec in COMMANDS.iter() {
            assert!(spec.name.len() <= NAME_BYTES_MAX, "{}", spec.name);
            let lower = spec.name.to_lowercase();
            for guess in [None, Some(spec), Some(&COMMANDS[0])].into_iter().chain(everything().map(Some)) {
                let found = lookup_like(lower.as_bytes(), guess);
                assert!(found.is_some_and(|found| std::ptr::eq(found, spec)), "{}", spec.name);
            }
        }
        assert_eq!(BY_NAME.len(), COMMANDS.len());
    }

    #[test]
    fn every_command_has_its_own_number_and_says_since_when_redis_has_it() {
        for (id, spec) in everything().enumerate() {
            let name = spec.full_name();
            assert_eq!(usize::from(spec.id), id, "{name}");
            assert!(named(name.as_bytes()).is_some_and(|found| std::ptr::eq(found, spec)), "{name}");
            let own = spec.group == Group::Landfall;
            assert!(own || spec.since.split('.').count() == 3, "{name} has no release");
            assert!(spec.summary.ends_with('.'), "{name}: a summary is a sentence");
        }
    }

    #[test]
    fn keys_are_found_where_redis_finds_them() {
        let keys = |words: &str| {
            let mut bytes = Vec::new();
            encode_request(&mut bytes, &words.split(' ').collect::<Vec<_>>());
            let mut decoder = RequestDecoder::new(Limits::authenticated());
            let Ok(Decoded::Complete { request, .. }) = decoder.decode(&bytes) else { panic!("{words}") };
            let spec = lookup(request.command()).unwrap();
            let text = |at| String::from_utf8_lossy(&request[at]).into_owned();
            spec.key_args(&request).map(text).collect::<String>()
        };
        for (words, found) in [
            ("MSET a 1 b 2", "ab"),
            ("DEL a b", "ab"),
            ("SET a 1", "a"),
            ("PING", ""),
            ("LANDFALL.EVICT", ""),
            ("XREAD STREAMS a 0", "a"),
            ("XREAD COUNT 2 block 0 streams a b 0 0", "ab"),
            ("XREAD COUNT STREAMS STREAMS a 0", "a"),
            ("XREAD STREAMS a b 0", ""),
            ("XREAD STREAMS", ""),
            ("XREAD COUNT", ""),
            ("XREAD NOSUCH STREAMS a 0", ""),
        ] {
            assert_eq!(keys(words), found, "{words}");
        }
    }
}
