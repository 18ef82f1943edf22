//! A lock for programs on many machines, with nothing but a directory that they share.
//!
//! `linklock` is a port of Python's [flufl.lock]: it writes the same files, so the two respect each
//! other's locks, and it closes the races through which flufl.lock lets two programs in at once. The
//! directory may be local or on NFS (version 3 or 4), the machines' clocks may disagree, and any
//! process may die, stall or lose its network at any step.
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
//! 1. While a holder's lease runs, nobody else acquires the lock: in whatever order things happen,
//!    with any number of crashes, with lost replies and stale client caches, and with machines whose
//!    date is wrong by hours.
//! 2. A lease is not a fence. A holder that stalls past its lease (SIGSTOP, a mount that hangs, a
//!    laptop that is closed) can be succeeded. It learns so at its next [`refresh`], [`verify`] or
//!    [`unlock`] ([`Error::Lost`]), or through [`keep_alive`]; the resource itself can refuse it by its
//!    [token](guide::leases#fencing-tokens).
//! 3. One assumption is made: the operation that takes the lock file away is executed within the
//!    [clock slop](LockOptions::clock_slop), 10 s unless it is set, after its sender looked at the clock.
//!    It follows an operation that waits for whatever a server holds requests back for, however long
//!    that takes, and can hurt nobody. A server may take as long as it likes over everything else. (See
//!    [the paragraph](guide::safety#what-is-assumed-in-one-paragraph), and what it takes of clocks and
//!    file systems, [one by one](guide::safety#the-assumptions-one-by-one).)
//!
//! What can't be guaranteed is said, too. NFS's `REMOVE` and `RENAME` are not idempotent: a server
//! that crashes between executing one and answering, and forgets what it has answered, executes it
//! again when the client asks again. If the next holder has acquired the lock in between, its lock
//! file is taken away for a moment, until this library sees what it has caught and puts it back;
//! a third who comes in that moment gets in. A server that keeps its reply cache through a crash, or
//! does not crash, does not do this. And flufl.lock itself breaks a lock by name, whatever it has
//! judged: where stale locks are broken by both, the guarantee is flufl.lock's.
//! [`guide::safety`] has the whole argument.
//!
//! # How it works
//!
//! A contender for the lock `L` makes a *claim*, a file of its own beside it, and links it to the name
//! `L`. link(2) succeeds for one of them; on NFS its answer may be lost, but the truth can be seen,
//! for the lock file then is the claim's inode, with a link count of 2 (see `O_EXCL` in open(2)).
//! The claim's mtime says when the lease ends, in the *file server's* time, which is known for free,
//! since a new file's ctime is stamped by the server; from then on the machine's monotonic clock
//! carries it, so that no machine's date matters.
//!
//! A lock whose lease has been over for the clock slop, or whose holder is provably dead, is ended by
//! the next contender. That is where other locks fail: `unlink` is not conditional, so a breaker that
//! judged yesterday's holder removes today's. Here the right to end one tenure is itself won by a
//! hard link, to a *seat* that belongs to that tenure alone. The process in the seat looks again,
//! removes the holder's claim, which may take a server minutes and hurts nobody, looks at the clock,
//! takes the lock file away by renaming it, and looks at what it has caught. A holder that comes back
//! after its lease has ended must win the seat as well before it may renew or release its lock.
//!
//! Where nobody contends, lock and unlock are nine system calls: the seven that the files need, and
//! two looks; three with [`keep_claim`](LockOptions::keep_claim). An NFS server is asked ten times, or
//! six.
//!
//! # The guide
//!
//! | chapter | |
//! |---|---|
//! | [`lifetimes`](guide::lifetimes) | choosing a lifetime and a clock slop; when a holder counts as dead |
//! | [`leases`](guide::leases) | what a stalled holder may have done, and fencing tokens against it |
//! | [`waiting`](guide::waiting) | who is served next, how soon, and what waiting costs |
//! | [`nfs`](guide::nfs) | mount and export options, and what breaks what |
//! | [`tracing`](guide::tracing) | the events that tell what befalls locks, to build alerts on |
//! | [`containers`](guide::containers) | host names, process ids and boots |
//! | [`flufl_lock`](guide::flufl_lock) | for those who come from flufl.lock: a table of names |
//! | [`security`](guide::security) | who can do what to a lock, and what it gives away |
//! | [`format`](guide::format) | the files, as a specification that another implementation can follow |
//! | [`safety`](guide::safety) | why at most one holds the lock, and on which assumptions |
//!
//! For the command `linklock`: [the README](https://github.com/linklock/linklock#readme) and its
//! guides to cron, scripts, systemd and containers.
//!
//! # Mailboxes
//!
//! An mbox that other mail programs deliver to has to be locked in their way, which is not this one:
//! see [`mailbox`].
//!
//! # Leaking and forking
//!
//! A guard that is leaked ([`std::mem::forget`]) keeps its lock until the process ends; a process
//! that exits without running destructors leaves it to be taken over as a dead one's. To leave a lock
//! held on purpose, [detach](LockGuard::detach) it. A forked child inherits no lock: its copy of the
//! guard releases nothing.
//!
//! # Features
//!
//! - `tokio`: the lock for programs on tokio, in which nothing blocks: the module `tokio`.
//! - `tracing`: [spans and events](guide::tracing) of what happens to locks: who waits for whom, whose stale
//!   lock was broken, what was lost, and what destructors and the keep-alive thread can't return as an
//!   error. Without it the library says nothing.
//!
//! [flufl.lock]: https://pypi.org/project/flufl.lock/
//! [`refresh`]: LockGuard::refresh
//! [`verify`]: LockGuard::verify
//! [`unlock`]: LockGuard::unlock
//! [`keep_alive`]: LockGuard::keep_alive
#![deny(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))] // docs.rs shows what is behind a feature

#[cfg(not(unix))]
compile_error!("linklock is for Unix: it takes link(2), and what stat(2) tells of a file");

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
mod protocol;
mod sys;
#[cfg(test)]
mod testing;
#[cfg(feature = "tokio")]
pub mod tokio;
mod wait;

pub use clock::{Clock, SystemClock};
pub use error::{Error, Operation, Successor};
pub use guard::LockGuard;
pub use holder::{Format, Holder, Obstacle, Owner, StalePolicy, State};
pub use lock::Lock;
pub use lock_file::LockFile;
pub use options::{DEFAULT_CLOCK_SLOP, DEFAULT_LIFETIME, DEFAULT_POLLING, LockOptions};
pub use sys::process::Life;

/// The README's examples run too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
