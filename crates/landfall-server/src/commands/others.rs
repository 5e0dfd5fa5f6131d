//! Commands that tools and clients send to any Redis, and to which Landfall has a short answer: there is none of it here,
//! or there is nothing to do.
//! A refusal says what is done instead; nothing is answered OK that was not done or is not so.

use landfall::engine::Engine;
use landfall_resp::{ReplyWriter, Request};

use super::Flow;
use crate::front::session::Session;

type Reply<'a, 'o> = &'a mut ReplyWriter<'o>;

/// ROLE
pub fn role(_: &mut Session, engine: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.array_header(3);
    reply.bulk(b"master");
    reply.integer(engine.accepted() as i64);
    reply.array_header(0);
    Flow::Done
}

/// LOLWUT
pub fn lolwut(_: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    let text = format!(
        "      .--.        __|__\n   .-(    ).   --@--@-(_)-@--@--\n  (___.__)__)\n ______________________________\n\nLandfall ver. {}\n",
        env!("CARGO_PKG_VERSION")
    );
    reply.verbatim(b"txt", text.as_bytes());
    Flow::Done
}

/// MODULE LIST, FUNCTION LIST: there are none.
pub fn nothing(_: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.array_header(0);
    Flow::Done
}

/// FUNCTION FLUSH, MEMORY PURGE: there is nothing to do.
pub fn done(_: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.ok();
    Flow::Done
}

/// FUNCTION STATS
pub fn function_stats(_: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.map_header(2);
    reply.bulk(b"running_script");
    reply.null();
    reply.bulk(b"engines");
    reply.map_header(0);
    Flow::Done
}

/// REPLICAOF NO ONE is so; everything else of replication is refused.
pub fn replicaof(_: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    match request[1].eq_ignore_ascii_case(b"NO") && request[2].eq_ignore_ascii_case(b"ONE") {
        true => reply.ok(),
        false => reply.error(
            "ERR Landfall follows no other server: the database is where data goes, and where it is copied",
        ),
    }
    Flow::Done
}

/// SWAPDB 0 0 is so.
pub fn swapdb(_: &mut Session, _: &Engine, request: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    match (&request[1], &request[2]) {
        (b"0", b"0") => reply.ok(),
        _ => reply.error("ERR DB index is out of range; Landfall has database 0 only"),
    }
    Flow::Done
}

/// SYNC, PSYNC, REPLCONF
pub fn no_replication(_: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.error("ERR Landfall has no replicas: the database is where data goes, and where it is copied");
    Flow::Done
}

/// CLUSTER, READONLY, READWRITE, ASKING
pub fn no_cluster(_: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.error("ERR This instance has cluster support disabled");
    Flow::Done
}

/// MONITOR
pub fn monitor(_: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.error(
        "ERR MONITOR would show every value to whoever listens, and is not built; SLOWLOG, CLIENT LIST and INFO commandstats tell what clients do",
    );
    Flow::Done
}

/// SAVE, BGSAVE, BGREWRITEAOF
pub fn save(_: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.error(
        "ERR there is no file to write: what is acknowledged is in the log, and lands in the database; LANDFALL.FLUSH waits until all of it has",
    );
    Flow::Done
}

/// SHUTDOWN
pub fn shutdown(_: &mut Session, _: &Engine, _: &Request<'_>, reply: Reply<'_, '_>) -> Flow {
    reply.error("ERR a client does not end the server; whoever started it does, with SIGTERM");
    Flow::Done
}
