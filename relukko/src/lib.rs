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
//! A lock has a name, and expires 10 minutes after its creation unless it is kept alive. It stays
//! held for 3 more minutes; then the server removes it. Each tenure has an id, by which it is kept
//! alive and deleted, so that no client deletes another's tenure by mistake. What [linklock says]
//! about leases applies here too: a holder that stalls for longer than its lease can lose the lock
//! to another client.
//!
//! # The server's directory
//!
//! The directory is the only state: servers remember nothing that is not there, and several servers
//! may share one directory, on NFS or a replicated file system [that is set up for it]. For each lock it
//! contains:
//!
//! | file | contents |
//! |---|---|
//! | `NAME` | the lock file, for a plain name: at most 100 ASCII letters, digits, blanks and signs, without `/`, `\`, <code>&#124;</code> and `~`, and not beginning with a dot |
//! | `READABLE~HASH` | the lock file for any other name: its readable part, and 160 bits of its SHA-256 |
//! | `FILE.K` | that of slot K of a set, whose name would have this `FILE` |
//! | <code>...&#124;relukko-ID&#124;PID&#124;NONCE</code> | the claim: its host name contains the lock's id |
//! | `.relukko/ID` | the record: the object that the interface shows, and the digest of its holder's secret |
//! | `.relukko/tokens/N.LIMIT` | the counter of fencing tokens: `N` is the last one, and a higher one than `LIMIT` has never been used |
//!
//! To create a lock, a server first writes the record and then links the lock file. The link takes
//! the lock and identifies its record: a server killed in between leaves a record without effect,
//! which is swept. The lock file's lease ends with the grace period, so that [`linklock::Lock`],
//! `linklock run` and flufl.lock respect the lock for as long as the server does. The lease never
//! moves back: a lock that is set to expire sooner is ended by a server, not by its lease. A server
//! takes a separate lock to change a record, so that two servers lose none of each other's changes. A
//! lock is ended only by a [takeover](linklock::guide::safety#the-argument), which exactly one server
//! wins.
//!
//! What the server has answered survives a power failure: a lock, its secret, its token, and the date until
//! which it was promised. Only a deletion may be lost, if the power fails soon after it: then the lock is
//! held again until it expires.
//!
//! Times are those of the file server's clock, as the library reads it; the hosts' own clocks play
//! no part. If the file server's clock is set, a lock counts by the clock as it was when its dates
//! were written.
//!
//! # Other programs' locks
//!
//! A lock file that another program holds is a lock like any other: the server lists it, with the
//! process and its host as the creator and an id derived from its claim, and waiters learn when it
//! ends. A stale lock is taken over by the rules of [`linklock`]. Deleting the lock breaks it. Only
//! its holder can extend it: a request to do so gets 409.
//!
//! # Beyond Relukko
//!
//! The routes under `/v1/` are exactly Relukko's. Those under `/v2/` have what its locks lack. The
//! client for them is [`v2::Client`], which has neither slots nor events yet; the server describes all of them at `/openapi.json`:
//!
//! ```sh
//! curl -H "X-api-Key: $KEY" -H "X-Lock-Secret: $SECRET" http://127.0.0.1:3000/v2/locks \
//!     -d '{"name": "report", "lifetime": 30, "wait": 20, "who": "nightly", "note": "for the books"}'
//! ```
//!
//! - The creator chooses how long the lock lasts, at most for
//!   [`max_lifetime`](ServerOptions::max_lifetime); a `PUT` of its own renews that. There is no grace
//!   period beyond 2 s, for clocks that differ.
//! - Only who knows the lock's secret can renew and release it. The client chooses the secret, at random,
//!   and sends it in the header `X-Lock-Secret` of each request. The same request with the same secret gets
//!   the same lock, so a client that has lost an answer asks again. A `DELETE` under `/v1/` breaks
//!   any lock.
//! - Each tenure has a fencing token, a number that is higher than those of all tenures of the lock
//!   before, whichever server they were created by. A store that is protected by the lock can
//!   [reject lower ones](linklock::guide::leases#fencing-tokens). Tenures that began under `/v1/`, or
//!   that other programs hold, have none.
//! - With `wait`, a client whose lock is not free stands in line. It gets 202 and a date at once, and asks
//!   again with that date as `since`, for up to 60 s each time. Those who wait at one server get the lock in
//!   the order of their dates, after a restart of the server too. A client that does not come back within
//!   3 s loses its place. Requests without `wait` never overtake; those of `/v1/`, of other servers and of
//!   other programs may.
//! - With `"slots": N`, a client gets any [slot](#slots) of a set; with `"access"` it [reads or
//!   writes](#readers-and-writers).
//! - `GET /v2/locks?limit=N` lists locks in pages, each with the `after` of the next one.
//!   `GET /v2/locks?name=NAME` finds the lock with that name.
//! - `GET /v2/events?wait=60` waits for what happens to locks (created, prolonged, ended), and says how to
//!   go on after it. 410 says that the server does not know that place any more: it was restarted, or 4,096
//!   events have come since.
//!
//! # Slots
//!
//! Up to N clients at once, for licences, GPUs or jobs of which a file server bears only so many:
//!
//! ```sh
//! curl -H "X-api-Key: $KEY" -H "X-Lock-Secret: $SECRET" http://127.0.0.1:3000/v2/locks \
//!     -d '{"name": "encode", "slots": 4, "wait": 20}'
//! ```
//!
//! The answer says which slot the client has: `"set": "encode", "slot": 2, "slots": 4`. A slot is a lock like
//! any other, with an id, a lease and a fencing token: slot 2 of the set `encode` is the lock `encode.2`.
//! These are also the locks of [`linklock::Slots`] with the set's name in the server's directory, so HTTP
//! clients, the library and `linklock run --slots` share one set. Those who wait stand in one line for
//! the set, and the first gets whichever slot becomes free. A client that wants two slots needs two secrets.
//! `GET /v2/locks?set=NAME` finds the slots that are held.
//!
//! A set has up to 256 slots. All clients should agree on the number; if they do not, there can be as many
//! holders as the largest number says. The server looks at each slot's file before it takes one, since
//! the client may have one since an earlier request, perhaps through another server. (Only where that
//! request is still at work, the client gets a second slot, and the first one ends with its lease.)
//!
//! # Readers and writers
//!
//! With `"access": "read"` any number of clients hold a lock at once; with `"access": "write"` one does, alone:
//! for a cache or a configuration that many use and some replace.
//!
//! ```sh
//! curl -H "X-api-Key: $KEY" -H "X-Lock-Secret: $SECRET" http://127.0.0.1:3000/v2/locks \
//!     -d '{"name": "cache", "access": "read", "wait": 20}'
//! ```
//!
//! Each reader has an id, a lease and a fencing token of its own. These are also the readers and writers of
//! [`linklock::RwLock`] in the server's directory, and of `linklock run --shared`. Readers and writers
//! stand in one line: a writer whose turn it is waits until the readers that are in have gone, and those that
//! come later wait behind it. A writer that does not come back while it waits is in their way for
//! some seconds.
//!
//! All clients of such a lock have to say whether they read or write. One that says neither, and any of
//! `/v1/`, keeps others out, but does not wait for the readers that are in. A lock that a client has for
//! reading does not become one for writing: release it first.
//!
//! `GET /v2/locks?name=NAME` finds the writer, and with `&access=read` the readers. To find the readers
//! that are in, a writer has the server list the names in its directory.
//!
//! # Keys
//!
//! Each request needs an API key. In a [file of keys](ServerOptions::api_key_file) they can have names,
//! for the log, and rights:
//!
//! ```text
//! name=dashboard rights=read key=...
//! name=builds rights=own locks=50 key=...
//! ```
//!
//! With `read` a client sees all locks. With `own` it creates locks too, and changes and deletes those
//! that were created with the same key. All other keys have all rights.
//! With `locks` a key has a limit: so many locks that were created with it can be held at once, as far as
//! this server has seen, and a request for one more is refused with status 429.
//!
//! # Features
//!
//! - `client` (default): [`Client`] and [`v2::Client`].
//! - `tokio`: `linklock_relukko::tokio` and `tokio::v2`, the same for programs on tokio.
//! - `server` (default): [`Server`].
//!
//! [linklock says]: linklock#what-is-guaranteed
//! [that is set up for it]: https://github.com/linklock/linklock/blob/main/docs/several-servers.md

#![deny(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))] // docs.rs shows which features an item needs

#[cfg(feature = "client")]
mod client;
mod info;
#[cfg(any(feature = "client", feature = "server"))]
mod secret;
#[cfg(feature = "server")]
mod server;
mod timestamp;

#[cfg(feature = "tokio")]
pub use client::tokio;
#[cfg(feature = "client")]
pub use client::{Client, ClientError, ClientOptions, LockGuard, v2};
pub use info::{Access, InvalidId, LockId, LockInfo};
#[cfg(feature = "server")]
pub use server::{Server, ServerError, ServerOptions};

/// The README's example runs too.
#[cfg(all(doctest, feature = "client", feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;
