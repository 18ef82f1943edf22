//! Text and numbers as they appear in events.

use std::ffi::OsStr;
use std::fmt::Display;
use std::time::Duration;

/// Text that cannot end a line or move a cursor: unprintable characters are escaped as in a Rust
/// string. Quotes and backslashes are left to the log's writer, which quotes all strings.
pub(super) fn plain(text: impl AsRef<OsStr>) -> String {
    let text = text.as_ref().to_string_lossy();
    let mut plain = String::with_capacity(text.len());
    for part in text.split_inclusive(['"', '\'', '\\']) {
        let body = part.trim_end_matches(['"', '\'', '\\']);
        plain.extend(body.escape_debug());
        plain.push_str(&part[body.len()..]);
    }
    plain
}

/// The text of an error.
pub(super) fn words(error: impl Display) -> String {
    plain(error.to_string())
}

/// The unit of all times in events.
pub(super) fn secs(time: Duration) -> f64 {
    time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unprintable_characters_are_escaped() {
        for (text, escaped) in [
            ("/shared/report.lock", "/shared/report.lock"),
            ("joe's \"own\" \\lock", "joe's \"own\" \\lock"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[31mred\u{9b}m\u{7f}", "\\u{1b}[31mred\\u{9b}m\\u{7f}"),
            ("left\u{202e}thgir\u{2028}", "left\\u{202e}thgir\\u{2028}"),
            ("''\n\\\n", "''\\n\\\\n"),
            ("na\u{ef}ve nai\u{308}ve", "na\u{ef}ve nai\u{308}ve"),
            ("", ""),
        ] {
            assert_eq!(plain(text), escaped);
        }
    }
}
