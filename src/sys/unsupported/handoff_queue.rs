//! Where there is no abstract namespace for sockets there is no queue: whoever waits, polls.

#![allow(dead_code)] // nobody is ever in it

use std::convert::Infallible;

use super::wake_fd::Ear;

/// A place in the queue: nobody has one.
#[derive(Debug)]
pub(crate) enum Place {
    Head(Turn),
    Behind(Behind),
}

/// The place at the head.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) row: u64,
    nobody: Infallible,
}

/// A place in line.
#[derive(Debug)]
pub(crate) struct Behind {
    nobody: Infallible,
}

/// What is heard in line.
#[derive(Debug)]
pub(crate) enum Word {
    Turn(Turn),
    Gone,
    None,
}

impl Place {
    pub(crate) fn join(_queue: u64) -> Option<Place> {
        None
    }
}

impl Behind {
    pub(crate) fn ear(&self) -> Ear {
        match self.nobody {}
    }

    pub(crate) fn word(&mut self) -> Word {
        match self.nobody {}
    }
}
