//! What a connection has agreed with the server: protocol, login, name, transaction, and what it wrote last.
//! It knows nothing of sockets, so that the commands that change it can be tested without one.

use std::sync::Arc;

use landfall::engine::{Watch, Written};
use landfall::model::{LaneId, Position};
use landfall_resp::{OwnedRequest, Protocol};

use crate::commands::Spec;
use crate::front::messages::{Kind, Subscriptions};
use crate::front::readers::Reading;
use crate::front::shared::{Shared, Who};
use crate::front::socket::Peer;
use crate::front::users::{Rights, User};

/// The most that a transaction may queue, in bytes of requests.
pub const TRANSACTION_BYTES_MAX: usize = 64 << 20;

/// So many writes of a connection WAIT can tell to have been refused.
const RECENT_WRITES_MAX: usize = 128;

/// A connection, as commands see it.
pub struct Session {
    /// Its number, which CLIENT ID answers, and its place in the loop.
    pub who: Who,
    /// Who is on the other side.
    pub peer: Peer,
    /// RESP2 or RESP3.
    pub protocol: Protocol,
    /// Whether commands other than HELLO, AUTH and QUIT are allowed.
    pub authenticated: bool,
    /// What its user may do.
    pub rights: Rights,
    /// The number of its user.
    user: Option<usize>,
    /// What CLIENT SETNAME set.
    pub name: Vec<u8>,
    /// The client library and its version, as CLIENT SETINFO told them.
    pub library: (Vec<u8>, Vec<u8>),
    /// Its last command.
    pub last: Option<&'static Spec>,
    /// Whether it wants replies.
    pub replies: Replies,
    /// What it listens to; none while it does not.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// Channels and messages that its last request published, for the loop to hand on.
    pub published: Vec<(Vec<u8>, Vec<u8>)>,
    /// Keys that its last request wrote to and that somebody may wait for, for the loop to look.
    pub woken: Vec<Vec<u8>>,
    /// Since when and how long the request that runs has waited already; none for one that runs for the first time.
    pub reading: Option<Reading>,
    /// The transaction being queued.
    pub transaction: Option<Transaction>,
    /// What WATCH was told of; until EXEC, DISCARD, UNWATCH or the end of the connection.
    pub watch: Option<Watch>,
    /// The last position that this connection wrote in each lane.
    pub places: Vec<(LaneId, Position)>,
    /// The last writes since WAIT was asked, one by one, so that it can tell that one of them was refused.
    recent: Vec<(LaneId, Position)>,
    writes: usize,
    /// The end of its last write in the log.
    pub end: u64,
    /// A reply of this turn tells of something that is not yet as safe as promised.
    pub unsafe_reply: bool,
    /// What all connections share.
    pub shared: Arc<Shared>,
}

/// What CLIENT REPLY asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replies {
    /// Replies.
    #[default]
    On,
    /// None.
    Off,
    /// None to this request and to the next.
    SkipNext,
    /// None to this request.
    Skip,
}

/// Requests queued between MULTI and EXEC.
#[derive(Default)]
pub struct Transaction {
    /// The requests.
    pub queued: Vec<(&'static Spec, OwnedRequest)>,
    /// Their size.
    pub bytes: usize,
    /// A request was refused while queueing: EXEC will refuse too.
    pub spoiled: bool,
}

impl Session {
    /// A fresh session.
    pub fn new(who: Who, peer: Peer, shared: Arc<Shared>) -> Session {
        let mut session = Session {
            who,
            peer,
            protocol: Protocol::Resp2,
            authenticated: false,
            rights: Rights::NONE,
            user: None,
            name: Vec::new(),
            library: Default::default(),
            last: None,
            replies: Replies::On,
            subscriptions: None,
            published: Vec::new(),
            woken: Vec::new(),
            reading: None,
            transaction: None,
            watch: None,
            places: Vec::new(),
            recent: Vec::new(),
            writes: 0,
            end: 0,
            unsafe_reply: false,
            shared,
        };
        session.become_user(session.shared.users().without_login());
        session
    }

    /// From now on the connection is this user, or nobody.
    pub fn become_user(&mut self, number: Option<usize>) {
        let user = number.and_then(|number| self.shared.users().get(number));
        self.authenticated = user.is_some();
        self.rights = user.map_or(Rights::NONE, |user| user.rights);
        self.user = number;
    }

    /// Its user; none before a login.
    pub fn user(&self) -> Option<&User> {
        self.shared.users().get(self.user?)
    }

    /// Back to the start of the connection.
    pub fn reset(&mut self) {
        self.protocol = Protocol::Resp2;
        self.become_user(self.shared.users().without_login());
        self.name.clear();
        self.transaction = None;
        self.watch = None;
        self.replies = Replies::On;
        self.stop_listening_to_all();
    }

    /// Whether the request that runs gets no reply.
    pub fn is_silent(&self) -> bool {
        self.replies != Replies::On
    }

    /// Whether the loop has more to do for the last request than to reply.
    #[inline]
    pub fn asks_more(&self) -> bool {
        self.is_silent() || !self.published.is_empty() || !self.woken.is_empty()
    }

    /// Goes on to the next request, after one that wanted no reply.
    #[cold]
    pub fn end_silence(&mut self) {
        self.replies = match self.replies {
            Replies::SkipNext => Replies::Skip,
            Replies::Skip => Replies::On,
            same => same,
        };
    }

    /// How many channels and patterns it listens to.
    pub fn subscribed(&self) -> (usize, usize) {
        self.subscriptions.as_ref().map_or((0, 0), |all| (all.channels.len(), all.patterns.len()))
    }

    /// How many channels and patterns it listens to, together.
    pub fn subscription_count(&self) -> usize {
        self.subscriptions.as_ref().map_or(0, |all| all.count())
    }

    /// Listens to one channel or pattern less.
    pub fn stop_listening(&mut self, kind: Kind, name: &[u8]) {
        let Some(subscriptions) = &mut self.subscriptions else { return };
        if subscriptions.of(kind).remove(name) {
            self.shared.messages.leave(kind, name, self.who);
        }
        if subscriptions.count() == 0 {
            self.subscriptions = None;
        }
    }

    /// Listens to nothing any more.
    pub fn stop_listening_to_all(&mut self) {
        let Some(subscriptions) = self.subscriptions.take() else { return };
        for (kind, names) in
            [(Kind::Channel, subscriptions.channels), (Kind::Pattern, subscriptions.patterns)]
        {
            names.iter().for_each(|name| self.shared.messages.leave(kind, name, self.who));
        }
    }

    /// The last writes since this was asked before.
    pub fn take_recent(&mut self) -> Vec<(LaneId, Position)> {
        self.writes = 0;
        std::mem::take(&mut self.recent)
    }

    /// Remembers what this connection wrote, for WAIT.
    pub fn wrote(&mut self, written: &Written) {
        for (lane, position) in &written.places {
            match self.recent.get_mut(self.writes % RECENT_WRITES_MAX) {
                Some(oldest) => *oldest = (*lane, *position),
                None => self.recent.push((*lane, *position)),
            }
            self.writes += 1;
            match self.places.iter_mut().find(|(have, _)| have == lane) {
                Some((_, last)) => *last = *position,
                None => self.places.push((*lane, *position)),
            }
        }
        self.end = self.end.max(written.end);
        self.unsafe_reply |= written.end > 0;
    }
}
