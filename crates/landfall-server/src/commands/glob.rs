//! Redis's glob patterns: `*`, `?`, `[a-c]`, `[^a]`, `\x`, matched in linear memory and without recursion.
//! A hostile pattern costs at most its length times the text's.

/// Whether `text` matches `pattern`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last `*` does not match.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        match one(&pattern[p..], text[t]) {
            Some(used) => {
                p += used;
                t += 1;
            }
            None => match &mut star {
                Some((behind, from)) => {
                    *from += 1;
                    (p, t) = (*behind, *from);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// What every text that matches has in front of its first colon, if the pattern alone says so.
pub fn first_segment(pattern: &[u8]) -> Option<Vec<u8>> {
    let mut segment = Vec::new();
    let mut rest = pattern;
    loop {
        (segment, rest) = match rest {
            [b':', ..] | [b'\\', b':', ..] => return Some(segment),
            [] | [b'*' | b'?' | b'[', ..] | [b'\\'] => return None,
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                segment.push(*byte);
                (segment, rest)
            }
        };
    }
}

/// How many bytes of the pattern match this byte, or none when they do not.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (escaped == byte).then_some(2),
        [b'[', ..] => class(pattern, byte),
        [plain, ..] => (plain == byte).then_some(1),
    }
}

fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = pattern.get(1) == Some(&b'^');
    let mut at = 1 + usize::from(negated);
    let mut found = false;
    while let Some(&first) = pattern.get(at) {
        if first == b']' {
            break;
        }
        let (low, next) = match (first, pattern.get(at + 1)) {
            (b'\\', Some(&escaped)) => (escaped, at + 2),
            _ => (first, at + 1),
        };
        match (pattern.get(next), pattern.get(next + 1)) {
            (Some(b'-'), Some(&high)) if high != b']' => {
                found |= (low.min(high)..=low.max(high)).contains(&byte);
                at = next + 2;
            }
            _ => {
                found |= low == byte;
                at = next;
            }
        }
    }
    (found != negated).then_some((at + 1).min(pattern.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_redis_matches_them() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("h?llo", "hello", true),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h\\*llo", "h*llo", true),
            ("h\\*llo", "hello", false),
            ("a*b*c", "axxbxxc", true),
            ("a*b*c", "axxbxx", false),
            ("max*", "maxmemory", true),
            ("[", "[", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn the_first_segment_of_a_pattern_is_known_when_it_is_written_out() {
        for (pattern, expected) in [
            ("page:*", Some("page")),
            ("page\\:1*", Some("page")),
            ("my\\*table:7", Some("my*table")),
            ("main.page:[12]", Some("main.page")),
            (":x", Some("")),
            ("pa?e:*", None),
            ("p*:1", None),
            ("[p]age:1", None),
            ("page", None),
            ("page\\", None),
        ] {
            let found = first_segment(pattern.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{pattern}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(5000).as_bytes()));
    }
}
