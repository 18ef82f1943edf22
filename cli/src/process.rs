//! Information from /proc about this machine's processes; nothing without a /proc.

use std::fs;
use std::time::Duration;

use nix::unistd::getppid;

/// On every architecture on which Rust supports Linux, see times(2).
const TICKS_A_SECOND: u64 = 100;

/// Our parent, its parent, and so on.
pub(crate) fn ancestors() -> impl Iterator<Item = u32> {
    std::iter::successors(Some(parent()), |pid| parent_of(*pid))
}

pub(crate) fn parent() -> u32 {
    u32::try_from(getppid().as_raw()).unwrap_or_default()
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    parent.trim().parse().ok().filter(|pid| *pid > 0)
}

/// A running process's command line, without the arguments' boundaries.
pub(crate) fn command_line(pid: u32) -> Option<String> {
    let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&words).trim_end_matches('\0').replace('\0', " ");
    (!line.is_empty()).then_some(line)
}

/// One process, and none that has its number later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) pid: u32,
    /// In clock ticks since the boot.
    pub(crate) started: u64,
}

impl Instance {
    /// The process with this number, if it runs.
    pub(crate) fn of(pid: u32) -> Option<Instance> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // From the third field on, see proc(5); the second may contain anything.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let has_ended = matches!(fields.next()?, "Z" | "X"); // but its parent has not waited for it
        let started = fields.nth(18)?.parse().ok()?;
        (!has_ended).then_some(Instance { pid, started })
    }
}

/// How long a process has been running.
pub(crate) fn age(pid: u32) -> Option<Duration> {
    let Instance { started, .. } = Instance::of(pid)?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
    let up = Duration::try_from_secs_f64(uptime).ok()?;
    let started = Duration::from_millis(started.saturating_mul(1000 / TICKS_A_SECOND));
    Some(up.saturating_sub(started))
}

/// The child processes of a process that are still running.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let lists: Vec<String> = lists.collect();
    lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|it| it.parse().ok()).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found() {
        let own = std::process::id();
        assert_eq!(ancestors().next(), Some(parent()));
        assert!(ancestors().all(|pid| pid != own));
        assert!(command_line(own).unwrap().contains("linklock"));
        assert!(age(own).unwrap() < Duration::from_secs(3600));
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(children(own).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
