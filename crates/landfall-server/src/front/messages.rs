//! Messages between clients: who listens to which channels, and who gets what is published. Nothing of it is kept: who
//! does not listen at that moment never hears of it.
//! It must never make a connection grow without end: one that does not read its messages is closed.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use landfall_resp::ReplyWriter;

use super::Front;
use super::run::begin;
use super::shared::Who;
use crate::commands::glob;

/// So many channels and patterns a connection may listen to.
pub const SUBSCRIPTIONS_MAX: usize = 10_000;
/// So many patterns of them: each one is looked at for each message.
pub const PATTERNS_MAX: usize = 1_000;
/// The longest name of a channel or pattern, in bytes.
pub const NAME_BYTES_MAX: usize = 4096;
/// With more bytes unsent a connection that gets one more message is closed.
const UNSENT_BYTES_MAX: usize = 32 << 20;

/// What a connection listens to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// Channels by name.
    pub channels: BTreeSet<Vec<u8>>,
    /// Patterns of names.
    pub patterns: BTreeSet<Vec<u8>>,
}

impl Subscriptions {
    /// Of channels or of patterns.
    pub fn of(&mut self, kind: Kind) -> &mut BTreeSet<Vec<u8>> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One channel.
    Channel,
    /// All channels that match.
    Pattern,
}

type Listeners = HashMap<Vec<u8>, Vec<Who>>;

/// Who listens to what. Only the loop uses it; the lock is never waited for.
#[derive(Debug, Default)]
pub struct Messages {
    listeners: Mutex<(Listeners, Listeners)>,
}

impl Messages {
    fn lock(&self) -> MutexGuard<'_, (Listeners, Listeners)> {
        // Every change of it is one step.
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on `who` listens.
    pub fn listen(&self, kind: Kind, name: &[u8], who: Who) {
        let mut all = self.lock();
        let listeners = if kind == Kind::Channel { &mut all.0 } else { &mut all.1 };
        listeners.entry(name.to_vec()).or_default().push(who);
    }

    /// From now on `who` does not.
    pub fn leave(&self, kind: Kind, name: &[u8], who: Who) {
        let mut all = self.lock();
        let listeners = if kind == Kind::Channel { &mut all.0 } else { &mut all.1 };
        if let Some(have) = listeners.get_mut(name) {
            have.retain(|other| *other != who);
            if have.is_empty() {
                listeners.remove(name);
            }
        }
    }

    /// Who gets a message of this channel, and for which pattern; one that matches twice gets it twice, as in Redis.
    fn receivers(&self, channel: &[u8]) -> Vec<(Who, Option<Vec<u8>>)> {
        let all = self.lock();
        let direct = all.0.get(channel).into_iter().flatten().map(|who| (*who, None));
        let matching = all.1.iter().filter(|(pattern, _)| glob::matches(pattern, channel));
        let through = matching.flat_map(|(pattern, all)| all.iter().map(|who| (*who, Some(pattern.clone()))));
        direct.chain(through).collect()
    }

    /// How many get a message of this channel.
    pub fn count(&self, channel: &[u8]) -> usize {
        self.receivers(channel).len()
    }

    /// How many listen to exactly this channel.
    pub fn listening(&self, channel: &[u8]) -> usize {
        self.lock().0.get(channel).map_or(0, Vec::len)
    }

    /// The channels that somebody listens to.
    pub fn channels(&self) -> Vec<Vec<u8>> {
        self.lock().0.keys().cloned().collect()
    }

    /// How many patterns somebody listens to.
    pub fn patterns(&self) -> usize {
        self.lock().1.len()
    }
}

impl Front {
    /// Hands on what a connection has published. It leaves with the replies of this turn: not before what it may tell of
    /// is as safe as promised.
    #[cold]
    pub(super) fn deliver(&mut self, token: usize) {
        let Some(publisher) = self.connections.get_mut(token) else { return };
        let unsafe_reply = publisher.session.unsafe_reply;
        for (channel, message) in std::mem::take(&mut publisher.session.published) {
            for (who, pattern) in self.shared.messages.receivers(&channel) {
                let Some(connection) = self.connections.get_mut(who.token) else { continue };
                if connection.session.who != who || connection.closing {
                    continue;
                }
                if connection.unsent_bytes() > UNSENT_BYTES_MAX {
                    // At once: it reads nothing, so it would not hear a goodbye either.
                    self.close(who.token);
                    continue;
                }
                begin(connection, &mut self.touched, who.token);
                connection.session.unsafe_reply |= unsafe_reply;
                let mut reply = ReplyWriter::new(&mut connection.output, connection.session.protocol);
                match &pattern {
                    None => {
                        reply.push_header(3);
                        reply.bulk(b"message");
                    }
                    Some(pattern) => {
                        reply.push_header(4);
                        reply.bulk(b"pmessage");
                        reply.bulk(pattern);
                    }
                }
                reply.bulk(&channel);
                reply.bulk(&message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_gets_what_matches_until_it_leaves() {
        let messages = Messages::default();
        let [amy, ben] = [1, 2].map(|id| Who { token: id as usize, id });
        messages.listen(Kind::Channel, b"news", amy);
        messages.listen(Kind::Pattern, b"n*", amy);
        messages.listen(Kind::Pattern, b"n*", ben);
        assert_eq!((messages.count(b"news"), messages.count(b"nothing"), messages.count(b"x")), (3, 2, 0));
        assert_eq!((messages.listening(b"news"), messages.patterns()), (1, 1));
        messages.leave(Kind::Pattern, b"n*", amy);
        messages.leave(Kind::Channel, b"news", amy);
        assert_eq!(messages.receivers(b"news"), [(ben, Some(b"n*".to_vec()))]);
        assert!(messages.channels().is_empty());
    }
}
