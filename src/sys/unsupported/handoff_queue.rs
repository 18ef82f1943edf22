//! Where there is no abstract namespace for sockets there is no queue: a waiter polls.

#![allow(dead_code)] // nobody is ever in it

use std::convert::Infallible;

use super::wake_fd::WakeFd;

/// A place in the queue: nobody has one.
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

/// A place in line.
#[derive(Debug)]
pub(crate) struct Queued {
    nobody: Infallible,
}

/// What is heard in line.
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
