//! A lock for programs on many machines that needs nothing but a shared directory.
//!
//! `linklock` is a port of Python's [flufl.lock]: it writes the same files, so the two respect each
//! other's locks, and it closes the races through which flufl.lock lets two programs in at once.
//! The directory may be local or on NFS (version 3 or 4), the machines' clocks may disagree, and
//! any process may die, stall or lose its network at any step.
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("report.lock");
//! use linklock::Lock;
//!
//! let lock = Lock::new(&path)?;      // a lease lasts 15 s
//! let guard = lock.lock()?;          // waits; or try_lock(), try_lock_for(...)
//! guard.keep_alive(|why| eprintln!("stop the work: {why}"))?; // or call refresh() in time
//! // ... the work ...
//! guard.unlock()?;                   // or just drop it
//! # Ok::<(), linklock::Error>(())
//! ```
//!
//! With options, and without waiting:
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("report.lock");
//! use std::time::Duration;
//! use linklock::{Error, Lock};
//!
//! let lock = Lock::options(&path).lifetime(Duration::from_secs(60)).build()?;
//! match lock.try_lock() {
//!     Ok(guard) => { /* the work */ guard.unlock()?; }
//!     Err(error) if error.is_contention() => eprintln!("{error}"), // says who holds it
//!     Err(error) => return Err(error),
//! }
//! # Ok::<(), Error>(())
//! ```
//!
//! # What is guaranteed
//!
//! 1. While a holder's lease runs, no other contender acquires the lock: in any order of events, with
//!    any number of crashes, with lost replies and stale client caches, and with machines whose
//!    date is wrong by hours.
//! 2. A lease is not a fence. If a holder stalls past its lease (SIGSTOP, a mount that hangs, a
//!    laptop that is closed), its lock can be taken over. The holder learns of it at its next
//!    [`refresh`], [`verify`] or [`unlock`] ([`Error::Lost`]), or through [`keep_alive`]; the
//!    resource itself can refuse the old holder by its [token](guide::leases#fencing-tokens).
//! 3. One assumption is made: the server executes the operation that takes the lock file away
//!    within the [clock slop](LockOptions::clock_slop), 10 s by default, after its sender read the
//!    clock. That operation follows one that waits for whatever makes a server hold requests back,
//!    however long that takes, and can do no harm. A server may take any time over everything else.
//!    (See [the paragraph](guide::safety#what-is-assumed-in-one-paragraph), and what is assumed of
//!    clocks and file systems, [one by one](guide::safety#the-assumptions-one-by-one).)
//!
//! Two things are not guaranteed. First, NFS's `REMOVE` and `RENAME` are not idempotent: a server
//! that crashes after it executed one and before it replied, and whose reply cache is lost,
//! executes it again when the client retransmits. If the next holder has acquired the lock in
//! between, its lock file is taken away for a moment, until this library sees what it has caught
//! and puts it back; a third process that contends in that moment acquires the lock too. A server
//! that keeps its reply cache through a crash, or does not crash, does not do this. Second,
//! flufl.lock breaks a lock by name, whichever holder it has observed: where both libraries break
//! stale locks, you get only flufl.lock's guarantee. [`guide::safety`] has the whole argument.
//!
//! # How it works
//!
//! A contender for the lock `L` makes a *claim*, a file of its own beside `L`, and links it to the
//! name `L`. link(2) succeeds for one contender only. On NFS its reply may be lost, but the claim's
//! attributes show the outcome: the lock file is then the claim's inode, with a link count of 2
//! (see `O_EXCL` in open(2)). The claim's mtime says when the lease ends, in the *file server's*
//! time. Learning that time costs nothing, since the server stamps a new file's ctime; from then on
//! the machine's monotonic clock carries it, so no machine's date matters.
//!
//! A lock whose lease has been expired for the clock slop, or whose holder is provably dead, is
//! taken over by the next contender. This is where other locks fail: `unlink` is not conditional,
//! so a breaker that observed yesterday's holder removes today's lock. Here the right to end one
//! tenure is itself won by a hard link, to a *seat* that belongs to that tenure alone. The process
//! in the seat rechecks the lock file, removes the holder's claim (which may take a server minutes
//! and does no harm), reads the clock, takes the lock file away by renaming it, and checks what it
//! has caught. A holder that comes back after its lease has ended must win the seat too before it
//! may renew or release its lock.
//!
//! Without contention, lock and unlock take nine system calls: the seven that the files need and
//! two checks; with [`keep_claim`](LockOptions::keep_claim), three. An NFS server gets ten
//! requests, or seven with `keep_claim`.
//!
//! # The guide
//!
//! | chapter | |
//! |---|---|
//! | [`lifetimes`](guide::lifetimes) | choosing a lifetime and a clock slop; when a holder counts as dead |
//! | [`leases`](guide::leases) | what a stalled holder may have done, and fencing tokens against it |
//! | [`waiting`](guide::waiting) | which waiter is served next, how soon, and what waiting costs |
//! | [`nfs`](guide::nfs) | mount and export options, and what breaks what |
//! | [`tracing`](guide::tracing) | the events that report what happens to locks, to build alerts on |
//! | [`containers`](guide::containers) | host names, process ids and boots |
//! | [`flufl_lock`](guide::flufl_lock) | for users of flufl.lock: a table of names |
//! | [`security`](guide::security) | which users can do what to a lock, and what it reveals |
//! | [`format`](guide::format) | the files, as a specification that another implementation can follow |
//! | [`safety`](guide::safety) | why at most one process holds the lock, and on which assumptions |
//!
//! For the command `linklock`: [the README](https://github.com/linklock/linklock#readme) and its
//! guides to cron, scripts, systemd and containers.
//!
//! # More than one holder
//!
//! [`Slots`] lets a number of holders in at once, each in a lock of its own: for GPUs, licences or
//! ports, and for jobs of which only so many may run. [`RwLock`] lets in any number of readers, or one
//! writer.
//!
//! # Mailboxes
//!
//! An mbox to which other mail programs deliver must be locked in their way, which differs from
//! this one: see [`mailbox`].
//!
//! # Leaking and forking
//!
//! A guard that is leaked ([`std::mem::forget`]) keeps its lock until the process ends. If a
//! process exits without running destructors, its lock is taken over like a dead holder's. To leave
//! a lock held on purpose, [detach](LockGuard::detach) it. A forked child inherits no lock: its
//! copy of the guard releases nothing.
//!
//! # Features
//!
//! - `tokio`: the lock for programs on tokio, which blocks no thread: the module `tokio`.
//! - `tracing`: [spans and events](guide::tracing) that report what happens to locks: which process
//!   waits for which holder, whose stale lock was broken, which lock was lost, and the failures
//!   that destructors and the keep-alive thread cannot return as an error. Without this feature the
//!   library logs nothing.
//!
//! [flufl.lock]: https://pypi.org/project/flufl.lock/
//! [`refresh`]: LockGuard::refresh
//! [`verify`]: LockGuard::verify
//! [`unlock`]: LockGuard::unlock
//! [`keep_alive`]: LockGuard::keep_alive
#![deny(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))] // docs.rs marks items behind a feature

#[cfg(not(unix))]
compile_error!("linklock needs a Unix system: it uses link(2) and the attributes of stat(2)");

mod admin;
mod clock;
mod dotlock;
mod error;
mod events;
mod guard;
pub mod guide;
mod holder;
mod keep_alive;
mod lock;
mod lock_file;
pub mod mailbox;
mod model;
mod options;
mod policy;
mod protocol;
mod rw_lock;
mod slots;
mod state;
mod sys;
#[cfg(test)]
mod testing;
#[cfg(feature = "tokio")]
pub mod tokio;
mod wait;

pub use clock::{Clock, SystemClock};
pub use error::{Error, Operation, Successor};
pub use guard::LockGuard;
pub use holder::{Format, Holder, Obstacle, Owner, State};
pub use keep_alive::report::KeepAlive;
pub use lock::Lock;
pub use lock_file::LockFile;
pub use options::{DEFAULT_CLOCK_SLOP, DEFAULT_LIFETIME, DEFAULT_POLLING, LockOptions};
pub use policy::StalePolicy;
pub use rw_lock::{ReadGuard, RwLock, WriteGuard};
pub use slots::{SlotGuard, Slots};
pub use sys::process::Life;

/// Runs the README's examples too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
