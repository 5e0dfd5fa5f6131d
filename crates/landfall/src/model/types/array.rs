//! Lists of values of one simple type: as PostgreSQL writes them, `{1,2}`, or as JSON, `[1, 2]`.
//! Each element is checked and spelled like a value of its own; lists of lists are refused.

use serde_json::Value as Json;

use super::{of_kind, render};
use crate::model::ColumnType;

const FORM: &str = "write a list like {1,2} or [1, 2]";
const NESTED: &str = "a list of lists is not taken";

/// The canonical text of a list.
pub(super) fn canonical(text: &str, of: &ColumnType) -> Result<String, String> {
    if text.contains('\0') {
        return Err("text cannot hold a NUL byte".into());
    }
    let elements = match text.starts_with('[') {
        true => of_json(text)?,
        false => of_braces(text)?,
    };
    let mut out = Vec::with_capacity(text.len());
    out.push(b'{');
    for (at, element) in elements.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let Some(element) = element else {
            out.extend_from_slice(b"NULL");
            continue;
        };
        let value = of_kind(of, element.as_bytes()).map_err(|hint| format!("element {}: {hint}", at + 1))?;
        let mut written = Vec::new();
        render(&value, &mut written);
        push(&mut out, &written);
    }
    out.push(b'}');
    String::from_utf8(out).map_err(|_| FORM.into())
}

/// An element, quoted where it would be taken for something else.
fn push(out: &mut Vec<u8>, element: &[u8]) {
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | b'{' | b'}' | b',' | b' ' | b'\t'..=b'\r');
    if !element.is_empty() && !element.eq_ignore_ascii_case(b"null") && !element.iter().any(is_special) {
        out.extend_from_slice(element);
        return;
    }
    out.push(b'"');
    for &byte in element {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn of_json(text: &str) -> Result<Vec<Option<String>>, String> {
    let items: Vec<Json> = serde_json::from_str(text).map_err(|_| FORM)?;
    let element = |item: Json| match item {
        Json::Null => Ok(None),
        Json::String(text) => Ok(Some(text)),
        Json::Array(_) | Json::Object(_) => Err(NESTED.into()),
        other => Ok(Some(other.to_string())),
    };
    items.into_iter().map(element).collect()
}

fn of_braces(text: &str) -> Result<Vec<Option<String>>, String> {
    let inside = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or(FORM)?;
    let mut elements = Vec::new();
    if inside.bytes().all(is_space) {
        return Ok(elements);
    }
    let mut rest = inside;
    loop {
        let (element, behind) = element(rest)?;
        elements.push(element);
        match behind.strip_prefix(',') {
            Some(behind) => rest = behind,
            None if behind.is_empty() => return Ok(elements),
            None => return Err(FORM.into()),
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The first element, and what is behind it.
fn element(text: &str) -> Result<(Option<String>, &str), String> {
    let text = text.trim_start_matches(|letter: char| letter.is_ascii() && is_space(letter as u8));
    let (quoted, body) = text.strip_prefix('"').map_or((false, text), |body| (true, body));
    let mut out = String::new();
    let mut escaped = false;
    // Spaces behind the last other letter of a bare element do not count, escaped ones do.
    let mut kept = 0;
    for (at, letter) in body.char_indices() {
        match letter {
            _ if escaped => {
                escaped = false;
                out.push(letter);
                kept = out.len();
            }
            '\\' => escaped = true,
            '"' if quoted => {
                let behind = body[at + 1..]
                    .trim_start_matches(|letter: char| letter.is_ascii() && is_space(letter as u8));
                return Ok((Some(out), behind));
            }
            ',' if !quoted => return bare(out, kept, text, &body[at..]),
            '{' | '}' if !quoted => return Err(NESTED.into()),
            '"' => return Err(FORM.into()),
            letter => {
                out.push(letter);
                if !(letter.is_ascii() && is_space(letter as u8)) {
                    kept = out.len();
                }
            }
        }
    }
    if quoted || escaped { Err(FORM.into()) } else { bare(out, kept, text, "") }
}

fn bare<'t>(
    mut out: String,
    kept: usize,
    written: &str,
    behind: &'t str,
) -> Result<(Option<String>, &'t str), String> {
    out.truncate(kept);
    match out.is_empty() {
        true => Err(FORM.into()),
        // `\null` is a text.
        false if out.eq_ignore_ascii_case("null") && !written.starts_with('\\') => Ok((None, behind)),
        false => Ok((Some(out), behind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_one_spelling() {
        let text = ColumnType::Text { chars_max: None };
        for (written, expected) in [
            ("{}", "{}"),
            ("[]", "{}"),
            ("{ a , b }", "{a,b}"),
            (r#"["a b", null, "NULL", "", "x\"y\\z"]"#, r#"{"a b",NULL,"NULL","","x\"y\\z"}"#),
            (r#"{"a,b",nUll,c\,d}"#, r#"{"a,b",NULL,"c,d"}"#),
            ("[1, 2.50, true]", "{1,2.50,true}"),
        ] {
            assert_eq!(canonical(written, &text).as_deref(), Ok(expected), "{written}");
            assert_eq!(canonical(expected, &text).as_deref(), Ok(expected), "{written}");
        }
        for wrong in [
            "",
            "{",
            "a",
            "{a,}",
            "{,}",
            "{{a}}",
            "[[1]]",
            "{a\"b}",
            "{\"a\"b}",
            "{\"a}",
            "{a}x",
            "[0:1]={a,b}",
        ] {
            assert!(canonical(wrong, &text).is_err(), "{wrong}");
        }
        let numbers = ColumnType::Int { min: 0, max: 9 };
        assert_eq!(canonical("[1, null]", &numbers).as_deref(), Ok("{1,NULL}"));
        assert!(canonical("{1,10}", &numbers).unwrap_err().starts_with("element 2: "));
    }
}
