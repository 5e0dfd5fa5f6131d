//! COMMAND and HELP over the wire: they tell what the table holds, in the shapes that clients parse.
//! A client that asks for keys must never be told of fewer than the command locks.

mod common;

use common::{Place, connect, texts};
use landfall_resp::Value;
use landfall_sim::client::Client;

#[test]
fn command_tells_what_the_table_holds() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    let Value::Integer(count) = client.call(&["COMMAND", "COUNT"]).unwrap() else { panic!() };
    let Value::Array(all) = client.call(&["COMMAND"]).unwrap() else { panic!() };
    let listed = texts(&client.call(&["COMMAND", "LIST"]).unwrap());
    assert_eq!((all.len() as i64, listed.len() as i64), (count, count));
    assert!(listed.contains(&"get".to_owned()));

    let found = texts(&client.call(&["COMMAND", "LIST", "FILTERBY", "PATTERN", "client|get*"]).unwrap());
    assert!(found.contains(&"client|getname".to_owned()), "{found:?}");
    let writes = texts(&client.call(&["COMMAND", "LIST", "FILTERBY", "ACLCAT", "write"]).unwrap());
    assert!(writes.contains(&"set".to_owned()) && !writes.contains(&"get".to_owned()), "{writes:?}");

    let Value::Array(info) = client.call(&["COMMAND", "INFO", "get", "client|id", "no-such"]).unwrap() else {
        panic!()
    };
    let Value::Array(get) = &info[0] else { panic!() };
    assert_eq!(get[..2], [Value::Bulk(b"get".to_vec()), Value::Integer(2)]);
    assert_eq!(texts(&get[2]), ["readonly", "fast"]);
    assert_eq!(get[3..6], [Value::Integer(1), Value::Integer(1), Value::Integer(1)]);
    assert!(matches!(&info[1], Value::Array(id) if id[0] == Value::Bulk(b"client|id".to_vec())));
    assert_eq!(info[2], Value::Null);
    let Value::Array(docs) = client.call(&["COMMAND", "DOCS", "client"]).unwrap() else { panic!() };
    assert_eq!((docs.len(), &docs[0]), (2, &Value::Bulk(b"client".to_vec())));
}

#[test]
fn command_finds_the_keys_of_commands_and_of_subcommands() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    let mut keys = |words: &[&str]| texts(&client.call(&[&["COMMAND", "GETKEYS"], words].concat()).unwrap());
    assert_eq!(keys(&["MSET", "a", "1", "b", "2"]), ["a", "b"]);
    assert_eq!(keys(&["SET", "a", "1"]), ["a"]);
    let flags = client.call(&["COMMAND", "GETKEYSANDFLAGS", "DEL", "a"]).unwrap();
    let Value::Array(pairs) = &flags else { panic!("{flags:?}") };
    let Value::Array(pair) = &pairs[0] else { panic!("{flags:?}") };
    assert_eq!(texts(&pair[1]), ["RW", "access", "delete"]);
    let refused = |client: &mut Client, words: &[&str]| client.call(words).unwrap_err().to_string();
    assert!(refused(&mut client, &["COMMAND", "GETKEYS", "PING", "x"]).contains("no key arguments"));
    assert!(
        refused(&mut client, &["COMMAND", "GETKEYS", "GET", "a", "b"])
            .contains("Invalid number of arguments")
    );
    assert!(refused(&mut client, &["COMMAND", "GETKEYS", "NOSUCH", "a"]).contains("Invalid command"));
}

#[test]
fn subcommands_are_refused_by_name_and_helped_with() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    let refused = |client: &mut Client, words: &[&str]| client.call(words).unwrap_err().to_string();
    assert!(
        refused(&mut client, &["CLIENT", "FOO"]).ends_with("ERR unknown subcommand 'FOO'. Try CLIENT HELP.")
    );
    assert!(
        refused(&mut client, &["client", "getname", "x"])
            .ends_with("ERR wrong number of arguments for 'client|getname' command")
    );
    assert!(
        refused(&mut client, &["CLIENT"]).ends_with("ERR wrong number of arguments for 'client' command")
    );
    let help = texts(&client.call(&["CLIENT", "HELP"]).unwrap());
    assert!(help[0].starts_with("CLIENT <subcommand>") && help.contains(&"SETNAME".to_owned()), "{help:?}");
}
