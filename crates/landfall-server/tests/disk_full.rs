//! A full disk under the log, with the real binary on a small file system of its own: readers are served, writers are
//! refused on connections that stay open, landing goes on, and room that comes back is used without a restart.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Place, Server, connect, wait_until};
use landfall_resp::Value;
use landfall_sim::client::{Client, request};

/// A file system in memory of a fixed size, gone with its test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None, loudly, where mounting is not allowed.
    fn mount(at: &Path, size: &str) -> Option<SmallDisk> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
        if mounted.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(SmallDisk(at.into()));
        }
        eprintln!("SKIPPED: no file system can be mounted here: {mounted:?}");
        None
    }

    fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A server that still ends does not keep it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// With its log on the small disk, and its database elsewhere.
fn serve<'p>(place: &'p Place, fsync: &str) -> Server<'p> {
    let args = ["--data-dir", "small/data", "--database", "sqlite:app.db", "--fsync", fsync];
    place.serve_with(&args, &[("LANDFALL_SEGMENT_BYTES", "64KiB")])
}

fn call(client: &mut Client, words: &[&str]) -> Value {
    let answers = client.pipeline(&[request(words)]);
    answers[0].value().unwrap_or_else(|| panic!("{words:?}: the connection ended")).clone()
}

fn is_misconf(value: &Value) -> bool {
    value.as_error().is_some_and(|error| error.prefix == b"MISCONF")
}

/// Writes until the disk is full; returns how many were acknowledged.
fn fill(client: &mut Client) -> usize {
    let value = "v".repeat(4000);
    for n in 0..10_000 {
        if is_misconf(&call(client, &["SET", &format!("key:{n}"), &value])) {
            return n;
        }
    }
    panic!("the disk never was full");
}

#[test]
fn on_a_full_disk_readers_are_served_and_no_connection_is_closed_and_room_that_returns_is_used() {
    for fsync in ["always", "os"] {
        let place = Place::new();
        let Some(disk) = SmallDisk::mount(&place.path().join("small"), "2m") else { return };
        let server = serve(&place, fsync);
        let (mut writer, mut reader) = (connect(&server), connect(&server));
        assert_eq!(call(&mut writer, &["LANDFALL.PAUSE"]).as_error(), None);
        let acknowledged = fill(&mut writer);
        assert!(acknowledged > 50, "{acknowledged}");
        // The last value was never safe, so nobody is told of it; all others are.
        let last = format!("key:{acknowledged}");
        for client in [&mut writer, &mut reader] {
            assert!(is_misconf(&call(client, &["GET", &last])), "{fsync}");
            for n in 0..acknowledged {
                let value = call(client, &["GET", &format!("key:{n}")]);
                assert_eq!(value.as_error(), None, "{fsync}: key:{n}");
            }
            assert!(is_misconf(&call(client, &["SET", "more", "x"])));
        }
        let status = server.run(&["status"]).out;
        assert!(status.contains("THE LOG NEEDS A LOOK") && status.contains("space"), "{status}");
        if fsync == "always" {
            // Landing needs no room in the log, and makes some: landed segments are used again.
            assert_eq!(call(&mut writer, &["LANDFALL.RESUME"]).as_error(), None);
        } else {
            disk.resize("8m");
        }
        wait_until("writes are taken again", || !is_misconf(&call(&mut writer, &["SET", "more", "x"])));
        for client in [&mut writer, &mut reader] {
            assert_eq!(call(client, &["GET", &last]).as_error(), None, "{fsync}: it was kept");
        }
        assert_eq!(call(&mut writer, &["LANDFALL.RESUME"]).as_error(), None);
        assert_eq!(server.run(&["drain"]).code, Some(0));
        assert_eq!(server.terminate().code(), Some(0));
    }
}

#[test]
fn on_a_full_disk_a_pipeline_gets_one_error_for_each_reply_it_is_owed() {
    let place = Place::new();
    let Some(_disk) = SmallDisk::mount(&place.path().join("small"), "2m") else { return };
    let server = serve(&place, "always");
    let mut client = connect(&server);
    assert_eq!(call(&mut client, &["LANDFALL.PAUSE"]).as_error(), None);
    let value = "v".repeat(4000);
    let all: Vec<_> = (0..600).map(|n| request(&["SET", &format!("key:{n}"), &value])).collect();
    let answers = client.pipeline(&all);
    assert!(answers.iter().all(|answer| answer.value().is_some()), "a reply is missing");
    let refused = answers.iter().filter(|answer| is_misconf(answer.value().unwrap())).count();
    assert!(refused > 0 && refused < 600, "{refused}");
    assert_eq!(call(&mut client, &["PING"]), Value::Simple(b"PONG".to_vec()));
}

#[test]
fn a_reload_that_a_full_disk_refuses_is_not_told_to_who_wants_no_replies() {
    let place = Place::new();
    let Some(_disk) = SmallDisk::mount(&place.path().join("small"), "2m") else { return };
    let server = serve(&place, "always");
    let mut client = connect(&server);
    assert_eq!(call(&mut client, &["LANDFALL.PAUSE"]).as_error(), None);
    fill(&mut client);
    assert!(is_misconf(&call(&mut client, &["LANDFALL.RELOAD"])));
    let words =
        [&["CLIENT", "REPLY", "OFF"][..], &["LANDFALL.RELOAD"], &["CLIENT", "REPLY", "ON"], &["PING"]];
    let mut stream = std::net::TcpStream::connect(&server.address).unwrap();
    let mut bytes = Vec::new();
    words.iter().for_each(|words| landfall_resp::encode_request(&mut bytes, words));
    std::io::Write::write_all(&mut stream, &bytes).unwrap();
    let mut reply = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut reply).unwrap();
    assert_eq!(&reply, b"+OK\r\n+PONG\r\n");
}

#[test]
fn a_server_killed_on_a_full_disk_starts_again_there_and_lands_what_it_had_acknowledged() {
    let place = Place::new();
    let Some(_disk) = SmallDisk::mount(&place.path().join("small"), "2m") else { return };
    let server = serve(&place, "always");
    let mut client = connect(&server);
    assert_eq!(call(&mut client, &["LANDFALL.PAUSE"]).as_error(), None);
    let acknowledged = fill(&mut client);
    // What is left of the disk goes to somebody else.
    let filler = std::fs::write(place.path().join("small/filler"), vec![1; 8 << 20]);
    assert!(filler.is_err());
    server.kill();
    let server = serve(&place, "always");
    let mut client = connect(&server);
    for n in 0..acknowledged {
        assert_eq!(call(&mut client, &["GET", &format!("key:{n}")]).as_error(), None, "key:{n}");
    }
    assert_eq!(server.run(&["drain", "--timeout", "10s"]).code, Some(0));
}
