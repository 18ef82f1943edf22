//! Systems without an abstract socket namespace have no queue: a waiter polls.

#![allow(dead_code)] // no value of these types ever exists

use std::convert::Infallible;

use super::wake_fd::WakeFd;

/// A place in the queue; never exists.
#[derive(Debug)]
pub(crate) enum Place {
    Head(HandoffToken),
    Behind(Queued),
}

/// The place at the head.
#[derive(Debug)]
pub(crate) struct HandoffToken {
    pub(crate) handoffs: u64,
    nobody: Infallible,
}

/// A place in the queue behind the head.
#[derive(Debug)]
pub(crate) struct Queued {
    nobody: Infallible,
}

/// What a queued waiter can receive.
#[derive(Debug)]
pub(crate) enum QueueEvent {
    Token(HandoffToken),
    Gone,
    None,
}

impl Place {
    pub(crate) fn join(_queue: u64) -> Option<Place> {
        None
    }
}

impl Queued {
    pub(crate) fn wake_fd(&self) -> WakeFd {
        match self.nobody {}
    }

    pub(crate) fn event(&mut self) -> QueueEvent {
        match self.nobody {}
    }
}
