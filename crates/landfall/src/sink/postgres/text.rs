//! Values as the texts that PostgreSQL reads, alone and in arrays, and its texts as values.
//! A value never changes on its way: what cannot be said exactly is refused by whoever asks, never rounded here.

use super::wire::Cell;
use crate::model::{Column, ColumnType, Value, types};

/// The text of a value; none for NULL.
pub(super) fn of(value: &Value) -> Cell {
    match value {
        Value::Null => None,
        Value::Bytes(bytes) => Some(hex(bytes)),
        Value::Bool(b) => Some(if *b { b"t".to_vec() } else { b"f".to_vec() }),
        other => {
            let mut text = Vec::new();
            types::render(other, &mut text);
            Some(text)
        }
    }
}

/// Bytes as PostgreSQL reads them.
pub(super) fn hex(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(2 + 2 * bytes.len());
    push_hex(&mut text, bytes);
    text
}

/// Appends bytes as PostgreSQL reads them.
fn push_hex(text: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    text.extend_from_slice(b"\\x");
    for byte in bytes {
        text.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// The bytes of a `bytea` as PostgreSQL writes it; none when it is written in another way.
pub(super) fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_prefix(b"\\x")?;
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    digits.chunks(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// An array of texts. Each is quoted, so that none is taken for NULL or for an array.
pub(super) fn array<'c>(cells: impl IntoIterator<Item = &'c Cell>) -> Cell {
    let mut out = vec![b'{'];
    for cell in cells {
        if out.len() > 1 {
            out.push(b',');
        }
        match cell {
            None => out.extend_from_slice(b"NULL"),
            Some(text) => {
                out.push(b'"');
                for &byte in text {
                    if matches!(byte, b'"' | b'\\') {
                        out.push(b'\\');
                    }
                    out.push(byte);
                }
                out.push(b'"');
            }
        }
    }
    out.push(b'}');
    Some(out)
}

/// Appends a value to an array of texts, behind the brace or the value before it.
pub(super) fn push_element(out: &mut Vec<u8>, value: &Value) {
    if out.len() > 1 {
        out.push(b',');
    }
    match value {
        Value::Null => out.extend_from_slice(b"NULL"),
        Value::Bool(b) => out.push(if *b { b't' } else { b'f' }),
        Value::Bytes(bytes) => {
            out.extend_from_slice(b"\"\\");
            push_hex(out, bytes);
            out.push(b'"');
        }
        Value::Text(text) => {
            out.push(b'"');
            push_escaped(out, text.as_bytes(), |byte| matches!(byte, b'"' | b'\\').then_some(byte));
            out.push(b'"');
        }
        // A number is no NULL, and holds nothing that an array would take for its own.
        Value::Int(_) | Value::Float(_) | Value::Decimal(_) => types::render(value, out),
    }
}

/// Appends a value as COPY reads it in its text format.
pub(super) fn push_copied(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"\\N"),
        Value::Bool(b) => out.push(if *b { b't' } else { b'f' }),
        Value::Bytes(bytes) => {
            out.push(b'\\');
            push_hex(out, bytes);
        }
        Value::Text(text) => push_escaped(out, text.as_bytes(), |byte| match byte {
            b'\\' => Some(b'\\'),
            b'\n' => Some(b'n'),
            b'\r' => Some(b'r'),
            b'\t' => Some(b't'),
            _ => None,
        }),
        Value::Int(_) | Value::Float(_) | Value::Decimal(_) => types::render(value, out),
    }
}

/// Appends bytes; of those that `escaped` has a letter for, a backslash and the letter.
fn push_escaped(out: &mut Vec<u8>, bytes: &[u8], escaped: impl Fn(u8) -> Option<u8>) {
    let mut from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if let Some(letter) = escaped(byte) {
            out.extend_from_slice(&bytes[from..at]);
            out.extend_from_slice(&[b'\\', letter]);
            from = at + 1;
        }
    }
    out.extend_from_slice(&bytes[from..]);
}

/// A number as a cell.
pub(super) fn number(n: i64) -> Cell {
    Some(n.to_string().into_bytes())
}

/// The whole number in a cell.
pub(super) fn whole(cell: Option<&Cell>) -> Option<i64> {
    std::str::from_utf8(cell?.as_ref()?).ok()?.parse().ok()
}

/// The text in a cell.
pub(super) fn string(cell: Option<&Cell>) -> Option<String> {
    String::from_utf8(cell?.clone()?).ok()
}

/// The bytes in a cell of a `bytea`.
pub(super) fn bytes(cell: Option<&Cell>) -> Option<Vec<u8>> {
    unhex(cell?.as_ref()?)
}

/// What a column holds. What is not of its type (infinity, a year of more digits) reads as text.
pub(super) fn value(column: &Column, cell: Cell) -> Value {
    let Some(text) = cell else { return Value::Null };
    let parsed = match &column.kind {
        ColumnType::Bytes => unhex(&text).map(|bytes| Value::bytes(&bytes)),
        ColumnType::Unknown => None,
        // PostgreSQL's shortest text is not always ours; it means the same float.
        ColumnType::SmallFloat => small_float(column, &text),
        _ => types::parse(column, &text).ok(),
    };
    parsed.unwrap_or_else(|| match std::str::from_utf8(&text) {
        Ok(text) => Value::from(text),
        Err(_) => Value::bytes(&text),
    })
}

fn small_float(column: &Column, text: &[u8]) -> Option<Value> {
    let wide: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    types::float_for(column, wide).map(Value::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_breaks_out_of_an_array() {
        let cells = [None, Some(b"NULL".to_vec()), Some(br#"a"b\c,{}"#.to_vec()), Some(Vec::new())];
        assert_eq!(array(&cells).unwrap(), br#"{NULL,"NULL","a\"b\\c,{}",""}"#);
    }

    #[test]
    fn no_value_breaks_out_of_an_array_or_of_a_line_of_copy() {
        let values = [
            Value::Null,
            Value::from("NULL"),
            Value::from("a\"b\\c,{}\n\r\t\\."),
            Value::from(""),
            Value::bytes(b"\x00\xff"),
            Value::Int(-7),
            Value::Bool(true),
        ];
        let mut array = vec![b'{'];
        values.iter().for_each(|value| push_element(&mut array, value));
        let expected = "{NULL,\"NULL\",\"a\\\"b\\\\c,{}\n\r\t\\\\.\",\"\",\"\\\\x00ff\",-7,t";
        assert_eq!(String::from_utf8(array).unwrap(), expected);
        let copied = |value: &Value| {
            let mut out = Vec::new();
            push_copied(&mut out, value);
            String::from_utf8(out).unwrap()
        };
        let expected = ["\\N", "NULL", "a\"b\\\\c,{}\\n\\r\\t\\\\.", "", "\\\\x00ff", "-7", "t"];
        assert_eq!(values.iter().map(copied).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn bytes_come_back_from_their_text() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unhex(&hex(&all)), Some(all));
        for odd in [&b"abc"[..], b"\\x0", b"\\xzz"] {
            assert_eq!(unhex(odd), None);
        }
    }
}
