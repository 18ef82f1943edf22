//! `--require-mount`: no lock in the bare directory of a host whose mount is missing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::tempdir;

use crate::common::kit::elsewhere::{arrived, go_with_mount};
use crate::common::kit::{names, this_test};
use crate::common::{linklock, stderr};

/// What a subcommand does with a lock, where this mount point is required.
fn ended(subcommand: &[&str], point: &Path, lock: &Path) -> (Option<i32>, String) {
    let mut command = linklock();
    command.args(subcommand).arg("--require-mount").arg(point).arg(lock);
    if subcommand[0] == "run" {
        command.args(["--", "true"]);
    }
    let output = command.output().unwrap();
    (output.status.code(), stderr(&output) + &String::from_utf8_lossy(&output.stdout))
}

#[test]
fn a_lock_is_taken_only_on_the_mount_that_is_required() {
    let Some(dir) = arrived() else {
        let dir = tempdir().unwrap();
        for name in ["shared", "bare"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        symlink("shared", dir.path().join("link")).unwrap();
        let mount = "mount -t tmpfs none \"$DIR/shared\" && mkdir \"$DIR/shared/locks\"";
        return go_with_mount(this_test!(), dir.path(), mount);
    };
    let at = |name: &str| dir.join(name);
    for subcommand in [&["run", "-n"][..], &["acquire", "-n", "-l", "10ms", "--owner", "none"]] {
        for (point, lock) in [
            ("shared", "shared/x.lock"),
            ("shared", "shared/locks/x.lock"),
            ("link", "shared/y.lock"),
            ("shared", "link/z.lock"),
        ] {
            let (code, said) = ended(subcommand, &at(point), &at(lock));
            assert_eq!(code, Some(0), "{subcommand:?} {point} {lock}: {said}");
        }
        for (point, lock, why) in [
            ("bare", "bare/x.lock", "nothing is mounted on"),
            ("shared/locks", "shared/locks/x.lock", "nothing is mounted on"),
            ("shared", "bare/x.lock", "is not on the file system mounted on"),
            ("missing", "bare/x.lock", "No such file or directory"),
        ] {
            let (code, said) = ended(subcommand, &at(point), &at(lock));
            assert_eq!(code, Some(73), "{subcommand:?} {point} {lock}: {said}");
            assert!(said.contains(why), "{point} {lock}: {said}");
        }
    }
    assert!(names(&at("bare")).is_empty());
    assert_eq!(ended(&["doctor"], &at("shared"), &at("shared/locks")).0, Some(0));
    let (code, said) = ended(&["doctor"], &at("bare"), &at("bare"));
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("BAD   required mount     nothing is mounted on"), "{said}");
}
