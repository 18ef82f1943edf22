//! The command's output: messages on stderr, results on stdout.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use serde::Serialize;

/// Writes a line to stderr, and ignores a failure: `eprintln!` would panic, and the lock would be
/// dropped while the command that it guards still runs. Writing does not stop us, either, when the
/// terminal belongs to the command (`stty tostop`).
pub(crate) fn say(message: impl Display) {
    without_stop(|| {
        let _ = writeln!(io::stderr(), "linklock: {message}");
    });
}

/// Acts on the terminal even from the background, where TTOU would otherwise stop us.
pub(crate) fn without_stop(act: impl FnOnce()) {
    let before = SigSet::from(Signal::SIGTTOU).thread_swap_mask(SigmaskHow::SIG_BLOCK);
    act();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
}

/// Writes a result to stdout.
pub(crate) fn print(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(text).and_then(|()| stdout.flush())
}

/// Why nothing was printed.
#[derive(Debug)]
pub(crate) struct NotShown(pub(crate) io::Error);

/// Like `print`, for a reader that may close the pipe when it has read enough.
pub(crate) fn show(text: &str) -> Result<(), NotShown> {
    match print(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.map_err(NotShown),
    }
}

/// A name with its control characters escaped, so that a terminal does not act on them: any user
/// who may create files chooses their names.
pub(crate) fn printable(name: &str) -> Cow<'_, str> {
    if !name.contains(char::is_control) {
        return name.into();
    }
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    name.chars().map(escape).collect::<String>().into()
}

/// The output of --json.
pub(crate) fn json(value: &impl Serialize) -> Result<String, NotShown> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::from);
    Ok(text.map_err(NotShown)? + "\n")
}
