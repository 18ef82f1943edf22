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
//! // ... the work, calling guard.refresh() in time, or guard.keep_alive(...) once ...
//! guard.unlock()?;                   // or just drop it
//! # Ok::<(), linklock::Error>(())
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
//!    [token](#fencing-tokens).
//! 3. One assumption is made, as every lock with leases makes it: a process that checks its lease
//!    and then issues one file operation has that operation executed within the
//!    [clock slop](Options::clock_slop), 10 s unless it is set.
//!
//! What can't be guaranteed is said, too. NFS's `REMOVE` and `RENAME` are not idempotent: a server
//! that crashes between executing one and answering, and forgets what it has answered, executes it
//! again when the client asks again. If the next holder has acquired the lock in between, its lock
//! file is taken away for a moment, until this library sees what it has caught and puts it back;
//! a third who comes in that moment gets in. A server that keeps its reply cache through a crash, or
//! does not crash, does not do this. And flufl.lock itself breaks a lock by name, whatever it has
//! judged: where stale locks are broken by both, the guarantee is flufl.lock's.
//!
//! # How it works
//!
//! Whoever wants the lock `L` makes a *claim*, a file of its own beside it, and links it to the name
//! `L`. link(2) succeeds for one of them; on NFS its answer may be lost, but the truth can be seen,
//! for the lock file then is the claim's inode, with a link count of 2 (see `O_EXCL` in open(2)).
//! Nobody else would use a claim's name, which has 64 random bits in it, so it is not created
//! exclusively: that costs an NFS server a request more.
//! The claim's mtime says when the lease ends. It is given in the *file server's* time, which is
//! known for free, since a new file's ctime is stamped by the server; from then on the machine's
//! monotonic clock carries it, so that nobody's date matters.
//!
//! A lock whose lease has been over for the clock slop, or whose holder is provably dead, is ended
//! by whoever comes next.
//!
//! Where nobody contends, lock and unlock are nine system calls: the seven that the files need, and
//! two looks; three with [`keep_claim`](Options::keep_claim). An NFS server is asked ten times, or
//! six.
//!
//! # Waiting
//!
//! On one machine (Linux) those who wait for a lock stand in a queue, and are served in the order in
//! which they came. Only the first of them looks at the lock file; it watches it by inotify(7) and
//! polls at growing intervals, for what other machines do can't be heard. The place at the head of
//! the queue is passed on with the lock, which wakes the next in line, and nobody else. Who had to
//! wait the last time, or takes the lock again at once, lets those go first who wait already; on a network file system the waiters of
//! one host let those of others have their turn. The queue is a socket in the abstract namespace of
//! unix(7): it leaves nothing behind, ends with its processes, and is no more than a hint. Whoever
//! is in another network namespace, or brings a [clock](Options::clock) of its own, only polls.
//!
//! # Succession
//!
//! Ending another's tenure is where other locks fail: `unlink` is not conditional, so a breaker that
//! judged yesterday's holder removes today's. Here the right to end one tenure is itself won by a
//! hard link, to a *seat* that belongs to that tenure alone. Whoever is in the seat looks again,
//! takes the lock file away by renaming it, and looks at what it has caught. A holder that comes back
//! after its lease has ended must win the seat as well before it may renew or release its lock.
//!
//! # Files
//!
//! For a lock `L`, with the default [separator](Options::separator):
//!
//! | name | what it is |
//! |---|---|
//! | `L` | the lock file: there while the lock is held, a hard link to the holder's claim |
//! | <code>L&#124;HOST&#124;PID&#124;NONCE</code> | a claim; its content is its own path, its mtime the end of its lease |
//! | <code>L&#124;break&#124;NONCE&#124;K</code> | a seat in the succession of the tenure with that nonce |
//! | <code>L&#124;aside&#124;NONCE&#124;K</code> | a lock file on its way out |
//! | `L.fence/N` | with [`fencing`](Options::fencing): the last token, see below |
//! | <code>L&#124;fence&#124;NONCE&#124;K</code> | the same directory, while it is made |
//!
//! Nothing else is ever touched, whatever a lock file's content says: only a name in `L`'s own
//! directory that is formed like these. A file at `L` that is no lock is never removed. What the
//! dead leave behind is swept by the next comer, once it has expired.
//!
//! # When a holder counts as dead
//!
//! A claim says which process made it, when that started, and (hashed) in which boot and namespaces.
//! On the same host, in the same boot, pid namespace and time namespace, a process that is gone, or
//! whose pid belongs to another by now, is dead, and its lock is taken over at once; on a network
//! file system after the clock slop, since its last request may still be on its way. Everywhere else,
//! and for flufl.lock's claims, which say less, only the lease counts. Machines that were cloned
//! while running share their boot id: give them different [host names](Options::host_name), or use
//! [`StalePolicy::Expired`].
//!
//! # Choosing a lifetime
//!
//! The lifetime is for how long others wait after a crash that they can't see, and how long a stall
//! you survive. With [`keep_alive`], the default of 15 s suits most; choose a minute or more where
//! the file server may be away for that long. All who use a lock should use the same clock slop;
//! lifetimes may differ.
//!
//! # Fencing tokens
//!
//! Whoever stalls past its lease may be succeeded, and does not know until it looks. Where a late
//! write would do harm, let the *resource* refuse it: with [`Options::fencing`] each acquisition has
//! a [token](LockGuard::token), a number higher than those of all before it. Send it along with each
//! write; the resource keeps the highest that it has seen, and refuses what comes with a lower one,
//! in one step with the write itself. A token that nobody checks protects nothing. Tokens grow in
//! the order of acquisition, whatever stalls, crashes or is lost on the way; there are gaps.
//!
//! The counter is a file's name in the directory `L.fence`, which stays when the lock is released.
//! Acquiring takes three operations more: to list that directory, to rename the file, and to look
//! whether the lock is still held. Without the option none of that is done. Removing the directory
//! starts the count anew, so that the resource refuses everybody: to go on from another number,
//! rename the file in it. It is made with mode 0777 less the umask; if several users share the
//! lock, all of them must be allowed to write in it. A lock that is [adopted](Lock::adopt) gets a
//! new token, and the resource goes by that from then on.
//!
//! `examples/fencing.rs` is a resource that checks.
//!
//! # From flufl.lock
//!
//! | flufl.lock | here |
//! |---|---|
//! | `Lock(lockfile, lifetime, separator, default_timeout)` | [`Lock::new`]; [`Options::lifetime`], [`separator`](Options::separator), [`timeout`](Options::timeout) |
//! | `lock()`, `lock(timeout)` | [`Lock::lock`], [`Lock::try_lock_for`], [`Lock::try_lock_until`], [`Lock::try_lock`], [`Lock::lock_while`] |
//! | `unlock()`, `unlock(unconditionally=True)` | [`LockGuard::unlock`], [`LockGuard::unlock_if_held`] |
//! | `with lock:` | bind the [`LockGuard`] to a name |
//! | `refresh()`, `refresh(lifetime)`, `refresh(unconditionally=True)` | [`LockGuard::refresh`], [`refresh_for`](LockGuard::refresh_for), [`refresh_if_held`](LockGuard::refresh_if_held) |
//! | `is_locked` (refreshes) | [`Lock::is_locked`], [`LockGuard::verify`] (do not) |
//! | `lifetime` | [`Lock::lifetime`], [`Lock::set_lifetime`] |
//! | `details` | [`Lock::holder`] |
//! | `state`: `unlocked`, `ours`, `ours_expired`, `stale`, `theirs_expired`, `unknown` | [`Lock::state`]: [`State`] |
//! | `expiration` | [`Lock::expiration`], [`LockGuard::expires_at`] |
//! | `hostname`, `lockfile`, `claimfile` | [`Lock::host_name`], [`Lock::path`], [`Lock::claim_path`] |
//! | `retry_errnos` | [`Options::retry_errnos`], [`Lock::retry_errnos`] |
//! | the `_now` hook | [`Options::clock`] |
//! | `AlreadyLockedError`, `NotLockedError`, `TimeOutError` | [`Error::AlreadyLocked`], [`Error::Lost`], [`Error::TimedOut`] |
//! | `SEP`, `CLOCK_SLOP` | [`Options::separator`], [`Options::clock_slop`] |
//!
//! What differs: a claim is made for each acquisition, not for each lock object; the host name is
//! what gethostname(2) says, without a look-up; and whoever waits keeps its claim's lease ahead.
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
//! guard releases nothing. Whoever can write to the directory can break the lock; this is a lock
//! between programs that mean well.
//!
//! # Features
//!
//! - `tokio`: the lock for programs on tokio, in which nothing blocks: the module `tokio`.
//! - `tracing`: reports what destructors and the keep-alive thread can't return as an error.
//!
//! [flufl.lock]: https://pypi.org/project/flufl.lock/
//! [`refresh`]: LockGuard::refresh
//! [`verify`]: LockGuard::verify
//! [`unlock`]: LockGuard::unlock
//! [`keep_alive`]: LockGuard::keep_alive

#![deny(missing_docs)]

mod acquire;
mod claim;
mod clock;
mod context;
mod courtesy;
mod dotlock;
#[cfg_attr(not(target_os = "linux"), path = "ear_elsewhere.rs")]
mod ear;
mod error;
#[cfg(test)]
mod faulty;
mod fence;
mod fs;
mod guard;
mod handover;
mod holder;
mod judge;
mod keeper;
mod last_tenure;
mod lease;
mod lock;
pub mod mailbox;
mod names;
mod options;
mod patience;
mod pause;
mod process;
#[cfg_attr(not(target_os = "linux"), path = "queue_elsewhere.rs")]
mod queue;
mod report;
mod safeguard;
mod shelf;
#[cfg(test)]
mod sim;
mod succession;
mod survey;
mod sweep;
mod tenure;
#[cfg(feature = "tokio")]
pub mod tokio;
mod upkeep;
mod wait;
mod waiter;
#[cfg_attr(not(target_os = "linux"), path = "watch_elsewhere.rs")]
mod watch;

pub use clock::{Clock, SystemClock};
pub use error::{Error, Operation, Successor};
pub use guard::LockGuard;
pub use holder::{Format, Holder, Obstacle, Owner, StalePolicy, State};
pub use lock::Lock;
pub use options::Options;
pub use process::Life;

/// The README's examples run too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
