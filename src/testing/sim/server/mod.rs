//! The file server: inodes, names and its clock. Every request is executed in one step.

use crate::sys::errno;
use crate::sys::os_str::OsStrExt;
mod inspect;
mod request;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub(super) use self::request::{Answer, Handle, Owner, Request};
use super::constants::{DIR, WRITTEN_BACK, epoch};
use crate::sys::fs::{Attr, FileId, FileKind};

#[derive(Clone, Debug)]
struct Inode {
    generation: u64,
    nlink: u64,
    is_dir: bool,
    content: Vec<u8>,
    /// When the content was written, on the disk or not.
    written: Duration,
    /// What a power cut has left of it.
    kept: Content,
    mtime: SystemTime,
    ctime: SystemTime,
}

/// What a power cut has left of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Whole,
    Empty,
    /// As long as before, but all zero.
    Nuls,
}

impl Inode {
    /// What a reader gets.
    fn read(&self) -> Vec<u8> {
        match self.kept {
            Content::Whole => self.content.clone(),
            Content::Empty => Vec::new(),
            Content::Nuls => vec![0; self.content.len()],
        }
    }

    fn size(&self) -> usize {
        if self.kept == Content::Empty { 0 } else { self.content.len() }
    }
}

/// One directory of one server, with its subdirectories.
#[derive(Clone, Debug)]
pub(super) struct Server {
    inodes: BTreeMap<u64, Inode>,
    /// Sorted by bytes: [`Path`] compares one component after the other, which takes far longer.
    names: BTreeMap<OsString, u64>,
    generations: u64,
    /// Counts the changes of the directory, as NFSv4's change attribute does.
    pub(super) changes: u64,
    /// The date when the run began, according to the clock as it is set now.
    epoch: SystemTime,
    resolution: Duration,
    /// The files with a lock on their whole range.
    locks: BTreeMap<Handle, Owner>,
}

type Result<T> = std::result::Result<T, i32>;

impl Server {
    pub(super) fn new(resolution: Duration) -> Server {
        Server {
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            generations: 0,
            changes: 0,
            epoch: epoch(),
            resolution,
            locks: BTreeMap::new(),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Path> {
        self.names.keys().map(Path::new)
    }

    /// The inode that a name leads to right now.
    pub(super) fn find(&self, path: &Path) -> Option<Handle> {
        let ino = *self.names.get(path.as_os_str())?;
        Some(Handle { ino, generation: self.inodes[&ino].generation })
    }

    /// Sets the clock forward, or back, by `seconds`.
    pub(super) fn set_clock(&mut self, seconds: i64) {
        let by = Duration::from_secs(seconds.unsigned_abs());
        self.epoch = if seconds < 0 { self.epoch - by } else { self.epoch + by };
    }

    /// Cuts the power: recently written contents are lost.
    pub(super) fn lose_contents(&mut self, to_nuls: bool, now: Duration) {
        let lost = if to_nuls { Content::Nuls } else { Content::Empty };
        for inode in self.inodes.values_mut() {
            if !inode.is_dir && inode.written > Duration::ZERO && now < inode.written + WRITTEN_BACK
            {
                inode.kept = lost;
            }
        }
    }

    /// The inodes that a request would change.
    pub(super) fn changed_by(&self, request: &Request) -> [Option<Handle>; 2] {
        match request {
            Request::Write(handle, _)
            | Request::SetMtime(handle, _)
            | Request::SetAtime(handle)
            | Request::TouchNow(handle)
            | Request::Link(handle, _) => [Some(*handle), None],
            Request::Rename(from, to) => [self.find(from), self.find(to)],
            Request::Remove(path) => [self.find(path), None],
            Request::Lookup(_)
            | Request::GetAttr(_)
            | Request::Read(_)
            | Request::Create(_)
            | Request::CreateNew(_)
            | Request::Close(_)
            | Request::MakeDir(_)
            | Request::RemoveDir(_)
            | Request::List(_)
            | Request::Lock(..)
            | Request::Unlock(_)
            | Request::TestLock(..) => [None; 2],
        }
    }

    /// The current time, as a time stamp.
    fn time(&self, now: Duration) -> SystemTime {
        self.rounded(self.epoch + now)
    }

    fn rounded(&self, time: SystemTime) -> SystemTime {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let Ok(since) = time.duration_since(SystemTime::UNIX_EPOCH) else { return time };
        let too_much = nanos(since).checked_rem(nanos(self.resolution)).unwrap_or_default();
        time - Duration::from_nanos(too_much)
    }

    pub(super) fn execute(&mut self, request: &Request, now: Duration) -> Result<Answer> {
        let time = self.time(now);
        match request {
            Request::Lookup(path) => {
                let handle = self.find(path).ok_or(errno::ENOENT)?;
                self.attr(handle)
            }
            Request::GetAttr(handle) => self.attr(*handle),
            Request::Read(handle) => {
                let content = self.inode(*handle)?.read();
                match self.attr(*handle)? {
                    Answer::Attr(_, attr) => Ok(Answer::Content(attr, content)),
                    other => Ok(other),
                }
            }
            Request::Create(path) => {
                if let Some(handle) = self.find(path) {
                    return self.attr(handle); // the create was not exclusive
                }
                let handle = self.make(path, false, time)?;
                self.attr(handle)
            }
            Request::CreateNew(path) => self.create_new(path, time),
            Request::TouchNow(handle) => self.set_mtime(*handle, time, time),
            Request::Lock(handle, owner) => self.lock(*handle, *owner),
            Request::Unlock(owner) => Ok(self.unlock(*owner)),
            Request::TestLock(handle, owner) => self.test_lock(*handle, *owner),
            Request::MakeDir(path) => {
                if self.names.contains_key(path.as_os_str()) {
                    return Err(errno::EEXIST);
                }
                self.make(path, true, time).map(|_| Answer::Done)
            }
            Request::Write(handle, content) => {
                let inode = self.inode(*handle)?;
                inode.content.clone_from(content);
                (inode.written, inode.kept) = (now, Content::Whole);
                (inode.mtime, inode.ctime) = (time, time);
                Ok(Answer::Done)
            }
            Request::SetMtime(handle, mtime) => self.set_mtime(*handle, self.rounded(*mtime), time),
            Request::SetAtime(handle) => {
                self.inode(*handle)?.ctime = time;
                Ok(Answer::Done)
            }
            Request::Close(handle) => self.inode(*handle).map(|_| Answer::Done),
            Request::Link(handle, to) => {
                if self.names.contains_key(to.as_os_str()) {
                    return Err(errno::EEXIST);
                }
                let inode = self.inode(*handle)?;
                inode.nlink += 1;
                inode.ctime = time;
                self.names.insert(to.clone().into(), handle.ino);
                self.changed(to, time);
                Ok(Answer::Done)
            }
            Request::Rename(from, to) => {
                let ino = *self.names.get(from.as_os_str()).ok_or(errno::ENOENT)?;
                if self.names.get(to.as_os_str()) == Some(&ino) {
                    return Ok(Answer::Done); // two names of one inode: rename(2) does nothing
                }
                match (
                    self.is_dir(from),
                    self.names.contains_key(to.as_os_str()).then(|| self.is_dir(to)),
                ) {
                    (true, Some(false)) => return Err(errno::ENOTDIR),
                    (false, Some(true)) => return Err(errno::EISDIR),
                    (true, Some(true)) if !self.is_empty(to) => return Err(errno::ENOTEMPTY),
                    _ => {}
                }
                self.names.remove(from.as_os_str());
                if let Some(replaced) = self.names.insert(to.clone().into(), ino) {
                    self.unlink(replaced, time);
                }
                for inside in self.inside(from) {
                    if let (Some(ino), Some(name)) =
                        (self.names.remove(inside.as_os_str()), inside.file_name())
                    {
                        self.names.insert(to.join(name).into(), ino);
                    }
                }
                self.changed(from, time);
                self.changed(to, time);
                Ok(Answer::Done)
            }
            Request::Remove(path) if self.is_dir(path) => Err(errno::EISDIR),
            Request::RemoveDir(path) if !self.is_empty(path) => Err(errno::ENOTEMPTY),
            Request::Remove(path) | Request::RemoveDir(path) => {
                let ino = self.names.remove(path.as_os_str()).ok_or(errno::ENOENT)?;
                self.unlink(ino, time);
                self.changed(path, time);
                Ok(Answer::Done)
            }
            Request::List(dir) if dir.as_os_str() != DIR && !self.is_dir(dir) => Err(errno::ENOENT),
            Request::List(dir) => Ok(Answer::Names(self.list(dir))),
        }
    }

    fn create_new(&mut self, path: &Path, time: SystemTime) -> Result<Answer> {
        if self.names.contains_key(path.as_os_str()) {
            return Err(errno::EEXIST);
        }
        let handle = self.make(path, false, time)?;
        self.attr(handle)
    }

    fn set_mtime(&mut self, handle: Handle, mtime: SystemTime, time: SystemTime) -> Result<Answer> {
        let inode = self.inode(handle)?;
        (inode.mtime, inode.ctime) = (mtime, time);
        Ok(Answer::Done)
    }

    fn lock(&mut self, handle: Handle, owner: Owner) -> Result<Answer> {
        self.test_lock(handle, owner)?;
        self.locks.insert(handle, owner);
        Ok(Answer::Done)
    }

    fn test_lock(&mut self, handle: Handle, owner: Owner) -> Result<Answer> {
        self.inode(handle)?;
        let is_free = self.locks.get(&handle).is_none_or(|holder| *holder == owner);
        if is_free { Ok(Answer::Done) } else { Err(errno::EAGAIN) }
    }

    fn unlock(&mut self, owner: Owner) -> Answer {
        self.locks.retain(|_, holder| *holder != owner);
        Answer::Done
    }

    /// A process has died: its client unlocks what it had locked.
    pub(super) fn release_locks(&mut self, process: usize) {
        self.locks.retain(|_, (owner, _)| *owner != process);
    }

    /// Makes an inode with that name.
    fn make(&mut self, path: &Path, is_dir: bool, time: SystemTime) -> Result<Handle> {
        if !path.parent().is_some_and(|dir| dir.as_os_str() == DIR || self.is_dir(dir)) {
            return Err(errno::ENOENT);
        }
        // The lowest free number, since file systems reuse inode numbers at once.
        let mut ino = 1;
        while self.inodes.contains_key(&ino) {
            ino += 1;
        }
        self.generations += 1;
        let generation = self.generations;
        let inode = Inode {
            generation,
            nlink: 1,
            is_dir,
            content: vec![],
            written: Duration::ZERO,
            kept: Content::Whole,
            mtime: time,
            ctime: time,
        };
        self.inodes.insert(ino, inode);
        self.names.insert(path.into(), ino);
        self.changed(path, time);
        Ok(Handle { ino, generation })
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.names.get(path.as_os_str()).is_some_and(|ino| self.inodes[ino].is_dir)
    }

    pub(super) fn list(&self, dir: &Path) -> Vec<OsString> {
        self.entries(dir).map(|(_, entry)| entry.to_owned()).collect()
    }

    /// The entries of a directory: each full path, with the name in the directory.
    fn entries(&self, dir: &Path) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let dir = dir.as_os_str().as_bytes().to_owned();
        self.names.keys().filter_map(move |path| {
            let entry = path.as_bytes().strip_prefix(dir.as_slice())?.strip_prefix(b"/")?;
            (!entry.contains(&b'/')).then(|| (path.as_os_str(), OsStr::from_bytes(entry)))
        })
    }

    fn inside(&self, dir: &Path) -> Vec<PathBuf> {
        self.entries(dir).map(|(path, _)| path.into()).collect()
    }

    fn is_empty(&self, dir: &Path) -> bool {
        self.entries(dir).next().is_none()
    }

    /// The directory of this name has changed.
    fn changed(&mut self, path: &Path, time: SystemTime) {
        match path.parent().and_then(|dir| self.names.get(dir.as_os_str())) {
            Some(dir) => {
                if let Some(inode) = self.inodes.get_mut(dir) {
                    (inode.mtime, inode.ctime) = (time, time);
                }
            }
            None => self.changes += 1,
        }
    }

    fn inode(&mut self, handle: Handle) -> Result<&mut Inode> {
        let inode = self.inodes.get_mut(&handle.ino).ok_or(errno::ESTALE)?;
        if inode.generation == handle.generation { Ok(inode) } else { Err(errno::ESTALE) }
    }

    fn attr(&mut self, handle: Handle) -> Result<Answer> {
        let inode = self.inode(handle)?;
        let id = FileId { dev: 1, ino: handle.ino };
        let size = inode.size() as u64;
        let Inode { nlink, is_dir, mtime, ctime, .. } = *inode;
        let kind = if is_dir { FileKind::Directory } else { FileKind::Plain };
        let attr = Attr { id, nlink, kind, permissions: 0o644, owner: 0, size, mtime, ctime };
        Ok(Answer::Attr(handle, attr))
    }

    fn unlink(&mut self, ino: u64, time: SystemTime) {
        let Some(inode) = self.inodes.get_mut(&ino) else { return };
        inode.nlink -= 1;
        inode.ctime = time;
        if inode.nlink == 0 {
            self.inodes.remove(&ino);
        }
    }
}
