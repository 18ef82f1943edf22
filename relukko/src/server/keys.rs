//! API keys: compared in constant time, never shown. Each may have a name, for the log, and rights.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const HEADER: &str = "x-api-key";
/// A browser script cannot set a WebSocket's headers, but it can offer protocols: `relukko`, and
/// this prefix followed by the key's bytes in hexadecimal.
const PROTOCOL: &str = "relukko-key.";

/// What a key is good for. Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rights {
    /// To see locks.
    Read,
    /// To create locks, and to change and delete those that were created with the same key.
    Own,
    /// To change and delete all locks.
    All,
}

/// What is known about a key, other than the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) rights: Rights,
    /// How many locks may be held at once that were created with the key.
    pub(crate) most: Option<usize>,
}

/// The keys, as digests: comparing digests does not reveal a key's length either.
#[derive(Clone, Default)]
pub(crate) struct Keys(Vec<([u8; 32], Grant)>);

impl Keys {
    /// Adds a key with all rights.
    pub(crate) fn add(&mut self, key: &str) {
        self.grant(key, Grant { name: None, rights: Rights::All, most: None });
    }

    fn grant(&mut self, key: &str, grant: Grant) {
        self.0.push((Sha256::digest(key).into(), grant));
    }

    /// Adds one key per line, except for blank lines and those that begin with `#`. A line is a key with
    /// all rights, or `name=NAME rights=RIGHTS key=KEY`, which may have a limit before the key: `locks=N`.
    pub(crate) fn add_file(&mut self, path: &Path) -> io::Result<()> {
        let text = std::fs::read_to_string(path)?;
        let lines = text.lines().map(str::trim).enumerate();
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            if line.starts_with("name=") {
                let (key, grant) = named(line).ok_or_else(|| {
                    let form = "name=NAME rights=read|own|all [locks=N] key=KEY";
                    io::Error::other(format!("line {} is not of the form {form}", number + 1))
                })?;
                self.grant(key, grant);
            } else {
                self.add(line);
            }
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the key grants, if it is one of these.
    fn find(&self, key: &[u8]) -> Option<&Grant> {
        let digest = Sha256::digest(key);
        let is_it = |known: &[u8; 32]| bool::from(digest.as_slice().ct_eq(known));
        // All are compared, whichever it is.
        self.0
            .iter()
            .fold(None, |found, (known, grant)| if is_it(known) { Some(grant) } else { found })
    }

    /// What the request's key grants, if it has one that is accepted.
    pub(crate) fn let_in(&self, headers: &HeaderMap) -> Option<&Grant> {
        match headers.get(HEADER) {
            Some(key) => self.find(key.as_bytes()),
            None => self.find(&offered(headers)?),
        }
    }
}

/// The parts of a line about a key with a name.
fn named(line: &str) -> Option<(&str, Grant)> {
    let (name, rest) = line.strip_prefix("name=")?.split_once(char::is_whitespace)?;
    let (rights, rest) =
        rest.trim_start().strip_prefix("rights=")?.split_once(char::is_whitespace)?;
    let rights = match rights {
        "read" => Rights::Read,
        "own" => Rights::Own,
        "all" => Rights::All,
        _ => return None,
    };
    let (most, rest) = match rest.trim_start().strip_prefix("locks=") {
        Some(rest) => {
            let (most, rest) = rest.split_once(char::is_whitespace)?;
            (Some(most.parse().ok()?), rest)
        }
        None => (None, rest),
    };
    let key = rest.trim_start().strip_prefix("key=")?;
    let is_whole = !name.is_empty() && !key.is_empty();
    is_whole.then(|| (key, Grant { name: Some(name.into()), rights, most }))
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

/// The key that the client offers as a WebSocket protocol.
fn offered(headers: &HeaderMap) -> Option<Vec<u8>> {
    let protocols = headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let digits = protocols.split(',').find_map(|it| it.trim().strip_prefix(PROTOCOL))?.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        let mut keys = Keys::default();
        keys.add("one");
        keys.add("two");
        keys
    }

    #[test]
    fn each_key_is_accepted_and_nothing_else() {
        let keys = keys();
        assert!(keys.find(b"one").is_some() && keys.find(b"two").is_some());
        for wrong in [&b""[..], b"on", b"onee", b"One", b"three", b"onetwo"] {
            assert_eq!(keys.find(wrong), None);
        }
        assert_eq!(Keys::default().find(b""), None);
    }

    #[test]
    fn a_key_can_be_offered_as_a_protocol() {
        let with = |protocols: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocols.parse().unwrap());
            keys().let_in(&headers).is_some()
        };
        assert!(with("relukko, relukko-key.6f6e65"));
        for wrong in [
            "relukko",
            "relukko-key.",
            "relukko-key.6f6e6",
            "relukko-key.zz",
            "6f6e65",
            "relukko-key.é",
        ] {
            assert!(!with(wrong), "{wrong}");
        }
    }

    #[test]
    fn keys_are_never_shown() {
        assert_eq!(format!("{:?}", keys()), "2 keys");
    }

    fn read(text: &str) -> io::Result<Keys> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut keys = Keys::default();
        keys.add_file(file.path())?;
        Ok(keys)
    }

    #[test]
    fn a_file_has_one_key_per_line() {
        let lines = "# ours\nalpha\n\n  beta \r\nname=ci rights=own key=two words\n\
            name=few rights=all  locks=7 key=locks=8\n";
        let keys = read(lines).unwrap();
        assert_eq!(keys.0.len(), 4);
        let all = Grant { name: None, rights: Rights::All, most: None };
        assert_eq!((keys.find(b"alpha"), keys.find(b"beta")), (Some(&all), Some(&all)));
        let own = Grant { name: Some("ci".into()), rights: Rights::Own, most: None };
        assert_eq!(keys.find(b"two words"), Some(&own));
        let few = Grant { name: Some("few".into()), rights: Rights::All, most: Some(7) };
        assert_eq!(keys.find(b"locks=8"), Some(&few));
    }

    #[test]
    fn a_line_that_only_looks_like_a_name_is_an_error() {
        for line in [
            "name=ci",
            "name=ci key=x",
            "name=ci rights=most key=x",
            "name=ci rights=own key=",
            "name= rights=own key=x",
            "name=ci key=x rights=own",
            "name=ci rights=own locks= key=x",
            "name=ci rights=own locks=-1 key=x",
            "name=ci rights=own locks=1",
        ] {
            let error = read(&format!("alpha\n{line}\n")).unwrap_err().to_string();
            assert!(error.starts_with("line 2 ") && !error.contains("=x"), "{error}");
        }
    }
}
