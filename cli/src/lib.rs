//! The `linklock` command: runs commands under a lock in a shared directory.
//!
//! `cli` lists the subcommands; each has its own module, with its arguments and its implementation.

mod access;
mod break_lock;
mod cleaned;
mod cli;
mod completions;
mod contend;
mod doctor;
mod errors;
mod events;
mod exit;
mod foreign;
mod journal;
mod list;
mod log;
mod mailbox;
mod man;
mod mount_table;
#[cfg(not(feature = "relukko"))]
mod no_serve;
mod occupied;
mod options;
mod outer;
mod output;
mod process;
mod progress;
#[cfg(feature = "relukko")]
mod remote;
mod require_mount;
mod run;
mod script;
#[cfg(feature = "relukko")]
mod serve;
mod set;
mod status;
mod sweep;
mod time;
mod walk;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Internal};
use crate::exit::Failure;

/// The program's entry point.
#[must_use]
pub fn main() -> ExitCode {
    let ended = if Internal::is_asked_for() {
        Internal::try_parse().map(|internal| internal.execute())
    } else {
        Cli::try_parse().map(|cli| cli.command.execute())
    };
    ended
        .unwrap_or_else(|answer| Ok(exit::unparsed(&answer)))
        .unwrap_or_else(Failure::report)
        .into()
}
