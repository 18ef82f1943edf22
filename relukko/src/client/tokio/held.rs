//! A lock that is held until this is dropped: what the guards of both interfaces have in common.

use std::fmt;
use std::ops::Deref;

use ::tokio::runtime::Handle;

use super::transport::Tokio;
use crate::client::error::ClientError;
use crate::client::holding::Holding;
use crate::client::interface::Interface;

pub(super) struct Held<I: Interface> {
    holding: Holding<Tokio, I>,
    runtime: Handle,
    is_done: bool,
}

impl<I: Interface> Held<I> {
    /// Must be called on a runtime.
    pub(super) fn new(holding: Holding<Tokio, I>) -> Held<I> {
        Held { holding, runtime: Handle::current(), is_done: false }
    }

    pub(super) async fn unlock(mut self) -> Result<(), ClientError> {
        let released = self.holding.release().await;
        self.is_done = true;
        released
    }

    /// Leaves the lock held.
    pub(super) fn let_go(mut self) {
        self.holding.let_go();
        self.is_done = true;
    }
}

impl<I: Interface> Deref for Held<I> {
    type Target = Holding<Tokio, I>;

    fn deref(&self) -> &Holding<Tokio, I> {
        &self.holding
    }
}

impl<I: Interface> Drop for Held<I> {
    fn drop(&mut self) {
        self.holding.let_go();
        if !self.is_done {
            let holding = self.holding.clone();
            self.runtime.spawn(async move {
                let _ = holding.release().await; // or it expires
            });
        }
    }
}

/// As the guard.
impl<I: Interface> fmt::Debug for Held<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.holding.fmt_guard(f)
    }
}
