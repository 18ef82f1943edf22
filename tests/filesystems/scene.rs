//! The process in which a battery is run: in namespaces of its own, with the file system mounted.
//!
//! All servers and mounts end with its process namespace. Its network is its own loopback interface.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Once, OnceLock};
use std::time::Instant;

use crate::battery;
use crate::kit::elsewhere::{arrived, go, unshare};
use crate::kit::fuse::{Faults, Faulty, MOUNT};
use crate::kit::say::say;
use crate::table;

/// A file system, and how the lane mounts it.
#[derive(Clone, Copy)]
pub(crate) struct Mount {
    /// The first cell of its row in docs/filesystems.md.
    pub(crate) name: &'static str,
    /// Mounts it on `mnt`.
    pub(crate) set_up: &'static str,
    /// What happens to it while processes contend, again and again.
    pub(crate) nemesis: Option<&'static str>,
}

/// The command under test, for the process in the namespaces.
const COMMAND: &str = "LINKLOCK_TEST_COMMAND";
/// The file in which the battery says what it has measured.
const REPORT: &str = "report";

pub(crate) fn try_mount(test: &str, mount: &Mount) {
    match arrived() {
        Some(dir) => run(mount, &dir),
        None => go_and_mount(test, mount.name, mount.set_up),
    }
}

pub(crate) fn try_fault(test: &str, name: &'static str, faults: Faults) {
    let Some(dir) = arrived() else {
        return go_and_mount(test, name, &format!("DIR=$PWD/mnt && {MOUNT}"));
    };
    Faulty::serve(faults);
    run(&Mount { name, set_up: "", nemesis: None }, &dir);
}

/// As [`try_mount`], in a guest with the kernel of the NFS lab.
pub(crate) fn try_in_lab_guest(test: &str, mount: &Mount) {
    try_in_guest(test, mount, "guest.sh");
}

/// ... with Debian's kernel, in a machine that QEMU emulates.
pub(crate) fn try_in_qemu_guest(test: &str, mount: &Mount) {
    try_in_guest(test, mount, "qemu.sh");
}

fn try_in_guest(test: &str, mount: &Mount, runner: &str) {
    if let Some(dir) = arrived() {
        return run(mount, &dir);
    }
    if !is_asked_for(GUESTS) {
        return;
    }
    let mut guest = Command::new(scripts().join(runner));
    guest.arg("LINKLOCK_TEST_ELSEWHERE=/tmp/filesystems");
    guest.arg(format!("{COMMAND}={}", built_command().display()));
    guest
        .args(["sh", "-c"])
        .arg(format!("modprobe loop; mkdir /tmp/filesystems; {}", script(mount.set_up)));
    guest.arg(env::current_exe().unwrap());
    let begun = Instant::now();
    go(test, &mut guest, Path::new("/tmp/filesystems"));
    say(&format!("file systems, {}: {:.1?} in all", mount.name, begun.elapsed()));
}

/// Mounts it, and goes on in a process that sees it.
fn go_and_mount(test: &str, name: &str, set_up: &str) {
    if !is_asked_for(HOST) {
        return;
    }
    let begun = Instant::now();
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let prefix = unshare();
    let mut unshare = Command::new(prefix[0]);
    unshare.args(&prefix[1..]);
    unshare.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--net"]);
    unshare.args(["--propagation", "private", "sh", "-c"]).arg(script(set_up));
    unshare.arg(env::current_exe().unwrap()).env(COMMAND, built_command());
    go(test, &mut unshare, dir.path());
    // It is not there if the test was skipped.
    if let Ok(report) = fs::read_to_string(dir.path().join(REPORT)) {
        say(&format!("file systems, {name}: {report}; {:.1?} in all", begun.elapsed()));
    }
}

/// Sets the file system up, and runs the program that is this script's argument. The shell stays: as the first
/// process of the namespace it waits for servers that are killed.
fn script(set_up: &str) -> String {
    format!(
        "export SCRIPTS='{}' && cd \"$LINKLOCK_TEST_ELSEWHERE\" && mkdir below mnt \
         && truncate -s 400M disk && ip link set lo up \
         && {{ {set_up}; }} >set-up 2>&1 && grep -q \" $PWD/mnt \" /proc/self/mountinfo \
         || {{ echo 'it cannot be mounted:' >&2; tail -n 5 set-up >&2; exit 77; }}; \"$0\" \"$@\"; exit $?",
        scripts().display(),
    )
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filesystems")
}

fn run(mount: &Mount, dir: &Path) {
    let row = table::row(mount.name);
    let outcome = battery::run(mount, dir);
    fs::write(dir.join(REPORT), outcome.to_string()).unwrap();
    row.check(&outcome);
}

/// What `LINKLOCK_FILESYSTEMS` asks for: what this machine can mount, or what takes a guest.
const HOST: &str = "1";
const GUESTS: &str = "guests";

/// Whether the lane is to run: it takes minutes, and much that a machine may not have.
fn is_asked_for(part: &str) -> bool {
    static NOT_ASKED: Once = Once::new();
    let asked = env::var("LINKLOCK_FILESYSTEMS").unwrap_or_default();
    if asked.is_empty() {
        NOT_ASKED.call_once(|| say("skipped: file systems: LINKLOCK_FILESYSTEMS=1 is not set"));
    }
    asked == part
}

fn built_command() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| crate::kit::built(&["-p", "linklock-cli", "--bin", "linklock"], "linklock"))
}

/// The command under test.
pub(crate) fn linklock() -> Command {
    Command::new(env::var_os(COMMAND).unwrap())
}
