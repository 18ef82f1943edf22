//! Every errno at every call: the real protocol over a file system in which one operation fails.
//!
//! - [`fault`]: the file system that fails on request.
//! - [`server`]: the real one, with a clock that only tests move on.
//! - [`scene`]: a directory, a lock, those who use it, and what is true of it all.
//! - [`uses`]: what is done with a lock while operations fail.
//! - [`checks`]: what must hold whatever fails.
//! - [`table`]: every use, with every errno at every call of every operation.
//! - [`keep_alive`]: what a keep-alive makes of it; `tokio`: the same, as a task.
//! - [`cases`], [`takeover`], [`tokens`]: what fails in a way of its own.
//! - [`mailbox`]: the same table for the lock on a mailbox; [`mailbox_case`]: one case of it.
//! - [`requests`]: how much is asked for when nothing fails.

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
