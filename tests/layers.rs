//! The house: data flows one way, from the public face down to the system calls.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the library, from the top down. Each imports only what stands below it.
const LAYERS: &[&str] = &[
    "lib",
    "guide",
    "mailbox",
    "tokio",
    "options",
    "survey",
    "lock",
    "guard",
    "keeper",
    "upkeep",
    "handover",
    "acquire",
    "last_tenure",
    "sweep",
    "tenure",
    "shelf",
    "succession",
    "judge",
    "observe",
    "claim",
    "patience",
    "waiter",
    "pause",
    "fence",
    "report",
    "silence",
    "context",
    "courtesy",
    "lease",
    "error",
    "holder",
    "lock_file",
    "dotlock",
    "wait",
    "queue",
    "queue_elsewhere",
    "watch",
    "watch_elsewhere",
    "ear",
    "ear_elsewhere",
    "names",
    "process",
    "fs",
    "clock",
    "safeguard",
];

/// The modules of `mailbox`, likewise; they may import all that stands below it, too.
const MAILBOX: &[&str] = &[
    "options",
    "lock",
    "guard",
    "acquire",
    "hold",
    "breaking",
    "watch",
    "own",
    "site",
    "denied",
    "testimony",
    "opened",
    "fcntl",
];

/// Which modules of those whose paths begin like this a file imports.
fn imports<'a>(source: &'a str, parent: &str) -> impl Iterator<Item = &'a str> {
    let begin = format!("use {parent}::");
    source.lines().filter_map(move |line| {
        let module = line.trim().strip_prefix(&begin)?;
        module.split(|end: char| !end.is_alphanumeric() && end != '_').next()
    })
}

/// The sources of a directory's modules, by name.
fn modules(dir: &str) -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.is_file());
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    files.map(read).collect()
}

fn rank(layers: &[&str], name: &str) -> usize {
    let rank = layers.iter().position(|layer| *layer == name);
    rank.unwrap_or_else(|| panic!("{name} has no place"))
}

fn assert_layered(dir: &str, parent: &str, layers: &[&str]) {
    let modules = modules(dir);
    for (name, source) in &modules {
        for import in imports(source, parent) {
            let (own, other) = (rank(layers, name), rank(layers, import));
            assert!(own < other, "{name} imports {import}, which stands above it");
        }
        let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        assert!(code.lines().count() <= 400, "{name}.rs is asking to be two files");
    }
    assert_eq!(modules.len(), layers.len(), "a module in the list is gone, or one is not in it");
}

#[test]
fn no_module_imports_upwards() {
    assert_layered("src", "crate", LAYERS);
}

#[test]
fn no_module_of_mailbox_imports_upwards() {
    assert_layered("src/mailbox", "crate::mailbox", MAILBOX);
    for (name, source) in modules("src/mailbox") {
        for import in imports(&source, "crate").filter(|import| *import != "mailbox") {
            let below = rank(LAYERS, import) > rank(LAYERS, "mailbox");
            assert!(below, "mailbox::{name} imports {import}");
        }
    }
}

/// One module, and each block in it with its reason.
#[test]
fn unsafe_code_is_in_one_module_only() {
    for dir in ["src", "src/fs", "src/mailbox"] {
        for (name, source) in modules(dir) {
            let blocks = source.matches("unsafe {").count();
            assert_eq!(source.matches("// SAFETY: ").count(), blocks, "{name}");
            assert!(blocks == 0 || name == "fs" || dir == "src/fs", "{name}");
        }
    }
}
