//! The example does what it promises.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::tempdir;

use crate::in_company;
use crate::kit::names;

/// Built like the tests, next to them.
fn example() -> Command {
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    let profile = if cfg!(debug_assertions) { "test" } else { "release" };
    build.args(["build", "--quiet", "--profile", profile, "--features", "tokio"]);
    build.args(["--example", "tokio"]);
    assert!(build.status().unwrap().success());
    let deps = std::env::current_exe().unwrap();
    let target = deps.parent().and_then(Path::parent).unwrap();
    Command::new(target.join("examples/tokio"))
}

#[test]
fn it_stops_when_its_lock_is_lost() {
    let _company = in_company();
    let dir = tempdir().unwrap();
    let path = dir.path().join("lock");
    let mut program =
        example().arg(&path).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(program.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "part 1 of 10");
    assert!(linklock::Lock::new(&path).unwrap().break_if(|_| true).unwrap().is_some());
    let output = program.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Lost"), "{output:?}");
    assert!(said.count() < 9, "it went on to the end");
    assert!(names(dir.path()).is_empty());
}
