//! Locks on mailboxes: mbox files that other programs deliver to.
//!
//! Mail programs do not know [`Lock`](crate::Lock)'s lock files. The convention they follow is in
//! the [Debian Policy Manual, 11.6](https://www.debian.org/doc/debian-policy/ch-customized-programs.html#mail-transport-delivery-and-user-agents):
//! a lock by fcntl(2) on the mailbox itself, and then a *dotlock*, a file beside it with `.lock`
//! appended to its name. A [`MailboxLock`] takes both; if the second is taken, it drops the first,
//! waits for a random time, and tries again.
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! # let mbox = dir.path().join("joe");
//! # std::fs::write(&mbox, "").unwrap();
//! use std::io::{Seek, SeekFrom, Write};
//! use linklock::mailbox::MailboxLock;
//!
//! let lock = MailboxLock::new(&mbox)?;
//! let guard = lock.lock()?;
//! let mut file = guard.file().expect("there is a mailbox");
//! file.seek(SeekFrom::End(0))?;
//! file.write_all(b"From joe Thu Jan  1 00:00:00 1970\n\nHello\n\n")?;
//! file.sync_data()?;
//! guard.unlock()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The example `deliver` appends a message as a delivery agent should: the message is on disk
//! before it is acknowledged, is cut off again if it cannot be written completely, and is separated
//! from what a killed writer has left.
//!
//! # Our dotlock
//!
//! Our dotlock is one that no program misjudges: its content is `0` and a newline, its mode 0644
//! and its link count 1, and it is linked from another name, so that it is safe on NFS too. Other
//! programs break a dotlock that does not change: Mail Avenger after 30 s, Dovecot after 120 s,
//! dotlockfile after 300 s, Postfix after 500 s, procmail after 1024 s, Exim after 1800 s. So a
//! guard has a lease, of [30 s](LEASE), counted from when its dotlock was last touched:
//! [`refresh`](MailboxGuard::refresh) touches it, and a guard that is
//! [kept alive](MailboxGuard::keep_alive) is refreshed every 10 s. A program that holds a mailbox for
//! longer than it takes to append a message should keep its guard alive.
//!
//! # Other programs' dotlocks
//!
//! A dotlock that a dead program has left would block the mailbox for ever. It is removed only by
//! these rules:
//!
//! - Its content and mode show that it is of a [kind](DotlockKind) that mail programs make. Any
//!   other file with that name is not a lock, and stays. A file that cannot be read counts as held.
//! - **An empty file counts as a dotlock**, since Exim, Python, mutt and Postfix make empty ones.
//!   So an empty file that has nothing to do with mail, but has the dotlock's name, is removed like
//!   theirs once it has been unchanged for long enough.
//! - It names a process on a host that is provably this one, and that process does not exist. (That
//!   is Dovecot's `PID:HOST` on a local file system, seen from the machine's initial pid namespace:
//!   all processes count, those in containers too.) A pid without a host proves no death. While a
//!   named process runs its dotlock stays, however old it is.
//! - Otherwise, neither it nor the mailbox has changed for 300 s
//!   ([`unchanged_for`](MailboxOptions::unchanged_for)). What counts is what this handle has
//!   observed, by this machine's monotonic clock, and not the dates of the files: a wrong date
//!   breaks no lock. A handle remembers its observations from one use to the next; one that waits
//!   for less than that time never breaks such a dotlock.
//! - A lock file of [`Lock`](crate::Lock) or flufl.lock in the dotlock's place must also have expired
//!   by its own rules, and is broken by them.
//!
//! `unlink` is not conditional: a breaker that found yesterday's dotlock stale removes today's. The
//! right to remove another program's dotlock is therefore itself a [`Lock`](crate::Lock), with its
//! leases and [seats](crate::guide::safety#the-argument), at `.MAILBOX.break`. Its holder checks
//! again that the dotlock has not changed, by inode, modification time, size and mode; renames it;
//! and checks which file it has caught: another program's is put back. A holder whose own lease has
//! ended also takes this lock before it touches or removes its dotlock, and checks the clock once
//! more right before that. Other programs don't take this lock: they break dotlocks by their own
//! rules.
//!
//! # fcntl(2), by open file description
//!
//! On Linux the mailbox is locked with `F_OFD_SETLK` (see fcntl_locking(2)). It conflicts with
//! other programs' `F_SETLK` as those do with each other, on NFS too; but it belongs to the open
//! file rather than the process: two threads exclude each other, and the lock is not lost when the
//! program, or a library in it, opens the same mailbox and closes it again. Elsewhere it is
//! `F_SETLK`, and **is lost** then: use [`file`](MailboxGuard::file) there, or only the dotlock
//! guards the mailbox. (This library itself avoids that: there a process has a mailbox open for one
//! handle at a time.)
//!
//! A mailbox that does not exist yet cannot be locked by fcntl(2). Only its dotlock guards its
//! creation, which is left to the caller, since the caller knows its owner.
//!
//! # Files
//!
//! | name | purpose |
//! |---|---|
//! | `MAILBOX.lock` | the dotlock: exists while the mailbox is locked |
//! | `.MAILBOX.break` | exists while a stale dotlock is taken over: a lock file, with its claims beside it |
//! | <code>.MAILBOX.break&#124;aside&#124;NONCE&#124;K</code> | a dotlock that is being made or removed; swept if left behind |
//!
//! # Permissions
//!
//! A program needs permission to write to the directory in order to make a dotlock: on Debian,
//! `/var/mail` is writable by the group `mail`, so a program that delivers there runs as root or
//! setgid mail. In a sticky spool only the dotlock's owner and root can break a dotlock.
//! [`Error::Denied`](crate::Error::Denied) says which permission is missing.
//!
//! # Maildirs, and other directories of messages
//!
//! A Maildir needs no lock for a delivery: a message is written under `tmp/` and renamed to `new/`.
//! Work on the directory as a whole, such as expiring messages, renumbering or migrating it, does
//! need one, and so does any directory whose format has an index. Other mail programs have no
//! common lock for these, so it is one between your own programs. Use a [`Lock`](crate::Lock)
//! *beside* the directory, never in it, where it could be taken for a message:
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! # let maildir = dir.path().join("joe");
//! # std::fs::create_dir(&maildir).unwrap();
//! use linklock::Lock;
//!
//! let mut path = maildir.clone().into_os_string();
//! path.push(".lock");
//! let guard = Lock::new(path)?.lock()?;
//! guard.keep_alive(|why| eprintln!("stop: {why}"))?;
//! // ... the work on the whole directory, one message at a time ...
//! guard.unlock()?;
//! # Ok::<(), linklock::Error>(())
//! ```

mod acquire;
mod context;
mod dotlock;
mod guard;
mod lock;
mod mbox_file;
mod observe;
mod options;
mod permission;
mod pid_evidence;
mod takeover;
mod tenure;

pub use crate::dotlock::{Dotlock, DotlockKind};
pub use dotlock::LEASE;
pub use guard::MailboxGuard;
pub use lock::MailboxLock;
pub use options::MailboxOptions;
