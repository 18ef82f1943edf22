//! On Linux the death of a process of this machine can be proved.

use crate::sys::process::{Life, PosixProcesses, Process, Processes, Proof, WORLD_BITS};

#[test]
fn this_process_is_alive() {
    let processes = PosixProcesses::default();
    let this = processes.this();
    assert!(this.proof.unwrap().world < 1 << WORLD_BITS, "{this:?}");
    assert_eq!(processes.life(&this), Life::Alive);
    assert_eq!(processes.find(this.pid).unwrap(), this);
}

#[test]
fn a_reused_pid_is_another_process() {
    let processes = PosixProcesses::default();
    let Process { pid, proof: Some(proof) } = processes.this() else { panic!("no /proc") };
    let earlier = Proof { started: proof.started - 1, ..proof };
    assert_eq!(processes.life(&Process { pid, proof: Some(earlier) }), Life::Dead);
    let elsewhere = Proof { world: proof.world ^ 1, ..earlier };
    assert_eq!(processes.life(&Process { pid, proof: Some(elsewhere) }), Life::Unknown);
    assert_eq!(processes.life(&Process { pid, proof: None }), Life::Unknown);
}

#[test]
fn a_child_that_has_ended_is_dead_even_before_it_is_waited_for() {
    let processes = PosixProcesses::default();
    let mut child =
        std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    let process = processes.find(child.id()).unwrap();
    assert_eq!(processes.life(&process), Life::Alive);
    drop(child.stdin.take());
    while processes.life(&process) == Life::Alive {
        std::thread::yield_now(); // until it is a zombie
    }
    assert_eq!(processes.life(&process), Life::Dead);
    child.wait().unwrap();
    assert_eq!(processes.life(&process), Life::Dead);
    assert!(processes.find(process.pid).is_err());
}
