//! A Rust file with its comments and literals told apart from its code, so that a check can search plain text.
//! It never parses: a check that needs a syntax tree does not belong in this house.

use std::ops::Range;

/// What a byte of a file belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// One Rust file.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with every byte of a comment or literal replaced by a space: same length, same lines.
    pub(crate) code: String,
    kinds: Vec<Kind>,
    line_starts: Vec<usize>,
    tests: Vec<Range<usize>>,
}

/// A function: where it is, and the lines from `fn` to its closing brace.
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    pub(crate) offset: usize,
    pub(crate) lines: usize,
}

impl Source {
    pub(crate) fn new(path: String, text: String) -> Source {
        let kinds = classify(text.as_bytes());
        let code = text.bytes().zip(&kinds).map(|(byte, kind)| match kind {
            Kind::Code => byte,
            _ if byte == b'\n' => b'\n',
            _ => b' ',
        });
        let code = String::from_utf8_lossy(&code.collect::<Vec<_>>()).into_owned();
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let tests = test_items(&code);
        Source { path, text, code, kinds, line_starts, tests }
    }

    /// The line of a byte offset, counted from 1.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// Whether a line (counted from 1) holds a comment, or a part of one.
    pub(crate) fn has_comment(&self, line: usize) -> bool {
        let Some(start) = line.checked_sub(1).and_then(|index| self.line_starts.get(index)) else {
            return false;
        };
        let end = self.line_starts.get(line).copied().unwrap_or(self.text.len());
        self.kinds[*start..end].contains(&Kind::Comment)
    }

    /// Files that hold nothing but tests.
    pub(crate) fn is_test_file(&self) -> bool {
        let stem = self.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        self.path.contains("/tests/") || stem == "tests" || stem.ends_with("_tests")
    }

    /// Whether an offset lies in a test file or in an item under `#[cfg(test)]`.
    pub(crate) fn in_test(&self, offset: usize) -> bool {
        self.is_test_file() || self.tests.iter().any(|range| range.contains(&offset))
    }

    /// The number of lines, without the items under `#[cfg(test)]`.
    pub(crate) fn lines_without_tests(&self) -> usize {
        let tested = |range: &Range<usize>| self.line_of(range.end - 1) - self.line_of(range.start) + 1;
        self.text.lines().count() - self.tests.iter().map(tested).sum::<usize>()
    }

    /// Every function with a body.
    pub(crate) fn functions(&self) -> Vec<Function<'_>> {
        let mut functions = Vec::new();
        for offset in words(&self.code, "fn") {
            let rest = &self.code[offset + 2..];
            let name = rest.trim_start();
            let name = &name[..name.find(|c: char| !is_word(c)).unwrap_or(name.len())];
            if name.is_empty() {
                continue; // a function pointer type
            }
            if let Some(body) = item_end(&self.code, offset).filter(|end| self.code[..*end].ends_with('}')) {
                let lines = self.line_of(body - 1) - self.line_of(offset) + 1;
                functions.push(Function { name, offset, lines });
            }
        }
        functions
    }
}

/// The offsets at which `word` stands alone in `code`.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = code[..*at].chars().next_back().is_some_and(is_word);
        let after = code[at + word.len()..].chars().next().is_some_and(is_word);
        !before && !after
    })
}

/// Whether a character may be part of an identifier.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The end of the block that opens at `open`, which must be an opening brace; past its closing brace.
pub(crate) fn block_end(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at + 1),
            b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

/// The end of the item that begins at `start`: past its block, or past its semicolon.
fn item_end(code: &str, start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.checked_sub(1)?,
            b'{' if depth == 0 => return block_end(code, at),
            b';' if depth == 0 => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The items under `#[cfg(test)]`, from the attribute to their end.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items: Vec<Range<usize>> = Vec::new();
    for (start, attribute) in code.match_indices("#[cfg(test)]") {
        let nested = items.last().is_some_and(|last| last.contains(&start));
        if let (false, Some(end)) = (nested, item_end(code, start + attribute.len())) {
            items.push(start..end);
        }
    }
    items
}

/// Tells for every byte whether it is code, comment or literal.
fn classify(text: &[u8]) -> Vec<Kind> {
    let mut kinds = vec![Kind::Code; text.len()];
    let mut at = 0;
    while at < text.len() {
        let (end, kind) = match text[at] {
            b'/' if text[at..].starts_with(b"//") => (line_end(text, at), Kind::Comment),
            b'/' if text[at..].starts_with(b"/*") => (block_comment_end(text, at), Kind::Comment),
            b'"' => (string_end(text, at), Kind::Literal),
            b'\'' => match char_end(text, at) {
                Some(end) => (end, Kind::Literal),
                None => (at + 1, Kind::Code),
            },
            byte if is_word(byte as char) => {
                let end = word_end(text, at);
                let raw = matches!(&text[at..end], b"r" | b"br" | b"cr")
                    .then(|| raw_string_end(text, end))
                    .flatten();
                raw.map_or((end, Kind::Code), |end| (end, Kind::Literal))
            }
            _ => (at + 1, Kind::Code),
        };
        kinds[at..end].fill(kind);
        at = end;
    }
    kinds
}

fn line_end(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| at + length)
}

fn word_end(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|byte| !is_word(*byte as char)).map_or(text.len(), |length| at + length)
}

/// Block comments nest.
fn block_comment_end(text: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < text.len() {
        if text[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

fn string_end(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The end of a raw string whose hashes begin at `at`; `None` for a raw identifier.
fn raw_string_end(text: &[u8], at: usize) -> Option<usize> {
    let hashes = text[at..].iter().take_while(|byte| **byte == b'#').count();
    let body = at + hashes + 1;
    if text.get(body - 1) != Some(&b'"') {
        return None;
    }
    let closing = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let length = text[body..].windows(closing.len()).position(|window| window == closing);
    Some(length.map_or(text.len(), |length| body + length + closing.len()))
}

/// The end of a character literal; `None` for a lifetime.
fn char_end(text: &[u8], start: usize) -> Option<usize> {
    let first = *text.get(start + 1)?;
    if first == b'\\' {
        let after = start + 3;
        return text.get(after..)?.iter().position(|byte| *byte == b'\'').map(|length| after + length + 1);
    }
    let width = match first {
        0x00..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    let closing = start + 1 + width;
    (text.get(closing) == Some(&b'\'')).then_some(closing + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("crates/a/src/b.rs".to_owned(), text.to_owned())
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        let text = "let a = \"x // {\"; // }\nlet b = r#\"\"{\"#; /* a /* { */ } */ let c = '{'; let d: &'a u8 = b'\\'';";
        let source = source(text);
        assert_eq!(source.code.len(), text.len());
        assert!(!source.code.contains(['{', '}', 'x', '"']), "{}", source.code);
        assert!(source.code.contains("&'a u8"));
        assert!(source.has_comment(1) && source.has_comment(2));
    }

    #[test]
    fn an_address_in_a_string_is_no_comment() {
        assert!(!source("let a = \"https://example.org\";").has_comment(1));
    }

    #[test]
    fn a_function_is_measured_to_its_closing_brace() {
        let source = source(
            "fn a(x: [u8; 2]) -> u8 {\n  if x { \"}\" }\n}\ntrait T {\n  fn b();\n}\ntype F = fn(u8);\n",
        );
        let functions = source.functions();
        assert_eq!(functions.len(), 1);
        assert_eq!((functions[0].name, functions[0].lines), ("a", 3));
    }

    #[test]
    fn test_items_are_not_counted() {
        let source = source("fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n");
        assert_eq!(source.lines_without_tests(), 2);
        assert!(source.in_test(source.text.find("fn b").unwrap()));
        assert!(!source.in_test(source.text.find("fn c").unwrap()));
    }
}
