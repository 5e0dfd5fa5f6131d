//! WATCH over the wire: a transaction runs only if nothing that was watched has changed, evicted and reloaded or not.
//! The engine's own tests say why no change can be missed; these say that the front asks.

mod common;

use common::{Place, connect};
use landfall_resp::Value;
use landfall_sim::client::Client;

fn ran(client: &mut Client, commands: &[&[&str]]) -> bool {
    client.call(&["MULTI"]).unwrap();
    commands.iter().for_each(|command| drop(client.call(command).unwrap()));
    client.call(&["EXEC"]).unwrap() != Value::Null
}

fn forget(client: &mut Client) {
    client.call(&["LANDFALL.FLUSH"]).unwrap();
    client.call(&["LANDFALL.EVICT"]).unwrap();
}

#[test]
fn a_transaction_runs_only_if_what_was_watched_is_as_it_was() {
    let place = Place::new();
    let server = place.serve(&[]);
    let (mut client, mut other) = (connect(&server), connect(&server));
    other.call(&["MSET", "k", "1", "far", "1"]).unwrap();
    for evicted in [false, true] {
        client.call(&["WATCH", "k"]).unwrap();
        if evicted {
            forget(&mut other);
        }
        other.call(&["SET", "far", "2"]).unwrap();
        assert!(ran(&mut client, &[&["SET", "far", "mine"]]), "another key was written");

        client.call(&["WATCH", "k"]).unwrap();
        other.call(&["SET", "k", "2"]).unwrap();
        if evicted {
            forget(&mut other);
            client.call(&["GET", "k"]).unwrap();
        }
        assert!(!ran(&mut client, &[&["SET", "far", "no"]]), "the key was written");
        assert_eq!(other.call(&["GET", "far"]).unwrap(), Value::Bulk(b"mine".to_vec()));
        assert!(ran(&mut client, &[&["GET", "k"]]), "a watch ends with its EXEC");
    }
}

#[test]
fn a_watch_ends_with_unwatch_discard_and_reset_and_breaks_with_a_reload() {
    let place = Place::new();
    let server = place.serve(&[]);
    let (mut client, mut other) = (connect(&server), connect(&server));
    let endings: [&[&[&str]]; 3] = [&[&["UNWATCH"]], &[&["MULTI"], &["DISCARD"]], &[&["RESET"]]];
    for ending in endings {
        client.call(&["WATCH", "k"]).unwrap();
        ending.iter().for_each(|command| drop(client.call(command).unwrap()));
        other.call(&["INCR", "k"]).unwrap();
        assert!(ran(&mut client, &[&["GET", "k"]]), "{ending:?}");
    }
    client.call(&["WATCH", "k"]).unwrap();
    other.call(&["LANDFALL.RELOAD"]).unwrap();
    assert!(!ran(&mut client, &[&["GET", "k"]]), "nobody watched while the engine was opened anew");
}

#[test]
fn a_connection_watches_so_many_keys_and_no_more() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    let keys: Vec<String> = (0..10_001).map(|key| format!("k{key}")).collect();
    let words: Vec<&str> = std::iter::once("WATCH").chain(keys.iter().map(String::as_str)).collect();
    let refused = client.call(&words).unwrap_err().to_string();
    assert!(refused.contains("10000 keys at most"), "{refused}");
    client.call(&words[..10_001]).unwrap_err();
    client.call(&["UNWATCH"]).unwrap();
    client.call(&words[..10_001]).unwrap();
    // What they take counts for the bound on what all clients take.
    let mut other = connect(&server);
    common::wait_until("the next look counts them", || {
        let info = other.call(&["INFO", "memory"]).unwrap();
        let info = String::from_utf8_lossy(info.as_bytes().unwrap()).into_owned();
        let taken = info.lines().find_map(|line| line.strip_prefix("mem_clients_normal:")).unwrap();
        taken.trim().parse::<usize>().unwrap() > 10_000 * 75
    });
}

#[test]
fn a_watch_ends_with_an_exec_that_is_refused_for_want_of_its_rows() {
    let place = Place::new();
    let server = place.serve_with(&[], &[("LANDFALL_LOADS_WAITING_MAX", "1")]);
    let (mut client, mut other) = (connect(&server), connect(&server));
    other.call(&["MSET", "k", "1", "p", "1", "q", "1"]).unwrap();
    forget(&mut other);
    client.call(&["WATCH", "k"]).unwrap();
    for command in [&["MULTI"][..], &["GET", "p"], &["GET", "q"]] {
        client.call(command).unwrap();
    }
    let refused = client.call(&["EXEC"]).unwrap_err().to_string();
    assert!(refused.contains("too many reads wait"), "{refused}");
    other.call(&["SET", "k", "2"]).unwrap();
    assert!(ran(&mut client, &[&["GET", "k"]]), "nothing is watched any more");
}
