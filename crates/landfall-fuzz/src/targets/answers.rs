//! Commands in any order with any arguments, on a real engine over a log and a database in memory: each request gets
//! exactly one reply (SUBSCRIBE and its kin one for each channel), in the protocol of its connection. It must never
//! depend on a thread or a clock.

use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use landfall::buffer::log::memory::{MemoryLog, MemoryLogSettings};
use landfall::lander::Turn;
use landfall::model::{Column, ColumnType, Table};
use landfall::settings::Settings;
use landfall::simulation::strict_disk::StrictDisk;
use landfall::simulation::{LoadStep, Stepwise};
use landfall::sink::memory::MemoryDatabase;
use landfall_resp::{DecodedReply, Protocol, ReplyDecoder, ReplyLimits, Value, encode_request};
use landfall_server::doors::{Given, answers, command_names};

const REQUESTS_MAX: usize = 24;
const ARGS_MAX: usize = 7;
/// So many steps of one part are more than so few requests can need.
const STEPS_MAX: usize = 1000;
/// What commands have something to say about.
const WORDS: [&str; 40] = [
    "a",
    "b",
    "h",
    "page:1",
    "page:2:title",
    "page:1:views",
    "page",
    "page:01",
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "1.5",
    "nan",
    "",
    "*",
    "h*",
    "[a-",
    "{\"views\":1}",
    "{",
    "views",
    "title",
    "EX",
    "PX",
    "NX",
    "XX",
    "GET",
    "KEEPTTL",
    "MATCH",
    "COUNT",
    "LIST",
    "GETUSER",
    "default",
    "AUTH",
    "2",
    "3",
    "id",
    "100",
    "DOCS",
    "\r\n+OK\r\n",
];

pub(crate) fn run(input: &[u8]) {
    let mut choices = Unstructured::new(input);
    let mut bytes = Vec::new();
    for _ in 0..REQUESTS_MAX {
        match request(&mut choices) {
            Ok(args) if !choices.is_empty() => encode_request(&mut bytes, &args),
            _ => break,
        }
    }
    let steps = engine();
    let mut load = || {
        for _ in 0..STEPS_MAX {
            if !matches!(steps.lander_turn(), Some(Turn::Again)) {
                break;
            }
        }
        for loader in 0..steps.loaders() {
            for _ in 0..STEPS_MAX {
                if matches!(steps.load_step(loader), LoadStep::Idle | LoadStep::Busy) {
                    break;
                }
            }
        }
    };
    let given = answers(steps.engine(), &bytes, &mut load).unwrap();
    let mut protocol = Protocol::Resp2;
    for (request, given) in given {
        let request = request.as_request();
        let shown: Vec<String> =
            request.args().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
        match given {
            Given::Reply(reply) | Given::Goodbye(reply) => {
                if let (true, Some(value)) = (request.command().eq_ignore_ascii_case(b"HELLO"), only(&reply))
                {
                    // HELLO answers in the protocol that it chooses.
                    if value.as_error().is_none() {
                        protocol =
                            if matches!(value, Value::Map(_)) { Protocol::Resp3 } else { Protocol::Resp2 };
                    }
                }
                if request.command().eq_ignore_ascii_case(b"RESET") {
                    protocol = Protocol::Resp2;
                }
                let values = all(&reply).unwrap_or_else(|| panic!("{shown:?}: no whole replies: {reply:?}"));
                // These answer once for each channel.
                let may_be_more = request.command().to_ascii_uppercase().ends_with(b"SUBSCRIBE");
                assert!(values.len() == 1 || (may_be_more && !values.is_empty()), "{shown:?}: {values:?}");
                let fits = |value| protocol == Protocol::Resp3 || is_resp2(value);
                assert!(values.iter().all(fits), "{shown:?}: {values:?}");
            }
            Given::Later(early) => assert_eq!(early, b"", "{shown:?}: answered, and to be answered again"),
        }
    }
}

/// The value, if these bytes are one reply and nothing else.
fn only(reply: &[u8]) -> Option<Value> {
    match ReplyDecoder::new(ReplyLimits::default()).decode(reply) {
        Ok(DecodedReply::Complete { value, consumed }) if consumed == reply.len() => Some(value),
        _ => None,
    }
}

/// The values, if these bytes are whole replies and nothing else.
fn all(mut replies: &[u8]) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    while !replies.is_empty() {
        let decoded = ReplyDecoder::new(ReplyLimits::default()).decode(replies);
        let Ok(DecodedReply::Complete { value, consumed }) = decoded else { return None };
        values.push(value);
        replies = &replies[consumed..];
    }
    Some(values)
}

/// Whether a client that knows only the older protocol understands it.
fn is_resp2(value: &Value) -> bool {
    match value {
        Value::Simple(_) | Value::Error(_) | Value::Integer(_) | Value::Bulk(_) | Value::Null => true,
        Value::Array(items) => items.iter().all(is_resp2),
        _ => false,
    }
}

fn request(choices: &mut Unstructured<'_>) -> Result<Vec<Vec<u8>>> {
    let names: Vec<[&str; 2]> = command_names().collect();
    let words = choices.choose(&names)?.iter().filter(|word| !word.is_empty());
    let mut args: Vec<Vec<u8>> = words.map(|word| word.as_bytes().to_vec()).collect();
    for _ in 0..choices.int_in_range(0..=ARGS_MAX)? {
        args.push(match choices.ratio(1, 8)? {
            true => choices.arbitrary::<&[u8]>()?.to_vec(),
            false => choices.choose(&WORDS)?.as_bytes().to_vec(),
        });
    }
    Ok(args)
}

fn engine() -> Stepwise {
    let env = StrictDisk::default().env(1);
    let log = MemoryLog::new(env.clone(), MemoryLogSettings::default());
    let database = MemoryDatabase::new([table()]);
    let settings = Settings { memory_bytes_max: 64 << 20, ..Settings::in_dir("/log") };
    let (steps, _) = Stepwise::open(env, settings, Arc::new(log), Arc::new(database)).unwrap();
    steps
}

/// A table with a column of each kind that commands treat differently.
fn table() -> Table {
    let column = |name: &str, kind, nullable| Column {
        name: name.into(),
        kind,
        declared: String::new(),
        nullable,
        has_default: false,
        default: None,
        generated: false,
    };
    let whole = ColumnType::Int { min: i64::MIN, max: i64::MAX };
    Table {
        name: "page".into(),
        columns: vec![
            column("id", whole.clone(), false),
            column("views", whole, true),
            column("title", ColumnType::Text { chars_max: Some(20) }, true),
        ],
        primary_key: vec![0],
        keyless_reason: None,
        unique: Vec::new(),
        references: Vec::new(),
    }
}
