//! Systems without inotify(7) watch no files: a waiter polls.

use std::convert::Infallible;
use std::io;
use std::path::Path;

use super::wake_fd::WakeFd;

/// A watch on files; never exists.
#[derive(Debug)]
pub(crate) struct Watch {
    nothing: Infallible,
}

impl Watch {
    pub(crate) fn new() -> Option<Watch> {
        None
    }

    pub(crate) fn on(&mut self, _paths: &[&Path]) -> io::Result<()> {
        match self.nothing {}
    }

    pub(crate) fn wake_fd(&self) -> WakeFd {
        match self.nothing {}
    }

    pub(crate) fn hear(&self) -> bool {
        match self.nothing {}
    }
}

/// There is nothing to close.
pub(crate) fn close_one() {}
