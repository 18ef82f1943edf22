//! A process with a linklock: the test program itself, run once more.

use std::env;
use std::io::{self, Read};
use std::path::Path;
use std::process::Command;

use linklock::Lock;

use crate::dialogue::Dialogue;

const LOCK: &str = "LINKLOCK_PEERS_LOCK";
const HOST: &str = "LINKLOCK_PEERS_HOST";
const HELD: &str = "linklock: held";

/// A process that holds the lock for as long as the value lives, and does not release it.
pub(crate) fn start_holder(lock: &Path, host: &str) -> Dialogue {
    let mut command = test_process("ours::holder");
    let mut holder = Dialogue::start(command.env(LOCK, lock).env(HOST, host));
    while holder.hear() != HELD {} // past what the test harness has to say
    holder
}

/// One of the test functions of this program, in a process of its own.
pub(crate) fn test_process(function: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("a program that can be run again"));
    command.args(["--exact", function, "--ignored", "--nocapture", "--test-threads=1"]);
    command
}

#[test]
#[ignore = "a process that other tests start"]
fn holder() {
    let (Some(lock), Some(host)) = (env::var_os(LOCK), env::var_os(HOST)) else { return };
    let guard = Lock::options(lock).host_name(host).build().unwrap().lock().unwrap();
    println!("\n{HELD}");
    io::stdin().read_to_end(&mut Vec::new()).unwrap(); // until it is killed
    drop(guard);
}
