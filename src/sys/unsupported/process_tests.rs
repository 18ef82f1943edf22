//! Without proc(5) no process is known to be dead.

use crate::sys::process::{Life, PosixProcesses, Process, Processes};

#[test]
fn without_proc_no_process_is_known_to_be_dead() {
    let processes = PosixProcesses::default();
    assert_eq!(processes.life(&processes.this()), Life::Unknown);
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let process = processes.find(child.id()).unwrap();
    child.wait().unwrap();
    assert_eq!(process, Process { pid: child.id(), proof: None });
    assert_eq!(processes.life(&process), Life::Unknown);
}
