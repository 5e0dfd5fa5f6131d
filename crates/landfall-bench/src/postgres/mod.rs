//! The comparison of landing in PostgreSQL: by hand, Landfall's sink, Landfall end to end, and the workers that teams write.
//! It must never measure two of them at once, or drop one that failed: a failure is a row with its reason.

mod cell;
mod load;
mod raw;
mod raw_client;
mod report;
mod seam;
mod server;
mod work;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use landfall_sim::servers::Postgres;
use serde::Serialize;

use self::cell::{Cell, Method, Place, Rows};
use self::server::Load;
use self::work::{Keys, TABLES, Timed};
use self::worker::Language;
use crate::machine::Machine;
use crate::program::landfall_program;

const VALUE_BYTES: usize = 64;
/// What a cell's checkpoints may not fall into; and a cache that holds the tables, as a server for this work has.
const SERVER: [&str; 4] = [
    "ALTER SYSTEM SET shared_buffers = '1GB'",
    "ALTER SYSTEM SET max_wal_size = '32GB'",
    "ALTER SYSTEM SET checkpoint_timeout = '1h'",
    "ALTER SYSTEM SET autovacuum = off",
];

/// Compare landing in PostgreSQL: statements by hand, Landfall's sink, Landfall end to end, hand-written workers
///
/// Starts a PostgreSQL (fsync on) with a table of --rows rows, and in each pass lands in it in turn: by hand the fastest
/// statements that are known, each transaction with a watermark, over one and two connections; Landfall's sink with the same
/// rows; Landfall as a server, from commands to rows; and a worker in Python and in Go behind a Redis list. The whole run takes about
/// eight minutes and goes to docs/benchmarks/postgres.json, postgres.md and the README; a part of it is only printed, unless --json
/// says where it goes. Data lies below TMPDIR or /tmp.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds of a cell by hand or of the sink
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Passes over all cells
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    passes: u32,
    /// Distinct keys
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..=100_000_000))]
    rows: u64,
    /// Passes in which servers and workers are measured too: each of them lands all rows
    #[arg(long, default_value_t = 1)]
    end_to_end_passes: u32,
    /// Only these parts
    #[arg(long, value_delimiter = ',')]
    parts: Vec<Part>,
    /// The longest wait until all is landed
    #[arg(long, default_value_t = 120)]
    drain_seconds: u64,
    /// The landfall program [default: landfall beside this program]
    #[arg(long, value_name = "PATH")]
    landfall: Option<PathBuf>,
    /// Where the figures go; the Markdown table goes beside it [default: docs/benchmarks/postgres.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A part of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Upserts,
    Events,
    Keys,
    Server,
    Workers,
}

/// One measurement.
#[derive(Debug, Clone, Serialize)]
struct Run {
    /// What the others of its table have in common with it.
    part: &'static str,
    who: String,
    connections: u32,
    batch_rows: usize,
    pass: u32,
    failed: Option<String>,
    figures: Option<Figures>,
}

/// All that is known of it.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Figures {
    rows: u64,
    changes: u64,
    /// Rows landed a second; end to end from the first command until the last row is landed.
    rows_per_second: f64,
    /// Processor time of the one who lands, for a row; not PostgreSQL's own.
    client_us: Option<f64>,
    /// PostgreSQL's processor time for a row.
    server_us: Option<f64>,
    acknowledged_per_second: Option<f64>,
    rows_under_load: Option<u64>,
    batches: Option<u64>,
}

/// What a run needs at hand.
struct Scene {
    postgres: Arc<Postgres>,
    place: Place,
    keys: Keys,
    /// Numbers that no cell has used yet.
    next: u64,
    cells: u64,
    runs: Vec<Run>,
}

/// Runs the comparison, prints the table, and writes it where it belongs.
pub(crate) fn run(options: &Options) -> Result<()> {
    let machine = Machine::here("postgres", &std::env::temp_dir());
    let landfall = landfall_program(options.landfall.as_deref())?;
    let mut scene = Scene::new(options.rows)?;
    let version = scene.postgres.psql(&scene.place.database, "SHOW server_version")?;
    let tools = tempfile::tempdir()?;
    let workers: Vec<(Language, Result<Vec<PathBuf>>)> = match options.has(Part::Workers) {
        true => Language::ALL.map(|language| (language, language.built(tools.path()))).into(),
        false => Vec::new(),
    };
    for (language, built) in &workers {
        if let Err(error) = built {
            eprintln!("MISSING: the worker in {} cannot be made here: {error:#}", language.name());
        }
    }
    for pass in 1..=options.passes {
        eprintln!("pass {pass} of {}", options.passes);
        scene.cells(options, pass)?;
        if pass <= options.end_to_end_passes {
            scene.servers(options, pass, &landfall)?;
            scene.workers(options, pass, &workers)?;
        }
    }
    let page = report::page(&machine, &version, options.rows, options.passes, &scene.runs);
    println!("{page}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let is_whole = options.parts.is_empty() && options.json.is_none();
    let json = options.json.clone().or_else(|| is_whole.then(|| root.join("docs/benchmarks/postgres.json")));
    if let Some(json) = json {
        report::write(&json, &page, &machine, &version, options.rows, &scene.runs)?;
        eprintln!("Written: {} and the same as .md", json.display());
    }
    if is_whole {
        report::write_readme(&root.join("README.md"), &page)?;
    }
    match scene.runs.iter().any(|run| run.failed.is_some()) {
        true => bail!("some cells failed; the table says which"),
        false => Ok(()),
    }
}

impl Options {
    fn has(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }
}

impl Scene {
    fn new(rows: u64) -> Result<Scene> {
        let postgres = Arc::new(Postgres::start()?);
        for setting in SERVER {
            postgres.psql("postgres", setting)?;
        }
        postgres.restart()?;
        let database = postgres.new_database()?;
        eprintln!("filling {rows} rows");
        let fill = format!(
            "INSERT INTO item SELECT n, 'item number ' || n, 'tool', 1, 1, '2025-01-01' FROM generate_series(0, {rows} - 1) n; \
             INSERT INTO hot SELECT n, 0 FROM generate_series(0, 999) n"
        );
        postgres.psql(&database, &format!("{TABLES} {fill}"))?;
        let url = postgres.socket_url(&database);
        let folder = url.split("host=").nth(1).and_then(|rest| rest.split('&').next());
        let place = Place {
            folder: PathBuf::from(folder.context("the URL names no folder")?),
            port: postgres.port(),
            user: "landfall".into(),
            database,
            url,
        };
        Ok(Scene { postgres, place, keys: Keys::new(rows), next: 0, cells: 1, runs: Vec::new() })
    }

    fn psql(&self, sql: &str) -> Result<String> {
        self.postgres.psql(&self.place.database, sql)
    }

    /// By hand and through the sink, in turn.
    fn cells(&mut self, options: &Options, pass: u32) -> Result<()> {
        for rows in [Rows::Upserts, Rows::Events, Rows::Keys] {
            let (part, sizes): (_, &[usize]) = match rows {
                Rows::Upserts => (Part::Upserts, &[500, 2_000, 10_000]),
                Rows::Events => (Part::Events, &[2_000, 10_000]),
                Rows::Keys => (Part::Keys, &[10_000]),
            };
            if !options.has(part) {
                continue;
            }
            for connections in [1, 2] {
                for &batch_rows in sizes {
                    let mut methods: Vec<Method> =
                        Method::ALL.into_iter().filter(|method| method.rows() == rows).collect();
                    let turn = pass as usize % methods.len();
                    methods.rotate_left(turn);
                    for method in methods {
                        self.cell(method, connections, batch_rows, options.seconds, pass)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn cell(
        &mut self,
        method: Method,
        connections: u32,
        batch_rows: usize,
        seconds: f64,
        pass: u32,
    ) -> Result<()> {
        let (number, first) = (self.cells, self.next);
        let cell = Cell { method, connections, batch_rows, seconds, number, keys: self.keys.clone(), first };
        self.cells += 1;
        self.next += cell.span();
        if method.is_append() {
            self.psql("TRUNCATE click")?;
        }
        self.psql("VACUUM item, mark")?;
        let counted = match method.rows() {
            Rows::Upserts => format!("SELECT count(*) FROM item WHERE stock = {number}"),
            Rows::Events => "SELECT count(*) FROM click".to_owned(),
            Rows::Keys => "SELECT count(*) FROM landfall.landfall_key".to_owned(),
        };
        let before = self.server_seconds();
        let done = match method.is_sink() {
            true => seam::run(&self.place, &cell),
            false => raw::run(&self.place, &cell),
        };
        let server = self.server_seconds() - before;
        let done = done.and_then(|timed| self.is_there(&counted, &timed).map(|()| timed));
        let figures = done.map(|timed| Figures {
            rows: timed.rows,
            changes: timed.rows,
            rows_per_second: timed.rows as f64 / timed.seconds,
            client_us: Some(timed.client_seconds * 1e6 / timed.rows.max(1) as f64),
            server_us: Some(server * 1e6 / timed.rows.max(1) as f64),
            ..Figures::default()
        });
        self.add(
            (report::of_rows(method.rows()), method.name().to_owned(), connections, batch_rows, pass),
            figures,
        );
        Ok(())
    }

    /// A rate counts only if the rows are in the table. Keys that came twice are there once.
    fn is_there(&self, sql: &str, timed: &Timed) -> Result<()> {
        let found: u64 = self.psql(sql)?.parse().context("no count")?;
        if found == 0 || (found < timed.rows.min(self.keys.rows())) {
            bail!("{} rows were landed, and {found} are there", timed.rows);
        }
        Ok(())
    }

    /// Processor time of PostgreSQL, all its processes that ran until now.
    fn server_seconds(&self) -> f64 {
        report::processor_seconds_below(&self.place.folder)
    }

    fn servers(&mut self, options: &Options, pass: u32, landfall: &Path) -> Result<()> {
        for load in Load::ALL.into_iter().filter(|_| options.has(Part::Server)) {
            let (number, drain) = (self.cells, Duration::from_secs(options.drain_seconds));
            self.cells += 1;
            let database = self.fresh(options.rows, load)?;
            let count = if load == Load::Hot { options.rows * 2 } else { options.rows };
            let before = self.server_seconds();
            let done =
                server::run(landfall, &self.postgres, &database, load, (&self.keys, number, count), drain);
            let server = self.server_seconds() - before;
            let figures = done.map(|done| Figures {
                rows: done.rows,
                changes: done.changes,
                rows_per_second: done.rows as f64 / done.seconds,
                acknowledged_per_second: Some(done.acknowledged.commands as f64 / done.acknowledged.seconds),
                rows_under_load: Some(done.rows_under_load),
                batches: Some(done.batches),
                client_us: Some(done.processor_seconds * 1e6 / done.changes.max(1) as f64),
                server_us: Some(server * 1e6 / done.rows.max(1) as f64),
            });
            self.add((report::END_TO_END, format!("landfall: {}", load.name()), 1, 0, pass), figures);
            self.psql(&format!("DROP DATABASE {database} WITH (FORCE)"))?;
        }
        Ok(())
    }

    /// A server has a database of its own: what cells have landed belongs to another log.
    fn fresh(&self, rows: u64, load: Load) -> Result<String> {
        let database = self.postgres.new_database()?;
        let fill = match load {
            Load::Rows => format!(
                "INSERT INTO item SELECT n, 'item number ' || n, 'tool', 1, 1, '2025-01-01' FROM generate_series(0, {rows} - 1) n"
            ),
            Load::Hot => "INSERT INTO hot SELECT n, 0 FROM generate_series(0, 999) n".to_owned(),
            Load::Strings | Load::Events => String::new(),
        };
        self.postgres.psql(&database, &format!("{TABLES} {fill}"))?;
        self.postgres.psql(&database, "VACUUM ANALYZE")?;
        Ok(database)
    }

    fn workers(
        &mut self,
        options: &Options,
        pass: u32,
        workers: &[(Language, Result<Vec<PathBuf>>)],
    ) -> Result<()> {
        for (language, line) in workers {
            let number = self.cells;
            self.cells += 1;
            self.psql("VACUUM item")?;
            let count = options.rows.min(WORKER_ROWS);
            let line = line.as_ref().map_err(|error| anyhow::anyhow!("MISSING: {error:#}"));
            let before = self.server_seconds();
            let done = line.and_then(|line| {
                worker::run(line, &self.postgres, &self.place.database, (&self.keys, number, count))
            });
            let server = self.server_seconds() - before;
            let figures = done.map(|done| Figures {
                rows: count,
                changes: count,
                rows_per_second: count as f64 / done.seconds,
                acknowledged_per_second: Some(count as f64 / done.acknowledged.seconds),
                server_us: Some(server * 1e6 / count as f64),
                ..Figures::default()
            });
            let who = format!("Redis list and a worker in {}", language.name());
            self.add((report::END_TO_END, who, 1, 500, pass), figures);
        }
        Ok(())
    }

    fn add(
        &mut self,
        (part, who, connections, batch_rows, pass): (&'static str, String, u32, usize, u32),
        figures: Result<Figures>,
    ) {
        let (figures, failed) = match figures {
            Ok(figures) => (Some(figures), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        let run = Run { part, who, connections, batch_rows, pass, failed, figures };
        eprintln!("  {}", report::line(&run));
        self.runs.push(run);
    }
}

/// What a worker lands; at its rate a million takes half a minute.
const WORKER_ROWS: u64 = 500_000;
