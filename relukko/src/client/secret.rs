//! The secret by which a holder shows that a lock is its own.

use std::fmt;
use std::str::FromStr;

use ureq::http::HeaderValue;
use uuid::Uuid;

use crate::secret::LENGTH;

/// What shows a server that a lock is one's own: a program that knows a lock's id and secret can renew
/// and release it. Its `Debug` does not show it.
///
/// ```
/// use linklock_relukko::v2::Secret;
///
/// let secret: Secret = "0d6c4ae2a1f84ff8".parse()?;
/// assert_eq!(secret.expose(), "0d6c4ae2a1f84ff8");
/// assert_eq!(format!("{secret:?}"), "Secret(..)");
/// assert!("short".parse::<Secret>().is_err());
/// # Ok::<(), linklock_relukko::v2::InvalidSecret>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Text that cannot be a secret: 16 to 200 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret consists of 16 to 200 visible ASCII characters")]
#[non_exhaustive]
pub struct InvalidSecret;

impl Secret {
    pub(super) fn random() -> Secret {
        Secret(Uuid::new_v4().simple().to_string())
    }

    /// The secret's text, to be kept where no other user can read it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(super) fn as_header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(&self.0).expect("visible ASCII");
        value.set_sensitive(true);
        value
    }
}

impl FromStr for Secret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Secret, InvalidSecret> {
        let is_secret =
            LENGTH.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_secret { Ok(Secret(text.to_owned())) } else { Err(InvalidSecret) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
