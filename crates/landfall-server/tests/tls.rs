//! TLS, against the real binary: who gets in, who does not, and what misuse leads to.
//! The certificates in `tls/` are for tests only: everybody has their key.

#![cfg(feature = "tls")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use common::{PATIENCE, Place, Server, wait_until};
use landfall_resp::encode_request;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

/// Puts certificates into the place, as `cert` says, and settings that use them.
fn with_certificate(place: &Place, cert: &str, more: &str) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    for name in ["ca.pem", "other-ca.pem", "server.key", cert] {
        std::fs::copy(from.join(name), place.path().join(name)).unwrap();
    }
    std::fs::set_permissions(place.path().join("server.key"), PermissionsExt::from_mode(0o600)).unwrap();
    place.write(
        "landfall.toml",
        &format!("tls-cert = \"{cert}\"\ntls-key = \"server.key\"\ntls-ca = \"ca.pem\"\n{more}"),
    );
}

fn request(words: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_request(&mut bytes, &words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
    bytes
}

/// Host and port of a server with TLS.
fn address<'s>(server: &'s Server<'_>) -> &'s str {
    server.address.strip_prefix("rediss://").unwrap()
}

fn socket(server: &Server<'_>) -> TcpStream {
    let stream = TcpStream::connect(address(server)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn secured(
    server: &Server<'_>,
    versions: &[&'static SupportedProtocolVersion],
) -> StreamOwned<ClientConnection, TcpStream> {
    secured_as(server, versions, None)
}

/// A client that shows a certificate, with the key that all of them have.
fn secured_as(
    server: &Server<'_>,
    versions: &[&'static SupportedProtocolVersion],
    shown: Option<(&str, &str)>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    let ca = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls/ca.pem");
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let file = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name);
    let config = match shown {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(file(cert)).unwrap()],
                PrivateKeyDer::from_pem_file(file(key)).unwrap(),
            )
            .unwrap(),
    };
    let name = ServerName::try_from("127.0.0.1").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket(server))
}

/// What the server says until it closes; a reset is an end too.
fn said_until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return said,
            Ok(count) => said.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return said,
            Err(error) => panic!("neither an answer nor an end: {error}"),
        }
    }
}

#[test]
fn with_a_certificate_every_address_speaks_tls_and_commands_find_it() {
    let place = Place::new();
    with_certificate(&place, "server.pem", "");
    let server = place.serve(&[]);
    assert!(server.address.starts_with("rediss://127.0.0.1:"), "{}", server.address);
    assert_eq!(server.cli(&["SET", "a", "1"]), "OK");
    assert_eq!(server.cli(&["GET", "a"]), "1");
    assert_eq!(server.run(&["status"]).code, Some(0));
}

#[test]
fn an_address_may_stay_in_the_clear_beside_those_with_tls() {
    let place = Place::new();
    with_certificate(&place, "server.pem", "listen = \"redis://127.0.0.1:0,127.0.0.1:0\"\n");
    let server = place.serve_at(&[]);
    assert_eq!(server.cli(&["SET", "a", "1"]), "OK");
    let status: serde_json::Value = serde_json::from_str(&server.cli(&["LANDFALL.STATUS"])).unwrap();
    let listens: Vec<&str> = status["listen"].as_str().unwrap().split(", ").collect();
    let encrypted = listens.iter().find(|place| place.starts_with("rediss://")).unwrap();
    assert_eq!(listens.len(), 2);
    assert_eq!(place.run(&["--url", encrypted, "cli", "GET", "a"]).out, "1\n");
}

// shows: S11
#[test]
fn commands_trust_no_server_of_another_name_another_authority_or_another_time() {
    for (cert, ca, why) in [
        ("elsewhere.pem", "ca.pem", "not valid for name"),
        ("server.pem", "other-ca.pem", "UnknownIssuer"),
        ("expired.pem", "ca.pem", "expired"),
    ] {
        let place = Place::new();
        with_certificate(&place, cert, "");
        let server = place.serve(&[]);
        let ended = place.run(&["--url", &server.address, "--tls-ca", ca, "cli", "SET", "a", "1"]);
        assert_eq!(ended.code, Some(69), "{cert}: {ended:?}");
        assert!(ended.err.contains(why), "{cert}: {ended:?}");
    }
    // A server without TLS is no server with it, and nothing is sent to it in the clear.
    let place = Place::new();
    with_certificate(&place, "server.pem", "listen = \"redis://127.0.0.1:0\"\n");
    let server = place.serve_at(&[]);
    let ended = place.run(&["--url", &format!("rediss://{}", server.address), "cli", "SET", "a", "1"]);
    assert!(ended.code == Some(69) && ended.err.contains("TLS"), "{ended:?}");
    assert_eq!(server.cli(&["EXISTS", "a"]), "0");
}

// shows: S11
#[test]
fn what_is_no_handshake_is_answered_and_closed_and_runs_nothing() {
    let place = Place::new();
    with_certificate(&place, "server.pem", "");
    let server = place.serve(&[]);
    let mut plain = socket(&server);
    plain.write_all(&request(&["SET", "a", "1"])).unwrap();
    let said = String::from_utf8(said_until_closed(&mut plain)).unwrap();
    assert!(said.is_empty() || said.starts_with("-ERR this address speaks TLS"), "{said}");
    for garbage in [
        &b"\x16\x03\x01\xff\xff"[..],
        b"\x16\x03\x01\x00\x05hello",
        // SSL 3 and TLS 1.0: a hello that asks for no more.
        b"\x16\x03\x00\x00\x2f\x01\x00\x00\x2b\x03\x00",
        b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x01AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\x00\x00\x04\x00\x2f\x00\xff\x01\x00",
    ] {
        let mut stream = socket(&server);
        stream.write_all(garbage).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let said = said_until_closed(&mut stream);
        assert!(said.is_empty() || said[0] == 0x15, "an alert at most: {said:?}");
    }
    assert_eq!(server.cli(&["EXISTS", "a"]), "0");
}

#[test]
fn both_versions_carry_pipelines_larger_than_any_buffer() {
    let place = Place::new();
    with_certificate(&place, "server.pem", "");
    let server = place.serve(&[]);
    let value = "v".repeat(300_000);
    server.cli(&["SET", "small", "s"]);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut stream = secured(&server, &[version]);
        // The first request goes with the end of the handshake.
        stream.write_all(&request(&["SET", "large", &value])).unwrap();
        let mut reply = [0; 5];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"+OK\r\n");
        let requests = [request(&["GET", "large"]), request(&["GET", "small"])].concat().repeat(30);
        let one = format!("${}\r\n{value}\r\n$1\r\ns\r\n", value.len());
        // Nothing is read before everything is sent: replies wait in the server.
        stream.write_all(&requests).unwrap();
        let mut replies = vec![0; 30 * one.len()];
        stream.read_exact(&mut replies).unwrap();
        assert!(replies.chunks(one.len()).all(|reply| reply == one.as_bytes()));
        stream.write_all(&request(&["QUIT"])).unwrap();
        let mut rest = Vec::new();
        // The server says goodbye: no cut.
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"+OK\r\n");
    }
}

#[test]
fn a_session_that_rests_takes_little_memory() {
    const SESSIONS: u64 = 300;
    let place = Place::new();
    with_certificate(&place, "server.pem", "");
    let server = place.serve(&[]);
    server.cli(&["PING"]);
    let before = resident_bytes(&server);
    let served = |_| {
        let mut stream = secured(&server, &[&rustls::version::TLS13]);
        stream.write_all(&request(&["PING"])).unwrap();
        let mut reply = [0; 7];
        stream.read_exact(&mut reply).unwrap();
        stream
    };
    let sessions: Vec<_> = (0..SESSIONS).map(served).collect();
    let bytes_each = resident_bytes(&server).saturating_sub(before) / SESSIONS;
    println!("{bytes_each} bytes a session");
    assert!(bytes_each < 48 << 10, "{bytes_each} bytes");
    drop(sessions);
}

/// The memory that a process has of the machine, in bytes.
fn resident_bytes(server: &Server<'_>) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn a_client_that_says_goodbye_and_listens_still_gets_its_replies_and_the_end() {
    let place = Place::new();
    with_certificate(&place, "server.pem", "");
    let server = place.serve(&[]);
    let mut stream = secured(&server, &[&rustls::version::TLS13]);
    stream.write_all(&[request(&["SET", "a", "1"]), request(&["GET", "a"])].concat()).unwrap();
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    let mut replies = Vec::new();
    stream.read_to_end(&mut replies).unwrap();
    assert_eq!(replies, b"+OK\r\n$1\r\n1\r\n");
}

// shows: S11
#[test]
fn handshakes_that_do_not_end_are_ended_and_hold_up_nobody() {
    let place = Place::new();
    with_certificate(&place, "server.pem", "login-timeout = \"300ms\"\n");
    let server = place.serve(&[]);
    let mut silent: Vec<TcpStream> = (0..50).map(|_| socket(&server)).collect();
    for stream in &mut silent[..25] {
        stream.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
    }
    assert_eq!(server.cli(&["SET", "a", "1"]), "OK");
    for stream in &mut silent {
        assert!(said_until_closed(stream).is_empty());
    }
}

#[test]
fn a_client_that_breaks_its_session_is_closed_and_what_it_sent_before_is_run() {
    let place = Place::new();
    with_certificate(&place, "server.pem", "");
    let server = place.serve(&[]);
    for number in 0..20 {
        let key = format!("before{number}");
        let mut stream = secured(&server, &[&rustls::version::TLS13]);
        stream.conn.complete_io(&mut stream.sock).unwrap();
        // Both come at once, or one after the other.
        stream.conn.writer().write_all(&request(&["SET", &key, "1"])).unwrap();
        let mut bytes = Vec::new();
        stream.conn.write_tls(&mut bytes).unwrap();
        if number % 2 == 1 {
            stream.sock.write_all(&bytes).unwrap();
            bytes.clear();
        }
        bytes.extend_from_slice(b"\x17\x03\x03\x00\x20garbage that is no record of it!");
        stream.sock.write_all(&bytes).unwrap();
        said_until_closed(&mut stream.sock);
        wait_until("it was run", || server.cli(&["EXISTS", &key]) == "1");
    }
}

#[test]
fn files_that_do_not_fit_are_refused_with_what_to_do() {
    let place = Place::new();
    with_certificate(&place, "server.pem", "");
    let refused = |settings: &str, said: &str| {
        place.write("landfall.toml", settings);
        let ended = place.run(&["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!(ended.code, Some(78), "{settings}: {ended:?}");
        assert!(ended.err.contains(said), "{settings}: {ended:?}");
    };
    refused("tls-cert = \"server.pem\"\n", "give --tls-key");
    refused("tls-key = \"server.key\"\n", "give --tls-cert");
    refused("tls-cert = \"server.pem\"\ntls-key = \"nothing\"\n", "cannot be read");
    refused("tls-cert = \"server.key\"\ntls-key = \"server.key\"\n", "no certificate");
    refused("tls-cert = \"server.pem\"\ntls-key = \"server.pem\"\n", "open to everybody");
    std::fs::set_permissions(place.path().join("server.pem"), PermissionsExt::from_mode(0o600)).unwrap();
    refused("tls-cert = \"server.pem\"\ntls-key = \"server.pem\"\n", "no key");
    place.write("landfall.toml", "listen = \"rediss://127.0.0.1:0\"\n");
    let ended = place.run(&["serve"]);
    assert!(ended.code == Some(78) && ended.err.contains("needs a certificate"), "{ended:?}");
}

/// Settings that ask clients for certificates of one authority; commands trust that of the server.
fn asking_clients(place: &Place, whether: &str) {
    with_certificate(place, "server.pem", "");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    let read = |name: &str| std::fs::read_to_string(from.join(name)).unwrap();
    place.write("authorities.pem", &(read("ca.pem") + &read("client-ca.pem")));
    for name in ["client.pem", "client.key"] {
        place.write(name, &read(name));
    }
    std::fs::set_permissions(place.path().join("client.key"), PermissionsExt::from_mode(0o600)).unwrap();
    place.write(
        "landfall.toml",
        &format!(
            "tls-cert = \"server.pem\"\ntls-key = \"server.key\"\ntls-ca = \"authorities.pem\"\ntls-auth-clients = \"{whether}\"\n"
        ),
    );
}

/// Whether a client with this certificate is served; one that is not runs nothing.
fn is_served(
    server: &Server<'_>,
    version: &'static SupportedProtocolVersion,
    shown: Option<(&str, &str)>,
) -> bool {
    let mut stream = secured_as(server, &[version], shown);
    let mut reply = [0; 7];
    let sent = stream.write_all(&request(&["INCR", "served"])).and_then(|()| stream.flush());
    sent.and_then(|()| stream.read_exact(&mut reply[..4])).is_ok()
}

// shows: S11
#[test]
fn a_client_is_let_in_by_its_certificate_and_by_none_of_another_authority_time_or_purpose() {
    for (whether, without) in [("yes", false), ("optional", true)] {
        let place = Place::new();
        asking_clients(&place, whether);
        let server = place.serve(&[]);
        let mut served = 0;
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            for (shown, expected) in [
                (None, without),
                (Some(("client.pem", "client.key")), true),
                (Some(("client-stranger.pem", "client.key")), false),
                (Some(("client-expired.pem", "client.key")), false),
                // Of a known authority, and made for a server.
                (Some(("server.pem", "server.key")), false),
                // Again: a session that was once let in is not believed for that.
                (Some(("client.pem", "client.key")), true),
            ] {
                let found = is_served(&server, version, shown);
                assert_eq!(found, expected, "{whether}, {version:?}: {shown:?}");
                served += u64::from(expected);
            }
        }
        let get =
            |own: &[&str]| place.run(&[&["--url", &server.address], own, &["cli", "GET", "served"]].concat());
        let own = ["--tls-client-cert", "client.pem", "--tls-client-key", "client.key"];
        let ended = get(&own);
        assert_eq!(ended.out, format!("{served}\n"), "{whether}: {ended:?}");
        let ended = get(&[]);
        assert_eq!(ended.code, Some(if without { 0 } else { 69 }), "{whether}: {ended:?}");
    }
}

#[test]
fn certificates_of_clients_that_cannot_be_told_are_refused_at_the_start() {
    let place = Place::new();
    asking_clients(&place, "yes");
    let refused = |settings: &str, said: &str| {
        place.write("landfall.toml", settings);
        let ended = place.run(&["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!(ended.code, Some(78), "{settings}: {ended:?}");
        assert!(ended.err.contains(said), "{settings}: {ended:?}");
    };
    let with = |more: &str| format!("tls-cert = \"server.pem\"\ntls-key = \"server.key\"\n{more}");
    refused(&with("tls-auth-clients = \"yes\"\n"), "give --tls-ca");
    refused(&with("tls-auth-clients = \"maybe\"\n"), "no, optional, yes");
    refused("tls-auth-clients = \"optional\"\ntls-ca = \"authorities.pem\"\n", "give --tls-cert");
    refused(&with("tls-auth-clients = \"yes\"\ntls-ca = \"nothing\"\n"), "cannot be read");
    refused(&with("tls-auth-clients = \"yes\"\ntls-ca = \"client.key\"\n"), "no certificate");
    refused("tls-client-cert = \"client.pem\"\n", "give --tls-client-key");
    refused("tls-client-key = \"client.key\"\n", "give --tls-client-cert");
}
