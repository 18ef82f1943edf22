//! `linklock serve`, as a process among others: killed, restarted, contended with.
#![cfg(feature = "relukko")]

mod browser;
#[path = "../common/mod.rs"]
mod common;
mod contention;
mod killed;
mod page;
mod process;
mod pyrelukko;
mod replicated;
mod run;
mod server;
mod urls;
