//! Output for people, past the test harness.

use std::env;
use std::io::{self, Write};

/// Prints a line even if the test passes, when the harness hides its output.
pub(crate) fn say(line: &str) {
    writeln!(io::stderr(), "{line}").expect("there is a stderr");
}

/// How much to do: the value of this environment variable, or a number that is quick.
pub(crate) fn scale(variable: &str, quick: usize) -> usize {
    match env::var(variable) {
        Ok(number) => number.parse().unwrap_or_else(|_| panic!("{variable} is not a number")),
        Err(_) => quick,
    }
}

/// Reports, past the test harness, that this machine can't run a test. In CI it must.
#[track_caller]
pub(crate) fn skip(test: &str, why: &str) {
    assert!(env::var("CI").as_deref() != Ok("true"), "can't run {test}: {why}");
    let _ = io::stderr().write_all(format!("skipped: {test}: {why}\n").as_bytes());
}
