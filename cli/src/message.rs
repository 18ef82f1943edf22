//! What the command itself has to say.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

use crate::exit::Failure;

/// Writes a line to stderr, or does not if nobody is there to read it: `eprintln!` would panic,
/// and the lock would be dropped from under the command that it guards.
pub(crate) fn say(message: impl Display) {
    let _ = writeln!(io::stderr(), "linklock: {message}");
}

/// Writes to stdout what was asked for.
pub(crate) fn print(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(text).and_then(|()| stdout.flush())
}

/// The same, for a reader who may close the pipe when he has read enough.
pub(crate) fn show(text: &str) -> Result<(), Failure> {
    match print(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.map_err(Failure::to("write to stdout")),
    }
}

/// What --json shows.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::from);
    Ok(text.map_err(Failure::to("show it"))? + "\n")
}
