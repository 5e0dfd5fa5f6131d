//! Clients that people use go through one scenario against the real binary: their own ways of connecting, every family of
//! commands, pipelines, transactions, errors, and a server that is killed and comes back. RESP2, and RESP3 where they can.
//! A client that this machine lacks is skipped by name; it must never be called passed when a step was left out.

mod common;
#[path = "real_clients/installed.rs"]
mod installed;
#[path = "real_clients/redis_rs.rs"]
mod redis_rs;
#[path = "real_clients/scenario.rs"]
mod scenario;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use common::{Place, wait_until};
use installed::Installed;
use landfall_sim::skipping::program_or_skip;
use scenario::{BOTH, COMMON, DJANGO, passes, passes_on_a_thread};

#[test]
fn redis_py_5_passes_the_scenario() {
    let test = "redis_py_5_passes_the_scenario";
    passes(Installed::python(test, "redis-5", "redis_py.py"), BOTH, COMMON);
}

#[test]
fn redis_py_8_passes_the_scenario() {
    let test = "redis_py_8_passes_the_scenario";
    passes(Installed::python(test, "redis-8", "redis_py.py"), BOTH, COMMON);
}

#[test]
fn redis_py_5_with_asyncio_passes_the_scenario() {
    let test = "redis_py_5_with_asyncio_passes_the_scenario";
    passes(Installed::python(test, "redis-5", "redis_py_asyncio.py"), BOTH, COMMON);
}

#[test]
fn redis_py_8_with_asyncio_passes_the_scenario() {
    let test = "redis_py_8_with_asyncio_passes_the_scenario";
    passes(Installed::python(test, "redis-8", "redis_py_asyncio.py"), BOTH, COMMON);
}

#[test]
fn the_caches_of_django_and_django_redis_work() {
    let test = "the_caches_of_django_and_django_redis_work";
    passes(Installed::python(test, "redis-8", "django_caches.py"), BOTH, DJANGO);
}

#[test]
fn node_redis_passes_the_scenario() {
    passes(Installed::node("node_redis_passes_the_scenario", "node_redis.cjs"), BOTH, COMMON);
}

#[test]
fn ioredis_passes_the_scenario() {
    passes(Installed::node("ioredis_passes_the_scenario", "ioredis.cjs"), BOTH, COMMON);
}

#[test]
fn go_redis_passes_the_scenario() {
    passes(Installed::go("go_redis_passes_the_scenario"), BOTH, COMMON);
}

#[test]
fn jedis_passes_the_scenario() {
    passes(Installed::java("jedis_passes_the_scenario"), BOTH, COMMON);
}

// The version that Debian has speaks RESP2 only.
#[test]
fn redis_rb_passes_the_scenario() {
    passes(Installed::ruby("redis_rb_passes_the_scenario"), &["2"], COMMON);
}

#[test]
fn the_redis_crate_passes_the_scenario() {
    passes_on_a_thread(redis_rs::scenario, BOTH, COMMON);
}

#[test]
fn redis_cli_shows_replies_and_comes_back() {
    let Some(program) = program_or_skip("redis_cli_shows_replies_and_comes_back", "redis-cli") else {
        return;
    };
    let place = Place::new();
    let mut server = place.serve(&[]);
    let address = server.address.clone();
    let port = address.rsplit(':').next().unwrap().to_owned();
    let cli = |words: &[&str]| {
        let fixed = ["-p", &port, "--no-raw"];
        let output = std::process::Command::new(&program)
            .args(fixed)
            .args(words)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    assert_eq!(cli(&["SET", "text", "a"]), "OK");
    assert_eq!(cli(&["INCRBY", "count", "42"]), "(integer) 42");
    assert_eq!(cli(&["HSET", "hash", "name", "Amy"]), "(integer) 1");
    assert_eq!(cli(&["HGETALL", "hash"]), "1) \"name\"\n2) \"Amy\"");
    assert_eq!(cli(&["-3", "HGETALL", "hash"]), "1# \"name\" => \"Amy\"");
    assert!(cli(&["HGET", "text", "a"]).starts_with("(error) WRONGTYPE"));
    assert_eq!(cli(&["--scan", "--pattern", "h*"]), "\"hash\"");
    assert!(cli(&["--bigkeys"]).contains("Biggest"), "{}", cli(&["--bigkeys"]));
    server.kill();
    assert!(cli(&["GET", "text"]).is_empty());
    server = place.serve_at(&["--listen", &address]);
    assert_eq!(cli(&["GET", "text"]), "\"a\"");
    drop(server);
}

#[test]
fn redis_benchmark_runs_to_its_end() {
    let Some(program) = program_or_skip("redis_benchmark_runs_to_its_end", "redis-benchmark") else { return };
    let place = Place::new();
    let server = place.serve(&[]);
    let port = server.address.rsplit(':').next().unwrap().to_owned();
    for more in [&[][..], &["-P", "16"], &["-3"]] {
        let tests = ["-p", &port, "-t", "ping_mbulk,set,get,incr,hset,mset", "-n", "2000", "-q"];
        let output = std::process::Command::new(&program)
            .args(tests)
            .args(more)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && output.stderr.is_empty(), "{more:?}: {output:?}");
        for name in ["PING_MBULK", "SET", "GET", "INCR", "HSET", "MSET"] {
            assert!(
                said.contains(&format!("{name}: ")) || said.contains(&format!("{name} (")),
                "{name}: {said}"
            );
        }
    }
}

/// What the exporter answers to a scrape.
fn metrics(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    page.starts_with("HTTP/1.0 200").then_some(page)
}

#[test]
fn the_exporter_of_prometheus_finds_its_metrics() {
    let test = "the_exporter_of_prometheus_finds_its_metrics";
    let Some(program) = program_or_skip(test, "prometheus-redis-exporter") else { return };
    let place = Place::new();
    let server = place.serve(&[]);
    server.cli(&["SET", "k", "v", "EX", "1000"]);
    // The exporter cannot choose a free port and tell it.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = std::fs::File::create(place.path().join("exporter")).unwrap();
    let mut exporter = std::process::Command::new(program)
        .args(["-redis.addr", &format!("redis://{}", server.address), "-check-keys", "k*"])
        .args(["-web.listen-address", &format!("127.0.0.1:{port}"), "-include-system-metrics"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut page = None;
    wait_until("the exporter answers", || {
        page = metrics(port);
        page.is_some() || exporter.try_wait().unwrap().is_some()
    });
    exporter.kill().unwrap();
    exporter.wait().unwrap();
    let said = std::fs::read_to_string(place.path().join("exporter")).unwrap();
    let page = page.unwrap_or_else(|| panic!("the exporter ended: {said}"));
    for line in [
        "redis_up 1",
        "redis_exporter_last_scrape_error{err=\"\"} 0",
        "redis_db_keys{db=\"db0\"} 1",
        "redis_key_size{db=\"db0\",key=\"k\"} 1",
        "redis_commands_total{cmd=\"set\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}\n{said}");
    }
    for name in [
        "redis_connected_clients",
        "redis_memory_used_bytes",
        "redis_uptime_in_seconds",
        "redis_instance_info",
    ] {
        assert!(page.lines().any(|line| line.starts_with(name)), "{name} is not in\n{page}");
    }
    assert!(!said.contains("level=error") && !said.contains("level=warn"), "{said}");
}

#[test]
fn the_page_of_clients_names_every_client_at_its_version() {
    let page = include_str!("../../../docs/clients.md");
    for (client, version) in installed::pinned() {
        let named = page.lines().any(|line| line.contains(&client) && line.contains(&version));
        assert!(named, "docs/clients.md has no line with {client} and {version}");
    }
}
