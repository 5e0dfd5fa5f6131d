//! The common scenario in the `redis` crate: its blocking connection, and for the server that comes back its connection
//! manager. It runs on a thread of the test. It must never use anything of the client that its users would not, and never
//! call a step that failed `ok`.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use redis::aio::ConnectionManagerConfig;
use redis::{
    Client, Commands, Connection, CopyOptions, ErrorKind, ExistenceCheck, Expiry, PushInfo, PushKind,
    RedisResult, ServerErrorKind, SetExpiry, SetOptions, cmd, pipe,
};

use crate::scenario::Stage;

/// A condition that does not come within this time will not come.
const PATIENCE: Duration = Duration::from_secs(20);

type Step = fn(&mut Scenario);

const STEPS: &[(&str, Step)] = &[
    ("connect", connect),
    ("strings", strings),
    ("counters", counters),
    ("hashes", hashes),
    ("rows", rows),
    ("expiry", expiry),
    ("keys", keys),
    ("transactions", transactions),
    ("messages", messages),
    ("pipelines", pipelines),
    ("errors", errors),
    ("reconnect", reconnect),
];

struct Scenario {
    stage: Stage,
    client: Client,
    connection: Connection,
}

/// Runs the steps; what fails one does not end the others.
pub(crate) fn scenario(stage: Stage) {
    let client = Client::open(format!("redis://{}/?protocol=resp{}", stage.address, stage.protocol)).unwrap();
    let connection = connected(&client);
    let mut scenario = Scenario { stage, client, connection };
    for (name, step) in STEPS {
        // A step that panicked leaves nothing behind that another relies on: each makes what it looks at.
        let line = match catch_unwind(AssertUnwindSafe(|| step(&mut scenario))) {
            Ok(()) => format!("ok {name}"),
            Err(_) => format!("FAILED {name}: the panic is among what the test printed"),
        };
        scenario.stage.tell(&line);
    }
}

fn connected(client: &Client) -> Connection {
    let connection = client.get_connection_with_timeout(PATIENCE).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.set_write_timeout(Some(PATIENCE)).unwrap();
    connection
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
    }
}

/// That the server refuses with this kind and with words among which these are.
fn refused<T: std::fmt::Debug>(kind: ServerErrorKind, words: &str, got: RedisResult<T>) {
    let error = got.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server(kind), "{error}");
    assert!(error.to_string().contains(words), "{words} is not in {error}");
}

fn connect(scenario: &mut Scenario) {
    let defaults = Client::open(format!("redis://{}", scenario.stage.address)).unwrap();
    assert_eq!(connected(&defaults).ping::<String>().unwrap(), "PONG");
    let redis = &mut scenario.connection;
    cmd("CLIENT").arg("SETNAME").arg("amy").exec(redis).unwrap();
    assert_eq!(redis.client_getname::<String>().unwrap(), "amy");
    let info: String = cmd("CLIENT").arg("INFO").query(redis).unwrap();
    assert!(info.contains(&format!("resp={}", scenario.stage.protocol)), "{info}");
    let info: redis::InfoDict = cmd("INFO").arg("server").query(redis).unwrap();
    assert!(info.get::<String>("redis_version").unwrap().starts_with("7.2"));
    let config: HashMap<String, String> = cmd("CONFIG").arg("GET").arg("timeout").query(redis).unwrap();
    assert_eq!(config, HashMap::from([("timeout".into(), "0".into())]));
}

fn strings(scenario: &mut Scenario) {
    let redis = &mut scenario.connection;
    redis.set::<_, _, ()>("text", "ä € 😀").unwrap();
    assert_eq!(redis.get::<_, Option<String>>("text").unwrap().as_deref(), Some("ä € 😀"));
    assert_eq!(redis.get::<_, Option<String>>("nothing").unwrap(), None);
    let only_new = SetOptions::default().conditional_set(ExistenceCheck::NX);
    assert_eq!(redis.set_options::<_, _, Option<String>>("text", "other", only_new).unwrap(), None);
    let and_get = SetOptions::default().get(true);
    assert_eq!(redis.set_options::<_, _, String>("text", "a", and_get).unwrap(), "ä € 😀");
    assert_eq!(redis.append::<_, _, u64>("text", "bc").unwrap(), 3);
    assert_eq!(redis.getrange::<_, String>("text", 1, -1).unwrap(), "bc");
    redis.mset::<_, _, ()>(&[("one", "1"), ("two", "2")]).unwrap();
    let several: Vec<Option<u8>> = redis.mget(&["one", "nothing", "two"]).unwrap();
    assert_eq!(several, [Some(1), None, Some(2)]);
    assert_eq!(redis.get_del::<_, String>("two").unwrap(), "2");
    let value: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    redis.set::<_, _, ()>(b"\x00\r\n", &value).unwrap();
    assert!(redis.get::<_, Vec<u8>>(b"\x00\r\n").unwrap() == value);
}

fn counters(scenario: &mut Scenario) {
    let redis = &mut scenario.connection;
    assert_eq!(redis.incr::<_, _, i64>("count", 42).unwrap(), 42);
    assert_eq!(redis.decr::<_, _, i64>("count", 1).unwrap(), 41);
    assert_eq!(redis.incr::<_, _, f64>("float", 0.1).unwrap(), 0.1);
    assert_eq!(redis.hincr::<_, _, _, i64>("counts", "a", 2).unwrap(), 2);
    assert_eq!(redis.hincr::<_, _, _, f64>("counts", "a", 0.5).unwrap(), 2.5);
}

fn hashes(scenario: &mut Scenario) {
    let redis = &mut scenario.connection;
    redis.hset_multiple::<_, _, _, ()>("hash", &[("name", "Amy"), ("age", "7")]).unwrap();
    let whole: HashMap<String, String> = redis.hgetall("hash").unwrap();
    assert_eq!(whole, HashMap::from([("name".into(), "Amy".into()), ("age".into(), "7".into())]));
    assert!(redis.hgetall::<_, HashMap<String, String>>("nothing").unwrap().is_empty());
    assert_eq!(
        redis.hmget::<_, _, (Option<u8>, Option<u8>)>("hash", &["age", "nothing"]).unwrap(),
        (Some(7), None)
    );
    assert!(redis.hexists::<_, _, bool>("hash", "age").unwrap());
    let scanned: Vec<(String, String)> = redis.hscan("hash").unwrap().collect::<RedisResult<_>>().unwrap();
    assert_eq!(scanned.into_iter().collect::<HashMap<_, _>>(), whole);
    assert_eq!(redis.hdel::<_, _, u64>("hash", "age").unwrap(), 1);
    let one: Vec<(String, String)> =
        cmd("HRANDFIELD").arg("hash").arg(1).arg("WITHVALUES").query(redis).unwrap();
    assert_eq!(one, [("name".to_owned(), "Amy".to_owned())]);
}

fn rows(scenario: &mut Scenario) {
    let redis = &mut scenario.connection;
    redis.hset_multiple::<_, _, _, ()>("traveller:1", &[("name", "Amy"), ("miles", "10")]).unwrap();
    assert_eq!(redis.hincr::<_, _, _, i64>("traveller:1", "miles", 2).unwrap(), 12);
    let (id, name, miles): (i64, String, i64) = redis.hmget("traveller:1", &["id", "name", "miles"]).unwrap();
    assert_eq!((id, name.as_str(), miles), (1, "Amy", 12));
    let event: String = redis.xadd("visit", "*", &[("at", "1"), ("who", "amy")]).unwrap();
    assert_eq!(event.split('-').count(), 2);
    // It has landed in the one database.
    assert_eq!(cmd("WAIT").arg(1).arg(20_000).query::<u64>(redis).unwrap(), 1);
}

fn expiry(scenario: &mut Scenario) {
    let redis = &mut scenario.connection;
    let soon = SetOptions::default().with_expiration(SetExpiry::EX(100));
    redis.set_options::<_, _, ()>("short", "v", soon).unwrap();
    assert_eq!(redis.ttl::<_, i64>("short").unwrap(), 100);
    assert!(redis.persist::<_, bool>("short").unwrap());
    assert_eq!((redis.ttl("short"), redis.ttl("nothing")), (Ok(-1_i64), Ok(-2_i64)));
    assert!(redis.expire::<_, bool>("short", 50).unwrap());
    assert_eq!(redis.get_ex::<_, String>("short", Expiry::PX(60_000)).unwrap(), "v");
    assert!((59_000..=60_000).contains(&redis.pttl::<_, i64>("short").unwrap()));
    assert!(redis.pexpire::<_, bool>("short", 20).unwrap());
    until("a key expires", || !redis.exists::<_, bool>("short").unwrap());
}

fn keys(scenario: &mut Scenario) {
    let redis = &mut scenario.connection;
    let names: HashSet<String> = (0..300).map(|number| format!("scan:{number}")).collect();
    redis.mset::<_, _, ()>(&names.iter().map(|name| (name, "v")).collect::<Vec<_>>()).unwrap();
    let found: HashSet<String> = redis.scan_match("scan:*").unwrap().collect::<RedisResult<_>>().unwrap();
    assert_eq!(found, names);
    assert_eq!(redis.key_type::<_, String>("hash").unwrap(), "hash");
    redis.rename::<_, _, ()>("scan:0", "renamed").unwrap();
    assert!(redis.copy::<_, _, &str, bool>("renamed", "copied", CopyOptions::default()).unwrap());
    assert_eq!(redis.del::<_, u64>(&["renamed", "copied", "scan:1", "nothing"]).unwrap(), 3);
}

fn transactions(scenario: &mut Scenario) {
    let redis = &mut scenario.connection;
    let mut atomic = pipe();
    atomic.atomic().set("balance", 10).ignore().incr("balance", 5).hset("log", "last", 5).get("balance");
    assert_eq!(atomic.query::<(i64, i64, i64)>(redis).unwrap(), (15, 1, 15));
    let mut other = connected(&scenario.client);
    let mut tries = 0;
    let (balance,): (i64,) = redis::transaction(redis, &["balance"], |redis, transaction| {
        let balance: i64 = redis.get("balance")?;
        tries += 1;
        if tries == 1 {
            // Another changes it between the two: the transaction is refused, and tried again.
            other.set::<_, _, ()>("balance", 1)?;
        }
        transaction.set("balance", balance + 2).ignore().get("balance").query(redis)
    })
    .unwrap();
    assert_eq!((tries, balance), (2, 3));
}

fn messages(scenario: &mut Scenario) {
    let mut listening = connected(&scenario.client);
    let mut subscriber = listening.as_pubsub();
    subscriber.subscribe("news").unwrap();
    subscriber.psubscribe("news.*").unwrap();
    let redis = &mut scenario.connection;
    let count: (String, u64) = cmd("PUBSUB").arg("NUMSUB").arg("news").query(redis).unwrap();
    assert_eq!(count, ("news".to_owned(), 1));
    assert_eq!((redis.publish("news", "one"), redis.publish("news.sport", "two")), (Ok(1_u64), Ok(1_u64)));
    for (channel, text, pattern) in [("news", "one", None), ("news.sport", "two", Some("news.*"))] {
        let message = subscriber.get_message().unwrap();
        assert_eq!(
            (message.get_channel_name(), message.get_payload::<String>().unwrap().as_str()),
            (channel, text)
        );
        assert_eq!(message.get_pattern::<Option<String>>().unwrap().as_deref(), pattern);
    }
    subscriber.unsubscribe("news").unwrap();
    assert_eq!(redis.publish::<_, _, u64>("news", "nobody listens").unwrap(), 0);
}

fn pipelines(scenario: &mut Scenario) {
    let mut pipeline = pipe();
    for number in 0..1000 {
        pipeline.set(format!("pipe:{number}"), number).ignore().get(format!("pipe:{number}"));
    }
    let replies: Vec<u32> = pipeline.query(&mut scenario.connection).unwrap();
    assert_eq!(replies, (0..1000).collect::<Vec<_>>());
}

fn errors(scenario: &mut Scenario) {
    let redis = &mut scenario.connection;
    redis.set::<_, _, ()>("text", "a").unwrap();
    let wrong = redis.hget::<_, _, String>("text", "a").unwrap_err();
    assert_eq!(wrong.code(), Some("WRONGTYPE"));
    refused(ServerErrorKind::ResponseError, "value is not an integer", redis.incr::<_, _, i64>("text", 1));
    refused(ServerErrorKind::ResponseError, "unknown command", cmd("NOSUCH").arg("a").query::<()>(redis));
    refused(ServerErrorKind::ResponseError, "wrong number", cmd("GET").query::<()>(redis));
    let mut pipeline = pipe();
    pipeline.get("text").hget("text", "a").get("text").ignore_errors();
    let replies: Vec<RedisResult<String>> = pipeline.query(redis).unwrap();
    assert_eq!(replies.iter().map(RedisResult::is_ok).collect::<Vec<_>>(), [true, false, true]);
    let refusal = pipe().atomic().set("never", "v").cmd("NOSUCH").query::<()>(redis);
    assert_eq!(refusal.unwrap_err().code(), Some("EXECABORT"));
    assert!(!redis.exists::<_, bool>("never").unwrap());
    let stranger = Client::open(format!("redis://nobody:wrong@{}", scenario.stage.address)).unwrap();
    assert_eq!(stranger.get_connection().err().unwrap().kind(), ErrorKind::AuthenticationFailed);
    assert_eq!(redis.ping::<String>().unwrap(), "PONG");
}

/// The blocking connection is made again by its user, the connection manager's by itself, and its subscription with it.
fn reconnect(scenario: &mut Scenario) {
    scenario.connection.set::<_, _, ()>("kept", "through kill -9").unwrap();
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let has_pushes = scenario.stage.protocol == "3";
    let mut manager = runtime.block_on(async {
        let mut config = ConnectionManagerConfig::new();
        if has_pushes {
            config = config.set_push_sender(sender).set_automatic_resubscription();
        }
        let mut manager = scenario.client.get_connection_manager_with_config(config).await.unwrap();
        if has_pushes {
            manager.subscribe("after").await.unwrap();
        }
        manager
    });
    scenario.stage.lose_the_server();

    assert!(scenario.connection.get::<_, String>("kept").unwrap_err().is_io_error());
    let redis = &mut scenario.connection;
    *redis = connected(&scenario.client);
    assert_eq!(redis.get::<_, String>("kept").unwrap(), "through kill -9");
    until("the manager connects again", || {
        runtime.block_on(cmd("GET").arg("kept").query_async::<String>(&mut manager)).is_ok()
    });
    assert_eq!(
        runtime.block_on(pipe().atomic().set("kept", 2).ignore().get("kept").query_async(&mut manager)),
        Ok((2_u8,))
    );
    if has_pushes {
        until("the subscription is made again", || {
            redis.publish::<_, _, u64>("after", "again").unwrap();
            // The manager reads its pushes while it waits for a reply.
            runtime.block_on(cmd("PING").query_async::<String>(&mut manager)).unwrap();
            is_heard(&mut heard)
        });
    }
}

fn is_heard(heard: &mut tokio::sync::mpsc::UnboundedReceiver<PushInfo>) -> bool {
    std::iter::from_fn(|| heard.try_recv().ok()).any(|push| push.kind == PushKind::Message)
}
