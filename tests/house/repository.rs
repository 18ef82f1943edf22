//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

/// The directory with everything in it.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file, by its path from the root.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below a directory whose names have one of these extensions, by their paths from the root,
/// sorted. Neither what is built nor what is hidden is among them.
pub(crate) fn files(below: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(&root().join(below), extensions, &mut files);
    files.sort();
    assert!(!files.is_empty(), "no files below {below:?}");
    files
}

fn collect(dir: &Path, extensions: &[&str], files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_str().unwrap();
        if name == "target" || name.starts_with('.') || entry.is_symlink() {
            continue;
        }
        if entry.is_dir() {
            collect(&entry, extensions, files);
        } else if extensions.iter().any(|it| entry.extension().is_some_and(|found| found == *it)) {
            files.push(entry.strip_prefix(root()).unwrap().to_owned());
        }
    }
}
