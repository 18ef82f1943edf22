//! linklock's locks over HTTP, for hosts that share no directory: a client for the lock service
//! Relukko, and a server that speaks its interface and keeps its locks as lock files.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! use std::time::Duration;
//! use linklock_relukko::{Client, Server};
//!
//! let server = Server::options(dir.path()).bind("127.0.0.1:0".parse()?).api_key("secret").start()?;
//! let client = Client::new(format!("http://{}", server.address()), "secret")?;
//! let guard = client.try_lock_for("report", Some("nightly"), Duration::from_secs(60))?;
//! guard.keep_alive(Duration::from_secs(300), |why| eprintln!("stop the work: {why}"))?;
//! // It is a lock file, too:
//! assert!(linklock::Lock::new(dir.path().join("report"))?.try_lock().is_err());
//! guard.unlock()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a lock is
//!
//! A lock has a name, and expires 10 minutes after it was created unless it is kept alive. It stays
//! held for 3 minutes more, then the server removes it. Each tenure has an id, by which it is kept
//! alive and deleted, so that nobody deletes another's by mistake. What [linklock says] of leases
//! holds here: a holder that stalls for longer than its lease can lose the lock to another.
//!
//! # The server's directory
//!
//! The directory is the truth; servers remember nothing that is not there, and several may serve
//! one. For a lock:
//!
//! | file | what it is |
//! |---|---|
//! | `NAME` | the lock file, for a plain name: at most 100 ASCII letters, digits, blanks and signs, without `/`, `\`, <code>&#124;</code> and `~`, and with no dot for its first |
//! | `READABLE~HASH` | the lock file for any other name: what of it can be read, and 160 bits of its SHA-256 |
//! | <code>...&#124;relukko-ID&#124;PID&#124;NONCE</code> | the claim: its host name says the lock's id |
//! | `.relukko/ID` | the record: the object that the interface shows |
//!
//! Creating a lock writes the record first and then links the lock file, which is what takes the
//! lock and says which record is its own: a server that is killed in between leaves a record that
//! means nothing, and is swept. Both are on the disk before 201 is answered. The lock file's lease
//! ends with the grace period, so that [`linklock::Lock`], `linklock run` and flufl.lock respect
//! the lock for as long as the server does. It never moves back: a lock that is to expire sooner is
//! ended by a server, not by its lease. What changes a record takes a lock of its own, so
//! that two servers lose nothing of each other's changes. A lock is ended in its
//! [succession](linklock::guide::safety#the-argument) only, which one server wins.
//!
//! Times are those of the file server's clock, as the library reads it; the hosts' own dates play no
//! part. If the file server's clock is set, a lock counts by the clock as it was when its dates were
//! written.
//!
//! # Other programs' locks
//!
//! A lock file that another program holds is a lock like any other: it is listed, with the process
//! and its host for a creator and an id made of its claim, and waiters learn of its end. A
//! stale one is taken over by the rules of [`linklock`]. To delete it is to break it. Only its holder
//! can prolong it: a server that is asked to says 409.
//!
//! # Features
//!
//! - `client` (default): [`Client`].
//! - `tokio`: `linklock_relukko::tokio`, the same client for programs on tokio.
//! - `server` (default): [`Server`].
//!
//! [linklock says]: linklock#what-is-guaranteed

#![deny(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))] // docs.rs shows what is behind a feature

#[cfg(feature = "client")]
mod client;
mod info;
#[cfg(feature = "server")]
mod server;
mod timestamp;

#[cfg(feature = "tokio")]
pub use client::tokio;
#[cfg(feature = "client")]
pub use client::{Client, ClientError, ClientOptions, LockGuard};
pub use info::{InvalidId, LockId, LockInfo};
#[cfg(feature = "server")]
pub use server::{Server, ServerError, ServerOptions};

/// The README's example runs too.
#[cfg(all(doctest, feature = "client", feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;
