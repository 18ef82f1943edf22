//! The `linklock` command: runs commands under a lock in a shared directory.
//!
//! `cli` has the list of subcommands; each has a module of its own, with its arguments and what it
//! does.

mod break_lock;
mod cli;
mod contend;
mod events;
mod exit;
mod list;
mod message;
mod options;
mod progress;
mod run;
mod script;
mod status;
mod sweep;
mod time;
mod walk;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::exit::Failure;

fn main() -> ExitCode {
    let ended = match Cli::try_parse() {
        Ok(cli) => cli.command.execute(),
        Err(answer) => Ok(exit::unparsed(&answer)),
    };
    ended.unwrap_or_else(Failure::report).into()
}
