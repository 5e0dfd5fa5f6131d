//! OBJECT: how a value is kept, in the words that Redis has for it.
//! Landfall keeps values in other forms: the word is the one that Redis would choose for such a value.

use landfall::engine::ops::keys::{Form, form};
use landfall::engine::{Refusal, Stop};

use super::Call;

/// A string of so many bytes Redis keeps in one piece with its header.
const EMBEDDED_BYTES_MAX: usize = 44;
/// A hash of so many fields Redis keeps as a list.
const LISTED_FIELDS_MAX: usize = 128;
/// A hash with a longer field or value Redis keeps as a table.
const LISTED_BYTES_MAX: usize = 64;

/// OBJECT ENCODING key
pub fn encoding(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    let word = form(call.unit, call.base, &call.targets[0], encoding_of)?;
    match word {
        Some(word) => call.reply.bulk(word.as_bytes()),
        None => call.reply.null(),
    }
    Ok(())
}

fn encoding_of(form: Form<'_>) -> Option<&'static str> {
    match form {
        Form::Absent => None,
        Form::String(text) if is_whole_number(text) => Some("int"),
        Form::String(text) if text.len() <= EMBEDDED_BYTES_MAX => Some("embstr"),
        Form::String(_) => Some("raw"),
        Form::Fields { count, longest_bytes }
            if count <= LISTED_FIELDS_MAX && longest_bytes <= LISTED_BYTES_MAX =>
        {
            Some("listpack")
        }
        Form::Fields { .. } => Some("hashtable"),
        Form::Stream => Some("stream"),
    }
}

/// Whether it is a whole number as Redis would print it.
fn is_whole_number(text: &[u8]) -> bool {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<i64>().ok())
        .is_some_and(|number| itoa::Buffer::new().format(number).as_bytes() == text)
}

/// OBJECT REFCOUNT key
pub fn refcount(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    if is_there(call)? {
        call.reply.integer(1);
    }
    Ok(())
}

/// OBJECT FREQ key
pub fn freq(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    refuse_if_there(
        call,
        "An LFU maxmemory policy is not selected, access frequency not tracked. The eviction list keeps one bit a key.",
    )
}

/// OBJECT IDLETIME key
pub fn idletime(call: &mut Call<'_, '_>) -> Result<(), Stop> {
    refuse_if_there(call, "Idle times are not tracked. The eviction list keeps one bit a key.")
}

fn refuse_if_there(call: &mut Call<'_, '_>, why: &str) -> Result<(), Stop> {
    if is_there(call)? { Err(Refusal::invalid(why).into()) } else { Ok(()) }
}

/// Whether the key is there; if not, null is the reply.
fn is_there(call: &mut Call<'_, '_>) -> Result<bool, Stop> {
    let there = form(call.unit, call.base, &call.targets[0], |form| !matches!(form, Form::Absent))?;
    if !there {
        call.reply.null();
    }
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_have_the_words_of_redis() {
        let string = |text: &str| encoding_of(Form::String(text.as_bytes()));
        assert_eq!(string("12"), Some("int"));
        assert_eq!(string("-0"), Some("embstr"));
        assert_eq!(string("+1"), Some("embstr"));
        assert_eq!(string("9223372036854775808"), Some("embstr"));
        assert_eq!(string(&"a".repeat(44)), Some("embstr"));
        assert_eq!(string(&"a".repeat(45)), Some("raw"));
        assert_eq!(encoding_of(Form::Fields { count: 128, longest_bytes: 64 }), Some("listpack"));
        assert_eq!(encoding_of(Form::Fields { count: 129, longest_bytes: 1 }), Some("hashtable"));
        assert_eq!(encoding_of(Form::Fields { count: 1, longest_bytes: 65 }), Some("hashtable"));
    }
}
