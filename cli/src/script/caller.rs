//! The calling process, which is to own a lock.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::process::{ancestors, parent};

/// The process that called us: our parent, with one exception. In `claim=$(linklock acquire ... ||
/// exit)` the parent is a subshell that ends at once. There the caller is the process that reads
/// our output from a pipe, if it is one of our ancestors.
pub(crate) fn caller() -> u32 {
    let reader = || {
        let pipe = pipe(Path::new("/proc/self/fd/1"))?;
        ancestors().find(|pid| reads(*pid, pipe))
    };
    reader().unwrap_or_else(parent)
}

/// The identity of a pipe; `None` if the file is not a pipe.
fn pipe(path: &Path) -> Option<(u64, u64)> {
    let name = fs::read_link(path).ok()?;
    let meta = fs::metadata(path).ok()?;
    name.to_str()?.starts_with("pipe:").then_some((meta.dev(), meta.ino()))
}

/// Whether the process can read from the pipe. The mode of the links in /proc/PID/fd shows how each
/// file is open, see proc(5).
fn reads(pid: u32, wanted: (u64, u64)) -> bool {
    const READABLE: u32 = 0o400;
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    entries.flatten().any(|entry| {
        let is_readable = entry.metadata().is_ok_and(|meta| meta.mode() & READABLE != 0);
        is_readable && pipe(&entry.path()) == Some(wanted)
    })
}
