//! Runs this program again, for one of its tests: a worker, or a test in a process of its own.
#![allow(unused_macros)] // as in `mod.rs`

use std::env;
use std::process::Command;

/// The name by which the test harness knows the test in which this is called.
macro_rules! this_test {
    () => {{
        fn here() {}
        let path = std::any::type_name_of_val(&here);
        let test = path.split_once("::").and_then(|(_, path)| path.strip_suffix("::here"));
        test.unwrap().trim_end_matches("::{{closure}}")
    }};
}
pub(crate) use this_test;

/// Lets the calling test go on in a process of its own, so that what it does to its process (or
/// counts in it) does not interfere with other tests.
macro_rules! alone {
    () => {
        if !crate::kit::again::is_alone(crate::kit::this_test!()) {
            return;
        }
    };
}
pub(crate) use alone;

/// The arguments that run one test of this program, even an ignored one.
pub(crate) fn arguments(test: &str) -> [&str; 5] {
    [test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"]
}

/// A process with one test of this program.
pub(crate) fn this_program(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("a program that can be run again"));
    command.args(arguments(test));
    command
}

/// Whether this process is the test's own. If not, runs the test in a process of its own, where it
/// must succeed.
pub(crate) fn is_alone(test: &str) -> bool {
    const ALONE: &str = "LINKLOCK_TEST_ALONE";
    if env::var(ALONE).is_ok_and(|alone| alone == test) {
        return true;
    }
    let output = this_program(test).env(ALONE, test).output().expect("this program runs");
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    let ran = output.status.success() && said[0].contains("1 passed");
    assert!(ran, "in a process of its own: {}\n{}\n{}", output.status, said[0], said[1]);
    false
}
