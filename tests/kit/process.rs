//! The identity of a process, so that a dead one is never taken for a live one with the same pid.

use std::fmt;
use std::fs;
use std::str::FromStr;

/// A process: its pid, and its start in clock ticks since boot, see proc(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pid: u32,
    started: u64,
}

impl Process {
    pub(crate) fn this() -> Process {
        let pid = std::process::id();
        let stat = Stat::read(pid).expect("the tests need a /proc");
        Process { pid, started: stat.started }
    }

    /// Whether any of its threads may still run. A killed process keeps its pid until the last
    /// thread is gone and its parent has waited for it.
    pub(crate) fn is_alive(&self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.started == self.started && !stat.has_ended)
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.pid, self.started)
    }
}

impl FromStr for Process {
    type Err = ();

    fn from_str(text: &str) -> Result<Process, ()> {
        let (pid, started) = text.split_once('@').ok_or(())?;
        Ok(Process { pid: pid.parse().map_err(drop)?, started: started.parse().map_err(drop)? })
    }
}

/// The content of /proc/PID/stat.
struct Stat {
    started: u64,
    has_ended: bool,
}

impl Stat {
    fn read(pid: u32) -> Option<Stat> {
        let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the command in brackets, which may itself have blanks and brackets.
        let fields: Vec<&str> = line[line.rfind(')')? + 1..].split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied(); // as proc(5) numbers them
        let threads: u64 = field(20)?.parse().ok()?;
        let has_ended = matches!(field(3)?, "Z" | "X") && threads <= 1;
        Some(Stat { started: field(22)?.parse().ok()?, has_ended })
    }
}
