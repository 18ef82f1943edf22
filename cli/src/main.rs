//! The `linklock` command: runs commands under a lock in a shared directory.

mod args;
mod child;
mod events;
mod exit;
mod message;
mod run;
mod shim;
mod status;
mod time;
mod wait;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::exit::Failure;

fn main() -> ExitCode {
    let ended = match Cli::try_parse() {
        Ok(Cli { command: Command::Run(args) }) => run::run(&args),
        Ok(Cli { command: Command::Status(args) }) => status::status(&args),
        Ok(Cli { command: Command::Shim(args) }) => shim::exec(&args),
        Err(answer) => Ok(exit::unparsed(&answer)),
    };
    ended.unwrap_or_else(Failure::report).into()
}
