//! What the proxy lets through, keeps and cuts, on sockets of this machine.
//! It never waits for a duration where a condition can be awaited.

use std::io::{Read, Write};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
/// What is not there by then counts as not coming; too short a time would only make a test pass.
const SILENCE: Duration = Duration::from_millis(60);

/// A server that answers every byte with its double, on as many connections as come; its name goes before.
fn doubling(name: u8) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                stream.write_all(&[name]).unwrap();
                let mut byte = [0];
                while stream.read(&mut byte).is_ok_and(|count| count == 1) {
                    if stream.write_all(&[byte[0], byte[0]]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

/// A connection through the proxy that knows which server it has.
fn connect(proxy: &Proxy) -> (TcpStream, u8) {
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut name = [0];
    stream.read_exact(&mut name).unwrap();
    (stream, name[0])
}

/// Reads until the other side closes, or is silent.
fn rest(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let (mut found, mut piece) = (Vec::new(), [0; 64]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return (found, true),
            Ok(count) => found.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return (found, false),
            Err(_) => return (found, true),
        }
    }
}

#[test]
fn an_exchange_breaks_at_the_byte_that_was_asked_for_in_either_way() {
    let proxy = Proxy::start(doubling(0)).unwrap();
    for (way, fault) in [
        (Way::ToServer, Fault::Cut),
        (Way::ToServer, Fault::Blackhole),
        (Way::ToClient, Fault::Cut),
        (Way::ToClient, Fault::Blackhole),
    ] {
        for passing_bytes in 0..=4 {
            let (mut stream, _) = connect(&proxy);
            stream.write_all(b"before").unwrap();
            stream.read_exact(&mut [0; 12]).unwrap();
            proxy.set_trap(Trap { words: b"beg".into(), way, passing_bytes, fault });
            stream.write_all(b"begin").unwrap();
            assert!(wait_until(Instant::now() + PATIENCE, || proxy.is_sprung()));
            let (found, is_closed) = rest(&mut stream);
            let expected = if way == Way::ToServer { 2 * passing_bytes } else { passing_bytes };
            let whole = b"bbeeggiinn";
            // Both ways end at once: the answer to what was let through may be too late.
            assert!(
                whole.starts_with(&found) && found.len() as u64 <= expected,
                "{way:?} {fault:?} {found:?}"
            );
            let is_exact = fault == Fault::Blackhole && way == Way::ToClient;
            assert!(!is_exact || found.len() as u64 == expected, "{found:?}");
            assert_eq!(is_closed, fault == Fault::Cut);
            assert_eq!(proxy.passed_bytes(way), passing_bytes);
        }
    }
}

#[test]
fn what_is_sent_in_the_dark_comes_through_when_there_is_light_and_nobody_hears_a_close() {
    let proxy = Proxy::start(doubling(0)).unwrap();
    let (mut stream, _) = connect(&proxy);
    proxy.darken();
    // In flight while it became dark.
    let _ = rest(&mut stream);
    stream.write_all(b"ab").unwrap();
    let mut new = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!((rest(&mut stream), rest(&mut new)), ((Vec::new(), false), (Vec::new(), false)));
    proxy.clear();
    let mut found = [0; 4];
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_exact(&mut found).unwrap();
    assert_eq!(&found, b"aabb");
    new.set_read_timeout(Some(PATIENCE)).unwrap();
    new.read_exact(&mut found[..1]).unwrap();
}

#[test]
fn new_connections_lead_to_the_new_target_and_the_old_ones_are_cut_when_told() {
    let proxy = Proxy::start(doubling(1)).unwrap();
    let (mut old, name) = connect(&proxy);
    assert_eq!(name, 1);
    proxy.set_target(doubling(2));
    let (mut new, name) = connect(&proxy);
    assert_eq!(name, 2);
    proxy.cut_all();
    assert!(rest(&mut old).1 && rest(&mut new).1);
    assert_eq!(connect(&proxy).1, 2);
}

#[test]
fn a_slow_network_takes_its_time() {
    let proxy = Proxy::start(doubling(0)).unwrap();
    let (mut stream, _) = connect(&proxy);
    let weather =
        Weather { delay: Duration::from_millis(20), bytes_per_second_max: Some(1000), is_dark: false };
    proxy.set_weather(weather);
    let begun = Instant::now();
    stream.write_all(&[7; 50]).unwrap();
    stream.read_exact(&mut [0; 100]).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(20 + 100), "{:?}", begun.elapsed());
}
