//! The ways in which a Rust program can lock, by name.

use std::fmt::Debug;
use std::fs::File;
use std::mem;
use std::path::{Path, PathBuf};

use dotlock::{Dotlock, DotlockOptions};
use fs4::FileExt;
use linklock::{Lock, LockGuard, ReadGuard, RwLock, SlotGuard, Slots, WriteGuard};
use nix::fcntl::{Flock, FlockArg};

use crate::bare::{Extra, Kept, Loop, Whole};

/// A lock in the hands of one contender.
pub trait Lockable: Debug {
    /// Acquires it, however long it takes.
    fn lock(&mut self);
    /// Releases it.
    fn unlock(&mut self);
}

/// How many slots [`Way::Slot`] has.
pub const SLOTS: u32 = 4;

/// A way to lock something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The seven system calls that the format needs.
    BareSeven,
    /// Those, and two stat calls.
    BareNine,
    /// Those, with a new name for each claim.
    BareNewName,
    /// The three system calls where a claim is kept.
    BareThree,
    /// A bare waiter that inotify(7) wakes.
    BareLoop,
    /// The same, with kept claims.
    BareLoopKept,
    /// linklock with its defaults.
    Linklock,
    /// linklock with `keep_claim(true)`.
    LinklockKept,
    /// linklock, one of four slots.
    Slot,
    /// linklock, as a reader.
    Read,
    /// linklock, as a writer.
    Write,
    /// flock(2), which `std::fs::File::lock` is on Linux, on a file that stays open. (Rust has that
    /// since 1.89, which is later than what this builds with.)
    Flock,
    /// The same, with the file opened each time.
    FlockOpen,
    /// The crate fs4, on a file that stays open.
    Fs4,
    /// The crate dotlock.
    Dotlock,
}

impl Way {
    /// All of them.
    pub const ALL: [Way; 15] = [
        Way::BareSeven,
        Way::BareNine,
        Way::BareNewName,
        Way::BareThree,
        Way::BareLoop,
        Way::BareLoopKept,
        Way::Linklock,
        Way::LinklockKept,
        Way::Slot,
        Way::Read,
        Way::Write,
        Way::Flock,
        Way::FlockOpen,
        Way::Fs4,
        Way::Dotlock,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Way::BareSeven => "the seven calls",
            Way::BareNine => "the seven and two looks",
            Way::BareNewName => "... and a new name each time",
            Way::BareThree => "the three calls",
            Way::BareLoop => "bare inotify loop",
            Way::BareLoopKept => "bare inotify loop, claim kept",
            Way::Linklock => "linklock",
            Way::LinklockKept => "linklock, claim kept",
            Way::Slot => "linklock, one of four slots",
            Way::Read => "linklock, to read",
            Way::Write => "linklock, to write",
            Way::Flock => "flock (File::lock)",
            Way::FlockOpen => "flock, opened each time",
            Way::Fs4 => "fs4",
            Way::Dotlock => "dotlock (crate)",
        }
    }

    /// The way of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Way> {
        Way::ALL.into_iter().find(|way| way.name() == name)
    }

    /// Gets ready to lock this path in this way.
    ///
    /// # Panics
    ///
    /// If that fails.
    #[must_use]
    pub fn open(self, path: &Path) -> Box<dyn Lockable> {
        match self {
            Way::BareSeven => Box::new(Whole::new(path, Extra::None)),
            Way::BareNine => Box::new(Whole::new(path, Extra::Looks)),
            Way::BareNewName => Box::new(Whole::new(path, Extra::LooksAndNewName)),
            Way::BareThree => Box::new(Kept::new(path)),
            Way::BareLoop => Box::new(Loop::new(path, false)),
            Way::BareLoopKept => Box::new(Loop::new(path, true)),
            Way::Linklock => Box::new(Ours::new(path, false)),
            Way::LinklockKept => Box::new(Ours::new(path, true)),
            Way::Slot => {
                Box::new(Slot { slots: Slots::new(path, SLOTS).expect("a set"), guard: None })
            }
            Way::Read => Box::new(Reader { lock: RwLock::new(path).expect("a lock"), guard: None }),
            Way::Write => {
                Box::new(Writer { lock: RwLock::new(path).expect("a lock"), guard: None })
            }
            Way::Flock => Box::new(System(State::Open(open(path)))),
            Way::FlockOpen => Box::new(SystemOpen { path: path.into(), file: None }),
            Way::Fs4 => Box::new(Fs4(open(path))),
            Way::Dotlock => Box::new(Dot { path: path.into(), lock: None }),
        }
    }
}

fn open(path: &Path) -> File {
    File::options().write(true).create(true).truncate(false).open(path).expect("open")
}

#[derive(Debug)]
struct Ours {
    lock: Lock,
    guard: Option<LockGuard>,
}

impl Ours {
    fn new(path: &Path, keep: bool) -> Ours {
        Ours { lock: Lock::options(path).keep_claim(keep).build().expect("a lock"), guard: None }
    }
}

impl Lockable for Ours {
    fn lock(&mut self) {
        self.guard = Some(self.lock.lock().expect("lock"));
    }

    fn unlock(&mut self) {
        self.guard.take().expect("locked").unlock().expect("unlock");
    }
}

#[derive(Debug)]
struct Slot {
    slots: Slots,
    guard: Option<SlotGuard>,
}

impl Lockable for Slot {
    fn lock(&mut self) {
        self.guard = Some(self.slots.lock().expect("lock"));
    }

    fn unlock(&mut self) {
        self.guard.take().expect("locked").into_guard().unlock().expect("unlock");
    }
}

#[derive(Debug)]
struct Reader {
    lock: RwLock,
    guard: Option<ReadGuard>,
}

impl Lockable for Reader {
    fn lock(&mut self) {
        self.guard = Some(self.lock.read().expect("lock"));
    }

    fn unlock(&mut self) {
        self.guard.take().expect("locked").unlock().expect("unlock");
    }
}

#[derive(Debug)]
struct Writer {
    lock: RwLock,
    guard: Option<WriteGuard>,
}

impl Lockable for Writer {
    fn lock(&mut self) {
        self.guard = Some(self.lock.write().expect("lock"));
    }

    fn unlock(&mut self) {
        self.guard.take().expect("locked").unlock().expect("unlock");
    }
}

#[derive(Debug)]
struct System(State);

#[derive(Debug)]
enum State {
    Open(File),
    Held(Flock<File>),
    Between,
}

impl Lockable for System {
    fn lock(&mut self) {
        let State::Open(file) = mem::replace(&mut self.0, State::Between) else { panic!("held") };
        self.0 = State::Held(Flock::lock(file, FlockArg::LockExclusive).expect("lock"));
    }

    fn unlock(&mut self) {
        let State::Held(held) = mem::replace(&mut self.0, State::Between) else { panic!("free") };
        self.0 = State::Open(held.unlock().expect("unlock"));
    }
}

#[derive(Debug)]
struct SystemOpen {
    path: PathBuf,
    file: Option<File>,
}

impl Lockable for SystemOpen {
    fn lock(&mut self) {
        // Not by nix, which would unlock the file before closing it.
        FileExt::lock(self.file.insert(open(&self.path))).expect("lock");
    }

    fn unlock(&mut self) {
        drop(self.file.take());
    }
}

#[derive(Debug)]
struct Fs4(File);

impl Lockable for Fs4 {
    fn lock(&mut self) {
        FileExt::lock(&self.0).expect("lock");
    }

    fn unlock(&mut self) {
        FileExt::unlock(&self.0).expect("unlock");
    }
}

#[derive(Debug)]
struct Dot {
    path: PathBuf,
    lock: Option<Dotlock>,
}

impl Lockable for Dot {
    fn lock(&mut self) {
        let patient = DotlockOptions::new().tries(usize::MAX);
        self.lock = Some(patient.create(&self.path).expect("lock"));
    }

    fn unlock(&mut self) {
        self.lock.take().expect("locked").unlock().expect("unlock");
    }
}
