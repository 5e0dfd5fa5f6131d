//! The commands of the connection and of transactions.
//! What they mean is in the family's own file; here they are only described.

use super::server::help;
use crate::commands::spec::{Flags, Keys, Spec};
use crate::commands::{client, connection, introspection, transactions};

pub(super) const TRANSACTIONS: &[Spec] = &[
    Spec::session("MULTI", 1, transactions::multi, "Starts a transaction.").fast().alone().since("1.2.0"),
    Spec::exec("Runs a transaction.")
        .alone()
        .since("1.2.0")
        .differs(&["One record in the log: after a crash a transaction is there whole or not at all."]),
    Spec::session("DISCARD", 1, transactions::discard, "Drops a transaction.").fast().alone().since("2.0.0"),
    Spec::read("WATCH", -2, Keys::ALL, transactions::watch, "Lets EXEC run only if these keys have not changed.")
        .fast()
        .alone()
        .since("2.2.0")
        .differs(&[
            "Every change through Landfall is seen, also after a key was evicted and loaded again. A row that another program changes in the database is not watched. Now and then a watch is broken although nothing changed: a transaction that is refused is tried again, as ever. At most 10,000 keys a connection.",
        ]),
    Spec::session("UNWATCH", 1, transactions::unwatch, "Watches nothing any more.").fast().since("2.2.0"),
];

pub(super) const CONNECTION: &[Spec] = &[
    Spec::session("PING", -1, connection::ping, "Answers PONG, or the argument.").fast().since("1.0.0"),
    Spec::session("ECHO", 2, connection::echo, "Answers the argument.").fast().since("1.0.0"),
    Spec::session("HELLO", -1, connection::hello, "Chooses the protocol, and authenticates.")
        .also(LOGIN)
        .alone()
        .since("6.0.0")
        .differs(&["The server calls itself `landfall` and tells its own version."]),
    Spec::session("AUTH", -2, connection::auth, "Authenticates.").also(LOGIN).alone().since("1.0.0"),
    Spec::session("SELECT", 2, connection::select, "Database 0 is the only one.")
        .fast()
        .since("1.0.0")
        .differs(&["Another database than 0 is refused."]),
    Spec::session("CLIENT", -2, introspection::help, "What the server knows of its clients.")
        .since("2.4.0")
        .holds(CLIENT),
    Spec::session("RESET", 1, connection::reset, "Sets the connection back to its start.")
        .also(LOGIN)
        .alone()
        .since("6.2.0"),
    Spec::session("QUIT", -1, connection::quit, "Closes the connection.").also(LOGIN).alone().since("1.0.0"),
];

/// Of what works before a login.
const LOGIN: Flags = Flags::NO_AUTH.and(Flags::FAST);

const CLIENT: &[Spec] = &[
    Spec::session("ID", 2, client::id, "The number of this connection.").since("5.0.0"),
    Spec::session("INFO", 2, client::info, "What the server knows of this connection.")
        .alone()
        .since("6.2.0"),
    Spec::session("LIST", -2, client::list, "What the server knows of all connections.")
        .admin()
        .alone()
        .since("2.4.0")
        .differs(&["`fd` is -1: descriptors are nobody else's business."]),
    Spec::session("KILL", -3, client::kill, "Closes connections.").admin().alone().since("2.4.0"),
    Spec::session("SETNAME", 3, client::setname, "Names this connection.")
        .since("2.6.9")
        .differs(&["A name has at most 256 bytes."]),
    Spec::session("GETNAME", 2, client::getname, "The name of this connection.").since("2.6.9"),
    Spec::session("SETINFO", 4, client::setinfo, "Notes the client library and its version.").since("7.2.0"),
    Spec::session("REPLY", 3, client::reply, "Turns replies off and on, or leaves the next one out.")
        .alone()
        .since("3.2.0"),
    Spec::session("NO-EVICT", 3, client::switch, "Answers OK: no client is let go for want of memory.")
        .admin()
        .since("7.0.0"),
    Spec::session(
        "NO-TOUCH",
        3,
        client::switch,
        "Answers OK; reads count for the eviction list all the same.",
    )
    .since("7.2.0")
    .differs(&["Reads count for the eviction list all the same."]),
    Spec::session("TRACKING", -3, client::tracking, "OFF is what is so; ON is refused.")
        .since("6.0.0")
        .differs(&["ON is refused: clients are not told of changed keys."]),
    Spec::session("TRACKINGINFO", 2, client::trackinginfo, "Says that tracking is off.").since("6.2.0"),
    Spec::session("GETREDIR", 2, client::getredir, "-1: nothing is redirected.").since("6.0.0"),
    Spec::session("PAUSE", -3, client::pause, "Refused: clients are not paused.")
        .admin()
        .since("3.0.0")
        .differs(&["Refused; `LANDFALL.PAUSE` stops landing, and clients go on."]),
    Spec::session("UNPAUSE", 2, client::unpause, "Answers OK.").admin().since("6.2.0"),
    Spec::session("UNBLOCK", -3, client::unblock, "Ends the wait of a client in XREAD.")
        .admin()
        .since("5.0.0")
        .differs(&["Only a client that waits in XREAD; a WAIT is ended by its time, and counts as 0."]),
    help("5.0.0"),
];
