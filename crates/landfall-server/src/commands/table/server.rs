//! The commands of the server: what tools ask for when they connect and later.
//! What they mean is in the family's own file; here they are only described.

use crate::commands::spec::{Flags, Spec};
use crate::commands::{config, info, introspection};

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
    Spec::session("INFO", -1, info::info, "What the server says of itself.")
        .since("1.0.0")
        .differs(&["Landfall's own numbers stand in the section `Landfall`."]),
    Spec::session("TIME", 1, introspection::time, "The time of the server.").fast().since("2.6.0"),
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
        .also(Flags::ADMIN)
        .since("2.0.0")
        .differs(&["Only settings that clients and tools ask for have Redis's names; all are in `landfall config print`."]),
    help("5.0.0"),
];
