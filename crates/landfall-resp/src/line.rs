//! The one line both decoders share: an integer that is a length, ended by CR LF.
//! It must never look at more than a few bytes, so that an endless line costs nothing.

/// A signed 64-bit number has 19 digits; anything much longer is an attack or a bug, not a length.
const DIGITS_MAX: usize = 31;

/// What stands at the front of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LengthLine {
    /// A whole line of `end` bytes.
    Complete {
        /// The number on the line.
        value: i64,
        /// Bytes of the line, CR LF included.
        end: usize,
    },
    /// The beginning of a line.
    Incomplete,
    /// Not a number as Redis writes numbers: no sign but `-`, no leading zero, 64 bits.
    Invalid,
    /// More digits than any length has.
    TooLong,
}

/// Reads `<integer>\r\n` at the front of `input`.
#[inline]
pub(crate) fn length_line(input: &[u8]) -> LengthLine {
    // Most lengths have one or two digits: no loop for these.
    match input {
        [ones @ b'0'..=b'9', b'\r', b'\n', ..] => {
            LengthLine::Complete { value: i64::from(ones - b'0'), end: 3 }
        }
        [tens @ b'1'..=b'9', ones @ b'0'..=b'9', b'\r', b'\n', ..] => {
            LengthLine::Complete { value: i64::from((tens - b'0') * 10 + (ones - b'0')), end: 4 }
        }
        _ => any_length_line(input),
    }
}

fn any_length_line(input: &[u8]) -> LengthLine {
    let (negative, digits) = match input {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let mut magnitude: u64 = 0;
    for (index, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' if index == DIGITS_MAX => return LengthLine::TooLong,
            b'0'..=b'9' => magnitude = magnitude.saturating_mul(10).saturating_add(u64::from(byte - b'0')),
            b'\r' => return ended(negative, magnitude, &digits[..index], digits.get(index + 1)),
            _ => return LengthLine::Invalid,
        }
    }
    LengthLine::Incomplete
}

/// The verdict on a line whose CR was found.
fn ended(negative: bool, magnitude: u64, digits: &[u8], after_cr: Option<&u8>) -> LengthLine {
    let canonical = match digits {
        [] => false,
        [b'0'] => !negative,
        [first, ..] => *first != b'0',
    };
    match (after_cr, i64::try_from(magnitude)) {
        (None, _) => LengthLine::Incomplete,
        (Some(b'\n'), Ok(value)) if canonical => LengthLine::Complete {
            value: if negative { -value } else { value },
            end: usize::from(negative) + digits.len() + 2,
        },
        _ => LengthLine::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::{LengthLine, length_line};

    #[test]
    fn numbers_are_read_as_redis_writes_them() {
        for (line, value) in [
            ("0", 0),
            ("7", 7),
            ("10", 10),
            ("99", 99),
            ("100", 100),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
        ] {
            let whole = format!("{line}\r\n$");
            assert_eq!(
                length_line(whole.as_bytes()),
                LengthLine::Complete { value, end: line.len() + 2 },
                "{line}"
            );
            for cut in 0..line.len() + 2 {
                assert_eq!(
                    length_line(&whole.as_bytes()[..cut]),
                    LengthLine::Incomplete,
                    "{line} cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn anything_else_is_invalid() {
        for line in [
            "\r\n",
            "-\r\n",
            "+1\r\n",
            "01\r\n",
            "00\r\n",
            "-0\r\n",
            " 1\r\n",
            "1 \r\n",
            "1\n",
            "1\rx",
            "9223372036854775808\r\n",
            "?\r\n",
            "--1\r\n",
            "1-\r\n",
        ] {
            assert_eq!(length_line(line.as_bytes()), LengthLine::Invalid, "{line:?}");
        }
    }

    #[test]
    fn an_endless_number_is_refused_early() {
        assert_eq!(length_line(&[b'1'; 31]), LengthLine::Incomplete);
        assert_eq!(length_line(&[b'1'; 32]), LengthLine::TooLong);
    }
}
