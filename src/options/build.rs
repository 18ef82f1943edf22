//! How options are validated, and become a lock.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use super::LockOptions;
use crate::clock::system_clock;
use crate::error::{Error, Operation};
use crate::lock::Lock;
use crate::model::config::Config;
use crate::model::context::Context;
use crate::model::lease::check_lifetime;
use crate::model::machine::Machine;
use crate::model::memory::Memory;
use crate::model::names::{BadName, Names};
use crate::sys::posix::PosixFs;
use crate::sys::process::PosixProcesses;
use crate::sys::udp::UdpNetwork;

impl LockOptions {
    /// Makes the lock. The file system is not accessed yet, and nothing blocks.
    ///
    /// # Errors
    ///
    /// As for [`Lock::new`], and [`Error::Invalid`] if the lifetime is not between 10 ms and ten
    /// years, or if the [mode](Self::mode) has other bits than those to read and to write, or lacks
    /// one of the owner's.
    pub fn build(self) -> Result<Lock, Error> {
        let machine = self.machine();
        self.build_on(machine)
    }

    /// The machine that this program runs on.
    pub(super) fn machine(&self) -> Machine {
        static PROCESSES: LazyLock<Arc<PosixProcesses>> = LazyLock::new(Arc::default);
        let can_wake = self.clock.is_none();
        let clock = self.clock.clone().unwrap_or_else(system_clock);
        let fs = match self.neighbour() {
            Some(context) => context.machine.fs.clone(),
            None => Arc::new(PosixFs::linking_by(self.linker.clone())),
        };
        let (processes, random) = (PROCESSES.clone(), unguessable);
        let network = Arc::new(UdpNetwork);
        Machine { fs, clock, processes, random, network, can_wake }
    }

    /// The lock to share what is known with, if it is in the same directory.
    fn neighbour(&self) -> Option<&Context> {
        let path = std::path::absolute(&self.path).ok()?;
        let other = self.learnt_from.as_deref();
        other.filter(|other| path.parent() == Some(other.names.dir()))
    }

    /// Makes the lock on a given machine, which may be a simulated one.
    pub(crate) fn build_on(self, machine: Machine) -> Result<Lock, Error> {
        let memory =
            self.neighbour().map_or_else(Memory::default, |other| other.memory.of_file_system());
        self.build_with(machine, memory)
    }

    /// Makes the lock with a memory that it may share with others.
    pub(super) fn build_with(self, machine: Machine, memory: Memory) -> Result<Lock, Error> {
        check_lifetime(&self.path, self.lifetime)?;
        check_mode(&self.path, self.mode)?;
        let host = match self.host_name {
            Some(host) => host,
            None => hostname::get().map_err(Error::io(Operation::HostName, &self.path))?,
        };
        if self.path.file_name().is_none() {
            return Err(Error::Invalid {
                path: self.path,
                reason: BadName::NoFileName.to_string(),
            });
        }
        let path = std::path::absolute(&self.path);
        let path = path.map_err(Error::io(Operation::Resolve, &self.path))?;
        let names = Names::new(&path, self.separator, &host, self.role)
            .map_err(|bad| Error::Invalid { path, reason: bad.to_string() })?;
        let config = Config {
            stale: self.stale,
            clock_slop: self.clock_slop,
            polling: self.polling,
            retry_errnos: self.retry_errnos,
            keep_claim: self.keep_claim,
            fencing: self.fencing,
            mode: self.mode,
            // By another clock a waiter only polls.
            wake_hints: self.wake_hints && self.clock.is_none(),
            wake_address: self.wake_address,
        };
        let context = Context { names, config, machine, memory };
        Ok(Lock::with(context, self.lifetime, self.timeout))
    }
}

fn check_mode(path: &Path, mode: Option<u32>) -> Result<(), Error> {
    match mode {
        Some(mode) if mode & !0o666 != 0 || mode & 0o600 != 0o600 => Err(Error::Invalid {
            path: path.into(),
            reason: format!(
                "the mode {mode:o} must consist of read and write permissions, and give the owner \
                 both, as 664 does"
            ),
        }),
        _ => Ok(()),
    }
}

/// A number that cannot be guessed and does not repeat: machines that were cloned while they ran
/// draw the same random numbers from then on, but not at the same moments.
fn unguessable() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    rand::random::<u64>() ^ (now.as_secs() << 30 | u64::from(now.subsec_nanos()))
}
