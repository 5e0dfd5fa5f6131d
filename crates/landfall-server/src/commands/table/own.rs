//! Landfall's own commands, and WAIT and WAITAOF, whose replica is the database.
//! What they mean is in the family's own file; here they are only described.

use crate::commands::spec::{Flags, Keys, Spec};
use crate::commands::{incidents, letters, own, status, warm};

pub(super) const LANDFALL: &[Spec] = &[
    Spec::write("LANDFALL.ADD", 4, Keys::ONE, own::add, "Lets a column of a row grow without reading it.").fast(),
    // Not in a transaction: without keys it locks all of the cache, of which a transaction holds parts.
    Spec::write("LANDFALL.EVICT", -1, Keys::ALL, own::evict, "Lets clean rows go from the cache.").frugal().admin().alone(),
    Spec::session(
        "LANDFALL.WARM",
        -3,
        warm::warm,
        "Loads rows of a table that the cache does not know, from a cursor on: the next cursor, how many, whether it is full.",
    )
    .admin()
    .alone(),
    Spec::session("LANDFALL.STATUS", 1, status::status, "What is pending and what holds it up, as JSON.").alone(),
    Spec::session(
        "LANDFALL.EXPLAIN",
        2,
        own::explain,
        "Where a key stands between cache, log and database, as JSON.",
    )
    .alone(),
    Spec::session(
        "LANDFALL.POSITIONS",
        1,
        own::positions,
        "Where this connection's writes stand: the log's lineage, then of each lane its number and the last position.",
    )
    .alone(),
    Spec::session("LANDFALL.FLUSH", -1, own::flush, "Lands everything accepted so far and waits for it.")
        .also(Flags::BLOCKING)
        .alone(),
    Spec::session("LANDFALL.PAUSE", -1, own::pause, "Stops landing of a group, or of all.").admin().alone(),
    Spec::session("LANDFALL.RESUME", -1, own::resume, "Lands again.").admin().alone(),
    Spec::session("LANDFALL.INCIDENTS", -1, incidents::incidents, "Lists incidents as JSON, or acknowledges them.")
        .admin()
        .alone(),
    Spec::session(
        "LANDFALL.DEADLETTERS",
        -2,
        letters::dead_letters,
        "What the database refused: LIST, GET, RETRY, DROP, EDIT.",
    )
    .admin()
    .alone(),
    Spec::session("LANDFALL.RELOAD", 1, own::reload, "Reads the database's tables again.").admin().alone(),
    Spec::session("WAIT", 3, own::wait, "Waits until this connection's writes have landed.")
        .also(Flags::BLOCKING)
        .alone()
        .since("3.0.0")
        .differs(&[
            "The one replica is the database: the reply is 1 when this connection's writes are committed there, and an error `DEADLETTER` when the database refused one of them.",
        ]),
    Spec::session("WAITAOF", 4, own::waitaof, "Waits until this connection's writes are on the disk.")
        .also(Flags::BLOCKING)
        .alone()
        .since("7.2.0")
        .differs(&["The append-only file is Landfall's log. There are no replicas."]),
];
