//! Finds a server's addresses and reaches one of them, all within one deadline.
//! It never keeps an address: after a failover a name may mean another machine.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::raw::Raw;
use super::settings::PostgresPlace;
use crate::env::Clock;
use crate::tasks::Tasks;

/// Names that are asked for at once. The system's resolver may hang for minutes and cannot be stopped; each waits in a
/// thread of its own, and beyond these nobody starts another.
const LOOKUPS_MAX: usize = 16;

/// How many are being asked for.
static LOOKUPS: Mutex<usize> = Mutex::new(0);

/// A connection to the server at this place.
pub(super) fn reach(place: &PostgresPlace, clock: &Arc<dyn Clock>, deadline: Duration) -> io::Result<Raw> {
    let (host, port) = match place {
        PostgresPlace::Unix(folder, port) => {
            return UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).map(Raw::Unix);
        }
        PostgresPlace::Tcp(host, port) => (host, *port),
    };
    let addresses = addresses(host, port, clock, deadline)?;
    let mut failed = io::ErrorKind::NotFound.into();
    for (at, address) in addresses.iter().enumerate() {
        // An address that says nothing leaves time for those behind it.
        let others = u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
        let left = left(clock, deadline)? / others;
        match TcpStream::connect_timeout(address, left.max(Duration::from_millis(1))) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(Raw::Tcp(stream));
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn left(clock: &Arc<dyn Clock>, deadline: Duration) -> io::Result<Duration> {
    let left = deadline.saturating_sub(clock.monotonic());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn addresses(
    host: &str,
    port: u16,
    clock: &Arc<dyn Clock>,
    deadline: Duration,
) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let asked = (host.to_owned(), port);
    within(left(clock, deadline)?, move || asked.to_socket_addrs().map(Iterator::collect))
}

/// Runs what may hang, and waits so long for it.
fn within<T: Send + 'static>(
    wait: Duration,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let permit = Permit::take().ok_or(io::ErrorKind::TimedOut)?;
    let (tell, told) = mpsc::sync_channel(1);
    // It owns nothing but the name, and ends with the resolver's own timeout: nobody waits for it any longer.
    Tasks::new(Arc::new(|_| {})).spawn("landfall-lookup", move || {
        let done = work();
        drop(permit);
        // Whoever asked may have gone.
        let _ = tell.send(done);
    })?;
    match told.recv_timeout(wait) {
        Ok(done) => done,
        Err(RecvTimeoutError::Timeout) => Err(io::ErrorKind::TimedOut.into()),
        Err(RecvTimeoutError::Disconnected) => Err(io::ErrorKind::NotFound.into()),
    }
}

/// The right to ask for a name.
struct Permit;

impl Permit {
    fn take() -> Option<Permit> {
        let mut lookups = LOOKUPS.lock().unwrap_or_else(PoisonError::into_inner);
        (*lookups < LOOKUPS_MAX).then(|| {
            *lookups += 1;
            Permit
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *LOOKUPS.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_answers_is_given_up_and_a_crowd_of_them_is_bounded() {
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let hang = || {
            let held = Arc::clone(&held);
            within(Duration::from_millis(1), move || {
                let _ = held.lock().unwrap().recv();
                Ok(())
            })
        };
        for _ in 0..LOOKUPS_MAX + 4 {
            assert_eq!(hang().unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        assert!(Permit::take().is_none());
        drop(release);
        // All of them end, and names can be asked for again.
        while *LOOKUPS.lock().unwrap() > 0 {
            std::thread::yield_now();
        }
        assert_eq!(within(Duration::from_secs(60), || Ok(7)).unwrap(), 7);
    }
}
