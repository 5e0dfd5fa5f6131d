//! Commands over RESP as fast as a server takes them: prepared bytes, deep pipelines, a thread a connection.
//! It must never take an error reply for an acknowledgement.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

/// Commands sent at once.
const PIPELINE: u64 = 500;
const REPLY_WITHIN: Duration = Duration::from_secs(120);

/// What was acknowledged, and how long it took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Acknowledged {
    pub(super) commands: u64,
    pub(super) seconds: f64,
}

/// Sends the commands with these numbers, shared out over connections. `write` appends what belongs to one number, which has
/// so many replies.
pub(super) fn send(
    address: SocketAddr,
    (connections, replies): (u64, u64),
    numbers: std::ops::Range<u64>,
    write: impl Fn(u64, &mut Vec<u8>) + Sync,
) -> Result<Acknowledged> {
    let started = Instant::now();
    let count = numbers.end - numbers.start;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|connection| {
                let (write, numbers) = (&write, numbers.clone());
                scope.spawn(move || one(address, numbers, (connections, connection, replies), write))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("panicked"))))
    })?;
    Ok(Acknowledged { commands: count, seconds: started.elapsed().as_secs_f64() })
}

fn one(
    address: SocketAddr,
    numbers: std::ops::Range<u64>,
    (connections, connection, answers): (u64, u64, u64),
    write: impl Fn(u64, &mut Vec<u8>),
) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(REPLY_WITHIN))?;
    let mut replies = BufReader::with_capacity(64 * 1024, stream.try_clone()?);
    let mut out = Vec::new();
    let mut next = numbers.start + connection;
    while next < numbers.end {
        out.clear();
        let mut sent = 0;
        while next < numbers.end && sent < PIPELINE {
            write(next, &mut out);
            (next, sent) = (next + connections, sent + 1);
        }
        stream.write_all(&out)?;
        for _ in 0..sent * answers {
            reply(&mut replies)?;
        }
    }
    Ok(())
}

/// Reads one reply, which may be anything but an error or an array.
fn reply(replies: &mut BufReader<TcpStream>) -> Result<()> {
    let mut line = Vec::with_capacity(32);
    replies.read_until(b'\n', &mut line).context("no reply")?;
    match line.first() {
        Some(b'+' | b':') => Ok(()),
        Some(b'$') => {
            let length: usize = std::str::from_utf8(&line[1..])?.trim().parse().context("a length")?;
            let mut body = vec![0; length + 2];
            Ok(replies.read_exact(&mut body)?)
        }
        _ => bail!("the server answers {}", String::from_utf8_lossy(&line).trim_end()),
    }
}

/// Appends a command.
pub(super) fn command(words: &[&[u8]], out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "*{}\r\n", words.len());
    for word in words {
        let _ = write!(out, "${}\r\n", word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}
