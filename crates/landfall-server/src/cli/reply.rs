//! Replies as text, in the forms of `redis-cli`; the bare form must never change a byte of a value.

use std::fmt::Write;

use landfall_resp::Value;
use serde_json::Value as Json;

/// With types, for people: `(integer) 1`, `"Alice"`, `1) "a"`. Ends with a line end.
pub(super) fn with_types(value: &Value, out: &mut Vec<u8>) {
    typed(value, "", out);
}

fn typed(value: &Value, indent: &str, out: &mut Vec<u8>) {
    match value {
        Value::Simple(text) => line(out, text),
        Value::Error(text) => line(out, &[b"(error) ".as_slice(), text].concat()),
        Value::Integer(number) => line(out, format!("(integer) {number}").as_bytes()),
        Value::Double(number) => line(out, format!("(double) {number}").as_bytes()),
        Value::Bool(true) => line(out, b"(true)"),
        Value::Bool(false) => line(out, b"(false)"),
        Value::Null => line(out, b"(nil)"),
        Value::Bulk(bytes) => line(out, quoted(bytes).as_bytes()),
        Value::Verbatim { text, .. } | Value::BigNumber(text) => line(out, text),
        Value::Array(items) => list(items, "empty array", indent, out),
        Value::Set(items) => list(items, "empty set", indent, out),
        Value::Push(items) => list(items, "empty push", indent, out),
        Value::Map(pairs) => map(pairs, indent, out),
    }
}

fn line(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    out.push(b'\n');
}

fn list(items: &[Value], empty: &str, indent: &str, out: &mut Vec<u8>) {
    if items.is_empty() {
        return line(out, format!("({empty})").as_bytes());
    }
    let width = items.len().to_string().len();
    let inner = format!("{indent}{}", " ".repeat(width + 2));
    for (index, item) in items.iter().enumerate() {
        // The first item follows what was written before it on the same line.
        let before = if index == 0 { "" } else { indent };
        out.extend_from_slice(format!("{before}{:>width$}) ", index + 1).as_bytes());
        typed(item, &inner, out);
    }
}

fn map(pairs: &[(Value, Value)], indent: &str, out: &mut Vec<u8>) {
    if pairs.is_empty() {
        return line(out, b"(empty hash)");
    }
    let width = pairs.len().to_string().len();
    for (index, (name, value)) in pairs.iter().enumerate() {
        let before = if index == 0 { "" } else { indent };
        let name = name.as_bytes().map_or_else(|| "?".to_owned(), quoted);
        let start = format!("{:>width$}# {name} => ", index + 1);
        out.extend_from_slice(format!("{before}{start}").as_bytes());
        typed(value, &format!("{indent}{}", " ".repeat(start.chars().count())), out);
    }
}

fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x07 => out.push_str("\\a"),
            0x08 => out.push_str("\\b"),
            b' '..=b'~' => out.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(out, "\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

/// Bare, for pipes: the bytes of each value on a line of its own, without a line end after the last.
pub(super) fn bare(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Simple(bytes) | Value::Error(bytes) | Value::Bulk(bytes) | Value::BigNumber(bytes) => {
            out.extend_from_slice(bytes);
        }
        Value::Verbatim { text, .. } => out.extend_from_slice(text),
        Value::Null => {}
        Value::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Double(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Array(items) | Value::Set(items) | Value::Push(items) => joined(items.iter(), out),
        Value::Map(pairs) => joined(pairs.iter().flat_map(|(name, value)| [name, value]), out),
    }
}

fn joined<'v>(items: impl Iterator<Item = &'v Value>, out: &mut Vec<u8>) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b'\n');
        }
        bare(item, out);
    }
}

/// As JSON. Bytes that are no UTF-8 are replaced; an error is an object with one member `error`.
pub(super) fn json(value: &Value) -> Json {
    let text = |bytes: &[u8]| Json::from(String::from_utf8_lossy(bytes).into_owned());
    match value {
        Value::Simple(bytes) | Value::Bulk(bytes) | Value::BigNumber(bytes) => text(bytes),
        Value::Verbatim { text: bytes, .. } => text(bytes),
        Value::Error(bytes) => serde_json::json!({ "error": text(bytes) }),
        Value::Integer(number) => Json::from(*number),
        Value::Double(number) => Json::from(*number),
        Value::Bool(value) => Json::from(*value),
        Value::Null => Json::Null,
        Value::Array(items) | Value::Set(items) | Value::Push(items) => items.iter().map(json).collect(),
        Value::Map(pairs) => {
            let name =
                |name: &Value| String::from_utf8_lossy(name.as_bytes().unwrap_or_default()).into_owned();
            Json::Object(pairs.iter().map(|(key, value)| (name(key), json(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(value: &Value) -> (String, String) {
        let (mut typed, mut plain) = (Vec::new(), Vec::new());
        with_types(value, &mut typed);
        bare(value, &mut plain);
        (String::from_utf8(typed).unwrap(), String::from_utf8(plain).unwrap())
    }

    #[test]
    fn replies_look_as_in_redis_cli() {
        let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
        for (value, typed, plain) in [
            (Value::Simple(b"OK".to_vec()), "OK\n", "OK"),
            (Value::Integer(-1), "(integer) -1\n", "-1"),
            (Value::Null, "(nil)\n", ""),
            (bulk("a \"b\"\n"), "\"a \\\"b\\\"\\n\"\n", "a \"b\"\n"),
            (Value::Error(b"ERR no".to_vec()), "(error) ERR no\n", "ERR no"),
            (Value::Array(vec![]), "(empty array)\n", ""),
            (Value::Array(vec![bulk("a"), Value::Null]), "1) \"a\"\n2) (nil)\n", "a\n"),
            (
                Value::Array(vec![Value::Array(vec![bulk("a"), bulk("b")]), Value::Integer(1)]),
                "1) 1) \"a\"\n   2) \"b\"\n2) (integer) 1\n",
                "a\nb\n1",
            ),
            (Value::Map(vec![(bulk("k"), Value::Integer(1))]), "1# \"k\" => (integer) 1\n", "k\n1"),
        ] {
            assert_eq!(both(&value), (typed.to_owned(), plain.to_owned()));
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_escaped_for_people_only() {
        let value = Value::Bulk(vec![0, 0xff]);
        let mut plain = Vec::new();
        bare(&value, &mut plain);
        assert_eq!(plain, [0, 0xff]);
        assert_eq!(quoted(&[0, 0xff]), "\"\\x00\\xff\"");
    }
}
