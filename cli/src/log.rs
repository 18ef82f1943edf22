//! What happens to locks, a line each on stderr, for those who ask for it.

use std::env;
use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::SubscriberBuilder;
use tracing_subscriber::fmt::format::{DefaultFields, Format};

use crate::output::{say, without_stop};

/// What asks for it.
pub(crate) const LEVEL: &str = "LINKLOCK_LOG";

/// Starts it, if the environment says from which level on.
pub(crate) fn start() {
    let Some(level) = env::var_os(LEVEL).filter(|level| !level.is_empty()) else { return };
    match level.to_string_lossy().parse::<LevelFilter>() {
        Ok(level) => lines().with_max_level(level).init(),
        // No reason not to do what is to be done.
        Err(_) => say(format_args!("{LEVEL} is none of error, warn, info, debug and trace")),
    }
}

/// Whether there is one.
pub(crate) fn is_on() -> bool {
    LevelFilter::current() != LevelFilter::OFF
}

/// Lines without colours: they are read in a mail from cron, too.
pub(crate) fn lines() -> SubscriberBuilder<DefaultFields, Format, LevelFilter, fn() -> Stderr> {
    let writer: fn() -> Stderr = || Stderr;
    tracing_subscriber::fmt().with_ansi(false).with_writer(writer)
}

/// stderr, to which it makes no difference if nobody is there to read it, or if the terminal is
/// another's.
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
