//! Plain English: the words that CONTRIBUTING.md retires are not used.

use std::path::Path;

use crate::repository::{files, read};

/// Where no retired word may be.
const PLACES: [&str; 8] =
    ["src", "cli", "relukko", "python", "tests", "benches", "docs", "examples"];
/// The heading in CONTRIBUTING.md under which they are listed, one in each line that begins so.
const HEADING: &str = "### Retired words";
const ITEM: &str = "- `";

#[test]
fn no_retired_word_is_used() {
    let retired = retired();
    let mut files: Vec<_> =
        PLACES.iter().flat_map(|place| files(place, &["rs", "md", "py", "sh", "c"])).collect();
    files.extend(
        crate::repository::files("", &["md"]).into_iter().filter(|file| is_at_the_root(file)),
    );
    let mut used = Vec::new();
    for file in files {
        let text = outside_the_list(&read(&file));
        let found = uses(&text, &retired).into_iter();
        used.extend(found.map(|(line, word)| format!("{}:{line}: {word}", file.display())));
    }
    assert!(used.is_empty(), "{} times:\n{}", used.len(), used.join("\n"));
}

fn is_at_the_root(file: &Path) -> bool {
    file.parent() == Some(Path::new(""))
}

/// The words that CONTRIBUTING.md lists.
fn retired() -> Vec<String> {
    let text = read("CONTRIBUTING.md");
    let (_, list) = text.split_once(HEADING).expect("CONTRIBUTING.md has a list of retired words");
    let list = list.split("\n#").next().unwrap();
    let items = list.lines().filter_map(|line| line.strip_prefix(ITEM)?.split('`').next());
    items.map(str::to_lowercase).collect()
}

/// The text, without the list of the words, but with as many lines.
fn outside_the_list(text: &str) -> String {
    let mut is_list = false;
    let mut rest = String::new();
    for line in text.lines() {
        is_list = line.trim() == HEADING || is_list && !line.starts_with('#');
        rest.push_str(if is_list { "" } else { line });
        rest.push('\n');
    }
    rest
}

/// Where a word is used, whole, in the names of code too, and across the end of a line.
fn uses(text: &str, retired: &[String]) -> Vec<(usize, String)> {
    let words: Vec<(usize, String)> = text
        .lines()
        .enumerate()
        .flat_map(|(line, text)| {
            let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            words.map(move |word| (line + 1, word.to_lowercase()))
        })
        .collect();
    let mut uses = Vec::new();
    for (at, (line, _)) in words.iter().enumerate() {
        let is_used = |retired: &&String| {
            let mut following = words[at..].iter().map(|(_, word)| word.as_str());
            retired.split(' ').all(|word| following.next() == Some(word))
        };
        uses.extend(retired.iter().find(is_used).map(|word| (*line, word.clone())));
    }
    uses
}

#[test]
fn there_are_retired_words_to_look_for() {
    let retired = retired();
    assert!(retired.len() >= 9, "{retired:?}");
}

#[test]
fn a_retired_word_is_found_whole_in_names_and_across_lines() {
    let retired = ["hence".to_owned(), "in vain".to_owned()];
    let text = "whence\nfn goes_hence()\n/// It is in\n/// vain.\n";
    assert_eq!(uses(text, &retired), [(2, "hence".to_owned()), (3, "in vain".to_owned())]);
}
