//! The thread that makes TLS handshakes, so that their arithmetic and their slowness stay out of the loop.
//! It must never hold a handshake longer than it may, or more of them at once than it may.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use rustls::{ServerConfig, ServerConnection};
use slab::Slab;

use super::stream::{SESSION_BYTES_MAX, TlsStream};
use crate::front::FIRST_LISTENER;
use crate::front::shared::{Post, Shared};
use crate::front::socket::Peer;

/// So many handshakes may be going on. Beyond, the one that came first makes room: it had the most time.
const HANDSHAKES_MAX: usize = 1_000;
/// The first byte of every handshake.
const HANDSHAKE_RECORD: u8 = 0x16;
/// How long to wait before accepting again when the system had no descriptor to give.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
const WAKER: Token = Token(usize::MAX);

/// The doors with TLS; closed when dropped.
pub(in crate::front) struct Door {
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Makes handshakes with whoever comes to these listeners.
    pub(in crate::front) fn open(
        listeners: Vec<TcpListener>,
        config: Arc<ServerConfig>,
        handshake_max: Duration,
        shared: Arc<Shared>,
    ) -> std::io::Result<Door> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut handshakes = Handshakes {
            poll,
            listeners,
            config,
            handshake_max,
            shared: shared.clone(),
            going: Slab::new(),
            order: VecDeque::new(),
            next_id: 0,
            accept_again: false,
            stop: stop.clone(),
        };
        for (number, listener) in handshakes.listeners.iter_mut().enumerate() {
            let token = Token(FIRST_LISTENER + number);
            handshakes.poll.registry().register(listener, token, Interest::READABLE)?;
        }
        let work = move || watched(&shared, || handshakes.run());
        let thread = std::thread::Builder::new().name("landfall-handshakes".into()).spawn(work)?;
        Ok(Door { stop, waker, thread: Some(thread) })
    }
}

/// Does the work of the thread. However it ends unless it was asked to, the server ends with it: nobody would be let in over
/// TLS any more, and nobody would know.
fn watched(shared: &Shared, work: impl FnOnce() -> std::io::Result<()>) {
    let alarm = Alarm(shared);
    if let Err(error) = work() {
        shared.post(Post::Failed(format!("TLS handshakes cannot go on: {error}")));
    }
    drop(alarm);
}

/// Tells the loop while a panic unwinds.
struct Alarm<'s>(&'s Shared);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.post(Post::Failed("the thread landfall-handshakes panicked; this is a bug".into()));
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A thread that is gone needs no waking, and one that panicked has nothing to tell here.
        let _ = self.waker.wake();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A handshake.
struct Going {
    id: u64,
    stream: TcpStream,
    session: ServerConnection,
    peer: Peer,
    /// Something came that may be a handshake.
    begun: bool,
}

/// How far a handshake is.
enum Progress {
    Waits,
    /// It is made; what came right behind it may have broken the session.
    Done(Option<Box<rustls::Error>>),
    Failed,
}

struct Handshakes {
    poll: Poll,
    listeners: Vec<TcpListener>,
    config: Arc<ServerConfig>,
    handshake_max: Duration,
    shared: Arc<Shared>,
    going: Slab<Going>,
    /// Those that are going on, and some that are over, in the order in which they came: place, number, and when it has
    /// to be over.
    order: VecDeque<(usize, u64, Instant)>,
    next_id: u64,
    accept_again: bool,
    stop: Arc<AtomicBool>,
}

impl Handshakes {
    fn run(&mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(256);
        while !self.stop.load(Ordering::Relaxed) {
            match self.poll.poll(&mut events, self.timeout()) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            for event in &events {
                match event.token() {
                    WAKER => {}
                    Token(token) if token >= FIRST_LISTENER => self.accept(token - FIRST_LISTENER),
                    Token(token) => self.go_on(token),
                }
            }
            if std::mem::take(&mut self.accept_again) {
                (0..self.listeners.len()).for_each(|number| self.accept(number));
            }
            self.end_late(Instant::now());
        }
        Ok(())
    }

    fn timeout(&self) -> Option<Duration> {
        let first = self.order.front().map(|(_, _, until)| until.saturating_duration_since(Instant::now()));
        first.into_iter().chain(self.accept_again.then_some(ACCEPT_AGAIN)).min()
    }

    fn accept(&mut self, number: usize) {
        while let Some(listener) = self.listeners.get(number) {
            match listener.accept() {
                Ok((stream, address)) => self.begin(stream, address),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                // Descriptors are short. Who waits already causes no event again, so the clock does.
                Err(_) => {
                    self.accept_again = true;
                    return;
                }
            }
        }
    }

    fn begin(&mut self, mut stream: TcpStream, address: SocketAddr) {
        // Small replies must not wait for more; a socket that refuses this still works.
        let _ = stream.set_nodelay(true);
        let Ok(mut session) = ServerConnection::new(self.config.clone()) else { return };
        session.set_buffer_limit(Some(SESSION_BYTES_MAX));
        self.make_room();
        let entry = self.going.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(&mut stream, Token(entry.key()), interest).is_err() {
            return;
        }
        let (token, id) = (entry.key(), self.next_id);
        entry.insert(Going { id, stream, session, peer: Peer::Network(address), begun: false });
        self.next_id += 1;
        self.order.push_back((token, id, Instant::now() + self.handshake_max));
    }

    /// Lets those go that came first, until there is room for one more.
    fn make_room(&mut self) {
        // Those that are over and not at the front yet take no room from anybody, but they are not kept without end.
        if self.order.len() >= 2 * HANDSHAKES_MAX {
            let going = &self.going;
            self.order.retain(|(token, id, _)| going.get(*token).is_some_and(|going| going.id == *id));
        }
        while self.going.len() >= HANDSHAKES_MAX {
            let Some((token, id, _)) = self.order.pop_front() else { return };
            self.end(token, id);
        }
    }

    fn end_late(&mut self, now: Instant) {
        while let Some(&(token, id, until)) = self.order.front() {
            let is_over = self.going.get(token).is_none_or(|going| going.id != id);
            if !is_over && now < until {
                return;
            }
            self.order.pop_front();
            self.end(token, id);
        }
    }

    /// Ends a handshake, if it is still going on.
    fn end(&mut self, token: usize, id: u64) {
        if self.going.get(token).is_some_and(|going| going.id == id) {
            Shared::count(&self.shared.handshakes_failed);
            self.going.remove(token);
        }
    }

    fn go_on(&mut self, token: usize) {
        let Some(going) = self.going.get_mut(token) else { return };
        match advance(going) {
            Progress::Waits => {}
            Progress::Failed => {
                Shared::count(&self.shared.handshakes_failed);
                self.going.remove(token);
            }
            Progress::Done(broken) => {
                let mut going = self.going.remove(token);
                if self.poll.registry().deregister(&mut going.stream).is_ok() {
                    let stream = TlsStream::new(going.stream, going.session, broken);
                    self.shared.post(Post::Secured(Box::new(stream), going.peer));
                }
            }
        }
    }
}

/// Goes on with a handshake as far as it goes without waiting.
fn advance(going: &mut Going) -> Progress {
    loop {
        while going.session.wants_write() {
            match going.session.write_tls(&mut going.stream) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Waits,
                Ok(0) | Err(_) => return Progress::Failed,
            }
        }
        if !going.session.is_handshaking() {
            return Progress::Done(None);
        }
        if !going.begun {
            let mut first = [0];
            match going.stream.peek(&mut first) {
                Ok(1) if first[0] == HANDSHAKE_RECORD => going.begun = true,
                Ok(1) => return refuse_plain_text(going),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Waits,
                Ok(_) | Err(_) => return Progress::Failed,
            }
        }
        match going.session.read_tls(&mut going.stream) {
            Ok(1..) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Waits,
            Ok(0) | Err(_) => return Progress::Failed,
        }
        if let Err(error) = going.session.process_new_packets() {
            // Requests may have come with the end of the handshake: they are run, and then the session ends.
            if !going.session.is_handshaking() {
                return Progress::Done(Some(Box::new(error)));
            }
            // The alert tells the client why, as far as it goes without waiting.
            let _ = going.session.write_tls(&mut going.stream);
            return Progress::Failed;
        }
    }
}

/// Says in plain text that this is no place for it. Nothing of it is run.
fn refuse_plain_text(going: &mut Going) -> Progress {
    // The socket is fresh: a line fits, and if it does not, the close says enough.
    let _ = going.stream.write(b"-ERR this address speaks TLS; connect with rediss:// or --tls\r\n");
    Progress::Failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whichever_way_the_thread_of_the_handshakes_ends_by_itself_the_loop_is_told_to_end() {
        let poll = Poll::new().unwrap();
        let shared = Shared::new(Vec::new(), 1, Waker::new(poll.registry(), WAKER).unwrap());
        watched(&shared, || Ok(()));
        assert!(shared.take_posts().is_empty(), "it was asked to end");
        watched(&shared, || Err(std::io::Error::other("no descriptors")));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            watched(&shared, || panic!("on purpose"));
        }));
        assert!(panicked.is_err());
        let reasons: Vec<_> = shared
            .take_posts()
            .into_iter()
            .map(|post| match post {
                Post::Failed(reason) => reason,
                _ => panic!("something else was posted"),
            })
            .collect();
        assert!(
            reasons[0].contains("no descriptors") && reasons[1].contains("landfall-handshakes panicked"),
            "{reasons:?}"
        );
        assert_eq!(reasons.len(), 2);
    }
}
