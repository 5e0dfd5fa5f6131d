//! The project's committed lists: lines of `a | b | c`, with comments after `#` at the start of a line.
//! A list never gives a default: a line with another number of fields, or an empty one, is a mistake.

/// One line of a list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a, const FIELDS: usize> {
    pub(crate) line: usize,
    pub(crate) fields: [&'a str; FIELDS],
}

/// Splits a list into its entries; the second part is the lines that are malformed.
pub(crate) fn entries<const FIELDS: usize>(text: &str) -> (Vec<Entry<'_, FIELDS>>, Vec<usize>) {
    let mut entries = Vec::new();
    let mut malformed = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.splitn(FIELDS, '|').map(str::trim).collect();
        match <[&str; FIELDS]>::try_from(fields) {
            Ok(fields) if fields.iter().all(|field| !field.is_empty()) => {
                entries.push(Entry { line: index + 1, fields });
            }
            _ => malformed.push(index + 1),
        }
    }
    (entries, malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_split_into_fields_and_its_bad_lines_are_named() {
        let (found, malformed) = entries::<2>("# a comment\n\na | b c\nonly one\n| no name\n");
        assert_eq!(found, [Entry { line: 3, fields: ["a", "b c"] }]);
        assert_eq!(malformed, [4, 5]);
    }
}
