//! What is shown to somebody who waits at a terminal.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use linklock::{Lock, Obstacle};

use crate::log;
use crate::options::WaitLimit;
use crate::output::say;

/// Who gets the lock sooner is not bothered.
const AT_FIRST: Duration = Duration::from_millis(500);
const EVERY: Duration = Duration::from_secs(1);

/// A line at the bottom of the terminal that is kept up to date; nothing where there is none.
#[derive(Debug)]
pub(crate) struct Progress {
    begun: Instant,
    drawn: Option<Instant>,
    is_live: bool,
    in_colour: bool,
    /// Somebody who wants to be told, and has no terminal, is told once.
    to_tell: bool,
}

impl Progress {
    pub(crate) fn new(args: &WaitLimit) -> Progress {
        let term = env::var_os("TERM");
        let is_dumb = term.is_none_or(|term| term.is_empty() || term == "dumb");
        Progress {
            begun: Instant::now(),
            drawn: None,
            is_live: io::stderr().is_terminal() && !is_dumb && !args.quiet && !log::is_on(),
            // See https://no-color.org
            in_colour: env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            to_tell: args.verbose,
        }
    }

    pub(crate) fn waited(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Shows what we wait for and why, and since when.
    pub(crate) fn show(&mut self, lock: &Path, why: impl Fn() -> String) {
        let path = lock.display();
        if std::mem::take(&mut self.to_tell) {
            say(format_args!("waiting for lock {path}: {}", why()));
        }
        let is_due = self.waited() >= AT_FIRST && self.drawn.is_none_or(|at| at.elapsed() >= EVERY);
        if self.is_live && is_due {
            self.drawn = Some(Instant::now());
            let waited = Duration::from_secs(self.waited().as_secs().max(1));
            let waited = humantime::format_duration(waited);
            draw(&format!("waiting for {waited}: {path} is {}", why()), self.in_colour);
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// Who is in the way, also of those who wait behind others.
pub(crate) fn explain(lock: &Lock, obstacle: &Obstacle) -> String {
    match (obstacle, lock.holder()) {
        (Obstacle::Queue, Ok(Some(holder))) => format!("held by {holder}; {obstacle}"),
        _ => obstacle.to_string(),
    }
}

/// In one line, however narrow the terminal: what wraps can't be taken away again.
fn draw(line: &str, in_colour: bool) {
    let width = terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0);
    let line: String =
        line.chars().filter(|c| !c.is_control()).take(usize::from(width) - 1).collect();
    let (on, off) = if in_colour { ("\x1b[33m", "\x1b[0m") } else { ("", "") };
    let _ = write!(io::stderr(), "\r{on}{line}{off}\x1b[K");
}
