//! A good client beside a crowd of idle and slow sockets: it must hardly notice them, and they must take little memory.
//!
//! The test command has a small crowd and looks at the memory; time is no matter of a test. `LANDFALL_PROOF_MINUTES=N` goes on
//! for so long with ten thousand, and fails when the client becomes slower by a factor of two.

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{PATIENCE, Place, Server, wait_until};
use landfall_resp::{Value, encode_request};
use landfall_sim::client::{Client, request};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The crowd of the test command.
const FEW: usize = 800;
/// The crowd of a proof.
const MANY: usize = 10_000;
/// Files beside the sockets.
const FILES_KEPT: u64 = 1_500;
/// What a connection of the crowd may take in the server.
const BYTES_EACH_MAX: u64 = 4 << 10;

/// Lets this process and its children have so many files, if the system allows it.
fn allow_files(files: u64) -> bool {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    current.is_none_or(|current| current >= files)
        || setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum }).is_ok()
}

/// A request on the wire.
fn wire(words: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_request(&mut bytes, &words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
    bytes
}

/// The memory that a process has of the machine, in bytes.
fn resident_bytes(server: &Server<'_>) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// The time that 99 of 100 requests of one client stay below.
fn p99(client: &mut Client, calls: usize) -> Duration {
    let mut times: Vec<Duration> = (0..calls)
        .map(|number| {
            let begun = Instant::now();
            let answers = client.pipeline(&[request(&["SET", &format!("k{}", number % 100), "v"])]);
            assert_eq!(answers[0].value(), Some(&Value::Simple(b"OK".to_vec())));
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// Connects a crowd: a third is silent, a third never ends its request, a third has been served and rests.
fn crowd(server: &Server<'_>, size: usize) -> Vec<TcpStream> {
    let connect = |number| {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        match number % 3 {
            0 => {}
            1 => stream.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n").unwrap(),
            _ => stream.write_all(&wire(&["SET", "other", "v"])).unwrap(),
        }
        stream
    };
    let crowd = (0..size).map(connect).collect();
    wait_for_connections(server, size + 2);
    crowd
}

/// Waits until so many are connected, the one that asks counted.
fn wait_for_connections(server: &Server<'_>, count: usize) {
    let line = format!("connected_clients:{count}\r");
    wait_until("as many are connected", || server.cli(&["INFO", "clients"]).contains(&line));
}

/// What `work` comes to while those who never end their request send a byte a second each.
fn beside<T>(crowd: &[TcpStream], work: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let pause = Duration::from_secs(3) / crowd.len() as u32;
            let mut next = Instant::now();
            for mut stream in crowd.iter().skip(1).step_by(3).cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                stream.write_all(b"x").unwrap();
                next += pause;
                std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
            }
        });
        let result = work();
        stop.store(true, Ordering::Relaxed);
        slow.join().unwrap();
        result
    })
}

// shows: S3
#[test]
fn a_crowd_of_idle_and_slow_sockets_takes_little_memory_and_slows_no_good_client() {
    let minutes: u64 = std::env::var("LANDFALL_PROOF_MINUTES").map_or(0, |minutes| minutes.parse().unwrap());
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    let (size, calls) = if minutes > 0 { (MANY, 20_000) } else { (FEW, 500) };
    if !allow_files(size as u64 + FILES_KEPT) {
        eprintln!("SKIPPED: the system does not allow {size} sockets");
        return;
    }
    let place = Place::new();
    place.write("landfall.toml", "maxclients = 12_000\nfsync = \"os\"\n");
    let server = place.serve(&[]);
    let mut good = Client::connect(server.address.parse().unwrap(), PATIENCE).unwrap();
    p99(&mut good, calls);
    let (mut rounds, mut bytes_each) = (Vec::new(), 0);
    while rounds.is_empty() || Instant::now() < until {
        let alone = p99(&mut good, calls);
        let before = resident_bytes(&server);
        let crowd = crowd(&server, size);
        bytes_each = bytes_each.max(resident_bytes(&server).saturating_sub(before) / size as u64);
        assert!(bytes_each < BYTES_EACH_MAX, "{bytes_each} bytes a connection");
        let with_crowd = beside(&crowd, || p99(&mut good, calls));
        rounds.push((with_crowd.as_secs_f64() / alone.as_secs_f64(), alone, with_crowd));
        drop(crowd);
        wait_for_connections(&server, 2);
    }
    rounds.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (factor, alone, with_crowd) = rounds[rounds.len() / 2];
    println!(
        "PROOF: median of {} rounds: p99 of one client {alone:?} alone, {with_crowd:?} beside {size} idle and slow sockets \
         ({factor:.2} x); {bytes_each} bytes of memory each",
        rounds.len()
    );
    assert!(minutes == 0 || factor < 2.0, "the client became slower: {factor:.2} x");
}
