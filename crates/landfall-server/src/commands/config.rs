//! CONFIG GET: the settings that clients and tools ask for, by the names that Redis has for them.
//! It only tells; settings are changed in landfall.toml.

use landfall::engine::Engine;
use landfall::settings::Fsync;
use landfall_resp::{ReplyWriter, Request};

use super::{Flow, glob};
use crate::front::session::Session;

/// `CONFIG GET pattern [pattern ..]`
pub fn get(
    session: &mut Session,
    engine: &Engine,
    request: &Request<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Flow {
    let settings = engine.settings();
    let appendfsync = match settings.fsync {
        Fsync::Always => "always",
        Fsync::Everysec => "everysec",
        Fsync::Os => "no",
    };
    let port = session.shared.listen.rsplit(':').next().unwrap_or_default().to_owned();
    let parameters: [(&str, String); 10] = [
        ("save", String::new()),
        ("appendonly", "yes".into()),
        ("appendfsync", appendfsync.into()),
        ("databases", "1".into()),
        ("dir", settings.data_dir.display().to_string()),
        ("maxclients", session.shared.connections_max.to_string()),
        ("maxmemory", settings.memory_bytes_max.to_string()),
        // Clean rows are let go when memory is short, dirty ones never; Redis has no better word for it.
        ("maxmemory-policy", "allkeys-lru".into()),
        ("port", port),
        ("proto-max-bulk-len", landfall_resp::Limits::authenticated().bulk_bytes_max.to_string()),
    ];
    let found: Vec<_> = parameters
        .iter()
        .filter(|(name, _)| {
            let mut patterns = request.args().skip(2);
            patterns.any(|pattern| glob::matches(&pattern.to_ascii_lowercase(), name.as_bytes()))
        })
        .collect();
    reply.map_header(found.len());
    for (name, value) in found {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    Flow::Done
}
