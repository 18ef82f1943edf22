//! The house: paths lead one way, from the public face down to the system calls. What must never be is
//! written down in CONTRIBUTING.md, "Architecture invariants"; here it is held.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The library from the top down, by folders: a file may name what stands in the same folder or below.
/// Files of the root that stand on one line are one layer.
const LIBRARY: &[&str] = &[
    "lib guide",
    "testing",
    "mailbox",
    "tokio",
    "options admin state",
    "lock",
    "guard",
    "keep_alive",
    "protocol",
    "wait",
    "events",
    "model",
    // The words of the public face that every layer uses.
    "error holder lock_file dotlock clock policy",
    "sys",
];

/// The sources, without comments and tests, by their path of modules: `protocol::tenure::refresh`. A
/// folder's `mod.rs` has the folder's path.
struct House {
    modules: BTreeMap<String, String>,
}

impl House {
    fn read(root: &str) -> House {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
        let mut house = House { modules: BTreeMap::new() };
        house.read_dir(&root, "");
        house
    }

    fn read_dir(&mut self, dir: &Path, parent: &str) {
        for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.file_stem().unwrap().to_str().unwrap();
            let path = |name: &str| match parent {
                "" => name.to_owned(),
                parent => format!("{parent}::{name}"),
            };
            if entry.is_dir() {
                self.read_dir(&entry, &path(name));
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let path = if name == "mod" { parent.to_owned() } else { path(name) };
                self.modules.insert(path, source(&entry));
            }
        }
    }

    /// The module that a path leads into: the longest of the path's beginnings that is one.
    fn resolve(&self, path: &[&str]) -> Option<String> {
        let beginnings = (1..=path.len()).rev().map(|length| path[..length].join("::"));
        beginnings.into_iter().find(|path| self.modules.contains_key(path))
    }

    /// The modules that a module names, by `crate::` and `super::`, wherever in its code.
    fn named_by(&self, module: &str) -> BTreeSet<String> {
        let source = &self.modules[module];
        let (folder, _) = module.rsplit_once("::").unwrap_or(("", module));
        let mut named = BTreeSet::new();
        for (marker, parent) in [("crate::", ""), ("super::", folder)] {
            for (at, _) in source.match_indices(marker) {
                let before = source[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                    continue;
                }
                let rest = &source[at + marker.len()..];
                for tail in tails(rest) {
                    let parent = parent.split("::").filter(|part| !part.is_empty());
                    let path: Vec<_> = parent.chain(tail).collect();
                    named.extend(self.resolve(&path));
                }
            }
        }
        named.remove(module);
        named
    }
}

/// A file without its comments and its tests.
fn source(path: &PathBuf) -> String {
    let source = fs::read_to_string(path).unwrap();
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths that begin here: `a::b::{c, d::e}` is two.
fn tails(rest: &str) -> Vec<Vec<&str>> {
    let is_end = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
    let end = rest.find(is_end).unwrap_or(rest.len());
    let begin: Vec<_> = rest[..end].split("::").filter(|part| !part.is_empty()).collect();
    if !rest[..end].ends_with("::") || !rest[end..].starts_with('{') {
        return vec![begin];
    }
    let group = rest[end + 1..].split('}').next().unwrap_or_default();
    let member = |member| {
        let tail = tails(member).remove(0);
        begin.iter().copied().chain(tail).collect()
    };
    group.split(',').map(|text| member(text.trim())).collect()
}

fn layer(layers: &[&str], module: &str) -> usize {
    let folder = module.split("::").next().unwrap_or_default();
    let layer = layers.iter().position(|layer| layer.split(' ').any(|name| name == folder));
    layer.unwrap_or_else(|| panic!("{module} stands in no layer"))
}

/// A circle of modules, if there is one, each named by the one before.
fn circle(named: &BTreeMap<&str, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    named.keys().find_map(|start| visit(start, named, &mut Vec::new(), &mut done))
}

fn visit<'a>(
    module: &'a str,
    named: &'a BTreeMap<&str, BTreeSet<String>>,
    path: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<String>> {
    if let Some(at) = path.iter().position(|earlier| *earlier == module) {
        return Some(path[at..].iter().map(ToString::to_string).collect());
    }
    if !done.contains(module) {
        path.push(module);
        let found = named[module].iter().find_map(|next| visit(next, named, path, done));
        if found.is_some() {
            return found;
        }
        path.pop();
        done.insert(module);
    }
    None
}

/// No path leads up a layer, and no chain of paths leads back.
fn assert_one_way(root: &str, layers: &[&str]) {
    let house = House::read(root);
    let mut named = BTreeMap::new();
    let mut faults = Vec::new();
    for (module, source) in &house.modules {
        let names = house.named_by(module);
        for other in &names {
            if layer(layers, module) > layer(layers, other) {
                faults.push(format!("{module} names {other}, which stands above it"));
            }
        }
        if source.lines().count() > 400 {
            faults.push(format!("{module} is asking to be two files"));
        }
        named.insert(module.as_str(), names);
    }
    if let Some(circle) = circle(&named) {
        faults.push(format!("a circle: {}", circle.join(" -> ")));
    }
    assert!(faults.is_empty(), "{root}:\n{}", faults.join("\n"));
    for name in layers.iter().flat_map(|layer| layer.split(' ')) {
        let is_there = house.modules.keys().any(|module| module.split("::").next() == Some(name));
        assert!(is_there, "there is no {name} any more");
    }
}

#[test]
fn paths_in_the_library_lead_one_way() {
    assert_one_way("src", LIBRARY);
}

/// Each block with its reason.
#[test]
fn unsafe_code_is_in_sys_only() {
    for (module, source) in House::read("src").modules {
        assert!(!source.contains("unsafe {") || module.starts_with("sys"), "{module}");
    }
}

/// The system is chosen in one place.
#[test]
fn one_file_asks_which_system_it_is_on() {
    for (module, source) in House::read("src").modules {
        let asks = ["target_os", "linklock_unsupported"].iter().any(|name| source.contains(name));
        assert_eq!(asks, module == "sys", "{module}");
    }
}

/// What outside of `sys` reaches past it to the system, in sources without comments and tests.
fn reaches_past_sys(source: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let stands_alone = |at: usize| !source[..at].chars().next_back().is_some_and(is_name);
    let ends = |at: usize| !source[at..].chars().next().is_some_and(is_name);
    let crates = ["libc", "nix", "std::os"].into_iter().filter(|name| {
        let mut found = source.match_indices(name);
        found.any(|(at, _)| stands_alone(at) && ends(at + name.len()))
    });
    // `std::fs::File` is a type that a guard hands out; all else of `std::fs` is a system call.
    let mut in_std_fs = source.match_indices("std::fs");
    let calls_fs = in_std_fs.any(|(at, name)| {
        let rest = source[at + name.len()..].strip_prefix("::File");
        !rest.is_some_and(|rest| rest.starts_with([';', ' ', '>', ',', ')']))
    });
    let calls = [
        "File::",
        "OpenOptions",
        ".metadata()",
        ".symlink_metadata()",
        ".exists()",
        ".try_exists()",
        ".canonicalize()",
        ".read_link()",
        ".read_dir()",
    ];
    let calls = calls.into_iter().filter(|call| {
        let mut found = source.match_indices(call);
        found.any(|(at, _)| call.starts_with('.') || stands_alone(at))
    });
    crates.chain(calls_fs.then_some("std::fs")).chain(calls).collect()
}

/// One folder makes the system calls; all above it goes through its traits, and so under the table of
/// errnos and the simulator.
#[test]
fn only_sys_names_the_system() {
    let house = House::read("src");
    let above = house.modules.iter().filter(|(module, _)| {
        !["sys", "testing"].contains(&module.split("::").next().unwrap_or_default())
    });
    let faults: Vec<_> = above
        .map(|(module, source)| (module, reaches_past_sys(source)))
        .filter(|(_, names)| !names.is_empty())
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn what_reaches_past_sys_is_found() {
    for (source, found) in [
        ("let flags = libc::O_NOFOLLOW;", Some("libc")),
        ("use nix::unistd::getpid;", Some("nix")),
        ("use std::os::unix::fs::MetadataExt;", Some("std::os")),
        ("use std::fs;", Some("std::fs")),
        ("use std::fs::{File, OpenOptions};", Some("std::fs")),
        ("let names = std::fs::read_dir(dir);", Some("std::fs")),
        ("let file = File::open(path);", Some("File::")),
        ("let there = path.exists();", Some(".exists()")),
        ("use std::fs::File;\nfn file(&self) -> Option<&File>", None),
        ("let unix_time = MboxFile::lock(context);", None),
        ("use crate::sys::os_str::OsStrExt;", None),
    ] {
        assert_eq!(reaches_past_sys(source).first().copied(), found, "{source}");
    }
}
