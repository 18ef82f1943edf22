//! The file server: inodes, names and its clock. Every request is executed in one step.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::scenario::PATH;
use super::world::epoch;
use crate::fs::{Attr, FileId};

/// An inode as a client keeps hold of it: the number, and which of its uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Handle {
    ino: u64,
    generation: u64,
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inode {}.{}", self.ino, self.generation)
    }
}

#[derive(Clone, Debug)]
struct Inode {
    generation: u64,
    nlink: u64,
    is_dir: bool,
    content: Vec<u8>,
    mtime: SystemTime,
    ctime: SystemTime,
}

/// What a client asks for. Names are the server's to look up; handles are not.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Lookup(PathBuf),
    GetAttr(Handle),
    Read(Handle),
    Create(PathBuf),
    Write(Handle, Vec<u8>),
    SetMtime(Handle, SystemTime),
    Link(Handle, PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    MakeDir(PathBuf),
    RemoveDir(PathBuf),
    List(PathBuf),
}

/// What the server answers.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Done,
    Attr(Handle, Attr),
    Content(Attr, Vec<u8>),
    Names(Vec<OsString>),
}

/// One directory of one server, and what directories there are in it.
#[derive(Debug)]
pub(super) struct Server {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<PathBuf, u64>,
    generations: u64,
    /// Counts the changes of the directory, as NFSv4's change attribute does.
    pub(super) changes: u64,
    epoch: SystemTime,
}

/// The directory that all is in.
const DIR: &str = "/sim";
/// How the names of seats begin.
const SEATS: &[u8] = b"/sim/L|break|";

type Result<T> = std::result::Result<T, i32>;

impl Server {
    pub(super) fn new() -> Server {
        Server {
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            generations: 0,
            changes: 0,
            epoch: epoch(),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Path> {
        self.names.keys().map(PathBuf::as_path)
    }

    /// What a name leads to right now.
    pub(super) fn find(&self, path: &Path) -> Option<Handle> {
        let ino = *self.names.get(path)?;
        Some(Handle { ino, generation: self.inodes[&ino].generation })
    }

    /// What a file says.
    pub(super) fn content(&self, path: &Path) -> Option<&[u8]> {
        Some(&self.inodes[self.names.get(path)?].content)
    }

    /// When the last lease of those that stand in the way of the lock ends, of its holder and of
    /// those in seats: since the run began.
    pub(super) fn last_lease(&self) -> Option<Duration> {
        let is_in_the_way = |path: &Path| {
            path == Path::new(PATH) || path.as_os_str().as_encoded_bytes().starts_with(SEATS)
        };
        let ends = self.names.iter().filter(|(path, _)| is_in_the_way(path));
        let ends = ends.map(|(_, ino)| self.inodes[ino].mtime.duration_since(self.epoch));
        ends.flatten().max()
    }

    /// Whether somebody sits, or has died, in a seat of some succession.
    pub(super) fn has_seats(&self) -> bool {
        self.names().any(|path| path.as_os_str().as_encoded_bytes().starts_with(SEATS))
    }

    /// Puts files here that are nobody's business.
    pub(super) fn add_strangers(&mut self, paths: &[&str]) {
        for path in paths {
            let created = self.execute(&Request::Create(path.into()), Duration::ZERO);
            if let Ok(Answer::Attr(handle, _)) = created {
                let content = path.as_bytes().to_owned();
                let _ = self.execute(&Request::Write(handle, content), Duration::ZERO);
            }
        }
    }

    /// Whether this file was never touched since it was made.
    pub(super) fn is_untouched(&self, path: &str) -> bool {
        self.names.get(Path::new(path)).is_some_and(|ino| {
            let inode = &self.inodes[ino];
            let is_early = (inode.mtime, inode.ctime) == (self.epoch, self.epoch);
            is_early && inode.nlink == 1 && inode.content == path.as_bytes()
        })
    }

    pub(super) fn execute(&mut self, request: &Request, now: Duration) -> Result<Answer> {
        let time = self.epoch + now;
        match request {
            Request::Lookup(path) => {
                let handle = self.find(path).ok_or(libc::ENOENT)?;
                self.attr(handle)
            }
            Request::GetAttr(handle) => self.attr(*handle),
            Request::Read(handle) => {
                let content = self.inode(*handle)?.content.clone();
                match self.attr(*handle)? {
                    Answer::Attr(_, attr) => Ok(Answer::Content(attr, content)),
                    other => Ok(other),
                }
            }
            Request::Create(path) => {
                if let Some(handle) = self.find(path) {
                    return self.attr(handle); // not asked for exclusively
                }
                let handle = self.make(path, false, time)?;
                self.attr(handle)
            }
            Request::MakeDir(path) => {
                if self.names.contains_key(path) {
                    return Err(libc::EEXIST);
                }
                self.make(path, true, time).map(|_| Answer::Done)
            }
            Request::Write(handle, content) => {
                let inode = self.inode(*handle)?;
                inode.content.clone_from(content);
                (inode.mtime, inode.ctime) = (time, time);
                Ok(Answer::Done)
            }
            Request::SetMtime(handle, mtime) => {
                let inode = self.inode(*handle)?;
                (inode.mtime, inode.ctime) = (*mtime, time);
                Ok(Answer::Done)
            }
            Request::Link(handle, to) => {
                if self.names.contains_key(to) {
                    return Err(libc::EEXIST);
                }
                let inode = self.inode(*handle)?;
                inode.nlink += 1;
                inode.ctime = time;
                self.names.insert(to.clone(), handle.ino);
                self.changed(to, time);
                Ok(Answer::Done)
            }
            Request::Rename(from, to) => {
                let ino = *self.names.get(from).ok_or(libc::ENOENT)?;
                if self.names.get(to) == Some(&ino) {
                    return Ok(Answer::Done); // two names of one inode: rename(2) does nothing
                }
                match (self.is_dir(from), self.names.contains_key(to).then(|| self.is_dir(to))) {
                    (true, Some(false)) => return Err(libc::ENOTDIR),
                    (false, Some(true)) => return Err(libc::EISDIR),
                    (true, Some(true)) if !self.is_empty(to) => return Err(libc::ENOTEMPTY),
                    _ => {}
                }
                self.names.remove(from);
                if let Some(replaced) = self.names.insert(to.clone(), ino) {
                    self.unlink(replaced, time);
                }
                for inside in self.inside(from) {
                    if let (Some(ino), Some(name)) =
                        (self.names.remove(&inside), inside.file_name())
                    {
                        self.names.insert(to.join(name), ino);
                    }
                }
                self.changed(from, time);
                self.changed(to, time);
                Ok(Answer::Done)
            }
            Request::Remove(path) if self.is_dir(path) => Err(libc::EISDIR),
            Request::RemoveDir(path) if !self.is_empty(path) => Err(libc::ENOTEMPTY),
            Request::Remove(path) | Request::RemoveDir(path) => {
                let ino = self.names.remove(path).ok_or(libc::ENOENT)?;
                self.unlink(ino, time);
                self.changed(path, time);
                Ok(Answer::Done)
            }
            Request::List(dir) if dir != Path::new(DIR) && !self.is_dir(dir) => Err(libc::ENOENT),
            Request::List(dir) => {
                let inside = self.inside(dir);
                let names = inside.iter().filter_map(|path| path.file_name());
                Ok(Answer::Names(names.map(OsString::from).collect()))
            }
        }
    }

    /// Makes an inode with that name.
    fn make(&mut self, path: &Path, is_dir: bool, time: SystemTime) -> Result<Handle> {
        if !path.parent().is_some_and(|dir| dir == Path::new(DIR) || self.is_dir(dir)) {
            return Err(libc::ENOENT);
        }
        // The lowest free number: file systems use them again at once.
        let mut ino = 1;
        while self.inodes.contains_key(&ino) {
            ino += 1;
        }
        self.generations += 1;
        let generation = self.generations;
        let inode =
            Inode { generation, nlink: 1, is_dir, content: vec![], mtime: time, ctime: time };
        self.inodes.insert(ino, inode);
        self.names.insert(path.to_owned(), ino);
        self.changed(path, time);
        Ok(Handle { ino, generation })
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.names.get(path).is_some_and(|ino| self.inodes[ino].is_dir)
    }

    /// What a directory has in it.
    fn inside(&self, dir: &Path) -> Vec<PathBuf> {
        self.names().filter(|path| path.parent() == Some(dir)).map(Path::to_owned).collect()
    }

    fn is_empty(&self, dir: &Path) -> bool {
        self.names().all(|path| path.parent() != Some(dir))
    }

    /// The directory that this name is in was changed.
    fn changed(&mut self, path: &Path, time: SystemTime) {
        match path.parent().and_then(|dir| self.names.get(dir)) {
            Some(dir) => {
                if let Some(inode) = self.inodes.get_mut(dir) {
                    (inode.mtime, inode.ctime) = (time, time);
                }
            }
            None => self.changes += 1,
        }
    }

    fn inode(&mut self, handle: Handle) -> Result<&mut Inode> {
        let inode = self.inodes.get_mut(&handle.ino).ok_or(libc::ESTALE)?;
        if inode.generation == handle.generation { Ok(inode) } else { Err(libc::ESTALE) }
    }

    fn attr(&mut self, handle: Handle) -> Result<Answer> {
        let inode = self.inode(handle)?;
        let id = FileId { dev: 1, ino: handle.ino };
        let Inode { nlink, is_dir, mtime, ctime, .. } = *inode;
        Ok(Answer::Attr(
            handle,
            Attr {
                id,
                nlink,
                is_file: !is_dir,
                permissions: 0o644,
                owner: 0,
                size: 0,
                mtime,
                ctime,
            },
        ))
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
