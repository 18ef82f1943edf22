//! System calls for each lock + unlock, counted by strace(1).

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::workers::{Peer, Worker, fresh, skip};

/// By these calls, and by the close(2) of the socket, a handle that locks again at once checks now and
/// then for waiters: every 10 ms, however many turns that is, and under strace those are few.
const BY_TIME: [&str; 5] = ["socket(", "bind(", "listen(", "accept4(", "shutdown("];

const WARM: usize = 10;
const TURNS: usize = 110;

/// The number of calls, or `None` if they can't be counted.
pub(crate) fn count(peer: &Peer, parent: &Path) -> Option<f64> {
    match (traced(peer, parent, WARM), traced(peer, parent, TURNS)) {
        (Ok(warm), Ok(all)) => {
            #[allow(clippy::cast_precision_loss)]
            let calls = (all - warm) as f64 / (TURNS - WARM) as f64;
            Some(calls)
        }
        (Err(why), _) | (_, Err(why)) => {
            skip("system calls", why);
            None
        }
    }
}

/// The number of calls of a whole process that does so many turns.
fn traced(peer: &Peer, parent: &Path, turns: usize) -> Result<usize, std::io::Error> {
    let dir = fresh(parent);
    let trace = dir.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(&trace).args(peer.words()).arg(dir.path().join("it.lock"));
    let mut worker = Worker::run(&mut strace)?;
    worker.ask(&format!("repeat {turns}"));
    drop(worker);
    let trace = fs::read_to_string(trace)?;
    let is_call = |line: &&str| !line.contains("+++") && !line.contains("---");
    let is_by_time = |line: &&str| BY_TIME.iter().any(|call| line.contains(call));
    let calls = trace.lines().filter(is_call);
    let sockets = trace.lines().filter(|line| line.contains("socket(") && !line.contains("= -1"));
    Ok(calls.filter(|line| !is_by_time(line)).count() - sockets.count())
}
