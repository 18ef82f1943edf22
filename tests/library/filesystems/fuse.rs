//! A file system in memory that knows no hard links, as vfat doesn't, and that refuses what a
//! test wants refused: one flat directory, served over the protocol of fuse(4), linux/fuse.h.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write, stdin};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Mounts it, with standard input for the device that it is served by.
pub(crate) const MOUNT: &str = "exec 0<>/dev/fuse \
    && mount -i -t fuse -o fd=0,rootmode=40000,user_id=0,group_id=0 awkward \"$DIR\"";

/// A request that can be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    SetAttributes = 4,
    Link = 13,
    Open = 14,
    Write = 16,
    Create = 35,
}

/// The file system, as a test sees it.
pub(crate) struct Awkward {
    refused: Arc<Mutex<(u32, i32)>>,
}

impl Awkward {
    /// Serves what was mounted.
    pub(crate) fn serve() -> Awkward {
        let mut device = File::from(stdin().as_fd().try_clone_to_owned().unwrap());
        let refused = Arc::new(Mutex::new((Request::Link as u32, libc::EPERM)));
        let mut server = Server { files: BTreeMap::new(), inodes: ROOT, refused: refused.clone() };
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 17];
            while let Ok(length) = device.read(&mut buffer) {
                if let Some(reply) = server.reply(&buffer[..length]) {
                    // ENOENT: the process that asked was interrupted.
                    let _ = device.write_all(&reply);
                }
            }
        });
        Awkward { refused }
    }

    /// From now on this is what is refused.
    pub(crate) fn refuse(&self, request: Request, errno: i32) {
        *self.refused.lock().unwrap() = (request as u32, errno);
    }
}

const ROOT: u64 = 1;

struct Server {
    files: BTreeMap<Vec<u8>, Node>,
    inodes: u64,
    refused: Arc<Mutex<(u32, i32)>>,
}

struct Node {
    inode: u64,
    content: Vec<u8>,
    mtime: Duration,
    ctime: Duration,
}

type Answer = Result<Vec<u8>, i32>;

impl Server {
    fn reply(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        const HEADER: usize = 40;
        let (opcode, unique, inode) = (u32_at(request, 4), u64_at(request, 8), u64_at(request, 16));
        let refused = *self.refused.lock().unwrap();
        let body = &request[HEADER..];
        let answer = match opcode {
            2 | 36 | 42 => return None, // FORGET, INTERRUPT, BATCH_FORGET
            _ if opcode == refused.0 => Err(refused.1),
            _ => self.answer(opcode, inode, body),
        };
        let (error, body) = answer.map_or_else(|errno| (-errno, Vec::new()), |body| (0, body));
        let length = u32::try_from(16 + body.len()).unwrap();
        let mut reply = length.to_ne_bytes().to_vec();
        reply.extend(error.to_ne_bytes());
        reply.extend(unique.to_ne_bytes());
        reply.extend(body);
        Some(reply)
    }

    fn answer(&mut self, opcode: u32, inode: u64, body: &[u8]) -> Answer {
        let nothing = |length| Ok(vec![0; length]);
        match opcode {
            1 => self.entry(name(body)),           // LOOKUP
            3 => self.attributes(inode),           // GETATTR
            4 => self.set_attributes(inode, body), // SETATTR
            10 => match self.files.remove(name(body)) {
                // UNLINK
                Some(_) => nothing(0),
                None => Err(libc::ENOENT),
            },
            14 | 27 => nothing(16),               // OPEN, OPENDIR
            15 => self.read(inode, body),         // READ
            16 => self.write(inode, body),        // WRITE
            18 | 25 | 29 => nothing(0),           // RELEASE, FLUSH, RELEASEDIR
            26 => Ok(init()),                     // INIT
            28 => Ok(self.list(body)),            // READDIR
            35 => self.create(name(&body[16..])), // CREATE
            _ => Err(libc::ENOSYS),
        }
    }

    fn node(&mut self, inode: u64) -> Result<&mut Node, i32> {
        self.files.values_mut().find(|node| node.inode == inode).ok_or(libc::ENOENT)
    }

    fn create(&mut self, name: &[u8]) -> Answer {
        self.inodes += 1;
        let node = Node { inode: self.inodes, content: Vec::new(), mtime: now(), ctime: now() };
        self.files.insert(name.to_vec(), node);
        let mut answer = self.entry(name)?;
        answer.extend([0; 16]); // what OPEN says
        Ok(answer)
    }

    /// Nothing may be cached: every question is asked.
    fn entry(&mut self, name: &[u8]) -> Answer {
        let node = self.files.get(name).ok_or(libc::ENOENT)?;
        let mut answer = node.inode.to_ne_bytes().to_vec();
        answer.extend([0; 32]);
        answer.extend(node.attributes());
        Ok(answer)
    }

    fn attributes(&mut self, inode: u64) -> Answer {
        let mut answer = vec![0; 16];
        answer.extend(match inode {
            ROOT => attributes(ROOT, 0, libc::S_IFDIR | 0o777, Duration::ZERO, Duration::ZERO),
            _ => self.node(inode)?.attributes(),
        });
        Ok(answer)
    }

    fn set_attributes(&mut self, inode: u64, body: &[u8]) -> Answer {
        const MTIME: u32 = 1 << 5;
        let node = self.node(inode)?;
        if u32_at(body, 0) & MTIME != 0 {
            node.mtime = Duration::new(u64_at(body, 40), u32_at(body, 60));
        }
        node.ctime = now();
        self.attributes(inode)
    }

    fn read(&mut self, inode: u64, body: &[u8]) -> Answer {
        let rest = self.node(inode)?.content.iter().skip(size(u64_at(body, 8)));
        Ok(rest.take(u32_at(body, 16) as usize).copied().collect())
    }

    fn write(&mut self, inode: u64, body: &[u8]) -> Answer {
        let (at, data) = (size(u64_at(body, 8)), &body[40..]);
        let node = self.node(inode)?;
        node.content.resize(at, 0);
        node.content.extend(data);
        (node.mtime, node.ctime) = (now(), now());
        Ok([u32::try_from(data.len()).unwrap().to_ne_bytes(), [0; 4]].concat())
    }

    fn list(&mut self, body: &[u8]) -> Vec<u8> {
        let mut entries = Vec::new();
        for (index, (name, node)) in self.files.iter().enumerate().skip(size(u64_at(body, 8))) {
            let next = index as u64 + 1;
            let mut entry = [node.inode.to_ne_bytes(), next.to_ne_bytes()].concat();
            entry.extend(u32::try_from(name.len()).unwrap().to_ne_bytes());
            entry.extend((libc::S_IFREG >> 12).to_ne_bytes());
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

impl Node {
    fn attributes(&self) -> Vec<u8> {
        let mode = libc::S_IFREG | 0o666;
        attributes(self.inode, self.content.len() as u64, mode, self.mtime, self.ctime)
    }
}

/// `struct fuse_attr`
fn attributes(inode: u64, size: u64, mode: u32, mtime: Duration, ctime: Duration) -> Vec<u8> {
    let long = [inode, size, 0, 0, mtime.as_secs(), ctime.as_secs()];
    let short = [0, mtime.subsec_nanos(), ctime.subsec_nanos(), mode, 1, 0, 0, 0, 4096, 0];
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
