//! What tools ask a server: INFO, CONFIG, SLOWLOG, LATENCY, in the shapes that they parse.
//! No value of a client may appear in any of it.

mod common;

use std::collections::HashMap;

use common::{Place, connect, text};
use landfall_resp::Value;
use landfall_sim::client::Client;

/// INFO as exporters read it: lines of name and value, and `# Section` between them.
fn info(client: &mut Client, section: &str) -> HashMap<String, String> {
    let all = text(&client.call(&["INFO", section]).unwrap());
    let lines = all.split("\r\n").filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(':').expect(line)).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

fn config(client: &mut Client, name: &str) -> String {
    let Value::Array(pair) = client.call(&["CONFIG", "GET", name]).unwrap() else { panic!() };
    assert_eq!(text(&pair[0]), name);
    text(&pair[1])
}

#[test]
fn info_has_the_fields_that_exporters_and_clients_parse() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    client.call(&["SET", "k", "v"]).unwrap();
    let all = info(&mut client, "everything");
    for field in [
        "redis_version",
        "redis_mode",
        "process_id",
        "uptime_in_seconds",
        "run_id",
        "tcp_port",
        "connected_clients",
        "maxclients",
        "used_memory",
        "used_memory_rss",
        "maxmemory",
        "mem_fragmentation_ratio",
        "loading",
        "rdb_last_save_time",
        "aof_enabled",
        "total_connections_received",
        "total_commands_processed",
        "expired_keys",
        "evicted_keys",
        "role",
        "connected_slaves",
        "master_repl_offset",
        "used_cpu_sys",
        "used_cpu_user",
        "cluster_enabled",
        "db0",
        "landfall_version",
        "pending_changes",
    ] {
        assert!(all.contains_key(field), "{field} is missing");
    }
    assert!(all["redis_version"].starts_with("7.2."));
    assert_eq!(all["run_id"].len(), 40);
    assert!(!info(&mut client, "default").contains_key("cmdstat_set"));
    assert_eq!(info(&mut client, "server").get("used_memory"), None);
}

#[test]
fn commands_and_errors_are_counted_until_they_are_reset() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    for _ in 0..40 {
        client.call(&["SET", "k", "1"]).unwrap();
    }
    client.call(&["HGET", "k", "f"]).unwrap_err();
    client.call(&["GET"]).unwrap_err();
    client.call(&["NOSUCH"]).unwrap_err();
    client.call(&["CLIENT", "GETNAME"]).unwrap();
    client.call(&["MULTI"]).unwrap();
    client.call(&["INCR", "k"]).unwrap();
    assert_eq!(client.call(&["SLOWLOG", "RESET"]).unwrap(), Value::Simple(b"QUEUED".to_vec()));
    client.call(&["EXEC"]).unwrap();
    let stats = info(&mut client, "commandstats");
    let of =
        |name: &str| stats.get(&format!("cmdstat_{name}")).unwrap_or_else(|| panic!("{name}: {stats:?}"));
    assert!(of("set").starts_with("calls=40,usec="), "{}", of("set"));
    assert!(of("hget").ends_with("rejected_calls=0,failed_calls=1"), "{}", of("hget"));
    assert!(of("get").starts_with("calls=0,") && of("get").ends_with("rejected_calls=1,failed_calls=0"));
    assert!(of("client|getname").starts_with("calls=1,"));
    assert!(of("incr").starts_with("calls=1,") && of("exec").starts_with("calls=1,"));
    let errors = info(&mut client, "errorstats");
    assert_eq!((&*errors["errorstat_WRONGTYPE"], &*errors["errorstat_ERR"]), ("count=1", "count=2"));
    assert!(info(&mut client, "latencystats")["latency_percentiles_usec_set"].starts_with("p50="));

    client.call(&["CONFIG", "RESETSTAT"]).unwrap();
    assert!(!info(&mut client, "commandstats").contains_key("cmdstat_set"));
    assert!(info(&mut client, "errorstats").is_empty());
}

#[test]
fn a_setting_is_changed_or_refused_and_never_half() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    assert_eq!(config(&mut client, "slowlog-max-len"), "128");
    client.call(&["CONFIG", "SET", "slowlog-max-len", "7", "latency-monitor-threshold", "5"]).unwrap();
    assert_eq!(config(&mut client, "slowlog-max-len"), "7");
    assert_eq!(config(&mut client, "latency-monitor-threshold"), "5");
    client.call(&["CONFIG", "SET", "timeout", "3600"]).unwrap();
    assert_eq!(config(&mut client, "timeout"), "3600");
    // What tools say again to be sure.
    for (name, value) in [("save", ""), ("appendonly", "yes"), ("maxmemory-policy", "allkeys-lru")] {
        client.call(&["CONFIG", "SET", name, value]).unwrap();
    }
    let memory = config(&mut client, "maxmemory");
    client.call(&["CONFIG", "SET", "maxmemory", &memory]).unwrap();
    let refused = |client: &mut Client, words: &[&str]| client.call(words).unwrap_err().to_string();
    assert!(
        refused(&mut client, &["CONFIG", "SET", "slowlog-max-len", "9", "maxmemory", "5"])
            .contains("landfall.toml")
    );
    assert_eq!(config(&mut client, "slowlog-max-len"), "7", "all or none");
    assert!(refused(&mut client, &["CONFIG", "SET", "slowlog-max-len", "x"]).contains("out of range"));
    assert!(refused(&mut client, &["CONFIG", "SET", "nosuch", "1"]).contains("Unknown option"));
    assert!(refused(&mut client, &["CONFIG", "REWRITE"]).contains("never writes"));
    let Value::Array(all) = client.call(&["CONFIG", "GET", "*"]).unwrap() else { panic!() };
    let Value::Array(some) = client.call(&["CONFIG", "GET", "maxm*", "save"]).unwrap() else { panic!() };
    assert_eq!((some.len(), all.len() > 20), (6, true));
}

#[test]
fn slow_commands_are_kept_with_their_names_and_keys_and_without_their_values() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    client.call(&["CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "5"]).unwrap();
    client.call(&["SLOWLOG", "RESET"]).unwrap();
    client.call(&["CLIENT", "SETNAME", "amy"]).unwrap();
    client.call(&["MSET", "one", "SECRET", "two", "SECRET"]).unwrap();
    client.call(&["HGETALL", "h"]).unwrap();
    let entries = client.call(&["SLOWLOG", "GET", "-1"]).unwrap();
    let Value::Array(entries) = &entries else { panic!() };
    let words: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            let Value::Array(fields) = entry else { panic!("{entry:?}") };
            assert_eq!(fields.len(), 6);
            let Value::Array(words) = &fields[3] else { panic!("{entry:?}") };
            words.iter().map(text).collect()
        })
        .collect();
    assert!(matches!(&entries[0], Value::Array(fields) if text(&fields[5]) == "amy"));
    assert_eq!(words[0], ["HGETALL", "h"]);
    assert_eq!(words[1], ["MSET", "one", "two", "... (2 more arguments)"]);
    for _ in 0..9 {
        client.call(&["GET", "one"]).unwrap();
    }
    assert_eq!(client.call(&["SLOWLOG", "LEN"]).unwrap(), Value::Integer(5));
    client.call(&["CONFIG", "SET", "slowlog-log-slower-than", "-1"]).unwrap();
    client.call(&["SLOWLOG", "RESET"]).unwrap();
    client.call(&["GET", "one"]).unwrap();
    assert_eq!(client.call(&["SLOWLOG", "LEN"]).unwrap(), Value::Integer(0));
}

#[test]
fn delays_are_remembered_when_they_are_watched() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    assert_eq!(client.call(&["LATENCY", "LATEST"]).unwrap(), Value::Array(Vec::new()));
    assert!(text(&client.call(&["LATENCY", "DOCTOR"]).unwrap()).contains("not watched"));
    client.call(&["CONFIG", "SET", "latency-monitor-threshold", "1"]).unwrap();
    // A value large enough that a millisecond goes by.
    let value = "v".repeat(8 << 20);
    common::wait_until("a delay is seen", || {
        client.call(&["SET", "k", &value]).unwrap();
        client.call(&["GETRANGE", "k", "0", "-1"]).unwrap();
        client.call(&["LATENCY", "LATEST"]).unwrap() != Value::Array(Vec::new())
    });
    let Value::Array(latest) = client.call(&["LATENCY", "LATEST"]).unwrap() else { panic!() };
    let Value::Array(event) = &latest[0] else { panic!() };
    let kind = text(&event[0]);
    assert!(["command", "fast-command", "commit"].contains(&kind.as_str()), "{kind}");
    assert!(
        matches!(client.call(&["LATENCY", "HISTORY", &kind]).unwrap(), Value::Array(all) if !all.is_empty())
    );
    let Value::Array(histogram) = client.call(&["LATENCY", "HISTOGRAM", "set"]).unwrap() else { panic!() };
    assert_eq!((text(&histogram[0]).as_str(), histogram.len()), ("set", 2));
    client.call(&["CONFIG", "SET", "latency-monitor-threshold", "0"]).unwrap();
    assert!(matches!(client.call(&["LATENCY", "RESET"]).unwrap(), Value::Integer(1..)));
    assert_eq!(client.call(&["LATENCY", "LATEST"]).unwrap(), Value::Array(Vec::new()));
}

#[test]
fn what_is_not_there_is_answered_as_nothing_or_refused_with_what_is_done_instead() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    client.call(&["SET", "k", "v"]).unwrap();
    for (words, reply) in [
        (&["MODULE", "LIST"][..], Value::Array(Vec::new())),
        (&["FUNCTION", "LIST"], Value::Array(Vec::new())),
        (&["FUNCTION", "FLUSH"], Value::Simple(b"OK".to_vec())),
        (&["REPLICAOF", "NO", "ONE"], Value::Simple(b"OK".to_vec())),
        (&["MEMORY", "USAGE", "nosuch"], Value::Null),
    ] {
        assert_eq!(client.call(words).unwrap(), reply, "{words:?}");
    }
    assert!(matches!(
        client.call(&["MEMORY", "USAGE", "k", "SAMPLES", "5"]).unwrap(),
        Value::Integer(50..500)
    ));
    assert!(
        matches!(client.call(&["ROLE"]).unwrap(), Value::Array(role) if role[0] == Value::Bulk(b"master".to_vec()))
    );
    assert!(text(&client.call(&["LOLWUT"]).unwrap()).contains("Landfall ver. "));
    assert!(text(&client.call(&["MEMORY", "DOCTOR"]).unwrap()).contains("bytes"));
    for (words, why) in [
        (&["CLUSTER", "INFO"][..], "ERR This instance has cluster support disabled"),
        (&["READONLY"], "ERR This instance has cluster support disabled"),
        (&["REPLICAOF", "host", "1"], "follows no other server"),
        (&["SYNC"], "no replicas"),
        (&["SWAPDB", "0", "1"], "database 0 only"),
        (&["MONITOR"], "would show every value"),
        (&["BGSAVE"], "LANDFALL.FLUSH"),
        (&["SHUTDOWN"], "SIGTERM"),
        (&["DEBUG", "SLEEP", "1"], "unknown command"),
    ] {
        let refused = client.call(words).unwrap_err().to_string();
        assert!(refused.contains(why), "{words:?}: {refused}");
    }
}

#[test]
fn commands_that_stop_and_start_landing_refuse_what_they_do_not_take() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut client = connect(&server);
    for (command, form) in [
        (&["LANDFALL.PAUSE", "keys", "more"][..], "LANDFALL.PAUSE [group]"),
        (&["landfall.resume", "keys", "more"], "LANDFALL.RESUME [group]"),
        (&["LANDFALL.FLUSH", "1000", "more"], "LANDFALL.FLUSH [timeout-ms]"),
    ] {
        let error = client.call(command).unwrap_err().to_string();
        assert!(error.contains(form), "{command:?}: {error}");
    }
    client.call(&["SET", "k", "v"]).unwrap();
    let ok = Value::Simple(b"OK".to_vec());
    assert_eq!(client.call(&["LANDFALL.FLUSH", "20000"]).unwrap(), ok, "nothing was paused");
}
