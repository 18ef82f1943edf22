//! How something is told: without harm to the lock, whatever the subscriber does, and without
//! harm to the log, whatever others have written into names.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Who waits for longer is told of to those, too, who don't follow each step.
pub(super) const LONG: Duration = Duration::from_secs(1);

thread_local! {
    /// Whether this thread is telling something already.
    static TELLS: Cell<bool> = const { Cell::new(false) };
}

/// Calls the subscriber. If it panics, it is as if it had not been called: the lock is in the middle
/// of something, or in a destructor, or the thread keeps other locks alive. A subscriber that uses
/// a lock itself, say for its file, is told nothing of that: it would never end.
pub(super) fn quietly<T>(tell: impl FnOnce() -> T) -> Option<T> {
    if TELLS.replace(true) {
        return None;
    }
    let told = catch_unwind(AssertUnwindSafe(tell));
    TELLS.set(false);
    told.ok()
}

/// Text that can't end a line nor move a cursor: what is not printable is escaped as in a string of
/// Rust. Quotes and backslashes are left to whoever writes the log, who quotes all strings.
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

/// What an error says.
pub(super) fn words(error: impl Display) -> String {
    plain(error.to_string())
}

/// The unit of all times that are told.
pub(super) fn secs(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// An event: its level, its name, its text, the lock's path, and what else is told.
macro_rules! tell {
    ($level:ident $name:ident $text:literal, $path:expr $(, $($key:ident).+ = $value:expr)*) => {{
        let _ = $crate::report::emit::quietly(|| tracing::event!(
            name: concat!("linklock.", stringify!($name)),
            target: "linklock",
            tracing::Level::$level,
            { path = $crate::report::emit::plain($path), $($($key).+ = $value,)* },
            $text
        ));
    }};
}

/// An event with somebody else in it.
macro_rules! tell_of {
    ($level:ident $party:expr => $name:ident $text:literal, $path:expr $(, $key:ident = $value:expr)*) => {{
        let party: $crate::report::party::Party<'_> = $party;
        tell!(
            $level $name $text, $path $(, $key = $value)*,
            holder.kind = party.kind,
            holder.host = party.host.map($crate::report::emit::plain),
            holder.pid = party.pid,
            holder.claim = party.claim.map($crate::report::emit::plain),
            holder.program = party.program(),
            holder.life = party.life(),
            holder.lease_secs = party.lease_secs,
            holder.unchanged_secs = party.unchanged.map($crate::report::emit::secs),
            error = party.error.map($crate::report::emit::words)
        );
    }};
}

/// Tells at INFO what took long, and at DEBUG what did not.
macro_rules! tell_by_time {
    ($time:expr => $tell:ident $($told:tt)*) => {
        if $time >= $crate::report::emit::LONG {
            $tell!(INFO $($told)*);
        } else {
            $tell!(DEBUG $($told)*);
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_printable_is_escaped() {
        for (text, told) in [
            ("/shared/report.lock", "/shared/report.lock"),
            ("joe's \"own\" \\lock", "joe's \"own\" \\lock"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[31mred\u{9b}m\u{7f}", "\\u{1b}[31mred\\u{9b}m\\u{7f}"),
            ("left\u{202e}thgir\u{2028}", "left\\u{202e}thgir\\u{2028}"),
            ("''\n\\\n", "''\\n\\\\n"),
            ("na\u{ef}ve nai\u{308}ve", "na\u{ef}ve nai\u{308}ve"),
            ("", ""),
        ] {
            assert_eq!(plain(text), told);
        }
    }

    #[test]
    fn nothing_is_told_while_something_is_told() {
        assert_eq!(quietly(|| quietly(|| 1)), Some(None));
        assert_eq!(quietly(|| 2), Some(2));
    }

    #[test]
    fn a_panic_is_as_if_nothing_had_been_told() {
        assert_eq!(quietly(|| panic!("a subscriber's")), None::<()>);
        assert_eq!(quietly(|| 3), Some(3));
    }
}
