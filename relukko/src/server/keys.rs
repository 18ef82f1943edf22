//! API keys: compared in constant time, never shown.

use std::fmt;
use std::io;
use std::path::Path;

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

const HEADER: &str = "x-api-key";
/// A browser script cannot set a WebSocket's headers, but it can offer protocols: `relukko`, and
/// this prefix followed by the key's bytes in hexadecimal.
const PROTOCOL: &str = "relukko-key.";

/// The keys, as digests: comparing digests does not reveal a key's length either.
#[derive(Clone, Default)]
pub(crate) struct Keys(Vec<[u8; 32]>);

impl Keys {
    pub(crate) fn add(&mut self, key: &str) {
        self.0.push(Sha256::digest(key).into());
    }

    /// Adds one key per line, except for blank lines and those that begin with `#`.
    pub(crate) fn add_file(&mut self, path: &Path) -> io::Result<()> {
        let text = std::fs::read_to_string(path)?;
        let lines = text.lines().map(str::trim);
        for key in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            self.add(key);
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, key: &[u8]) -> bool {
        let digest = Sha256::digest(key);
        let is_one = |known: &[u8; 32]| digest.as_slice().ct_eq(known);
        self.0.iter().map(is_one).fold(Choice::from(0), |any, one| any | one).into()
    }

    pub(crate) fn let_in(&self, headers: &HeaderMap) -> bool {
        match headers.get(HEADER) {
            Some(key) => self.has(key.as_bytes()),
            None => offered(headers).is_some_and(|key| self.has(&key)),
        }
    }
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
        assert!(keys.has(b"one") && keys.has(b"two"));
        for wrong in [&b""[..], b"on", b"onee", b"One", b"three", b"onetwo"] {
            assert!(!keys.has(wrong));
        }
        assert!(!Keys::default().has(b""));
    }

    #[test]
    fn a_key_can_be_offered_as_a_protocol() {
        let with = |protocols: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocols.parse().unwrap());
            keys().let_in(&headers)
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

    #[test]
    fn a_file_has_one_key_per_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# ours\nalpha\n\n  beta \r\n").unwrap();
        let mut keys = Keys::default();
        keys.add_file(file.path()).unwrap();
        assert_eq!(keys.0.len(), 2);
        assert!(keys.has(b"alpha") && keys.has(b"beta"));
    }
}
