//! What the command prints: messages on stderr, and on stdout what was asked for.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use serde::Serialize;

/// Writes a line to stderr, or does not if nobody is there to read it: `eprintln!` would panic,
/// and the lock would be dropped from under the command that it guards. Nor are we stopped for
/// writing when the terminal is the command's (`stty tostop`).
pub(crate) fn say(message: impl Display) {
    without_stop(|| {
        let _ = writeln!(io::stderr(), "linklock: {message}");
    });
}

/// Does something to the terminal, also from the background, where TTOU would stop us for it.
pub(crate) fn without_stop(act: impl FnOnce()) {
    let before = SigSet::from(Signal::SIGTTOU).thread_swap_mask(SigmaskHow::SIG_BLOCK);
    act();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
}

/// Writes to stdout what was asked for.
pub(crate) fn print(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(text).and_then(|()| stdout.flush())
}

/// Why nothing was printed.
#[derive(Debug)]
pub(crate) struct NotShown(pub(crate) io::Error);

/// The same, for a reader that may close the pipe when it has read enough.
pub(crate) fn show(text: &str) -> Result<(), NotShown> {
    match print(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.map_err(NotShown),
    }
}

/// A name without what a terminal would act on: a user who may create files chooses their names.
pub(crate) fn printable(name: &str) -> Cow<'_, str> {
    if !name.contains(char::is_control) {
        return name.into();
    }
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    name.chars().map(escape).collect::<String>().into()
}

/// What --json shows.
pub(crate) fn json(value: &impl Serialize) -> Result<String, NotShown> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::from);
    Ok(text.map_err(NotShown)? + "\n")
}
