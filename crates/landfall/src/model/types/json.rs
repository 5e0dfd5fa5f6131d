//! JSON documents: checked, and in the one spelling that PostgreSQL's `jsonb` gives them.
//! Numbers keep every digit; none passes through a float.

use bigdecimal::BigDecimal;
use serde_json::Value as Json;

use super::characters;
use crate::model::Value;

/// The digits that the exponent of a number in a `jsonb` may add: PostgreSQL writes them all out.
const EXPONENT_MAX: i64 = 1000;

/// A document that is kept as written.
pub(super) fn document(text: &[u8], bare_numbers: bool) -> Result<Value, String> {
    let text = characters(text, None)?;
    match parsed(text)? {
        Json::Number(_) if !bare_numbers => Err(
            "the database would not keep a number alone as it is written; put it into an object or an array"
                .into(),
        ),
        _ => Ok(Value::from(text)),
    }
}

/// A document as `jsonb` shows it: names sorted by length and bytes, the last of two equal ones, one space behind
/// commas and colons, numbers in plain digits.
pub(super) fn canonical(text: &[u8]) -> Result<Value, String> {
    let document = parsed(characters(text, None)?)?;
    let mut out = String::with_capacity(text.len());
    write(&document, &mut out)?;
    Ok(Value::from(&*out))
}

fn parsed(text: &str) -> Result<Json, String> {
    // The parser's words name a line and a column, and no content.
    serde_json::from_str(text).map_err(|error| format!("not valid JSON: {error}"))
}

fn write(json: &Json, out: &mut String) -> Result<(), String> {
    match json {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Number(number) => out.push_str(&plain(number.as_str())?),
        Json::String(text) => string(text, out)?,
        Json::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Json::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
            out.push('{');
            for (at, (name, member)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                string(name, out)?;
                out.push_str(": ");
                write(member, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn string(text: &str, out: &mut String) -> Result<(), String> {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '\0' => return Err("a text inside the document holds a NUL character (\\u0000)".into()),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            plain => out.push(plain),
        }
    }
    out.push('"');
    Ok(())
}

/// A number without exponent, with the digits behind the point that it was written with.
fn plain(number: &str) -> Result<String, String> {
    let long = || format!("a number inside the document has more than {EXPONENT_MAX} digits");
    let (digits, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent: i64 = exponent.parse().map_err(|_| long())?;
    if exponent.abs() > EXPONENT_MAX || digits.len() as u64 > EXPONENT_MAX.unsigned_abs() {
        return Err(long());
    }
    let parsed: BigDecimal = number.parse().map_err(|_| "a number inside the document cannot be read")?;
    let scale = parsed.fractional_digit_count().max(0);
    Ok(parsed.with_scale(scale).to_plain_string())
}
