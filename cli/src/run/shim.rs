//! The shim between `linklock run` and the command: a process of our own that arranges to die with
//! the linklock that started it, and then becomes the command by exec(2).
//!
//! A process can set a parent-death signal only for itself, see prctl(2). Between fork and exec
//! that would take unsafe code; after an exec of our own program it takes none.

use std::env::{self, current_exe};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::{Signal, raise};
use nix::unistd::getppid;

use super::terminal::{Stand, enter_foreground};
use crate::exit::{self, Failure};

/// A name that no user would type.
pub(crate) const NAME: &str = "__exec";

/// Becomes COMMAND, which then dies with the linklock that started it
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The process id of that linklock
    parent: i32,

    /// Stop, and become COMMAND only after CONT
    #[arg(long)]
    stop: bool,

    /// Take the terminal
    #[arg(long)]
    foreground: bool,

    /// The command to run, and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// This very program; on Linux even if its file has since been replaced.
pub(crate) fn this_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { current_exe() }
}

/// Sets the name that ps(1) shows.
pub(crate) fn name(command: &mut Command) -> &mut Command {
    command.arg0("linklock")
}

/// The command line by which `linklock run` starts its command.
pub(crate) fn command(command: &[OsString], stand: &Stand) -> io::Result<Command> {
    let mut shim = Command::new(this_program()?);
    name(&mut shim).arg(NAME).arg(std::process::id().to_string());
    if stand.is_in_foreground() {
        shim.arg("--foreground");
    }
    if stand.has_own_group() {
        shim.arg("--stop").process_group(0);
    }
    shim.arg("--").args(command);
    Ok(shim)
}

/// Becomes the command. Returns only on failure.
pub(crate) fn exec(args: &Args) -> Result<u8, Failure> {
    die_with_parent().map_err(Failure::to("tie the command to linklock"))?;
    // The parent may have died before the signal was set. Then no process reads the exit code.
    if getppid().as_raw() != args.parent {
        return Err(Failure::silent(exit::SYSTEM));
    }
    if args.stop {
        raise(Signal::SIGSTOP).map_err(|errno| Failure::to("wait for linklock")(errno.into()))?;
    }
    if args.foreground {
        enter_foreground();
    }
    let (program, arguments) = args.command.split_first().expect("the parser requires a command");
    let mut error = Command::new(program).args(arguments).exec();
    if error.kind() == io::ErrorKind::PermissionDenied && !is_found(program) {
        error = Errno::ENOENT.into();
    }
    let code = match error.kind() {
        io::ErrorKind::NotFound => exit::NOT_FOUND,
        io::ErrorKind::OutOfMemory => exit::SYSTEM,
        _ => exit::NOT_EXECUTABLE,
    };
    Err(Failure::new(code, format_args!("failed to run {}: {error}", Path::new(program).display())))
}

/// Whether the program exists, as shells see it. For a bare name execvp(3) also returns EACCES if
/// it may not search some directory in PATH, or if it finds a directory.
fn is_found(program: &OsStr) -> bool {
    program.as_bytes().contains(&b'/')
        || env::var_os("PATH")
            .is_none_or(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// Uses KILL rather than TERM: once a dead linklock's lock may be taken over, its command must be
/// dead too. The kernel sends the signal before linklock counts as dead. It does not reach a
/// command that changes its credentials by exec, like sudo(8).
#[cfg(target_os = "linux")]
fn die_with_parent() -> io::Result<()> {
    Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?)
}

/// Other systems have no equivalent: the warden has to suffice.
#[cfg(not(target_os = "linux"))]
fn die_with_parent() -> io::Result<()> {
    Ok(())
}
