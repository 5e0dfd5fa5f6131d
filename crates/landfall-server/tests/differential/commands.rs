//! Random commands of the families that both servers have, right ones and wrong ones, over few keys so that they meet.
//! The same seed gives the same commands.

use landfall_sim::client::Request;

/// A small generator of numbers (SplitMix64).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        // Mixed first: seeds beside each other would else be one sequence, a step apart.
        Chance(Chance(seed).next() ^ 0x5851_f42d_4c95_7f2d)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

const KEYS: &[&str] = &["s0", "s1", "s2", "h0", "h1", "x0", "x1", "t0", "t1"];
const FIELDS: &[&str] = &["f", "g", "n", "a long name of a field that is not short", ""];
const LONG: &str = "x123456789012345678901234567890123456789012345678901234567890123456789";
const VALUES: &[&str] = &[
    "",
    "a",
    "hello",
    "10",
    "-1",
    "0",
    "007",
    "+5",
    " 1",
    "3.5",
    "1e3",
    "-0",
    "nan",
    "inf",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "\u{0}\u{1}\r\n",
    LONG,
    "ünïcödé",
];
const WHOLE: &[&str] = &[
    "0",
    "1",
    "-1",
    "5",
    "100",
    "-7",
    "9223372036854775807",
    "-9223372036854775808",
    "x",
    "1.5",
    "",
    "00",
    " 2",
];
/// Sums of halves and quarters: a binary float holds them exactly ("decimals" in the table of differences).
const FLOATS: &[&str] = &["0.5", "1", "-2.5", "1e2", "3.0", "x", "", "10.50", "0.25"];
const INDEXES: &[&str] = &["0", "1", "-1", "3", "-3", "100", "-100", "x"];
/// Far away, so that nothing expires while the commands run, and long ago.
const UNTIL_S: &[&str] = &["4000000000", "4100000000", "4200000000", "1", "100"];
const UNTIL_MS: &[&str] = &["4000000000000", "4100000000000", "4200000000500", "1", "100000"];
const STRANGE_TIMES: &[&str] =
    &["x", "", "9223372036854775807", "-9223372036854775808", "9223372036854775", "1.5"];

/// All keys that commands with this prefix name.
pub(crate) fn all_keys(prefix: &str) -> Vec<String> {
    KEYS.iter().chain(&["d0", "d1"]).map(|key| format!("{prefix}{key}")).collect()
}

/// A command for people to read.
pub(crate) fn shown(request: &Request) -> String {
    let words = request.iter().map(|word| match std::str::from_utf8(word) {
        Ok(text) if !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()) => text.to_owned(),
        _ => format!("{:?}", String::from_utf8_lossy(word)),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What stands in a shape, in capitals: replaced by something by chance.
fn word(chance: &mut Chance, prefix: &str, shape: &str) -> Vec<u8> {
    let text = match shape {
        "KEY" => return format!("{prefix}{}", chance.of(KEYS)).into_bytes(),
        "STR" => return format!("{prefix}{}", chance.of(&KEYS[..3])).into_bytes(),
        "LOG" => return format!("{prefix}{}", chance.of(&KEYS[7..])).into_bytes(),
        "NEWID" if chance.one_in(8) => chance.of(STRANGE_IDS),
        // Mostly behind the last one, whichever that is.
        "NEWID" => return format!("{}-*", 1 + chance.below(12)).into_bytes(),
        "ID" if chance.one_in(10) => chance.of(STRANGE_IDS),
        "ID" => return format!("{}-{}", chance.below(12), chance.below(6)).into_bytes(),
        // Above all that was ever removed: Redis 7.0 does not ask for it, and 7.2 does.
        "TOPID" => return format!("12-{}", chance.below(9)).into_bytes(),
        "BOUND" => {
            return [chance.of(&["", "", "("]).as_bytes(), &word(chance, prefix, "ID")].concat();
        }
        "HASH" => return format!("{prefix}{}", chance.of(&KEYS[3..5])).into_bytes(),
        "FIELD" => chance.of(FIELDS),
        "FLT" => return format!("{prefix}d{}", chance.below(2)).into_bytes(),
        "VALUE" => chance.of(VALUES),
        "WHOLE" => chance.of(WHOLE),
        "FLOAT" => chance.of(FLOATS),
        "INDEX" => chance.of(INDEXES),
        "OFFSET" => chance.of(&["0", "1", "5", "80", "-1", "x", "536870912", "99999999999"]),
        "COUNT" => chance.of(&["0", "100", "x", "-0", "1000000"]),
        "UNTIL" if chance.one_in(10) => chance.of(STRANGE_TIMES),
        "UNTIL" => chance.of(UNTIL_S),
        "UNTILMS" if chance.one_in(10) => chance.of(STRANGE_TIMES),
        "UNTILMS" => chance.of(UNTIL_MS),
        "FOR" if chance.one_in(10) => chance.of(STRANGE_TIMES),
        // Hardly ever the same: whether one is later than the same one would be a matter of milliseconds.
        "FOR" if !chance.one_in(5) => {
            return (100_000 + chance.below(1_000_000) * 100).to_string().into_bytes();
        }
        "FOR" => chance.of(&["-1", "0"]),
        "FORMS" if chance.one_in(10) => chance.of(STRANGE_TIMES),
        "FORMS" if !chance.one_in(5) => {
            return (100_000_000 + chance.below(1_000_000) * 100_000).to_string().into_bytes();
        }
        "FORMS" => chance.of(&["-1", "0"]),
        other => other,
    };
    text.as_bytes().to_vec()
}

const STRANGE_IDS: &[&str] = &[
    "0-0",
    "0",
    "5",
    "7-",
    "-7",
    "7-x",
    "7-3-1",
    "007-1",
    "+8-2",
    " 8-2",
    "8-2 ",
    "x",
    "",
    "-",
    "+",
    "$",
    ">",
    "*-1",
    "0-*",
    "18446744073709551616-0",
];

/// Shapes of commands; a likelier one stands here more than once. `OPTIONS` is what follows from another list.
const SHAPES: &[&str] = &[
    "GET KEY",
    "GET STR",
    "SET STR VALUE",
    "SET KEY VALUE",
    "SET STR WHOLE",
    "SET STR VALUE SETOPTIONS",
    "SET KEY VALUE SETOPTIONS",
    "SETNX KEY VALUE",
    "SETEX STR FOR VALUE",
    "PSETEX STR FORMS VALUE",
    "GETSET KEY VALUE",
    "GETDEL KEY",
    "GETEX KEY",
    "GETEX STR GETEXOPTIONS",
    "GETEX KEY GETEXOPTIONS",
    "APPEND KEY VALUE",
    "STRLEN KEY",
    "GETRANGE STR INDEX INDEX",
    "SUBSTR KEY INDEX INDEX",
    "SETRANGE STR OFFSET VALUE",
    "SETRANGE KEY OFFSET VALUE",
    "MGET KEY KEY KEY",
    "MSET STR VALUE STR VALUE",
    "MSETNX STR VALUE KEY VALUE",
    "MSETNX STR VALUE STR",
    "INCR STR",
    "INCR KEY",
    "DECR STR",
    "INCRBY STR WHOLE",
    "DECRBY STR WHOLE",
    "INCRBYFLOAT FLT FLOAT",
    "INCRBYFLOAT FLT FLOAT",
    "SET FLT FLOAT",
    "GET FLT",
    "INCRBYFLOAT KEY x",
    "HSET HASH FIELD VALUE",
    "HSET HASH FIELD VALUE FIELD VALUE",
    "HSET KEY FIELD VALUE",
    "HSET HASH FIELD",
    "HMSET HASH FIELD VALUE FIELD WHOLE",
    "HSETNX HASH FIELD VALUE",
    "HGET KEY FIELD",
    "HMGET HASH FIELD FIELD FIELD",
    "HMGET KEY FIELD",
    "HGETALL HASH",
    "HGETALL KEY",
    "HKEYS HASH",
    "HVALS HASH",
    "HLEN KEY",
    "HEXISTS HASH FIELD",
    "HSTRLEN HASH FIELD",
    "HSTRLEN KEY FIELD",
    "HSCAN HASH 0",
    "HSCAN KEY 0 count 100 MATCH *",
    "HSCAN HASH 0 MATCH ?",
    "HSCAN HASH x",
    "HSCAN HASH 0 count",
    "HRANDFIELD HASH COUNT",
    "HRANDFIELD KEY COUNT WITHVALUES",
    "HRANDFIELD HASH COUNT VALUE",
    "HDEL HASH FIELD",
    "HDEL HASH FIELD FIELD FIELD",
    "HDEL KEY FIELD",
    "HINCRBY HASH FIELD WHOLE",
    "HINCRBYFLOAT HASH decimal FLOAT",
    "HINCRBYFLOAT HASH decimal FLOAT",
    "HSET HASH decimal FLOAT",
    "HINCRBYFLOAT KEY FIELD x",
    "DEL KEY",
    "DEL KEY KEY KEY",
    "UNLINK KEY KEY",
    "EXISTS KEY KEY KEY",
    "TOUCH KEY KEY",
    "TYPE KEY",
    "RENAME KEY KEY",
    "RENAMENX KEY KEY",
    "COPY KEY KEY",
    "COPY KEY KEY REPLACE",
    "COPY KEY KEY DB 0 replace",
    "COPY KEY KEY DB x",
    "COPY KEY KEY NOSUCH",
    "EXPIRE KEY FOR",
    "EXPIRE KEY FOR EXPIREOPTIONS",
    "PEXPIRE KEY FORMS EXPIREOPTIONS",
    "EXPIREAT KEY UNTIL",
    "EXPIREAT KEY UNTIL EXPIREOPTIONS",
    "PEXPIREAT KEY UNTILMS EXPIREOPTIONS",
    "PERSIST KEY",
    "TTL KEY",
    "PTTL KEY",
    "EXPIRETIME KEY",
    "PEXPIRETIME KEY",
    "OBJECT ENCODING KEY",
    "OBJECT REFCOUNT KEY",
    "XADD LOG NEWID FIELD VALUE",
    "XADD LOG NEWID FIELD VALUE",
    "XADD LOG NEWID FIELD VALUE FIELD VALUE FIELD VALUE",
    "XADD KEY NEWID FIELD VALUE",
    "XADD LOG ID FIELD VALUE",
    "XADD LOG TRIM NEWID FIELD VALUE",
    "XADD LOG TRIM NEWID FIELD VALUE",
    "XADD KEY NOMKSTREAM NEWID FIELD VALUE",
    "XADD LOG NEWID FIELD VALUE FIELD",
    "XADD LOG TRIM FIELD VALUE",
    "XADD LOG NEWID FIELD",
    "XLEN KEY",
    "XLEN LOG",
    "XRANGE LOG - +",
    "XRANGE LOG BOUND BOUND",
    "XRANGE LOG BOUND + count WHOLE",
    "XRANGE KEY BOUND BOUND",
    "XRANGE LOG - + count",
    "XRANGE LOG - + NOSUCH 1",
    "XREVRANGE LOG + -",
    "XREVRANGE LOG BOUND BOUND count 2",
    "XREVRANGE KEY BOUND -",
    "XDEL LOG ID",
    "XDEL LOG ID ID ID",
    "XDEL KEY ID",
    "XTRIM LOG TRIM",
    "XTRIM KEY TRIM",
    "XTRIM LOG NOSUCH 1",
    "XREAD STREAMS LOG ID",
    "XREAD count 2 STREAMS LOG LOG ID ID",
    "XREAD count WHOLE STREAMS LOG 0",
    "XREAD STREAMS KEY KEY 0 $",
    "XREAD BLOCK 1 STREAMS LOG $",
    "XREAD BLOCK WHOLE STREAMS LOG ID ID",
    "XREAD BLOCK x STREAMS LOG $",
    "XREAD BLOCK -1 STREAMS LOG $",
    "XREAD count 1 STREAMS LOG",
    "XREAD count 1 NOSUCH LOG 0",
    "XREAD GROUP g c STREAMS LOG 0",
    "XREAD NOACK STREAMS LOG 0",
    "XREAD count STREAMS LOG 0",
    "XINFO STREAM KEY",
    "XINFO STREAM LOG",
    "XINFO STREAM LOG FULL",
    "XINFO STREAM LOG FULL count WHOLE",
    "XINFO STREAM LOG NOSUCH",
    "XINFO GROUPS KEY",
    "XINFO CONSUMERS LOG g",
    "XINFO NOSUCH LOG",
    "XSETID LOG TOPID",
    "XSETID LOG x",
    "XSETID LOG TOPID ENTRIESADDED WHOLE",
    "XSETID LOG TOPID ENTRIESADDED WHOLE MAXDELETEDID ID",
    "XSETID KEY TOPID NOSUCH",
    "GET",
    "HGET KEY",
    "SET STR",
    "OBJECT",
    "OBJECT NOSUCH",
    "NOSUCH KEY",
    "DISCARD",
    "EXEC",
    "PING",
    "ECHO VALUE",
    "PING VALUE",
    "SELECT 0",
];

const SET_OPTIONS: &[&str] = &[
    "NX",
    "XX",
    "GET",
    "EX FOR",
    "PX FORMS",
    "EXAT UNTIL",
    "PXAT UNTILMS",
    "KEEPTTL",
    "NX GET",
    "XX GET",
    "XX KEEPTTL",
    "GET EXAT UNTIL",
    "NX XX",
    "EX FOR PX FORMS",
    "KEEPTTL EX FOR",
    "EX",
    "nx px FORMS",
    "NOSUCH",
    "EX FOR EX FOR",
    "GET GET",
    "PXAT UNTILMS NX GET",
    "PERSIST",
];

const GETEX_OPTIONS: &[&str] = &[
    "EX FOR",
    "PX FORMS",
    "EXAT UNTIL",
    "PXAT UNTILMS",
    "PERSIST",
    "PERSIST EX FOR",
    "EX",
    "KEEPTTL",
    "NOSUCH",
    "EXAT UNTIL EXAT UNTIL",
    "PERSIST PERSIST",
];

/// With `~` a trim goes by the nodes of Redis: only where it makes no difference how large they are.
const TRIM_OPTIONS: &[&str] = &[
    "MAXLEN 2",
    "MAXLEN 0",
    "MAXLEN = 3",
    "maxlen 5",
    "MAXLEN WHOLE",
    "MAXLEN ~ 100",
    "MAXLEN ~ 0",
    "MAXLEN ~ 100 LIMIT 5",
    "MAXLEN ~ 0 LIMIT 0",
    "MAXLEN ~",
    "MAXLEN 2 LIMIT 5",
    "MAXLEN ~ 100 LIMIT -1",
    "MAXLEN ~ 100 LIMIT x",
    "LIMIT 5",
    "LIMIT 0",
    "MAXLEN 2 MINID 3",
    "MINID ID",
    "MINID = ID",
    "MINID ~ 0",
    "MINID ~ 99",
    "MINID NEWID",
    "NOMKSTREAM MAXLEN 2",
    "MAXLEN 3 NOMKSTREAM",
];

const EXPIRE_OPTIONS: &[&str] =
    &["NX", "XX", "GT", "LT", "XX GT", "lt xx", "NX XX", "GT LT", "NX GT", "NOSUCH", "GT GT"];

fn filled(chance: &mut Chance, prefix: &str, shape: &str) -> Request {
    let mut request = Vec::new();
    for part in shape.split(' ') {
        let options = match part {
            "SETOPTIONS" => SET_OPTIONS,
            "GETEXOPTIONS" => GETEX_OPTIONS,
            "EXPIREOPTIONS" => EXPIRE_OPTIONS,
            "TRIM" => TRIM_OPTIONS,
            _ => {
                request.push(word(chance, prefix, part));
                continue;
            }
        };
        let options = chance.of(options);
        request.extend(options.split(' ').map(|part| word(chance, prefix, part)));
    }
    request
}

/// A command.
pub(crate) fn command(chance: &mut Chance, prefix: &str) -> Request {
    let shape = chance.of(SHAPES);
    filled(chance, prefix, shape)
}

/// A command over many keys, which stands in no transaction.
pub(crate) fn walk(chance: &mut Chance, prefix: &str) -> Request {
    match chance.below(3) {
        2 => vec![chance.of(&["FLUSHALL", "FLUSHDB"]).into()],
        0 => vec![b"KEYS".to_vec(), format!("{prefix}[sxt]?").into_bytes()],
        _ => vec![b"KEYS".to_vec(), format!("{prefix}*").into_bytes()],
    }
}

/// A transaction, with its MULTI and its EXEC or DISCARD, and now and then a mistake in it.
pub(crate) fn transaction(chance: &mut Chance, prefix: &str) -> Vec<Request> {
    let mut commands = Vec::new();
    if chance.one_in(2) {
        commands.push(filled(chance, prefix, "WATCH KEY KEY"));
        for _ in 0..chance.below(3) {
            let shape = chance.of(&[
                "GET KEY",
                "HGETALL KEY",
                "SET STR VALUE",
                "UNWATCH",
                "WATCH STR",
                "EXPIRE KEY 0",
            ]);
            commands.push(filled(chance, prefix, shape));
        }
    }
    commands.push(filled(chance, prefix, "MULTI"));
    for _ in 0..chance.below(6) {
        let inside = match chance.below(20) {
            0 => filled(chance, prefix, "MULTI"),
            1 => filled(chance, prefix, "WATCH KEY"),
            2 => filled(chance, prefix, "UNWATCH"),
            _ => command(chance, prefix),
        };
        // These end it, and what was to be inside would be outside.
        if !matches!(inside[0].as_slice(), b"EXEC" | b"DISCARD") {
            commands.push(inside);
        }
    }
    let end = if chance.one_in(8) { "DISCARD" } else { "EXEC" };
    commands.push(filled(chance, prefix, end));
    commands
}
