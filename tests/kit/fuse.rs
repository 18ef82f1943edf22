//! A file system in memory that can be given faults, served over the protocol of fuse(4),
//! linux/fuse.h. Each name has a node of its own, as libfuse has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write, stdin};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::libc;

/// Mounts it, with standard input for the device that it is served by.
pub(crate) const MOUNT: &str = "exec 0<>/dev/fuse \
    && mount -i -t fuse -o fd=0,rootmode=40000,user_id=0,group_id=0 faulty \"$DIR\"";

/// A request that can be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    SetAttributes = 4,
    Unlink = 10,
    Rename = 12,
    Link = 13,
    Open = 14,
    Write = 16,
    StatFs = 17,
    Create = 35,
}

/// What becomes of a date that is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dates {
    #[default]
    Kept,
    /// It is stored only if the other date is set too, as in libfuse 2.
    NeedBoth,
    Ignored,
    /// Stored in multiples of so many seconds.
    Coarse(u64),
    /// Stored as no later than this, in seconds since 1970.
    Until(u64),
    /// Stored until the file is closed, as by a client that writes late.
    LostAtClose,
}

/// What a file shows as the time of its last change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Changes {
    #[default]
    Dated,
    /// In multiples of so many seconds.
    Coarse(u64),
    /// The date that was set, as where there is only one.
    AsMtime,
    /// The time at which the file was made.
    AtCreation,
    /// Nothing: the year 1970.
    Never,
}

/// The faults of the file system.
#[allow(clippy::struct_excessive_bools)] // each is a fault of its own
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) refuses: Option<(Request, i32)>,
    /// Only the lock file itself can't be renamed.
    pub(crate) pins_lock_file: bool,
    pub(crate) dates: Dates,
    pub(crate) changes: Changes,
    /// Each request shows another inode number.
    pub(crate) inodes_change: bool,
    /// A renamed file's date is set to whole seconds, by a program that means to keep it: so encfs.
    pub(crate) renames_truncate_dates: bool,
    /// A renamed file has its old name, too.
    pub(crate) keeps_old_names: bool,
    /// A file cannot be looked up once it is made: so diod over an overlay.
    pub(crate) hides_files: Option<i32>,
    /// Files are not removed, though success is reported.
    pub(crate) keeps_removed: bool,
    /// The two names of a file show two inode numbers.
    pub(crate) two_inodes: bool,
    /// Attributes always show a link count of one.
    pub(crate) counts_no_links: bool,
    /// The maximum length of a name in bytes, and what statfs(2) returns for it.
    pub(crate) name_max: Option<(usize, u32)>,
    /// A byte that names must not contain.
    pub(crate) bad_byte: Option<u8>,
    pub(crate) folds_case: bool,
    /// Opening a file by another name than just before fails with EINVAL, as in Linux's SMB client.
    pub(crate) is_busy_after_other_name: bool,
}

/// The file system, as a test sees it.
pub(crate) struct Faulty {
    faults: Arc<Mutex<Faults>>,
}

impl Faulty {
    /// Serves what was mounted.
    pub(crate) fn serve(faults: Faults) -> Faulty {
        let mut device = File::from(stdin().as_fd().try_clone_to_owned().unwrap());
        let faults = Arc::new(Mutex::new(faults));
        let mut server = Server::new(faults.clone());
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 17];
            while let Ok(length) = device.read(&mut buffer) {
                if let Some(reply) = server.reply(&buffer[..length]) {
                    // ENOENT: the request was interrupted.
                    let _ = device.write_all(&reply);
                }
            }
        });
        Faulty { faults }
    }

    /// Sets the faults from now on.
    pub(crate) fn set(&self, faults: Faults) {
        *self.faults.lock().unwrap() = faults;
    }
}

const ROOT: u64 = 1;

struct Server {
    shared: Arc<Mutex<Faults>>,
    faults: Faults,
    /// The node of each name in a directory.
    names: BTreeMap<(u64, Vec<u8>), u64>,
    /// The file of each node that there ever was.
    nodes: BTreeMap<u64, u64>,
    files: BTreeMap<u64, Content>,
    /// The nodes that are directories.
    dirs: BTreeSet<u64>,
    last: u64,
    /// The files that were written to since they were closed last.
    written: BTreeSet<u64>,
    /// By which node each file was opened last.
    opened: BTreeMap<u64, (u64, Instant)>,
}

#[derive(Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    mtime: Duration,
    ctime: Duration,
    made: Duration,
}

type Answer = Result<Vec<u8>, i32>;

impl Server {
    fn new(shared: Arc<Mutex<Faults>>) -> Server {
        Server {
            shared,
            faults: Faults::default(),
            names: BTreeMap::new(),
            nodes: BTreeMap::from([(ROOT, ROOT)]),
            files: BTreeMap::from([(ROOT, Content::default())]),
            dirs: BTreeSet::from([ROOT]),
            last: ROOT,
            written: BTreeSet::new(),
            opened: BTreeMap::new(),
        }
    }

    fn reply(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        const HEADER: usize = 40;
        let (opcode, unique, node) = (u32_at(request, 4), u64_at(request, 8), u64_at(request, 16));
        self.faults = self.shared.lock().unwrap().clone();
        let answer = match opcode {
            2 | 36 | 42 => return None, // FORGET, INTERRUPT, BATCH_FORGET
            _ => match self.faults.refuses {
                Some((refused, errno)) if refused as u32 == opcode => Err(errno),
                _ => self.answer(opcode, node, &request[HEADER..]),
            },
        };
        let (error, body) = answer.map_or_else(|errno| (-errno, Vec::new()), |body| (0, body));
        let length = u32::try_from(16 + body.len()).unwrap();
        let mut reply = length.to_ne_bytes().to_vec();
        reply.extend(error.to_ne_bytes());
        reply.extend(unique.to_ne_bytes());
        reply.extend(body);
        Some(reply)
    }

    fn answer(&mut self, opcode: u32, node: u64, body: &[u8]) -> Answer {
        let nothing = |length| Ok(vec![0; length]);
        match opcode {
            1 => self.entry(node, name(body)),                        // LOOKUP
            3 => self.attributes(node),                               // GETATTR
            4 => self.set_attributes(node, body),                     // SETATTR
            9 => self.make_dir(node, name(&body[8..])),               // MKDIR
            10 => self.unlink(node, name(body)),                      // UNLINK
            11 => self.remove_dir(node, name(body)),                  // RMDIR
            12 => self.rename(node, body),                            // RENAME
            13 => self.link(u64_at(body, 0), node, name(&body[8..])), // LINK
            14 => self.open(node),                                    // OPEN
            15 => self.read(node, body),                              // READ
            16 => self.write(node, body),                             // WRITE
            17 => Ok(self.statfs()),                                  // STATFS
            25 => self.flush(node),                                   // FLUSH
            18 | 29 => nothing(0),                                    // RELEASE, RELEASEDIR
            26 => Ok(init()),                                         // INIT
            27 => nothing(16),                                        // OPENDIR
            28 => Ok(self.list(node, body)),                          // READDIR
            35 => self.create(node, name(&body[16..])),               // CREATE
            _ => Err(libc::ENOSYS),
        }
    }

    /// The name as the directory has it, if it has it.
    fn spelled(&self, dir: u64, name: &[u8]) -> Result<(u64, Vec<u8>), i32> {
        let too_long = self.faults.name_max.is_some_and(|(most, _)| name.len() > most);
        if too_long {
            return Err(libc::ENAMETOOLONG);
        }
        if self.faults.bad_byte.is_some_and(|bad| name.contains(&bad)) {
            return Err(libc::EINVAL);
        }
        let folds = self.faults.folds_case;
        let is_it = |it: &&Vec<u8>| *it == name || folds && it.eq_ignore_ascii_case(name);
        let found = self.children(dir).map(|(name, _)| name).find(is_it);
        Ok((dir, found.map_or_else(|| name.to_vec(), Clone::clone)))
    }

    /// The names in a directory, and their nodes.
    fn children(&self, dir: u64) -> impl Iterator<Item = (&Vec<u8>, &u64)> {
        let all = self.names.range((dir, Vec::new())..(dir + 1, Vec::new()));
        all.map(|((_, name), node)| (name, node))
    }

    fn node_of(&self, dir: u64, name: &[u8]) -> Result<u64, i32> {
        self.names.get(&self.spelled(dir, name)?).copied().ok_or(libc::ENOENT)
    }

    fn new_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn file(&mut self, node: u64) -> Result<&mut Content, i32> {
        let file = self.nodes.get(&node).ok_or(libc::ENOENT)?;
        Ok(self.files.get_mut(file).unwrap())
    }

    fn give_name(&mut self, name: (u64, Vec<u8>), file: u64) -> u64 {
        let node = self.new_number();
        self.nodes.insert(node, file);
        self.names.insert(name, node);
        node
    }

    fn make(&mut self, dir: u64, name: &[u8]) -> Result<u64, i32> {
        let name = self.spelled(dir, name)?;
        let file = self.new_number();
        let made = now();
        self.files.insert(file, Content { bytes: Vec::new(), mtime: made, ctime: made, made });
        Ok(self.give_name(name, file))
    }

    fn create(&mut self, dir: u64, name: &[u8]) -> Answer {
        let node = self.make(dir, name)?;
        let mut answer = self.entry(dir, name)?;
        answer.extend(self.open(node)?);
        Ok(answer)
    }

    fn make_dir(&mut self, dir: u64, name: &[u8]) -> Answer {
        let node = self.make(dir, name)?;
        self.dirs.insert(node);
        self.entry(dir, name)
    }

    fn remove_dir(&mut self, dir: u64, name: &[u8]) -> Answer {
        let node = self.node_of(dir, name)?;
        if self.children(node).next().is_some() {
            return Err(libc::ENOTEMPTY);
        }
        self.unlink(dir, name)
    }

    fn link(&mut self, node: u64, dir: u64, name: &[u8]) -> Answer {
        let taken = self.spelled(dir, name)?;
        if self.names.contains_key(&taken) {
            return Err(libc::EEXIST);
        }
        self.file(node)?.ctime = now();
        self.give_name(taken, self.nodes[&node]);
        self.entry(dir, name)
    }

    fn rename(&mut self, dir: u64, body: &[u8]) -> Answer {
        let (from, to_dir) = (name(&body[8..]), u64_at(body, 0));
        let to = name(&body[8 + from.len() + 1..]);
        let (from, to) = (self.spelled(dir, from)?, self.spelled(to_dir, to)?);
        if self.faults.pins_lock_file && from.1.ends_with(b".lock") {
            return Err(libc::EXDEV);
        }
        if self.names.get(&to).is_some_and(|node| self.children(*node).next().is_some()) {
            return Err(libc::ENOTEMPTY);
        }
        let node = self.names.remove(&from).ok_or(libc::ENOENT)?;
        if self.faults.keeps_old_names {
            self.give_name(from, self.nodes[&node]);
        }
        self.names.insert(to, node);
        let truncates = self.faults.renames_truncate_dates;
        let file = self.file(node)?;
        file.ctime = now();
        if truncates {
            file.mtime = Duration::from_secs(file.mtime.as_secs());
        }
        Ok(Vec::new())
    }

    fn unlink(&mut self, dir: u64, name: &[u8]) -> Answer {
        if self.faults.keeps_removed {
            return Ok(Vec::new());
        }
        let node = self.names.remove(&self.spelled(dir, name)?).ok_or(libc::ENOENT)?;
        self.file(node)?.ctime = now();
        Ok(Vec::new())
    }

    fn open(&mut self, node: u64) -> Answer {
        if self.faults.is_busy_after_other_name {
            let file = self.nodes[&node];
            match self.opened.get(&file) {
                Some((other, when))
                    if *other != node && when.elapsed() < Duration::from_secs(1) =>
                {
                    return Err(libc::EINVAL);
                }
                _ => self.opened.insert(file, (node, Instant::now())),
            };
        }
        Ok(vec![0; 16])
    }

    fn flush(&mut self, node: u64) -> Answer {
        let is_written = self.written.remove(&self.nodes[&node]);
        if self.faults.dates == Dates::LostAtClose && is_written {
            self.file(node)?.mtime = now();
        }
        Ok(Vec::new())
    }

    /// Nothing may be cached: every question is asked.
    fn entry(&mut self, dir: u64, name: &[u8]) -> Answer {
        let node = self.node_of(dir, name)?;
        if let Some(errno) = self.faults.hides_files.filter(|_| !self.dirs.contains(&node)) {
            return Err(errno);
        }
        let mut answer = node.to_ne_bytes().to_vec();
        answer.extend([0; 32]);
        answer.extend(self.attributes_of(node)?);
        Ok(answer)
    }

    fn attributes(&mut self, node: u64) -> Answer {
        let mut answer = vec![0; 16];
        answer.extend(self.attributes_of(node)?);
        Ok(answer)
    }

    fn attributes_of(&mut self, node: u64) -> Answer {
        let mut content = self.file(node)?.clone();
        content.ctime = match self.faults.changes {
            Changes::Dated => content.ctime,
            Changes::Coarse(unit) => Duration::from_secs(content.ctime.as_secs() / unit * unit),
            Changes::AsMtime => content.mtime,
            Changes::AtCreation => content.made,
            Changes::Never => Duration::ZERO,
        };
        if self.dirs.contains(&node) {
            return Ok(attributes(node, libc::S_IFDIR | 0o777, 2, &content));
        }
        let file = self.nodes[&node];
        let inode = match (self.faults.two_inodes, self.faults.inodes_change) {
            (_, true) => self.new_number(),
            (true, _) => node,
            _ => file,
        };
        let count = self.names.values().filter(|node| self.nodes[*node] == file).count();
        let count = if self.faults.counts_no_links { 1 } else { u32::try_from(count).unwrap() };
        Ok(attributes(inode, libc::S_IFREG | 0o666, count, &content))
    }

    fn set_attributes(&mut self, node: u64, body: &[u8]) -> Answer {
        const ATIME: u32 = 1 << 4;
        const MTIME: u32 = 1 << 5;
        let dates = self.faults.dates;
        let (set, file) = (u32_at(body, 0), self.file(node)?);
        let is_kept = dates != Dates::NeedBoth || set & ATIME != 0;
        if set & MTIME != 0 && is_kept && dates != Dates::Ignored {
            let (seconds, nanoseconds) = (u64_at(body, 40), u32_at(body, 60));
            file.mtime = match dates {
                Dates::Coarse(unit) => Duration::from_secs(seconds / unit * unit),
                Dates::Until(last) if seconds > last => Duration::from_secs(last),
                _ => Duration::new(seconds, nanoseconds),
            };
        }
        file.ctime = now();
        self.attributes(node)
    }

    fn read(&mut self, node: u64, body: &[u8]) -> Answer {
        let rest = self.file(node)?.bytes.iter().skip(size(u64_at(body, 8)));
        Ok(rest.take(u32_at(body, 16) as usize).copied().collect())
    }

    fn write(&mut self, node: u64, body: &[u8]) -> Answer {
        let (at, data) = (size(u64_at(body, 8)), &body[40..]);
        let file = self.file(node)?;
        file.bytes.resize(at, 0);
        file.bytes.extend(data);
        (file.mtime, file.ctime) = (now(), now());
        self.written.insert(self.nodes[&node]);
        Ok([u32::try_from(data.len()).unwrap().to_ne_bytes(), [0; 4]].concat())
    }

    /// `struct fuse_kstatfs`
    fn statfs(&self) -> Vec<u8> {
        let told = self.faults.name_max.map_or(255, |(_, told)| told);
        let mut answer = [0_u64; 5].into_iter().flat_map(u64::to_ne_bytes).collect::<Vec<_>>();
        answer.extend([4096, told, 4096].into_iter().flat_map(u32::to_ne_bytes));
        answer.resize(80, 0);
        answer
    }

    fn list(&self, dir: u64, body: &[u8]) -> Vec<u8> {
        let mut entries = Vec::new();
        for (index, (name, node)) in self.children(dir).enumerate().skip(size(u64_at(body, 8))) {
            let next = index as u64 + 1;
            let kind = if self.dirs.contains(node) { libc::S_IFDIR } else { libc::S_IFREG };
            let mut entry = [node.to_ne_bytes(), next.to_ne_bytes()].concat();
            entry.extend(u32::try_from(name.len()).unwrap().to_ne_bytes());
            entry.extend((kind >> 12).to_ne_bytes());
            entry.extend(name);
            entry.resize(entry.len().next_multiple_of(8), 0);
            if entries.len() + entry.len() > u32_at(body, 16) as usize {
                break;
            }
            entries.extend(entry);
        }
        entries
    }
}

/// `struct fuse_attr`
fn attributes(inode: u64, mode: u32, count: u32, file: &Content) -> Vec<u8> {
    let (mtime, ctime) = (file.mtime, file.ctime);
    let long = [inode, file.bytes.len() as u64, 0, 0, mtime.as_secs(), ctime.as_secs()];
    let short = [0, mtime.subsec_nanos(), ctime.subsec_nanos(), mode, count, 0, 0, 0, 4096, 0];
    let long = long.into_iter().flat_map(u64::to_ne_bytes);
    long.chain(short.into_iter().flat_map(u32::to_ne_bytes)).collect()
}

/// `struct fuse_init_out`: version 7.31, nothing optional, at most a page in a WRITE.
fn init() -> Vec<u8> {
    let words = [7, 31, 0, 0, 0, 4096, 1];
    let mut answer: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    answer.resize(64, 0);
    answer
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

fn name(body: &[u8]) -> &[u8] {
    body.split(|byte| *byte == 0).next().unwrap()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap()
}
