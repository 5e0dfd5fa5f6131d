//! Lines that fit a terminal of 80 columns, wherever a list or a reason may be long, and sentences with a number in them.
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

/// A number and what is counted: `1 row`, `2 rows`.
pub fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// What is said when the log owes nothing: a row that the database refused has left the log, and has not landed.
pub fn all_landed(dead_letters: u64) -> String {
    match dead_letters {
        0 => "everything has landed".to_owned(),
        count => {
            let (letters, is, it) = match count {
                1 => ("1 dead letter".to_owned(), "is", "it"),
                _ => (format!("{count} dead letters"), "are", "them"),
            };
            format!(
                "everything has landed but what the database refused: {letters} {is} kept in it; see {it} with: landfall dead-letters list"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_row_is_not_told_as_landed() {
        assert_eq!(all_landed(0), "everything has landed");
        assert!(all_landed(1).contains("1 dead letter is kept"), "{}", all_landed(1));
        assert!(all_landed(2).contains("2 dead letters are kept"), "{}", all_landed(2));
    }

    #[test]
    fn a_line_is_broken_between_words_and_a_long_word_stays_whole() {
        let long = "x".repeat(100);
        assert_eq!(wrapped(&format!("a {long} b"), 2), format!("a\n  {long}\n  b"));
        assert_eq!(wrapped("short", 70), "short");
        let shown = wrapped(&"word ".repeat(60), 14);
        assert!(shown.lines().all(|line| line.chars().count() <= COLUMNS), "{shown}");
    }
}
