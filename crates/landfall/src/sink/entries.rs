//! How the fields of a stream's entry stand in a table: as JSON that SQL can take apart.
//! Bytes come back as they went in, in their order, also when they are no UTF-8 and when a name recurs. Pure.

use std::fmt::Write;

use serde_json::{Map, Value as Json};

use crate::model::stream::{encode_fields, fields, is_entry};

/// What bytes that are no UTF-8 stand under.
const HEX: &str = "hex";
/// Names that an object here never has.
const RESERVED: &str = "$serde_json";

/// The JSON of an entry: an object when each name is text and comes once, else a list of names and values. None when the
/// bytes are no entry.
pub(crate) fn to_json(entry: &[u8]) -> Option<String> {
    if !is_entry(entry) {
        return None;
    }
    let mut object = Map::new();
    let mut parts = fields(entry);
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        let known = match std::str::from_utf8(name) {
            // The parser of JSON has a meaning of its own for an object with such a name.
            Ok(name) if name.starts_with(RESERVED) => true,
            Ok(name) => object.insert(name.to_owned(), part(value)).is_some(),
            Err(_) => true,
        };
        if known {
            return Some(Json::Array(fields(entry).map(part).collect()).to_string());
        }
    }
    Some(Json::Object(object).to_string())
}

/// The bytes of an entry from its JSON. What another program has put there in another form is one field, `fields`.
pub(crate) fn from_json(text: &[u8]) -> Vec<u8> {
    let parts = match serde_json::from_slice(text) {
        Ok(Json::Object(object)) => {
            Some(object.into_iter().flat_map(|(name, value)| [name.into_bytes(), bytes(value)]).collect())
        }
        Ok(Json::Array(list)) if list.len().is_multiple_of(2) => Some(list.into_iter().map(bytes).collect()),
        _ => None,
    };
    let parts: Vec<Vec<u8>> = parts.unwrap_or_else(|| vec![b"fields".to_vec(), text.to_vec()]);
    encode_fields(parts.iter().map(Vec::as_slice))
}

fn part(bytes: &[u8]) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(text) => Json::String(text.to_owned()),
        Err(_) => {
            let hex = bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
                // Writing to a string cannot fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            Json::Object([(HEX.to_owned(), Json::String(hex))].into_iter().collect())
        }
    }
}

/// A name or a value; whoever wrote a number or a truth value there meant its text.
fn bytes(part: Json) -> Vec<u8> {
    match part {
        Json::Null => Vec::new(),
        Json::String(text) => text.into_bytes(),
        Json::Object(object) => {
            let hex = match (object.len(), object.get(HEX)) {
                (1, Some(Json::String(hex))) => unhex(hex),
                _ => None,
            };
            hex.unwrap_or_else(|| Json::Object(object).to_string().into_bytes())
        }
        other => other.to_string().into_bytes(),
    }
}

fn unhex(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| (*byte as char).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(parts: &[&[u8]]) -> Vec<u8> {
        encode_fields(parts.iter().copied())
    }

    #[test]
    fn fields_are_an_object_and_what_no_object_can_hold_is_a_list() {
        for (parts, json) in [
            (&[&b"temp"[..], b"20", b"at", b"9 \"h\""][..], r#"{"temp":"20","at":"9 \"h\""}"#),
            (&[b"b", b"1", b"a", b""], r#"{"b":"1","a":""}"#),
            (&[b"a", b"1", b"a", b"2"], r#"["a","1","a","2"]"#),
            (&[b"raw", b"\xff\x00"], r#"{"raw":{"hex":"ff00"}}"#),
            (&[b"\xff", b"1"], r#"[{"hex":"ff"},"1"]"#),
            (&[b"$serde_json::private::Number", b"x"], r#"["$serde_json::private::Number","x"]"#),
            (&[b"", b"\0"], "{\"\":\"\\u0000\"}"),
        ] {
            let entry = entry(parts);
            assert_eq!(to_json(&entry).as_deref(), Some(json));
            assert_eq!(from_json(json.as_bytes()), entry);
        }
        assert_eq!(to_json(b"\x05a"), None);
    }

    #[test]
    fn what_another_program_wrote_is_read_as_it_was_meant() {
        for (json, parts) in [
            (r#"{"n": 1.50, "ok": true, "no": null}"#, &[&b"n"[..], b"1.50", b"ok", b"true", b"no", b""][..]),
            (r#"["a", {"hex": "f"}]"#, &[b"a", br#"{"hex":"f"}"#]),
            (r#"["a"]"#, &[b"fields", br#"["a"]"#]),
            ("no json", &[b"fields", b"no json"]),
        ] {
            assert_eq!(from_json(json.as_bytes()), entry(parts), "{json}");
        }
    }

    proptest! {
        #[test]
        fn every_entry_comes_back_from_its_json(
            parts in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..6),
                    "\\PC{0,5}|a|hex".prop_map(String::into_bytes),
                ],
                0..8,
            )
        ) {
            let parts: Vec<&[u8]> = parts[..parts.len() / 2 * 2].iter().map(Vec::as_slice).collect();
            let entry = entry(&parts);
            let json = to_json(&entry).unwrap();
            prop_assert_eq!(from_json(json.as_bytes()), entry);
        }
    }
}
