//! Every link leads somewhere. rustdoc checks which item a link names but not the fragment behind it, and
//! nobody checks the links between the repository's pages.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::repository::{files, read, root};

/// The crates whose documentation rustdoc makes, and where their sources are.
const CRATES: [(&str, &str); 2] = [("linklock", "src"), ("linklock_relukko", "relukko/src")];

#[test]
fn every_fragment_in_the_documentation_names_a_heading() {
    let mut dead = Vec::new();
    let mut checked = 0;
    for (_, sources) in CRATES {
        for file in files(sources, &["rs", "md"]) {
            for target in links(&documentation(&file)) {
                let Some((path, fragment)) = target.split_once('#') else { continue };
                if path.contains("://") {
                    continue;
                }
                checked += 1;
                if !page(path, &file).is_some_and(|page| anchors(&page).contains(fragment)) {
                    dead.push(format!("{}: {target}", file.display()));
                }
            }
        }
    }
    assert!(checked > 30, "only {checked} links with a fragment were found");
    assert!(dead.is_empty(), "no such heading:\n{}", dead.join("\n"));
}

#[test]
fn every_relative_link_between_pages_leads_to_a_file_and_a_heading() {
    let mut dead = Vec::new();
    let mut checked = 0;
    for file in files("", &["md"]) {
        for target in links(&read(&file)).iter().filter(|target| is_relative(target)) {
            checked += 1;
            let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
            let linked = match path {
                "" => file.clone(),
                path => normalize(&file.parent().unwrap().join(path)),
            };
            let is_there = root().join(&linked).exists();
            if !is_there || !(fragment.is_empty() || anchors(&read(&linked)).contains(fragment)) {
                dead.push(format!("{}: {target}", file.display()));
            }
        }
    }
    assert!(checked > 30, "only {checked} relative links were found");
    assert!(dead.is_empty(), "these lead nowhere:\n{}", dead.join("\n"));
}

/// Neither an address nor an item of the library's.
fn is_relative(target: &str) -> bool {
    let is_item = target.starts_with("crate") || target.contains("::");
    !(is_item || target.contains("://") || target.starts_with("mailto:"))
}

/// The documentation in a file: all of a page, or the comments in a source.
fn documentation(file: &Path) -> String {
    let text = read(file);
    if file.extension().is_some_and(|extension| extension == "md") {
        return text;
    }
    comments(&text, &["//! ", "//!", "/// ", "///"])
}

/// What the lines say that begin with one of these, the first of them that fits.
fn comments(source: &str, markers: &[&str]) -> String {
    let lines = source.lines().map(str::trim_start);
    let said = lines.filter_map(|line| markers.iter().find_map(|marker| line.strip_prefix(marker)));
    said.collect::<Vec<_>>().join("\n")
}

/// The page that documents a module, by the path in a link; none if that is no module.
fn page(path: &str, from: &Path) -> Option<String> {
    let (crate_name, modules) = match path.split_once("::").unwrap_or((path, "")) {
        ("", _) => return own_page(from),
        ("crate", modules) => (own_crate(from), modules),
        (name, modules) if CRATES.iter().any(|(known, _)| *known == name) => (name, modules),
        _ => (own_crate(from), path), // by a name that is in scope at the root
    };
    let (_, sources) = CRATES.iter().find(|(name, _)| *name == crate_name)?;
    let module = Path::new(sources).join(modules.replace("::", "/"));
    if modules.is_empty() {
        return own_page(&module.join("lib.rs"));
    }
    let candidates =
        [module.with_extension("md"), module.with_extension("rs"), module.join("mod.rs")];
    candidates.iter().find(|file| root().join(file).exists()).and_then(|file| own_page(file))
}

/// What a module says of itself, which is all of a guide's page.
fn own_page(file: &Path) -> Option<String> {
    let text = read(file);
    match file.extension()?.to_str()? {
        "md" => Some(text),
        _ => Some(comments(&text, &["//! ", "//!"])),
    }
}

fn own_crate(file: &Path) -> &'static str {
    CRATES.iter().find(|(_, sources)| file.starts_with(sources)).map_or("", |(name, _)| name)
}

/// The targets of all links, of both kinds: `[text](target)` and `[text]: target`.
fn links(markdown: &str) -> Vec<String> {
    let text = outside_code(markdown);
    let inline = text.match_indices("](").map(|(at, marker)| &text[at + marker.len()..]);
    let inline = inline
        .filter_map(|rest| Some(rest.split_once(')')?.0.split_whitespace().next()?.to_owned()));
    let references = text.lines().filter_map(|line| {
        let (_, target) = line.trim_start().strip_prefix('[')?.split_once("]: ")?;
        Some(target.split_whitespace().next()?.to_owned())
    });
    inline.chain(references).collect()
}

/// The text without blocks of code.
fn outside_code(markdown: &str) -> String {
    let mut is_code = false;
    let mut text = String::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// What the headings of a page are called by, in rustdoc and on GitHub.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for line in outside_code(markdown).lines().filter(|line| line.starts_with('#')) {
        let slug = slug(line.trim_start_matches('#').trim());
        let repeated = (1..).map(|number| format!("{slug}-{number}"));
        let mut names = std::iter::once(slug.clone()).chain(repeated);
        anchors.insert(names.find(|name| !anchors.contains(name)).unwrap());
    }
    anchors
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// Without `..`.
fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

#[test]
fn links_of_both_kinds_are_found_and_code_is_skipped() {
    let page = "[one](a.md#x) and [two]\n\n```text\n[no](b)\n```\n[two]: c.md \"title\"\n";
    assert_eq!(links(page), ["a.md#x", "c.md"]);
}

#[test]
fn a_heading_is_called_by_its_words() {
    let page = "# The `Lock`, at *last*\n## Again\n## Again\n```sh\n# not one\n```\n";
    assert_eq!(anchors(page), ["again", "again-1", "the-lock-at-last"].map(String::from).into());
}
