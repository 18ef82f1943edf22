//! The [`Fs`] of the processes on one NFS client.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::faults::Caching;
use super::open_file::SimFile;
use super::server::{Answer, Handle, Request};
use super::world::Process;
use crate::sys::errno;
use crate::sys::fs::{Attr, Fs, HeldOpen, Mount, OpenFile};

/// The file system, as one process sees it.
#[derive(Clone, Debug)]
pub(super) struct SimFs {
    pub(super) process: Process,
    pub(super) local: bool,
    /// Whether requests may fail in this run: only then does closing a file matter.
    pub(super) may_fail: bool,
}

impl SimFs {
    fn ask(&self, request: Request) -> io::Result<Answer> {
        self.process.ask(request).map_err(io::Error::from_raw_os_error)
    }

    /// Writes a newly made file.
    fn fill(
        &self,
        handle: Handle,
        content: &[u8],
        mtime: &mut dyn FnMut() -> SystemTime,
    ) -> io::Result<()> {
        self.ask(Request::Write(handle, content.to_owned()))?;
        self.ask(Request::SetMtime(handle, mtime()))?;
        if self.may_fail {
            self.ask(Request::Close(handle))?;
        }
        Ok(())
    }

    /// The inode of a name, from the cache or from the server; after ESTALE the kernel asks again.
    fn walk(&self, path: &Path) -> io::Result<(Handle, Attr)> {
        if let Some(cached) = self.process.cached(path) {
            let handle = cached.ok_or(io::Error::from_raw_os_error(errno::ENOENT))?;
            if let Some((attr, _)) = self.process.cached_inode(handle) {
                return Ok((handle, attr));
            }
            match self.ask(Request::GetAttr(handle)) {
                Ok(Answer::Attr(handle, attr)) => return Ok((handle, attr)),
                Err(error) if error.raw_os_error() != Some(errno::ESTALE) => return Err(error),
                _ => self.process.forget(path),
            }
        }
        match self.ask(Request::Lookup(path.to_owned()))? {
            Answer::Attr(handle, attr) => Ok((handle, attr)),
            other => unreachable!("a look-up was answered with {other:?}"),
        }
    }

    /// Forgets a name that led to a stale handle, so that it is looked up again.
    fn known(&self, path: &Path, answer: io::Result<Answer>) -> io::Result<Answer> {
        if matches!(&answer, Err(error) if error.raw_os_error() == Some(errno::ESTALE)) {
            self.process.forget(path);
        }
        answer
    }

    /// The handle of a name that is about to be used; a cached one costs no request.
    fn handle(&self, path: &Path) -> io::Result<Handle> {
        match self.process.cached(path) {
            Some(Some(handle)) => Ok(handle),
            Some(None) => Err(io::Error::from_raw_os_error(errno::ENOENT)),
            None => self.walk(path).map(|(handle, _)| handle),
        }
    }
}

impl Fs for SimFs {
    fn create(
        &self,
        path: &Path,
        content: &[u8],
        _permissions: Option<u32>,
        mtime: &mut dyn FnMut(&Attr) -> SystemTime,
    ) -> io::Result<(Attr, HeldOpen)> {
        match self.ask(Request::Create(path.to_owned()))? {
            Answer::Attr(handle, attr) => {
                let filled = self.fill(handle, content, &mut || mtime(&attr));
                if filled.is_err() {
                    let _ = self.ask(Request::Remove(path.to_owned()));
                }
                filled.map(|()| (attr, HeldOpen::default()))
            }
            other => unreachable!("a create was answered with {other:?}"),
        }
    }

    fn stat(&self, path: &Path) -> io::Result<Attr> {
        self.walk(path).map(|(_, attr)| attr)
    }

    fn read(&self, path: &Path, _limit: usize) -> io::Result<(Attr, Vec<u8>)> {
        let handle = self.handle(path)?;
        if let Some(cached) = self.process.cached_inode(handle) {
            return Ok(cached);
        }
        match self.known(path, self.ask(Request::Read(handle)))? {
            Answer::Content(attr, content) => {
                self.process.learn_inode(handle, (attr, content.clone()));
                Ok((attr, content))
            }
            other => unreachable!("a read was answered with {other:?}"),
        }
    }

    fn touch(&self, path: &Path, mtime: SystemTime) -> io::Result<()> {
        let handle = self.handle(path)?;
        self.known(path, self.ask(Request::SetMtime(handle, mtime))).map(|_| ())
    }

    fn touch_atime(&self, path: &Path) -> io::Result<()> {
        let handle = self.handle(path)?;
        self.known(path, self.ask(Request::SetAtime(handle))).map(|_| ())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let handle = self.handle(from)?;
        if let Some(Some(_)) = self.process.cached(to) {
            return Err(io::Error::from_raw_os_error(errno::EEXIST)); // according to the client's cache
        }
        self.known(from, self.ask(Request::Link(handle, to.to_owned()))).map(|_| ())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.ask(Request::Rename(from.to_owned(), to.to_owned())).map(|_| ())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.ask(Request::Remove(path.to_owned())).map(|_| ())
    }

    fn make_dir(&self, path: &Path, entry: &str, _permissions: Option<u32>) -> io::Result<()> {
        match self.ask(Request::MakeDir(path.to_owned())) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.ask(Request::Create(path.join(entry))).map(|_| ()),
        }
    }

    fn remove_dir(&self, path: &Path, entry: &str) -> io::Result<()> {
        match self.unlink_in(path, entry) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.ask(Request::RemoveDir(path.to_owned())).map(|_| ()),
        }
    }

    fn rename_in(&self, dir: &Path, from: &str, to: &str) -> io::Result<()> {
        self.rename(&dir.join(from), &dir.join(to))
    }

    fn unlink_in(&self, dir: &Path, entry: &str) -> io::Result<()> {
        self.unlink(&dir.join(entry))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        if let Some(cached) = self.process.cached_list(dir) {
            return Ok(cached);
        }
        match self.ask(Request::List(dir.to_owned()))? {
            Answer::Names(names) => Ok(names),
            other => unreachable!("a list was answered with {other:?}"),
        }
    }

    fn mount(&self, _dir: &Path) -> io::Result<Mount> {
        Ok(if self.local { Mount::Local } else { Mount::Nfs })
    }

    fn create_new(
        &self,
        path: &Path,
        content: &[u8],
        _permissions: u32,
    ) -> io::Result<Box<dyn OpenFile>> {
        let handle = match self.ask(Request::CreateNew(path.to_owned()))? {
            Answer::Attr(handle, _) => handle,
            other => unreachable!("a create was answered with {other:?}"),
        };
        if let Err(error) = self.ask(Request::Write(handle, content.to_owned())) {
            let _ = self.ask(Request::Remove(path.to_owned()));
            return Err(error);
        }
        Ok(Box::new(SimFile::new(self.process.clone(), handle)))
    }

    fn open(&self, path: &Path, _for_writing: bool) -> io::Result<Option<Box<dyn OpenFile>>> {
        let (handle, _) = self.walk(path)?;
        Ok(Some(Box::new(SimFile::new(self.process.clone(), handle))))
    }

    fn stat_lockable(&self, path: &Path) -> io::Result<Attr> {
        self.stat(path)
    }
}

/// What a process may use of its client's cache.
impl Process {
    /// The cached inode of a name, if this process may use it.
    #[allow(clippy::option_option)] // the absence of a name may be cached too
    fn cached(&self, path: &Path) -> Option<Option<Handle>> {
        let world = self.world();
        let client = world.processes[world.running].client;
        let cached = world.clients[client].cache.get(path, world.now)?;
        let usable = world.caching != Caching::Nothing || cached == world.server.find(path);
        usable.then_some(cached)
    }

    /// The cached names of a directory, if this process may use them.
    fn cached_list(&self, dir: &Path) -> Option<Vec<OsString>> {
        let world = self.world();
        if world.caching == Caching::Nothing && !world.stale_lists {
            return None;
        }
        let client = world.processes[world.running].client;
        world.clients[client].cache.list(dir, world.now).map(<[_]>::to_vec)
    }

    /// The cached attributes and content of an inode, if this process may use them.
    pub(super) fn cached_inode(&self, handle: Handle) -> Option<(Attr, Vec<u8>)> {
        let world = self.world();
        if world.caching != Caching::Everything {
            return None;
        }
        let client = world.processes[world.running].client;
        world.clients[client].cache.inode(handle, world.now)
    }

    fn learn_inode(&self, handle: Handle, read: (Attr, Vec<u8>)) {
        let mut world = self.world();
        let (client, now) = (world.processes[world.running].client, world.now);
        world.clients[client].cache.learn_inode(handle, read, now);
    }

    fn forget(&self, path: &Path) {
        let mut world = self.world();
        let client = world.processes[world.running].client;
        world.clients[client].cache.forget(path);
    }
}
