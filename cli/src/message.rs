//! What the command itself has to say.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line to stderr, or does not if nobody is there to read it: `eprintln!` would panic,
/// and the lock would be dropped from under the command that it guards.
pub(crate) fn say(message: impl Display) {
    let _ = writeln!(io::stderr(), "linklock: {message}");
}
