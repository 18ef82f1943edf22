//! `--auto`: a lock that is named after the command line.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::DirBuilder;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::exit::{self, Failure};

/// How much of the program's name the lock's name contains.
const LONGEST: usize = 40;

/// The lock for a command, in this directory or, without one, in the user's own.
pub(super) fn lock(dir: &Path, command: &[OsString]) -> Result<PathBuf, Failure> {
    let dir = if dir.as_os_str().is_empty() { own_dir()? } else { dir.to_owned() };
    Ok(dir.join(name(command)))
}

/// ~/.cache/linklock, created if necessary.
fn own_dir() -> Result<PathBuf, Failure> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let Some(cache) = cache else {
        let why = "--auto needs HOME or XDG_CACHE_HOME, or a directory: --auto=DIR";
        return Err(Failure::new(exit::USAGE, why));
    };
    let dir = cache.join("linklock");
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|error| {
        Failure::new(exit::CANNOT_CREATE, format_args!("cannot create {}: {error}", dir.display()))
    })?;
    Ok(dir)
}

/// The program's name, for people, and a hash of all words, which is the same in every version of
/// linklock.
fn name(command: &[OsString]) -> String {
    let program = command.first().and_then(|program| Path::new(program).file_name());
    let program = program.unwrap_or(OsStr::new("command")).to_string_lossy();
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    let program: String = program.chars().filter(is_plain).take(LONGEST).collect();
    let words = command.iter().flat_map(|word| word.as_bytes().iter().chain(&[0]));
    format!("{program}-{:032x}.lock", fnv(words))
}

/// FNV-1a of 128 bits, <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn fnv<'a>(bytes: impl Iterator<Item = &'a u8>) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(words: &[&str]) -> String {
        name(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv(b"".iter()), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(fnv(b"a".iter()), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }

    #[test]
    fn commands_with_other_words_have_other_locks() {
        assert!(name_of(&["/usr/bin/report", "-x"]).starts_with("report-"));
        assert_ne!(name_of(&["report", "a b"]), name_of(&["report", "a", "b"]));
        assert_eq!(name_of(&["report", "a"]), name_of(&["report", "a"]));
        assert!(name_of(&["/x/|new line\n"]).starts_with("newline-"));
        assert!(name_of(&["/"]).starts_with("command-"));
    }
}
