//! What differs from Redis 7.2 beyond single commands, and what Redis has and Landfall has not.
//! The compatibility page shows it, and the differential test excuses nothing that does not stand here.

/// Something that Landfall does in another way than Redis 7.2, whatever the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// A short name for tests to refer to.
    pub name: &'static str,
    /// What differs and why, in a sentence or two.
    pub text: &'static str,
}

/// Every difference that is not one of a single command.
pub const DIFFERENCES: &[Difference] = &[
    Difference { name: "one database", text: "Database 0 is the only one." },
    Difference { name: "inline", text: "Inline commands (without RESP) are refused." },
    Difference {
        name: "error texts",
        text: "Errors have Redis's prefixes, and mostly its words; where a client can do something about it, the sentence goes on and says what.",
    },
    Difference {
        name: "prefixes",
        text: "Prefixes with a meaning of their own: `TRYAGAIN` (a bound is reached), `OOM`, `MISCONF` (the log failed), `READONLY` (somebody else owns the database's lanes), `MASTERDOWN` (the answer needs the database, and it is down), `LOADING` (tables are being read again).",
    },
    Difference {
        name: "rows",
        text: "A key that names a row of a table follows the table: see [mapping.md](mapping.md). All that is said of keys here is said of key-value keys.",
    },
    Difference {
        name: "order of fields",
        text: "The fields of a hash come in the order of the commands that set them, and those of one command by their names, until one is removed or the hash is loaded again; Redis gives another order to a large hash.",
    },
    Difference {
        name: "decimals",
        text: "`INCRBYFLOAT` and `HINCRBYFLOAT` add decimal numbers exactly, to 17 digits behind the point; Redis computes with a binary float of 64 bits of precision.",
    },
    Difference {
        name: "encodings",
        text: "`OBJECT ENCODING` is told from the value as it is, and `OBJECT REFCOUNT` is 1; Redis remembers what a value once was, and shares small numbers.",
    },
    Difference {
        name: "trees of streams",
        text: "`XINFO STREAM` tells as many nodes of Redis's tree as full ones would be, and a trim with `~` goes by the hundred; Redis goes by the nodes that it happens to have.",
    },
    Difference {
        name: "lazy rows",
        text: "Commands that write a row without reading it answer without loading it: whether it was there is then a guess, and the sentence of the command says which.",
    },
];

/// Commands of Redis 7.2 that are not there: a family, its commands, and why.
pub const MISSING: &[(&str, &[&str], &str)] = &[
    ("Strings", &["LCS"], "Not planned: compare in the client."),
    ("Messages of a cluster", &["SSUBSCRIBE", "SUNSUBSCRIBE", "SPUBLISH"], "There is no cluster."),
    ("Tools", &["DEBUG"], "It is for tests of Redis itself."),
    (
        "Other types",
        &["LPUSH", "SADD", "ZADD", "PFADD", "GEOADD", "SETBIT", "BITCOUNT"],
        "Later: lists, sets, sorted sets.",
    ),
    ("Scripts", &["EVAL", "EVALSHA", "FCALL", "SCRIPT"], "Later."),
    (
        "Copies of single keys",
        &["MIGRATE", "DUMP", "RESTORE", "MOVE"],
        "The database is where the data goes, and where it is copied.",
    ),
];
