//! When two replies to one command count as the same.
//! Each excuse has a name, and the name stands in the table of differences, which the compatibility page shows.

use landfall_resp::Value;
use landfall_sim::client::Request;

/// The names of all excuses.
pub(crate) const EXCUSES: &[&str] = &["order of fields", "encodings", "trees of streams"];

/// Times to live are told at two moments.
const MOMENTS_MS: i64 = 5_000;

/// Whether the replies are the same, or differ in a way that is listed.
pub(crate) fn excused(command: &Request, theirs: &Value, ours: &Value) -> bool {
    theirs == ours
        || is_time(command, theirs, ours)
        || has_same_fields(command, theirs, ours)
        || is_encoding(command, theirs, ours)
        || has_same_page(command, theirs, ours)
        || is_same_stream(command, theirs, ours)
        || are_same_items(theirs, ours)
}

/// A reply for people to read.
pub(crate) fn told(value: &Value) -> String {
    match value {
        Value::Bulk(text) | Value::Simple(text) => format!("{:?}", String::from_utf8_lossy(text)),
        Value::Error(text) => format!("-{}", String::from_utf8_lossy(text)),
        Value::Array(items) => format!("[{}]", items.iter().map(told).collect::<Vec<_>>().join(", ")),
        other => format!("{other:?}"),
    }
}

fn name(command: &Request) -> String {
    command.first().map(|word| String::from_utf8_lossy(word).to_uppercase()).unwrap_or_default()
}

/// No difference at all: the two servers were asked at two moments.
fn is_time(command: &Request, theirs: &Value, ours: &Value) -> bool {
    let (Value::Integer(theirs), Value::Integer(ours)) = (theirs, ours) else { return false };
    let scale = match name(command).as_str() {
        "TTL" | "EXPIRETIME" => 1000,
        "PTTL" | "PEXPIRETIME" => 1,
        _ => return false,
    };
    *theirs > 0 && *ours > 0 && theirs.abs_diff(*ours).saturating_mul(scale) <= MOMENTS_MS as u64
}

/// "order of fields": a hash has none, and a removed field changes it here.
fn has_same_fields(command: &Request, theirs: &Value, ours: &Value) -> bool {
    let size = match (name(command).as_str(), theirs) {
        ("HGETALL", Value::Array(_)) => 2,
        ("HRANDFIELD", Value::Array(items)) if items.iter().all(|item| matches!(item, Value::Bulk(_))) => {
            if command.len() > 3 {
                2
            } else {
                1
            }
        }
        // The keys of a server have no order anywhere.
        ("HGETALL" | "HKEYS" | "HVALS" | "HRANDFIELD" | "KEYS", _) => 1,
        _ => return false,
    };
    let sorted = |value: &Value| {
        let mut items: Vec<String> = match value {
            Value::Array(items) => items.chunks(size).map(|items| format!("{items:?}")).collect(),
            Value::Map(pairs) => pairs.iter().map(|pair| format!("{pair:?}")).collect(),
            _ => return None,
        };
        items.sort();
        Some(items)
    };
    let kinds = std::mem::discriminant(theirs) == std::mem::discriminant(ours);
    kinds && sorted(theirs).is_some() && sorted(theirs) == sorted(ours)
}

/// "order of fields", in the page of a scan.
fn has_same_page(command: &Request, theirs: &Value, ours: &Value) -> bool {
    let (Value::Array(theirs), Value::Array(ours)) = (theirs, ours) else { return false };
    name(command) == "HSCAN"
        && theirs.len() == 2
        && theirs.first() == ours.first()
        && has_same_fields(&vec![b"HGETALL".to_vec()], &theirs[1], &ours[1])
}

/// "encodings": Redis remembers what a value once was.
fn is_encoding(command: &Request, theirs: &Value, ours: &Value) -> bool {
    let both = matches!((theirs, ours), (Value::Bulk(_), Value::Bulk(_)));
    let refcounts = matches!((theirs, ours), (Value::Integer(_), Value::Integer(1)));
    name(command) == "OBJECT" && (both || refcounts)
}

/// "trees of streams": how Redis keeps a stream, among what XINFO tells of it.
fn is_same_stream(command: &Request, theirs: &Value, ours: &Value) -> bool {
    let tree = |value: &Value| matches!(value, Value::Bulk(name) if name.starts_with(b"radix-tree-"));
    let told = |value: &Value| -> Option<Vec<Value>> {
        let all = match value {
            Value::Array(items) => items.clone(),
            Value::Map(pairs) => {
                pairs.iter().flat_map(|(name, value)| [name.clone(), value.clone()]).collect()
            }
            _ => return None,
        };
        Some(all.chunks(2).filter(|pair| !tree(&pair[0])).flatten().cloned().collect())
    };
    let kinds = std::mem::discriminant(theirs) == std::mem::discriminant(ours);
    name(command) == "XINFO" && kinds && told(theirs).is_some() && told(theirs) == told(ours)
}

/// The replies of a transaction, which do not say to which commands they belong: the same excuses, one by one.
fn are_same_items(theirs: &Value, ours: &Value) -> bool {
    let (Value::Array(theirs), Value::Array(ours)) = (theirs, ours) else { return false };
    theirs.len() == ours.len()
        && theirs.iter().zip(ours).all(|(theirs, ours)| {
            let any = |name: &str| vec![name.as_bytes().to_vec()];
            ["PTTL", "HKEYS", "HGETALL", "OBJECT", "HSCAN", "XINFO"].iter().any(|name| {
                theirs == ours
                    || is_time(&any(name), theirs, ours)
                    || has_same_fields(&any(name), theirs, ours)
                    || is_encoding(&any(name), theirs, ours)
                    || has_same_page(&any(name), theirs, ours)
                    || is_same_stream(&any(name), theirs, ours)
            })
        })
}
