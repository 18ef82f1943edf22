//! A process with a linklock: the test program itself, run again.

use std::env;
use std::io::{self, Read};
use std::path::Path;

use linklock::Lock;

use super::dialogue::Dialogue;
use crate::kit::again::this_program;

const LOCK: &str = "LINKLOCK_PEERS_LOCK";
const HOST: &str = "LINKLOCK_PEERS_HOST";
const HELD: &str = "linklock: held";

/// A process that holds the lock for as long as the value lives, and does not release it.
pub(crate) fn start_holder(lock: &Path, host: &str) -> Dialogue {
    let mut command = this_program("worker");
    let mut holder = Dialogue::start(command.env(LOCK, lock).env(HOST, host));
    while holder.hear() != HELD {} // past the output of the test harness
    holder
}

/// The holder's side.
pub(crate) fn hold() {
    let (Some(lock), Some(host)) = (env::var_os(LOCK), env::var_os(HOST)) else { return };
    let guard = Lock::options(lock).host_name(host).build().unwrap().lock().unwrap();
    println!("\n{HELD}");
    io::stdin().read_to_end(&mut Vec::new()).unwrap(); // until it is killed
    drop(guard);
}
