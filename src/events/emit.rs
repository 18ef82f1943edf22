//! How an event is emitted without harm to the lock, whatever the subscriber does.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::model::context::Context;

/// A wait of this length also interests subscribers that do not follow each step.
pub(super) const LONG: Duration = Duration::from_secs(1);

thread_local! {
    /// Whether this thread is inside the subscriber.
    static EMITS: Cell<bool> = const { Cell::new(false) };
}

/// Now, for an event. Without the feature there is none, and nobody asks the clock.
pub(super) fn now(context: &Context) -> Duration {
    if cfg!(feature = "tracing") { context.now() } else { Duration::ZERO }
}

/// Calls the subscriber. A panic in it is discarded: the lock is in the middle of an operation, or
/// in a destructor, or the thread keeps other locks alive. Locks that a subscriber uses itself, for
/// its log file say, emit nothing, to prevent endless recursion.
pub(super) fn quietly<T>(emit: impl FnOnce() -> T) -> Option<T> {
    if EMITS.replace(true) {
        return None;
    }
    let emitted = catch_unwind(AssertUnwindSafe(emit));
    EMITS.set(false);
    emitted.ok()
}

/// Code that exists only with the feature.
#[cfg(feature = "tracing")]
macro_rules! with_tracing {
    ($($code:tt)*) => { $($code)* };
}

/// Vanishes without the feature.
#[cfg(not(feature = "tracing"))]
macro_rules! with_tracing {
    ($($code:tt)*) => {};
}

/// Emits an event: its level, its name, its text, the lock's path, and its other fields.
macro_rules! event {
    ($level:ident $name:ident $text:literal, $path:expr $(, $($key:ident).+ = $value:expr)*) => {{
        with_tracing! {
            let _ = $crate::events::emit::quietly(|| tracing::event!(
                name: concat!("linklock.", stringify!($name)),
                target: "linklock",
                tracing::Level::$level,
                { path = $crate::events::text::plain($path), $($($key).+ = $value,)* },
                $text
            ));
        }
    }};
}

/// Emits an event that involves another process or program.
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

/// Emits at INFO if the time is long, and at DEBUG otherwise.
macro_rules! timed_event {
    ($time:expr => $emit:ident $($event:tt)*) => {
        if $time >= $crate::events::emit::LONG {
            $emit!(INFO $($event)*);
        } else {
            $emit!(DEBUG $($event)*);
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_is_not_called_from_itself() {
        assert_eq!(quietly(|| quietly(|| 1)), Some(None));
        assert_eq!(quietly(|| 2), Some(2));
    }

    #[test]
    fn a_panic_of_a_subscriber_is_discarded() {
        assert_eq!(quietly(|| panic!("a subscriber's")), None::<()>);
        assert_eq!(quietly(|| 3), Some(3));
    }
}
