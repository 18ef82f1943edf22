//! The names beside a lock file, and the content that names a claim: makes them, and is the only
//! parser.
//!
//! | name | what it is |
//! |---|---|
//! | `L` | the lock file |
//! | `L\|HOST\|PID\|NONCE` | a claim; the lock file is a hard link to the holder's |
//! | `L\|break\|KEY\|K` | seat K in the takeover of the incarnation whose nonce is KEY |
//! | `L\|aside\|KEY\|K` | a lock file on its way out, put aside by the process with that nonce |
//! | `L\|fence\|KEY\|K` | a directory that is to become `L.fence` |
//! | `L.fence/N` | the counter of the lock's fencing tokens |
//! | `L.read.NUMBER` | the lock of a reader: a lock by itself |
//!
//! KEY begins with a letter, where a claim has a decimal pid. Names are bytes, not text.

use crate::sys::os_str::{OsStrExt, OsStringExt};
use std::ffi::{OsStr, OsString};
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::holder::Role;
use crate::model::hint::address_part;
use crate::model::nonce::{NONCE_MAX, Nonce};
use crate::sys::process::{Process, Proof};

/// The longest name that common file systems take: see pathconf(3).
const NAME_MAX: usize = 255;
/// The longest content that is worth reading: a path, see limits.h, and a name.
pub(crate) const CONTENT_MAX: usize = 4096 + NAME_MAX;
/// The most digits that the number of a seat or of a put-aside file can have.
const NUMBER_DIGITS: usize = 10;
/// The last seat of an incarnation. So many processes do not die one after another: there must be
/// another cause.
pub(crate) const LAST_SEAT: u32 = 64;

const BREAK: &[u8] = b"break";
const ASIDE: &[u8] = b"aside";
const FENCE: &[u8] = b"fence";
const READ: &[u8] = b".read.";
/// The digits of a reader's number, in hexadecimal.
pub(crate) const READER_DIGITS: usize = 16;

/// Why a lock can't have the names that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadName {
    #[error("the path has no file name")]
    NoFileName,
    #[error("the path or the host name has a NUL byte")]
    Nul,
    #[error("the separator is a letter, a digit, a slash or a control character")]
    Separator,
    #[error("the separator occurs in the path: choose another with `separator`")]
    SeparatorInPath,
    #[error("the host name is empty or has a slash or the separator: give one with `host_name`")]
    Host,
    #[error("the names of its claims would be longer than 255 bytes")]
    TooLong,
}

/// Makes the names of one lock's files, and recognizes them.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    lock: PathBuf,
    dir: PathBuf,
    separator: String,
    /// The prefix of the names of claims, seats and put-aside files.
    prefix: Vec<u8>,
    host: Arc<OsStr>,
    role: Role,
}

/// The parts of a claim's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClaimName {
    pub(crate) path: Arc<Path>,
    pub(crate) host: Arc<OsStr>,
    pub(crate) pid: u32,
    pub(crate) nonce: Nonce,
}

impl ClaimName {
    /// Whether its maker is a peer that maintains no claim but the one that is the lock file:
    /// flufl.lock never touches its claim while it waits.
    pub(crate) fn is_foreign(&self) -> bool {
        self.nonce.is_number()
    }

    /// The process that it names. A claim of flufl.lock's has only a pid, so the start time is unknown.
    pub(crate) fn process(&self) -> Process {
        Process { pid: self.pid, proof: self.nonce.proof() }
    }
}

/// A file beside the lock file that belongs to the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Neighbour {
    Claim(ClaimName),
    /// A seat in the takeover of the incarnation with this key.
    Seat(Arc<str>),
    Aside,
    /// A draft of the directory that holds the counter of fencing tokens.
    FenceDraft,
}

impl Names {
    /// The names of a lock with that role.
    pub(crate) fn new(
        lock: &Path,
        separator: char,
        host: &OsStr,
        role: Role,
    ) -> Result<Names, BadName> {
        let base = lock.file_name().ok_or(BadName::NoFileName)?;
        let dir = lock.parent().ok_or(BadName::NoFileName)?;
        // `/shared/x/` and `/shared/x` are one lock.
        let lock = dir.join(base);
        if separator.is_alphanumeric() || separator.is_control() || separator == '/' {
            return Err(BadName::Separator);
        }
        let separator = separator.to_string();
        if has(lock.as_os_str(), b"\0") || has(host, b"\0") {
            return Err(BadName::Nul);
        }
        if has(lock.as_os_str(), separator.as_bytes()) {
            return Err(BadName::SeparatorInPath);
        }
        if host.is_empty() || has(host, b"/") || has(host, separator.as_bytes()) {
            return Err(BadName::Host);
        }
        let prefix = [base.as_bytes(), separator.as_bytes()].concat();
        let names = Names { dir: dir.into(), lock, separator, prefix, host: host.into(), role };
        names.check_length()?;
        Ok(names)
    }

    /// The names of another lock in the same set.
    pub(crate) fn of_other(&self, lock: &Path) -> Result<Names, BadName> {
        let separator = self.separator.chars().next().ok_or(BadName::Separator)?;
        Names::new(lock, separator, &self.host, self.role)
    }

    /// The names of a reader's lock, which is a lock by itself. All of them are as long as each other's, so
    /// [the check](Self::check_length) of one is enough.
    pub(crate) fn of_reader(&self, lock: PathBuf) -> Names {
        let base = lock.file_name().unwrap_or_default().as_bytes();
        let prefix = [base, self.separator.as_bytes()].concat();
        Names { lock, prefix, role: Role::Alone, ..self.clone() }
    }

    /// Whether all names that a tenure may need are short enough.
    pub(crate) fn check_length(&self) -> Result<(), BadName> {
        let longest = Process {
            pid: u32::MAX,
            proof: Some(Proof { world: 0, started: u64::MAX, boot: Some(0) }),
        };
        let claim = self.new_claim(0, &longest);
        if name_length(&claim.path) > NAME_MAX || !self.fits(&claim.nonce) {
            return Err(BadName::TooLong);
        }
        Ok(())
    }

    /// Whether the longest name with this nonce in it is short enough.
    fn fits(&self, nonce: &Nonce) -> bool {
        let key = nonce.key();
        let seat = self.join(BREAK, key.as_bytes(), &[b'0'; NUMBER_DIGITS]);
        // `aside` and `fence` are as long, `.fence` is shorter.
        key.len() <= NONCE_MAX && name_length(&seat) <= NAME_MAX
    }

    pub(crate) fn lock_path(&self) -> &Path {
        &self.lock
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn host(&self) -> &OsStr {
        &self.host
    }

    /// The name of a claim for `owner`, on this host.
    pub(crate) fn new_claim(&self, random: u64, owner: &Process) -> ClaimName {
        self.own_claim(owner.pid, Nonce::new(random, owner.proof, self.role))
    }

    /// The same name with an address for wake-up hints; `None` if there is no room for it.
    pub(crate) fn with_address(&self, name: &ClaimName, at: SocketAddrV4) -> Option<ClaimName> {
        let nonce = Nonce(format!("{}{}", name.nonce.0, address_part(at)).into());
        let name = self.own_claim(name.pid, nonce);
        (name_length(&name.path) <= NAME_MAX && self.fits(&name.nonce)).then_some(name)
    }

    fn own_claim(&self, pid: u32, nonce: Nonce) -> ClaimName {
        let digits = pid.to_string();
        let path = self.join(self.host.as_bytes(), digits.as_bytes(), nonce.0.as_bytes());
        ClaimName { path: path.into(), host: self.host.clone(), pid, nonce }
    }

    /// A name for the incarnation of a lock file that has lost its content, and whose claim is
    /// gone: no claim ever has this name.
    pub(crate) fn nameless(&self, ino: u64) -> ClaimName {
        let nonce = Nonce(format!("i{ino:x}").into());
        let path = self.join(b"", b"0", nonce.0.as_bytes());
        ClaimName { path: path.into(), host: OsStr::new("").into(), pid: 0, nonce }
    }

    /// Whether no name that a tenure with this claim may need has more than `most` bytes: by a bound
    /// that is quick to compute, so the answer may be a false no.
    pub(crate) fn surely_fit(&self, claim: &ClaimName, most: usize) -> bool {
        let second = self.host.len().max(BREAK.len()).max(ASIDE.len());
        let nonce = claim.nonce.0.len() + 1; // the key of flufl.lock's has a letter more
        let fields = self.lock.as_os_str().len() + second + nonce + NUMBER_DIGITS;
        fields + 3 * self.separator.len() <= most
    }

    /// A put-aside file's name, padded to the longest that a tenure with this claim may need.
    pub(crate) fn longest(&self, claim: &ClaimName) -> PathBuf {
        let aside = self.aside(&claim.nonce, u32::MAX);
        let seat = self.seat(&claim.nonce, LAST_SEAT);
        let needed = name_length(&claim.path).max(name_length(&seat));
        let zeros = vec![b'0'; needed.saturating_sub(name_length(&aside))];
        OsString::from_vec([aside.as_os_str().as_bytes(), &zeros].concat()).into()
    }

    /// Seat `number` in the takeover of the incarnation with that nonce.
    pub(crate) fn seat(&self, nonce: &Nonce, number: u32) -> PathBuf {
        self.join(BREAK, nonce.key().as_bytes(), number.to_string().as_bytes())
    }

    /// The name under which the process with that nonce puts aside a lock file that it takes away.
    pub(crate) fn aside(&self, nonce: &Nonce, number: u32) -> PathBuf {
        self.join(ASIDE, nonce.short_key().as_bytes(), number.to_string().as_bytes())
    }

    /// The directory that holds the counter of fencing tokens.
    pub(crate) fn fence(&self) -> PathBuf {
        let parts = [self.lock.as_os_str().as_bytes(), b".", FENCE];
        OsString::from_vec(parts.concat()).into()
    }

    /// The name under which the process with that nonce drafts that directory.
    pub(crate) fn fence_draft(&self, nonce: &Nonce, number: u32) -> PathBuf {
        self.join(FENCE, nonce.short_key().as_bytes(), number.to_string().as_bytes())
    }

    /// The number that an entry of that directory stands for. Each number has only one name.
    pub(crate) fn parse_counter(entry: &OsStr) -> Option<u64> {
        let number: u64 = entry.to_str()?.parse().ok()?;
        (*number.to_string() == *entry).then_some(number)
    }

    /// The lock of a new reader.
    pub(crate) fn new_reader(&self, number: u64) -> PathBuf {
        let number = format!("{number:0READER_DIGITS$x}");
        let parts = [self.lock.as_os_str().as_bytes(), READ, number.as_bytes()];
        OsString::from_vec(parts.concat()).into()
    }

    /// The lock of a reader, if this entry of the directory is one.
    pub(crate) fn parse_reader(&self, entry: &OsStr) -> Option<PathBuf> {
        let own = self.lock.file_name()?.as_bytes();
        let number = entry.as_bytes().strip_prefix(own)?.strip_prefix(READ)?;
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_number = number.len() == READER_DIGITS && number.iter().all(is_digit);
        is_number.then(|| self.dir.join(entry))
    }

    /// The lock of a reader beside which this entry of the directory is a claim, a seat or the like.
    pub(crate) fn parse_beside_reader(&self, entry: &OsStr) -> Option<PathBuf> {
        let (name, separator) = (entry.as_bytes(), self.separator.as_bytes());
        let at = name.windows(separator.len()).position(|at| at == separator)?;
        self.parse_reader(OsStr::from_bytes(&name[..at]))
    }

    /// A claim beside the lock of a reader.
    pub(crate) fn parse_reader_claim(&self, entry: &OsStr) -> Option<ClaimName> {
        let names = self.of_reader(self.parse_beside_reader(entry)?);
        match names.parse_neighbour(entry)? {
            Neighbour::Claim(claim) => Some(claim),
            Neighbour::Seat(_) | Neighbour::Aside | Neighbour::FenceDraft => None,
        }
    }

    /// Whether the key is that of the incarnation with this nonce.
    pub(crate) fn is_key_of(key: &str, nonce: &Nonce) -> bool {
        *nonce.key() == *key
    }

    /// The claim that a lock file's content names: always one beside the lock file itself, whatever
    /// directory the content names. flufl.lock writes the path as its user gave it.
    pub(crate) fn parse_content(&self, content: &[u8]) -> Option<ClaimName> {
        let name = content.trim_ascii_end().rsplit(|byte| *byte == b'/').next()?;
        match self.parse_neighbour(OsStr::from_bytes(name))? {
            Neighbour::Claim(claim) => Some(claim),
            Neighbour::Seat(_) | Neighbour::Aside | Neighbour::FenceDraft => None,
        }
    }

    /// The claim named by content or a directory entry that has something else in place of the lock's
    /// name, read as if that were the lock's name; and the path of the lock by that other name.
    pub(crate) fn parse_other_spelling(&self, name: &[u8]) -> Option<(PathBuf, ClaimName)> {
        let name = name.trim_ascii_end().rsplit(|byte| *byte == b'/').next()?;
        let base = (0..3).try_fold(name, |rest, _| {
            let separator = self.separator.as_bytes();
            let at = rest.windows(separator.len()).rposition(|at| at == separator)?;
            Some(&rest[..at])
        })?;
        let own = self.lock.file_name()?;
        if base.is_empty() || base == own.as_bytes() {
            return None;
        }
        let entry = [own.as_bytes(), &name[base.len()..]].concat();
        match self.parse_neighbour(OsStr::from_bytes(&entry))? {
            Neighbour::Claim(claim) => Some((self.dir.join(OsStr::from_bytes(base)), claim)),
            Neighbour::Seat(_) | Neighbour::Aside | Neighbour::FenceDraft => None,
        }
    }

    /// The role of a directory entry for this lock; `None` if it has none.
    pub(crate) fn parse_neighbour(&self, entry: &OsStr) -> Option<Neighbour> {
        let rest = entry.as_bytes().strip_prefix(self.prefix.as_slice())?;
        let mut fields = Fields { rest: Some(rest), separator: self.separator.as_bytes() };
        let (host, second, third) = (fields.next()?, fields.next()?, fields.next()?);
        if fields.next().is_some() || third.is_empty() || has(entry, b"\0") || has(entry, b"/") {
            return None;
        }
        if let Some(pid) = parse_pid(second) {
            let nonce = Nonce::parse(third)?;
            self.fits(&nonce).then_some(())?;
            let (path, host) = (self.dir.join(entry).into(), OsStr::from_bytes(host).into());
            return Some(Neighbour::Claim(ClaimName { path, host, pid, nonce }));
        }
        let key = Nonce::parse(second)?.0;
        third.iter().all(u8::is_ascii_digit).then_some(())?;
        match host {
            BREAK => Some(Neighbour::Seat(key)),
            ASIDE => Some(Neighbour::Aside),
            FENCE => Some(Neighbour::FenceDraft),
            _ => None,
        }
    }

    /// The path of a file beside the lock file.
    fn join(&self, first: &[u8], second: &[u8], third: &[u8]) -> PathBuf {
        let (lock, separator) = (self.lock.as_os_str().as_bytes(), self.separator.as_bytes());
        let parts = [lock, separator, first, separator, second, separator, third];
        OsString::from_vec(parts.concat()).into()
    }
}

/// The path with `SUFFIX` at the end of its name, if it has a name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    if name.is_empty() {
        return path.to_owned();
    }
    name.push(suffix);
    path.with_file_name(name)
}

/// The fields between separators; a separator may be longer than a byte.
struct Fields<'a> {
    rest: Option<&'a [u8]>,
    separator: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let found = rest.windows(self.separator.len()).position(|at| at == self.separator);
        self.rest = found.map(|at| &rest[at + self.separator.len()..]);
        Some(found.map_or(rest, |at| &rest[..at]))
    }
}

fn name_length(path: &Path) -> usize {
    path.file_name().map_or(0, OsStr::len)
}

fn parse_pid(field: &[u8]) -> Option<u32> {
    let digits = field.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(field).ok()?.parse().ok()).flatten()
}

fn has(text: &OsStr, part: &[u8]) -> bool {
    text.as_bytes().windows(part.len()).any(|at| at == part)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::model::hint::is_reachable;
    use crate::sys::process::WORLD_BITS;

    /// Any bytes that a file's name can have.
    fn file_name() -> impl Strategy<Value = Vec<u8>> {
        let plain = "[a-z.]{1,8}".prop_map(String::into_bytes);
        let any = vec(any::<u8>().prop_filter("ends a name", |b| !b"\0/".contains(b)), 1..60);
        prop_oneof![plain, any].prop_filter("no name", |name| name != b"." && name != b"..")
    }

    fn separator() -> impl Strategy<Value = char> {
        prop_oneof![Just('|'), Just(':'), Just('+'), Just('→'), any::<char>()]
    }

    /// The names of some lock, in any directory and on any host.
    fn names() -> impl Strategy<Value = Names> {
        let dir = vec(file_name(), 0..3).prop_map(|dirs| {
            dirs.iter().fold(PathBuf::from("/"), |dir, name| dir.join(OsStr::from_bytes(name)))
        });
        (dir, file_name(), separator(), file_name()).prop_filter_map(
            "the lock's names are invalid",
            |(dir, base, separator, host)| {
                let lock = dir.join(OsStr::from_bytes(&base));
                Names::new(&lock, separator, OsStr::from_bytes(&host), Role::Alone).ok()
            },
        )
    }

    fn process() -> impl Strategy<Value = Process> {
        let proof = (0..1_u64 << WORLD_BITS, any::<u64>(), any::<Option<u32>>());
        let proof = proof.prop_map(|(world, started, boot)| Proof { world, started, boot });
        (any::<u32>(), proptest::option::of(proof)).prop_map(|(pid, proof)| Process { pid, proof })
    }

    /// Bytes that are almost a name: arbitrary ones, and real names with a part replaced.
    fn near_name(names: &Names) -> impl Strategy<Value = Vec<u8>> + use<> {
        let (prefix, separator) = (names.prefix.clone(), names.separator.clone());
        let part = prop_oneof![
            vec(any::<u8>(), 0..12),
            Just(separator.into_bytes()),
            Just(prefix.clone()),
            Just(BREAK.to_vec()),
            Just(ASIDE.to_vec()),
            Just(FENCE.to_vec()),
            Just(b"..".to_vec()),
            Just(b"/".to_vec()),
            Just(b"\0".to_vec()),
            "[0-9]{1,12}".prop_map(String::into_bytes),
            "[0-9]{62,65}".prop_map(String::into_bytes),
            "x[0-9a-f]{16}(w[0-9a-f]{12}s[0-9a-f]{1,16}(k[0-9a-f]{8})?)?(u[0-9a-f]{12})?"
                .prop_map(String::into_bytes),
        ];
        (any::<bool>(), vec(part, 0..8)).prop_map(move |(begins, parts)| {
            let prefix = if begins { prefix.as_slice() } else { b"" };
            [prefix, &parts.concat()].concat()
        })
    }

    fn name_of(path: &Path) -> &OsStr {
        path.file_name().unwrap()
    }

    /// The properties of every claim, whatever it was read from.
    fn check_claim(names: &Names, claim: &ClaimName) -> Result<(), TestCaseError> {
        let file_name = name_of(&claim.path);
        prop_assert_eq!(claim.path.parent(), Some(names.dir()));
        prop_assert!(*claim.path != *names.lock_path());
        prop_assert!(!has(file_name, b"/") && !has(file_name, b"\0"));
        prop_assert!(file_name.len() <= NAME_MAX);
        let again = Some(Neighbour::Claim(claim.clone()));
        prop_assert_eq!(names.parse_neighbour(file_name), again);
        let content = names.parse_content(claim.path.as_os_str().as_bytes());
        prop_assert_eq!(content.as_ref(), Some(claim));
        // All names that are derived from its nonce are valid too.
        let (seat, aside) = (names.seat(&claim.nonce, u32::MAX), names.aside(&claim.nonce, 0));
        prop_assert!(name_of(&seat).len() <= NAME_MAX);
        let seat = names.parse_neighbour(name_of(&seat));
        let is_own =
            matches!(&seat, Some(Neighbour::Seat(key)) if Names::is_key_of(key, &claim.nonce));
        prop_assert!(is_own, "{:?}", seat);
        prop_assert_eq!(names.parse_neighbour(name_of(&aside)), Some(Neighbour::Aside));
        Ok(())
    }

    #[test]
    fn names_that_surely_fit_do() {
        for lock in ["/shared/lock", "lock", "/a/rather/long/directory/x"] {
            for host in ["h", "a.rather.long.host.example.org"] {
                let names = Names::new(Path::new(lock), '|', host.as_ref(), Role::Alone).unwrap();
                let claim = names.new_claim(u64::MAX, &Process { pid: u32::MAX, proof: None });
                let longest = name_length(&names.longest(&claim));
                assert!(!names.surely_fit(&claim, longest - 1));
                assert!(names.surely_fit(&claim, longest + lock.len() + 10));
            }
        }
    }

    #[test]
    fn a_name_with_other_fields_is_not_recognized() {
        let names =
            Names::new(Path::new("/shared/lock"), '|', OsStr::new("host"), Role::Alone).unwrap();
        for is_own in ["lock|host|1|x2", "lock|break|x2|0", "lock|aside|x2|0", "lock|fence|x2|0"] {
            assert!(names.parse_neighbour(OsStr::new(is_own)).is_some(), "{is_own}");
            for more in ["|", "|3", "||", "|host|1|x2"] {
                let entry = format!("{is_own}{more}");
                assert_eq!(names.parse_neighbour(OsStr::new(&entry)), None, "{entry}");
            }
            let (less, _) = is_own.rsplit_once('|').unwrap();
            for entry in [less, &format!("{less}|")] {
                assert_eq!(names.parse_neighbour(OsStr::new(entry)), None, "{entry}");
            }
        }
        for no_name in ["lock|ho/st|1|x2", "lock|ho\0st|1|x2"] {
            assert_eq!(names.parse_neighbour(OsStr::new(no_name)), None, "{no_name:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_claim_is_read_as_it_was_made(
            names in names(), random: u64, owner in process(), number: u32,
        ) {
            let made = names.new_claim(random, &owner);
            prop_assert_eq!(made.process(), owner);
            prop_assert!(!made.is_foreign());
            check_claim(&names, &made)?;
            for path in [names.seat(&made.nonce, number), names.aside(&made.nonce, number)] {
                prop_assert_eq!(path.parent(), Some(names.dir()));
                prop_assert_eq!(names.parse_content(path.as_os_str().as_bytes()), None);
            }
        }

        #[test]
        fn an_address_changes_nothing_else(
            names in names(), random: u64, owner in process(), ip: [u8; 4], port in 1_u16..,
        ) {
            let address = SocketAddrV4::new(ip.into(), port);
            let plain = names.new_claim(random, &owner);
            prop_assert_eq!(plain.nonce.address(), None);
            let Some(made) = names.with_address(&plain, address) else {
                let needed = plain.nonce.0.len() + address_part(address).len();
                let is_long = name_length(&names.longest(&plain)) + 13 > NAME_MAX;
                prop_assert!(needed > NONCE_MAX || is_long, "there is room");
                return Ok(());
            };
            let known = is_reachable(address).then_some(address);
            prop_assert_eq!((made.process(), made.nonce.address()), (owner, known));
            prop_assert_eq!(made.nonce.short_key(), plain.nonce.short_key());
            check_claim(&names, &made)?;
        }

        /// The content of a lock file can only name a file of the same lock.
        #[test]
        fn no_content_leads_anywhere_else(
            (names, content) in names().prop_flat_map(|names| {
                let content = near_name(&names);
                (Just(names), content)
            }),
            path in vec(any::<u8>(), 0..20),
        ) {
            for content in [&content, &[path.as_slice(), b"/", &content].concat()] {
                if let Some(claim) = names.parse_content(content) {
                    check_claim(&names, &claim)?;
                }
            }
        }

        #[test]
        fn an_entry_is_taken_for_what_it_is_or_for_nothing(
            (names, entry) in names().prop_flat_map(|names| {
                let entry = near_name(&names);
                (Just(names), entry)
            }),
        ) {
            let entry = OsStr::from_bytes(&entry);
            let parsed = names.parse_neighbour(entry);
            if parsed.is_some() {
                prop_assert!(entry.as_bytes().starts_with(&names.prefix));
                prop_assert!(!has(entry, b"/") && !has(entry, b"\0"));
            }
            if let Some(Neighbour::Claim(claim)) = &parsed {
                prop_assert_eq!(entry, name_of(&claim.path));
                check_claim(&names, claim)?;
            }
        }

        #[test]
        fn a_number_has_one_name(number: u64, name in file_name(), digits in "[+]?[0-9]{1,25}") {
            let named = number.to_string();
            prop_assert_eq!(Names::parse_counter(OsStr::new(&named)), Some(number));
            for other in [OsStr::from_bytes(&name), OsStr::new(&digits)] {
                let parsed = Names::parse_counter(other).map(|number| number.to_string());
                prop_assert!(parsed.is_none_or(|parsed| *parsed == *other));
            }
        }

        /// flufl.lock: host, pid and a decimal number.
        #[test]
        fn a_claim_of_flufl_lock_is_read(
            names in names(), host in "[a-z]{1,8}(\\.[a-z]{1,8}){0,2}", pid: u32, number: u64,
        ) {
            let (pid_field, number) = (pid.to_string(), number.to_string());
            let entry = names.join(host.as_bytes(), pid_field.as_bytes(), number.as_bytes());
            prop_assume!(!host.contains(&names.separator) && name_length(&entry) < 200);
            let Some(Neighbour::Claim(claim)) = names.parse_neighbour(name_of(&entry)) else {
                return Err(TestCaseError::fail("it is not a claim"));
            };
            prop_assert!(claim.is_foreign());
            prop_assert_eq!(claim.process(), Process { pid, proof: None });
            prop_assert_eq!(claim.host.as_bytes(), host.as_bytes());
            check_claim(&names, &claim)?;
        }

        /// One lock's files are never another's, though one's name may begin with the other's.
        #[test]
        fn no_other_lock_has_the_same_files(
            names in names(), more in file_name(), random: u64, owner in process(),
        ) {
            let base = [name_of(names.lock_path()).as_bytes(), &more].concat();
            let other = names.dir().join(OsStr::from_bytes(&base));
            let separator = names.separator.chars().next().unwrap();
            let Ok(other) = Names::new(&other, separator, names.host(), Role::Alone) else { return Ok(()) };
            for (one, another) in [(&names, &other), (&other, &names)] {
                let claim = one.new_claim(random, &owner);
                prop_assert_eq!(another.parse_neighbour(name_of(&claim.path)), None);
                let seat = one.seat(&claim.nonce, 0);
                prop_assert_eq!(another.parse_neighbour(name_of(&seat)), None);
            }
        }
    }
}
