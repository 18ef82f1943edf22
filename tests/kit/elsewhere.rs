//! Tests that go on elsewhere: as another user, or with a file system of their own.
//!
//! Such a test makes its preparations and [`go`]es; what follows is done by a second run of the
//! same test, in a process that was prepared for it. Mounts end with that process.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::again::arguments;
use super::skip;

const DIR: &str = "LINKLOCK_TEST_ELSEWHERE";

/// A user other than root.
pub(crate) const ORDINARY: u32 = 65_534;
/// A test harness's exit statuses when its tests succeed or fail. All others come from unshare(1),
/// the shell or mount(8), which could not prepare its process.
const HARNESS: [i32; 2] = [0, 101];

/// In the second run, the directory to go on with.
pub(crate) fn arrived() -> Option<PathBuf> {
    env::var_os(DIR).map(PathBuf::from)
}

/// unshare(1). Without root's privileges, other namespaces can exist only in a user namespace.
pub(crate) fn unshare() -> Vec<&'static str> {
    if is_root() { vec!["unshare"] } else { vec!["unshare", "--user", "--map-root-user"] }
}

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Goes on as an ordinary user. Without root's privileges this process is one, and can be no other.
pub(crate) fn go_as_ordinary_user(test: &str, dir: &Path) {
    if !is_root() {
        return skip(test, "only root can act as another user");
    }
    // Not by its path, which may lead through directories that other users may not enter.
    let mut this = Command::new("/proc/self/exe");
    go(test, this.uid(ORDINARY).gid(ORDINARY), dir);
}

/// Goes on in a mount namespace in which a shell script has mounted something on `$DIR`.
pub(crate) fn go_with_mount(test: &str, dir: &Path, script: &str) {
    let prefix = unshare();
    let mut unshare = Command::new(prefix[0]);
    unshare.args(&prefix[1..]);
    unshare.args(["--mount", "--propagation", "private", "sh", "-c"]);
    unshare.arg(format!("DIR=\"${DIR}\"; {script} && exec \"$0\" \"$@\""));
    unshare.arg(env::current_exe().unwrap());
    go(test, &mut unshare, dir);
}

/// Goes on by a command that runs this program.
pub(crate) fn go(test: &str, command: &mut Command, dir: &Path) {
    command.args(arguments(test)).env(DIR, dir);
    let Output { status, stdout, stderr } = match command.output() {
        Ok(output) => output,
        Err(error) => return skip(test, &format!("{command:?}: {error}")),
    };
    let words = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if status.code().is_some_and(|code| !HARNESS.contains(&code)) {
        return skip(test, words[1].trim());
    }
    let ran = status.success() && words[0].contains("1 passed");
    assert!(ran, "elsewhere: {status}\n{}\n{}", words[0], words[1]);
}

/// Lets everyone use a directory: mode 0777, and the bits given.
pub(crate) fn open_to_all(dir: &Path, more: u32) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777 | more)).unwrap();
}
