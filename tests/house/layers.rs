//! Paths lead one way, from the public face down to the system calls. CONTRIBUTING.md, "Architecture
//! invariants", says what must never be.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::Modules;

/// The library from the top down, by folders: a file may name what stands in the same folder or below.
/// Files of the root that stand on one line are one layer.
const LIBRARY: &[&str] = &[
    "lib guide",
    "testing",
    "mailbox",
    "tokio",
    "options admin state",
    "slots rw_lock",
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

/// The command: a module of a folder may be listed by itself, and stands where its folder does otherwise.
const COMMAND: &[&str] = &[
    "main",
    "lib",
    "cli",
    "remote",
    "break_lock completions doctor list mailbox man script status sweep",
    "run",
    "run::shim run::terminal run::warden serve no_serve",
    "contend",
    "occupied progress",
    "outer",
    "set",
    "access cleaned errors foreign events log options process",
    "journal require_mount walk time",
    "exit",
    "mount_table output",
];

/// The clients and the server over HTTP.
const RELUKKO: &[&str] = &[
    "lib",
    "client::blocking client::tokio",
    "client",
    "client::acquisition client::queueing",
    "client::holding client::listener client::waiter",
    "client::session",
    "client::transport client::lease",
    "client::interface client::options client::response",
    "client::subscription",
    "client::endpoint client::request client::retry client::wait_limit",
    "client::event",
    "client::lock_url client::tenure client::secret",
    "client::percent",
    "client::tls",
    "client::error",
    "server",
    "server::routes",
    "server::broadcast server::page",
    "server::connections server::object",
    "server::shared",
    "server::lists",
    "server::error_response",
    "server::registry",
    "server::caller",
    "server::events server::queues",
    "server::shown",
    "server::store server::tls",
    "server::options",
    "server::access server::keys server::metrics server::secret",
    "info",
    "secret",
    "timestamp",
];

/// The layer of a module, by the longest path that is listed.
fn layer(layers: &[&str], module: &str) -> usize {
    let position =
        |path: &str| layers.iter().position(|layer| layer.split(' ').any(|it| it == path));
    let ends = module.match_indices("::").map(|(at, _)| at).chain([module.len()]);
    let layer = ends.filter_map(|end| position(&module[..end])).last();
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
    let modules = Modules::read(root);
    let mut named = BTreeMap::new();
    let mut faults = Vec::new();
    for (module, source) in &modules.sources {
        let names = modules.named_by(module);
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
    for name in layers.iter().flat_map(|layer| layer.split(' ')) {
        if !modules.sources.contains_key(name) {
            faults.push(format!("there is no {name} any more"));
        }
    }
    assert!(faults.is_empty(), "{root}:\n{}", faults.join("\n"));
}

#[test]
fn paths_in_the_library_lead_one_way() {
    assert_one_way("src", LIBRARY);
}

#[test]
fn paths_in_the_command_lead_one_way() {
    assert_one_way("cli/src", COMMAND);
}

#[test]
fn paths_in_the_clients_and_the_server_lead_one_way() {
    assert_one_way("relukko/src", RELUKKO);
}

#[test]
fn a_circle_is_found() {
    let names = |others: &[&str]| others.iter().map(|&other| other.to_owned()).collect();
    let mut named =
        BTreeMap::from([("a", names(&["b", "c"])), ("b", names(&["c"])), ("c", names(&[]))]);
    assert_eq!(circle(&named), None);
    named.insert("c", names(&["b"]));
    assert_eq!(circle(&named), Some(vec!["b".to_owned(), "c".to_owned()]));
}
