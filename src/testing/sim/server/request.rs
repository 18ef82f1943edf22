//! Requests of the clients, and answers of the server.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::sys::fs::Attr;

/// An inode as a client refers to it: its number, and the generation of that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::testing::sim) struct Handle {
    pub(super) ino: u64,
    pub(super) generation: u64,
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inode {}.{}", self.ino, self.generation)
    }
}

/// A request of a client. The server looks up names, but not handles.
#[derive(Clone, Debug)]
pub(in crate::testing::sim) enum Request {
    Lookup(PathBuf),
    GetAttr(Handle),
    Read(Handle),
    Create(PathBuf),
    Write(Handle, Vec<u8>),
    SetMtime(Handle, SystemTime),
    SetAtime(Handle),
    /// Reports whether everything that was written could be stored.
    Close(Handle),
    Link(Handle, PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    MakeDir(PathBuf),
    RemoveDir(PathBuf),
    List(PathBuf),
    /// Makes a file whose name must be free.
    CreateNew(PathBuf),
    /// Sets the times to the server's clock.
    TouchNow(Handle),
    /// Locks a whole file, for an open file of a process.
    Lock(Handle, Owner),
    /// Unlocks what this open file has locked, as closing it does.
    Unlock(Owner),
    /// Whether another open file has locked it.
    TestLock(Handle, Owner),
}

/// The open file that a range lock belongs to: its process, and a number.
pub(in crate::testing::sim) type Owner = (usize, u64);

/// An answer of the server.
#[derive(Clone, Debug)]
pub(in crate::testing::sim) enum Answer {
    Done,
    Attr(Handle, Attr),
    Content(Attr, Vec<u8>),
    Names(Vec<OsString>),
}
