//! A machine as its processes see it: clocks, other processes, random numbers.

use std::cell::Cell;
use std::io;
use std::time::{Duration, SystemTime};

use super::constants::epoch;
use super::world::{Process, Waiting};
use crate::clock::Clock;
use crate::sys::errno;
use crate::sys::process::{Life, Process as ProcessId, Processes, Proof};

/// A process's clocks.
#[derive(Clone, Debug)]
pub(super) struct SimClock(pub(super) Process);

impl Clock for SimClock {
    fn now(&self) -> Duration {
        let world = self.0.world();
        let client = &world.clients[world.processes[world.running].client];
        client.uptime + world.now.saturating_sub(client.booted_at)
    }

    fn wall(&self) -> SystemTime {
        let world = self.0.world();
        let error = world.clients[world.processes[world.running].client].wall_error;
        let off = Duration::from_secs(error.unsigned_abs());
        let right = epoch() + world.now;
        if error < 0 { right - off } else { right + off }
    }

    fn sleep(&self, time: Duration) {
        if !self.0.has_crashed() {
            let until = self.0.world().now.saturating_add(time);
            self.0.wait(Waiting::Time(until));
            let mut world = self.0.world();
            let running = world.running;
            world.network.ends_pause(running);
        }
    }
}

/// Processes as one machine sees them. Other machines, and later boots, use the same process IDs
/// again.
#[derive(Clone, Debug)]
pub(super) struct SimProcesses(pub(super) Process);

impl SimProcesses {
    fn id_of(&self, process: usize) -> ProcessId {
        let world = self.0.world();
        let state = &world.processes[process];
        ProcessId {
            pid: state.pid,
            proof: Some(Proof { world: state.boot_id(), started: 1, boot: None }),
        }
    }

    /// The process with that ID in this boot of this machine, and whether it runs.
    fn local(&self, pid: u32) -> Option<(usize, bool)> {
        let world = self.0.world();
        let found = world.neighbour(world.running, pid)?;
        Some((found, world.runs(found)))
    }
}

impl Processes for SimProcesses {
    fn pid(&self) -> u32 {
        // The memory of a crashed process is dropped like a forked child's: no lock is released.
        if self.0.has_crashed() { 0 } else { self.this().pid }
    }

    fn thread(&self) -> u64 {
        self.0.world().running as u64
    }

    fn this(&self) -> ProcessId {
        let running = self.0.world().running;
        self.id_of(running)
    }

    fn find(&self, pid: u32) -> io::Result<ProcessId> {
        match self.local(pid) {
            Some((id, true)) => Ok(self.id_of(id)),
            _ => Err(io::Error::from_raw_os_error(errno::ESRCH)),
        }
    }

    fn life(&self, process: &ProcessId) -> Life {
        if process.proof.map(|proof| proof.world) != self.this().proof.map(|proof| proof.world) {
            return Life::Unknown;
        }
        match self.local(process.pid) {
            Some((_, true)) => Life::Alive,
            _ => Life::Dead,
        }
    }

    fn life_by_boot(&self, _process: &ProcessId) -> Life {
        Life::Unknown
    }
}

thread_local! {
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

/// Seeds the random numbers of a run, identically for every run.
pub(super) fn seed_random() {
    RANDOM.set(0);
}

/// The run's next random number: `SplitMix64`.
pub(super) fn random() -> u64 {
    let state = RANDOM.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    RANDOM.set(state);
    super::schedule::mix(state)
}
