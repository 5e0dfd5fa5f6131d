//! One run of redis-benchmark, and what it says of it.
//! It must never take a run with an error reply for a measurement.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::options::Test;

/// The load of a cell.
pub(super) struct Load {
    pub(super) test: Test,
    pub(super) pipeline: u32,
    pub(super) connections: u32,
    pub(super) keys: u64,
    pub(super) requests: u64,
}

/// What redis-benchmark measured. Latencies are those of a whole pipeline, as it sends and receives one at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Measured {
    pub(super) requests_per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// From the printed distribution: the first step at or above 99.9 %.
    pub(super) p999_ms: f64,
    pub(super) max_ms: f64,
}

impl Load {
    /// Runs it against a server and waits for the end.
    pub(super) fn run(&self, address: SocketAddr) -> Result<Measured> {
        let mut command = Command::new("redis-benchmark");
        command
            .args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()])
            .args(["-c", &self.connections.to_string(), "-P", &self.pipeline.to_string()])
            .args(["-n", &self.requests.to_string(), "-r", &self.keys.to_string(), "--precision", "3"])
            .args(self.test.request());
        let output =
            command.output().context("cannot run redis-benchmark (package redis-tools on Debian)")?;
        let words = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() || words.contains("Error from server") {
            let errors = String::from_utf8_lossy(&output.stderr);
            let error = words.split(['\r', '\n']).chain(errors.lines()).find(|line| line.contains("rror"));
            bail!(
                "{} failed: {}",
                self.test.name(),
                error.unwrap_or("redis-benchmark gave no reason").trim()
            );
        }
        parse(&words).with_context(|| format!("redis-benchmark said something unknown:\n{words}"))
    }
}

fn parse(words: &str) -> Option<Measured> {
    let lines: Vec<&str> = words.lines().map(str::trim).collect();
    let after = |start: &str| lines.iter().find_map(|line| line.strip_prefix(start));
    let rate = after("throughput summary:")?.split_whitespace().next()?.parse().ok()?;
    let header = lines
        .iter()
        .position(|line| line.split_whitespace().eq(["avg", "min", "p50", "p95", "p99", "max"]))?;
    let summary: Vec<f64> =
        lines.get(header + 1)?.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let &[_, _, p50_ms, _, p99_ms, max_ms] = summary.as_slice() else { return None };
    let steps = lines.iter().skip_while(|line| !line.starts_with("Latency by percentile distribution"));
    // The cumulative distribution follows with other steps.
    let mut steps = steps.skip(1).take_while(|line| !line.is_empty()).filter_map(|line| step(line));
    let p999_ms = steps.find(|(percent, _)| *percent >= 99.9)?.1;
    Some(Measured { requests_per_second: rate, p50_ms, p99_ms, p999_ms, max_ms })
}

/// `99.902% <= 4.199 milliseconds (cumulative count 199808)`
fn step(line: &str) -> Option<(f64, f64)> {
    let (percent, rest) = line.split_once("% <= ")?;
    Some((percent.parse().ok()?, rest.split_whitespace().next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = "SET x: rps=0.0 (overall: -nan)\r SET x: rps=1.0\r====== SET x ======
  200000 requests completed in 0.28 seconds

Latency by percentile distribution:
0.000% <= 0.119 milliseconds (cumulative count 48)
99.805% <= 4.119 milliseconds (cumulative count 199616)
99.902% <= 4.199 milliseconds (cumulative count 199808)
100.000% <= 4.263 milliseconds (cumulative count 200000)

Cumulative distribution of latencies:
99.990% <= 5.103 milliseconds (cumulative count 200000)

Summary:
  throughput summary: 704225.31 requests per second
  latency summary (msec):
          avg       min       p50       p95       p99       max
        1.077     0.112     0.959     1.919     3.111     4.263
";

    #[test]
    fn the_words_of_redis_benchmark_become_figures() {
        let expected = Measured {
            requests_per_second: 704_225.31,
            p50_ms: 0.959,
            p99_ms: 3.111,
            p999_ms: 4.199,
            max_ms: 4.263,
        };
        assert_eq!(parse(WORDS), Some(expected));
    }

    #[test]
    fn unknown_words_are_no_measurement() {
        assert_eq!(parse(""), None);
        assert_eq!(parse(&WORDS.replace("p99 ", "p98 ")), None);
        assert_eq!(parse(&WORDS.replace("percentile", "percent")), None);
    }
}
