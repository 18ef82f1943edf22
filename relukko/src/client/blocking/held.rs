//! A lock that is held until this is dropped: what the guards of both interfaces have in common.

use std::fmt;
use std::ops::Deref;

use super::transport::Blocking;
use super::wake::run;
use crate::client::error::ClientError;
use crate::client::holding::Holding;
use crate::client::interface::Interface;

pub(super) struct Held<I: Interface> {
    holding: Holding<Blocking, I>,
    is_done: bool,
}

impl<I: Interface> Held<I> {
    pub(super) fn new(holding: Holding<Blocking, I>) -> Held<I> {
        Held { holding, is_done: false }
    }

    pub(super) fn unlock(mut self) -> Result<(), ClientError> {
        self.is_done = true;
        run(self.holding.release())
    }

    /// Leaves the lock held.
    pub(super) fn let_go(mut self) {
        self.holding.let_go();
        self.is_done = true;
    }
}

impl<I: Interface> Deref for Held<I> {
    type Target = Holding<Blocking, I>;

    fn deref(&self) -> &Holding<Blocking, I> {
        &self.holding
    }
}

impl<I: Interface> Drop for Held<I> {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = run(self.holding.release()); // or it expires
        }
    }
}

/// As the guard.
impl<I: Interface> fmt::Debug for Held<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.holding.fmt_guard(f)
    }
}
