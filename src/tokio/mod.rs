//! The lock for programs on tokio: the same files and the same protocol, without blocking a thread.
//!
//! A [`Lock`] is made from a [`linklock::Lock`](crate::Lock), with all its options; its methods are
//! futures. Tasks, threads and other processes that want the lock form one queue, and are served in
//! the order of arrival.
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("report.lock");
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use linklock::tokio::Lock;
//!
//! let lock = Lock::new(&path)?;              // or from a linklock::Lock, with options
//! let guard = lock.lock().await?;            // waits without occupying a thread
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
//! for blocking work ([`spawn_blocking`](::tokio::task::spawn_blocking)), a few operations at a
//! time: an uncontended lock is one such turn, an unlock another. A waiter occupies no thread of
//! the pool; it waits as a task does, for a socket or inotify(7) to be ready or for a timer. So any
//! number of tasks can wait in one runtime, even with a pool of one thread, though each has a claim
//! (a small file) and one or two descriptors. A server that hangs does occupy a thread for each
//! operation under way, and a refresh or an unlock that comes after the lease's end occupies one
//! until the [takeover](crate#how-it-works) is decided. Once that fills the pool, other operations
//! wait, including an unlock. [Keep-alive](LockGuard::keep_alive) does not wait, since it has
//! threads of its own.
//!
//! A lock with a [clock](crate::LockOptions::clock) of its own waits by that clock alone, whose
//! `sleep` blocks: each waiter then occupies a thread of the pool.
//!
//! # What is needed
//!
//! A runtime with one or more threads, with its I/O and its timers enabled (`Builder::enable_all`;
//! `#[tokio::main]` does so). Without a runtime the futures panic. Without the drivers they panic
//! once they have to wait, and leave nothing behind.
//!
//! # Dropped futures, guards and runtimes
//!
//! A dropped future leaves nothing behind. Dropping one that acquires the lock, in a timeout or
//! `select!` for instance, cancels the acquisition. If it was waiting, its claim is removed and its
//! place in the queue is given up, or passed on if it had just reached the head. If an operation
//! was under way, that operation finishes first; if it acquired the lock, the lock is released at
//! once. A dropped guard releases its lock.
//!
//! All this takes file operations. The dropping thread does not wait for them: they are passed to
//! the pool, and run a moment later. (The same handle waits for them: [`Lock::try_lock`] does not
//! fail because of the handle's own guard that was dropped before. Other handles may fail during
//! that moment; [`LockGuard::unlock`] returns when it is over, with the result.) If the future or
//! guard is dropped outside a runtime, or while the runtime shuts down, the operations finish
//! before the drop returns, and dropping a runtime with guards and waiters in it waits for them
//! all. Only `Runtime::shutdown_background` and `shutdown_timeout` do not wait. If the process then
//! ends before the operations finish, the lock is taken over like a
//! [dead holder's](crate::guide::lifetimes#when-a-holder-counts-as-dead).
//!
//! Each method documents what happens if its future is dropped.

mod acquire;
mod guard;
mod keep_alive;
mod lock;
mod pool;
mod rw_lock;
mod slots;

pub use self::guard::{LockGuard, ReadGuard, SlotGuard, WriteGuard};
pub use self::keep_alive::KeepAlive;
pub use self::lock::Lock;
pub use self::rw_lock::RwLock;
pub use self::slots::Slots;
