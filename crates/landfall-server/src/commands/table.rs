//! The table of commands: everything that is known of a command stands here once.
//! A command that is not in this table does not exist; COMMAND and the docs are made from it.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Handler::{Data, Session};
use super::{
    Keys, Spec, connection, events, hashes, incidents, info, introspection, keys, letters, numbers, own,
    status, strings,
};

const NONE: Keys = Keys { first: 0, last: 0, step: 0 };
const ONE: Keys = Keys { first: 1, last: 1, step: 1 };
const ALL: Keys = Keys { first: 1, last: -1, step: 1 };
const PAIRS: Keys = Keys { first: 1, last: -1, step: 2 };

type DataHandler = fn(&mut super::Call<'_, '_>) -> Result<(), landfall::engine::Stop>;

const fn read(
    name: &'static str,
    arity: i32,
    keys: Keys,
    handler: DataHandler,
    summary: &'static str,
) -> Spec {
    Spec { name, arity, keys, writes: false, in_multi: true, summary, handler: Data(handler) }
}

const fn write(
    name: &'static str,
    arity: i32,
    keys: Keys,
    handler: DataHandler,
    summary: &'static str,
) -> Spec {
    Spec { name, arity, keys, writes: true, in_multi: true, summary, handler: Data(handler) }
}

type SessionHandler = fn(
    &mut crate::front::session::Session,
    &landfall::engine::Engine,
    &landfall_resp::Request<'_>,
    &mut landfall_resp::ReplyWriter<'_>,
) -> super::Flow;

const fn session(
    name: &'static str,
    arity: i32,
    in_multi: bool,
    handler: SessionHandler,
    summary: &'static str,
) -> Spec {
    Spec { name, arity, keys: NONE, writes: false, in_multi, summary, handler: Session(handler) }
}

/// Every command.
pub static COMMANDS: &[Spec] = &[
    read("GET", 2, ONE, strings::get, "Reads a string, a cell, or a row as JSON."),
    write("SET", -3, ONE, strings::set, "Writes a string, a cell, or columns of a row from JSON."),
    write("SETNX", 3, ONE, strings::setnx, "Writes a string when the key is absent."),
    write("SETEX", 4, ONE, strings::setex, "Writes a string that expires after seconds."),
    write("PSETEX", 4, ONE, strings::psetex, "Writes a string that expires after milliseconds."),
    write("GETSET", 3, ONE, strings::getset, "Writes a string and answers the old one."),
    write("GETDEL", 2, ONE, strings::getdel, "Reads a string and deletes its key."),
    write("APPEND", 3, ONE, strings::append, "Appends to a string."),
    read("STRLEN", 2, ONE, strings::strlen, "The length of a string in bytes."),
    read("MGET", -2, ALL, strings::mget, "Reads several strings."),
    write("MSET", -3, PAIRS, strings::mset, "Writes several strings, all or none."),
    write("INCR", 2, ONE, numbers::incr, "Adds one."),
    write("DECR", 2, ONE, numbers::decr, "Subtracts one."),
    write("INCRBY", 3, ONE, numbers::incrby, "Adds a whole number."),
    write("DECRBY", 3, ONE, numbers::decrby, "Subtracts a whole number."),
    write("INCRBYFLOAT", 3, ONE, numbers::incrbyfloat, "Adds a number with a point."),
    write("HSET", -4, ONE, hashes::hset, "Writes fields of a hash, or columns of a row."),
    write("HMSET", -4, ONE, hashes::hmset, "Writes fields of a hash, or columns of a row."),
    write("HSETNX", 4, ONE, hashes::hsetnx, "Writes a field that is absent."),
    read("HGET", 3, ONE, hashes::hget, "Reads a field of a hash, or a column of a row."),
    read("HMGET", -3, ONE, hashes::hmget, "Reads several fields or columns."),
    read("HGETALL", 2, ONE, hashes::hgetall, "Reads all fields or columns."),
    read("HKEYS", 2, ONE, hashes::hkeys, "The names of all fields or columns."),
    read("HVALS", 2, ONE, hashes::hvals, "The values of all fields or columns."),
    read("HLEN", 2, ONE, hashes::hlen, "How many fields or columns there are."),
    read("HEXISTS", 3, ONE, hashes::hexists, "Whether a field or column has a value."),
    write("HDEL", -3, ONE, hashes::hdel, "Removes fields, or clears columns."),
    write("HINCRBY", 4, ONE, numbers::hincrby, "Adds to a field or column."),
    write("HINCRBYFLOAT", 4, ONE, numbers::hincrbyfloat, "Adds a number with a point to a field or column."),
    write("DEL", -2, ALL, keys::del, "Deletes keys and rows."),
    write("UNLINK", -2, ALL, keys::del, "Deletes keys and rows."),
    read("EXISTS", -2, ALL, keys::exists, "How many of the keys exist."),
    read("TYPE", 2, ONE, keys::kind, "The type of a key: string, hash or none."),
    write("EXPIRE", -3, ONE, keys::expire, "Sets the time to live in seconds."),
    write("PEXPIRE", -3, ONE, keys::pexpire, "Sets the time to live in milliseconds."),
    write("EXPIREAT", -3, ONE, keys::expireat, "Sets the time of expiry in Unix seconds."),
    write("PEXPIREAT", -3, ONE, keys::pexpireat, "Sets the time of expiry in Unix milliseconds."),
    write("PERSIST", 2, ONE, keys::persist, "Takes the time to live away."),
    read("TTL", 2, ONE, keys::ttl, "The time to live in seconds."),
    read("PTTL", 2, ONE, keys::pttl, "The time to live in milliseconds."),
    write("XADD", -5, ONE, events::xadd, "Appends an event to a table."),
    write("LANDFALL.ADD", 4, ONE, own::add, "Lets a column of a row grow without reading it."),
    // Not in a transaction: without keys it locks all of the cache, of which a transaction holds parts.
    Spec {
        in_multi: false,
        ..write("LANDFALL.EVICT", -1, ALL, own::evict, "Lets clean rows go from the cache.")
    },
    session("LANDFALL.STATUS", 1, false, status::status, "What is pending and what holds it up, as JSON."),
    session(
        "LANDFALL.EXPLAIN",
        2,
        false,
        own::explain,
        "Where a key stands between cache, log and database, as JSON.",
    ),
    session("LANDFALL.FLUSH", -1, false, own::flush, "Lands everything accepted so far and waits for it."),
    session("LANDFALL.PAUSE", -1, false, own::pause, "Stops landing of a group, or of all."),
    session("LANDFALL.RESUME", -1, false, own::resume, "Lands again."),
    session(
        "LANDFALL.INCIDENTS",
        -1,
        false,
        incidents::incidents,
        "Lists incidents as JSON, or acknowledges them.",
    ),
    session(
        "LANDFALL.DEADLETTERS",
        -2,
        false,
        letters::dead_letters,
        "What the database refused: LIST, GET, RETRY, DROP, EDIT.",
    ),
    session("LANDFALL.RELOAD", 1, false, own::reload, "Reads the database's tables again."),
    session("WAIT", 3, false, own::wait, "Waits until this connection's writes have landed."),
    session("WAITAOF", 4, false, own::waitaof, "Waits until this connection's writes are on the disk."),
    session("PING", -1, true, connection::ping, "Answers PONG, or the argument."),
    session("ECHO", 2, true, connection::echo, "Answers the argument."),
    session("HELLO", -1, false, connection::hello, "Chooses the protocol, and authenticates."),
    session("AUTH", -2, false, connection::auth, "Authenticates."),
    session("SELECT", 2, true, connection::select, "Database 0 is the only one."),
    session("CLIENT", -2, true, connection::client, "ID, SETNAME, GETNAME, SETINFO, NO-EVICT, NO-TOUCH."),
    session("RESET", 1, false, connection::reset, "Sets the connection back to its start."),
    session("QUIT", -1, false, connection::quit, "Closes the connection."),
    session("MULTI", 1, false, connection::multi, "Starts a transaction."),
    Spec {
        name: "EXEC",
        arity: 1,
        keys: NONE,
        writes: false,
        in_multi: false,
        summary: "Runs a transaction.",
        handler: super::Handler::Exec,
    },
    session("DISCARD", 1, false, connection::discard, "Drops a transaction."),
    session("COMMAND", -1, true, introspection::command, "COUNT, LIST, INFO, DOCS, GETKEYS."),
    session("CONFIG", -2, true, introspection::config, "GET."),
    session("INFO", -1, true, info::info, "What the server says of itself."),
    session("TIME", 1, true, introspection::time, "The time of the server."),
];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_in_any_case_and_listed_once() {
        for spec in COMMANDS {
            assert!(spec.name.len() <= NAME_BYTES_MAX, "{}", spec.name);
            let lower = spec.name.to_lowercase();
            assert!(lookup(lower.as_bytes()).is_some_and(|found| std::ptr::eq(found, spec)), "{}", spec.name);
        }
        assert_eq!(BY_NAME.len(), COMMANDS.len());
    }

    #[test]
    fn keys_are_counted_as_redis_counts_them() {
        let keys =
            |name: &str, args| lookup(name.as_bytes()).map(|spec| spec.key_args(args).collect::<Vec<_>>());
        assert_eq!(keys("MSET", 5), Some(vec![1, 3]));
        assert_eq!(keys("DEL", 3), Some(vec![1, 2]));
        assert_eq!(keys("SET", 3), Some(vec![1]));
        assert_eq!(keys("PING", 1), Some(vec![]));
        assert_eq!(keys("LANDFALL.EVICT", 1), Some(vec![]));
    }
}
