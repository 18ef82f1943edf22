//! Exit codes, in one table, and the failures that lead to them.

use std::fmt::{Display, Write};
use std::io;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::output::{NotShown, say};

/// `EX_USAGE`; like all of these up to 78, from sysexits.
pub(crate) const USAGE: u8 = 64;
/// `EX_UNAVAILABLE`
pub(crate) const UNFIT: u8 = 69;
/// `EX_OSERR`
pub(crate) const SYSTEM: u8 = 71;
/// `EX_CANTCREAT`
pub(crate) const CANNOT_CREATE: u8 = 73;
/// `EX_TEMPFAIL`
pub(crate) const HELD: u8 = 75;
/// The first code that sysexits leaves unassigned, so that no tool that follows sysexits gives it
/// another meaning.
pub(crate) const LOST: u8 = 79;
/// The same as timeout(1)'s.
pub(crate) const OVERLONG: u8 = 124;
/// As in shells.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// As in shells.
pub(crate) const NOT_FOUND: u8 = 127;

/// The meaning of each exit code, for the help and the man page.
const MEANINGS: [(u8, &str); 9] = [
    (USAGE, "usage error, or invalid lock name"),
    (UNFIT, "doctor found that locks can't be trusted there, or a server can't be used"),
    (SYSTEM, "system error (cannot fork, I/O error, ...)"),
    (CANNOT_CREATE, "cannot lock: no such directory, no permission, no hard links, not a lock"),
    (HELD, "the lock is held, or still was after the timeout (see -E)"),
    (LOST, "the lock was lost, and COMMAND was stopped if it was still running"),
    (OVERLONG, "COMMAND ran for longer than --max-runtime, and was stopped"),
    (NOT_EXECUTABLE, "COMMAND was found but could not be executed"),
    (NOT_FOUND, "COMMAND was not found"),
];

/// All exit codes with their meanings.
pub(crate) fn codes() -> impl Iterator<Item = (String, String)> {
    let own = ("0", "success; run exits with the exit status of COMMAND, whatever that is");
    let signal = ("128+N", "signal N ended COMMAND, or linklock while it waited for the lock");
    let owned = |(code, meaning): (&str, &str)| (code.to_owned(), meaning.to_owned());
    let fixed = MEANINGS.map(|(code, meaning)| (code.to_string(), meaning.to_owned()));
    [owned(own)].into_iter().chain(fixed).chain([owned(signal)])
}

/// The exit codes as a table.
pub(crate) fn table() -> String {
    let mut table = String::from("Exit status:");
    for (code, meaning) in codes() {
        let _ = write!(table, "\n  {code:<5}  {meaning}");
    }
    table
}

/// The table, followed by examples.
pub(crate) fn table_and_examples() -> String {
    format!("{}\n\n{EXAMPLES}", table())
}

const EXAMPLES: &str = "\
Examples:
  linklock run /shared/report.lock -- /usr/local/bin/report
  linklock status /shared/report.lock
  linklock doctor /shared
  linklock help run";

/// The exit code for death by a signal, as in shells.
pub(crate) fn by_signal(number: i32) -> u8 {
    u8::try_from(128 + number).unwrap_or(u8::MAX)
}

/// Why the command ended without having completed its task.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// `None` where the code alone is enough.
    message: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Display) -> Failure {
        Failure { code, message: Some(message.to_string()) }
    }

    /// For the few system calls that the command itself makes.
    pub(crate) fn to(act: &str) -> impl FnOnce(io::Error) -> Failure {
        move |error| Failure::new(SYSTEM, format_args!("failed to {act}: {error}"))
    }

    pub(crate) fn silent(code: u8) -> Failure {
        Failure { code, message: None }
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    pub(crate) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Prints the message and returns the exit code.
    pub(crate) fn report(self) -> u8 {
        if let Some(message) = self.message {
            say(message);
        }
        self.code
    }
}

impl From<NotShown> for Failure {
    fn from(NotShown(error): NotShown) -> Failure {
        Failure::to("write to stdout")(error)
    }
}

const WITHOUT_COMMAND: &str = "\
there is no COMMAND: write -- before it, for example: linklock run a.lock -- echo hello

For more information, try '--help'.";

/// Whether the arguments after `--` are missing, which usually means that `--` itself is missing.
fn is_without_command(answer: &clap::Error) -> bool {
    let Some(ContextValue::Strings(missing)) = answer.get(ContextKind::InvalidArg) else {
        return false;
    };
    answer.kind() == ErrorKind::MissingRequiredArgument
        && missing.iter().any(|name| name.starts_with("<COMMAND>"))
        && !missing.iter().any(|name| name.starts_with("<LOCK>"))
}

/// Reports why a command line was not parsed: it is wrong, or it requests help or the version.
pub(crate) fn unparsed(answer: &clap::Error) -> u8 {
    if is_without_command(answer) {
        say(WITHOUT_COMMAND);
        return USAGE;
    }
    let _ = answer.print();
    if answer.use_stderr() { USAGE } else { 0 }
}
