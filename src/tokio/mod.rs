//! The lock for programs on tokio: the same files and the same protocol, and nothing blocks.
//!
//! A [`Lock`] made from [`linklock::Lock`](crate::Lock), with all its options, whose methods are
//! futures. Tasks, threads and other processes that want the lock stand in one line, and are served
//! in the order in which they came.
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("report.lock");
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use linklock::tokio::Lock;
//!
//! let lock = Lock::new(&path)?;              // or from a linklock::Lock, with options
//! let guard = lock.lock().await?;            // waits, and holds no thread meanwhile
//! let mut kept = guard.keep_alive();
//! tokio::select! {
//!     Some(why) = kept.lost() => eprintln!("stopped: {why}"),
//!     () = work() => guard.unlock().await?,  // or just drop it
//! }
//! # Ok::<(), linklock::Error>(())
//! # })?;
//! # async fn work() {}
//! # Ok::<(), linklock::Error>(())
//! ```
//!
//! # What runs where
//!
//! File operations block, on NFS for as long as the server is away. They run on the runtime's pool
//! for that ([`spawn_blocking`](::tokio::task::spawn_blocking)), each turn of a few operations by
//! itself: an uncontended lock is one turn, an unlock another. A waiter holds no thread of the
//! pool; it waits as a task does, for a socket or inotify(7) to be ready or for a timer. So any
//! number of tasks can wait in one runtime, by a pool of one thread if it must be, though each has a
//! claim, a small file, and one or two descriptors. A server that hangs does hold a thread for each
//! operation under way, and a refresh or an unlock that comes after the lease's end holds one until
//! the [takeover](crate#how-it-works) is decided. Once that fills the pool, other operations wait,
//! an unlock included; [keep-alive](LockGuard::keep_alive) does not, which has threads of its own.
//!
//! A lock with a [clock](crate::LockOptions::clock) of its own waits by that alone, whose `sleep` blocks:
//! then each waiter does hold a thread of the pool.
//!
//! # What is needed
//!
//! A runtime, of one thread or of many, with its I/O and its timers enabled
//! (`Builder::enable_all`; `#[tokio::main]` does so). Without a runtime the futures panic; without the
//! drivers they panic once they have to wait, and leave nothing behind.
//!
//! # Dropped futures, guards and runtimes
//!
//! A future that is dropped leaves nothing behind: to drop one that acquires the lock, say by a
//! timeout or `select!`, has called it off. If it was waiting, its claim is removed and its place
//! in line is given up, or passed on if it had just come to the head; if an operation was under way,
//! that ends first; and if that has got the lock, the lock is released at once. A guard that is
//! dropped releases its lock.
//!
//! All that takes file operations, which the dropping thread does not wait for: they are given to the
//! pool, and take place a moment later. (The same handle waits for them: [`Lock::try_lock`] is not
//! refused because of a guard of its own that was dropped before. Others may be, for that moment;
//! [`LockGuard::unlock`] says when it is over, and how it went.) Dropped outside a runtime, or while
//! the runtime shuts down, they are done before the drop returns, and a runtime that is dropped with
//! guards and waiters in it waits for them all. Only `Runtime::shutdown_background` and
//! `shutdown_timeout` do not, and where the process ends before it is done the lock is taken over
//! as a [dead one's](crate::guide::lifetimes#when-a-holder-counts-as-dead).
//!
//! Each method says what becomes of its future if it is dropped.

mod acquire;
mod guard;
mod keep_alive;
mod lock;
mod pool;

pub use self::guard::LockGuard;
pub use self::keep_alive::KeepAlive;
pub use self::lock::Lock;
