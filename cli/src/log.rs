//! An optional log on stderr of what happens to locks, one line per event.

use std::env;
use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::SubscriberBuilder;
use tracing_subscriber::fmt::format::{DefaultFields, Format};

use crate::output::{say, without_stop};

/// The variable that enables the log.
pub(crate) const LEVEL: &str = "LINKLOCK_LOG";

/// Starts the log, if the environment sets a level.
pub(crate) fn start() {
    let Some(level) = env::var_os(LEVEL).filter(|level| !level.is_empty()) else { return };
    match level.to_string_lossy().parse::<LevelFilter>() {
        Ok(level) => lines().with_max_level(level).init(),
        // An invalid level is no reason to refuse the command.
        Err(_) => say(format_args!("{LEVEL} is none of error, warn, info, debug and trace")),
    }
}

/// Whether the log is on.
pub(crate) fn is_on() -> bool {
    LevelFilter::current() != LevelFilter::OFF
}

/// Log lines without colours, since they also end up in mail from cron.
pub(crate) fn lines() -> SubscriberBuilder<DefaultFields, Format, LevelFilter, fn() -> Stderr> {
    let writer: fn() -> Stderr = || Stderr;
    tracing_subscriber::fmt().with_ansi(false).with_writer(writer)
}

/// stderr, with write errors ignored, and without being stopped when the terminal belongs to
/// another process group.
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        without_stop(|| {
            let _ = io::stderr().write_all(line);
        });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
