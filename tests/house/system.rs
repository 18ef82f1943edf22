//! `sys` alone makes system calls, and has the unsafe code.

use crate::modules::Modules;

/// Each block with its reason.
#[test]
fn unsafe_code_is_in_sys_only() {
    for (module, source) in Modules::read("src").sources {
        assert!(!source.contains("unsafe {") || module.starts_with("sys"), "{module}");
    }
}

/// The system is chosen in one place.
#[test]
fn one_file_asks_which_system_it_is_on() {
    for (module, source) in Modules::read("src").sources {
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
    let modules = Modules::read("src");
    let above = modules.sources.iter().filter(|(module, _)| {
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
