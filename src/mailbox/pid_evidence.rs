//! What a pid in a dotlock proves.
//!
//! A pid has a meaning on one host, in one pid namespace, until it is reused. A dotlock does not
//! say in which namespace its pid was written. So a process counts as dead only where every process
//! of the machine is visible, and none has that pid in any of its namespaces. It counts as alive,
//! which is always safe, if any visible process has that pid.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

use crate::dotlock::DotlockKind;
use crate::sys::proc::Proc;
use crate::sys::process::Life;

/// How far a start time may be off: its parts are rounded to a second and to a clock tick.
const ROUNDING: Duration = Duration::from_secs(2);

/// The machine's processes, as evidence about a pid.
#[derive(Debug, Default)]
pub(crate) struct PidEvidence {
    proc: Proc,
}

impl PidEvidence {
    /// Whether the process that a dotlock names is alive, if that is a process of this host.
    /// `is_local`: only this machine accesses the file system.
    pub(crate) fn life(
        &self,
        kind: &DotlockKind,
        changed_at: SystemTime,
        host: &OsStr,
        is_local: bool,
    ) -> Life {
        match kind {
            DotlockKind::Dovecot(pid, theirs) if theirs == host && !is_anybodys(host) => {
                if self.may_be_at_work(*pid, changed_at) {
                    Life::Alive
                } else if is_local && self.has_nobody(*pid) {
                    Life::Dead
                } else {
                    Life::Unknown
                }
            }
            DotlockKind::LiblockfilePid(pid)
                if is_local && self.may_be_at_work(*pid, changed_at) =>
            {
                Life::Alive
            }
            DotlockKind::Liblockfile
            | DotlockKind::LiblockfilePid(_)
            | DotlockKind::Procmail
            | DotlockKind::Dovecot(..)
            | DotlockKind::Sealed
            | DotlockKind::Empty => Life::Unknown,
        }
    }

    /// Whether that process exists here and is old enough to have made the dotlock.
    fn may_be_at_work(&self, pid: u32, changed_at: SystemTime) -> bool {
        let Some(stat) = self.proc.stat(pid).filter(|stat| !stat.ended()) else {
            return false;
        };
        match self.proc.started_at(&stat) {
            Some(started_at) => started_at <= changed_at + ROUNDING,
            None => true, // its age is unknown
        }
    }

    /// Whether no process of this machine has that pid, in any namespace.
    fn has_nobody(&self, pid: u32) -> bool {
        self.sees_all() && self.find(pid) == Some(false)
    }

    /// Whether all processes of the machine are visible: /proc must not hide other users' (see
    /// `hidepid`).
    fn sees_all(&self) -> bool {
        self.proc.is_in_initial_namespace() && self.proc.pids_of(1).is_some()
    }

    /// Whether a process has that pid in one of its namespaces; `None` if that is unknown.
    fn find(&self, pid: u32) -> Option<bool> {
        for process in self.proc.pids()? {
            match self.proc.pids_of(process) {
                Some(pids) if !pids.contains(&pid) => {}
                Some(_) if self.proc.stat(process).is_some_and(|stat| stat.ended()) => {}
                None if !self.proc.has(process) => {} // it has just ended
                Some(_) => return Some(true),
                None => return None,
            }
        }
        Some(false)
    }
}

/// Names of machines that were never given one.
fn is_anybodys(host: &OsStr) -> bool {
    host.is_empty() || host.to_string_lossy().starts_with("localhost")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;
    use crate::sys::proc::INITIAL_NAMESPACE as INITIAL;

    const BOOTED: u64 = 1_700_000_000;

    /// A machine with processes: each has a directory, with its pids and its state.
    fn machine(namespace: &str, processes: &[(u32, &str, char)]) -> (TempDir, PidEvidence) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        fs::create_dir_all(root.join("self/ns")).unwrap();
        symlink(namespace, root.join("self/ns/pid")).unwrap();
        fs::write(root.join("stat"), format!("cpu 1 2\nbtime {BOOTED}\n")).unwrap();
        for (pid, pids, state) in processes {
            let process = root.join(pid.to_string());
            fs::create_dir(&process).unwrap();
            fs::write(process.join("status"), format!("Name:\tx\nNSpid:\t{pids}\n")).unwrap();
            // Started 100 s after boot.
            let stat =
                format!("{pid} (x) {state} 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 10000 1");
            fs::write(process.join("stat"), stat).unwrap();
        }
        (dir, PidEvidence { proc: Proc { root } })
    }

    fn dovecot(pid: u32, host: &str) -> DotlockKind {
        DotlockKind::Dovecot(pid, host.into())
    }

    fn after_boot(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(BOOTED + seconds)
    }

    #[track_caller]
    fn assert_life(proc: &PidEvidence, kind: &DotlockKind, is_local: bool, life: Life) {
        assert_eq!(proc.life(kind, after_boot(500), OsStr::new("here"), is_local), life);
    }

    #[test]
    fn a_process_that_does_not_exist_on_its_host_is_dead() {
        let (_dir, proc) = machine(INITIAL, &[(1, "1", 'S'), (50, "50", 'S')]);
        assert_life(&proc, &dovecot(51, "here"), true, Life::Dead);
        assert_life(&proc, &dovecot(50, "here"), true, Life::Alive);
    }

    #[test]
    fn a_pid_of_another_host_proves_no_death() {
        let (_dir, proc) = machine(INITIAL, &[(1, "1", 'S')]);
        assert_life(&proc, &dovecot(51, "there"), true, Life::Unknown);
        assert_life(&proc, &dovecot(51, "here"), false, Life::Unknown);
        assert_life(&proc, &DotlockKind::LiblockfilePid(51), true, Life::Unknown);
        let everywhere = OsStr::new("localhost");
        let life = proc.life(&dovecot(51, "localhost"), after_boot(500), everywhere, true);
        assert_eq!(life, Life::Unknown);
    }

    #[test]
    fn a_pid_in_a_container_proves_no_death() {
        let (_dir, proc) = machine("pid:[4026532999]", &[(1, "1", 'S')]);
        assert_life(&proc, &dovecot(51, "here"), true, Life::Unknown);
    }

    #[test]
    fn a_pid_that_a_container_uses_proves_no_death() {
        let (_dir, proc) = machine(INITIAL, &[(1, "1", 'S'), (900, "900\t51", 'S')]);
        assert_life(&proc, &dovecot(51, "here"), true, Life::Unknown);
    }

    #[test]
    fn a_pid_proves_no_death_where_processes_are_hidden() {
        let (dir, proc) = machine(INITIAL, &[(1, "1", 'S')]);
        fs::remove_file(dir.path().join("1/status")).unwrap();
        assert_life(&proc, &dovecot(51, "here"), true, Life::Unknown);
    }

    #[test]
    fn a_zombie_is_dead() {
        let (_dir, proc) = machine(INITIAL, &[(1, "1", 'S'), (51, "51", 'Z')]);
        assert_life(&proc, &dovecot(51, "here"), true, Life::Dead);
    }

    #[test]
    fn a_process_that_started_after_the_dotlock_was_made_did_not_make_it() {
        let (_dir, proc) = machine(INITIAL, &[(1, "1", 'S'), (51, "51", 'S')]);
        let before = proc.life(&dovecot(51, "here"), after_boot(50), OsStr::new("here"), true);
        assert_eq!(before, Life::Unknown);
        assert_life(&proc, &DotlockKind::LiblockfilePid(51), true, Life::Alive);
    }

    #[test]
    fn this_process_is_found_on_this_machine() {
        let (proc, pid) = (PidEvidence::default(), std::process::id());
        assert!(proc.may_be_at_work(pid, SystemTime::now()));
        assert_ne!(proc.find(pid), Some(false));
    }
}
