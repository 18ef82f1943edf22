//! A file system that fails on request.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::error::Operation;
use crate::sys::fs::{Attr, Fs, HeldOpen, Mount, OpenFile};
use crate::sys::range_lock::Locker;

/// An operation of [`Fs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Create,
    Stat,
    Read,
    Touch,
    TouchAtime,
    Link,
    Rename,
    Unlink,
    List,
    MakeDir,
    RemoveDir,
    Open,
    RangeLock,
    RangeUnlock,
    Locker,
}

impl Op {
    pub(super) const ALL: [Op; 15] = [
        Op::Create,
        Op::Stat,
        Op::Read,
        Op::Touch,
        Op::TouchAtime,
        Op::Link,
        Op::Rename,
        Op::Unlink,
        Op::List,
        Op::MakeDir,
        Op::RemoveDir,
        Op::Open,
        Op::RangeLock,
        Op::RangeUnlock,
        Op::Locker,
    ];

    /// Whether it matters that the operation was executed although it reported a failure.
    pub(super) fn changes(self) -> bool {
        !matches!(self, Op::Stat | Op::Read | Op::List | Op::Open | Op::Locker)
    }

    /// The operation's name in errors.
    pub(super) fn operation(self) -> Operation {
        match self {
            Op::Create | Op::MakeDir => Operation::Create,
            Op::Stat => Operation::Stat,
            Op::Read => Operation::Read,
            Op::Touch | Op::TouchAtime => Operation::Touch,
            Op::Link => Operation::Link,
            Op::Rename => Operation::Rename,
            Op::Unlink | Op::RemoveDir => Operation::Remove,
            Op::List => Operation::List,
            Op::Open => Operation::Open,
            Op::RangeLock | Op::RangeUnlock | Op::Locker => Operation::FcntlLock,
        }
    }
}

/// Which calls of an operation fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Only this one: a retry succeeds.
    At(usize),
    /// This one and all later ones.
    From(usize),
}

/// A failure to inject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) op: Op,
    pub(super) errno: i32,
    pub(super) when: When,
    /// Whether the operation is executed although it reports a failure: a lost reply.
    pub(super) executed: bool,
}

impl Fault {
    /// Only the first call fails, without being executed.
    pub(super) fn once(op: Op, errno: i32) -> Fault {
        Fault { op, errno, when: When::At(0), executed: false }
    }

    /// All calls fail, without being executed.
    pub(super) fn always(op: Op, errno: i32) -> Fault {
        Fault { when: When::From(0), ..Fault::once(op, errno) }
    }
}

/// A call that was made to fail.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) paths: Vec<PathBuf>,
    /// Whether it was executed all the same.
    pub(super) executed: bool,
}

/// A permanent deviation of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quirk {
    /// A link to an existing name is reported as made, as by old BSD clients.
    TakenIsDone,
    /// The attributes of every file report a link count of 1.
    CountsNoLinks,
}

/// The calls so far.
#[derive(Debug, Default)]
struct Record {
    fault: Option<Fault>,
    counts: [usize; Op::ALL.len()],
    calls: usize,
    failures: Vec<Failure>,
    gave_up: bool,
}

/// After this many calls a process is considered to retry for ever: the fault is removed, so that
/// the test ends.
const ENDLESS: usize = 30_000;

/// A process's view of a file system, with its faults.
#[derive(Debug)]
pub(super) struct FaultyFs {
    inner: Arc<dyn Fs>,
    mount: Mount,
    quirk: Option<Quirk>,
    faults: Arc<Faults>,
}

/// The faults of a file system, shared with its open files.
#[derive(Debug, Default)]
struct Faults(Mutex<Record>);

/// An open file, and the name by which it was opened.
#[derive(Debug)]
struct FaultyFile {
    inner: Box<dyn OpenFile>,
    path: PathBuf,
    faults: Arc<Faults>,
}

impl FaultyFs {
    pub(super) fn new(inner: Arc<dyn Fs>, mount: Mount) -> FaultyFs {
        FaultyFs { inner, mount, quirk: None, faults: Arc::default() }
    }

    pub(super) fn with(self, quirk: Quirk) -> FaultyFs {
        FaultyFs { quirk: Some(quirk), ..self }
    }

    /// The attributes that this file system reports.
    fn shown(&self, attr: Attr) -> Attr {
        let nlink = if self.quirk == Some(Quirk::CountsNoLinks) { 1 } else { attr.nlink };
        Attr { nlink, ..attr }
    }

    /// Starts counting and failing.
    pub(super) fn arm(&self, fault: Option<Fault>) {
        *self.record() = Record { fault, ..Record::default() };
    }

    /// Stops failing, but keeps the counts.
    pub(super) fn disarm(&self) {
        self.record().fault = None;
    }

    /// How often this operation was called.
    pub(super) fn count(&self, op: Op) -> usize {
        self.record().counts[op as usize]
    }

    pub(super) fn failures(&self) -> Vec<Failure> {
        self.record().failures.clone()
    }

    /// Whether the fault was removed after endless calls.
    pub(super) fn gave_up(&self) -> bool {
        self.record().gave_up
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.faults.record()
    }

    fn call<T>(
        &self,
        op: Op,
        paths: &[&Path],
        execute: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        self.faults.call(op, paths, execute)
    }

    fn opened(&self, path: &Path, inner: Box<dyn OpenFile>) -> Box<dyn OpenFile> {
        Box::new(FaultyFile { inner, path: path.to_owned(), faults: self.faults.clone() })
    }
}

impl Faults {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault that applies to this call.
    fn strikes(&self, op: Op) -> Option<Fault> {
        let mut record = self.record();
        let number = record.counts[op as usize];
        record.counts[op as usize] += 1;
        record.calls += 1;
        if record.calls > ENDLESS && record.fault.take().is_some() {
            record.gave_up = true;
        }
        record.fault.filter(|fault| {
            let hit = match fault.when {
                When::At(n) => number == n,
                When::From(n) => number >= n,
            };
            fault.op == op && hit
        })
    }

    fn call<T>(
        &self,
        op: Op,
        paths: &[&Path],
        execute: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let Some(fault) = self.strikes(op) else { return execute() };
        let executed = fault.executed && execute().is_ok();
        let paths = paths.iter().map(|&path| path.to_owned()).collect();
        self.record().failures.push(Failure { paths, executed });
        Err(io::Error::from_raw_os_error(fault.errno))
    }
}

impl Fs for FaultyFs {
    fn create(
        &self,
        path: &Path,
        content: &[u8],
        permissions: Option<u32>,
        mtime: &mut dyn FnMut(&Attr) -> SystemTime,
    ) -> io::Result<(Attr, HeldOpen)> {
        self.call(Op::Create, &[path], || self.inner.create(path, content, permissions, mtime))
    }

    fn stat(&self, path: &Path) -> io::Result<Attr> {
        self.call(Op::Stat, &[path], || self.inner.stat(path)).map(|attr| self.shown(attr))
    }

    fn read(&self, path: &Path, limit: usize) -> io::Result<(Attr, Vec<u8>)> {
        let read = self.call(Op::Read, &[path], || self.inner.read(path, limit));
        read.map(|(attr, content)| (self.shown(attr), content))
    }

    fn touch(&self, path: &Path, mtime: SystemTime) -> io::Result<()> {
        self.call(Op::Touch, &[path], || self.inner.touch(path, mtime))
    }

    fn touch_atime(&self, path: &Path) -> io::Result<()> {
        self.call(Op::TouchAtime, &[path], || self.inner.touch_atime(path))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.call(Op::Link, &[from, to], || self.inner.link(from, to)) {
            Err(error)
                if self.quirk == Some(Quirk::TakenIsDone)
                    && error.kind() == io::ErrorKind::AlreadyExists =>
            {
                Ok(())
            }
            linked => linked,
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Op::Rename, &[from, to], || self.inner.rename(from, to))
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.call(Op::Unlink, &[path], || self.inner.unlink(path))
    }

    fn make_dir(&self, path: &Path, entry: &str, permissions: Option<u32>) -> io::Result<()> {
        self.call(Op::MakeDir, &[path], || self.inner.make_dir(path, entry, permissions))
    }

    fn remove_dir(&self, path: &Path, entry: &str) -> io::Result<()> {
        self.call(Op::RemoveDir, &[path], || self.inner.remove_dir(path, entry))
    }

    fn rename_in(&self, dir: &Path, from: &str, to: &str) -> io::Result<()> {
        let paths = [&*dir.join(from), &*dir.join(to)];
        self.call(Op::Rename, &paths, || self.inner.rename_in(dir, from, to))
    }

    fn unlink_in(&self, dir: &Path, entry: &str) -> io::Result<()> {
        self.call(Op::Unlink, &[&dir.join(entry)], || self.inner.unlink_in(dir, entry))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.call(Op::List, &[dir], || self.inner.list(dir))
    }

    fn mount(&self, _dir: &Path) -> io::Result<Mount> {
        Ok(self.mount)
    }

    fn create_new(
        &self,
        path: &Path,
        content: &[u8],
        permissions: u32,
    ) -> io::Result<Box<dyn OpenFile>> {
        let made =
            self.call(Op::Create, &[path], || self.inner.create_new(path, content, permissions));
        made.map(|file| self.opened(path, file))
    }

    fn open(&self, path: &Path, for_writing: bool) -> io::Result<Option<Box<dyn OpenFile>>> {
        let opened = self.call(Op::Open, &[path], || self.inner.open(path, for_writing));
        opened.map(|file| file.map(|file| self.opened(path, file)))
    }

    fn stat_lockable(&self, path: &Path) -> io::Result<Attr> {
        let seen = self.call(Op::Stat, &[path], || self.inner.stat_lockable(path));
        seen.map(|attr| self.shown(attr))
    }
}

impl FaultyFile {
    fn call<T>(&self, op: Op, execute: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.faults.call(op, &[&self.path], execute)
    }
}

impl OpenFile for FaultyFile {
    fn attributes(&self) -> io::Result<Attr> {
        self.call(Op::Stat, || self.inner.attributes())
    }

    fn touch(&self) -> io::Result<()> {
        self.call(Op::Touch, || self.inner.touch())
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.call(Op::RangeLock, || self.inner.try_lock())
    }

    fn unlock(&self) -> io::Result<()> {
        self.call(Op::RangeUnlock, || self.inner.unlock())
    }

    fn locker(&self) -> io::Result<Locker> {
        self.call(Op::Locker, || self.inner.locker())
    }

    fn file(&self) -> Option<&File> {
        self.inner.file()
    }
}
