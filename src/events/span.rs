//! The span of an acquisition.

use std::path::Path;
use std::time::Duration;

use crate::events::emit::quietly;
use crate::events::text::{plain, secs};

/// The subscriber's span; empty without the feature.
#[derive(Debug, Default)]
pub(super) struct Span {
    #[cfg(feature = "tracing")]
    span: Option<tracing::Span>,
}

impl Span {
    pub(super) fn of_acquisition(path: &Path, lifetime: Duration) -> Span {
        with_tracing! {
            let span = quietly(|| {
                tracing::debug_span!(
                    target: "linklock",
                    "linklock.acquire",
                    path = plain(path),
                    lifetime_secs = secs(lifetime),
                    outcome = tracing::field::Empty,
                    waited_secs = tracing::field::Empty,
                    claim = tracing::field::Empty,
                    token = tracing::field::Empty,
                )
            });
            return Span { span };
        }
        #[allow(unreachable_code)]
        Span::default()
    }

    /// Runs a piece of the work inside the span, within one thread.
    pub(super) fn during<T>(&self, act: impl FnOnce() -> T) -> T {
        with_tracing! {
            let _entered = Entered(self.span.as_ref().and_then(|span| quietly(|| span.enter())));
        }
        act()
    }

    pub(super) fn record_acquired(&self, claim: Option<&Path>, token: Option<u64>) {
        with_tracing! {
            let Some(span) = self.span.as_ref().filter(|span| !span.is_disabled()) else { return };
            quietly(|| span.record("claim", claim.map(plain)).record("token", token).is_disabled());
        }
    }

    pub(super) fn record_outcome(&self, outcome: &str, waited: Duration) {
        with_tracing! {
            let Some(span) = &self.span else { return };
            quietly(|| {
                span.record("outcome", outcome).record("waited_secs", secs(waited)).is_disabled()
            });
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        with_tracing! {
            quietly(|| self.span = None);
        }
    }
}

/// The span is entered until this is dropped.
#[cfg(feature = "tracing")]
struct Entered<'a>(Option<tracing::span::Entered<'a>>);

#[cfg(feature = "tracing")]
impl Drop for Entered<'_> {
    fn drop(&mut self) {
        quietly(|| self.0 = None);
    }
}
