//! The commands over keys and rows: strings, hashes, keys of any type, streams and events.
//! What they mean is in the family's own file and in the engine; here they are only described.

use super::server::help;
use crate::commands::spec::{Flags, Keys, Spec};
use crate::commands::{hashes, introspection, keys, keyspace, numbers, object, streams, strings};

const ONE: Keys = Keys::ONE;
const TWO: Keys = Keys::TWO;
const ALL: Keys = Keys::ALL;
const PAIRS: Keys = Keys::PAIRS;

/// What a time to live means for a row of a table.
const ROW_STAYS: &str = "For a row of a table the time says how long it stays in the cache, and nothing else: when it is over, or has passed already, the row leaves the cache as soon as it has landed, and the database keeps it. See [mapping.md](mapping.md#how-long-a-row-stays-in-the-cache).";

/// How long a pattern may be.
const SHORT_PATTERN: &str = "A pattern of more than 1,024 bytes is refused.";

pub(super) const STRINGS: &[Spec] = &[
    Spec::read("GET", 2, ONE, strings::get, "Reads a string, a cell, or a row as JSON.")
        .fast()
        .since("1.0.0"),
    Spec::write("SET", -3, ONE, strings::set, "Writes a string, a cell, or columns of a row from JSON.")
        .fast()
        .since("1.0.0")
        .differs(&[ROW_STAYS]),
    Spec::write("SETNX", 3, ONE, strings::setnx, "Writes a string when the key is absent.")
        .fast()
        .since("1.0.0"),
    Spec::write("SETEX", 4, ONE, strings::setex, "Writes a string that expires after seconds.")
        .since("2.0.0")
        .differs(&[ROW_STAYS]),
    Spec::write("PSETEX", 4, ONE, strings::psetex, "Writes a string that expires after milliseconds.")
        .fast()
        .since("2.6.0")
        .differs(&[ROW_STAYS]),
    Spec::write("GETSET", 3, ONE, strings::getset, "Writes a string and answers the old one.")
        .fast()
        .since("1.0.0"),
    Spec::write("GETDEL", 2, ONE, strings::getdel, "Reads a string and deletes its key.")
        .fast()
        .removes()
        .since("6.2.0"),
    Spec::write("GETEX", -2, ONE, strings::getex, "Reads a string and sets or takes away its expiry.")
        .fast()
        .frugal()
        .since("6.2.0")
        .differs(&[ROW_STAYS]),
    Spec::read("GETRANGE", 4, ONE, strings::getrange, "A part of a string.").since("2.4.0"),
    Spec::read("SUBSTR", 4, ONE, strings::getrange, "A part of a string; the old name of GETRANGE.")
        .since("1.0.0"),
    Spec::write("SETRANGE", 4, ONE, strings::setrange, "Overwrites a part of a string.")
        .since("2.2.0")
        .differs(&["A string is at most as long as `proto-max-bulk-len`, which CONFIG GET tells."]),
    Spec::write("APPEND", 3, ONE, strings::append, "Appends to a string.").fast().since("2.0.0"),
    Spec::read("STRLEN", 2, ONE, strings::strlen, "The length of a string in bytes.").fast().since("2.2.0"),
    Spec::read("MGET", -2, ALL, strings::mget, "Reads several strings.").fast().since("1.0.0"),
    Spec::write("MSET", -3, PAIRS, strings::mset, "Writes several strings, all or none.").since("1.0.1"),
    Spec::write(
        "MSETNX",
        -3,
        PAIRS,
        strings::msetnx,
        "Writes several strings when none of the keys is there.",
    )
    .since("1.0.1"),
    Spec::write("INCR", 2, ONE, numbers::incr, "Adds one.").fast().since("1.0.0"),
    Spec::write("DECR", 2, ONE, numbers::decr, "Subtracts one.").fast().since("1.0.0"),
    Spec::write("INCRBY", 3, ONE, numbers::incrby, "Adds a whole number.").fast().since("1.0.0"),
    Spec::write("DECRBY", 3, ONE, numbers::decrby, "Subtracts a whole number.").fast().since("1.0.0"),
    Spec::write("INCRBYFLOAT", 3, ONE, numbers::incrbyfloat, "Adds a number with a point.")
        .fast()
        .since("2.6.0"),
];

pub(super) const HASHES: &[Spec] = &[
    Spec::write("HSET", -4, ONE, hashes::hset, "Writes fields of a hash, or columns of a row.")
        .fast()
        .since("2.0.0")
        .differs(&[
            "For a row that is not in the cache the reply counts every column as new: the row is not loaded for it.",
        ]),
    Spec::write("HMSET", -4, ONE, hashes::hmset, "Writes fields of a hash, or columns of a row.")
        .fast()
        .since("2.0.0"),
    Spec::write("HSETNX", 4, ONE, hashes::hsetnx, "Writes a field that is absent.").fast().since("2.0.0"),
    Spec::read("HGET", 3, ONE, hashes::hget, "Reads a field of a hash, or a column of a row.").fast().since("2.0.0"),
    Spec::read("HMGET", -3, ONE, hashes::hmget, "Reads several fields or columns.").fast().since("2.0.0"),
    Spec::read("HGETALL", 2, ONE, hashes::hgetall, "Reads all fields or columns.").since("2.0.0"),
    Spec::read("HKEYS", 2, ONE, hashes::hkeys, "The names of all fields or columns.").since("2.0.0"),
    Spec::read("HVALS", 2, ONE, hashes::hvals, "The values of all fields or columns.").since("2.0.0"),
    Spec::read("HLEN", 2, ONE, hashes::hlen, "How many fields or columns there are.").fast().since("2.0.0"),
    Spec::read("HEXISTS", 3, ONE, hashes::hexists, "Whether a field or column has a value.").fast().since("2.0.0"),
    Spec::read("HSTRLEN", 3, ONE, hashes::hstrlen, "The length of a field's value in bytes.").fast().since("3.2.0"),
    Spec::read("HSCAN", -3, ONE, hashes::hscan, "Some fields with their values, and a cursor to go on from.")
        .since("2.8.0")
        .differs(&["A page of a large hash has at least 1/64 of its fields, whatever COUNT says; a row comes whole.", SHORT_PATTERN]),
    Spec::read("HRANDFIELD", -2, ONE, hashes::hrandfield, "Some fields by chance.")
        .since("6.2.0")
        .differs(&["With a negative count it answers at most 1,048,576 fields."]),
    Spec::write("HDEL", -3, ONE, hashes::hdel, "Removes fields, or clears columns.")
        .fast()
        .removes()
        .since("2.0.0")
        .differs(&["A column is set to NULL, or to its default when it cannot be NULL."]),
    Spec::write("HINCRBY", 4, ONE, numbers::hincrby, "Adds to a field or column.").fast().since("2.0.0"),
    Spec::write("HINCRBYFLOAT", 4, ONE, numbers::hincrbyfloat, "Adds a number with a point to a field or column.")
        .fast()
        .since("2.6.0"),
];

pub(super) const GENERIC: &[Spec] = &[
    Spec::write("DEL", -2, ALL, keys::del, "Deletes keys and rows.")
        .removes()
        .since("1.0.0")
        .differs(&["A row that is not in the cache counts as deleted: it is not loaded for the reply."]),
    Spec::write("UNLINK", -2, ALL, keys::del, "Deletes keys and rows.").fast().removes().since("4.0.0"),
    Spec::read("EXISTS", -2, ALL, keys::exists, "How many of the keys exist.").fast().since("1.0.0"),
    Spec::read("TOUCH", -2, ALL, keys::touch, "How many of the keys exist; they count as read.").fast().since("3.2.1"),
    Spec::read("TYPE", 2, ONE, keys::kind, "The type of a key: string, hash or none.")
        .fast()
        .since("1.0.0")
        .differs(&["A row is a hash, one of its cells a string."]),
    Spec::write("RENAME", 3, TWO, keys::rename, "Gives a key another name.")
        .also(Flags::WAKES)
        .since("1.0.0")
        .differs(NO_ROWS),
    Spec::write("RENAMENX", 3, TWO, keys::renamenx, "Gives a key another name that no key has.")
        .also(Flags::WAKES)
        .fast()
        .since("1.0.0")
        .differs(NO_ROWS),
    Spec::write("COPY", -3, TWO, keys::copy, "Copies a key with its expiry.")
        .also(Flags::WAKES)
        .since("6.2.0")
        .differs(NO_ROWS),
    Spec::write("EXPIRE", -3, ONE, keys::expire, "Sets the time to live in seconds.")
        .fast()
        .frugal()
        .since("1.0.0")
        .differs(&[ROW_STAYS]),
    Spec::write("PEXPIRE", -3, ONE, keys::pexpire, "Sets the time to live in milliseconds.")
        .fast()
        .frugal()
        .since("2.6.0")
        .differs(&[ROW_STAYS]),
    Spec::write("EXPIREAT", -3, ONE, keys::expireat, "Sets the time of expiry in Unix seconds.")
        .fast()
        .frugal()
        .since("1.2.0")
        .differs(&[ROW_STAYS]),
    Spec::write("PEXPIREAT", -3, ONE, keys::pexpireat, "Sets the time of expiry in Unix milliseconds.")
        .fast()
        .frugal()
        .since("2.6.0")
        .differs(&[ROW_STAYS]),
    Spec::write("PERSIST", 2, ONE, keys::persist, "Takes the time to live away.")
        .fast()
        .frugal()
        .since("2.2.0")
        .differs(&[ROW_STAYS]),
    Spec::read("TTL", 2, ONE, keys::ttl, "The time to live in seconds.").fast().since("1.0.0").differs(&[
        "Of a row it tells how long a client wants it to stay in the cache, and -1 when nobody said so or the row was let go since: see `EXPIRE`.",
    ]),
    Spec::read("PTTL", 2, ONE, keys::pttl, "The time to live in milliseconds.").fast().since("2.6.0"),
    Spec::read("EXPIRETIME", 2, ONE, keys::expiretime, "The time of expiry in Unix seconds.").fast().since("7.0.0"),
    Spec::read("PEXPIRETIME", 2, ONE, keys::pexpiretime, "The time of expiry in Unix milliseconds.")
        .fast()
        .since("7.0.0"),
    Spec::session("SCAN", -2, keyspace::scan, "Some keys, and a cursor to go on from.")
        .also(Flags::READONLY)
        .alone()
        .since("2.8.0")
        .differs(&[
            "It covers keys in the cache, in the log and in the database; rows only where MATCH begins with a table's name and a colon, as in `MATCH page:*`, and then those alone. A cursor stays good through a restart: the walk then begins anew.",
            "COUNT is 10,000 at most.",
            SHORT_PATTERN,
            NOT_IN_MULTI,
        ]),
    Spec::session("KEYS", 2, keyspace::keys, "All keys whose names match.")
        .also(Flags::READONLY)
        .alone()
        .since("1.0.0")
        .differs(&["Never rows of tables; names of more than 256 MiB are refused; use SCAN.", SHORT_PATTERN, NOT_IN_MULTI]),
    Spec::session("DBSIZE", 1, keyspace::dbsize, "How many keys there are.")
        .also(Flags::READONLY)
        .alone()
        .since("1.0.0")
        .differs(&[
            "Keys whose time is over are not counted. While the cache does not hold all keys, those in the database are counted one by one.",
            NOT_IN_MULTI,
        ]),
    Spec::session("RANDOMKEY", 1, keyspace::randomkey, "Any key.")
        .also(Flags::READONLY)
        .alone()
        .since("1.0.0")
        .differs(&["Some keys are likelier than others.", NOT_IN_MULTI]),
    Spec::session("FLUSHALL", -1, keyspace::flushall, "Removes all keys.")
        .also(Flags::WRITE)
        .alone()
        .since("1.0.0")
        .differs(FLUSHES),
    Spec::session("FLUSHDB", -1, keyspace::flushall, "Removes all keys.")
        .also(Flags::WRITE)
        .alone()
        .since("1.0.0")
        .differs(FLUSHES),
    Spec::session("OBJECT", -2, introspection::help, "How a value is kept.").since("2.2.3").holds(OBJECT),
];

const FLUSHES: &[&str] = &[
    "Rows of tables stay, and only leave the cache. ASYNC is the same as SYNC: the database follows later.",
    "Every WATCH is broken by it, those of absent keys and of rows included.",
    NOT_IN_MULTI,
];

const NO_ROWS: &[&str] = &["Rows of tables are refused: their key is among their columns."];

/// What a walk over the keys may need: the database, for longer than a transaction may wait with its rows locked.
const NOT_IN_MULTI: &str = "Refused between MULTI and EXEC.";

const SECOND: Keys = Keys::SECOND;

const OBJECT: &[Spec] = &[
    Spec::read("ENCODING", 3, SECOND, object::encoding, "The form in which Redis would keep such a value.")
        .since("2.2.3")
        .differs(&[
            "Told from the value as it is: Redis also remembers what it was, as with APPEND or a hash that was once large.",
        ]),
    Spec::read("REFCOUNT", 3, SECOND, object::refcount, "Always 1.").since("2.2.3"),
    Spec::read("IDLETIME", 3, SECOND, object::idletime, "Refused: idle times are not kept.")
        .since("2.2.3")
        .differs(&["Refused: the eviction list keeps one bit a key."]),
    Spec::read("FREQ", 3, SECOND, object::freq, "Refused, as Redis does without an LFU policy.").since("4.0.0"),
    help("6.2.0"),
];

pub(super) const STREAMS: &[Spec] = &[
    Spec::write("XADD", -5, ONE, streams::xadd, "Appends an entry to a stream, or an event to a table.")
        .fast()
        .also(Flags::WAKES)
        .since("5.0.0")
        .differs(&[
            "When the key names a table (without other keys), the id is `*`, there are no options, and the reply is `<position>-<lane>`. \
             Events of one EXEC have one id.",
            ABOUT,
        ]),
    Spec::read("XLEN", 2, ONE, streams::xlen, "How many entries a stream has.").fast().since("5.0.0"),
    Spec::read("XRANGE", -4, ONE, streams::xrange, "The entries of a stream between two ids.").since("5.0.0"),
    Spec::read("XREVRANGE", -4, ONE, streams::xrevrange, "The entries of a stream between two ids, the last first.")
        .since("5.0.0"),
    Spec::read(
        "XREAD",
        -4,
        Keys::STREAMS,
        streams::reads::xread,
        "The entries of streams behind given ids; it may wait for one.",
    )
    .also(Flags::BLOCKING)
    .since("5.0.0"),
    Spec::write("XDEL", -3, ONE, streams::xdel, "Removes entries of a stream.").fast().removes().since("5.0.0"),
    Spec::write("XTRIM", -4, ONE, streams::xtrim, "Removes the oldest entries of a stream.")
        .removes()
        .since("5.0.0")
        .differs(&[ABOUT]),
    Spec::write("XSETID", -3, ONE, streams::xsetid, "Sets the last id of a stream.").fast().since("5.0.0"),
    Spec::session("XINFO", -2, introspection::help, "What a stream is.").since("5.0.0").holds(XINFO),
    no_groups("XGROUP", -2),
    no_groups("XREADGROUP", -7),
    no_groups("XACK", -4),
    no_groups("XCLAIM", -6),
    no_groups("XAUTOCLAIM", -6).since("6.2.0"),
    no_groups("XPENDING", -3),
];

const XINFO: &[Spec] = &[
    Spec::read("STREAM", -3, SECOND, streams::info::stream, "The length, the ids and the ends of a stream.")
        .since("5.0.0")
        .differs(&["There are no groups, and the numbers of Redis's tree are those of full nodes."]),
    Spec::read("GROUPS", 3, SECOND, streams::info::groups, "An empty list: there are no consumer groups.")
        .since("5.0.0"),
    Spec::read("CONSUMERS", 4, SECOND, streams::info::consumers, "Refused: there is no such group.")
        .since("5.0.0"),
    help("5.0.0"),
];

/// A command of consumer groups.
const fn no_groups(name: &'static str, arity: i32) -> Spec {
    Spec::session(name, arity, streams::info::no_groups, "Refused: streams have no consumer groups.")
        .also(Flags::WRITE)
        .since("5.0.0")
        .differs(&[
            "Refused: who reads keeps the last id that was handled, best in the same transaction as its outcome.",
        ])
}

const ABOUT: &str = "With `~` entries go a hundred at a time, whatever their size.";
