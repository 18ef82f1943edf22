//! The house: data flows one way, from the public face down to the system calls.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// The modules of the library, from the top down. Each imports only what stands below it.
const LAYERS: &[&str] = &[
    "lib",
    "options",
    "survey",
    "lock",
    "guard",
    "keeper",
    "handover",
    "acquire",
    "sweep",
    "tenure",
    "shelf",
    "succession",
    "judge",
    "claim",
    "waiter",
    "context",
    "lease",
    "error",
    "holder",
    "wait",
    "queue",
    "watch",
    "names",
    "process",
    "fs",
    "safeguard",
    "report",
];

/// Test-only modules may look at everything.
const TESTS: &[&str] = &["sim", "faulty"];

fn imports(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| {
        let module = line.trim().strip_prefix("use crate::")?;
        module.split(|end: char| !end.is_alphanumeric() && end != '_').next()
    })
}

#[test]
fn no_module_imports_upwards() {
    let rank: HashMap<_, _> = LAYERS.iter().enumerate().map(|(rank, name)| (*name, rank)).collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for entry in fs::read_dir(src).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if TESTS.contains(&name.as_str()) {
            continue;
        }
        let own = rank.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no place"));
        let source = fs::read_to_string(&path).unwrap();
        for import in imports(&source) {
            let other = rank.get(import).unwrap_or_else(|| panic!("{name} imports {import}"));
            assert!(own < other, "{name} imports {import}, which stands above it");
        }
        let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        assert!(code.lines().count() <= 400, "{name}.rs is asking to be two files");
        seen += 1;
    }
    assert_eq!(seen, LAYERS.len(), "a module in the list is gone");
}

/// One file, and each block in it with its reason.
#[test]
fn unsafe_code_is_in_one_file_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(src).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let source = fs::read_to_string(&path).unwrap();
            let blocks = source.matches("unsafe {").count();
            assert_eq!(source.matches("// SAFETY: ").count(), blocks, "{}", path.display());
            assert!(blocks == 0 || path.ends_with("fs.rs"), "{}", path.display());
        }
    }
}
