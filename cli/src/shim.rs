//! What runs between `linklock run` and the command: a process of our own that arranges to die
//! with the linklock that started it, and then becomes the command by exec(2).
//!
//! Only a process itself can ask for its parent-death signal, see prctl(2). Between fork and exec
//! that takes unsafe code; after an exec of our own it takes none.

use std::env::current_exe;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::getppid;

use crate::args::ShimArgs;
use crate::exit::{self, Failure};

/// How `linklock run` starts its command: as this very program.
pub(crate) fn command(command: &[OsString]) -> io::Result<Command> {
    // On Linux also if its file has been replaced since.
    let program = if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { current_exe()? };
    let mut shim = Command::new(program);
    shim.arg0("linklock");
    shim.arg(ShimArgs::NAME).arg(std::process::id().to_string()).arg("--").args(command);
    Ok(shim)
}

/// Becomes the command. Returns only if that fails.
pub(crate) fn exec(args: &ShimArgs) -> Result<u8, Failure> {
    die_with_parent().map_err(Failure::to("tie the command to linklock"))?;
    // It may have died before the kernel was told. Nobody is left to read the exit code.
    if getppid().as_raw() != args.parent {
        return Err(Failure::silent(exit::SYSTEM));
    }
    let (program, arguments) = args.command.split_first().expect("the parser requires a command");
    let error = Command::new(program).args(arguments).exec();
    let code = match error.kind() {
        io::ErrorKind::NotFound => exit::NOT_FOUND,
        io::ErrorKind::OutOfMemory => exit::SYSTEM,
        _ => exit::NOT_EXECUTABLE,
    };
    Err(Failure::new(code, format_args!("failed to run {}: {error}", Path::new(program).display())))
}

/// KILL rather than TERM: whoever may take a dead linklock's lock over finds its command dead too.
/// The kernel sends it before linklock counts as dead. It reaches neither the command's own
/// children nor a command that changes its credentials by exec, like sudo(8).
#[cfg(target_os = "linux")]
fn die_with_parent() -> io::Result<()> {
    Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?)
}

/// Elsewhere there is no such thing: the command runs on.
#[cfg(not(target_os = "linux"))]
fn die_with_parent() -> io::Result<()> {
    Ok(())
}
