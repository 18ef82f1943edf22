//! The modules of a crate, and which names which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The sources, without comments and tests, by their path of modules: `protocol::tenure::refresh`. A
/// folder's `mod.rs` has the folder's path.
pub(crate) struct Modules {
    pub(crate) sources: BTreeMap<String, String>,
}

impl Modules {
    pub(crate) fn read(root: &str) -> Modules {
        let mut modules = Modules { sources: BTreeMap::new() };
        modules.read_dir(&Path::new(env!("CARGO_MANIFEST_DIR")).join(root), "");
        modules
    }

    fn read_dir(&mut self, dir: &Path, parent: &str) {
        for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.file_stem().unwrap().to_str().unwrap();
            let path = match parent {
                "" => name.to_owned(),
                parent => format!("{parent}::{name}"),
            };
            if entry.is_dir() {
                self.read_dir(&entry, &path);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let path = if name == "mod" { parent.to_owned() } else { path };
                self.sources.insert(path, without_tests(&fs::read_to_string(&entry).unwrap()));
            }
        }
    }

    /// The module that a path leads into: the longest of the path's beginnings that is one.
    fn resolve(&self, path: &[&str]) -> Option<String> {
        let beginnings = (1..=path.len()).rev().map(|length| path[..length].join("::"));
        beginnings.into_iter().find(|path| self.sources.contains_key(path))
    }

    /// The modules that a module names, wherever in its code: by `crate::` and `super::`, and as its own
    /// children. A parent that only re-exports what a child has does not name it.
    pub(crate) fn named_by(&self, module: &str) -> BTreeSet<String> {
        let source = &self.sources[module];
        let own: Vec<&str> = module.split("::").collect();
        let mut named = self.led_into(source, "crate", &[]);
        named.extend(self.led_into(source, "super", &own[..own.len() - 1]));
        let source = without_reexports(source);
        named.extend(self.led_into(&source, "self", &own));
        let below = format!("{module}::");
        for child in self.sources.keys().filter_map(|child| child.strip_prefix(&below)) {
            named.extend(self.led_into(&source, child, &[&own[..], &[child]].concat()));
        }
        named.remove(module);
        named
    }

    /// The modules into which the paths lead that begin with this word, which stands for `start`.
    fn led_into(&self, source: &str, word: &str, start: &[&str]) -> BTreeSet<String> {
        let tails = paths(source, word).into_iter().flat_map(tails);
        tails.filter_map(|tail| self.resolve(&join(start, &tail))).collect()
    }
}

/// A source without its comments and its tests.
fn without_tests(source: &str) -> String {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn without_reexports(source: &str) -> String {
    let mut rest = source.to_owned();
    for reexport in ["pub use ", "pub(crate) use ", "pub(super) use "] {
        while let Some(start) = rest.find(reexport) {
            let end = rest[start..].find(';').map_or(rest.len(), |length| start + length);
            rest.replace_range(start..end, "");
        }
    }
    rest
}

/// What follows each path's first word, if that is this one: `::a::b` or `::{a, b}`, and on.
fn paths<'a>(source: &'a str, word: &str) -> Vec<&'a str> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let found = source.match_indices(word).filter(|(at, _)| {
        let before = source[..*at].chars().next_back();
        !before.is_some_and(is_path) && source[at + word.len()..].starts_with("::")
    });
    found.map(|(at, _)| &source[at + word.len()..]).collect()
}

/// The paths that begin here: `a::{b, c::{d, e}}` is three.
fn tails(rest: &str) -> Vec<Vec<&str>> {
    let is_end = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
    let end = rest.find(is_end).unwrap_or(rest.len());
    let begin: Vec<_> = rest[..end].split("::").filter(|part| !part.is_empty()).collect();
    if !rest[..end].ends_with("::") || !rest[end..].starts_with('{') {
        return vec![begin];
    }
    let tails = members(&rest[end + 1..]).into_iter().flat_map(tails);
    tails.map(|tail| [&begin[..], &tail].concat()).collect()
}

/// The members of a group whose bracket has been opened.
fn members(group: &str) -> Vec<&str> {
    let (mut members, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                members.push(group[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        if c == '}' && start == at + 1 {
            break;
        }
    }
    members
}

/// A path from a module, of which each `super` leads one up.
fn join<'a>(start: &[&'a str], tail: &[&'a str]) -> Vec<&'a str> {
    let mut path = start.to_vec();
    for part in tail {
        if *part == "super" {
            path.pop();
        } else {
            path.push(part);
        }
    }
    path
}

#[test]
fn every_way_to_name_a_module_is_found() {
    let sources = [
        ("a", "mod c;\npub use c::Item;\npub(crate) use self::c::{One, Two};"),
        ("a::c", ""),
        ("a::d", ""),
        ("b", ""),
        ("f", "mod g;\nfn f() {\n    g::run();\n}"),
        ("f::g", ""),
        ("f::h", "use super::super::b::Item;"),
    ];
    let sources = sources.map(|(module, source)| (module.to_owned(), source.to_owned())).into();
    let mut modules = Modules { sources };
    let named =
        |modules: &Modules, module| modules.named_by(module).into_iter().collect::<Vec<_>>();
    assert_eq!(named(&modules, "a"), [""; 0]);
    assert_eq!(named(&modules, "f"), ["f::g"]);
    assert_eq!(named(&modules, "f::h"), ["b"]);
    for (source, found) in [
        ("use crate::b::Item;", &["b"][..]),
        ("fn f() -> crate::b::Item {}", &["b"]),
        ("use crate::{a::d, b::{self, Item}};", &["a::d", "b"]),
        ("use super::d::Item;", &["a::d"]),
        ("use super::{Item, d};", &["a", "a::d"]),
        ("use other::crate::b; use supercrate::b;", &[]),
    ] {
        modules.sources.insert("a::c".into(), source.into());
        assert_eq!(named(&modules, "a::c"), found, "{source}");
    }
}
