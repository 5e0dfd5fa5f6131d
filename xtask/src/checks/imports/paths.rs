//! The paths that a file uses inside its own crate, in whatever form: `use` trees, inline paths, `super` chains.
//! It resolves names as text and knows nothing of macros, which no room may use to hide an import.

use crate::source::{Source, block_end, is_word, words};

/// Every path of non-test code that begins with `crate` or `super`, resolved to its segments below `crate`,
/// with the offset at which it begins.
pub(super) fn in_source(source: &Source, source_folder: &str) -> Vec<(usize, Vec<String>)> {
    let code = &source.code;
    let own = module_of(source.path.strip_prefix(source_folder).unwrap_or(&source.path));
    let inline = inline_modules(code);
    let mut found = Vec::new();
    for root in ["crate", "super"] {
        for offset in words(code, root) {
            let continues = code[..offset].trim_end().ends_with("::");
            let is_path = code[offset + root.len()..].trim_start().starts_with("::");
            if continues || !is_path || source.in_test(offset) {
                continue;
            }
            let enclosing = inline.iter().filter(|module| (module.start..module.end).contains(&offset));
            let mut base: Vec<String> = Vec::new();
            if root == "super" {
                base = own.iter().cloned().chain(enclosing.map(|module| module.name.clone())).collect();
                base.pop();
            }
            let mut targets = Vec::new();
            read_tree(code, offset + root.len(), base, &mut targets);
            found.extend(targets.into_iter().map(|target| (offset, target)));
        }
    }
    found
}

/// The module path of a file, from its path below the source folder.
fn module_of(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    parts.pop_if(|last| last == "mod" || last == "lib");
    parts
}

struct InlineModule {
    name: String,
    start: usize,
    end: usize,
}

fn inline_modules(code: &str) -> Vec<InlineModule> {
    let mut modules = Vec::new();
    for offset in words(code, "mod") {
        let rest = code[offset + 3..].trim_start();
        let start = code.len() - rest.len();
        let (name, after) = split_word(rest);
        let open = start + name.len() + (after.len() - after.trim_start().len());
        if let Some(end) = code[open..].starts_with('{').then(|| block_end(code, open)).flatten() {
            modules.push(InlineModule { name: name.to_owned(), start: open, end });
        }
    }
    modules
}

/// Reads on from `at`, behind a segment, and adds every path of the tree. Returns where the tree ends.
fn read_tree(code: &str, at: usize, mut path: Vec<String>, targets: &mut Vec<Vec<String>>) -> usize {
    let mut at = at;
    loop {
        let after = skip_space(code, at);
        if !code[after..].starts_with("::") {
            targets.push(path);
            return at;
        }
        let next = skip_space(code, after + 2);
        let (word, _) = split_word(&code[next..]);
        at = next + word.len();
        match word {
            "super" => drop(path.pop()),
            "" if code[next..].starts_with('{') => return read_list(code, next + 1, &path, targets),
            "" if code[next..].starts_with('*') => {
                path.push("*".to_owned());
                at = next + 1;
            }
            "" => {
                targets.push(path); // generic arguments: the path itself is complete
                return next;
            }
            word => path.push(word.to_owned()),
        }
    }
}

/// Reads the elements of `{a, b::{c, d}}` from behind the opening brace. Returns where the list ends.
fn read_list(code: &str, at: usize, path: &[String], targets: &mut Vec<Vec<String>>) -> usize {
    let mut at = at;
    loop {
        at = skip_space(code, at);
        let (word, _) = split_word(&code[at..]);
        match (word, code[at..].chars().next()) {
            ("", None | Some('}')) => return (at + 1).min(code.len()),
            ("", Some('*')) => {
                targets.push([path, &["*".to_owned()]].concat());
                at += 1;
            }
            ("", Some(other)) => at += other.len_utf8(),
            ("as", _) => {
                let name = skip_space(code, at + 2);
                at = name + split_word(&code[name..]).0.len();
            }
            ("self", _) => {
                targets.push(path.to_vec());
                at += word.len();
            }
            (word, _) => at = read_tree(code, at + word.len(), [path, &[word.to_owned()]].concat(), targets),
        }
    }
}

fn skip_space(code: &str, at: usize) -> usize {
    code.len() - code[at..].trim_start().len()
}

fn split_word(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !is_word(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let source = Source::new(path.to_owned(), text.to_owned());
        in_source(&source, "src/").into_iter().map(|(_, target)| target.join("::")).collect()
    }

    #[test]
    fn a_use_tree_is_spread_out() {
        let text = "use crate::{a::{self, b::C as D, *}, e};\nfn f() -> crate::g::H<u8> {}";
        assert_eq!(found("src/x.rs", text), ["a", "a::b::C", "a::*", "e", "g::H"]);
    }

    #[test]
    fn super_is_resolved_from_the_place_where_it_stands() {
        assert_eq!(found("src/x/y.rs", "use super::z;"), ["x::z"]);
        assert_eq!(found("src/x/mod.rs", "use super::z;"), ["z"]);
        assert_eq!(found("src/x/y.rs", "use super::super::z;"), ["z"]);
        assert_eq!(found("src/x/y.rs", "mod i { use super::super::z; }"), ["x::z"]);
    }

    #[test]
    fn visibility_and_self_are_no_paths() {
        assert_eq!(found("src/x.rs", "pub(crate) fn a() { self::b() }\npub(super) struct C;").len(), 0);
    }
}
