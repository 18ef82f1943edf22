//! Every errno at every call: the real protocol over a file system in which one operation fails.
//!
//! - [`fault`]: the file system that fails on request.
//! - [`server`]: the real file system, with a clock that only tests advance.
//! - [`scene`]: a directory, a lock, its processes, and the true state of its files.
//! - [`uses`]: the operations on a lock that are tried while calls fail.
//! - [`checks`]: what must hold, whichever call fails.
//! - [`table`]: every use, with every errno at every call of every operation.
//! - [`keep_alive`]: the keep-alive thread on such a file system; `tokio`: the keep-alive task.
//! - [`cases`], [`takeover`], [`tokens`]: failures that need a test of their own.
//! - [`mailbox`]: the same table for the lock on a mailbox; [`mailbox_case`]: one case of that
//!   table.
//! - [`requests`]: how many requests are made when nothing fails.

mod cases;
mod checks;
mod fault;
mod keep_alive;
mod mailbox;
mod mailbox_case;
mod requests;
mod scene;
mod server;
mod table;
mod takeover;
mod tokens;
#[cfg(feature = "tokio")]
mod tokio;
mod uses;
