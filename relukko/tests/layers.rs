//! The order of the files: data flows one way, from the public faces down to the tools.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

/// From the top down. A file imports only what stands below it; a folder stands for all its files,
/// which have an order of their own.
const ORDER: &[(&str, &[&str])] = &[
    ("", &["lib", "client", "server", "info", "timestamp"]),
    (
        "client",
        &[
            "mod",
            "blocking",
            "tokio",
            "acquisition",
            "holding",
            "listener",
            "session",
            "transport",
            "response",
            "lease",
            "wait_limit",
            "options",
            "subscription",
            "endpoint",
            "request",
            "retry",
            "tls",
            "error",
        ],
    ),
    ("client/blocking", &["requests", "lock", "mod", "guard", "transport", "socket", "wake"]),
    ("client/tokio", &["requests", "lock", "mod", "guard", "transport", "socket", "wake"]),
    (
        "server",
        &[
            "mod",
            "routes",
            "page",
            "object",
            "broadcast",
            "connections",
            "shared",
            "registry",
            "metrics",
            "error_response",
            "store",
            "tls",
            "options",
            "keys",
        ],
    ),
    (
        "server/store",
        &["survey", "change", "mod", "held_locks", "records", "clock", "error", "names"],
    ),
];

/// The files that a source imports by `use`, as module paths below `src`.
fn imports(module: &[String], source: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let source = source.replace("\npub use ", "\nuse ");
    let statements = source.split("\nuse ").skip(1).filter_map(|text| text.split(';').next());
    for statement in statements.flat_map(expand) {
        let mut words = statement.split("::").map(str::trim);
        let mut path: Vec<String> = match words.next() {
            Some("crate") => Vec::new(),
            Some("super") => module[..module.len() - 1].to_vec(),
            Some("self") => module.to_vec(),
            _ => continue,
        };
        for word in words {
            if word == "super" {
                path.pop();
            } else {
                path.push(word.to_owned());
            }
        }
        found.push(path);
    }
    found
}

/// `a::{b, c}` is `a::b` and `a::c`.
fn expand(statement: &str) -> Vec<String> {
    match statement.split_once('{') {
        None => vec![statement.to_owned()],
        Some((prefix, items)) => {
            let items = items.trim_end_matches('}').split(',').map(str::trim);
            items.filter(|item| !item.is_empty()).map(|item| format!("{prefix}{item}")).collect()
        }
    }
}

#[test]
fn no_file_imports_upwards() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let order: HashMap<_, _> = ORDER.iter().copied().collect();
    for (folder, names) in ORDER {
        let dir = src.join(folder);
        let mut there = HashSet::new();
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let is_source = path.extension().is_some_and(|extension| extension == "rs");
            if is_source {
                there.insert(name.clone());
            } else if path.is_dir()
                && order.contains_key(format!("{folder}/{name}").trim_start_matches('/'))
            {
                there.insert(name);
                continue;
            }
            if !is_source || name == "lib" {
                continue;
            }
            let parts = folder.split('/').filter(|part| !part.is_empty()).map(str::to_owned);
            let mut module: Vec<String> = parts.collect();
            if name != "mod" {
                module.push(name.clone());
            }
            let source = fs::read_to_string(&path).unwrap();
            assert!(source.lines().count() <= 400, "{path:?} is asking to be two files");
            for import in imports(&module, &source) {
                check(&order, folder, &name, &import);
            }
        }
        let listed: HashSet<_> = names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(there, listed, "the files of {folder:?}");
    }
}

/// Compares the two where their paths part.
fn check(order: &HashMap<&str, &[&str]>, folder: &str, name: &str, import: &[String]) {
    let mut own: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    own.push(name);
    let shared = own.iter().zip(import).take_while(|(own, other)| *own == other).count();
    let names = order[&*own[..shared.min(own.len() - 1)].join("/")];
    let rank = |name: &str| names.iter().position(|it| *it == name);
    // What is no file is an item of the folder's own `mod`.
    let other = import.get(shared).and_then(|name| rank(name)).or_else(|| rank("mod"));
    let (own_rank, other) = (rank(own[shared.min(own.len() - 1)]), other);
    let is_mod_below = own.get(shared) == Some(&"mod");
    assert!(
        is_mod_below || own_rank < other || own_rank == other,
        "{folder}/{name} imports {}, which stands above it",
        import.join("::")
    );
}
