//! The command line: the single definition behind parsing, help, man pages and completions.

use clap::{CommandFactory, Parser, Subcommand};

use crate::exit::Failure;
#[cfg(not(feature = "relukko"))]
use crate::no_serve as serve;
use crate::options::is_url;
#[cfg(feature = "relukko")]
use crate::remote;
use crate::run::{self, shim, warden};
use crate::script::{acquire, check, keep, refresh, release, wait};
#[cfg(feature = "relukko")]
use crate::serve;
use crate::{break_lock, completions, doctor, exit, list, log, mailbox, man, status, sweep};

/// Run commands under a lock in a shared directory
///
/// The lock excludes all commands that use the same LOCK file, on this machine or on others that share its
/// directory, over NFS too. It is a lease that is kept alive while the command runs, so that a dead
/// holder's lock can be taken over.
#[derive(Debug, Parser)]
#[command(name = "linklock", version, max_term_width = 100, after_help = exit::table(), after_long_help = exit::table_and_examples())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands. A new one needs only its module, and an entry here and in `execute`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(run::Args),
    Acquire(acquire::Args),
    Refresh(refresh::Args),
    Check(check::Args),
    Release(release::Args),
    Wait(wait::Args),
    Status(status::Args),
    List(list::Args),
    Break(break_lock::Args),
    Sweep(sweep::Args),
    Mailbox(mailbox::Args),
    Doctor(doctor::Args),
    Serve(serve::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Command {
    /// Executes the command and returns the exit code.
    pub(crate) fn execute(&self) -> Result<u8, Failure> {
        if !self.has_its_own_log() {
            log::start();
        }
        if self.is_by_url() {
            #[cfg(not(feature = "relukko"))]
            return Err(serve::missing("the code for locks of servers"));
            #[cfg(feature = "relukko")]
            return self.execute_by_url();
        }
        match self {
            Command::Run(args) => run::run(args),
            Command::Acquire(args) => acquire::acquire(args),
            Command::Refresh(args) => refresh::refresh(args),
            Command::Check(args) => check::check(args),
            Command::Release(args) => release::release(args),
            Command::Wait(args) => wait::wait(args),
            Command::Status(args) => status::status(args),
            Command::List(args) => list::list(args),
            Command::Break(args) => break_lock::break_lock(args),
            Command::Sweep(args) => sweep::sweep(args),
            Command::Mailbox(args) => mailbox::mailbox(args),
            Command::Doctor(args) => doctor::doctor(args),
            Command::Serve(args) => serve::serve(args),
            Command::Completions(args) => completions::completions(args, Cli::command()),
            Command::Man(args) => man::man(args, Cli::command()),
        }
    }

    /// Whether the command is about a server or its lock.
    fn is_by_url(&self) -> bool {
        match self {
            Command::Run(args) => {
                args.relukko.is_some() || args.locks.iter().any(|lock| is_url(lock))
            }
            Command::Acquire(args) => is_url(&args.lock),
            Command::Refresh(args) => is_url(&args.held.lock),
            Command::Check(args) => is_url(&args.held.lock),
            Command::Release(args) => is_url(&args.held.lock),
            Command::Wait(args) => is_url(&args.lock),
            Command::Status(args) => is_url(&args.lock),
            Command::List(args) => is_url(&args.dir),
            Command::Break(args) => is_url(&args.lock),
            Command::Sweep(args) => is_url(&args.dir),
            Command::Doctor(args) => is_url(&args.dir),
            _ => false,
        }
    }

    #[cfg(feature = "relukko")]
    fn execute_by_url(&self) -> Result<u8, Failure> {
        match self {
            Command::Run(args) => remote::run(args),
            Command::Acquire(args) => remote::acquire(args),
            Command::Refresh(args) => remote::refresh(args),
            Command::Check(args) => remote::check(args),
            Command::Release(args) => remote::release(args),
            Command::Wait(args) => remote::wait(args),
            Command::Status(args) => remote::status(args),
            Command::List(args) => remote::list(args),
            Command::Break(args) => remote::break_lock(args),
            _ => {
                Err(Failure::new(exit::USAGE, "this command is for directories, and takes no URL"))
            }
        }
    }

    fn has_its_own_log(&self) -> bool {
        cfg!(feature = "relukko") && matches!(self, Command::Serve(_))
    }
}

/// Commands that linklock runs itself: they are not part of the user's interface.
#[derive(Debug, Parser)]
#[command(name = "linklock")]
pub(crate) enum Internal {
    #[command(name = shim::NAME)]
    Shim(shim::Args),
    #[command(name = warden::NAME)]
    Warden(warden::Args),
    #[command(name = keep::NAME)]
    Keep(keep::Args),
    #[cfg(feature = "relukko")]
    #[command(name = remote::keep::NAME)]
    KeepByUrl(remote::keep::Args),
}

impl Internal {
    /// Whether the command line is for an internal command.
    pub(crate) fn is_asked_for() -> bool {
        let names = [
            shim::NAME,
            warden::NAME,
            keep::NAME,
            #[cfg(feature = "relukko")]
            remote::keep::NAME,
        ];
        std::env::args_os().nth(1).is_some_and(|first| names.iter().any(|name| first == *name))
    }

    /// Executes the command and returns the exit code.
    pub(crate) fn execute(&self) -> Result<u8, Failure> {
        match self {
            Internal::Shim(args) => shim::exec(args),
            Internal::Warden(args) => warden::watch(args),
            Internal::Keep(args) => {
                log::start();
                keep::keep(args)
            }
            #[cfg(feature = "relukko")]
            Internal::KeepByUrl(args) => {
                log::start();
                remote::keep::keep(args)
            }
        }
    }
}
