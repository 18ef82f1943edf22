//! File names for lock names: maps any text to a name that can neither escape the directory nor
//! collide with another.
//!
//! A *plain* name, like `report` or `nightly.backup`, is used as the file name, so that the lock
//! can also be taken from a shell. Any other name becomes `READABLE~HASH`: its readable part, and
//! 160 bits of its SHA-256. No plain name contains a tilde, so the two kinds never collide.
//!
//! Slot K of the set NAME is the lock `NAME.K`, and its file has the name of the set's with `.K`, as in
//! the library, whichever kind the set's name is of. So does the file of a reader's lock, with `.read.NUMBER`.

use std::ffi::OsStr;

use linklock::Holder;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::info::LockId;

/// Longer names are rejected.
pub(crate) const LONGEST: usize = 16 * 1024;
/// The most slots that a set can have, as in the library.
pub(crate) const MOST_SLOTS: u32 = 256;
/// Short enough that the longest name beside the lock file, that of a claim with an id in it, fits
/// in 255 bytes.
const LONGEST_PLAIN: usize = 100;
const LONGEST_READABLE: usize = 40;
/// Between a lock file's name and the number of a reader.
const READ: &str = ".read.";
/// ... which has so many hexadecimal digits.
const READER_DIGITS: usize = 16;
/// The prefix of the host name in our claims; the id follows. The id leads to everything known
/// about the lock, and that exists before the lock is taken.
const HOST: &str = "relukko-";

/// Why a text cannot be the name of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadName {
    #[error("lock_name is empty")]
    Empty,
    #[error("lock_name is longer than {LONGEST} bytes")]
    TooLong,
}

/// The lock file's name.
pub(crate) fn file_name(lock_name: &str) -> Result<String, BadName> {
    match lock_name.len() {
        0 => Err(BadName::Empty),
        length if length > LONGEST => Err(BadName::TooLong),
        _ => Ok(match split_slot(lock_name) {
            Some((set, number)) => format!("{}.{number}", whole(set)),
            None => whole(lock_name),
        }),
    }
}

fn whole(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { format!("{}~{}", readable(name), hash(name)) }
}

/// The lock file's name, or that of one of its readers.
pub(crate) fn file_of(lock_name: &str, reader: Option<u64>) -> Result<String, BadName> {
    let file = file_name(lock_name)?;
    Ok(match reader {
        Some(number) => reader_file(&file, number),
        None => file,
    })
}

/// The lock file of a reader of the lock in this file, as in the library.
fn reader_file(file: &str, number: u64) -> String {
    format!("{file}{READ}{number:0READER_DIGITS$x}")
}

/// The lock file, and the number of the reader, if a file with this name is a reader's.
pub(crate) fn split_reader(file: &str) -> Option<(&str, u64)> {
    let (of, number) = file.rsplit_once(READ)?;
    let is_number = number.len() == READER_DIGITS && number.bytes().all(is_hex);
    Some((of, u64::from_str_radix(number, 16).ok().filter(|_| is_number && !of.is_empty())?))
}

/// A file in the directory, if it can be a lock file.
pub(crate) fn lock_file(name: &OsStr) -> Option<&str> {
    let file = name.to_str()?;
    let name = shown_name(file);
    let whole = split_slot(name).map_or(name, |(set, _)| set);
    (is_plain(whole) || is_hashed(whole)).then_some(file)
}

/// The lock's name as far as that of its file shows it: the file name itself, unless a record says
/// otherwise; for a reader's, that of the lock.
pub(crate) fn shown_name(file: &str) -> &str {
    split_reader(file).map_or(file, |(of, _)| of)
}

/// The lock's name of a slot.
pub(crate) fn slot_name(set: &str, number: u32) -> String {
    format!("{set}.{number}")
}

/// The set, and the number of the slot, if a lock or a file with this name can be one.
pub(crate) fn split_slot(name: &str) -> Option<(&str, u32)> {
    let (set, number) = name.rsplit_once('.')?;
    let slot: u32 = number.parse().ok()?;
    let is_slot = !set.is_empty() && slot < MOST_SLOTS && slot.to_string() == number;
    is_slot.then_some((set, slot))
}

fn is_hashed(name: &str) -> bool {
    name.rsplit_once('~').is_some_and(|(readable, hash)| {
        readable.bytes().all(is_plain_byte) && hash.len() == 40 && hash.bytes().all(is_hex)
    })
}

fn is_plain(name: &str) -> bool {
    let fits = (1..=LONGEST_PLAIN).contains(&name.len()) && !name.starts_with('.');
    fits && name.bytes().all(is_plain_byte)
}

/// Excludes characters that some file systems treat as equal to others, and those with a meaning in
/// names beside a lock file.
fn is_plain_byte(byte: u8) -> bool {
    (byte.is_ascii_graphic() || byte == b' ') && !b"/\\|~".contains(&byte)
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn readable(name: &str) -> String {
    let readable = name.bytes().take(LONGEST_READABLE);
    readable.map(|byte| if byte.is_ascii_alphanumeric() { byte.into() } else { '_' }).collect()
}

fn hash(name: &str) -> String {
    hex(&Sha256::digest(name)[..20])
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The host name in the claim of this lock.
pub(crate) fn host(id: LockId) -> String {
    format!("{HOST}{}", id.0.simple())
}

/// The owner of a lock: this service, with the lock's id, or another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Ours(LockId),
    /// The id is derived from the claim's name, which is unique to the tenure.
    Foreign(LockId),
}

impl Identity {
    pub(crate) fn of(holder: &Holder) -> Identity {
        let claim = holder.claim_path().file_name().unwrap_or_default();
        Identity::new(holder.host(), claim)
    }

    /// If the name of a file beside a lock file is that of a claim: the lock file, and the lock's
    /// identity if that claim holds it.
    pub(crate) fn of_claim(name: &OsStr) -> Option<(&str, Identity)> {
        let fields: Vec<_> = name.to_str()?.split('|').collect();
        let [file, host, pid, _nonce] = fields[..] else { return None };
        let is_claim = pid.bytes().all(|byte| byte.is_ascii_digit());
        is_claim.then(|| (file, Identity::new(host.as_ref(), name)))
    }

    fn new(host: &OsStr, claim: &OsStr) -> Identity {
        let host = host.to_str().and_then(|host| host.strip_prefix(HOST));
        if let Some(id) = host.and_then(|id| Uuid::try_parse(id).ok()) {
            return Identity::Ours(LockId(id));
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Sha256::digest(claim.as_encoded_bytes())[..16]);
        Identity::Foreign(LockId(uuid::Builder::from_custom_bytes(bytes).into_uuid()))
    }

    pub(crate) fn id(self) -> LockId {
        match self {
            Identity::Ours(id) | Identity::Foreign(id) => id,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_plain_name_is_its_own_file_name() {
        for name in ["report", "Report", "nightly.backup", "a b", "x-1_2:3", "-"] {
            assert_eq!(file_name(name).unwrap(), name);
            assert_eq!(lock_file(name.as_ref()), Some(name));
        }
    }

    #[test]
    fn no_name_leaves_the_directory_or_collides_with_another() {
        let long = "x".repeat(10_000);
        let longer = "x".repeat(10_001);
        let names = [
            "..",
            ".",
            "/",
            "/etc/passwd",
            "../x",
            "a/b",
            "a_b",
            "a\0b",
            "a|b",
            "a~b",
            "\\",
            ".relukko",
            "é",
            "e\u{301}",
            "\u{202e}x",
            "🔒",
            "\n",
            " ",
            "\t",
            &long,
            &longer,
            "x",
            "X",
        ];
        let mut seen = HashMap::new();
        for name in names {
            let file = file_name(name).unwrap();
            assert!(file.len() <= LONGEST_PLAIN, "{name:?}: {file}");
            assert!(!file.starts_with('.') && !file.contains(['/', '\0', '|']), "{name:?}: {file}");
            assert!(lock_file(file.as_ref()).is_some(), "{file}");
            assert_eq!(seen.insert(file.clone(), name), None, "{file}");
            // The file name, requested as a lock name, is another lock.
            if file != name {
                assert_ne!(file_name(&file).unwrap(), file);
            }
        }
    }

    #[test]
    fn a_slots_file_begins_with_its_sets() {
        let long = "x".repeat(LONGEST_PLAIN);
        for set in ["encode", "a/b", "é", ".", &long, &"x".repeat(LONGEST)] {
            for number in [0, 7, 255] {
                let slot = slot_name(set, number);
                let Ok(file) = file_name(&slot) else {
                    assert_eq!((file_name(&slot), set.len()), (Err(BadName::TooLong), LONGEST));
                    continue;
                };
                assert_eq!(file, format!("{}.{number}", file_name(set).unwrap()));
                assert_eq!(lock_file(file.as_ref()), Some(&*file));
                assert_eq!(split_slot(&slot), Some((set, number)));
            }
        }
        for other in ["x", "x.", "x.01", "x.+1", "x.256", ".0", "0", "x.0 "] {
            assert_eq!(split_slot(other), None, "{other}");
        }
    }

    #[test]
    fn a_readers_file_begins_with_its_locks() {
        for name in ["cache", "a/b", "é", "cache.7", &"x".repeat(LONGEST)] {
            let file = file_name(name).unwrap();
            for number in [0, 0xfeed, u64::MAX] {
                let reader = reader_file(&file, number);
                assert_eq!(split_reader(&reader), Some((&*file, number)));
                assert_eq!(lock_file(reader.as_ref()), Some(&*reader));
                assert_eq!(shown_name(&reader), file);
            }
        }
        let others =
            ["x", "x.read.", "x.read.7", ".read.0123456789abcdef", "x.read.0123456789ABCDEF"];
        for other in others {
            assert_eq!((split_reader(other), shown_name(other)), (None, other));
        }
    }

    #[test]
    fn names_that_are_refused() {
        assert_eq!(file_name(""), Err(BadName::Empty));
        assert_eq!(file_name(&"x".repeat(LONGEST + 1)), Err(BadName::TooLong));
        assert!(file_name(&"x".repeat(LONGEST)).is_ok());
    }

    #[test]
    fn a_claim_shows_the_identity_of_its_lock() {
        let id = LockId(Uuid::new_v4());
        let own = format!("a lock|{}|4711|x0123", host(id));
        assert_eq!(Identity::of_claim(own.as_ref()), Some(("a lock", Identity::Ours(id))));
        let (file, foreign) = Identity::of_claim("report|host|4711|123".as_ref()).unwrap();
        assert_eq!((file, foreign.id().0.get_version_num()), ("report", 8));
        for no_claim in ["report", "report|host", "report|break|x0123|1", "report|a|b|1|2"] {
            assert_eq!(Identity::of_claim(no_claim.as_ref()), None, "{no_claim}");
        }
    }

    #[test]
    fn other_files_are_not_locks() {
        for file in [".relukko", ".x", "a|b|1|2", "a~b", "a~", ""] {
            assert_eq!(lock_file(file.as_ref()), None, "{file}");
        }
    }
}
