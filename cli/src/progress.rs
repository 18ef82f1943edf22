//! The progress line that a terminal shows while waiting for a lock.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use linklock::{Lock, Obstacle};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::log;
use crate::options::WaitLimit;
use crate::output::say;

/// No progress is shown to a user who gets the lock sooner than this.
const AT_FIRST: Duration = Duration::from_millis(500);
const EVERY: Duration = Duration::from_secs(1);

/// A line at the bottom of the terminal that is kept up to date; nothing without a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    begun: Instant,
    drawn: Option<Instant>,
    is_live: bool,
    in_colour: bool,
    /// Whether --verbose still has to write its one line.
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

    /// Shows which lock we wait for, why, and for how long.
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
            draw(&format!("waiting {waited}: {}", why()), &path.to_string(), self.in_colour);
        }
    }

    /// Clears the line.
    pub(crate) fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// The holder of the lock, even if the obstacle is this host's queue.
pub(crate) fn explain(lock: &Lock, obstacle: &Obstacle) -> String {
    match (obstacle, lock.holder()) {
        (Obstacle::Queue, Ok(Some(holder))) => format!("held by {holder}; {obstacle}"),
        _ => obstacle.to_string(),
    }
}

/// Draws a single line, however narrow the terminal: a wrapped line cannot be cleared.
fn draw(why: &str, path: &str, in_colour: bool) {
    let width = terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0);
    let line = fit(why, path, usize::from(width).saturating_sub(1));
    let (on, off) = if in_colour { ("\x1b[33m", "\x1b[0m") } else { ("", "") };
    let _ = write!(io::stderr(), "\r{on}{line}{off}\x1b[K");
}

/// Fits the text into the width. The holder comes first, since a narrow terminal has no room for
/// everything; of the path, the end matters most.
fn fit(why: &str, path: &str, width: usize) -> String {
    const LEAST: usize = 8; // less of a path is useless
    let is_shown = |c: &char| !c.is_control();
    let why = start_of(why.chars().filter(is_shown), width);
    let left = width.saturating_sub(columns(&why) + ": ".len());
    let path: String = path.chars().filter(is_shown).collect();
    if columns(&path) <= left {
        format!("{why}: {path}")
    } else if left >= LEAST {
        let end = start_of(path.chars().rev(), left - 1);
        format!("{why}: …{}", end.chars().rev().collect::<String>())
    } else {
        why
    }
}

/// As many characters as fit into the width.
fn start_of(chars: impl Iterator<Item = char>, width: usize) -> String {
    let mut left = width;
    chars
        .map_while(|c| left.checked_sub(c.width().unwrap_or(0)).map(|less| (left = less, c).1))
        .collect()
}

fn columns(text: &str) -> usize {
    text.width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_shown_before_the_path() {
        let (why, path) = ("waiting 3s: held by process 17 on mars", "/shared/reports/daily.lock");
        assert_eq!(fit(why, path, 80), format!("{why}: {path}"));
        assert_eq!(fit(why, path, 52), format!("{why}: …daily.lock").replace("…", "…/"));
        assert_eq!(fit(why, path, 45), why);
        assert_eq!(fit(why, path, 19), "waiting 3s: held by");
        assert_eq!(fit(why, path, 0), "");
    }

    #[test]
    fn a_line_never_wraps() {
        let (why, path) =
            ("waiting 3s: held by process 17 on 東京", "/共有/日報/ｄａｉｌｙ\u{301}.lock");
        for width in 0..100 {
            let line = fit(why, path, width);
            assert!(line.width() <= width, "{width}: {line}");
        }
        assert_eq!(fit("a\nb\x1b[31m", "c\t", 80), "ab[31m: c");
    }
}
