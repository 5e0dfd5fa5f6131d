//! The two parts of an error's line: the prefix that programs look at, and the message that people read.
//! It must never guess a prefix that is not there.

use std::fmt;

/// An error split into its prefix (`ERR`, `WRONGTYPE`, `MOVED`) and its message.
///
/// A prefix is a first word in capital letters, digits and underscores; an error without one is all message.
///
/// ```
/// use landfall_resp::ErrorText;
///
/// let error = ErrorText::split(b"WRONGTYPE Operation against a key holding the wrong kind of value");
/// assert_eq!(error.prefix, b"WRONGTYPE");
/// assert!(error.message.starts_with(b"Operation against"));
///
/// let error = ErrorText::split(b"something went wrong");
/// assert_eq!((error.prefix, error.message), (b"".as_slice(), b"something went wrong".as_slice()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorText<'a> {
    /// The first word if it is one that programs look at, else empty.
    pub prefix: &'a [u8],
    /// The rest.
    pub message: &'a [u8],
}

impl<'a> ErrorText<'a> {
    /// Splits an error's line, given without its `-` and its CR LF.
    pub fn split(line: &'a [u8]) -> Self {
        let word_end = memchr::memchr(b' ', line).unwrap_or(line.len());
        let (word, rest) = line.split_at(word_end);
        if is_prefix(word) {
            Self { prefix: word, message: rest.strip_prefix(b" ").unwrap_or(rest) }
        } else {
            Self { prefix: b"", message: line }
        }
    }
}

/// The error as one line of text; bytes that are no UTF-8 are replaced.
impl fmt::Display for ErrorText<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.prefix.is_empty() || self.message.is_empty() { "" } else { " " };
        write!(
            formatter,
            "{}{separator}{}",
            String::from_utf8_lossy(self.prefix),
            String::from_utf8_lossy(self.message)
        )
    }
}

fn is_prefix(word: &[u8]) -> bool {
    word.first().is_some_and(u8::is_ascii_uppercase)
        && word.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::ErrorText;

    #[test]
    fn an_error_is_split_and_shown_again_unchanged() {
        for (line, prefix) in [
            ("ERR syntax error", "ERR"),
            ("MOVED 3999 127.0.0.1:6381", "MOVED"),
            ("NOAUTH", "NOAUTH"),
            ("", ""),
            ("Err no", ""),
            ("42 no", ""),
            (" ERR", ""),
        ] {
            let error = ErrorText::split(line.as_bytes());
            assert_eq!(error.prefix, prefix.as_bytes(), "{line}");
            assert_eq!(error.to_string(), line);
        }
    }
}
