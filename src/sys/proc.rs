//! The machine's processes, as proc(5) shows them.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use nix::unistd::{SysconfVar, sysconf};

use super::process::Stat;

/// The machine's initial pid namespace, see PROC_PID_INIT_INO in Linux's proc_ns.h.
pub(crate) const INITIAL_NAMESPACE: &str = "pid:[4026531836]";

/// A mount of proc(5). Without one, nothing is known.
#[derive(Debug)]
pub(crate) struct Proc {
    pub(crate) root: PathBuf,
}

impl Default for Proc {
    fn default() -> Proc {
        Proc { root: "/proc".into() }
    }
}

impl Proc {
    /// Whether this process is in the initial pid namespace, from which all processes are visible.
    pub(crate) fn is_in_initial_namespace(&self) -> bool {
        let own = std::fs::read_link(self.root.join("self/ns/pid"));
        own.is_ok_and(|own| own == OsStr::new(INITIAL_NAMESPACE))
    }

    /// All processes that are visible here.
    pub(crate) fn pids(&self) -> Option<Vec<u32>> {
        let entries = std::fs::read_dir(&self.root).ok()?;
        let names: Option<Vec<_>> = entries.map(|entry| Some(entry.ok()?.file_name())).collect();
        Some(names?.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
    }

    /// Whether a process with this pid exists.
    pub(crate) fn has(&self, pid: u32) -> bool {
        self.root.join(pid.to_string()).exists()
    }

    /// The pids of a process, in its own pid namespace and in those above it.
    pub(crate) fn pids_of(&self, pid: u32) -> Option<Vec<u32>> {
        let status = std::fs::read(self.root.join(pid.to_string()).join("status")).ok()?;
        let status = String::from_utf8_lossy(&status);
        let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        pids.split_ascii_whitespace().map(|pid| pid.parse().ok()).collect()
    }

    pub(crate) fn stat(&self, pid: u32) -> Option<Stat> {
        Stat::parse(&std::fs::read(self.root.join(pid.to_string()).join("stat")).ok()?)
    }

    /// The date on which a process was started.
    pub(crate) fn started_at(&self, stat: &Stat) -> Option<SystemTime> {
        let machine = std::fs::read_to_string(self.root.join("stat")).ok()?;
        let booted = machine.lines().find_map(|line| line.strip_prefix("btime "))?;
        let booted = Duration::from_secs(booted.trim().parse().ok()?);
        let ticks = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
        let after_boot = Duration::from_secs(stat.started.checked_div(ticks)?);
        SystemTime::UNIX_EPOCH.checked_add(booted)?.checked_add(after_boot)
    }
}
