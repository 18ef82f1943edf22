//! How something is told: without harm to the lock, whatever the subscriber does, and without
//! harm to the log, whatever others have written into names.

use std::cell::Cell;
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

/// An event: its level, its name, its text, the lock's path, and what else is told.
macro_rules! event {
    ($level:ident $name:ident $text:literal, $path:expr $(, $($key:ident).+ = $value:expr)*) => {{
        let _ = $crate::events::emit::quietly(|| tracing::event!(
            name: concat!("linklock.", stringify!($name)),
            target: "linklock",
            tracing::Level::$level,
            { path = $crate::events::text::plain($path), $($($key).+ = $value,)* },
            $text
        ));
    }};
}

/// An event with somebody else in it.
macro_rules! peer_event {
    ($level:ident $peer:expr => $name:ident $text:literal, $path:expr $(, $key:ident = $value:expr)*) => {{
        let peer: $crate::events::peer::Peer<'_> = $peer;
        event!(
            $level $name $text, $path $(, $key = $value)*,
            holder.kind = peer.kind,
            holder.host = peer.host.map($crate::events::text::plain),
            holder.pid = peer.pid,
            holder.claim = peer.claim.map($crate::events::text::plain),
            holder.program = peer.program(),
            holder.life = peer.life(),
            holder.lease_secs = peer.lease_secs,
            holder.unchanged_secs = peer.unchanged.map($crate::events::text::secs),
            error = peer.error.map($crate::events::text::words)
        );
    }};
}

/// Tells at INFO what took long, and at DEBUG what did not.
macro_rules! timed_event {
    ($time:expr => $emit:ident $($told:tt)*) => {
        if $time >= $crate::events::emit::LONG {
            $emit!(INFO $($told)*);
        } else {
            $emit!(DEBUG $($told)*);
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

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
