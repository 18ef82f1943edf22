//! System calls for each lock + unlock, counted by strace(1).

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::crew::{Peer, Worker, fresh, skip};

const WARM: usize = 10;
const TURNS: usize = 110;

/// How many there are, or none where they can't be counted.
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

/// How many calls a process makes that does so many turns, from beginning to end.
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
    Ok(trace.lines().filter(is_call).count())
}
