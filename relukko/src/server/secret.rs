//! The secret by which a holder shows that a lock is its own. Only its digest is kept.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// Of a secret, in hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Digest(String);

impl Digest {
    pub(crate) fn of(secret: &str) -> Digest {
        Digest(format!("{:x}", Sha256::digest(secret)))
    }

    /// A number that follows from the secret, and shows nothing of it.
    pub(crate) fn number(&self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&Sha256::digest(&self.0)[..8]);
        u64::from_be_bytes(bytes)
    }

    /// Whether both are of one secret, in constant time.
    pub(crate) fn matches(&self, other: &Digest) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_shows_nothing_and_matches_its_secret_alone() {
        let digest = Digest::of("a secret of a holder");
        assert!(digest.matches(&Digest::of("a secret of a holder")));
        assert!(!digest.matches(&Digest::of("a secret of another")));
        assert_eq!(format!("{digest:?}"), "Digest");
        assert!(!serde_json::to_string(&digest).unwrap().contains("holder"));
    }
}
