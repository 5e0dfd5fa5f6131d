//! The commands of the server: what tools ask for when they connect and later.
//! What they mean is in the family's own file; here they are only described.

use crate::commands::spec::{Keys, Spec};
use crate::commands::{acl, config, info, introspection, memory, others, slowlog};

/// HELP of a container, made from the table.
pub(super) const fn help(since: &'static str) -> Spec {
    Spec::session("HELP", 2, introspection::help, "Prints this help.").since(since)
}

pub(super) const SERVER: &[Spec] = &[
    Spec::session("COMMAND", -1, introspection::command, "Details of all commands.")
        .since("2.8.13")
        .holds(COMMAND)
        .differs(&["The arguments of a command are not described; redis-cli shows no hints for them."]),
    Spec::session("CONFIG", -2, introspection::help, "What the server is set to.")
        .since("2.0.0")
        .holds(CONFIG),
    Spec::session("ACL", -2, introspection::help, "Users and what they may do.").since("6.0.0").holds(ACL),
    Spec::session("INFO", -1, info::info, "What the server says of itself.")
        .since("1.0.0")
        .differs(&["Landfall's own numbers stand in the section `Landfall`."]),
    Spec::session("SLOWLOG", -2, introspection::help, "Slow commands.").since("2.2.12").holds(SLOWLOG),
    Spec::session("LATENCY", -2, introspection::help, "Delays.").since("2.8.13").holds(LATENCY),
    Spec::session("TIME", 1, introspection::time, "The time of the server.").fast().since("2.6.0"),
    Spec::session("MEMORY", -2, introspection::help, "What the cache holds.").since("4.0.0").holds(MEMORY),
    Spec::session("ROLE", 1, others::role, "Always master.").fast().since("2.8.12"),
    Spec::session("LOLWUT", -1, others::lolwut, "A picture, and the version.").since("5.0.0"),
    Spec::session("MODULE", -2, introspection::help, "There are none.").since("4.0.0").holds(MODULE),
    Spec::session("FUNCTION", -2, introspection::help, "There are none.").since("7.0.0").holds(FUNCTION),
    Spec::session("SWAPDB", 3, others::swapdb, "Database 0 is the only one.").since("4.0.0"),
    Spec::session("REPLICAOF", 3, others::replicaof, "NO ONE is what is so.")
        .admin()
        .since("5.0.0")
        .differs(NO_REPLICAS),
    Spec::session("SLAVEOF", 3, others::replicaof, "NO ONE is what is so.")
        .admin()
        .since("1.0.0")
        .differs(NO_REPLICAS),
    Spec::session("REPLCONF", -1, others::no_replication, "Refused.")
        .admin()
        .alone()
        .since("3.0.0")
        .differs(NO_REPLICAS),
    Spec::session("SYNC", 1, others::no_replication, "Refused.")
        .admin()
        .alone()
        .since("1.0.0")
        .differs(NO_REPLICAS),
    Spec::session("PSYNC", -3, others::no_replication, "Refused.")
        .admin()
        .alone()
        .since("2.8.0")
        .differs(NO_REPLICAS),
    Spec::session("CLUSTER", -2, others::no_cluster, "Refused: there is no cluster.").since("3.0.0"),
    Spec::session("READONLY", 1, others::no_cluster, "Refused: there is no cluster.").fast().since("3.0.0"),
    Spec::session("READWRITE", 1, others::no_cluster, "Refused: there is no cluster.").fast().since("3.0.0"),
    Spec::session("ASKING", 1, others::no_cluster, "Refused: there is no cluster.").fast().since("3.0.0"),
    Spec::session("MONITOR", 1, others::monitor, "Refused: it would show every value.")
        .admin()
        .alone()
        .since("1.0.0")
        .differs(&["Refused: it would show every value to whoever listens."]),
    Spec::session("SAVE", 1, others::save, "Refused: the log is the file.")
        .admin()
        .alone()
        .since("1.0.0")
        .differs(NO_FILE),
    Spec::session("BGSAVE", -1, others::save, "Refused: the log is the file.")
        .admin()
        .since("1.0.0")
        .differs(NO_FILE),
    Spec::session("BGREWRITEAOF", 1, others::save, "Refused: the log is the file.")
        .admin()
        .since("1.0.0")
        .differs(NO_FILE),
    Spec::session("SHUTDOWN", -1, others::shutdown, "Refused: whoever started the server ends it.")
        .admin()
        .alone()
        .since("1.0.0")
        .differs(&["Refused: whoever started the server ends it, with SIGTERM."]),
];

const NO_REPLICAS: &[&str] =
    &["There are no replicas: the database is where data goes, and where it is copied."];
const NO_FILE: &[&str] =
    &["Refused: what is acknowledged is in the log, and lands; `LANDFALL.FLUSH` waits for that."];

const ACL: &[Spec] = &[
    Spec::session("WHOAMI", 2, acl::whoami, "The user of this connection.").since("6.0.0"),
    Spec::session("CAT", -2, acl::cat, "The kinds of rights, or the commands of one.")
        .since("6.0.0")
        .differs(&["The categories are the rights that a user can have: read, write, admin, and connection for what needs none."]),
    Spec::session("LIST", 2, acl::list, "The users, as Redis writes them.").admin().since("6.0.0"),
    Spec::session("USERS", 2, acl::users, "The names of the users.").admin().since("6.0.0"),
    Spec::session("GETUSER", 3, acl::getuser, "What a user may do.").admin().since("6.0.0"),
    Spec::session("SETUSER", -3, acl::refused, "Refused.").admin().since("6.0.0").differs(SET_IN_FILE),
    Spec::session("DELUSER", -3, acl::refused, "Refused.").admin().since("6.0.0").differs(SET_IN_FILE),
    Spec::session("LOAD", 2, acl::refused, "Refused.").admin().since("6.0.0").differs(SET_IN_FILE),
    Spec::session("SAVE", 2, acl::refused, "Refused.").admin().since("6.0.0").differs(SET_IN_FILE),
    help("6.0.0"),
];

const SET_IN_FILE: &[&str] = &["Refused: users are set in landfall.toml, and taken at the next start."];

const MEMORY: &[Spec] = &[
    Spec::read("USAGE", -3, Keys::SECOND, memory::usage, "What a key holds of the cache, in bytes.")
        .since("4.0.0")
        .differs(&["The cache's own estimate; nothing is sampled."]),
    Spec::session("DOCTOR", 2, memory::doctor, "Whether memory is short, in words.").since("4.0.0"),
    Spec::session("STATS", 2, memory::stats, "The cache in numbers.")
        .since("4.0.0")
        .differs(&["A few fields, of the cache alone."]),
    Spec::session("PURGE", 2, others::done, "Answers OK: nothing is held back.").since("4.0.0"),
    help("4.0.0"),
];

const MODULE: &[Spec] =
    &[Spec::session("LIST", 2, others::nothing, "There are none.").admin().since("4.0.0"), help("5.0.0")];

const FUNCTION: &[Spec] = &[
    Spec::session("LIST", -2, others::nothing, "There are none.").since("7.0.0"),
    Spec::session("FLUSH", -2, others::done, "There are none.").since("7.0.0"),
    Spec::session("STATS", 2, others::function_stats, "There are none.").since("7.0.0"),
    help("7.0.0"),
];

const COMMAND: &[Spec] = &[
    Spec::session("COUNT", 2, introspection::count, "How many commands there are.").since("2.8.13"),
    Spec::session("LIST", -2, introspection::list, "The names of the commands, of all or by a filter.")
        .since("7.0.0"),
    Spec::session("INFO", -2, introspection::command_info, "Details of several commands, or of all.")
        .since("2.8.13"),
    Spec::session("DOCS", -2, introspection::docs, "What several commands do, or all.").since("7.0.0"),
    Spec::session("GETKEYS", -3, introspection::getkeys, "The keys in a command.").since("2.8.13"),
    Spec::session(
        "GETKEYSANDFLAGS",
        -3,
        introspection::getkeysandflags,
        "The keys in a command, and what it does with them.",
    )
    .since("7.0.0"),
    help("5.0.0"),
];

const CONFIG: &[Spec] = &[
    Spec::session("GET", -3, config::get, "The settings whose names match.")
        .admin()
        .since("2.0.0")
        .differs(&["Only settings that clients and tools ask for have Redis's names; all are in `landfall config print`."]),
    Spec::session("SET", -4, config::set_all, "Changes settings, all or none of them.").admin().since("2.0.0").differs(&[
        "`slowlog-log-slower-than`, `slowlog-max-len`, `latency-monitor-threshold` and `timeout` can be changed, until the server ends. Another one is taken when it says what is so already, and else refused with the place where it is set.",
    ]),
    Spec::session("RESETSTAT", 2, config::resetstat, "Sets the counters of INFO back.").admin().since("2.0.0"),
    Spec::session("REWRITE", 2, config::rewrite, "Refused: the server writes no settings file.")
        .admin()
        .since("2.8.0")
        .differs(&["Refused."]),
    help("5.0.0"),
];

const SLOWLOG: &[Spec] = &[
    Spec::session("GET", -2, slowlog::get, "The last slow commands.").admin().since("2.2.12").differs(&[
        "Of a command its name and keys are kept, no value and no address. Short commands of one pipeline that took long together are one entry with their names.",
    ]),
    Spec::session("LEN", 2, slowlog::len, "How many slow commands are kept.").admin().since("2.2.12"),
    Spec::session("RESET", 2, slowlog::reset, "Forgets the slow commands.").admin().since("2.2.12"),
    help("6.2.0"),
];

const LATENCY: &[Spec] = &[
    Spec::session("LATEST", 2, slowlog::latest, "The last delay of each kind.")
        .admin()
        .since("2.8.13")
        .differs(&[
            "The kinds are `command`, `fast-command` and `commit`, which is when the log was made safe.",
        ]),
    Spec::session("HISTORY", 3, slowlog::history, "The delays of a kind.").admin().since("2.8.13"),
    Spec::session("RESET", -2, slowlog::forget, "Forgets delays.").admin().since("2.8.13"),
    Spec::session("DOCTOR", 2, slowlog::doctor, "What was slow, in words.").admin().since("2.8.13"),
    Spec::session("HISTOGRAM", -2, slowlog::histogram, "How long commands took.")
        .admin()
        .since("7.0.0")
        .differs(&["Short commands of one pipeline share up to 16 the time that they took together."]),
    help("2.8.13"),
];
