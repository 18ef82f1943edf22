//! URLs of locks.

use std::fmt;
use std::str::FromStr;

use super::percent;

/// The URL of a lock: that of its server, which may have a path, and the lock's name as the last
/// segment, percent-encoded.
///
/// ```
/// use linklock_relukko::v2::LockUrl;
///
/// let url: LockUrl = "https://locks.example/team/night%20report".parse()?;
/// assert_eq!((url.server(), url.name()), ("https://locks.example/team", "night report"));
/// assert_eq!(LockUrl::new("http://127.0.0.1:3000/", "a/b").to_string(), "http://127.0.0.1:3000/a%2Fb");
/// # Ok::<(), linklock_relukko::v2::InvalidUrl>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockUrl {
    /// Without a trailing slash.
    server: String,
    name: String,
}

/// Text that is not the URL of a lock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is not the URL of a lock: {reason}")]
#[non_exhaustive]
pub struct InvalidUrl {
    url: String,
    reason: &'static str,
}

impl LockUrl {
    /// The URL of the lock with this name on the server with this URL.
    pub fn new(server: impl Into<String>, name: impl Into<String>) -> LockUrl {
        let mut server: String = server.into();
        server.truncate(server.trim_end_matches('/').len());
        LockUrl { server, name: name.into() }
    }

    /// The server's URL, without a trailing slash.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The lock's name, without any encoding.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for LockUrl {
    type Err = InvalidUrl;

    fn from_str(url: &str) -> Result<LockUrl, InvalidUrl> {
        let invalid = |reason| InvalidUrl { url: url.to_owned(), reason };
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let rest = rest.ok_or(invalid("it begins with neither http:// nor https://"))?;
        if rest.contains(['?', '#']) {
            return Err(invalid("write ? as %3F and # as %23"));
        }
        let name = rest.rsplit_once('/').map(|(_, name)| name).filter(|name| !name.is_empty());
        let name = name.ok_or(invalid("it has no name after the last slash"))?;
        let server = &url[..url.len() - name.len()];
        let name = percent::decode(name);
        let name = name.ok_or(invalid("its last segment is not percent-encoded UTF-8"))?;
        Ok(LockUrl::new(server, name))
    }
}

impl fmt::Display for LockUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.server, percent::encode(&self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server_and_a_lock() {
        let parts = |url: &str| {
            url.parse::<LockUrl>().ok().map(|url| (url.server().to_owned(), url.name().to_owned()))
        };
        let found = |server: &str, name: &str| Some((server.to_owned(), name.to_owned()));
        assert_eq!(parts("http://h:3000/a"), found("http://h:3000", "a"));
        assert_eq!(parts("https://h/a/b/c"), found("https://h/a/b", "c"));
        assert_eq!(parts("http://h//a"), found("http://h", "a"));
        assert_eq!(parts("http://h/%C3%BC%2F%25"), found("http://h", "ü/%"));
        assert_eq!(parts("http://h/ü"), found("http://h", "ü"));
        for wrong in ["h/a", "ftp://h/a", "http://h", "http://h/", "http://h/a/", "http://h/a?b"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
        for wrong in ["http://h/%", "http://h/%2", "http://h/%zz", "http://h/%FF", "http://h/%+1"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_url_that_is_shown_is_read_back(name in ".+") {
            let url = LockUrl::new("https://locks.example/team", name);
            proptest::prop_assert_eq!(url.to_string().parse(), Ok(url));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "http://.*") {
            let _ = text.parse::<LockUrl>();
        }
    }
}
