//! The ways into a server: several addresses, and a socket in the file system; the real binary.
//! Nothing here may depend on a port that is free.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use common::Place;

#[test]
fn one_server_listens_at_several_addresses_and_at_a_socket() {
    let place = Place::new();
    let server = place.serve(&["--unixsocket", "run.sock"]);
    server.cli(&["SET", "a", "1"]);
    let socket = place.run(&["--url", "unix:run.sock", "cli", "GET", "a"]);
    assert_eq!((socket.code, socket.out.as_str()), (Some(0), "1\n"), "{socket:?}");
    assert!(server.said().contains("unix:run.sock"), "{}", server.said());
    server.terminate();
    assert!(!place.path().join("run.sock").exists(), "it goes with its server");

    place.write("landfall.toml", "listen = \"127.0.0.1:0,[::1]:0\"\n");
    let server = place.serve_at(&["--unixsocket", "run.sock"]);
    let listens = server.cli(&["LANDFALL.STATUS"]);
    let listens: serde_json::Value = serde_json::from_str(&listens).unwrap();
    let listens: Vec<&str> = listens["listen"].as_str().unwrap().split(", ").collect();
    assert_eq!(listens.len(), 3, "{listens:?}");
    for url in listens {
        let read = place.run(&["--url", url, "cli", "GET", "a"]);
        assert_eq!((read.code, read.out.as_str()), (Some(0), "1\n"), "{url}: {read:?}");
    }
}

#[test]
fn a_server_may_have_a_socket_and_no_address() {
    let place = Place::new();
    place.write("landfall.toml", "listen = \"off\"\nunixsocket = \"run.sock\"\nunixsocketperm = \"620\"\n");
    let server = place.serve_at(&[]);
    assert_eq!(server.address, "unix:run.sock");
    // Commands in the same directory find it by the same settings.
    assert_eq!(place.run(&["cli", "PING"]).out, "PONG\n");
    let mode = std::fs::metadata(place.path().join("run.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o620);
    let refused = place.run(&["serve", "--unixsocket", "run.sock", "--data-dir", "other"]);
    assert_eq!(refused.code, Some(69), "{refused:?}");
    assert!(refused.err.contains("Is another server running there?"), "{refused:?}");
    server.kill();
    // What a killed server leaves behind is no obstacle.
    place.serve_at(&[]);
    place.write("landfall.toml", "listen = \"off\"\n");
    let refused = place.run(&["serve"]);
    assert_eq!(refused.code, Some(78), "{refused:?}");
    assert!(refused.err.contains("--unixsocket"), "{refused:?}");
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let place = Place::new();
    place.write("notes.txt", "mine");
    let refused = place.run(&["serve", "--listen", "127.0.0.1:0", "--unixsocket", "notes.txt"]);
    assert_eq!(refused.code, Some(69), "{refused:?}");
    assert_eq!(std::fs::read_to_string(place.path().join("notes.txt")).unwrap(), "mine");
    let other = UnixListener::bind(place.path().join("other.sock")).unwrap();
    let refused = place.run(&["serve", "--listen", "127.0.0.1:0", "--unixsocket", "other.sock"]);
    assert_eq!(refused.code, Some(69), "{refused:?}");
    drop(other);
}
