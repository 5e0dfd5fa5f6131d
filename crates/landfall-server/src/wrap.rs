//! Lines that fit a terminal of 80 columns, wherever a list or a reason may be long.
//! It breaks between words only: a name is never torn.

/// The columns of a terminal that nobody has made wider.
pub const COLUMNS: usize = 80;

/// `text` with line breaks between words, for a place that is `indent` columns from the left; so are its other lines.
///
/// ```
/// let tables = "4: airline, airplane, airport, booking, employee, flight, flight_log, passenger";
/// let shown = landfall_server::wrap::wrapped(tables, 16);
/// assert_eq!(shown, "4: airline, airplane, airport, booking, employee, flight,\n                flight_log, passenger");
/// ```
pub fn wrapped(text: &str, indent: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut column = indent;
    for word in text.split(' ') {
        let width = word.chars().count();
        if column > indent && column + 1 + width > COLUMNS {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if !out.is_empty() {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_between_words_and_a_long_word_stays_whole() {
        let long = "x".repeat(100);
        assert_eq!(wrapped(&format!("a {long} b"), 2), format!("a\n  {long}\n  b"));
        assert_eq!(wrapped("short", 70), "short");
        let shown = wrapped(&"word ".repeat(60), 14);
        assert!(shown.lines().all(|line| line.chars().count() <= COLUMNS), "{shown}");
    }
}
