//! The process that a server's lock is kept alive for.

use std::fmt;
use std::str::FromStr;

use crate::process::Instance;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(Instance);

impl Owner {
    /// The process with this number, if it runs.
    pub(super) fn of(pid: u32) -> Option<Owner> {
        Instance::of(pid).map(Owner)
    }

    pub(super) fn has_ended(&self) -> bool {
        Instance::of(self.0.pid) != Some(self.0)
    }
}

/// As an argument of a command: `PID.STARTED`.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0.pid, self.0.started)
    }
}

impl FromStr for Owner {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Owner, &'static str> {
        let parse = || {
            let (pid, started) = text.split_once('.')?;
            Some(Owner(Instance { pid: pid.parse().ok()?, started: started.parse().ok()? }))
        };
        parse().ok_or("not a process")
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_owner_is_noticed() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let owner = Owner::of(child.id()).unwrap();
        assert_eq!(owner.to_string().parse(), Ok(owner));
        assert!(!owner.has_ended());
        assert!(Owner(Instance { started: 0, ..owner.0 }).has_ended(), "another of that number");
        child.kill().unwrap();
        while !owner.has_ended() {} // before it was waited for
        child.wait().unwrap();
        assert!(owner.has_ended());
    }
}
