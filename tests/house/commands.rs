//! Commands that the documentation gives: each test program that they name exists, and what they select
//! in it.

use std::path::{Path, PathBuf};

use crate::repository::{files, read};

/// Where the packages of this repository have their test programs.
const TESTS: [&str; 3] = ["tests", "cli/tests", "relukko/tests"];

#[test]
fn every_test_that_the_documentation_names_exists() {
    let mut pages = files("", &["md"]);
    pages.extend(files("src", &["rs"]));
    pages.extend(files("tests", &["rs"]));
    let mut missing = Vec::new();
    for page in pages.iter().filter(|page| !page.ends_with(file!())) {
        for (program, selected) in named_in(&read(page)) {
            if !exists(&program, selected.as_deref()) {
                missing.push(format!("{}: --test {program} {selected:?}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The test programs that a text names, each with the module that it selects, if any.
fn named_in(text: &str) -> Vec<(String, Option<String>)> {
    let mut named = Vec::new();
    for after in text.split("--test ").skip(1).chain(text.split("--test=").skip(1)) {
        let mut words = after.split([' ', '\n', '`', '"', ')', ';', ',', '*']);
        let program = words.next().unwrap_or_default();
        let selected =
            words.next().and_then(|word| word.split_once("::")).map(|(module, _)| module);
        if program.starts_with(|c: char| c.is_ascii_lowercase()) {
            named.push((program.to_owned(), selected.map(str::to_owned)));
        }
    }
    named
}

fn exists(program: &str, selected: Option<&str>) -> bool {
    let is_file = |path: PathBuf| Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists();
    TESTS.iter().map(Path::new).any(|tests| {
        let module = selected.is_none_or(|module| {
            is_file(tests.join(program).join(format!("{module}.rs")))
                || is_file(tests.join(program).join(module).join("mod.rs"))
        });
        let is_there = is_file(tests.join(format!("{program}.rs")))
            || is_file(tests.join(program).join("main.rs"));
        is_there && module
    })
}

#[test]
fn a_test_that_does_not_exist_is_found() {
    assert!(exists("house", Some("commands")));
    assert!(!exists("house", Some("races")));
    assert!(!exists("races", None));
    let text = "`cargo test --test house commands::`, `cargo test --test library -- --nocapture`";
    let named = named_in(text);
    assert_eq!(named[0], ("house".into(), Some("commands".into())));
    assert_eq!(named[1], ("library".into(), None));
}
